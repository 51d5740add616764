//! A private registry: what is pulled from it, with which password, and who never gets to see one.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{PATIENCE, World, free_port, wait_until};

const USER: &str = "builder";
const PASSWORD: &str = "open sesame";
/// The password as `htpasswd -B` writes it.
const HTPASSWD: &str = "builder:$2b$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW\n";

/// Debian's `docker-registry` on a port of this machine, where the engine asks without TLS.
struct Registry {
    address: String,
    folder: TempDir,
    child: Child,
}

impl Registry {
    fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("drover-registry-").tempdir().unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let at = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(at("htpasswd"), HTPASSWD).unwrap();
        let config = json!({
            "version": 0.1,
            "storage": {"filesystem": {"rootdirectory": at("images")}},
            "http": {"addr": address},
            "auth": {"htpasswd": {"realm": "private", "path": at("htpasswd")}},
        });
        std::fs::write(at("config.yml"), config.to_string()).unwrap();
        let log = std::fs::File::create(at("log")).unwrap();
        let child = Command::new("docker-registry")
            .args(["serve", &at("config.yml")])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("docker-registry is installed (scripts/lib/needs.sh)");
        let registry = Self { address, folder, child };
        wait_until("the registry to answer", PATIENCE, || {
            TcpStream::connect(&registry.address).map_err(|_| registry.log())
        });
        registry
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Puts an image of the engine's there under this name, and takes that name from the engine again.
    fn push(&self, world: &World, image: &str, name: &str) {
        let reference = format!("{}/{name}", self.address);
        let auth = STANDARD.encode(format!("{USER}:{PASSWORD}"));
        let login = json!({"auths": {self.address.as_str(): {"auth": auth}}});
        std::fs::write(self.folder.path().join("config.json"), login.to_string()).unwrap();
        world.docker.run(&["tag", image, &reference]);
        world.docker.run(&[
            "--config",
            &self.folder.path().display().to_string(),
            "push",
            "--quiet",
            &reference,
        ]);
        world.docker.run(&["rmi", &reference]);
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What asks for a password and lets nobody in: it tells which passwords it was shown.
struct Listener {
    address: String,
    requests: Receiver<Option<String>>,
}

impl Listener {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, requests) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if sender.send(Self::refuse(stream)).is_err() {
                    return;
                }
            }
        });
        Self { address, requests }
    }

    fn refuse(mut stream: TcpStream) -> Option<String> {
        let mut shown = None;
        for line in BufReader::new(stream.try_clone().unwrap())
            .lines()
            .map_while(Result::ok)
        {
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("authorization:") {
                shown = Some(line[line.len() - value.len()..].trim().to_owned());
            }
        }
        let _ = stream.write_all(
            b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"other\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
        shown
    }

    /// All that was shown within the requests so far, after at least one.
    fn shown(&self) -> Vec<String> {
        let first = self.requests.recv_timeout(PATIENCE).expect("the engine asks");
        let more = std::iter::from_fn(|| self.requests.recv_timeout(Duration::from_secs(1)).ok());
        std::iter::once(first).chain(more).flatten().collect()
    }
}

/// Makes a registry and a credential for it.
fn credential(world: &World, address: &str, password: &str) -> Value {
    let registry = world.api.post("/registries", json!({ "serverAddress": address }));
    let registry = world.api.wait_state(&registry, "active");
    let made = world.api.post(
        "/registrycredentials",
        json!({"registryId": registry["id"], "publicValue": USER, "secretValue": password}),
    );
    world.api.wait_state(&made, "active")
}

/// An image's name for the API.
fn image(address: &str, name: &str) -> String {
    format!("docker:{address}/{name}")
}

#[test]
fn a_service_runs_from_a_private_registry_once_its_password_is_right() {
    let Some(world) = World::start() else { return };
    let registry = Registry::start();
    registry.push(&world, "drover-test/web:1", "team/web:1");
    let known = credential(&world, &registry.address, "not this one");
    let stack = world.stack("private");
    let service = world.service(
        &stack,
        "web",
        json!({"launchConfig": {"imageUuid": image(&registry.address, "team/web:1")}}),
    );
    world.api.action(&service, "activate", json!({}));
    let told = world
        .api
        .wait(&service, "the engine's words about the password", |now| {
            now["transitioningMessage"]
                .as_str()
                .is_some_and(|words| words.contains("no basic auth credentials") || words.contains("unauthorized"))
        });
    assert_eq!(told["state"], "activating", "{told:#}");
    assert_ne!(told["transitioning"], "no", "{told:#}");
    assert!(world.docker.containers("private").is_empty(), "nothing was made");

    // The password is mended: the service goes on by itself.
    let mended = world.api.put(&known, json!({ "secretValue": PASSWORD }));
    assert_eq!(mended["id"], known["id"]);
    let active = world.api.wait_state(&service, "active");
    assert_eq!(active["transitioningMessage"], Value::Null, "{active:#}");
    let running = world.wait_running("private", &["private-web-1"]);
    assert_eq!(running[0].image, format!("{}/team/web:1", registry.address));
    let rows = world
        .api
        .get(&format!("/services/{}/instances", active["id"].as_str().unwrap()));
    assert_eq!(rows["data"][0]["registryCredentialId"], known["id"], "{rows:#}");

    // Fetched before anybody needs it, with the same password.
    registry.push(&world, "drover-test/web:2", "team/web:2");
    let reference = format!("{}/team/web:2", registry.address);
    for (mode, is_there) in [("cached", false), ("all", true), ("cached", true)] {
        let task = json!({"image": reference, "mode": mode});
        let task = world.api.post("/pulltasks", task);
        let done = world.api.wait_state(&task, "active");
        let status = done["status"].as_object().expect("a status");
        assert!(
            status.len() == 1 && status.values().all(|word| word == "Done"),
            "{done:#}"
        );
        let found = world.docker.output(&["image", "inspect", &reference]);
        assert_eq!(found.status.success(), is_there, "{mode}");
    }
    world.docker.run(&["rmi", &reference]);

    // An image that names no registry comes from the default one; one of another registry is refused.
    world.set("registry.default", &registry.address);
    world.set("registry.whitelist", &registry.address);
    registry.push(&world, "drover-test/web:2", "team/web:2");
    world.active_service(
        &stack,
        "plain",
        json!({"launchConfig": {"imageUuid": "docker:team/web:2"}}),
    );
    let running = world.wait_running("private", &["private-plain-1", "private-web-1"]);
    assert_eq!(running[0].image, format!("{}/team/web:2", registry.address));
    let elsewhere = json!({"name": "no", "stackId": stack["id"],
        "launchConfig": {"imageUuid": "docker:registry.example/team/web:2"}});
    let (status, refused) = world.api.send("POST", "/services", Some(elsewhere));
    assert_eq!(
        (status, &refused["code"]),
        (422, &json!("InvalidOption")),
        "{refused:#}"
    );
    assert_eq!(refused["fieldName"], "imageUuid", "{refused:#}");
    for secret in [PASSWORD, "not this one"] {
        assert!(!world.log().contains(secret), "the log has no password");
    }
}

#[test]
fn a_password_is_sent_to_its_own_registry_only() {
    let Some(world) = World::start() else { return };
    let (own, other) = (Listener::start(), Listener::start());
    let known = credential(&world, &own.address, PASSWORD);
    let stack = world.stack("guarded");
    let config = |address: &str| json!({"imageUuid": image(address, "team/web:1")});
    let ask = |name: &str, mut launch: Value, named: bool| {
        if named {
            launch["registryCredentialId"] = known["id"].clone();
        }
        let service = world.service(&stack, name, json!({ "launchConfig": launch }));
        world.api.action(&service, "activate", json!({}));
        service
    };
    // Whoever names a credential of one registry for an image of another sends it nowhere.
    for (name, named) in [("found", false), ("named", true)] {
        let service = ask(name, config(&other.address), named);
        assert_eq!(other.shown(), Vec::<String>::new(), "{name}");
        world.api.delete(&service);
        world.api.wait(&service, "to be gone", |now| now["state"] == "removed");
        while other.requests.try_recv().is_ok() {}
    }
    ask("own", config(&own.address), false);
    let expected = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
    assert!(own.shown().contains(&expected), "its own registry gets it");
}

#[test]
fn the_command_line_of_docker_learns_the_digest_of_an_image_from_its_registry() {
    let Some(world) = World::start() else { return };
    let registry = Registry::start();
    registry.push(&world, "drover-test/web:1", "team/web:1");
    credential(&world, &registry.address, PASSWORD);
    world.remember_stack("default");
    let client = crate::docker_api::client(&world);
    let image = format!("{}/team/web:1", registry.address);
    client.run(&["service", "create", "--quiet", "--name", "pinned", &image]);
    let service = client.run(&["service", "inspect", "--format", "{{json .Spec}}", "pinned"]);
    let spec: Value = serde_json::from_str(&service).unwrap();
    let pinned = spec["TaskTemplate"]["ContainerSpec"]["Image"].as_str().unwrap();
    assert!(pinned.starts_with(&format!("{image}@sha256:")), "{pinned}");
    let running = world.wait_running("default", &["default-pinned-1"]);
    let digests = world
        .docker
        .run(&["inspect", "--format", "{{.Config.Image}}", &running[0].id]);
    assert_eq!(digests, pinned, "what runs is what the registry had");
    // The engine has it by that digest, and without a tag.
    let digest = pinned.split('@').nth(1).unwrap();
    let listed = client.run(&["images", "--digests", "--format", "{{.Repository}} {{.Digest}}"]);
    let expected = format!("{}/team/web {digest}", registry.address);
    assert!(listed.lines().any(|line| line == expected), "{listed}");
    let inspected = client.run(&["image", "inspect", "--format", "{{.Os}} {{json .Config.Cmd}}", pinned]);
    assert_eq!(inspected, "linux [\"web\"]");

    // A registry that is not there: what it is called is taken as it is, with a word about it.
    let away = format!("127.0.0.1:{}/team/web:1", free_port());
    let created = client.output(&["service", "create", "--detach", "--name", "unpinned", &away]);
    assert!(created.status.success(), "{created:?}");
    let said = String::from_utf8_lossy(&created.stderr);
    assert!(said.contains("could not be accessed on a registry"), "{said}");
    let path = format!("/distribution/{away}/json");
    let (status, refused) = world.api_at("docker").send("GET", &path, None);
    assert_eq!(status, 500, "{refused}");
    assert!(
        refused["message"].as_str().unwrap().contains("connection refused"),
        "{refused}"
    );
    client.run(&["service", "rm", "pinned", "unpinned"]);
    world.docker.run(&["rmi", "--force", pinned]);
    assert!(!world.log().contains(PASSWORD), "the log has no password");
}
