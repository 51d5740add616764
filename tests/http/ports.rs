//! Ports of containers by way of the server: the action `proxy` gives a token, and what is sent along with it comes to the port.

use std::time::Duration;

use actix_web::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::sockets::Server;
use crate::support::{World, text};

async fn running(w: &World, name: &str, more: Value) -> String {
    let mut body = json!({"imageUuid": "sim:one", "name": name});
    crate::support::lay_over(&mut body, more);
    let id = text(&w.post("containers", body).await.ok(), "id").to_owned();
    w.wait(&id, "running").await;
    id
}

/// Where a port is, and its token.
async fn access(w: &World, id: &str, input: Value) -> (String, String) {
    let access = w.act(id, "proxy", input).await.expect(
        200,
        json!({"type": "hostAccess", "url": "http://localhost/v1/container-proxy/"}),
    );
    ("/v1/container-proxy/".to_owned(), text(&access, "token").to_owned())
}

/// What is answered to a request as it is written: its status, its head and its body.
async fn send(server: &Server, request: &str, headers: &str, body: &str) -> (u16, String, String) {
    let length = body.len();
    let request = format!(
        "{request} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}",
        server.address
    );
    let answer = server.send(request).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer}"));
    let status = head.get(9..12).and_then(|status| status.parse().ok());
    (
        status.unwrap_or_else(|| panic!("{head}")),
        head.to_ascii_lowercase(),
        body.to_owned(),
    )
}

async fn status(server: &Server, request: &str) -> u16 {
    send(server, request, "", "").await.0
}

#[actix_web::test]
async fn a_request_with_the_token_comes_to_the_port_and_its_answer_back() {
    let w = World::new().await;
    let id = running(&w, "pages", json!({})).await;
    let server = Server::of(&w);
    let (path, token) = access(&w, &id, json!({"port": 8080, "scheme": "http"})).await;
    let ip = text(&w.show(&id).await, "primaryIpAddress").to_owned();
    let headers = "X-Mine: 1\r\nCookie: token=secret\r\nAuthorization: Basic c2VjcmV0\r\nX-API-Project-Id: 1a5\r\n\
        Referer: http://localhost/?token=secret\r\nTE: trailers\r\n";
    let (status, head, heard) = send(
        &server,
        &format!("POST {path}a%20b/c?x=1&token={token}&token=own"),
        headers,
        "what is said",
    )
    .await;
    assert_eq!(status, 203, "{head}\n{heard}");
    let (line, rest) = heard.split_once("\r\n").expect("a line");
    assert_eq!(line, "POST /a%20b/c?x=1&token=own HTTP/1.1");
    let (sent, body) = rest.split_once("\r\n\r\n").expect("a head");
    assert_eq!(body, "what is said");
    let sent = sent.to_ascii_lowercase();
    assert!(
        sent.contains(&format!("host: {ip}:8080")) && sent.contains("x-mine: 1"),
        "{sent}"
    );
    assert!(sent.contains("content-length: 12"), "{sent}");
    for kept in [
        "secret",
        "cookie",
        "authorization",
        "referer",
        "x-api",
        "trailers",
        "connection",
    ] {
        assert!(!sent.contains(kept), "{kept} in {sent}");
    }

    // Nothing that the container says changes what a browser thinks of the server.
    assert!(head.contains("x-said: by the container"), "{head}");
    for kept in ["set-cookie", "x-hop", "default-src"] {
        assert!(!head.contains(kept), "{kept} in {head}");
    }
    assert!(
        head.contains("content-security-policy: sandbox; frame-ancestors 'none'"),
        "{head}"
    );
    assert!(
        head.contains("referrer-policy: no-referrer") && head.contains("cache-control: no-store"),
        "{head}"
    );

    // As a bearer's, and without a port: 80.
    let (_, token) = access(&w, &id, json!({})).await;
    let bearer = format!("Authorization: Bearer {token}\r\n");
    let (status, _, heard) = send(&server, "GET /v1/container-proxy", &bearer, "").await;
    assert_eq!(status, 203, "{heard}");
    assert!(
        heard.starts_with("GET / HTTP/1.1\r\n") && heard.to_ascii_lowercase().contains(&format!("host: {ip}:80\r\n")),
        "{heard}"
    );
    let (status, head, heard) = send(&server, &format!("HEAD {path}?token={token}"), "", "").await;
    assert_eq!((status, heard.as_str()), (203, ""), "{head}");
    server.stop().await;
}

#[actix_web::test]
async fn a_token_is_for_one_port_of_one_container_and_for_its_time() {
    let w = World::new().await;
    let id = running(&w, "guarded", json!({})).await;
    let server = Server::of(&w);
    let (path, token) = access(&w, &id, json!({"port": 81})).await;
    let good = format!("GET {path}?token={token}");
    let logs = w.act(&id, "logs", json!({})).await.ok();
    let other = text(&logs, "token").to_owned();
    for none in [
        format!("GET {path}"),
        format!("GET {path}?token="),
        format!("GET {path}?token=a.b.c"),
        format!("GET {path}?token={token}x"),
        format!("GET {path}?token={other}"),
        format!("GET /v1/logs/?token={token}"),
    ] {
        assert_eq!(status(&server, &none).await, 401, "{none}");
    }
    assert_eq!(status(&server, &good).await, 203);
    assert_eq!(status(&server, &format!("TRACE {path}?token={token}")).await, 405);
    let long = format!(
        "POST {path}?token={token} HTTP/1.1\r\nHost: {}\r\nContent-Length: 1048577\r\n\r\n",
        server.address
    );
    let answer = server.send(long).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");

    w.clock.advance(Duration::from_secs(57_599));
    assert_eq!(status(&server, &good).await, 203);
    w.act(&id, "stop", json!({})).await.ok();
    w.settle().await;
    assert_eq!(status(&server, &good).await, 409, "it does not run");
    w.act(&id, "start", json!({})).await.ok();
    w.wait(&id, "running").await;
    assert_eq!(status(&server, &good).await, 203, "it runs again");
    w.clock.advance(Duration::from_secs(1));
    assert_eq!(status(&server, &good).await, 401, "too old");

    let (_, token) = access(&w, &id, json!({"port": 81})).await;
    w.delete(&id).await.ok();
    w.settle().await;
    assert_eq!(
        status(&server, &format!("GET {path}?token={token}")).await,
        404,
        "it is gone"
    );
    server.stop().await;
}

/// A connection on which a WebSocket was asked for, and the head of the answer.
async fn upgrade(server: &Server, target: &str, headers: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(server.address).await.expect("a server that listens");
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {}\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: token=secret\r\n{headers}\r\n",
        server.address
    );
    stream.write_all(request.as_bytes()).await.expect("it is taken");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a whole head"));
    }
    (stream, String::from_utf8(head).expect("text").to_ascii_lowercase())
}

/// Says something, and reads as much.
async fn echo(stream: &mut TcpStream, said: &[u8]) -> Vec<u8> {
    let (mut from, mut to) = stream.split();
    let mut heard = vec![0; said.len()];
    let (wrote, read) = futures_util::future::join(to.write_all(said), from.read_exact(&mut heard)).await;
    wrote.expect("it is taken");
    read.expect("an echo");
    heard
}

#[actix_web::test]
async fn a_websocket_is_the_containers_own_and_carries_whatever_is_said() {
    let w = World::new().await;
    let id = running(&w, "chat", json!({})).await;
    let server = Server::of(&w);
    let (path, token) = access(&w, &id, json!({"port": 8080})).await;
    let good = format!("{path}chat?room=1&token={token}");
    let (mut stream, head) = upgrade(&server, &good, "").await;
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(
        head.contains("upgrade: websocket\r\n") && head.contains("x-said: by the container"),
        "{head}"
    );
    for kept in ["set-cookie", "x-hop", "transfer-encoding"] {
        assert!(!head.contains(kept), "{kept} in {head}");
    }
    assert_eq!(echo(&mut stream, b"hello").await, b"hello");
    let long: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    assert!(echo(&mut stream, &long).await == long, "whatever the bytes are");
    stream.shutdown().await.expect("an end");
    assert_eq!(stream.read(&mut [0; 8]).await.expect("the container's end"), 0);

    // What the container answers instead of agreeing is an answer.
    let (_, head) = upgrade(&server, &good, "Sec-WebSocket-Protocol: none\r\n").await;
    assert!(head.starts_with("http/1.1 203 "), "{head}");
    let (_, head) = upgrade(&server, &format!("{path}?token=a.b.c"), "").await;
    assert!(head.starts_with("http/1.1 401 "), "{head}");

    // It ends with the server.
    let (mut stream, _) = upgrade(&server, &good, "").await;
    assert_eq!(echo(&mut stream, b"still here").await, b"still here");
    w.api().close_sockets();
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap_or(0), 0, "nothing more");
    server.stop().await;
}

#[actix_web::test]
async fn a_port_that_speaks_no_tls_is_refused_by_its_words() {
    let w = World::new().await;
    let id = running(&w, "plain", json!({})).await;
    let server = Server::of(&w);
    let (path, token) = access(&w, &id, json!({"port": 8443, "scheme": "https"})).await;
    let (status, _, said) = send(&server, &format!("GET {path}?token={token}"), "", "").await;
    assert_eq!(status, 409, "{said}");
    assert!(said.contains("no TLS"), "{said}");
    server.stop().await;
}

#[actix_web::test]
async fn a_token_ends_with_the_account_that_asked_for_it() {
    let w = World::new().await;
    let id = running(&w, "left", json!({})).await;
    let server = Server::of(&w);
    let (path, token) = access(&w, &id, json!({})).await;
    let good = format!("GET {path}?token={token}");
    assert_eq!(status(&server, &good).await, 203);
    let other = json!({"kind": "admin", "name": "the other"});
    let other = text(&w.post("/v2-beta/accounts", other).await.ok(), "id").to_owned();
    w.wait(&format!("/v2-beta/accounts/{other}"), "active").await;
    let account = w.list("/v2-beta/accounts?uuid=admin").await;
    let account = format!("/v2-beta/accounts/{}", text(account.first().expect("the admin"), "id"));
    w.act(&account, "deactivate", json!({})).await.ok();
    w.settle().await;
    assert_eq!(status(&server, &good).await, 401);
    server.stop().await;
}

#[actix_web::test]
async fn a_token_ends_with_the_membership_of_who_asked_for_it() {
    let w = World::new().await;
    let id = running(&w, "shared", json!({})).await;
    let user = json!({"kind": "user", "name": "guest"});
    let user = text(&w.post("/v2-beta/accounts", user).await.ok(), "id").to_owned();
    w.wait(&format!("/v2-beta/accounts/{user}"), "active").await;
    for (account, name) in [("superadmin", "key-super"), (user.as_str(), "key-guest")] {
        let made = w.engine.set_key(account, name.into(), "secret").await;
        made.expect("the account is there");
    }
    w.engine.require_proof(true).await.expect("access control goes on");
    let ask = async |name: &str, path: &str, body: Value| {
        let login = format!("Basic {}", STANDARD.encode(format!("{name}:secret")));
        w.send_with(Method::POST, path, &[("authorization", &login)], Some(body))
            .await
    };
    let belongs = async |members: &[(&str, &str)]| {
        let member =
            |(id, role): &(&str, &str)| json!({"externalId": id, "externalIdType": "rancher_id", "role": role});
        let members: Vec<Value> = members.iter().map(member).collect();
        let path = "/v2-beta/projects/1a5?action=setmembers";
        ask("key-super", path, json!({"members": members})).await.ok();
    };
    let server = Server::of(&w);
    let proxy = format!("/v2-beta/projects/1a5/containers/{id}?action=proxy");
    // Who is gone, and who may only look from now on.
    for after in [
        &[("1a1", "owner")][..],
        &[("1a1", "owner"), (user.as_str(), "readonly")],
    ] {
        belongs(&[("1a1", "owner"), (&user, "member")]).await;
        let token = ask("key-guest", &proxy, json!({})).await.ok();
        let good = format!("GET /v1/container-proxy/?token={}", text(&token, "token"));
        assert_eq!(status(&server, &good).await, 203);
        belongs(after).await;
        assert_eq!(status(&server, &good).await, 401, "{after:?}");
    }
    server.stop().await;
}

#[actix_web::test]
async fn what_is_asked_of_a_port_is_checked() {
    let w = World::new().await;
    let id = running(&w, "checked", json!({})).await;
    let refused = async |input: Value, status: u16, code: &str, field: &str| {
        let body = w.act(&id, "proxy", input).await.refused(status, code);
        assert_eq!(body["fieldName"], field, "{body}");
    };
    refused(json!({"port": 0}), 422, "MinLimitExceeded", "port").await;
    refused(json!({"port": -1}), 422, "MinLimitExceeded", "port").await;
    refused(json!({"port": 65_536}), 422, "MaxLimitExceeded", "port").await;
    refused(json!({"scheme": "gopher"}), 422, "InvalidOption", "scheme").await;
    let gopher = running(
        &w,
        "gopher",
        json!({"labels": {"io.rancher.websocket.proxy.scheme": "gopher"}}),
    )
    .await;
    let body = w.act(&gopher, "proxy", json!({})).await.refused(422, "InvalidOption");
    assert_eq!(body["fieldName"], "io.rancher.websocket.proxy.scheme", "{body}");
    w.act(&id, "stop", json!({})).await.ok();
    w.settle().await;
    w.act(&id, "proxy", json!({})).await.refused(422, "ActionNotAvailable");

    // Its labels say which port it is.
    let labelled = running(
        &w,
        "labelled",
        json!({"labels": {"io.rancher.websocket.proxy.port": "9000"}}),
    )
    .await;
    let server = Server::of(&w);
    let (path, token) = access(&w, &labelled, json!({"port": 81})).await;
    let (_, _, heard) = send(&server, &format!("GET {path}?token={token}"), "", "").await;
    assert!(heard.contains(":9000\r\n"), "{heard}");
    server.stop().await;

    // One on the host's network has no address of its own: who asks would be led to the host.
    let hosts = running(&w, "hosts", json!({"networkMode": "host"})).await;
    let body = w.act(&hosts, "proxy", json!({})).await.refused(409, "Conflict");
    assert_eq!(body["message"], "the container has no address of its own", "{body}");

    let log = w.get("auditlogs?resourceType=container&limit=100").await.ok();
    let rows = log["data"].as_array().expect("rows");
    assert!(
        rows.iter().any(|row| row["eventType"] == "api.container.proxy"),
        "who asked is in the log"
    );
    assert!(!log.to_string().contains(&token), "what opens the port is not");
}
