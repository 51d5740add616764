//! What becomes of servers when their database goes away: stopped hard, cut off, or gone for good with a copy in its place.
//!
//! Each test has a PostgreSQL to itself, and is passed over where `DROVER_TEST_DATABASE` names none at all.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::members_world::{Load, Members, check_nothing_lost, leader, leads, wait};
use crate::process::{PATIENCE, Server};

/// Whatever becomes of the database, requests are answered again within this, once there is one.
const BACK: Duration = Duration::from_secs(30);

/// A PostgreSQL of its own, perhaps with a copy that has all that is acknowledged.
struct Postgres {
    child: Child,
    /// It lives as long as this is open.
    _held: ChildStdin,
    url: String,
    folders: Vec<String>,
}

impl Postgres {
    fn start(flags: &[&str]) -> Option<Self> {
        std::env::var_os("DROVER_TEST_DATABASE")?;
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/lib/postgres-env");
        let says = "echo \"$DROVER_TEST_DATABASE\"; echo \"$DROVER_TEST_POSTGRES\"; read -r _";
        let mut child = Command::new(script)
            .args(flags)
            .args(["bash", "-c", says])
            .env("DROVER_TEST_FSYNC", "on")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the script runs");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let mut line = || lines.next().expect("it says where it is").expect("UTF-8");
        let (url, folders) = (line(), line());
        Some(Self {
            _held: child.stdin.take().expect("its input"),
            child,
            url,
            folders: folders.split(' ').map(str::to_owned).collect(),
        })
    }

    /// Has `pg_ctl` do something with the data in one of its folders.
    fn control(&self, at: usize, words: &[&str]) {
        let folder = &self.folders[at];
        let log = format!("{folder}.log");
        let programs = "for bin in /usr/lib/postgresql/*/bin; do PATH=\"$bin:$PATH\"; done; ";
        let as_owner = "if [[ $EUID -eq 0 ]]; then exec runuser -u postgres -- env PATH=\"$PATH\" pg_ctl \"$@\"; fi; exec pg_ctl \"$@\"";
        let done = Command::new("bash")
            .args(["-c", &format!("{programs}{as_owner}"), "bash"])
            .args(words)
            .args(["--pgdata", folder, "--silent", "--wait", "--log", &log])
            .stdout(Stdio::null())
            .status()
            .expect("bash runs");
        assert!(done.success(), "{words:?}");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // The script takes it down when it is told to, and when nobody holds its input any more.
        let _ = Command::new("sh")
            .args(["-c", &format!("kill -TERM {}", self.child.id())])
            .status();
        let _ = self.child.wait();
    }
}

fn addresses(servers: &[Server]) -> Arc<Mutex<Vec<String>>> {
    Arc::new(Mutex::new(
        servers.iter().map(|server| server.address.clone()).collect(),
    ))
}

/// Requests are answered by all, and what is done is done.
fn works(servers: &[Server], load: &Load) {
    let before = load.done();
    wait(BACK, "rows are made again", || load.done() > before + 20);
    for server in servers {
        wait(BACK, "it is ready", || server.status_of("/readyz") == 200);
    }
}

#[test]
fn one_server_goes_on_when_its_database_is_stopped_hard_and_started() {
    let Some(postgres) = Postgres::start(&[]) else { return };
    let members = Members::on(&postgres.url);
    let mut command = members.command("alone", crate::members_world::free_port(), &[]);
    let server = Server::of(command.spawn().expect("it starts"));
    let path = server.active_service(3);
    let servers = [server];
    let load = Load::begin(addresses(&servers));
    for _ in 0..2 {
        works(&servers, &load);
        postgres.control(0, &["stop", "--mode", "immediate"]);
        let body = json!({"name": "refused"});
        let asked = Instant::now();
        let refused = servers[0]
            .client
            .post(servers[0].url("stacks"))
            .json(&body)
            .send()
            .expect("an answer");
        assert_eq!(refused.status(), 503);
        assert!(asked.elapsed() < PATIENCE, "{:?}", asked.elapsed());
        assert_eq!(servers[0].status_of("/readyz"), 503);
        postgres.control(0, &["start"]);
        works(&servers, &load);
    }
    let told = load.end();
    check_nothing_lost(&servers[0], &told);
    assert_eq!(servers[0].get(&path)["state"], "active");
}

#[test]
fn several_servers_go_on_when_their_database_is_started_again() {
    let Some(postgres) = Postgres::start(&[]) else { return };
    let members = Members::on(&postgres.url);
    let servers = members.three();
    let path = servers[0].active_service(3);
    let load = Load::begin(addresses(&servers));
    works(&servers, &load);
    postgres.control(0, &["restart", "--mode", "immediate"]);
    works(&servers, &load);
    // Away for longer than who leads may go without a word.
    postgres.control(0, &["stop", "--mode", "immediate"]);
    let at = Instant::now();
    wait(PATIENCE, "its time is over", || at.elapsed() > Duration::from_secs(6));
    assert_eq!(
        servers[0].status_of("/v2-beta/projects/1a5/stacks"),
        503,
        "nothing is answered that may be old"
    );
    for server in &servers {
        assert_eq!(
            server.status_of("/healthz"),
            200,
            "the process is well, and not to be started anew"
        );
    }
    postgres.control(0, &["start"]);
    works(&servers, &load);
    let told = load.end();
    for server in &servers {
        check_nothing_lost(server, &told);
        assert_eq!(server.get(&path)["state"], "active");
        assert_eq!(server.running("sim:one"), 3);
    }
}

#[test]
fn servers_whose_connections_are_cut_go_on() {
    let Some(postgres) = Postgres::start(&[]) else { return };
    let members = Members::on(&postgres.url);
    let servers = members.three();
    let load = Load::begin(addresses(&servers));
    works(&servers, &load);
    let host = postgres
        .url
        .split("host=")
        .nth(1)
        .and_then(|rest| rest.split('&').next())
        .expect("a folder");
    for _ in 0..5 {
        let cut = Command::new("psql")
            .args([
                "--host",
                host,
                "--username",
                "drover",
                "--quiet",
                "--output",
                "/dev/null",
                "postgres",
                "--command",
            ])
            .arg("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'drover'")
            .status();
        assert!(cut.expect("psql runs").success());
        works(&servers, &load);
    }
    let told = load.end();
    check_nothing_lost(&servers[leader(&servers)], &told);
}

#[test]
fn a_copy_that_is_promoted_has_all_that_was_acknowledged() {
    let Some(postgres) = Postgres::start(&["--standby"]) else {
        return;
    };
    let members = Members::on(&postgres.url);
    let servers = members.three();
    let path = servers[0].active_service(3);
    let load = Load::begin(addresses(&servers));
    works(&servers, &load);
    postgres.control(0, &["stop", "--mode", "immediate"]);
    postgres.control(1, &["promote"]);
    let promoted = Instant::now();
    works(&servers, &load);
    assert!(promoted.elapsed() < BACK, "{:?}", promoted.elapsed());
    let told = load.end();
    for server in &servers {
        check_nothing_lost(server, &told);
        assert_eq!(server.get(&path)["state"], "active");
    }
    assert_eq!(servers.iter().filter(|server| leads(server)).count(), 1);
}
