//! What the live tests stand on: the server as a process, the API as a client sees it, the engine by its command line.

use std::cell::RefCell;
use std::fmt::Debug;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything may take that should take a few seconds at most. Generous, because a slow machine is no bug.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks. Short, so that the pauses do not add up over the whole run.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The value of an environment variable that names a real part, or `None` after printing that the test is skipped.
///
/// # Panics
/// If the part is missing and `DROVER_TEST_LIVE=1` says that it must not be.
pub fn real_part(variable: &str) -> Option<String> {
    let value = std::env::var(variable).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        let required = std::env::var("DROVER_TEST_LIVE").is_ok_and(|live| live == "1");
        assert!(
            !required,
            "DROVER_TEST_LIVE=1 asks for the live tests, but {variable} is not set"
        );
        // Not `eprintln!`, whose text the harness keeps to itself when a test passes.
        let name = std::thread::current().name().unwrap_or("a live test").to_owned();
        let _ = writeln!(
            std::io::stderr(),
            "skipped {name}: {variable} is not set (see scripts/lib/live-env)"
        );
    }
    value
}

/// Runs a script beside the tests in Python, with the clients that `scripts/test` installs; gives back what it said.
///
/// # Panics
/// If it fails, with what it said; or if Python is missing and must not be.
pub fn run_script(script: &str, arguments: &[&str]) -> String {
    let Some(python) = real_part("DROVER_TEST_PYTHON") else {
        return String::new();
    };
    // A proxy of the machine's environment is not for the local server, nor for the browser's driver.
    let output = Command::new(python)
        .arg(beside(script))
        .args(arguments)
        .env("NO_PROXY", "*")
        .output()
        .unwrap();
    let (said, complained) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "{script} {arguments:?} failed: {}\n{said}\n{complained}",
        output.status
    );
    said.into_owned()
}

/// Looks again and again until `look` finds something.
///
/// # Panics
/// After `patience`, with what `look` said last.
pub fn wait_until<T, E: Debug>(what: &str, patience: Duration, mut look: impl FnMut() -> Result<T, E>) -> T {
    let started = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(last) if started.elapsed() > patience => panic!("waited {patience:?} for {what}; at last: {last:#?}"),
            Err(_) => std::thread::sleep(LOOK_AGAIN),
        }
    }
}

/// One test's world: a server of its own on an engine shared with the other tests.
pub struct World {
    /// The engine.
    pub docker: Docker,
    /// By which address the server finds it.
    address: String,
    /// The current API, inside the default project.
    pub api: Api,
    server: Server,
    stacks: RefCell<Vec<String>>,
}

impl World {
    /// Starts a server on an empty data directory; `None` if there is no engine to test with.
    pub fn start() -> Option<Self> {
        let world = Self::begin(None, &[])?;
        world.wait_host();
        Some(world)
    }

    /// The same with further flags, or with another address by which the engine is to be found; its host may not be there yet.
    pub fn begin(address: Option<&str>, flags: &[&str]) -> Option<Self> {
        let docker = Docker {
            url: real_part("DROVER_TEST_DOCKER")?,
        };
        let address = address.unwrap_or(&docker.url).to_owned();
        let server = Server::start_with(&address, flags);
        Some(Self::of(docker, address, server))
    }

    /// With a server that was started already.
    pub fn of(docker: Docker, address: String, server: Server) -> Self {
        let api = server.api("v2-beta/projects/1a5");
        Self {
            docker,
            address,
            api,
            server,
            stacks: RefCell::default(),
        }
    }

    /// The server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// What the server has logged so far, and said at its start.
    pub fn log(&self) -> String {
        self.server.log()
    }

    /// Waits until the engine is a host that takes containers.
    pub fn wait_host(&self) -> Value {
        // The engine becomes a host by itself; containers started before that would only wait.
        wait_until("the engine to be an active host", PATIENCE, || {
            let hosts = self.api.get("/hosts");
            let is_active = |host: &&Value| host["state"] == "active" && host["kind"] == "docker";
            let all = hosts["data"].as_array();
            let active = all.and_then(|hosts| hosts.iter().find(is_active)).cloned();
            active.ok_or(hosts)
        })
    }

    /// The API below another path, such as `v1/projects/1a5`.
    pub fn api_at(&self, path: &str) -> Api {
        self.server.api(path)
    }

    /// The URL of the server with a path below it.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.server.port)
    }

    /// Kills the server as a power cut would.
    pub fn kill_server(&mut self) {
        self.server.kill();
    }

    /// Stops the server as an operator would, and waits for its end.
    pub fn stop_server(&mut self) {
        self.server.stop();
    }

    /// Starts the server again on the same data directory and address.
    pub fn restart_server(&mut self) {
        self.server.launch(&self.address);
    }

    /// The same with other flags.
    pub fn restart_server_with(&mut self, flags: &[&str]) {
        self.server.set_flags(flags);
        self.restart_server();
    }

    /// From the next start on another program is the server.
    pub fn use_program(&mut self, program: &Path) {
        self.server.program = program.to_owned();
    }

    /// Sets a setting.
    pub fn set(&self, name: &str, value: &str) {
        let setting = self.api_at("v2-beta");
        let (status, answer) = setting.send("PUT", &format!("/settings/{name}"), Some(json!({ "value": value })));
        assert_eq!(status, 200, "{answer:#}");
    }

    /// Creates a stack, waits until it is active, and remembers it for the cleaning up.
    pub fn stack(&self, name: &str) -> Value {
        self.remember_stack(name);
        let stack = self.api.post("/stacks", json!({ "name": name }));
        self.api.wait_state(&stack, "active")
    }

    /// Marks the containers of this stack to be removed when the test ends.
    pub fn remember_stack(&self, name: &str) {
        self.stacks.borrow_mut().push(name.to_owned());
    }

    /// Creates a service, which ends `inactive`. `more` are further fields of the body.
    pub fn service(&self, stack: &Value, name: &str, more: Value) -> Value {
        let mut body = json!({ "name": name, "stackId": stack["id"] });
        merge(&mut body, more);
        let service = self.api.post("/services", body);
        assert_eq!(service["state"], "registering", "{service:#}");
        assert_eq!(service["transitioning"], "yes", "{service:#}");
        self.api.wait_state(&service, "inactive")
    }

    /// Creates a service and activates it.
    pub fn active_service(&self, stack: &Value, name: &str, more: Value) -> Value {
        let service = self.service(stack, name, more);
        self.activate(&service)
    }

    /// Activates a service and waits until it is active.
    pub fn activate(&self, service: &Value) -> Value {
        let answer = self.api.action(service, "activate", json!({}));
        assert_eq!(answer["state"], "activating", "{answer:#}");
        self.api.wait_state(service, "active")
    }

    /// Waits until exactly these containers of a stack run, by the names of the API's `<stack>-<service>-<n>` form.
    pub fn wait_running(&self, stack: &str, names: &[&str]) -> Vec<Container> {
        wait_until(&format!("{names:?} to run"), PATIENCE, || {
            let running: Vec<Container> = self
                .docker
                .containers(stack)
                .into_iter()
                .filter(|c| c.running)
                .collect();
            let mut found: Vec<&str> = running.iter().map(|c| c.name.as_str()).collect();
            found.sort_unstable();
            if found == names {
                Ok(running)
            } else {
                Err(self.docker.containers(stack))
            }
        })
    }

    /// Waits until the engine has no container of a stack left, not even a stopped one.
    pub fn wait_gone(&self, stack: &str) {
        wait_until(&format!("the containers of {stack} to be gone"), PATIENCE, || {
            let left = self.docker.containers(stack);
            if left.is_empty() { Ok(()) } else { Err(left) }
        });
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.server.kill();
        for stack in self.stacks.borrow().iter() {
            self.docker
                .remove_containers(&format!("label=io.rancher.stack.name={stack}"));
        }
        // A test that failed leaves nothing to those after it.
        for label in ["label=io.drover.names", "label=io.drover.secrets"] {
            self.docker.remove_containers(label);
        }
        self.docker.remove_secrets();
        self.docker.remove_networks();
        if std::thread::panicking() {
            self.server.print_log();
        }
    }
}

/// Adds the fields of one JSON object to another.
pub fn merge(into: &mut Value, more: Value) {
    let (Value::Object(into), Value::Object(more)) = (into, more) else {
        panic!("both are objects")
    };
    into.extend(more);
}

/// The built program, as a process with a data folder of its own.
pub struct Server {
    data: TempDir,
    program: std::path::PathBuf,
    flags: Vec<String>,
    env: Vec<(&'static str, String)>,
    port: u16,
    child: Option<Child>,
}

impl Server {
    /// Starts it and waits until it is ready.
    pub fn start(docker: &str) -> Self {
        Self::start_with(docker, &[])
    }

    /// The same with further flags.
    pub fn start_with(docker: &str, flags: &[&str]) -> Self {
        Self::start_in(docker, flags, &[])
    }

    /// The same with variables of the environment.
    pub fn start_in(docker: &str, flags: &[&str], env: &[(&'static str, String)]) -> Self {
        let data = tempfile::Builder::new().prefix("drover-live-").tempdir().unwrap();
        // The system chooses; that nobody else takes the port in between is likely enough.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let flags = flags.iter().map(|&flag| flag.to_owned()).collect();
        let mut server = Self {
            data,
            program: env!("CARGO_BIN_EXE_drover").into(),
            flags,
            env: env.to_vec(),
            port,
            child: None,
        };
        server.launch(docker);
        server
    }

    /// Stops it as an operator would, and starts it again on the same data.
    pub fn restart(&mut self, docker: &str) {
        self.stop();
        self.launch(docker);
    }

    /// The same, and meanwhile something is done to its database.
    pub fn restart_after(&mut self, docker: &str, change: impl FnOnce(&Path)) {
        self.stop();
        change(&self.data.path().join("data/drover.db"));
        self.launch(docker);
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Starts it again on the same data and the same port.
    pub fn launch(&mut self, docker: &str) {
        assert!(self.child.is_none(), "the server runs already");
        let data = self.data.path().join("data");
        std::fs::create_dir_all(&data).unwrap();
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path())
            .unwrap();
        let child = Command::new(&self.program)
            .arg("serve")
            .args(["--listen", &format!("127.0.0.1:{}", self.port)])
            .arg("--data-dir")
            .arg(data)
            .args(["--docker", docker])
            .args(&self.flags)
            .envs(self.env.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let ready = self.api("readyz");
        wait_until("the server to be ready", PATIENCE, || {
            if let Some(status) = self.child.as_mut().unwrap().try_wait().unwrap() {
                self.print_log();
                panic!("the server ended by itself: {status}");
            }
            match ready.client.get(&ready.base).send() {
                Ok(answer) if answer.status().is_success() => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
    }

    /// Sends it a signal: `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        let pid = self.child.as_ref().expect("the server runs").id();
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &pid.to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Kills it as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Where its data is.
    pub fn data(&self) -> std::path::PathBuf {
        self.data.path().join("data")
    }

    /// From the next start on it has these flags.
    pub fn set_flags(&mut self, flags: &[&str]) {
        self.flags = flags.iter().map(|&flag| flag.to_owned()).collect();
    }

    /// Stops it as an operator would, and waits for its end.
    pub fn stop(&mut self) {
        let mut child = self.child.take().expect("the server runs");
        let asked = Command::new("kill")
            .args(["-TERM", &child.id().to_string()])
            .status()
            .unwrap();
        assert!(asked.success());
        let status = wait_until("the server to stop on SIGTERM", PATIENCE, || {
            child.try_wait().unwrap().ok_or("it still runs")
        });
        assert!(status.success(), "a stop on SIGTERM is no failure: {status}");
    }

    /// Where it listens, with this path.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Requests to paths behind this one.
    pub fn api(&self, path: &str) -> Api {
        Api::at(self.port, path)
    }

    fn log_path(&self) -> std::path::PathBuf {
        self.data.path().join("log")
    }

    fn print_log(&self) {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(60)..];
        eprintln!("---- the server's last words ----\n{}\n----", last.join("\n"));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Not every test that starts one has a world that ends it.
        self.kill();
    }
}

/// The API as a client sees it. Paths begin with a slash and are below the base; a URL from an answer works as well.
pub struct Api {
    base: String,
    client: reqwest::blocking::Client,
}

impl Api {
    /// What a server on this machine answers behind a path.
    pub fn at(port: u16, path: &str) -> Self {
        // A proxy of the machine's environment has no business between the test and its own server.
        let client = reqwest::blocking::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(30))
            .build()
            .unwrap();
        Self {
            base: format!("http://127.0.0.1:{port}/{path}"),
            client,
        }
    }

    /// Reads.
    pub fn get(&self, path: &str) -> Value {
        self.expect("GET", path, None, &[200])
    }

    /// Creates.
    pub fn post(&self, path: &str, body: Value) -> Value {
        self.expect("POST", path, Some(body), &[201])
    }

    /// Updates a resource.
    pub fn put(&self, resource: &Value, body: Value) -> Value {
        self.expect("PUT", link(resource), Some(body), &[200])
    }

    /// Deletes a resource.
    pub fn delete(&self, resource: &Value) -> Value {
        self.expect("DELETE", link(resource), None, &[200])
    }

    /// Calls an action that the resource offers now.
    pub fn action(&self, resource: &Value, action: &str, body: Value) -> Value {
        let now = self.reload(resource);
        let url = now["actions"][action]
            .as_str()
            .unwrap_or_else(|| panic!("{action} is not offered by {now:#}"));
        self.expect("POST", url, Some(body), &[200, 202])
    }

    /// Reads a resource again.
    pub fn reload(&self, resource: &Value) -> Value {
        self.get(link(resource))
    }

    /// Waits until a resource is in a state and done with it.
    pub fn wait_state(&self, resource: &Value, state: &str) -> Value {
        let what = format!("{} {} to be {state}", resource["type"], resource["name"]);
        self.wait(resource, &what, |now| {
            now["state"] == state && now["transitioning"] == "no"
        })
    }

    /// Waits until a resource is as it should be.
    pub fn wait(&self, resource: &Value, what: &str, is_right: impl Fn(&Value) -> bool) -> Value {
        wait_until(what, PATIENCE, || {
            let now = self.reload(resource);
            if is_right(&now) { Ok(now) } else { Err(now) }
        })
    }

    /// Sends a request and returns status and body, whatever they are.
    pub fn send(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}{path}", self.base)
        };
        let mut request = self.client.request(method.parse().unwrap(), &url);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().unwrap_or_else(|error| panic!("{method} {url}: {error}"));
        let status = answer.status().as_u16();
        let text = answer.text().unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        (status, body)
    }

    fn expect(&self, method: &str, path: &str, body: Option<Value>, statuses: &[u16]) -> Value {
        let (status, answer) = self.send(method, path, body.clone());
        assert!(
            statuses.contains(&status),
            "{method} {path} {body:?}: {status} {answer:#}"
        );
        answer
    }
}

fn link(resource: &Value) -> &str {
    resource["links"]["self"]
        .as_str()
        .unwrap_or_else(|| panic!("no self link in {resource:#}"))
}

/// The engine, asked by its own command line: a second opinion about what the server says.
pub struct Docker {
    pub url: String,
}

/// A container as the engine has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Container {
    /// The engine's id.
    pub id: String,
    /// Without the slash.
    pub name: String,
    /// As it was asked for, such as `drover-test/web:1`.
    pub image: String,
    /// Neither created only, nor ended.
    pub running: bool,
    /// When it last started.
    pub started_at: String,
}

impl Docker {
    /// Runs `docker` and returns what it prints.
    ///
    /// # Panics
    /// If it fails.
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        assert!(
            output.status.success(),
            "docker {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Runs `docker` and returns its output, also of a failure.
    pub fn output(&self, arguments: &[&str]) -> Output {
        Command::new("docker")
            .args(["--host", &self.url])
            .args(arguments)
            .output()
            .expect("docker is on the PATH")
    }

    /// Everything that the engine knows of a container.
    pub fn inspect(&self, id: &str) -> Value {
        let mut found: Value = serde_json::from_str(&self.run(&["inspect", "--type", "container", id])).unwrap();
        found[0].take()
    }

    /// The containers of a stack, running or not, in the order of their names.
    pub fn containers(&self, stack: &str) -> Vec<Container> {
        self.containers_where(&format!("label=io.rancher.stack.name={stack}"))
    }

    /// The containers that a server made: those with the same mark as one that it is known to have made, but for name
    /// servers.
    pub fn containers_of_same_server(&self, known: &Container) -> Vec<Container> {
        let server = self.inspect(&known.id)["Config"]["Labels"]["io.drover.server"].clone();
        let server = server
            .as_str()
            .expect("each container carries the label io.drover.server");
        let mut all = self.containers_where(&format!("label=io.drover.server={server}"));
        let names = ids(&self.containers_where("label=io.drover.names"));
        all.retain(|container| !names.contains(&container.id));
        all
    }

    /// Fetches a URL from inside a container; `None` if the name or the server behind it does not answer.
    pub fn fetch(&self, container: &str, url: &str) -> Option<String> {
        // wget's own -T crashes in Debian's static busybox.
        let output = self.output(&["exec", container, "timeout", "5", "wget", "-q", "-O", "-", url]);
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn containers_where(&self, filter: &str) -> Vec<Container> {
        let ids = self.run(&["ps", "--all", "--quiet", "--no-trunc", "--filter", filter]);
        if ids.is_empty() {
            return Vec::new();
        }
        let mut arguments = vec!["inspect", "--type", "container"];
        arguments.extend(ids.lines());
        // One may be gone by now; then the others are printed all the same.
        let output = self.output(&arguments);
        let found: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let mut containers: Vec<Container> = found.iter().map(Container::from_inspect).collect();
        containers.sort_by(|a, b| a.name.cmp(&b.name));
        containers
    }

    fn remove_containers(&self, filter: &str) {
        let output = self.output(&["ps", "--all", "--quiet", "--filter", filter]);
        let ids = String::from_utf8_lossy(&output.stdout);
        if !ids.trim().is_empty() {
            let mut arguments = vec!["rm", "--force", "--volumes"];
            arguments.extend(ids.lines());
            self.output(&arguments);
        }
    }

    /// The volumes in memory, once nobody holds them.
    fn remove_secrets(&self) {
        let output = self.output(&["volume", "ls", "--quiet", "--filter", "label=io.drover.secrets"]);
        for name in String::from_utf8_lossy(&output.stdout).lines() {
            self.output(&["volume", "rm", name]);
        }
    }

    /// Those in use stay: the engine refuses.
    fn remove_networks(&self) {
        let output = self.output(&["network", "ls", "--quiet", "--filter", "label=io.drover.server"]);
        for id in String::from_utf8_lossy(&output.stdout).lines() {
            self.output(&["network", "rm", id]);
        }
    }
}

impl Container {
    fn from_inspect(found: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            id: text(&found["Id"]),
            name: text(&found["Name"]).trim_start_matches('/').to_owned(),
            image: text(&found["Config"]["Image"]),
            running: found["State"]["Running"] == true,
            started_at: text(&found["State"]["StartedAt"]),
        }
    }
}

/// The ids of containers, sorted.
pub fn ids(containers: &[Container]) -> Vec<String> {
    let mut ids: Vec<String> = containers.iter().map(|c| c.id.clone()).collect();
    ids.sort_unstable();
    ids
}

/// The names of containers, sorted.
pub fn names(containers: &[Container]) -> Vec<&str> {
    let mut names: Vec<&str> = containers.iter().map(|c| c.name.as_str()).collect();
    names.sort_unstable();
    names
}

/// A script of `scripts/lib` that says when it is ready, and ends when its standard input does.
pub fn held_script(name: &str, arguments: &[&str]) -> Child {
    let (child, said) = saying_script(name, arguments);
    assert_eq!(said, "ready");
    child
}

/// The same of one that says something else first: what that is.
pub fn saying_script(name: &str, arguments: &[&str]) -> (Child, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/lib").join(name);
    let mut child = Command::new(script)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut said)
        .unwrap();
    (child, said.trim().to_owned())
}

/// A port of this machine that nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port()
}

/// A launch configuration of one of the test images.
pub fn launch(image: &str) -> Value {
    json!({ "imageUuid": format!("docker:drover-test/{image}") })
}

/// The path of a file beside the live tests.
pub fn beside(file: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live").join(file)
}

/// Checks the ground that all others stand on, so that a broken engine is not taken for a broken server.
#[test]
fn the_engine_runs_the_test_images() {
    let Some(url) = real_part("DROVER_TEST_DOCKER") else {
        return;
    };
    let docker = Docker { url };
    let stack = "ground";
    let label = format!("io.rancher.stack.name={stack}");
    docker.run(&["network", "create", "ground"]);
    let arguments = ["run", "--detach", "--network", "ground", "--label", &label];
    for (name, image) in [
        ("ground-web", "drover-test/web:2"),
        ("ground-client", "drover-test/busybox:1"),
    ] {
        docker.run(&[&arguments[..], &["--name", name, image]].concat());
    }
    let containers = docker.containers(stack);
    assert_eq!(names(&containers), ["ground-client", "ground-web"]);
    assert!(containers.iter().all(|c| c.running), "{containers:#?}");
    wait_until("the web image to serve", PATIENCE, || {
        match docker.fetch("ground-client", "http://ground-web/") {
            Some(text) if text == "2" => Ok(()),
            other => Err(other),
        }
    });
    let asked = Instant::now();
    assert_eq!(docker.fetch("ground-client", "http://no-such-name/"), None);
    docker.run(&["stop", "ground-web", "ground-client"]);
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "names are refused and containers stop without delay"
    );
    docker.remove_containers(&format!("label={label}"));
    assert!(docker.containers(stack).is_empty());
    docker.run(&["network", "rm", "ground"]);
}
