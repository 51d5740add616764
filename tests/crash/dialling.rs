//! Who may dial in, and what an agent does about a server that will not have it. The engine behind the agent is not there.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command};
use std::time::Instant;

use serde_json::{Value, json};

use crate::process::{PATIENCE, Server, drover, ended, folder, text, write_private};

const KEY: (&str, &str) = ("first", "secret-of-sixteen");

pub fn server(place: &Path) -> Server {
    let keys = place.join("keys");
    write_private(&keys, "admin=first:secret-of-sixteen\n");
    let mut command = drover(&[
        "serve",
        "--docker",
        "none",
        "--listen",
        "127.0.0.1:0",
        "--access-control",
        "on",
    ]);
    command.args([
        "--data-dir",
        text(place),
        "--bootstrap-key",
        &format!("@{}", text(&keys)),
    ]);
    Server::of(command.spawn().expect("it starts"))
}

fn ask(server: &Server, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
    let url = format!("http://{}/v2-beta/{path}", server.address);
    let method = method.parse().expect("a method");
    let mut request = server.client.request(method, url).basic_auth(KEY.0, Some(KEY.1));
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().expect("an answer");
    (answer.status().as_u16(), answer.json().unwrap_or_default())
}

/// The first of a list that fits, once there is one.
fn wait(server: &Server, path: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let (_, list) = ask(server, "GET", path, None);
        let found = list["data"].as_array().into_iter().flatten().find(|row| fits(row));
        if let Some(found) = found {
            return found.clone();
        }
        assert!(begun.elapsed() < PATIENCE, "{list:#}");
        std::thread::yield_now();
    }
}

pub fn token(server: &Server) -> Value {
    let path = "projects/1a5/registrationtokens";
    ask(server, "POST", path, Some(json!({})));
    wait(server, path, |row| row["state"] == "active")
}

/// The status, and the code if it is refused, of somebody who asks for a tunnel.
fn dial(server: &Server, login: Option<(&str, &str)>, is_handshake: bool) -> (u16, String) {
    let mut request = server
        .client
        .get(format!("http://{}/v2-beta/agenttunnel", server.address));
    if let Some((name, secret)) = login {
        request = request.basic_auth(name, Some(secret));
    }
    if is_handshake {
        let headers = [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        request = headers
            .into_iter()
            .fold(request, |request, (name, value)| request.header(name, value));
    }
    let answer = request.send().expect("an answer");
    let status = answer.status().as_u16();
    let body: Value = if status == 101 {
        json!({})
    } else {
        answer.json().unwrap_or_default()
    };
    (status, body["code"].as_str().unwrap_or_default().to_owned())
}

pub fn agent(folder: &Path, more: &[&str]) -> Command {
    let mut command = drover(&[
        "agent",
        "--docker",
        "unix:///nowhere/docker.sock",
        "--state-dir",
        text(folder),
    ]);
    command.args(more);
    command
}

/// Waits until an agent says these words.
pub fn wait_words(child: &mut Child, words: &str) {
    let mut lines = BufReader::new(child.stderr.take().expect("its words")).lines();
    let mut said = String::new();
    for line in lines.by_ref().map_while(Result::ok) {
        said += &line;
        if line.contains(words) {
            // The rest is read in the background, so that the pipe does not break.
            std::thread::spawn(move || lines.for_each(drop));
            return;
        }
    }
    panic!("{words:?} is not in {said:?}");
}

#[test]
fn only_a_registration_token_and_an_agents_key_open_a_tunnel() {
    let folder = folder();
    let server = server(folder.path());
    assert_eq!(dial(&server, None, true), (401, "Unauthorized".into()));
    assert_eq!(dial(&server, Some(KEY), true), (403, "Forbidden".into()));
    assert_eq!(dial(&server, Some(("registrationToken", "a:1:b")), true).0, 401);
    let token = token(&server);
    let login = ("registrationToken", token["token"].as_str().expect("a token"));
    assert_eq!(dial(&server, Some(login), false), (400, "InvalidHandshake".into()));
    assert_eq!(dial(&server, Some(login), true).0, 101);
    // An agent that was made by hand does not dial in.
    let by_hand = json!({"uri": "event://x", "publicValue": "hand", "secretValue": "secret-of-sixteen-letters"});
    assert_eq!(ask(&server, "POST", "agents", Some(by_hand)).0, 201);
    let made_by_hand = ("hand", "secret-of-sixteen-letters");
    assert_eq!(dial(&server, Some(made_by_hand), true), (403, "Forbidden".into()));
}

#[test]
fn an_agent_keeps_its_key_through_deaths_and_shows_it_to_no_other_server() {
    let (folder, own) = (folder(), folder());
    let server = server(folder.path());
    let token = token(&server);
    let url = token["registrationUrl"].as_str().expect("an address");
    let mut first = agent(own.path(), &["--url", url]).spawn().expect("it starts");
    wait_words(&mut first, "is open");
    let second = agent(own.path(), &[]).output().expect("it ends");
    assert_eq!(second.status.code(), Some(75), "one agent a folder");
    first.kill().expect("it can be killed");
    first.wait().expect("it ends");
    // Again without a token, and the same agent.
    let mut again = agent(own.path(), &[]).spawn().expect("it starts");
    wait_words(&mut again, "is open");
    let agents = ask(&server, "GET", "agents", None).1;
    let dialled = |row: &Value| row["uri"].as_str().unwrap_or_default().starts_with("tunnel://");
    assert_eq!(
        agents["data"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|row| dialled(row))
            .count(),
        1
    );
    again.kill().expect("it can be killed");
    again.wait().expect("it ends");
    let elsewhere = agent(own.path(), &["http://127.0.0.1:9/v1/scripts/a:1:b"])
        .output()
        .expect("it ends");
    assert_eq!(elsewhere.status.code(), Some(78));
    let said = String::from_utf8_lossy(&elsewhere.stderr).into_owned();
    assert!(said.contains("is of the server at http://127.0.0.1"), "{said}");

    // Removed at the server: its key is nobody's, and it ends.
    let row = wait(&server, "agents", dialled);
    let id = row["id"].as_str().expect("an id");
    ask(
        &server,
        "POST",
        &format!("agents/{id}?action=deactivate"),
        Some(json!({})),
    );
    wait(&server, "agents", |row| row["id"] == id && row["state"] == "inactive");
    let mut refused = agent(own.path(), &[]).spawn().expect("it starts");
    wait_words(&mut refused, "409");
    ask(&server, "DELETE", &format!("agents/{id}"), None);
    assert_eq!(refused.wait().expect("it ends").code(), Some(78));
    let nothing = ended(&["agent", "--state-dir", text(&folder.path().join("new"))]);
    assert_eq!(nothing.0, 78, "{}", nothing.2);
}
