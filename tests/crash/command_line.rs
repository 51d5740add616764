//! What the program says of what it is told: in flags, in the file of `--config`, and where it is to run.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use serde_json::json;

use crate::process::{Server, drover, ended, folder, set_mode, text, write_private};

#[test]
fn what_cannot_be_served_is_said_in_a_sentence_and_a_status() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("file"), "").expect("a file");
    std::fs::write(at("rubbish.db"), "no database".repeat(1000)).expect("a file");
    let (status, _, told) = ended(&["migrate", "--database", text(&at("future.db"))]);
    assert_eq!(status, 0, "{told}");
    let mut conn = SqliteConnection::establish(text(&at("future.db"))).expect("opens");
    conn.batch_execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('29990101000000')")
        .expect("a later migration");
    drop(conn);

    let inside = text(&at("file")).to_owned() + "/data";
    let (rubbish, future, file) = (at("rubbish.db"), at("future.db"), at("file"));
    let (fine, odd) = (text(folder.path()), at("odd.toml"));
    std::fs::write(&odd, "lisen = \"127.0.0.1:0\"").expect("a file");
    let cases: [(&[&str], i32, &str); 18] = [
        (&["--data-dir", text(&file)], 73, "--data-dir"),
        (&["--data-dir", &inside], 73, "--data-dir"),
        (&["--database", text(&future)], 76, "newer drover"),
        (&["--database", text(&rubbish)], 74, "rubbish.db"),
        (&["--database", "mysql://host/name"], 78, "mysql"),
        (
            &[
                "--data-dir",
                fine,
                "--database",
                "postgres://u:pa55@127.0.0.1:1/name?sslmode=no",
            ],
            74,
            "sslmode=no",
        ),
        (
            &["--data-dir", fine, "--database", "postgres://u:pa55@127.0.0.1:1/name"],
            74,
            "postgres://u@127.0.0.1:1/name",
        ),
        (&["--data-dir", fine, "--listen", "nowhere"], 78, "--listen"),
        (&["--data-dir", fine, "--listen", "0.0.0.0:0"], 78, "--open-access"),
        (&["--data-dir", fine, "--network-pool", "10.0.0.0"], 78, "CIDR"),
        (&["--data-dir", fine, "--schemas", "/nowhere"], 78, "/nowhere"),
        (&["--data-dir", fine, "--docker", "nonsense"], 78, "--docker"),
        (
            &["--data-dir", fine, "--docker", "http://10.0.0.2"],
            78,
            "write tcp://10.0.0.2",
        ),
        (
            &["--data-dir", fine, "--network-pool", "10.0.0.0/24"],
            78,
            "takes a /22",
        ),
        (&["--data-dir", fine, "--log", "drover=loud"], 78, "--log"),
        (
            &["--data-dir", fine, "--listen", "203.0.113.7:8080", "--open-access"],
            71,
            "No network interface",
        ),
        (&["--data-dir", fine, "--config", "/nowhere.toml"], 78, "/nowhere.toml"),
        (&["--data-dir", fine, "--config", text(&odd)], 78, "lisen"),
    ];
    for (arguments, expected, sentence) in cases {
        let mut all = vec!["serve"];
        let defaults = [["--docker", "none"], ["--listen", "127.0.0.1:0"]];
        all.extend(defaults.iter().filter(|d| !arguments.contains(&d[0])).flatten());
        all.extend(arguments);
        let (status, said, told) = ended(&all);
        assert_eq!(status, expected, "{arguments:?}: {said}{told}");
        assert!(told.contains(sentence), "{arguments:?}: {told}");
        assert!(
            !told.contains("panicked") && !told.contains("Error {") && !told.contains("pa55"),
            "{arguments:?}: {told}"
        );
    }
}

#[test]
fn a_server_goes_by_its_configuration_file_and_flags_are_stronger() {
    let folder = folder();
    let (data, file) = (folder.path().join("data"), folder.path().join("drover.toml"));
    let written = format!(
        "listen = \"127.0.0.1:0\"\ndocker = \"none\"\nlog = \"warn\"\ndata-dir = {}\n\
         bootstrap-key = [\"admin=THE:secret-of-sixteen\"]\naccess-control = \"on\"\n",
        json!(text(&data))
    );
    write_private(&file, &written);
    let (status, said, told) = ended(&["config", "check", text(&file)]);
    assert_eq!(
        (status, said.contains("6 setting(s), all fit")),
        (0, true),
        "{said}{told}"
    );
    let server = Server::of(drover(&["--config", text(&file), "serve"]).spawn().expect("it starts"));
    assert!(data.join("drover.db").exists());
    assert_eq!(
        server.status_of("/v2-beta/projects"),
        401,
        "access control is on, as the file says"
    );
    server.kill();
    let flags = ["serve", "--config", text(&file), "--access-control", "off"];
    let server = Server::of(drover(&flags).spawn().expect("it starts"));
    assert_eq!(server.status_of("/v2-beta/projects"), 200, "the flag is stronger");
    server.kill();
    let copy = folder.path().join("copy.db");
    let (status, _, told) = ended(&["backup", "--config", text(&file), text(&copy)]);
    assert_eq!((status, copy.exists()), (0, true), "{told}");
    set_mode(&file, 0o644);
    let (status, _, told) = ended(&["serve", "--config", text(&file)]);
    assert_eq!((status, told.contains("chmod 600")), (78, true), "{told}");
    let (status, _, told) = ended(&["config", "check", text(&file)]);
    assert_eq!((status, told.contains("chmod 600")), (78, true), "{told}");
    assert_eq!(ended(&["config", "check"]).0, 78, "which file?");
    // Another program that reads its variables from the same place does not stop over a file of none.
    let (status, _, told) = ended(&["migrate", "--config", "", "--data-dir", text(&data)]);
    assert_eq!(status, 0, "{told}");
}

#[test]
fn the_doctor_says_what_is_in_the_way_and_changes_nothing() {
    let folder = folder();
    let data = folder.path().join("data");
    let examine = |more: &[&str]| {
        let mut all = vec!["doctor", "--docker", "none", "--data-dir", text(&data)];
        all.extend(more);
        ended(&all)
    };
    let free = ["--listen", "127.0.0.1:0"];
    let (status, said, told) = examine(&free);
    assert_eq!(status, 0, "{said}{told}");
    for line in [
        "ok    settings",
        "ok    folder",
        "ok    server's key",
        "ok    port",
        "ok    engine",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(!data.exists(), "it only looks");

    let server = Server::start(["--data-dir", text(&data)]);
    let (status, said, told) = examine(&["--listen", server.address()]);
    assert_eq!(status, 0, "{said}{told}");
    assert!(
        said.contains("by the server that runs") && said.contains("a server runs on it"),
        "{said}"
    );
    let elsewhere = text(folder.path()).to_owned() + "/other";
    let (status, said, told) = ended(&[
        "doctor",
        "--docker",
        "none",
        "--data-dir",
        &elsewhere,
        "--listen",
        server.address(),
    ]);
    assert_eq!(status, 78, "{said}{told}");
    assert!(said.contains("WRONG port"), "{said}");
    server.kill();

    assert!(examine(&free).1.contains("the database is whole"));
    std::fs::write(data.join("drover.db"), "no database".repeat(1000)).expect("a file");
    set_mode(&data.join("secret.key"), 0o644);
    let (status, said, _) = examine(&[
        "--listen",
        "203.0.113.7:80",
        "--network-pool",
        "10.0.0.0/30",
        "--docker",
        "unix:///nowhere.sock",
    ]);
    assert_eq!(status, 78, "{said}");
    for line in [
        "WRONG settings       --network-pool",
        "WRONG server's key",
        "WRONG contents",
        "WRONG port",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let (_, said, _) = ended(&[
        "doctor",
        "--docker",
        "unix:///nowhere.sock",
        "--data-dir",
        &elsewhere,
        "--listen",
        "127.0.0.1:0",
    ]);
    assert!(
        said.contains("look  engine") && said.contains("/nowhere.sock"),
        "{said}"
    );
}

#[test]
fn shells_and_man_know_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let (status, said, told) = ended(&["completions", shell]);
        assert_eq!(status, 0, "{told}");
        assert!(said.contains("doctor") && said.contains("network-pool"), "{shell}");
    }
    let folder = folder();
    let pages = folder.path().join("man");
    let (status, _, told) = ended(&["man", text(&pages)]);
    assert_eq!(status, 0, "{told}");
    for page in ["drover.1", "drover-serve.1", "drover-doctor.1", "drover-config-check.1"] {
        let written = std::fs::read_to_string(pages.join(page)).unwrap_or_default();
        assert!(written.contains(".TH"), "{page}");
    }
}
