//! Subscribers of a server that is killed go on where they were, on the next one.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

use crate::process::{PATIENCE, Server, folder, text};

/// Who writes at the same time.
const WRITERS: u64 = 3;

/// What a client knows that listens to one server after the other.
#[derive(Default)]
struct Listener {
    /// The id of the last frame.
    since: Option<String>,
    /// The newest that was told of each stack.
    known: BTreeMap<String, u64>,
}

impl Listener {
    fn connect(&self, server: &Server) -> WebSocket<TcpStream> {
        let stream = TcpStream::connect(&server.address).expect("a server that listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let since = self
            .since
            .as_ref()
            .map(|since| format!("&since={since}"))
            .unwrap_or_default();
        let names = "subscribe?eventNames=resource.change&resourceType=stack";
        client(
            format!("ws://{}/v2-beta/projects/1a5/{names}{since}", server.address),
            stream,
        )
        .expect("a handshake")
        .0
    }

    /// Takes one frame; false at the end of the connection.
    fn hear(&mut self, socket: &mut WebSocket<TcpStream>) -> bool {
        let event: Value = match socket.read() {
            Ok(Message::Text(text)) => serde_json::from_str(&text).expect("JSON"),
            Ok(_) => return true,
            Err(_) => return false,
        };
        assert_ne!(event["name"], "events.gone");
        self.since = event["id"].as_str().map(str::to_owned);
        if event["name"] == "resource.change" {
            let row = &event["data"]["resource"];
            self.known
                .insert(row["id"].as_str().expect("an id").to_owned(), number(row));
        }
        true
    }
}

/// What a writer wrote last into a stack.
fn number(row: &Value) -> u64 {
    row["description"]
        .as_str()
        .and_then(|n| n.parse().ok())
        .expect("a number")
}

/// Makes stacks and changes them until the server is gone; notes what it was told is done.
fn write(address: &str, counter: &AtomicU64, done: &Mutex<BTreeMap<String, u64>>) {
    let client = reqwest::blocking::Client::new();
    let base = format!("http://{address}/v2-beta/projects/1a5/stacks");
    loop {
        let mut path = base.clone();
        for _ in 0..5 {
            let n = counter.fetch_add(1, Ordering::SeqCst);
            let body = json!({"name": format!("s{n}"), "description": n.to_string()});
            let request = if path == base {
                client.post(&path)
            } else {
                client.put(&path)
            };
            let Ok(answer) = request.json(&body).send() else { return };
            let status = answer.status();
            let Ok(row) = answer.json::<Value>() else { return };
            if status == 409 {
                // It is being changed already.
                continue;
            }
            assert!(status.is_success(), "{status} {row}");
            let id = row["id"].as_str().expect("an id").to_owned();
            path = format!("{base}/{id}");
            done.lock().expect("no writer panics").insert(id, n);
        }
    }
}

#[test]
fn a_subscriber_of_a_server_that_is_killed_misses_nothing_that_was_promised() {
    let folder = folder();
    let place = ["--data-dir", text(folder.path())];
    let mut listener = Listener::default();
    let (counter, done) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(BTreeMap::new())));
    for round in 0..4 {
        let server = Server::start(place);
        let mut socket = listener.connect(&server);
        assert!(listener.hear(&mut socket), "a ping");
        let writers: Vec<_> = (0..WRITERS)
            .map(|_| {
                let (address, counter, done) = (server.address.clone(), counter.clone(), done.clone());
                std::thread::spawn(move || write(&address, &counter, &done))
            })
            .collect();
        for _ in 0..10 + round * 7 {
            assert!(listener.hear(&mut socket));
        }
        server.kill();
        // What was still on its way reaches the client, or not.
        while round % 2 == 0 && listener.hear(&mut socket) {}
        writers.into_iter().for_each(|writer| writer.join().expect("a writer"));
    }

    let server = Server::start(place);
    let mut socket = listener.connect(&server);
    let list = server.get("stacks?limit=3000");
    let rows = list["data"].as_array().expect("a list");
    let there: BTreeMap<String, u64> = rows
        .iter()
        .map(|row| (row["id"].as_str().expect("an id").to_owned(), number(row)))
        .collect();
    let promised = done.lock().expect("no writer panics").clone();
    assert!(
        promised.len() > 20 && promised.iter().all(|(id, n)| there.get(id).is_some_and(|is| is >= n)),
        "{promised:?} in {there:?}"
    );
    let started = Instant::now();
    while listener.known != there {
        assert!(
            started.elapsed() < PATIENCE && listener.hear(&mut socket),
            "{:?} of {there:?}",
            listener.known
        );
    }
}
