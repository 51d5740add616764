//! Random lives of two services against the state machine of `schemas/processes/service.json`: requests are taken where
//! it says so and refused elsewhere, every way ends, and what runs is what the rows say.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use serde_json::{Value, json};

use crate::support::{World, text};

/// So many lives.
const CASES: u32 = 200;
/// The longest life, in steps.
const STEPS: usize = 25;

const ACTIONS: &[&str] = &[
    "activate",
    "deactivate",
    "upgrade",
    "finishupgrade",
    "rollback",
    "cancelupgrade",
    "cancelrollback",
    "continueupgrade",
    "restart",
];

/// States in which containers may be put aside.
const UPGRADING: &[&str] = &[
    "upgrading",
    "upgraded",
    "finishing-upgrade",
    "canceling-upgrade",
    "canceled-upgrade",
    "rolling-back",
    "canceling-rollback",
    "canceled-rollback",
    "removing",
];

#[derive(Debug, Clone)]
enum Step {
    Act(usize, &'static str),
    /// One of those that are legal now.
    Legal(usize, usize),
    Scale(usize, i64),
    Kill(usize, usize),
    Forget(usize, usize),
    Stop(usize, usize),
    Delete(usize, usize),
    Remove(usize),
    Settle,
    Advance(u64),
    Restart,
}

fn any_step() -> impl Strategy<Value = Step> {
    let which = 0_usize..2;
    prop_oneof![
        4 => (which.clone(), prop::sample::select(ACTIONS)).prop_map(|(s, a)| Step::Act(s, a)),
        10 => (which.clone(), 0_usize..60).prop_map(|(s, n)| Step::Legal(s, n)),
        3 => (which.clone(), 0_i64..4).prop_map(|(s, n)| Step::Scale(s, n)),
        2 => (which.clone(), 0_usize..4).prop_map(|(s, n)| Step::Kill(s, n)),
        1 => (which.clone(), 0_usize..4).prop_map(|(s, n)| Step::Forget(s, n)),
        1 => (which.clone(), 0_usize..4).prop_map(|(s, n)| Step::Stop(s, n)),
        1 => (which.clone(), 0_usize..4).prop_map(|(s, n)| Step::Delete(s, n)),
        1 => which.prop_map(Step::Remove),
        6 => Just(Step::Settle),
        6 => prop::sample::select(vec![100_u64, 1_000, 4_000]).prop_map(Step::Advance),
        1 => Just(Step::Restart),
    ]
}

/// One line of the machine: from any of these states through `via` to `done`, for clients of these versions.
struct Edge {
    process: String,
    from: Vec<String>,
    via: String,
    done: String,
    versions: Vec<String>,
}

/// The machine, read from the file that the server reads.
struct Model {
    edges: Vec<Edge>,
    /// The states that services were seen in.
    seen: RefCell<BTreeSet<String>>,
}

impl Model {
    fn read() -> Self {
        let file: Value = serde_json::from_str(include_str!("../../schemas/processes/service.json")).expect("JSON");
        let texts = |value: &Value| {
            value
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|v| v.as_str().map(str::to_owned))
                .collect()
        };
        let edge = |line: &Value| Edge {
            process: text(line, "process").to_owned(),
            from: texts(&line["from"]),
            via: text(line, "via").to_owned(),
            done: text(line, "done").to_owned(),
            versions: texts(&line["versions"]),
        };
        Self {
            edges: file["transitions"].as_array().into_iter().flatten().map(edge).collect(),
            seen: RefCell::default(),
        }
    }

    /// Where a request leads from this state; none if it is refused.
    fn start(&self, process: &str, state: &str, version: &str) -> Option<&str> {
        let fits = |e: &&Edge| {
            e.process == process
                && e.from.iter().any(|f| f == state)
                && (e.versions.is_empty() || e.versions.iter().any(|v| v == version))
        };
        self.edges.iter().find(fits).map(|e| e.via.as_str())
    }

    fn is_transitioning(&self, state: &str) -> bool {
        self.edges.iter().any(|e| e.via == state)
    }

    /// Everything that time alone, and the engine's own `update`, may make of a state.
    fn by_itself(&self, state: &str) -> BTreeSet<String> {
        let mut seen = BTreeSet::from([state.to_owned()]);
        let mut open = vec![state.to_owned()];
        while let Some(state) = open.pop() {
            for edge in &self.edges {
                let next = if edge.via == state {
                    &edge.done
                } else if edge.process == "update" && edge.from.contains(&state) {
                    &edge.via
                } else {
                    continue;
                };
                if seen.insert(next.clone()) {
                    open.push(next.clone());
                }
            }
        }
        seen
    }
}

/// A service as the model knows it.
struct Service {
    id: String,
    state: String,
    scale: i64,
    /// Containers of an upgraded service are not brought back: what was taken away stays away.
    is_disturbed: bool,
}

impl Service {
    fn path(&self, version: &str) -> String {
        format!("/{version}/projects/1a5/services/{}", self.id)
    }
}

async fn run(model: &Model, steps: &[Step]) {
    let mut w = World::new().await;
    let stack = w.stack("s").await;
    let mut services = Vec::new();
    for (name, scale) in [("a", 1), ("b", 2)] {
        let id = w.service(&stack, name, json!({"scale": scale})).await;
        services.push(Service {
            id,
            state: "inactive".into(),
            scale,
            is_disturbed: false,
        });
    }
    for step in steps {
        take(&mut w, model, &mut services, step).await;
        for service in &mut services {
            look(&w, model, service).await;
        }
    }
    come_to_rest(&w).await;
    for service in &mut services {
        look(&w, model, service).await;
        at_rest(&w, model, service).await;
    }
    whole_world(&w).await;
    w.delete(&stack).await.ok();
    come_to_rest(&w).await;
    w.get(&stack).await.expect(200, json!({"state": "removed"}));
    assert!(w.sim().containers().is_empty(), "{:?}", w.sim().containers());
    assert!(w.list("containers").await.is_empty() && w.list("serviceexposemaps").await.is_empty());
}

/// Lets time pass until no process is open.
async fn come_to_rest(w: &World) {
    let mut open = Vec::new();
    for _ in 0..30 {
        w.advance(Duration::from_secs(1)).await;
        open = w.list("processinstances?endTime_null&limit=3000").await;
        if open.is_empty() {
            return w.pass().await;
        }
    }
    panic!("still at work: {open:#?}");
}

async fn take(w: &mut World, model: &Model, services: &mut [Service], step: &Step) {
    match step {
        Step::Act(which, action) => act(w, model, &mut services[*which], action).await,
        Step::Legal(which, n) => {
            let service = &mut services[*which];
            let legal: Vec<&str> = ACTIONS
                .iter()
                .filter(|a| model.start(a, &service.state, version_of(a)).is_some())
                .copied()
                .collect();
            if let Some(action) = legal.get(n % legal.len().max(1)) {
                act(w, model, service, action).await;
            }
        }
        Step::Scale(which, scale) => {
            let service = &mut services[*which];
            let answer = w.put(&service.path("v2-beta"), json!({"scale": scale})).await;
            match model.start("update", &service.state, "v2-beta") {
                _ if *scale == service.scale && service.state != "removed" => {
                    drop(answer.expect(200, json!({"scale": scale})))
                }
                Some(via) => {
                    answer.expect(200, json!({"scale": scale}));
                    (service.state, service.scale) = (via.to_owned(), *scale);
                }
                // It counts once the upgrade is finished or rolled back.
                None if service.state == "upgraded" => {
                    answer.expect(200, json!({"scale": scale, "state": "upgraded"}));
                    (service.scale, service.is_disturbed) = (*scale, true);
                }
                None => drop(answer.refused(409, "Conflict")),
            }
        }
        Step::Remove(which) => {
            let service = &mut services[*which];
            let answer = w.delete(&service.path("v2-beta")).await;
            match model.start("remove", &service.state, "v2-beta") {
                Some(via) => {
                    answer.expect(200, json!({"state": via}));
                    service.state = via.to_owned();
                }
                None if matches!(service.state.as_str(), "removing" | "removed") => {
                    drop(answer.expect(200, json!({"id": service.id})))
                }
                None => drop(answer.refused(405, "Method not allowed")),
            }
        }
        Step::Kill(which, n) | Step::Forget(which, n) | Step::Stop(which, n) | Step::Delete(which, n) => {
            let service = &mut services[*which];
            let containers = w.containers(&service.id).await;
            let Some(container) = containers.get(*n) else { return };
            service.is_disturbed = true;
            let id = text(container, "id");
            match step {
                Step::Kill(..) => drop(w.sim().kill(text(container, "uuid"))),
                Step::Forget(..) => drop(w.sim().forget(text(container, "uuid"))),
                Step::Stop(..) => drop(w.act(id, "stop", json!({})).await),
                _ => drop(w.delete(id).await),
            }
        }
        Step::Settle => w.settle().await,
        Step::Advance(ms) => w.advance(Duration::from_millis(*ms)).await,
        Step::Restart => w.restart().await,
    }
}

/// The version that has an action.
fn version_of(action: &str) -> &'static str {
    if action == "cancelrollback" { "v1" } else { "v2-beta" }
}

async fn act(w: &World, model: &Model, service: &mut Service, action: &str) {
    let version = version_of(action);
    let body = match action {
        "upgrade" => json!({"inServiceStrategy": {"intervalMillis": 500, "launchConfig": {"imageUuid": "sim:new"}}}),
        "restart" => json!({"rollingRestartStrategy": {"intervalMillis": 500}}),
        _ => json!({}),
    };
    let answer = w.act(&service.path(version), action, body).await;
    match model.start(action, &service.state, version) {
        Some(via) => {
            answer.expect(202, json!({}));
            service.state = via.to_owned();
            service.is_disturbed = false;
            let row = w
                .get(&service.path("v1"))
                .await
                .expect(200, json!({"state": via, "transitioning": "yes"}));
            model.seen.borrow_mut().insert(text(&row, "state").to_owned());
        }
        None => drop(answer.refused(422, "ActionNotAvailable")),
    }
}

/// What holds at every moment; takes over the state that was reached.
async fn look(w: &World, model: &Model, service: &mut Service) {
    let row = w.show(&service.path("v1")).await;
    let state = text(&row, "state").to_owned();
    assert!(
        model.by_itself(&service.state).contains(&state),
        "{} came from {} to {state}",
        service.id,
        service.state
    );
    assert_eq!(row["transitioning"] == "yes", model.is_transitioning(&state), "{row:#}");
    assert_ne!(row["transitioning"], "error", "{row:#}");
    assert_eq!(row["scale"], service.scale);
    let parked = w
        .list(&format!("serviceexposemaps?serviceId={}&upgrade=true", service.id))
        .await;
    let parked = parked.iter().filter(|m| m["upgrade"] == true).count();
    assert!(
        parked == 0 || UPGRADING.contains(&state.as_str()),
        "{parked} put aside while {state}"
    );
    model.seen.borrow_mut().insert(state.clone());
    service.state = state;
}

/// What holds when nothing is left to be done.
async fn at_rest(w: &World, model: &Model, service: &Service) {
    let state = service.state.as_str();
    assert!(
        !model.is_transitioning(state),
        "{} stays {state}: {:#}",
        service.id,
        w.show(&service.path("v1")).await
    );
    let picture = w.picture(&service.id).await;
    let running = picture.iter().filter(|line| line.ends_with(" running")).count();
    let old = picture.iter().filter(|line| line.ends_with(" old")).count();
    let scale = usize::try_from(service.scale).expect("small");
    match state {
        "active" => assert_eq!((running, picture.len()), (scale, scale), "{picture:?}"),
        "inactive" => assert_eq!(running, 0, "{picture:?}"),
        "removed" => assert!(picture.is_empty(), "{picture:?}"),
        "upgraded" if !service.is_disturbed => {
            assert_eq!((running, picture.len() - old), (scale, scale), "{picture:?}")
        }
        _ => {}
    }
    assert!(
        !picture.iter().any(|line| line.ends_with(" running old")),
        "{picture:?}"
    );
    let names: BTreeSet<&String> = picture.iter().filter(|line| !line.ends_with(" old")).collect();
    assert_eq!(names.len(), picture.len() - old, "{picture:?}");
}

/// Every container of the engine has a live row, and every live row its container.
async fn whole_world(w: &World) {
    let rows = w.list("containers?limit=3000").await;
    let state = |s: &str| {
        if matches!(s, "running" | "stopped") {
            s.to_owned()
        } else {
            format!("in between: {s}")
        }
    };
    let known: BTreeMap<String, String> = rows
        .iter()
        .map(|r| (text(r, "uuid").to_owned(), state(text(r, "state"))))
        .collect();
    let life = |life| {
        if life == drover::runtime::Life::Running {
            "running"
        } else {
            "stopped"
        }
    };
    let made: BTreeMap<String, String> = w
        .sim()
        .containers()
        .into_iter()
        .map(|c| (c.uuid, life(c.life).to_owned()))
        .collect();
    assert_eq!(known, made, "rows and containers");
}

#[test]
fn any_life_of_two_services_keeps_to_the_machine() {
    let model = Model::read();
    let cases = std::env::var("DROVER_TEST_CASES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(CASES);
    let config = Config {
        cases,
        max_shrink_iters: 200,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let result = runner.run(&prop::collection::vec(any_step(), 0..=STEPS), |steps| {
        actix_web::rt::System::new().block_on(run(&model, &steps));
        Ok(())
    });
    match result {
        Ok(()) => {
            let seen = model.seen.borrow();
            // A service that is only created is never looked at, and one is created before each life.
            let missed: Vec<&String> = model
                .edges
                .iter()
                .flat_map(|e| [&e.via, &e.done])
                .filter(|s| *s != "registering" && !seen.contains(*s))
                .collect();
            assert!(cases < CASES || missed.is_empty(), "no life came to {missed:?}");
        }
        Err(TestError::Fail(why, steps)) => panic!("{why}\nafter {steps:?}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}
