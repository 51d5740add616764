//! The program as a process: killed, started twice, told to stop, and refusing to start with the right status.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long anything may take. Generous, because a slow machine is no bug.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// Longer than servers keep idle connections that care little for them.
const IDLE: Duration = Duration::from_secs(6);
/// An upgrade that was interrupted goes on within this.
const PROMPT: Duration = Duration::from_secs(1);

/// The program, untouched by the environment of whoever tests.
pub fn drover(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drover"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("DROVER_") || name.starts_with("DOCKER_") || name == "RUST_LOG" {
            command.env_remove(&*name);
        }
    }
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// How a run ended that serves nothing: its status, what it said and what it complained of.
pub fn ended(arguments: &[&str]) -> (i32, String, String) {
    let mut child = drover(arguments).spawn().expect("the program runs");
    let status = wait_for(&mut child);
    let mut texts = [String::new(), String::new()];
    child
        .stdout
        .take()
        .expect("its output")
        .read_to_string(&mut texts[0])
        .expect("UTF-8");
    child
        .stderr
        .take()
        .expect("its errors")
        .read_to_string(&mut texts[1])
        .expect("UTF-8");
    let [said, told] = texts;
    match status {
        Some(status) => (status.code().expect("a status"), said, told),
        None => panic!("{arguments:?} does not end: {said}{told}"),
    }
}

/// Waits for the end; `None` if it had to be brought about.
fn wait_for(child: &mut Child) -> Option<ExitStatus> {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().expect("a child") {
            return Some(status);
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
    None
}

/// A server that runs.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: String,
    /// Asks it.
    pub client: reqwest::blocking::Client,
}

impl Server {
    /// Serves `place` (`--data-dir`, a folder; or `--database`, a file) on a port of its own.
    pub fn start(place: [&str; 2]) -> Self {
        let arguments = [
            "serve",
            "--docker",
            "none",
            "--listen",
            "127.0.0.1:0",
            "--log",
            "warn",
            place[0],
            place[1],
        ];
        Self::of(
            drover(&arguments)
                .stderr(Stdio::inherit())
                .spawn()
                .expect("the program starts"),
        )
    }

    /// Waits until a program that was started says where it listens.
    pub fn of(mut child: Child) -> Self {
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let address = lines.by_ref().find_map(|line| {
            line.ok()?
                .split_once("listening on")?
                .1
                .trim()
                .strip_prefix("http://")
                .map(str::to_owned)
        });
        // The rest is read in the background, so that the pipe neither fills nor breaks.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            address: address.expect("the program says where it listens"),
            client: reqwest::blocking::Client::new(),
        }
    }

    /// Of a path inside the project.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/v2-beta/projects/1a5/{path}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// With which status it answers a GET of any path.
    pub fn status_of(&self, path: &str) -> u16 {
        let answer = self.client.get(format!("http://{}{path}", self.address)).send();
        answer.expect("an answer").status().as_u16()
    }

    /// What a GET answers.
    pub fn get(&self, path: &str) -> Value {
        self.client
            .get(self.url(path))
            .send()
            .and_then(reqwest::blocking::Response::json)
            .expect("an answer")
    }

    /// What a POST answers that succeeds.
    pub fn post(&self, path: &str, body: &Value) -> Value {
        let response = self.client.post(self.url(path)).json(body).send().expect("an answer");
        let (status, answer): (_, Value) = (response.status(), response.json().expect("JSON"));
        assert!(status.is_success(), "{path}: {status} {answer:#}");
        answer
    }

    /// Looks until `is_it` holds.
    pub fn wait(&self, path: &str, within: Duration, is_it: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let found = self.get(path);
            if is_it(&found) {
                return found;
            }
            assert!(
                started.elapsed() < within,
                "waited {within:?} for {path}; at last: {found:#}"
            );
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// A service of so many simulated containers, active.
    pub fn active_service(&self, scale: usize) -> String {
        let stack = self.post("stacks", &json!({"name": "front"}));
        let config = json!({"imageUuid": "sim:one"});
        let body = json!({"name": "web", "stackId": stack["id"], "scale": scale, "launchConfig": config, "startOnCreate": true});
        let path = format!(
            "services/{}",
            self.post("services", &body)["id"].as_str().expect("an id")
        );
        self.wait(&path, PATIENCE, |s| {
            s["state"] == "active" && s["currentScale"] == scale
        });
        path
    }

    /// How many running containers have this image.
    pub fn running(&self, image: &str) -> usize {
        count(&self.get("containers?limit=1000"), image, "running")
    }

    /// Kills it, without a word.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// Sends it a signal: `TERM`, `STOP`.
    pub fn signal(&self, name: &str) {
        let told = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.child.id())])
            .status()
            .expect("sh runs");
        assert!(told.success());
    }

    /// Waits until it ends by itself.
    pub fn ended(mut self) -> ExitStatus {
        wait_for(&mut self.child).expect("it ends")
    }

    /// Tells it to stop, and waits until it has.
    pub fn terminate(mut self) -> ExitStatus {
        self.signal("TERM");
        wait_for(&mut self.child).expect("it stops")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn count(list: &Value, image: &str, state: &str) -> usize {
    let all = list["data"].as_array().expect("a list");
    all.iter()
        .filter(|c| c["imageUuid"] == image && c["state"] == state)
        .count()
}

pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// A file that only its owner reads.
pub fn write_private(file: &Path, text: &str) {
    std::fs::write(file, text).expect("it can be written");
    set_mode(file, 0o600);
}

pub fn set_mode(file: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).expect("a mode");
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn a_server_killed_in_an_upgrade_goes_on_within_a_second() {
    let folder = folder();
    let place = ["--data-dir", text(folder.path())];
    let server = Server::start(place);
    let path = server.active_service(20);
    let strategy = json!({"batchSize": 1, "intervalMillis": 100, "launchConfig": {"imageUuid": "sim:two"}});
    server.post(
        &format!("{path}?action=upgrade"),
        &json!({"inServiceStrategy": strategy}),
    );
    server.wait("containers?limit=1000", PATIENCE, |list| {
        count(list, "sim:two", "running") >= 5
    });
    server.kill();

    let server = Server::start(place);
    let started = Instant::now();
    let before = server.running("sim:two");
    assert!((5..20).contains(&before), "{before} of 20: not in the middle");
    server.wait(
        "containers?limit=1000",
        PROMPT.saturating_sub(started.elapsed()),
        |list| count(list, "sim:two", "running") > before,
    );
    server.wait(&path, PATIENCE, |s| s["state"] == "upgraded");
    let list = server.get("containers?limit=1000");
    assert_eq!(
        (count(&list, "sim:two", "running"), count(&list, "sim:one", "stopped")),
        (20, 20)
    );
    assert_eq!(list["data"].as_array().map(Vec::len), Some(40), "none too many");

    server.post(&format!("{path}?action=rollback"), &json!({}));
    server.wait(&path, PATIENCE, |s| s["state"] == "active");
    assert_eq!(server.running("sim:one"), 20);
    assert_eq!(server.running("sim:two"), 0);
}

#[test]
fn a_folder_has_one_server_and_a_port_too() {
    let folder = folder();
    let place = ["--data-dir", text(folder.path())];
    let server = Server::start(place);
    let (status, _, told) = ended(&[
        "serve",
        "--docker",
        "none",
        "--listen",
        "127.0.0.1:0",
        place[0],
        place[1],
    ]);
    assert_eq!(status, 75, "{told}");
    assert!(
        told.contains("another drover uses") && told.contains("--data-dir"),
        "{told}"
    );
    let (status, _, told) = ended(&["migrate", place[0], place[1]]);
    assert_eq!(status, 75, "{told}");

    let other = self::folder();
    let (status, _, told) = ended(&[
        "serve",
        "--docker",
        "none",
        "--listen",
        &server.address,
        "--data-dir",
        text(other.path()),
    ]);
    assert_eq!(status, 71, "{told}");
    assert!(told.contains(&server.address) && told.contains("--listen"), "{told}");
    assert_eq!(server.get("services")["type"], "collection", "the first one serves on");
}

/// A server that ends by itself: its status, and what it complained of.
fn ends_by_itself(mut server: Server, mut stderr: std::process::ChildStderr) -> (Option<i32>, String) {
    let status = wait_for(&mut server.child).and_then(|status| status.code());
    let mut told = String::new();
    stderr.read_to_string(&mut told).expect("UTF-8");
    (status, told)
}

#[test]
fn a_database_that_goes_away_under_a_server_stops_it() {
    let is_gone = |file: &Path| std::fs::remove_file(file).expect("it can be removed");
    let is_another = |file: &Path| {
        std::fs::rename(file, file.with_extension("old")).expect("it can be renamed");
        std::fs::write(file, "").expect("it can be written");
    };
    let is_older = |file: &Path| {
        let bytes = std::fs::read(file.with_extension("copy")).expect("a copy");
        let mut same = std::fs::OpenOptions::new()
            .write(true)
            .open(file)
            .expect("the same file");
        std::io::Write::write_all(&mut same, &bytes).expect("it can be written");
    };
    type Taking<'t> = (&'t str, &'t dyn Fn(&Path));
    let ways: [Taking<'_>; 3] = [
        ("removed", &is_gone),
        ("replaced", &is_another),
        ("restored", &is_older),
    ];
    for (what, take_away) in ways {
        let folder = folder();
        let place = ["--data-dir", text(folder.path())];
        let file = folder.path().join("drover.db");
        Server::start(place).terminate();
        std::fs::copy(&file, file.with_extension("copy")).expect("it can be copied");
        let mut child = drover(&[
            "serve",
            "--docker",
            "none",
            "--listen",
            "127.0.0.1:0",
            place[0],
            place[1],
        ])
        .spawn()
        .expect("the program starts");
        let stderr = child.stderr.take().expect("its errors");
        let server = Server::of(child);
        server.active_service(2);
        take_away(&file);
        let (status, told) = ends_by_itself(server, stderr);
        assert_eq!(status, Some(74), "{what}: {told}");
        assert!(told.contains("removed or replaced"), "{what}: {told}");
    }
}

/// What `/readyz?verbose` says.
fn verbose(server: &Server) -> String {
    let url = format!("http://{}/readyz?verbose", server.address);
    let answer = server.client.get(url).send().and_then(|answer| answer.text());
    answer.expect("an answer")
}

/// Looks until what `/readyz?verbose` says has this in it.
fn wait_verbose(server: &Server, wanted: &str) -> String {
    let started = Instant::now();
    loop {
        let text = verbose(server);
        if text.contains(wanted) {
            return text;
        }
        assert!(started.elapsed() < PATIENCE, "{wanted}: {text}");
        std::thread::sleep(LOOK_AGAIN);
    }
}

#[test]
fn an_engine_that_is_away_at_the_start_is_told_of_and_waited_for() {
    let folder = folder();
    let socket = folder.path().join("absent.sock");
    let url = format!("unix://{}", text(&socket));
    let place = ["--data-dir", text(folder.path())];
    let mut child = drover(&["serve", "--docker", &url, "--listen", "127.0.0.1:0", place[0], place[1]])
        .spawn()
        .expect("the program starts");
    let mut stderr = child.stderr.take().expect("its errors");
    let server = Server::of(child);
    let text = wait_verbose(&server, "[-] engine of host");
    assert!(text.contains("last error:") && text.contains("absent.sock"), "{text}");
    assert!(text.contains("[+] database") && text.ends_with("ready\n"), "{text}");
    let host = &server.get("hosts")["data"][0];
    assert_eq!(
        (&host["state"], &host["kind"]),
        (&json!("disconnected"), &json!("docker")),
        "{host:#}"
    );
    assert_eq!(
        server.get("hosts")["data"].as_array().map(Vec::len),
        Some(1),
        "it is no simulator"
    );

    let body = json!({"imageUuid": "docker:drover-test/web:1"});
    let id = server.post("containers", &body)["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    server.wait(&format!("containers/{id}"), PATIENCE, |row| {
        row["transitioningMessage"]
            .as_str()
            .is_some_and(|m| m.starts_with("Waiting for the host"))
    });
    drop(server);
    let mut told = String::new();
    stderr.read_to_string(&mut told).expect("UTF-8");
    assert!(told.contains("absent.sock"), "{told}");
}

#[test]
fn a_socket_that_may_not_be_opened_says_what_to_do() {
    let folder = folder();
    let socket = folder.path().join("forbidden.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    let nobody = std::os::unix::fs::PermissionsExt::from_mode(0o000);
    std::fs::set_permissions(&socket, nobody).expect("its owner may");
    let url = format!("unix://{}", text(&socket));
    let data = folder.path().join("data");
    let arguments = [
        "serve",
        "--docker",
        &url,
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        text(&data),
    ];
    let program = drover(&arguments);
    // Root may open everything, unless it is told that it may not.
    let mut command = Command::new("setpriv");
    command
        .args(["--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all", "--"])
        .arg(program.get_program())
        .args(program.get_args())
        .envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    for (name, _) in program.get_envs().filter(|(_, value)| value.is_none()) {
        command.env_remove(name);
    }
    let server = Server::of(command.spawn().expect("setpriv runs"));
    let text = wait_verbose(&server, "[-] engine of host");
    assert!(
        text.contains("permission denied") && text.contains("group docker"),
        "{text}"
    );
    assert_eq!(
        server.get("hosts")["data"].as_array().map(Vec::len),
        Some(1),
        "it is no simulator"
    );
}

#[test]
fn a_server_that_is_told_to_stop_ends_well_and_gives_the_folder_free() {
    let folder = folder();
    let place = ["--data-dir", text(folder.path())];
    let server = Server::start(place);
    let path = server.active_service(2);
    assert_eq!(server.terminate().code(), Some(0));
    assert!(
        !folder.path().join("drover.db-wal").exists(),
        "the log is folded into the file"
    );
    let server = Server::start(place);
    assert_eq!(server.get(&path)["state"], "active");
    assert_eq!(server.running("sim:one"), 2);
}

#[test]
fn an_idle_connection_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().to_string_lossy();
    let server = Server::start(["--data-dir", &data]);
    let mut connection = TcpStream::connect(&server.address).expect("a connection");
    connection.set_read_timeout(Some(IDLE)).expect("a limit");
    let request = format!("GET /ping HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
    let mut answer = [0; 4096];
    for _ in 0..2 {
        connection.write_all(request.as_bytes()).expect("it is taken");
        let read = connection.read(&mut answer).expect("an answer");
        assert!(
            answer[..read].starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&answer[..read])
        );
        // Its end would be read as nothing.
        let nothing = connection
            .read(&mut answer)
            .expect_err("nothing comes, not even the end");
        assert!(
            matches!(nothing.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
            "{nothing}"
        );
    }
}

#[test]
fn whoever_is_turned_away_is_told_where_it_seems_to_come_from() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().to_string_lossy();
    let server = Server::start(["--data-dir", &data]);
    let asked = server.client.get(format!("http://{}/v2-beta/projects", server.address));
    let asked = asked.header("Authorization", "Basic Tm9uZTpOb25l");
    let answer = asked
        .header("X-Enforce-Authentication", "true")
        .send()
        .expect("an answer");
    assert_eq!(answer.status(), 401);
    let told = answer.headers().get("X-API-Client-IP").expect("the header");
    assert_eq!(told, "127.0.0.1");
}

#[test]
fn a_backup_of_a_serving_server_can_be_served() {
    let folder = folder();
    let place = ["--data-dir", text(folder.path())];
    let server = Server::start(place);
    let path = server.active_service(2);
    let copy = folder.path().join("copy.db");
    let (status, said, told) = ended(&["backup", place[0], place[1], text(&copy)]);
    assert_eq!(status, 0, "{told}");
    assert!(said.contains("copy.db"), "{said}");
    let (status, _, told) = ended(&["backup", place[0], place[1], text(&copy)]);
    assert_eq!(status, 78, "it overwrites nothing: {told}");
    server.post(&format!("{path}?action=deactivate"), &json!({}));

    let restored = Server::start(["--database", text(&copy)]);
    assert_eq!(restored.get(&path)["state"], "active", "as it was then");
    assert_eq!(restored.running("sim:one"), 2);
}

/// The rights of others on a file.
fn others(path: &Path) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&path.metadata().expect("a file").permissions()) & 0o077
}

#[test]
fn only_the_owner_reads_the_files_of_a_server() {
    let folder = folder();
    let data = folder.path().join("data");
    let place = ["--data-dir", text(&data)];
    let files = [
        "drover.db",
        "drover.db-wal",
        "drover.db-shm",
        "secret.key",
        "drover.marks",
    ];
    let server = Server::start(place);
    for file in files {
        assert_eq!(others(&data.join(file)), 0, "{file}");
    }
    assert_eq!(others(&data), 0);
    server.terminate();
    let migrated = folder.path().join("migrated.db");
    assert_eq!(ended(&["migrate", "--database", text(&migrated)]).0, 0);
    assert_eq!(others(&migrated), 0, "whoever makes it");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(data.join("drover.db"), open).expect("it is ours");
    let server = Server::start(place);
    assert_eq!(others(&data.join("drover.db")), 0, "mended");
    let copy = folder.path().join("copy.db");
    let (status, said, told) = ended(&["backup", place[0], place[1], text(&copy)]);
    assert_eq!(status, 0, "{told}");
    assert!(said.contains("copy.db.key"), "{said}");
    for file in ["copy.db", "copy.db.key"] {
        assert_eq!(others(&folder.path().join(file)), 0, "{file}");
    }
    server.terminate();
}

#[test]
fn a_backup_is_restored_on_another_machine_with_its_key_or_not_at_all() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let (old, new, copy) = (at("old"), at("new"), at("copy.db"));
    let server = Server::start(["--data-dir", text(&old)]);
    let path = server.active_service(2);
    let backup = ["backup", "--data-dir", text(&old), text(&copy)];
    assert_eq!(ended(&backup).0, 0);
    server.terminate();
    let restore = |from: &Path| ended(&["restore", "--data-dir", text(&new), text(from)]);
    // Damaged, or without its key: nothing is put anywhere.
    let (damaged, keyless) = (at("damaged.db"), at("keyless.db"));
    let mut bytes = std::fs::read(&copy).expect("the copy");
    std::fs::write(&keyless, &bytes).expect("a file");
    std::fs::write(at("keyless.db.key"), "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=").expect("a file");
    let half = bytes.len() / 2;
    bytes[half..half + 8192].fill(7);
    std::fs::write(&damaged, &bytes).expect("a file");
    for (from, expected, sentence) in [
        (&damaged, 74, "damaged.db|restoring"),
        (&keyless, 78, "another key"),
        (&at("nothing.db"), 78, "there is no copy"),
    ] {
        let (status, _, told) = restore(from);
        assert_eq!(status, expected, "{told}");
        assert!(sentence.split('|').any(|part| told.contains(part)), "{told}");
        let left: Vec<_> = std::fs::read_dir(&new).expect("a folder").collect();
        assert!(left.len() <= 1, "the lock alone: {left:?}");
    }
    let (status, said, told) = restore(&copy);
    assert_eq!(status, 0, "{told}");
    assert!(said.contains("restored"), "{said}");
    assert_eq!(restore(&copy).0, 78, "it overwrites nothing");
    let restored = Server::start(["--data-dir", text(&new)]);
    assert_eq!(restored.get(&path)["state"], "active");
    assert_eq!(restored.running("sim:one"), 2);
}

#[test]
fn the_servers_key_belongs_to_its_database_and_a_lost_admin_gets_a_new_key() {
    let folder = folder();
    let place = text(folder.path()).to_owned();
    let keys = folder.path().join("keys");
    write_private(
        &keys,
        "admin=FIRST:the-first-secret-of-two\n1a5=OTHER:the-other-secret-of-two\n",
    );
    let at_file = format!("@{}", text(&keys));
    let start = || {
        let arguments = [
            "serve",
            "--docker",
            "none",
            "--listen",
            "0.0.0.0:0",
            "--log",
            "warn",
            "--data-dir",
            &place,
            "--access-control",
            "on",
        ];
        let mut command = drover(&arguments);
        command.env("DROVER_BOOTSTRAP_KEYS", &at_file).stderr(Stdio::inherit());
        Server::of(command.spawn().expect("the program starts"))
    };
    let status = |server: &Server, key: (&str, &str)| {
        let port = server.address.rsplit(':').next().expect("a port").to_owned();
        let url = format!("http://127.0.0.1:{port}/v2-beta/projects");
        server
            .client
            .get(url)
            .basic_auth(key.0, Some(key.1))
            .send()
            .expect("an answer")
            .status()
            .as_u16()
    };
    // Twice: what is there already is no trouble.
    for _ in 0..2 {
        let mut server = start();
        assert_eq!(
            (
                status(&server, ("FIRST", "the-first-secret-of-two")),
                status(&server, ("OTHER", "the-other-secret-of-two"))
            ),
            (200, 200)
        );
        assert_eq!(status(&server, ("FIRST", "the-other-secret-of-two")), 401);
        server.child.kill().expect("it can be killed");
        server.child.wait().expect("it ends");
    }
    let (code, said, told) = ended(&["reset-admin", "--data-dir", &place]);
    assert_eq!(code, 0, "{told}");
    let value = |name: &str| {
        said.lines()
            .find_map(|l| l.trim().strip_prefix(name))
            .expect("it is printed")
            .trim()
            .to_owned()
    };
    let server = start();
    assert_eq!(status(&server, (&value("access key"), &value("secret key"))), 200);
    drop(server);
    std::fs::remove_file(folder.path().join("secret.key")).expect("the key was there");
    let (code, _, told) = ended(&[
        "serve",
        "--docker",
        "none",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        &place,
    ]);
    assert_eq!(code, 78, "{told}");
    assert!(
        told.contains("secret.key") && !folder.path().join("secret.key").exists(),
        "{told}"
    );
}

#[test]
fn a_server_may_open_as_many_files_as_it_is_allowed_to() {
    let folder = folder();
    let whole = drover(&[
        "serve",
        "--docker",
        "none",
        "--listen",
        "127.0.0.1:0",
        "--log",
        "warn",
        "--data-dir",
        text(folder.path()),
    ]);
    // As a shell gives it: few at first, and a limit that the program may raise them to.
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -Sn 256 && exec \"$0\" \"$@\""])
        .arg(whole.get_program())
        .args(whole.get_args());
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    let server = Server::of(command.spawn().expect("the program starts"));
    server.get("services");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.child.id())).expect("the kernel says");
    let files = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .expect("a line");
    let files: Vec<&str> = files.split_whitespace().collect();
    assert!(files[0] == files[1] && files[0] != "256", "{files:?}");
}
