//! What a start does with its configuration, and what of it is refused.

use std::io::Read as _;
use std::process::Command;

use crate::process::{PATIENCE, Server, drover, ended, folder, set_mode, text, write_private};

/// A start with these flags more, and a file of keys.
fn configured(place: [&str; 2], keys: &str, more: &[&str]) -> Command {
    let file = std::path::Path::new(place[1]).join("keys");
    write_private(&file, keys);
    let mut command = drover(&[
        "serve",
        "--docker",
        "none",
        "--listen",
        "127.0.0.1:0",
        place[0],
        place[1],
    ]);
    command
        .args(["--bootstrap-key", &format!("@{}", text(&file))])
        .args(more);
    command
}

#[test]
fn configured_keys_end_with_their_configuration_and_weak_ones_are_refused() {
    let folder = folder();
    let place = ["--data-dir", text(folder.path())];
    let serve = |keys: &str| {
        Server::of(
            configured(place, keys, &["--access-control", "on"])
                .spawn()
                .expect("it starts"),
        )
    };
    let status = |server: &Server, name: &str| {
        let request = server
            .client
            .get(server.url("stacks"))
            .basic_auth(name, Some("secret-of-sixteen"));
        request.send().expect("an answer").status().as_u16()
    };
    let server = serve("admin=first:secret-of-sixteen\nadmin=second:secret-of-sixteen\n");
    assert_eq!((status(&server, "first"), status(&server, "second")), (200, 200));
    server.terminate();
    let server = serve("admin=second:secret-of-sixteen\n");
    assert_eq!((status(&server, "first"), status(&server, "second")), (401, 200));
    server.terminate();
    let weak = ended(&[
        "serve",
        place[0],
        place[1],
        "--bootstrap-key",
        "admin=a:fifteen-letters",
    ]);
    assert_eq!(weak.0, 78, "{}", weak.2);
    assert!(
        weak.2.contains("fewer than 16 characters") && !weak.2.contains("fifteen"),
        "{}",
        weak.2
    );
    let file = folder.path().join("keys");
    set_mode(&file, 0o604);
    let open = ended(&[
        "serve",
        place[0],
        place[1],
        "--bootstrap-key",
        &format!("@{}", text(&file)),
    ]);
    assert_eq!(open.0, 78, "{}", open.2);
    assert!(
        open.2.contains("chmod 600") && !open.2.contains("secret-of"),
        "{}",
        open.2
    );
}

#[test]
fn what_is_no_http_is_no_error_of_ours() {
    for (level, is_said) in [("info", false), ("info,actix_http=debug", true)] {
        let folder = folder();
        let mut command = drover(&["serve", "--docker", "none", "--listen", "127.0.0.1:0", "--log", level]);
        command.args(["--data-dir", text(folder.path())]);
        let mut child = command.spawn().expect("it starts");
        let mut stderr = child.stderr.take().expect("its errors");
        let server = Server::of(child);
        let mut stream = std::net::TcpStream::connect(&server.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        std::io::Write::write_all(&mut stream, b"\x16\x03\x01 no HTTP\r\n\r\n").expect("it reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an end");
        assert!(String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 400"));
        server.terminate();
        let mut told = String::new();
        stderr.read_to_string(&mut told).expect("UTF-8");
        assert_eq!(told.contains("stream error"), is_said, "{level}: {told}");
        assert!(!told.contains("ERROR"), "{level}: {told}");
    }
}
