//! A server in process that can die: its file and its simulator stay, everything else goes. And its client, who
//! repeats what was not answered, and only that.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use actix_web::http::{Method, StatusCode, header};
use actix_web::{App, test, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drover::api::{ApiOptions, ApiState, configure};
use drover::dialects::entry::Entry;
use drover::dialects::medstack::{self, MedStackApi};
use drover::dialects::{bridgeport, docker, hyper};
use drover::engine::{Attachment, BalancerKeeper, Connect, Engine, EngineConfig, NameKeeper, Simulators};
use drover::model::Timestamp;
use drover::model::time::{Clock, ManualClock};
use drover::runtime::sim::{Health, Sim};
use drover::runtime::{EngineAddress, Found, Life, Runtime};
use drover::schema::Registry;
use drover::store::StoreConfig;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::dump::{self, Identity};
use crate::kill_points::{Death, Fate, Mortal};

/// A run that is not quiet after this much simulated time never will be.
const PATIENCE: Duration = Duration::from_secs(600);
/// Between two looks at the health of what initialises.
const PROBE_EVERY: Duration = Duration::from_secs(2);

/// Where Hyper's interface is.
const HYPER: &str = "/hyper/v1.23";
/// The superadmin's key.
const SUPER: (&str, &str) = ("SUPER", "secret");

/// One thing that happens in a scenario. Ids in bodies and paths are written as `$name`. A path that begins with a slash is asked for
/// by the superadmin; any other one is in the Default project.
#[derive(Debug, Clone)]
pub enum Step {
    /// POST to a collection.
    Create {
        path: &'static str,
        name: &'static str,
        body: Value,
    },
    /// POST an action; repeated without an answer only while the state is one of `from`.
    Act {
        path: &'static str,
        name: &'static str,
        action: &'static str,
        from: &'static [&'static str],
        body: Value,
    },
    /// A receiver that was made as a generic object is called. One that did it and could not say so refuses to do more.
    Call(&'static str),
    /// PUT.
    Put {
        path: &'static str,
        name: &'static str,
        body: Value,
    },
    /// A service is updated to an image by Docker's interface; repeated without an answer unless it is on its way there.
    Deploy { service: &'static str, image: &'static str },
    /// A template of BRIDGEPORT's of an image with this tag is brought to each host; repeated without an answer only if no record of it is there.
    Roll { image: &'static str, tag: &'static str },
    /// A change of the service `http` by Hyper's interface, a removal if there is no body; repeated without an answer unless the
    /// service is as `shown` already, or is gone if that is null.
    Hyper {
        path: &'static str,
        body: Option<Value>,
        shown: Value,
    },
    /// A service is made by MedStack Control's interface; repeated without an answer unless it is there.
    Serve { name: &'static str, body: Value },
    /// One is changed by PATCH, as often as it takes.
    Change { name: &'static str, body: Value },
    /// One is removed.
    End(&'static str),
    /// DELETE.
    Delete { path: &'static str, name: &'static str },
    /// A container of the engine dies, as if its process had crashed.
    Kill(&'static str),
    /// A container of the engine ends with 0.
    Exit(&'static str),
    /// A container is removed from the engine by hand.
    Forget(&'static str),
    /// Probes of a container fail from now on.
    Ail(&'static str),
    /// The engine says that something happened: rows and containers are compared.
    Hear,
    /// So many seconds pass.
    Pass(u64),
    /// Everything that is due, without time passing.
    Settle,
    /// Until nothing happens any more.
    Rest,
}

/// The server died.
#[derive(Debug)]
pub struct Died;

/// How a world goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One thing after the other, in a fixed order: each run is like the other.
    Plain,
    /// Many things side by side.
    ManyHands,
    /// The simulator lives in the server and dies with it, as the program's does.
    NewSimulator,
    /// The second server dies soon, too.
    DiesTwice,
    /// Containers find each other by a name server.
    NameServers,
    /// Balancers are told what to do.
    Balancers,
}

/// One server's file, engine of containers and client.
pub struct World {
    file: PathBuf,
    _folder: TempDir,
    pub sim: Arc<Sim>,
    agents: Agents,
    pub fate: Arc<Fate>,
    clock: Arc<ManualClock>,
    mode: Mode,
    server: Option<(Arc<Engine>, web::Data<ApiState>)>,
    /// What keeps its name servers.
    names: RefCell<Option<NameKeeper>>,
    /// What keeps its balancers.
    balancers: RefCell<Option<BalancerKeeper>>,
    /// What a dump says of the database itself.
    identity: Identity,
    ids: HashMap<&'static str, String>,
}

/// The engines of simulated agents by name: like the server's own they outlive it.
type Agents = Arc<Mutex<BTreeMap<String, Arc<Sim>>>>;

fn registry() -> Arc<Registry> {
    static REGISTRY: OnceLock<Arc<Registry>> = OnceLock::new();
    REGISTRY
        .get_or_init(|| Arc::new(Registry::load(None).expect("the schemas fit")))
        .clone()
}

/// In memory where that can be had: thousands of runs need no disk.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    made.expect("a folder")
}

fn new_simulator(clock: &Arc<ManualClock>) -> Arc<Sim> {
    let sim = Arc::new(Sim::new(clock.clone()));
    sim.set_strict(true);
    sim
}

/// A database that was used once, so that not every run migrates and seeds its own.
async fn template() -> &'static [u8] {
    static TEMPLATE: OnceLock<Vec<u8>> = OnceLock::new();
    if TEMPLATE.get().is_none() {
        let mut world = World::on(folder(), Mode::Plain);
        world.use_once().await;
        let bytes = std::fs::read(&world.file).expect("the template");
        let _ = TEMPLATE.set(bytes);
    }
    TEMPLATE.get().expect("just made")
}

impl World {
    fn on(folder: TempDir, mode: Mode) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp(1_700_000_000_000)));
        let sim = new_simulator(&clock);
        if mode == Mode::NameServers {
            sim.allow_name_servers();
        }
        if mode == Mode::Balancers {
            sim.allow_balancers();
        }
        let file = folder.path().join("drover.db");
        Self {
            file,
            _folder: folder,
            sim,
            agents: Agents::default(),
            fate: Arc::default(),
            clock,
            mode,
            server: None,
            names: RefCell::default(),
            balancers: RefCell::default(),
            identity: Identity::default(),
            ids: HashMap::new(),
        }
    }

    /// Has a first server run, with a key, and end.
    async fn use_once(&mut self) {
        let mode = std::mem::replace(&mut self.mode, Mode::Plain);
        self.start().await;
        if let Some((engine, _)) = &self.server {
            engine
                .set_key("superadmin", SUPER.0.into(), SUPER.1)
                .await
                .expect("a key can be set");
            engine.close();
        }
        self.die();
        self.mode = mode;
    }

    /// A server that has run before and has nothing to do.
    pub async fn new(mode: Mode) -> Self {
        let mut world = Self::on(folder(), mode);
        match std::env::var_os("DROVER_TEST_DATABASE") {
            Some(_) => world.use_once().await,
            None => std::fs::write(&world.file, template().await).expect("a copy of the template"),
        }
        world.start().await;
        world.identity = Identity::of(&world.dump());
        world
    }

    fn engine(&self) -> Arc<Engine> {
        self.server.as_ref().expect("a server runs").0.clone()
    }

    /// Starts as the program does.
    async fn start(&mut self) {
        let lives = self.begin_serving().await;
        assert!(lives.is_ok(), "nobody dies yet");
    }

    async fn begin_serving(&mut self) -> Result<(), Died> {
        let config = StoreConfig {
            readers: 2,
            ..crate::databases::at(&self.file)
        };
        let fault = Some(self.fate.write_fault());
        let engine_config = EngineConfig {
            simulators: Some(self.simulators()),
            connect: Some(self.connect()),
            ..EngineConfig::default()
        };
        let opened = Engine::open(registry(), &config, self.clock.clone(), engine_config, fault).expect("opens");
        let engine = Arc::new(opened.engine);
        self.lived(engine.prepare().await)?;
        if self.mode == Mode::NewSimulator {
            self.sim = new_simulator(&self.clock);
            self.sim.adopt(self.lived(engine.simulated_containers())?);
        }
        self.lived(
            engine
                .attach(Attachment::only(Arc::new(Mortal {
                    sim: self.sim.clone(),
                    fate: self.fate.clone(),
                })))
                .await,
        )?;
        self.lived(engine.attach_added().await)?;
        if self.mode == Mode::NameServers {
            let names = engine.names();
            names.look();
            *self.names.borrow_mut() = Some(names);
        }
        if self.mode == Mode::Balancers {
            *self.balancers.borrow_mut() = Some(engine.balancers());
        }
        let state = web::Data::new(ApiState::new(engine.clone(), &ApiOptions::default()));
        self.server = Some((engine, state));
        Ok(())
    }

    fn simulators(&self) -> Simulators {
        let (agents, clock, fate) = (self.agents.clone(), self.clock.clone(), self.fate.clone());
        let is_new = self.mode == Mode::NewSimulator;
        if is_new {
            agents.lock().unwrap().clear();
        }
        Simulators(Arc::new(move |name, found| {
            let sim = agents
                .lock()
                .unwrap()
                .entry(name.to_owned())
                .or_insert_with(|| new_simulator(&clock))
                .clone();
            if is_new {
                sim.adopt(found);
            }
            Arc::new(Mortal {
                sim,
                fate: fate.clone(),
            })
        }))
    }

    /// Engines that are added by the API: a simulator for each address.
    fn connect(&self) -> Connect {
        let (agents, clock, fate) = (self.agents.clone(), self.clock.clone(), self.fate.clone());
        Connect(Arc::new(move |address: &EngineAddress, _: &str| {
            let mut agents = agents.lock().unwrap();
            let sim = agents
                .entry(address.url.clone())
                .or_insert_with(|| new_simulator(&clock))
                .clone();
            let fate = fate.clone();
            Ok(Arc::new(Mortal { sim, fate }) as Arc<dyn Runtime>)
        }))
    }

    /// The containers of all engines.
    fn containers(&self) -> Vec<Found> {
        let agents = self.agents.lock().unwrap();
        self.sim
            .containers()
            .into_iter()
            .chain(agents.values().flat_map(|sim| sim.containers()))
            .collect()
    }

    /// What a call brought, unless the server died of it.
    fn lived<T>(&self, result: drover::model::Result<T>) -> Result<T, Died> {
        match result {
            _ if self.fate.is_dead() => Err(Died),
            Ok(value) => Ok(value),
            Err(error) => panic!("{error}"),
        }
    }

    /// What a start does beside working: remembers, and compares what runs with the rows.
    pub async fn compare(&self) -> Result<(), Died> {
        let engine = self.engine();
        self.lived(engine.remember())?;
        self.lived(engine.resync().await)
    }

    fn die(&mut self) {
        self.names.take();
        self.balancers.take();
        self.server = None;
    }

    /// Starts again after a death; `next` is when the new server dies. The comparison and the work that was left race
    /// in the program: both orders occur.
    pub async fn restart(&mut self, next: Option<Death>, compare_first: bool) -> Result<(), Died> {
        self.die();
        self.fate.revive();
        if next.is_some() {
            self.fate.begin(next);
        }
        self.begin_serving().await?;
        if !compare_first {
            self.settle().await?;
        }
        self.compare().await
    }

    /// Does a step; `again` after a death, when it is not known how far it came.
    pub async fn step(&mut self, step: &Step, again: bool) -> Result<(), Died> {
        match step {
            Step::Kill(name) => self.harm(name, |sim, uuid| assert!(sim.kill(uuid))),
            Step::Exit(name) => self.harm(name, |sim, uuid| assert!(sim.exit(uuid, 0))),
            Step::Forget(name) => self.harm(name, |sim, uuid| assert!(sim.forget(uuid))),
            Step::Ail(name) => self.harm(name, |sim, uuid| sim.set_health(uuid, Health::Unhealthy)),
            Step::Hear => self.compare().await,
            Step::Pass(seconds) => self.pass(Duration::from_secs(*seconds)).await,
            Step::Settle => self.settle().await,
            Step::Rest => self.rest().await,
            Step::Create { path, name, body } => self.create(path, name, body, again).await,
            Step::Act {
                path,
                name,
                action,
                from,
                body,
            } => self.act(path, name, action, from, body, again).await,
            Step::Call(name) => self.call(name, again).await,
            Step::Put { path, name, body } => {
                let url = self.url(path, name);
                let body = self.resolved(body);
                self.ask(Method::PUT, &url, Some(body), &[StatusCode::OK])
                    .await
                    .map(drop)
            }
            Step::Deploy { service, image } => self.deploy(service, image).await,
            Step::Roll { image, tag } => self.roll(image, tag).await,
            Step::Hyper { path, body, shown } => {
                if again && self.is_shown_by_hyper(shown).await {
                    return Ok(());
                }
                let method = if body.is_some() { Method::POST } else { Method::DELETE };
                let fine = [StatusCode::OK, StatusCode::CREATED, StatusCode::NO_CONTENT];
                self.ask(method, &format!("{HYPER}{path}"), body.clone(), &fine)
                    .await
                    .map(drop)
            }
            Step::Serve { name, body } => {
                if again && self.served(name).await.is_some() {
                    return Ok(());
                }
                let (url, mut body) = (self.medstack("/services").await, body.clone());
                body["name"] = json!(name);
                self.ask(Method::POST, &url, Some(json!({"value": body})), &[StatusCode::CREATED])
                    .await
                    .map(drop)
            }
            Step::Change { name, body } => {
                let id = self.served(name).await.expect("a service");
                let url = self.medstack(&format!("/services/{id}")).await;
                self.ask(
                    Method::PATCH,
                    &url,
                    Some(json!({"value": body})),
                    &[StatusCode::CREATED],
                )
                .await
                .map(drop)
            }
            Step::End(name) => {
                let Some(id) = self.served(name).await else {
                    assert!(again, "{name} is not there");
                    return Ok(());
                };
                let url = self.medstack(&format!("/services/{id}")).await;
                self.ask(Method::DELETE, &url, None, &[StatusCode::NO_CONTENT])
                    .await
                    .map(drop)
            }
            Step::Delete { path, name } => {
                let url = self.url(path, name);
                if again
                    && matches!(
                        self.state(&url).await.as_str(),
                        "removing" | "removed" | "stopping" | "deactivating"
                    )
                {
                    return Ok(());
                }
                self.ask(Method::DELETE, &url, None, &[StatusCode::OK, StatusCode::ACCEPTED])
                    .await
                    .map(drop)
            }
        }
    }

    async fn is_shown_by_hyper(&self, shown: &Value) -> bool {
        let (status, found) = self.send(Method::GET, &format!("{HYPER}/services/http"), None).await;
        match shown.as_object() {
            None => status == StatusCode::NOT_FOUND,
            Some(shown) => shown.iter().all(|(key, value)| found[key] == *value),
        }
    }

    async fn deploy(&self, service: &str, image: &str) -> Result<(), Died> {
        let url = format!("/docker/projects/1a5/services/{service}");
        let (_, found) = self.send(Method::GET, &url, None).await;
        let mut spec = found["Spec"].clone();
        let own = &mut spec["TaskTemplate"]["ContainerSpec"]["Image"];
        if *own == image {
            return Ok(());
        }
        *own = json!(image);
        spec["UpdateConfig"] = json!({"Parallelism": 1, "Monitor": 1_000_000_000, "FailureAction": "rollback"});
        let url = format!("{url}/update?version={}", found["Version"]["Index"]);
        self.ask(Method::POST, &url, Some(spec), &[StatusCode::OK])
            .await
            .map(drop)
    }

    /// The id of what is called so in a list of BRIDGEPORT's, made if it is not there.
    async fn bridged(&self, kind: &str, many: &str, one: &str, body: Value) -> Result<String, Died> {
        let url = format!("/bridgeport/api/environments/1a5/{kind}");
        let (_, list) = self.send(Method::GET, &url, None).await;
        let known = list[many]
            .as_array()
            .into_iter()
            .flatten()
            .find(|known| known["name"] == body["name"]);
        let id = match known {
            Some(known) => known["id"].clone(),
            None => self.ask(Method::POST, &url, Some(body), &[StatusCode::OK]).await?[one]["id"].clone(),
        };
        Ok(id.as_str().expect("an id").to_owned())
    }

    async fn roll(&self, image: &str, tag: &str) -> Result<(), Died> {
        let image = json!({"name": image, "imageName": image});
        let image = self.bridged("container-images", "images", "image", image).await?;
        let template = json!({"name": "web", "containerImageId": image});
        let service = self.bridged("services", "services", "service", template).await?;
        let url = format!("/bridgeport/api/services/{service}");
        let (_, shown) = self.send(Method::GET, &url, None).await;
        let (_, servers) = self
            .send(Method::GET, "/bridgeport/api/environments/1a5/servers", None)
            .await;
        let placed = shown["service"]["serviceDeployments"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        for server in servers["servers"].as_array().into_iter().flatten() {
            if placed.iter().all(|one| one["serverId"] != server["id"]) {
                let body = json!({"serverId": server["id"], "containerName": format!("web-{}", server["name"].as_str().unwrap_or_default())});
                self.ask(
                    Method::POST,
                    &format!("{url}/deployments"),
                    Some(body),
                    &[StatusCode::OK],
                )
                .await?;
            }
        }
        let (_, told) = self
            .send(Method::GET, &format!("{url}/deployments-history"), None)
            .await;
        if told["deployments"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|one| one["imageTag"] == tag)
        {
            return Ok(());
        }
        let body = json!({"imageTag": tag});
        self.ask(Method::POST, &format!("{url}/deploy"), Some(body), &[StatusCode::OK])
            .await
            .map(drop)
    }

    async fn create(&mut self, path: &str, name: &'static str, body: &Value, again: bool) -> Result<(), Died> {
        let collection = self.collection(path);
        if again {
            let (_, list) = self.send(Method::GET, &format!("{collection}?name={name}"), None).await;
            if let Some(id) = list["data"][0]["id"].as_str() {
                self.ids.insert(name, id.to_owned());
                return Ok(());
            }
        }
        let mut body = self.resolved(body);
        body["name"] = json!(name);
        let made = self
            .ask(Method::POST, &collection, Some(body), &[StatusCode::CREATED])
            .await?;
        self.ids.insert(name, made["id"].as_str().expect("an id").to_owned());
        Ok(())
    }

    async fn act(
        &mut self,
        path: &str,
        name: &str,
        action: &str,
        from: &[&str],
        body: &Value,
        again: bool,
    ) -> Result<(), Died> {
        let url = self.url(path, name);
        let state = self.state(&url).await;
        if !from.contains(&state.as_str()) {
            assert!(again, "{action} of {name}: it is {state}\n{}", self.dump());
            return Ok(());
        }
        let body = self.resolved(body);
        self.ask(
            Method::POST,
            &format!("{url}?action={action}"),
            Some(body),
            &[StatusCode::OK, StatusCode::ACCEPTED],
        )
        .await
        .map(drop)
    }

    async fn call(&self, name: &str, again: bool) -> Result<(), Died> {
        let id = self.ids.get(name).expect("a known name");
        let receiver = format!("/v1-webhooks/receivers/{id}?projectId=1a5");
        let (status, receiver) = self.send(Method::GET, &receiver, None).await;
        let url = receiver["url"].as_str().unwrap_or_default();
        let at = url
            .find("/v1-webhooks")
            .unwrap_or_else(|| panic!("{status} {receiver}"));
        let fine: &[StatusCode] = match again {
            true => &[StatusCode::OK, StatusCode::BAD_REQUEST],
            false => &[StatusCode::OK],
        };
        self.ask(Method::POST, &url[at..], Some(json!({})), fine)
            .await
            .map(drop)
    }

    fn url(&self, path: &str, name: &str) -> String {
        format!(
            "{}/{}",
            self.collection(path),
            self.ids.get(name).expect("a known name")
        )
    }

    fn collection(&self, path: &str) -> String {
        if !path.starts_with('/') {
            return format!("/v2-beta/projects/1a5/{path}");
        }
        self.ids.iter().fold(path.to_owned(), |path, (name, id)| {
            path.replace(&format!("${name}/"), &format!("{id}/"))
        })
    }

    fn resolved(&self, body: &Value) -> Value {
        let mut text = body.to_string();
        for (name, id) in &self.ids {
            text = text.replace(&format!("\"${name}\""), &format!("\"{id}\""));
        }
        serde_json::from_str(&text).expect("still JSON")
    }

    async fn state(&self, url: &str) -> String {
        let (status, row) = self.send(Method::GET, url, None).await;
        if status == StatusCode::NOT_FOUND {
            "removed".into()
        } else {
            row["state"].as_str().unwrap_or_default().to_owned()
        }
    }

    /// Sends a request that changes something. Its answer may be lost.
    async fn ask(&self, method: Method, url: &str, body: Option<Value>, fine: &[StatusCode]) -> Result<Value, Died> {
        let (status, answer) = self.send(method, url, body).await;
        if self.fate.is_dead() || self.fate.loses_answer() {
            return Err(Died);
        }
        assert!(fine.contains(&status), "{url}: {status} {answer:#}");
        Ok(answer)
    }

    pub async fn send(&self, method: Method, url: &str, body: Option<Value>) -> (StatusCode, Value) {
        let (engine, state) = self.server.as_ref().expect("a server runs");
        let shared = state.shared();
        let entry = Entry {
            engine: engine.clone(),
            gate: shared.gate,
            guard: shared.guard,
            trusted_proxies: shared.trusted_proxies,
            body_patience: shared.body_patience,
            intake: shared.intake,
            sockets: shared.sockets,
        };
        let hyper = web::Data::new(hyper::HyperApi::new(entry.clone()));
        let docker = web::Data::new(docker::DockerApi::new(entry.clone()));
        let medstack = web::Data::new(MedStackApi::new(entry.clone()));
        let bridgeport = web::Data::new(bridgeport::BridgeportApi::new(entry));
        let app = App::new().configure(|c| docker::configure(c, docker));
        let app = app.configure(|c| hyper::configure(c, hyper));
        let app = app.configure(|c| medstack::configure(c, medstack));
        let app = app.configure(|c| bridgeport::configure(c, bridgeport));
        let app = test::init_service(app.configure(|c| configure(c, state.clone()))).await;
        let mut request = test::TestRequest::default()
            .method(method.clone())
            .uri(url)
            .insert_header((header::HOST, "localhost"))
            .insert_header(("prefer", "respond-async"));
        if url.starts_with(HYPER) {
            let text = body.as_ref().map(Value::to_string).unwrap_or_default();
            for header in crate::hyper::sign(SUPER, method.as_str(), url, &text, self.clock.now()) {
                request = request.insert_header(header);
            }
        } else if !url.starts_with("/v2-beta/projects/1a5/") {
            request = request.insert_header((
                header::AUTHORIZATION,
                format!("Basic {}", STANDARD.encode(format!("{}:{}", SUPER.0, SUPER.1))),
            ));
        }
        if let Some(body) = body {
            request = request.set_json(body);
        }
        let response = test::call_service(&app, request.to_request()).await;
        let status = response.status();
        (
            status,
            serde_json::from_slice(&test::read_body(response).await).unwrap_or_default(),
        )
    }

    async fn settle(&self) -> Result<(), Died> {
        let engine = self.engine();
        match self.mode {
            // On the heap, or not optimized it takes more than a test's own stack.
            Mode::ManyHands => Box::pin(engine.settle()).await,
            _ => while !self.fate.is_dead() && Box::pin(engine.settle_next()).await {},
        }
        self.tell_names().await;
        self.tell_balancers().await;
        self.lived(engine.probe().await)
    }

    /// Tells balancers what is new, if there are any. One that cannot be told now is told the next time.
    async fn tell_balancers(&self) {
        let balancers = self.balancers.take();
        if let Some(mut balancers) = balancers {
            let _ = Box::pin(balancers.turn()).await;
            *self.balancers.borrow_mut() = Some(balancers);
        }
    }

    /// Makes and feeds name servers, if there are any. One that is cut off is told the next time.
    async fn tell_names(&self) {
        let names = self.names.take();
        if let Some(mut names) = names {
            let told = names.turn().await;
            assert!(told.is_ok() || self.fate.is_dead(), "{told:?}");
            *self.names.borrow_mut() = Some(names);
        }
    }

    /// Does something to the running container of this name on the engine.
    fn harm(&self, name: &str, how: impl FnOnce(&Sim, &str)) -> Result<(), Died> {
        let all = self.sim.containers();
        let it = all
            .iter()
            .find(|c| c.name == name && c.life == Life::Running)
            .expect("a running container of this name");
        how(&self.sim, &it.uuid);
        Ok(())
    }

    async fn pass(&self, time: Duration) -> Result<(), Died> {
        let until = self.clock.now().plus(time);
        while self.clock.now() < until {
            self.settle().await?;
            self.clock.advance(PROBE_EVERY);
            self.sim.tick();
        }
        self.settle().await
    }

    /// Lets time pass until nothing is due any more and no health is awaited.
    async fn rest(&self) -> Result<(), Died> {
        let engine = self.engine();
        let give_up = self.clock.now().plus(PATIENCE);
        loop {
            self.settle().await?;
            let now = self.clock.now();
            match engine.next_due() {
                Some(at) => self.clock.advance(at.since(now)),
                None if dump::awaits_health(&self.file) => self.clock.advance(PROBE_EVERY),
                None => return Ok(()),
            }
            assert!(now < give_up, "never quiet:\n{}", self.dump());
        }
    }

    /// What there is, in words that are the same in each run.
    pub fn dump(&self) -> String {
        let text = dump::dump(&self.file, &self.containers()) + &dump::told(&self.sim);
        self.identity.hide(text)
    }

    /// What must be so whenever nothing happens any more.
    pub fn check(&self) -> Result<(), String> {
        dump::check(&self.file, &self.containers())
    }

    pub fn begin(&self, death: Option<Death>) {
        self.fate.begin(death);
    }
}
