//! A server with many engines at rest, and what it tells name servers.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::{Method, header};
use actix_web::{App, test, web};
use drover::api::{ApiOptions, ApiState, configure};
use drover::engine::{Attachment, Engine, EngineConfig};
use drover::model::time::SystemClock;
use drover::runtime::sim::{Sim, Told};
use drover::schema::Registry;
use drover::store::StoreConfig;
use serde_json::{Value, json};

use super::http::start_drover;
use super::life::Client;
use super::machine::{self, Cores, median};
use super::report::{Figure, Limit};

/// Engines, and containers of each.
const ENGINES: u32 = 20;
const EACH: u32 = 500;
/// How long a server is watched at rest: the comparison each minute falls into it once at least.
const REST: Duration = Duration::from_secs(75);
/// Services of a hundred containers each in the project whose name server is told.
const SERVICES: usize = 100;
const OF_ONE: usize = 100;
/// The uuid of the Default project.
const PROJECT: &str = "adminProject";

/// Simulated engines with all their containers up, and nothing to do.
pub fn at_rest(folder: &Path) -> Vec<Figure> {
    std::fs::create_dir_all(folder).expect("a writable folder");
    let server = start_drover(folder, Cores::All, &["--simulator"]);
    let client = Client(server.address);
    for number in 1..ENGINES {
        let agent = json!({"uri": format!("sim://engine-{number}"), "agentResourcesAccountId": "1a5"});
        client.post_to("/v2-beta/agents", &agent);
    }
    let began = Instant::now();
    while client.get("hosts?state=active")["data"].as_array().map_or(0, Vec::len) < ENGINES as usize {
        assert!(began.elapsed() < Duration::from_secs(60), "hosts come up");
        std::thread::sleep(Duration::from_millis(100));
    }
    for _ in 0..ENGINES {
        let service = client.service(EACH, "sim:web");
        client.wait(&service, "active", Duration::from_millis(50));
    }
    let up = began.elapsed();
    std::thread::sleep(Duration::from_secs(10));
    let (cpu, began) = (server.cpu(), Instant::now());
    std::thread::sleep(REST);
    let used = (server.cpu() - cpu) / began.elapsed().as_secs_f64() * 100.0;
    vec![Figure {
        name: format!("{ENGINES} engines with {EACH} containers each, at rest"),
        value: Some(used),
        unit: " % of a core",
        limit: Limit::AtMost(3.0, 1.0),
        from: format!(
            "over {} s; RssAnon {:.0} MiB; all were up after {:.0} s",
            REST.as_secs(),
            server.own_memory(),
            up.as_secs_f64()
        ),
    }]
}

/// A server in this process, and a simulated engine that has a name server.
struct Here {
    engine: Arc<Engine>,
    sim: Arc<Sim>,
    state: web::Data<ApiState>,
}

impl Here {
    async fn new(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).expect("a writable folder");
        let clock = Arc::new(SystemClock);
        let sim = Arc::new(Sim::new(clock.clone()));
        sim.allow_name_servers();
        let registry = Arc::new(Registry::load(None).expect("schemas that fit"));
        let store = StoreConfig::new(folder.join("drover.db"));
        let opened = Engine::open(registry, &store, clock, EngineConfig::default(), None).expect("a new database");
        let engine = Arc::new(opened.engine);
        engine.prepare().await.expect("seeds");
        engine.attach(Attachment::only(sim.clone())).await.expect("an engine");
        let state = web::Data::new(ApiState::new(engine.clone(), &ApiOptions::default()));
        Self { engine, sim, state }
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let app = test::init_service(App::new().configure(|c| configure(c, self.state.clone()))).await;
        let request = test::TestRequest::default()
            .method(Method::POST)
            .uri(&format!("/v2-beta/projects/1a5/{path}"))
            .insert_header((header::HOST, "localhost"))
            .set_json(&body);
        let response = test::call_service(&app, request.to_request()).await;
        let status = response.status();
        let body: Value = test::read_body_json(response).await;
        assert!(status.is_success(), "{status}: {body}");
        body
    }

    fn told(&self) -> Told {
        self.sim.told_names(PROJECT)
    }

    fn containers(&self) -> usize {
        self.sim.name_table(PROJECT).map_or(0, |table| {
            table.containers.values().filter(|c| c.state == "running").count()
        })
    }

    async fn until(&self, count: usize) {
        let began = Instant::now();
        while self.containers() < count {
            assert!(
                began.elapsed() < Duration::from_secs(600),
                "{} of {count}",
                self.containers()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Until nothing is told any more.
    async fn quiet(&self) {
        let mut told = self.told();
        loop {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            if std::mem::replace(&mut told, self.told()) == self.told() {
                return;
            }
        }
    }
}

/// What it costs the server to tell a name server of a project of ten thousand containers.
pub fn telling(folder: &Path) -> Vec<Figure> {
    actix_web::rt::System::new().block_on(tell(folder))
}

async fn tell(folder: &Path) -> Vec<Figure> {
    let here = Here::new(folder).await;
    let background = here.engine.start();
    let stack = here.post("stacks", json!({"name": "app"})).await["id"].clone();
    let service = |name: String, scale: usize| json!({"name": name, "stackId": stack, "scale": scale, "startOnCreate": true, "launchConfig": {"imageUuid": "sim:web"}});
    let mut ids = Vec::new();
    for nth in 0..SERVICES {
        ids.push(here.post("services", service(format!("service-{nth}"), OF_ONE)).await["id"].clone());
        if nth % 10 == 9 {
            here.until((nth + 1) * OF_ONE).await;
        }
    }
    here.quiet().await;
    let own = std::process::id();
    // The whole table, for comparison: what each change cost before.
    let (cpu, before) = (machine::cpu(own), here.told());
    here.sim.cut_feeds();
    let path = format!("services/{}?action=addservicelink", ids[0].as_str().expect("an id"));
    here.post(&path, json!({"serviceLink": {"serviceId": ids[1], "name": "whole"}}))
        .await;
    while here.told().snapshots == before.snapshots {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let whole = (machine::cpu(own) - cpu) * 1000.0;
    here.quiet().await;
    let (mut took, cpu) = (Vec::new(), machine::cpu(own));
    for nth in 0..50 {
        let deltas = here.told().deltas;
        let path = format!(
            "services/{}?action=addservicelink",
            ids[nth + 1].as_str().expect("an id")
        );
        let began = Instant::now();
        here.post(
            &path,
            json!({"serviceLink": {"serviceId": ids[0], "name": format!("link-{nth}")}}),
        )
        .await;
        while here.told().deltas == deltas {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        took.push(began.elapsed().as_secs_f64() * 1000.0);
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    let each = (machine::cpu(own) - cpu) * 1000.0 / took.len() as f64;
    here.quiet().await;
    let (before, began) = (here.told(), Instant::now());
    here.post("services", service("burst".into(), OF_ONE)).await;
    here.until((SERVICES + 1) * OF_ONE).await;
    let seconds = began.elapsed().as_secs_f64();
    here.quiet().await;
    let after = here.told();
    drop(background);
    here.engine.close();
    let deltas = (after.deltas - before.deltas) as f64;
    vec![
        Figure {
            name: "a commit told among 10,000 containers".into(),
            value: Some(median(&mut took)),
            unit: " ms",
            limit: Limit::AtMost(100.0, 50.0),
            from: format!(
                "from the request to the name server; {each:.1} CPU ms each with the request; the whole table takes {whole:.0}"
            ),
        },
        Figure {
            name: "differences told for each 100 ms of a service of 100 that comes up".into(),
            value: Some(deltas / (seconds * 10.0).max(1.0)),
            unit: "",
            limit: Limit::AtMost(1.2, 1.0),
            from: format!(
                "{deltas:.0} in {seconds:.2} s, {} entries, {} whole tables",
                after.entries - before.entries,
                after.snapshots - before.snapshots
            ),
        },
    ]
}
