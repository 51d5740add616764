//! The socket of Docker's interface: whose it is, that it asks no host name, and that one left over is no hindrance.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use crate::process::{PATIENCE, drover};

/// What a request at the socket is answered; nothing while nobody answers.
fn ask(socket: &Path, request: &str) -> Option<String> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn serve(folder: &Path, socket: &Path) -> Child {
    let (folder, socket) = (folder.display().to_string(), socket.display().to_string());
    let arguments = [
        "serve",
        "--docker",
        "none",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        &folder,
        "--docker-api-socket",
        &socket,
    ];
    drover(&arguments).spawn().expect("the program runs")
}

#[test]
fn the_socket_of_dockers_interface_is_its_owners_and_its_groups() {
    let place = tempfile::tempdir().expect("a folder");
    let (folder, socket) = (place.path().join("data"), place.path().join("docker.sock"));
    for _ in 0..2 {
        let mut server = serve(&folder, &socket);
        let begun = Instant::now();
        // Docker's command line names a host of its own invention.
        let ping = "GET /v1.41/_ping HTTP/1.1\r\nHost: api.moby.localhost\r\nConnection: close\r\n\r\n";
        let answer = loop {
            match ask(&socket, ping).filter(|answer| !answer.is_empty()) {
                Some(answer) => break answer,
                None => assert!(begun.elapsed() < PATIENCE, "nobody answers"),
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        assert!(
            answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("OK"),
            "{answer}"
        );
        let mode = std::fs::metadata(&socket).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        let services = "GET /services HTTP/1.1\r\nHost: api.moby.localhost\r\nConnection: close\r\n\r\n";
        let answer = ask(&socket, services).expect("an answer");
        assert!(answer.ends_with("[]\n"), "{answer}");
        // Nothing of Rancher's is there.
        let other = ask(&socket, &services.replace("/services", "/v2-beta/services")).expect("an answer");
        assert!(other.contains("page not found"), "{other}");
        server.kill().expect("it can be killed");
        server.wait().expect("it ends");
    }
}
