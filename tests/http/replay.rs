//! Coming back: `since` loses nothing and says nothing twice, whatever is written meanwhile, and says when it cannot.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use crate::sockets::{Client, Server};
use crate::support::{World, has, text};

const STACKS: &str = "subscribe?eventNames=resource.change&resourceType=stack";

/// What somebody knows who listens and comes back again and again.
#[derive(Default)]
struct Listener {
    /// The id of the last frame.
    since: String,
    /// The newest that was told of each stack.
    known: BTreeMap<String, String>,
    connections: usize,
    events: usize,
}

impl Listener {
    /// Listens for at most so many frames, or until everything is known that was `written`.
    async fn listen(&mut self, server: &Server, frames: usize, written: &BTreeMap<String, String>) {
        let mut client: Client = server.subscribe(&format!("{STACKS}&since={}", self.since)).await;
        self.connections += 1;
        let mut told = BTreeSet::new();
        for _ in 0..frames {
            if !written.is_empty() && self.known == *written {
                return;
            }
            let event = client.any().await;
            assert_ne!(event["name"], "events.gone");
            // A ping of the beginning says no more than the client has; later ones say how far everything has been told.
            text(&event, "id").clone_into(&mut self.since);
            if event["name"] == "ping" {
                continue;
            }
            self.events += 1;
            let (_, number) = text(&event, "id").split_once('-').expect("a position and a number");
            assert!(told.insert(number.to_owned()), "told twice on one connection: {event}");
            let row = &event["data"]["resource"];
            self.known
                .insert(text(row, "id").to_owned(), text(row, "description").to_owned());
        }
    }
}

/// Writes: makes stacks, and changes each many times. What it wrote last of each.
async fn write(w: &World, writer: usize, rounds: usize) -> BTreeMap<String, String> {
    let mut written = BTreeMap::new();
    for n in 0..3 {
        let made = w
            .post("stacks", json!({"name": format!("s{writer}-{n}"), "description": "0"}))
            .await
            .ok();
        written.insert(text(&made, "id").to_owned(), "0".to_owned());
    }
    for round in 1..=rounds {
        for (id, last) in &mut written {
            let description = format!("{writer}.{round}");
            w.put(id, json!({"description": description})).await.ok();
            *last = description;
            // Time goes on a little with each write, so that some are told at once and others wait.
            w.clock.advance(Duration::from_millis(70));
            w.engine.tell();
        }
        w.settle().await;
    }
    written
}

#[actix_web::test]
async fn who_comes_back_again_and_again_misses_nothing_and_hears_nothing_twice() {
    let w = World::new().await;
    let admin = w
        .engine
        .admit_open(drover::schema::Version::V2Beta, None)
        .expect("access is open");
    w.engine
        .write_setting(&admin, "api.sub.ping.interval.millis", Some("100".into()))
        .await
        .expect("a setting");
    let server = Server::of(&w);
    let mut listeners: Vec<Listener> = (0..4)
        .map(|_| Listener {
            since: "0".into(),
            ..Listener::default()
        })
        .collect();
    let done = std::cell::Cell::new(false);
    let writers = async {
        let all = futures_util::future::join_all((0..4).map(|writer| write(&w, writer, 12))).await;
        done.set(true);
        all.into_iter().flatten().collect::<BTreeMap<_, _>>()
    };
    let readers = futures_util::future::join_all(listeners.iter_mut().enumerate().map(|(n, listener)| {
        let (server, done) = (&server, &done);
        async move {
            // Some hold out long, some are gone after the first event.
            while !done.get() {
                listener.listen(server, 2 + n * 7, &BTreeMap::new()).await;
            }
        }
    }));
    let (written, _) = futures_util::future::join(writers, readers).await;
    w.clock.advance(Duration::from_secs(2));
    w.engine.tell();
    assert_eq!(written.len(), 12);
    for (n, listener) in listeners.iter_mut().enumerate() {
        listener.listen(&server, 1000, &written).await;
        assert_eq!(listener.known, written, "listener {n}");
        assert!(
            listener.connections > 2 && listener.events >= 12,
            "{} {}",
            listener.connections,
            listener.events
        );
    }
}

#[actix_web::test]
async fn what_is_no_longer_kept_is_said_to_be_gone() {
    let w = World::new().await;
    let server = Server::of(&w);
    let admin = w
        .engine
        .admit_open(drover::schema::Version::V2Beta, None)
        .expect("access is open");
    for n in 0..20 {
        w.stack(&format!("s{n}")).await;
    }
    let mut old = server.subscribe(&format!("{STACKS}&since=0")).await;
    assert_eq!(old.any().await["name"], "ping");
    assert_eq!(old.any().await["name"], "resource.change", "all is kept");
    w.engine
        .write_setting(&admin, "events.keep.rows", Some("5".into()))
        .await
        .expect("a setting");
    w.engine.sweep().await.expect("a sweep");
    let mut old = server.subscribe(&format!("{STACKS}&since=0")).await;
    let ping = old.any().await;
    assert_eq!(
        (&ping["name"], &ping["id"]),
        (&json!("ping"), &json!("0")),
        "it claims no more than the client has"
    );
    let gone = old.any().await;
    has(
        &gone,
        &json!({"name": "events.gone", "resourceId": null, "data": {"code": "EventsGone"}}),
        "gone",
    );
    let newest: i64 = text(&gone, "id").parse().expect("a number");
    // From there on it can be asked for, and the connection goes on.
    let stack = w.stack("after").await;
    assert_eq!(old.change(&stack).await["name"], "after");
    let mut again = server.subscribe(&format!("{STACKS}&since={newest}")).await;
    assert_eq!(again.change(&stack).await["name"], "after");
    // What is kept can be had to the last event.
    let kept = newest - 5;
    let mut just = server.subscribe(&format!("{STACKS}&since={kept}")).await;
    assert_eq!(just.any().await["name"], "ping");
    assert_ne!(just.any().await["name"], "events.gone");
    let mut beyond = server.subscribe(&format!("{STACKS}&since={}", i64::MAX)).await;
    assert_eq!(beyond.any().await["name"], "ping");
    assert_eq!(beyond.any().await["name"], "events.gone");
    for never in ["-1", "x", "1-", "99999999999999999999", "%00"] {
        let refused: Value = w
            .get(&format!("{STACKS}&since={never}"))
            .await
            .refused(422, "InvalidFormat");
        assert_eq!(refused["fieldName"], "since", "{never}");
    }
}
