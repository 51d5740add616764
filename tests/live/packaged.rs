//! The server as a container: the last stage of the Dockerfile, imported, since no registry can be reached.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Api, Docker, free_port, launch, real_part, wait_until};

const IMAGE: &str = "drover-test/drover:1";
const PATIENCE: Duration = Duration::from_secs(60);

/// What the last stage of the Dockerfile says of the image, in the form that `docker import` takes.
fn changes() -> Vec<String> {
    let file = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Dockerfile")).expect("a Dockerfile");
    let last = file.rsplit("\nFROM ").next().expect("stages");
    let is_change = |line: &&str| {
        ["ENV ", "VOLUME ", "EXPOSE ", "ENTRYPOINT ", "CMD "]
            .iter()
            .any(|word| line.starts_with(word))
    };
    last.lines().filter(is_change).map(str::to_owned).collect()
}

/// The program and the libraries that it needs, as the image of a distribution has them.
fn import(docker: &Docker) {
    let folder = tempfile::tempdir().expect("a folder");
    let program = env!("CARGO_BIN_EXE_drover");
    let needs = Command::new("ldd").arg(program).output().expect("ldd runs");
    let needs = String::from_utf8_lossy(&needs.stdout).into_owned();
    let libraries = needs.split_whitespace().filter(|word| word.starts_with('/'));
    let files = libraries.map(|path| (path, path)).chain([
        (program, "/usr/bin/drover"),
        (env!("CARGO_BIN_EXE_drover-netd"), "/usr/bin/drover-netd"),
        (
            "/etc/ssl/certs/ca-certificates.crt",
            "/etc/ssl/certs/ca-certificates.crt",
        ),
    ]);
    for (from, to) in files {
        let to = folder.path().join(to.trim_start_matches('/'));
        std::fs::create_dir_all(to.parent().expect("a folder")).expect("it can be made");
        std::fs::copy(from, to).expect(from);
    }
    let mut tape = Command::new("tar")
        .args(["--create", "--directory"])
        .arg(folder.path())
        .arg(".")
        .stdout(Stdio::piped())
        .spawn()
        .expect("tar runs");
    let mut importing = Command::new("docker");
    importing.args(["--host", &docker.url, "import"]);
    for change in changes() {
        importing.args(["--change", &change]);
    }
    importing.args(["-", IMAGE]).stdin(tape.stdout.take().expect("a tape"));
    let imported = importing.output().expect("docker runs");
    assert!(
        imported.status.success(),
        "{}",
        String::from_utf8_lossy(&imported.stderr)
    );
    assert!(tape.wait().expect("tar ends").success());
}

#[test]
fn the_server_works_in_a_container_and_its_services_outlive_it() {
    let Some(url) = real_part("DROVER_TEST_DOCKER") else {
        return;
    };
    let docker = Docker { url };
    import(&docker);
    let socket = docker.url.trim_start_matches("unix://").to_owned();
    let port = free_port();
    let run = |options: &[&str]| {
        let published = format!("127.0.0.1:{port}:8080");
        let mounted = format!("{socket}:/var/run/docker.sock");
        let mut all = vec![
            "run",
            "--detach",
            "--name",
            "drover",
            "--publish",
            &published,
            "--volume",
            &mounted,
            "--volume",
            "drover:/data",
        ];
        all.extend(options);
        all.push(IMAGE);
        docker.run(&all)
    };
    // Open to whoever reaches the container: it does not start without a word about that.
    run(&[]);
    let ended = docker.run(&["wait", "drover"]);
    let said = docker.output(&["logs", "drover"]);
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(ended == "78" && said.contains("--open-access"), "{ended}: {said}");
    docker.run(&["rm", "drover"]);
    run(&["--env", "DROVER_OPEN_ACCESS=1"]);

    let api = Api::at(port, "v2-beta/projects/1a5");
    let answers = |path: &str| {
        reqwest::blocking::get(format!("http://127.0.0.1:{port}{path}")).map(|answer| answer.status().as_u16())
    };
    wait_until("the server to answer", PATIENCE, || match answers("/readyz") {
        Ok(200) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    wait_until("its engine to be a host", PATIENCE, || {
        let hosts = api.get("/hosts");
        let first = hosts["data"][0].clone();
        (first["state"] == "active" && first["kind"] == "docker")
            .then_some(())
            .ok_or(hosts)
    });
    let stack = api.post("/stacks", json!({"name": "boxed"}));
    let mut config = launch("web:1");
    config["healthCheck"] = json!({"port": 80, "requestLine": "GET /health HTTP/1.0", "interval": 500, "responseTimeout": 2000, "healthyThreshold": 1, "unhealthyThreshold": 2});
    let web = api.post(
        "/services",
        json!({"name": "web", "stackId": stack["id"], "scale": 2, "startOnCreate": true, "launchConfig": config}),
    );
    let client = api.post(
        "/services",
        json!({"name": "client", "stackId": stack["id"], "startOnCreate": true, "launchConfig": launch("busybox:1")}),
    );
    let is_healthy = |row: &Value| row["state"] == "active" && row["healthState"] == "healthy";
    api.wait(&web, "to be healthy, by whoever asks from inside", is_healthy);
    api.wait_state(&client, "active");
    wait_until("a name", PATIENCE, || {
        docker.fetch("boxed-client-1", "http://web/").ok_or("no answer")
    });

    // The server's container goes, its services do not; and the next one knows them.
    docker.run(&["rm", "--force", "drover"]);
    assert!(
        docker.fetch("boxed-client-1", "http://web/").is_some(),
        "names are answered without the server"
    );
    let before = docker.containers("boxed");
    run(&["--env", "DROVER_OPEN_ACCESS=1"]);
    wait_until("the server to answer again", PATIENCE, || match answers("/readyz") {
        Ok(200) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    api.wait(&web, "to be healthy still", is_healthy);
    let after = docker.containers("boxed");
    assert_eq!(crate::support::ids(&before), crate::support::ids(&after));
    api.delete(&stack);
    wait_until("its containers to be gone", PATIENCE, || {
        match docker.containers("boxed").as_slice() {
            [] => Ok(()),
            left => Err(crate::support::names(left).join(" ")),
        }
    });
    docker.run(&["rm", "--force", "--volumes", "drover"]);
}
