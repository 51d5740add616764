//! Images that the engine builds of an address: a tar file that is served here.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;

use serde_json::json;

use crate::support::{World, free_port};

/// A tar file with a Dockerfile, and one with another name, as an engine takes them.
fn context(folder: &std::path::Path, said: &str) -> Vec<u8> {
    let from = "FROM drover-test/busybox:1\nCOPY said /said\n";
    std::fs::write(folder.join("said"), said).unwrap();
    std::fs::write(folder.join("Dockerfile"), from).unwrap();
    std::fs::write(folder.join("Other"), format!("{from}RUN echo other >> /said\n")).unwrap();
    let tar = Command::new("tar")
        .args(["-C", folder.to_str().unwrap(), "-c", "."])
        .output();
    tar.unwrap().stdout
}

/// Serves these bytes to whoever asks, and `/none` to nobody.
fn serve(bytes: Vec<u8>) -> u16 {
    let port = free_port();
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            let read = stream.read(&mut head).unwrap_or(0);
            let is_none = head[..read].windows(5).any(|part| part == b"/none");
            let status = if is_none { "404 Not Found" } else { "200 OK" };
            let length = bytes.len();
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/x-tar\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            let _ = stream
                .write_all(head.as_bytes())
                .and_then(|()| stream.write_all(&bytes));
        }
    });
    port
}

#[test]
fn an_image_is_built_of_an_address_once_and_anew_of_another() {
    let Some(world) = World::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let port = serve(context(folder.path(), "one\n"));
    let image = format!("drover-test-built/a{port}:1");
    let files = |build: &str| {
        json!({"name": "built", "startOnCreate": true,
            "dockerCompose": format!("version: '2'\nservices:\n  web: {{image: '{image}', build: {build}, command: [sleep, '1000']}}\n")})
    };
    world.remember_stack("built");
    let stack = world
        .api
        .post("/stacks", files(&format!("'http://127.0.0.1:{port}/a.tar'")));
    let stack = world.api.wait(&stack, "healthy", |row| {
        row["state"] == "active" && row["healthState"] == "healthy"
    });
    let said = || {
        let services = world.api.get(stack["links"]["services"].as_str().unwrap());
        let instances = world
            .api
            .get(services["data"][0]["links"]["instances"].as_str().unwrap());
        let running = instances["data"]
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["state"] == "running")
            .unwrap()
            .clone();
        world
            .docker
            .run(&["exec", running["externalId"].as_str().unwrap(), "cat", "/said"])
    };
    assert_eq!(said(), "one");
    let id = || world.docker.run(&["image", "inspect", "--format", "{{.Id}}", &image]);
    let first = id();

    // The same name, built of something else.
    world.api.action(
        &stack,
        "upgrade",
        files(&format!(
            "{{context: 'http://127.0.0.1:{port}/a.tar', dockerfile: Other}}"
        )),
    );
    world.api.wait_state(&stack, "upgraded");
    assert_eq!(said(), "one\nother");
    assert_ne!(id(), first);
    world.api.action(&stack, "finishupgrade", json!({}));
    world.api.wait_state(&stack, "active");

    // What cannot be built is said in the engine's words.
    let none = json!({"name": "none", "imageUuid": format!("docker:{image}x"), "build": {"remote": format!("http://127.0.0.1:{port}/none")}});
    let made = world.api.post("/containers", none);
    world.api.wait(&made, "a reason", |row| {
        row["transitioningMessage"].as_str().unwrap_or_default().contains("404")
    });
    world.api.action(&made, "remove", json!({}));
    world.docker.run(&["image", "rm", "--force", &image]);
}
