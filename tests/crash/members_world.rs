//! Several servers on one database of PostgreSQL, as processes.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use drover::store::Database;
use serde_json::{Value, json};

use crate::databases;
use crate::process::{PATIENCE, Server, drover, folder, text};

/// Whoever was led must be led again within this, whatever became of the one that led.
pub const TAKEN_OVER: Duration = Duration::from_secs(10);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// The key that all of them have.
const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// What they share.
pub struct Members {
    folder: tempfile::TempDir,
    pub url: String,
}

impl Members {
    /// A database that nobody else has; none where there is no PostgreSQL for tests.
    pub fn new() -> Option<Self> {
        let folder = folder();
        match databases::at(folder.path()).database {
            Database::Postgres(url) => Some(Self { folder, url: url.0 }),
            Database::File(_) => None,
        }
    }

    /// The same in a PostgreSQL of another place.
    pub fn on(url: &str) -> Self {
        Self {
            folder: folder(),
            url: url.to_owned(),
        }
    }

    /// Changes what is in the database, behind the servers' backs; for those of [`Self::new`].
    pub fn execute(&self, statement: &str) {
        with_database!(self.folder.path(), |conn| {
            let done = diesel::sql_query(statement).execute(conn);
            done.expect("it can be done");
        });
    }

    /// What starts a server with a folder and a port of its own, and these flags more.
    pub fn command(&self, name: &str, port: u16, more: &[&str]) -> Command {
        let data = self.folder.path().join(name);
        let address = format!("127.0.0.1:{port}");
        let mut command = drover(&["serve", "--docker", "none", "--log", "warn", "--listen", &address]);
        command
            .args(["--data-dir", text(&data)])
            .args(more)
            .env("DROVER_DATABASE_URL", &self.url)
            .env("DROVER_SECRET_KEY", KEY);
        command
    }

    /// One more of them.
    pub fn start(&self, name: &str) -> Server {
        self.start_with(name, &[])
    }

    /// The same with these flags more.
    pub fn start_with(&self, name: &str, more: &[&str]) -> Server {
        let port = free_port();
        let address = format!("127.0.0.1:{port}");
        let mut command = self.command(name, port, &["--advertise-address", &address]);
        command.args(more);
        Server::of(
            command
                .stderr(std::process::Stdio::inherit())
                .spawn()
                .expect("it starts"),
        )
    }

    /// One that leads, and two that do not.
    pub fn three(&self) -> [Server; 3] {
        let first = self.start("a");
        wait(PATIENCE, "it leads", || leads(&first));
        [first, self.start("b"), self.start("c")]
    }
}

/// A port that nobody has.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// Looks until it is so.
pub fn wait(within: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < within, "waited {within:?} until {what}");
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Whether a server is the one that leads.
pub fn leads(server: &Server) -> bool {
    let client = reqwest::blocking::Client::builder();
    let client = client.timeout(Duration::from_secs(1)).build().expect("a client");
    let answer = client.get(format!("http://{}/healthz", server.address)).send();
    let text = answer.and_then(reqwest::blocking::Response::text);
    text.is_ok_and(|text| text == "ok") && server.status_of("/readyz") == 200
}

/// Where, among these, the one is that leads.
pub fn leader(servers: &[Server]) -> usize {
    let mut found = None;
    wait(TAKEN_OVER, "one of them leads", || {
        found = servers.iter().position(leads);
        found.is_some()
    });
    found.expect("one")
}

/// Asks for rows to be made, one after the other, of whichever server is next, until it is told to stop; notes what it was told is
/// there.
pub struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
    told: Arc<Mutex<BTreeSet<String>>>,
}

/// Requests that are on their way at a time.
const WRITERS: u64 = 4;

impl Load {
    pub fn begin(addresses: Arc<Mutex<Vec<String>>>) -> Self {
        let (stop, told) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let counter = Arc::new(AtomicU64::new(0));
        let threads = (0..WRITERS).map(|_| {
            let (stop, told, counter) = (stop.clone(), Arc::clone(&told), counter.clone());
            let addresses = addresses.clone();
            std::thread::spawn(move || {
                while !stop.load(Ordering::Acquire) {
                    let number = counter.fetch_add(1, Ordering::AcqRel);
                    write(&addresses, number, &told);
                }
            })
        });
        let threads = threads.collect();
        Self { stop, threads, told }
    }

    /// How many rows there are so far.
    pub fn done(&self) -> usize {
        self.told.lock().expect("no panic").len()
    }

    /// Ends it; all that was told to be there, by name.
    pub fn end(self) -> BTreeSet<String> {
        self.stop.store(true, Ordering::Release);
        for thread in self.threads {
            thread.join().expect("no panic");
        }
        Arc::try_unwrap(self.told)
            .expect("the last")
            .into_inner()
            .expect("no panic")
    }
}

fn write(addresses: &Mutex<Vec<String>>, number: u64, told: &Mutex<BTreeSet<String>>) {
    let all = addresses.lock().expect("no panic").clone();
    let at = usize::try_from(number).expect("a small number") % all.len();
    let url = format!("http://{}/v2-beta/projects/1a5/stacks", all[at]);
    let name = format!("s{number}");
    // A connection of its own: one that is kept may be to a server that is gone.
    let client = reqwest::blocking::Client::new();
    let answer = client.post(url).json(&json!({"name": name})).send();
    if answer.is_ok_and(|answer| answer.status() == 201) {
        told.lock().expect("no panic").insert(name);
    }
}

/// The names of all stacks, each as often as it is there.
pub fn stacks(server: &Server) -> Vec<String> {
    let mut names = Vec::new();
    let mut next = Some(server.url("stacks?limit=1000&sort=id"));
    while let Some(url) = next {
        let page: Value = server
            .client
            .get(url)
            .send()
            .and_then(reqwest::blocking::Response::json)
            .expect("JSON");
        let rows = page["data"].as_array().expect("a list");
        names.extend(rows.iter().map(|row| row["name"].as_str().expect("a name").to_owned()));
        next = page["pagination"]["next"].as_str().map(str::to_owned);
    }
    names
}

/// Makes sure that all that was acknowledged is there, and nothing twice.
pub fn check_nothing_lost(server: &Server, told: &BTreeSet<String>) {
    let there = stacks(server);
    let once: BTreeSet<String> = there.iter().cloned().collect();
    assert_eq!(there.len(), once.len(), "something is there twice");
    let lost: Vec<_> = told.difference(&once).collect();
    assert!(lost.is_empty(), "acknowledged, and lost: {lost:?}");
}
