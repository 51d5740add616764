//! Several servers on one database and one engine: the one that leads is killed, or stands still, every few seconds, while services
//! come, change and crash. At the end nothing may be lost, left over, or there twice.
//!
//! An ordinary run takes half a minute; `DROVER_TEST_MEMBERS` says another number of seconds.

use std::process::Child;
use std::time::{Duration, Instant};

use crate::chaos::live_through;
use crate::fuzz::number_in;
use crate::support::{Docker, PATIENCE, Server, World, real_part, saying_script, wait_until};

/// How long it takes if nothing is said.
const SECONDS: u32 = 30;
/// Another one must lead within this, whatever became of the one that did.
const TAKEN_OVER: Duration = Duration::from_secs(10);
/// So long one stands still: longer than the others wait for it.
const STANDS: Duration = Duration::from_secs(8);
const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// A PostgreSQL as long as it is held.
pub struct Postgres {
    child: Child,
    pub url: String,
}

impl Postgres {
    pub fn start() -> Self {
        let says = ["bash", "-c", "echo \"$DROVER_TEST_DATABASE\"; read -r _"];
        let (child, url) = saying_script("postgres-env", &says);
        assert!(url.starts_with("postgres://"), "{url}");
        Self { child, url }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Whether a server is the one that leads.
pub fn leads(server: &Server) -> bool {
    let client = reqwest::blocking::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(1))
        .build()
        .unwrap();
    let answer = client.get(server.url("/healthz")).send();
    answer
        .and_then(reqwest::blocking::Response::text)
        .is_ok_and(|text| text == "ok")
}

#[test]
fn services_live_on_while_the_one_of_three_that_leads_is_killed_or_stands_still() {
    disturb(3);
}

#[test]
fn services_live_on_while_the_one_of_two_that_leads_is_killed_or_stands_still() {
    disturb(2);
}

/// Has so many servers live through it.
fn disturb(servers: usize) {
    let Some(url) = real_part("DROVER_TEST_DOCKER") else {
        return;
    };
    let seconds = number_in("DROVER_TEST_MEMBERS").unwrap_or(SECONDS);
    let postgres = Postgres::start();
    let env = [
        ("DROVER_SECRET_KEY", KEY.to_owned()),
        ("DROVER_DATABASE_URL", postgres.url.clone()),
    ];
    let start = || Server::start_in(&url, &["--advertise-address", "127.0.0.1"], &env);
    // Requests go to the first: it is killed at times, but stands still at none.
    let mut world = World::of(Docker { url: url.clone() }, url.clone(), start());
    let mut others: Vec<Server> = (1..servers).map(|_| start()).collect();
    world.wait_host();
    let (mut longest, mut kinds) = (Duration::ZERO, [0; 3]);
    live_through(&mut world, u64::from(seconds), |world| {
        let mut other = None;
        wait_until("one of them leads", PATIENCE, || {
            other = others.iter().position(leads);
            (other.is_some() || leads(world.server()))
                .then_some(())
                .ok_or("none does")
        });
        let began = Instant::now();
        let kind = match other {
            None => {
                world.kill_server();
                world.restart_server();
                0
            }
            Some(at) if kinds[1] < kinds[2] => {
                others[at].kill();
                others[at].launch(&url);
                1
            }
            Some(at) => {
                others[at].signal("STOP");
                wait_until("another one leads", TAKEN_OVER, || {
                    let goes_on = |(nth, other)| nth != at && leads(other);
                    let found = leads(world.server()) || others.iter().enumerate().any(goes_on);
                    found.then_some(()).ok_or("none does")
                });
                longest = longest.max(began.elapsed());
                while began.elapsed() < STANDS {
                    world.api.get("/stacks");
                }
                others[at].signal("CONT");
                2
            }
        };
        kinds[kind] += 1;
    });
    println!(
        "{servers} servers: killed, killed as another, stood still: {kinds:?}; longest without one that leads: {longest:?}"
    );
}
