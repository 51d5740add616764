//! What containers and hosts use, over WebSockets, as Rancher's pages draw it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::sockets::{Client, Server};
use crate::support::{World, text};

/// Follows a link of statistics; where the socket is, below the server's own address.
async fn path_of(w: &World, address: &str) -> String {
    let access = w.get(address).await.expect(200, json!({"type": "statsAccess"}));
    let (url, token) = (text(&access, "url"), text(&access, "token"));
    assert_eq!(access["authToken"], access["token"], "{access}");
    let path = url.strip_prefix("ws://localhost").unwrap_or_else(|| panic!("{url}"));
    format!("{path}?token={token}")
}

async fn open(server: &Server, path: &str) -> Client {
    let opened = server.try_subscribe(path, &[]).await;
    opened.unwrap_or_else(|(status, body)| panic!("{path}: {status} {body}"))
}

async fn ids(w: &World, path: &str) -> Vec<String> {
    let rows = w.list(path).await;
    rows.iter().map(|row| text(row, "id").to_owned()).collect()
}

async fn looks(client: &mut Client) -> Vec<Value> {
    let frame = client.frame().await.expect("a frame");
    let all: Value = serde_json::from_str(&frame).unwrap_or_else(|e| panic!("{e}: {frame}"));
    all.as_array().unwrap_or_else(|| panic!("no list: {frame}")).clone()
}

/// Reads until these ids were seen, and no others.
async fn see(client: &mut Client, ids: &[String]) {
    let wanted: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
    let mut seen = BTreeSet::new();
    while seen.len() < wanted.len() {
        for look in looks(client).await {
            let id = text(&look, "id").to_owned();
            assert!(wanted.contains(id.as_str()), "{id} is none of {wanted:?}");
            seen.insert(id);
        }
    }
}

#[actix_web::test]
async fn a_container_tells_what_it_uses_until_it_is_gone() {
    let w = World::new().await;
    let made = w
        .post("containers", json!({"imageUuid": "sim:one", "name": "busy"}))
        .await
        .ok();
    let id = text(&made, "id").to_owned();
    w.wait(&id, "running").await;
    let server = Server::of(&w);
    for link in ["containerStats", "stats", "containerstats"] {
        let path = path_of(&w, &format!("containers/{id}/{link}")).await;
        assert!(path.starts_with("/v1/containerstats/?"), "{path}");
        let mut client = open(&server, &path).await;
        let all = looks(&mut client).await;
        let look = all.first().expect("one");
        assert_eq!(
            (text(look, "id"), text(look, "resourceType")),
            (id.as_str(), "container"),
            "{look}"
        );
        assert!(text(look, "timestamp").contains('.'), "parts of a second: {look}");
        for member in [
            "/cpu/usage/total",
            "/cpu/usage/user",
            "/cpu/usage/system",
            "/memory/usage",
            "/network/rx_bytes",
        ] {
            assert_eq!(look.pointer(member), Some(&json!(0)), "{member}: {look}");
        }
        for member in [
            "/cpu/usage/per_cpu_usage",
            "/network/interfaces",
            "/diskio/io_service_bytes",
        ] {
            assert!(look.pointer(member).is_some_and(Value::is_array), "{member}: {look}");
        }
        assert!(look["memory"]["limit"].as_u64().expect("a limit") > 1 << 30, "{look}");
    }

    let path = path_of(&w, &format!("containers/{id}/containerStats")).await;
    let mut client = open(&server, &path).await;
    looks(&mut client).await;
    w.delete(&id).await.ok();
    w.settle().await;
    assert_eq!(client.end().await, Some(1000), "it is gone");
    server.stop().await;
}

#[actix_web::test]
async fn whoever_comes_to_a_service_later_is_seen_too() {
    let w = World::new().await;
    let stack = w.stack("seen").await;
    let service = w.service(&stack, "web", json!({"scale": 2})).await;
    let other = w.service(&stack, "other", json!({"scale": 1})).await;
    let empty = w.get(&format!("services/{service}/containerStats")).await;
    empty.expect(200, json!({"type": "statsAccess", "url": null, "token": null}));
    for id in [&service, &other] {
        w.act(id, "activate", json!({})).await.ok();
        w.wait(id, "active").await;
    }
    let server = Server::of(&w);
    let path = path_of(&w, &format!("services/{service}/containerStats")).await;
    let mut client = open(&server, &path).await;
    see(&mut client, &ids(&w, &format!("services/{service}/instances")).await).await;
    w.put(&service, json!({"scale": 3})).await.ok();
    w.wait(&service, "active").await;
    let three = ids(&w, &format!("services/{service}/instances")).await;
    assert_eq!(three.len(), 3);
    see(&mut client, &three).await;

    // All of a host's, and the hosts themselves.
    let hosts = ids(&w, "hosts").await;
    let host = hosts.first().expect("a host").clone();
    let path = path_of(&w, &format!("hosts/{host}/containerStats")).await;
    see(&mut open(&server, &path).await, &ids(&w, "containers").await).await;
    for address in [
        format!("hosts/{host}/hostStats"),
        format!("hosts/{host}/stats"),
        "projects/1a5/hoststats".to_owned(),
    ] {
        let path = path_of(&w, &address).await;
        assert!(path.starts_with("/v1/hoststats/?"), "{path}");
        let mut client = open(&server, &path).await;
        for _ in 0..2 {
            let all = looks(&mut client).await;
            let look = all.first().expect("one");
            assert_eq!(
                (text(look, "id"), text(look, "resourceType")),
                (host.as_str(), "host"),
                "{look}"
            );
        }
    }

    // A token for one address opens no other.
    let wrong = path_of(&w, &format!("hosts/{host}/stats"))
        .await
        .replace("hoststats", "containerstats");
    let refused = server.try_subscribe(&wrong, &[]).await.err().expect("a refusal");
    assert_eq!(refused.0, 401, "{}", refused.1);
    server.stop().await;
}
