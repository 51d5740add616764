//! A whole server in process, whose clock moves only when told to: the real engine over a file, simulated hosts, and the
//! API without a socket.
//!
//! Requests only write; what follows from them happens in [`World::settle`] and [`World::advance`]. So every state that a
//! resource passes through can be looked at: it stands there until the test goes on.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use actix_web::http::{Method, header};
use actix_web::{App, test, web};
use diesel::QueryableByName;
use drover::api::{ApiOptions, ApiState, configure};
use drover::dialects::bridgeport::{self, BridgeportApi};
use drover::dialects::docker;
use drover::dialects::entry::Entry;
use drover::dialects::hyper;
use drover::dialects::medstack::{self, MedStackApi};
use drover::engine::{Attachment, Connect, Engine, EngineConfig, Simulators, TunnelEngines};
use drover::model::time::ManualClock;
use drover::model::{Clock, Timestamp};
use drover::runtime::sim::Sim;
use drover::runtime::{EngineAddress, Error as RuntimeError, Runtime, TunnelWay, Tunnels};
use drover::schema::Registry;
use drover::store::{StoreConfig, WriteFault};

use serde_json::{Value, json};

/// The project of all requests with a relative path.
pub const PROJECT: &str = "1a5";
/// Where the clock of every test starts.
const START: Timestamp = Timestamp(1_700_000_000_000);
/// The longest single step of a clock that is moved: nothing that is due every second is missed.
const STEP: Duration = Duration::from_secs(1);
/// The network that floating addresses are taken from, and the first of them.
const FLOATING_POOL: &str = "198.51.100.0/28";
pub const FLOATING: [&str; 3] = ["198.51.100.1", "198.51.100.2", "198.51.100.3"];
/// How long [`World::wait`] lets a state take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server and the simulated hosts around it.
pub struct World {
    /// The time, as the server sees it.
    pub clock: Arc<ManualClock>,
    /// The simulated hosts, by name.
    pub sims: Vec<(String, Arc<Sim>)>,
    /// The engines of simulated agents, by name; they outlive the server.
    pub agents: Agents,
    /// The addresses of domains, for those who ask whether a domain leads to a cluster.
    pub domains: Arc<Mutex<HashMap<String, Vec<IpAddr>>>>,
    /// The engine that runs now.
    pub engine: Arc<Engine>,
    state: web::Data<ApiState>,
    bridgeport: OnceCell<web::Data<BridgeportApi>>,
    registry: Arc<Registry>,
    /// Commits until the disk is gone; negative is never.
    commits_left: Arc<AtomicI64>,
    dir: tempfile::TempDir,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = diesel::sql_types::Text)]
    line: String,
}

/// See [`World::agents`].
pub type Agents = Arc<Mutex<HashMap<String, Arc<Sim>>>>;

/// What a request was answered.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    what: String,
}

impl Answer {
    /// The first header of this name (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Checks the status, and that everything in `part` is in the body; gives the body back.
    #[track_caller]
    pub fn expect(self, status: u16, part: Value) -> Value {
        assert_eq!(self.status, status, "{}: {}", self.what, self.body);
        has(&self.body, &part, &self.what);
        self.body
    }

    /// Checks for a refusal.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Value {
        self.expect(status, json!({"type": "error", "code": code}))
    }

    /// Checks for any success; gives the body back.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert!(self.status < 300, "{}: {} {}", self.what, self.status, self.body);
        self.body
    }
}

/// Checks that `actual` has everything that `part` says: objects may have more keys, null is the same as absent.
#[track_caller]
pub fn has(actual: &Value, part: &Value, what: &str) {
    if let Err(problem) = subset(actual, part, "") {
        panic!("{what}: {problem}\nin {actual:#}");
    }
}

fn subset(actual: &Value, part: &Value, path: &str) -> Result<(), String> {
    match (actual, part) {
        (Value::Object(actual), Value::Object(part)) => part.iter().try_for_each(|(key, value)| {
            subset(actual.get(key).unwrap_or(&Value::Null), value, &format!("{path}.{key}"))
        }),
        (Value::Array(actual), Value::Array(part)) if actual.len() == part.len() => actual
            .iter()
            .zip(part)
            .enumerate()
            .try_for_each(|(i, (a, p))| subset(a, p, &format!("{path}[{i}]"))),
        (actual, part) if actual == part => Ok(()),
        (actual, part) => Err(format!("{path} is {actual}, not {part}")),
    }
}

/// A field's text; empty if there is none.
pub fn text<'v>(row: &'v Value, field: &str) -> &'v str {
    row[field].as_str().unwrap_or_default()
}

/// The names of the actions that a resource offers, sorted.
pub fn actions(row: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = row["actions"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect();
    names.sort_unstable();
    names
}

fn registry() -> Arc<Registry> {
    static REGISTRY: OnceLock<Arc<Registry>> = OnceLock::new();
    REGISTRY
        .get_or_init(|| Arc::new(Registry::load(None).expect("the built-in schemas fit")))
        .clone()
}

impl World {
    /// A server with one simulated host, `sim`.
    pub async fn new() -> Self {
        Self::with_hosts(&["sim"]).await
    }

    /// A server with a simulated host for each name.
    pub async fn with_hosts(names: &[&str]) -> Self {
        Self::over(registry(), names).await
    }

    /// A server with one simulated host and a folder of schemas laid over the built-in ones.
    pub async fn with_schemas(overlay: &std::path::Path) -> Self {
        let registry =
            Registry::load(Some(overlay)).unwrap_or_else(|problems| panic!("the schemas do not fit: {problems:?}"));
        Self::over(Arc::new(registry), &["sim"]).await
    }

    async fn over(registry: Arc<Registry>, names: &[&str]) -> Self {
        let clock = Arc::new(ManualClock::new(START));
        let sims: Vec<(String, Arc<Sim>)> = names
            .iter()
            .map(|name| ((*name).to_owned(), Arc::new(Sim::new(clock.clone()))))
            .collect();
        let dir = tempfile::tempdir().expect("a folder can be made");
        let commits_left = Arc::new(AtomicI64::new(-1));
        let agents = Agents::default();
        let (engine, state) = open(&registry, &dir, &clock, &sims, &agents, &commits_left).await;
        let world = Self {
            clock,
            sims,
            agents,
            domains: Arc::default(),
            engine,
            state,
            bridgeport: OnceCell::new(),
            registry,
            commits_left,
            dir,
        };
        // It says who writes messages: what is on its way at a start waits for that.
        world.medstack();
        world.settle().await;
        world
    }

    /// Ends the server, at whatever point it is, and starts another one over its file and its hosts.
    pub async fn restart(&mut self) {
        self.engine.close();
        self.reopen().await;
    }

    async fn reopen(&mut self) {
        self.commits_left.store(-1, Ordering::SeqCst);
        (self.engine, self.state) = open(
            &self.registry,
            &self.dir,
            &self.clock,
            &self.sims,
            &self.agents,
            &self.commits_left,
        )
        .await;
        self.bridgeport = OnceCell::new();
        self.medstack();
        self.engine.remember().expect("what was watched can be read");
        self.engine.resync().await.expect("hosts can be compared");
        self.settle().await;
    }

    /// The server dies while it computes for these rows (ids as numbers), and another one is started.
    pub async fn die_of(&mut self, rows: &[i64]) {
        self.engine.close();
        let marks: Vec<u8> = rows.iter().flat_map(|id| id.to_le_bytes()).collect();
        std::fs::write(self.dir.path().join(MARKS), marks).expect("the marks can be written");
        self.reopen().await;
    }

    /// Serves the API with other options from now on.
    pub fn serve(&mut self, options: ApiOptions) {
        self.state = web::Data::new(ApiState::new(self.engine.clone(), &options));
        self.bridgeport = OnceCell::new();
    }

    /// Lets so many more commits succeed; the next one fails, and so does every write after it, until a restart.
    pub fn die_after(&self, commits: i64) {
        self.commits_left.store(commits, Ordering::SeqCst);
    }

    /// Whether [`World::die_after`] has come true.
    pub fn is_dead(&self) -> bool {
        self.commits_left.load(Ordering::SeqCst) == 0
    }

    /// Adds a simulated host to the running server; gives its id.
    pub async fn add_host(&mut self, name: &str) -> String {
        let sim = Arc::new(Sim::new(self.clock.clone()));
        self.sims.push((name.to_owned(), sim.clone()));
        let id = self.engine.attach(named(sim, name)).await.expect("a host can be added");
        self.settle().await;
        format!("1h{id}")
    }

    /// The simulator at the address of a host that is added by the API.
    pub fn engine_at(&self, url: &str) -> Arc<Sim> {
        simulated_at(&self.agents, &self.clock, url)
    }

    /// The only host's simulator, or the first's.
    pub fn sim(&self) -> &Sim {
        &self.sims[0].1
    }

    /// The API's state, for tests that send their own requests.
    pub fn api(&self) -> web::Data<ApiState> {
        self.state.clone()
    }

    /// The files of the server.
    pub fn files(&self) -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(self.dir.path()).expect("the folder can be read");
        entries
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.is_file())
            .collect()
    }

    /// The path that leads to the database.
    pub fn database(&self) -> std::path::PathBuf {
        self.dir.path().join("drover.db")
    }

    /// All that is stored, but for the audit log: what a refused request must not change.
    pub fn stored(&self) -> Vec<String> {
        let lines = diesel::sql_query(
            "SELECT 'resource ' || id || ' ' || kind || ' ' || state || ' ' || version || ' ' || name || ' ' || fields || internal AS line \
               FROM resource JOIN resource_state ON resource_id = id \
             UNION ALL SELECT 'ref ' || from_id || ' ' || field || ' ' || to_id FROM resource_ref \
             UNION ALL SELECT 'process ' || id || ' ' || process || ' ' || exit_reason FROM process_instance \
             UNION ALL SELECT 'setting ' || name || ' ' || value FROM setting \
             UNION ALL SELECT 'credential ' || resource_id || ' ' || public_value || ' ' || secret FROM credential \
             UNION ALL SELECT 'session ' || id || ' ' || digest || ' ' || expires_ms FROM session",
        );
        let lines = with_database!(self.database(), |conn| lines
            .load::<Line>(conn)
            .expect("the tables can be read"));
        lines.into_iter().map(|row| row.line).collect()
    }

    /// Does everything that is due now, and tells subscribers of it.
    pub async fn settle(&self) {
        self.engine.settle().await;
        self.engine.tell();
    }

    /// The time, in milliseconds.
    pub fn clock_ms(&self) -> i64 {
        self.clock.now().0
    }

    /// Lets time pass: everything that falls due meanwhile happens at its time, health probes too.
    pub async fn advance(&self, by: Duration) {
        let end = self.clock.now().plus(by);
        self.pass().await;
        while self.clock.now() < end {
            let now = self.clock.now();
            let due = self.engine.next_due().unwrap_or(end).max(Timestamp(now.0 + 1));
            self.clock.advance(due.min(end).min(now.plus(STEP)).since(now));
            self.pass().await;
        }
    }

    /// One moment of time: what hosts did by themselves is seen, probes are made, everything due is done.
    pub async fn pass(&self) {
        self.sims.iter().for_each(|(_, sim)| sim.tick());
        self.engine.ping().await.expect("agents can be pinged");
        self.settle().await;
        self.engine.resync().await.expect("hosts can be compared");
        self.engine.probe().await.expect("probes can be made");
        self.settle().await;
    }

    /// A request. `path` is relative to the project in v2-beta (`services/1s7`), or begins with a slash; a bare id
    /// (`1s7`) is a resource's.
    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.send_with(method, path, &[], body).await
    }

    /// Puts all interfaces into an application.
    pub fn configure(&self, config: &mut web::ServiceConfig) {
        docker::configure(config, self.docker());
        let bridgeport = self
            .bridgeport
            .get_or_init(|| web::Data::new(BridgeportApi::new(self.entry())));
        bridgeport::configure(config, bridgeport.clone());
        hyper::configure(config, web::Data::new(hyper::HyperApi::new(self.entry())));
        medstack::configure(config, self.medstack());
        configure(config, self.state.clone());
    }

    /// How requests enter the interfaces beside Rancher's.
    fn entry(&self) -> Entry {
        let shared = self.state.shared();
        Entry {
            engine: self.engine.clone(),
            gate: shared.gate,
            guard: shared.guard,
            trusted_proxies: shared.trusted_proxies,
            body_patience: shared.body_patience,
            intake: shared.intake,
            sockets: shared.sockets,
        }
    }

    /// Docker's interface over this world.
    pub fn docker(&self) -> web::Data<docker::DockerApi> {
        web::Data::new(docker::DockerApi::new(self.entry()))
    }

    /// MedStack Control's, whose domains have the addresses that the test says.
    pub fn medstack(&self) -> web::Data<MedStackApi> {
        let domains = self.domains.clone();
        let resolve = move |name: String| {
            let found = domains.lock().unwrap().get(&name).cloned();
            let found = found.ok_or_else(|| std::io::Error::other("no such name"));
            Box::pin(std::future::ready(found)) as std::pin::Pin<Box<dyn Future<Output = _> + Send>>
        };
        web::Data::new(MedStackApi::resolving(self.entry(), Arc::new(resolve)))
    }

    /// The same with headers of its own.
    pub async fn send_with(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Option<Value>) -> Answer {
        self.send_text(
            method,
            path,
            headers,
            &body.map(|body| body.to_string()).unwrap_or_default(),
        )
        .await
    }

    /// The same with a body that may be no JSON; without one if it is empty.
    pub async fn send_text(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let uri = uri(path);
        let app = test::init_service(App::new().configure(|c| self.configure(c))).await;
        let mut request = test::TestRequest::default()
            .method(method.clone())
            .uri(&uri)
            .insert_header((header::HOST, "localhost"));
        if !body.is_empty() {
            request = request
                .insert_header((header::CONTENT_TYPE, "application/json"))
                .set_payload(body.to_owned());
        }
        for (name, value) in headers {
            request = request.append_header((*name, *value));
        }
        let response = test::call_service(&app, request.to_request()).await;
        let status = response.status().as_u16();
        let text = |value: &header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), text(value)))
            .collect();
        let bytes = test::read_body(response).await;
        let answer = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&bytes).into_owned()));
        Answer {
            status,
            body: answer,
            headers,
            what: format!("{method} {uri} {body}"),
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }

    pub async fn act(&self, path: &str, action: &str, body: Value) -> Answer {
        self.send(Method::POST, &format!("{path}?action={action}"), Some(body))
            .await
    }

    /// The rows of a list.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        match self.get(path).await.expect(200, json!({"type": "collection"}))["data"].take() {
            Value::Array(rows) => rows,
            other => panic!("{path}: {other}"),
        }
    }

    /// A resource as it is now.
    pub async fn show(&self, path: &str) -> Value {
        self.get(path).await.expect(200, json!({}))
    }

    /// Lets time pass until the resource is in a state; gives it back.
    pub async fn wait(&self, path: &str, state: &str) -> Value {
        let end = self.clock.now().plus(PATIENCE);
        self.pass().await;
        loop {
            let row = self.show(path).await;
            if row["state"] == state {
                return row;
            }
            assert!(self.clock.now() < end, "{path} is never {state}: {row:#}");
            self.advance(STEP / 4).await;
        }
    }

    /// An active stack; gives its id.
    pub async fn stack(&self, name: &str) -> String {
        let id = self
            .post("stacks", json!({"name": name}))
            .await
            .expect(201, json!({"type": "stack"}))["id"]
            .clone();
        let id = id.as_str().expect("a stack has an id").to_owned();
        self.wait(&id, "active").await;
        id
    }

    /// A new service, not activated: `more` is laid over a name and a plain simulated image. Gives its id.
    pub async fn service(&self, stack: &str, name: &str, more: Value) -> String {
        let mut body = json!({"name": name, "stackId": stack, "launchConfig": {"imageUuid": "sim:web"}});
        lay_over(&mut body, more);
        let row = self
            .post("services", body)
            .await
            .expect(201, json!({"type": "service", "state": "registering"}));
        let id = text(&row, "id").to_owned();
        self.wait(&id, "inactive").await;
        id
    }

    /// The same, activated.
    pub async fn running(&self, stack: &str, name: &str, more: Value) -> String {
        let id = self.service(stack, name, more).await;
        self.act(&id, "activate", json!({}))
            .await
            .expect(202, json!({"state": "activating"}));
        self.wait(&id, "active").await;
        id
    }

    /// The containers that belong to a service now, in the order of their making.
    pub async fn containers(&self, service: &str) -> Vec<Value> {
        let mut rows = self.list(&format!("services/{service}/instances?sort=id")).await;
        rows.retain(|row| !matches!(text(row, "state"), "removed" | "purging" | "purged"));
        rows
    }

    /// The same as one line for each: name, state, and `old` for those an upgrade has put aside.
    pub async fn picture(&self, service: &str) -> Vec<String> {
        let maps = self.list(&format!("serviceexposemaps?serviceId={service}")).await;
        let mut lines = Vec::new();
        for row in self.containers(service).await {
            let map = maps.iter().find(|m| m["instanceId"] == row["id"]);
            let old = map.is_some_and(|m| m["managed"] == false);
            lines.push(format!(
                "{} {}{}",
                text(&row, "name"),
                text(&row, "state"),
                if old { " old" } else { "" }
            ));
        }
        lines.sort();
        lines
    }

    /// The uuid of the only container with this name.
    pub async fn uuid(&self, container: &str) -> String {
        let rows = self.list(&format!("containers?name={container}")).await;
        assert_eq!(rows.len(), 1, "{container}: {rows:#?}");
        text(&rows[0], "uuid").to_owned()
    }
}

fn simulators(agents: &Agents, clock: &Arc<ManualClock>) -> Simulators {
    let (agents, clock) = (agents.clone(), clock.clone());
    Simulators(Arc::new(move |name, found| {
        let mut agents = agents.lock().expect("no test panics here");
        let sim = agents
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(Sim::new(clock.clone())))
            .clone();
        sim.adopt(found);
        sim
    }))
}

/// Engines that are added by the API: a simulator for each address.
fn connect(agents: &Agents, clock: &Arc<ManualClock>) -> Connect {
    let (agents, clock) = (agents.clone(), clock.clone());
    Connect(Arc::new(move |address: &EngineAddress, _: &str| match &address.url {
        url if url.starts_with("tcp://") || url.starts_with("https://") => {
            let sim: Arc<dyn Runtime> = simulated_at(&agents, &clock, url);
            Ok(sim)
        }
        url => Err(RuntimeError::Failed(format!("{url:?} is not the address of an engine"))),
    }))
}

/// Agents at `tunnel://…` whose engines are simulated: [`World::engine_at`] with `tunnel AGENT`.
struct SimulatedTunnels(Agents, Arc<ManualClock>);

impl Tunnels for SimulatedTunnels {
    fn engine(&self, _: &str, agent: &str) -> Result<Arc<dyn Runtime>, RuntimeError> {
        let sim: Arc<dyn Runtime> = simulated_at(&self.0, &self.1, &format!("tunnel {agent}"));
        Ok(sim)
    }

    fn way(&self, agent: &str) -> Result<TunnelWay, RuntimeError> {
        Ok(TunnelWay {
            socket: format!("tunnel {agent}").into(),
            address: Box::new(|| None),
        })
    }

    fn close(&self, _: &str) {}

    fn forget(&self, _: &str) {}
}

fn simulated_at(agents: &Agents, clock: &Arc<ManualClock>, url: &str) -> Arc<Sim> {
    let mut agents = agents.lock().expect("no test panics here");
    let sim = agents
        .entry(url.to_owned())
        .or_insert_with(|| Arc::new(Sim::new(clock.clone())));
    sim.clone()
}

/// The file of marks, beside the database.
const MARKS: &str = "drover.marks";

async fn open(
    registry: &Arc<Registry>,
    dir: &tempfile::TempDir,
    clock: &Arc<ManualClock>,
    sims: &[(String, Arc<Sim>)],
    agents: &Agents,
    commits_left: &Arc<AtomicI64>,
) -> (Arc<Engine>, web::Data<ApiState>) {
    let store = StoreConfig {
        readers: 2,
        ..crate::databases::at(dir.path().join("drover.db"))
    };
    let config = EngineConfig {
        pace: Duration::ZERO,
        floating_pool: vec![FLOATING_POOL.to_owned()],
        simulators: Some(simulators(agents, clock)),
        connect: Some(connect(agents, clock)),
        tunnels: Some(TunnelEngines(Arc::new(SimulatedTunnels(agents.clone(), clock.clone())))),
        marks: Some(dir.path().join(MARKS)),
        ..EngineConfig::default()
    };
    let left = commits_left.clone();
    let fault: WriteFault = Arc::new(move || {
        let counted = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| (n > 0).then(|| n - 1));
        counted == Err(0)
    });
    let engine = Engine::open(registry.clone(), &store, clock.clone(), config, Some(fault))
        .expect("the database opens")
        .engine;
    engine.prepare().await.expect("the database can be prepared");
    for (name, sim) in sims {
        engine
            .attach(named(sim.clone(), name))
            .await
            .expect("a host can be added");
    }
    engine.attach_added().await.expect("hosts can be read");
    let engine = Arc::new(engine);
    let state = web::Data::new(ApiState::new(engine.clone(), &ApiOptions::default()));
    (engine, state)
}

/// The objects of `more` over those of `base`, key by key.
pub fn lay_over(base: &mut Value, more: Value) {
    match (base, more) {
        (Value::Object(base), Value::Object(more)) => {
            for (key, value) in more {
                lay_over(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, more) => *base = more,
    }
}

/// The collections of ids by their letters.
const COLLECTIONS: [(&str, &str); 6] = [
    ("s", "services"),
    ("st", "stacks"),
    ("i", "containers"),
    ("h", "hosts"),
    ("v", "volumes"),
    ("a", "projects"),
];

fn uri(path: &str) -> String {
    if path.starts_with('/') {
        return path.to_owned();
    }
    let base = format!("/v2-beta/projects/{PROJECT}");
    let (head, _) = path.split_once(['?', '/']).unwrap_or((path, ""));
    let letters: String = head
        .strip_prefix('1')
        .unwrap_or_default()
        .chars()
        .take_while(char::is_ascii_alphabetic)
        .collect();
    match COLLECTIONS.iter().find(|(l, _)| *l == letters) {
        Some((_, collection)) => format!("{base}/{collection}/{path}"),
        None => format!("{base}/{path}"),
    }
}

/// One of several simulated engines of the Default project.
pub fn named(sim: Arc<Sim>, name: &str) -> Attachment {
    Attachment {
        name: Some(name.to_owned()),
        ..Attachment::only(sim)
    }
}
