//! Logs of containers and commands in them, as Rancher's clients ask for them: an action gives a token, and a WebSocket with
//! it carries the frames.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::sockets::{Client, Server};
use crate::support::{World, text};

/// Nothing here takes longer, however busy the machine is.
const DEADLINE: Duration = Duration::from_secs(60);

async fn running(w: &World, name: &str) -> String {
    let body = json!({"imageUuid": "sim:one", "name": name});
    let id = text(&w.post("containers", body).await.ok(), "id").to_owned();
    w.wait(&id, "running").await;
    id
}

/// Where a stream is, and what opens it, below the server's own address.
async fn access(w: &World, id: &str, action: &str, input: Value) -> String {
    let access = w
        .act(id, action, input)
        .await
        .expect(200, json!({"type": "hostAccess"}));
    let (url, token) = (text(&access, "url"), text(&access, "token"));
    let path = url.strip_prefix("ws://localhost").unwrap_or_else(|| panic!("{url}"));
    assert!(path.starts_with("/v1/") && path.ends_with('/'), "{url}");
    assert_eq!(token.split('.').count(), 3, "{token}");
    format!("{path}?token={token}")
}

async fn open(server: &Server, path: &str) -> Client {
    let opened = server.try_subscribe(path, &[]).await;
    opened.unwrap_or_else(|(status, body)| panic!("{path}: {status} {body}"))
}

async fn refusal(server: &Server, path: &str) -> (u16, Value) {
    match server.try_subscribe(path, &[]).await {
        Ok(_) => panic!("{path} was opened"),
        Err((status, body)) => (status, body["code"].clone()),
    }
}

#[actix_web::test]
async fn a_log_is_followed_until_its_container_ends() {
    let w = World::new().await;
    let id = running(&w, "said").await;
    let server = Server::of(&w);
    let path = access(&w, &id, "logs", json!({"follow": true, "lines": 500})).await;
    assert!(path.starts_with("/v1/logs/?"), "{path}");
    let mut client = open(&server, &path).await;
    let line = client.frame().await.expect("a line");
    let words: Vec<&str> = line.split(' ').collect();
    assert_eq!(words.len(), 4, "{line}");
    assert_eq!((words[0], words[2], words[3]), ("01", "said", "started"), "{line}");
    assert!(words[1].ends_with('Z') && words[1].contains('T'), "a time: {line}");
    w.act(&id, "stop", json!({})).await.ok();
    w.settle().await;
    assert_eq!(client.end().await, Some(1000));

    // One that has ended is read to its end.
    let path = access(&w, &id, "logs", json!({"follow": true, "timestamps": false})).await;
    let mut client = open(&server, &path).await;
    assert_eq!(client.frame().await.expect("a line"), "01 said started");
    assert_eq!(client.end().await, Some(1000));
    let path = access(&w, &id, "logs", json!({"follow": false, "lines": 0})).await;
    assert_eq!(open(&server, &path).await.end().await, Some(1000));
    server.stop().await;
}

#[actix_web::test]
async fn a_command_reads_what_is_typed_and_ends_with_it() {
    let w = World::new().await;
    let id = running(&w, "shell").await;
    let server = Server::of(&w);
    let wanted = json!({"attachStdin": true, "attachStdout": true, "tty": true, "command": ["/bin/sh", "-l"]});
    let path = access(&w, &id, "execute", wanted).await;
    assert!(path.starts_with("/v1/exec/?"), "{path}");
    let mut client = open(&server, &path).await;
    assert_eq!(client.frame().await.expect("output"), STANDARD.encode("/bin/sh -l\n"));
    client.say(Message::text(":resizeTTY:120,40")).await;
    client.say(Message::text("what is no base64!")).await;
    client.say(Message::text(STANDARD.encode("ls\r"))).await;
    assert_eq!(client.frame().await.expect("output"), STANDARD.encode("ls\r"));
    client.say(Message::text(STANDARD.encode([4]))).await;
    assert_eq!(client.end().await, Some(1000), "the command has ended");
    server.stop().await;
}

#[actix_web::test]
async fn who_types_much_and_reads_much_stops_nothing() {
    let w = World::new().await;
    let id = running(&w, "eager").await;
    let server = Server::of(&w);
    let path = access(&w, &id, "execute", json!({"command": ["cat"]})).await;
    let mut client = open(&server, &path).await;
    assert_eq!(client.frame().await.expect("output"), STANDARD.encode("cat\n"));
    // More than all between a client and a command can keep, typed while what comes is read.
    let (piece, pieces) = ("x".repeat(16_000), 1_000);
    let (mut to, mut from) = client.stream.split();
    let typing = async {
        for _ in 0..pieces {
            to.send(Message::text(STANDARD.encode(&piece)))
                .await
                .expect("it is taken");
        }
    };
    let reading = async {
        let mut read = 0;
        while read < piece.len() * pieces {
            if let Message::Text(frame) = from.next().await.expect("a frame").expect("a good one") {
                read += STANDARD.decode(frame.as_str()).expect("base64").len();
            }
        }
    };
    let both = tokio::time::timeout(DEADLINE, futures_util::future::join(typing, reading));
    both.await.expect("neither waits for the other");
    server.stop().await;
}

#[actix_web::test]
async fn a_token_opens_its_own_stream_and_nothing_else() {
    let w = World::new().await;
    let id = running(&w, "guarded").await;
    let server = Server::of(&w);
    let logs = access(&w, &id, "logs", json!({})).await;
    let token = logs.split_once('=').expect("a token").1;
    let unauthorized = (401, json!("Unauthorized"));
    for path in [
        "/v1/logs/".to_owned(),
        "/v1/logs/?token=".to_owned(),
        "/v1/logs/?token=a.b.c".to_owned(),
        format!("/v1/logs/?token={token}x"),
        format!("/v1/exec/?token={token}"),
    ] {
        assert_eq!(refusal(&server, &path).await, unauthorized, "{path}");
    }
    let (status, _) = server.get(&logs, &[]).await;
    assert_eq!(status, 400, "no WebSocket");
    w.clock.advance(Duration::from_secs(299));
    open(&server, &logs).await;
    w.clock.advance(Duration::from_secs(2));
    assert_eq!(refusal(&server, &logs).await, unauthorized, "too old");

    let shell = access(&w, &id, "execute", json!({"command": ["sh"]})).await;
    w.act(&id, "stop", json!({})).await.ok();
    w.settle().await;
    assert_eq!(refusal(&server, &shell).await.0, 409, "it does not run");
    let late = access(&w, &id, "logs", json!({})).await;
    w.delete(&id).await.ok();
    w.settle().await;
    assert_eq!(refusal(&server, &late).await.0, 404, "it is gone");
    server.stop().await;
}

#[actix_web::test]
async fn what_is_asked_of_a_stream_is_checked_and_its_token_is_in_no_log() {
    let w = World::new().await;
    let id = running(&w, "checked").await;
    w.act(&id, "execute", json!({})).await.refused(422, "MissingRequired");
    w.act(&id, "execute", json!({"command": []}))
        .await
        .refused(422, "MissingRequired");
    w.act(&id, "execute", json!({"command": ["a\u{0}b"]}))
        .await
        .refused(422, "InvalidCharacters");
    w.act(&id, "logs", json!({"since": "yesterday"}))
        .await
        .refused(422, "InvalidFormat");
    w.act(&id, "logs", json!({"lines": -1}))
        .await
        .refused(422, "MinLimitExceeded");
    for since in ["1480000000", "2016-11-24T15:06:40Z"] {
        access(&w, &id, "logs", json!({"since": since})).await;
    }
    let path = access(&w, &id, "execute", json!({"command": ["id"]})).await;
    let token = path.split_once('=').expect("a token").1;
    let log = w.get("auditlogs?resourceType=container&limit=100").await.ok();
    let rows = log["data"].as_array().expect("rows");
    let asked = rows.iter().filter(|row| row["eventType"] == "api.container.execute");
    assert!(asked.count() >= 1, "who ran a command is in the log");
    assert!(!log.to_string().contains(token), "what opens the stream is not");
}
