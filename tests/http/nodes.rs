//! The nodes of a cluster as hosts: they join, are drained, get lost, leave and come again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use drover::engine::Following;
use drover::runtime::sim::Sim;
use drover::runtime::{Availability, Cluster, Error, Life, Node, Result, Runtime, TunnelWay};
use serde_json::{Value, json};

use crate::support::{Agents, World, text};

/// A cluster of simulated engines, each at an address.
#[derive(Clone)]
struct Fake {
    nodes: Arc<Mutex<Result<Vec<Node>>>>,
    engines: Agents,
    clock: Arc<drover::model::time::ManualClock>,
}

impl Fake {
    fn of(w: &World) -> Self {
        Self {
            nodes: Arc::new(Mutex::new(Ok(Vec::new()))),
            engines: w.agents.clone(),
            clock: w.clock.clone(),
        }
    }

    fn set(&self, nodes: Vec<Node>) {
        *self.nodes.lock().unwrap() = Ok(nodes);
    }

    fn at(&self, address: &str) -> Arc<Sim> {
        let mut engines = self.engines.lock().unwrap();
        let made = engines.entry(address.to_owned()).or_insert_with(|| {
            let sim = Sim::new(self.clock.clone());
            sim.set_identity(address);
            Arc::new(sim)
        });
        made.clone()
    }
}

#[async_trait]
impl Cluster for Fake {
    async fn nodes(&self) -> Result<Vec<Node>> {
        self.nodes.lock().unwrap().clone()
    }

    fn engine(&self, _: &str, address: &str) -> Result<Arc<dyn Runtime>> {
        Ok(self.at(address))
    }

    fn engine_behind(&self, _: &str, way: TunnelWay) -> Arc<dyn Runtime> {
        self.at(&way.socket.to_string_lossy())
    }
}

fn node(id: &str) -> Node {
    Node {
        id: id.to_owned(),
        name: format!("machine-{id}"),
        engine: format!("tcp://{id}"),
        is_ready: true,
        availability: Availability::Active,
        labels: BTreeMap::new(),
    }
}

async fn follow(w: &World, fake: &Fake, project: Option<&str>) -> drover::model::Result<String> {
    let following = Following {
        cluster: Arc::new(fake.clone()),
        project: project.map(str::to_owned),
        labels: BTreeMap::from([("zone".to_owned(), "a".to_owned())]),
    };
    let words = w.engine.follow_cluster(following).await;
    w.settle().await;
    words
}

async fn look(w: &World) {
    w.engine.look_at_nodes().await.expect("the cluster answers");
    w.settle().await;
}

async fn host(w: &World, name: &str) -> Value {
    let hosts = w.list("hosts").await;
    let found = hosts.iter().find(|host| text(host, "name") == name);
    found.unwrap_or_else(|| panic!("no host {name}: {hosts:#?}")).clone()
}

#[actix_web::test]
async fn nodes_join_with_their_labels_and_follow_what_the_cluster_says() {
    let w = World::with_hosts(&[]).await;
    let fake = Fake::of(&w);
    fake.set(vec![node("a")]);
    assert_eq!(
        follow(&w, &fake, None).await.expect("it is followed"),
        "a swarm of 1 nodes"
    );
    let first = host(&w, "machine-a").await;
    assert_eq!(
        (text(&first, "state"), &first["labels"]["zone"]),
        ("active", &json!("a"))
    );

    let labelled = Node {
        labels: BTreeMap::from([
            ("disk".to_owned(), "ssd".to_owned()),
            ("zone".to_owned(), "b".to_owned()),
        ]),
        availability: Availability::Drain,
        ..node("a")
    };
    fake.set(vec![labelled, node("b")]);
    look(&w).await;
    let drained = host(&w, "machine-a").await;
    assert_eq!(text(&drained, "state"), "inactive");
    assert_eq!(
        (&drained["labels"]["disk"], &drained["labels"]["zone"]),
        (&json!("ssd"), &json!("b"))
    );
    assert_eq!(text(&host(&w, "machine-b").await, "state"), "active");

    // One that is made inactive by hand stays so, whatever its node was in between.
    let b = host(&w, "machine-b").await;
    w.act(text(&b, "id"), "deactivate", json!({})).await.ok();
    w.settle().await;
    fake.set(vec![
        node("a"),
        Node {
            availability: Availability::Pause,
            ..node("b")
        },
    ]);
    look(&w).await;
    fake.set(vec![node("a"), node("b")]);
    look(&w).await;
    let states = [host(&w, "machine-a").await, host(&w, "machine-b").await];
    assert_eq!(
        states.each_ref().map(|host| text(host, "state")),
        ["active", "inactive"]
    );
}

#[actix_web::test]
async fn a_node_that_the_cluster_does_not_hear_of_is_away() {
    let w = World::with_hosts(&[]).await;
    let fake = Fake::of(&w);
    fake.set(vec![node("a")]);
    follow(&w, &fake, None).await.expect("it is followed");
    fake.set(vec![Node {
        is_ready: false,
        ..node("a")
    }]);
    look(&w).await;
    assert_eq!(text(&host(&w, "machine-a").await, "state"), "disconnected");
    fake.set(vec![node("a")]);
    look(&w).await;
    assert_eq!(text(&host(&w, "machine-a").await, "state"), "active");

    // No manager answers: nothing is known of the nodes, and nothing changes.
    *fake.nodes.lock().unwrap() = Err(Error::Unreachable("no manager".into()));
    let refused = w.engine.look_at_nodes().await.expect_err("nobody answers");
    assert!(refused.chain().contains("no manager"), "{}", refused.chain());
    assert_eq!(text(&host(&w, "machine-a").await, "state"), "active");
}

#[actix_web::test]
async fn a_machine_that_leaves_and_joins_again_is_the_same_host() {
    let mut w = World::with_hosts(&[]).await;
    let fake = Fake::of(&w);
    fake.set(vec![node("a")]);
    follow(&w, &fake, None).await.expect("it is followed");
    let before = host(&w, "machine-a").await;
    let again = Node {
        engine: "tcp://a".into(),
        name: "machine-a".into(),
        ..node("z")
    };
    // Whose engine it is, is not known before it answers.
    fake.at("tcp://a").set_disconnected(true);
    fake.set(vec![again.clone()]);
    let waits = w.engine.look_at_nodes().await.expect_err("it is waited for");
    assert!(waits.chain().contains("machine-a is waited for"), "{}", waits.chain());
    fake.at("tcp://a").set_disconnected(false);
    look(&w).await;
    let hosts = w.list("hosts").await;
    assert_eq!(hosts.len(), 1, "{hosts:#?}");
    assert_eq!(hosts[0]["id"], before["id"]);

    // After a start it is tied at once, though no manager answers.
    w.restart().await;
    *fake.nodes.lock().unwrap() = Err(Error::Unreachable("no manager".into()));
    let words = follow(&w, &fake, None).await.expect("it is followed");
    assert!(
        words.contains("no manager") && words.contains("again and again"),
        "{words}"
    );
    assert_eq!(text(&host(&w, "machine-a").await, "state"), "active");

    // One that is removed comes back when the server is started again.
    let id = text(&before, "id").to_owned();
    w.act(&id, "deactivate", json!({})).await.ok();
    w.settle().await;
    w.act(&id, "remove", json!({})).await.ok();
    w.settle().await;
    fake.set(vec![again]);
    look(&w).await;
    assert!(w.list("hosts").await.is_empty());
    w.restart().await;
    follow(&w, &fake, None).await.expect("it is followed");
    assert_ne!(host(&w, "machine-a").await["id"], before["id"]);
}

#[actix_web::test]
async fn what_cannot_be_followed_says_so() {
    let w = World::with_hosts(&[]).await;
    let fake = Fake::of(&w);
    let refused = follow(&w, &fake, Some("nowhere"))
        .await
        .expect_err("there is no such project");
    assert!(
        refused
            .external
            .as_deref()
            .is_some_and(|why| why.contains("there is no project"))
    );
    fake.set(vec![Node {
        engine: String::new(),
        ..node("a")
    }]);
    let words = follow(&w, &fake, None).await.expect("it is followed");
    assert!(words.contains("drover.engine=tcp://"), "{words}");
    assert!(w.list("hosts").await.is_empty());
    let second = follow(&w, &fake, None).await.expect_err("there is one already");
    assert_eq!(second.external.as_deref(), Some("a server follows one swarm"));
}

/// An agent that dials in and leads to the engine of a node; its id.
async fn agent(w: &World, node: &str, project: &str) -> String {
    let made = json!({"uri": format!("tunnel://{node}"), "agentResourcesAccountId": project, "labels": {"rack": "7"}});
    let made = w.post("/v2-beta/agents", made).await.ok();
    let id = text(&made, "id").to_owned();
    let engine = w.engine_at(&format!("tunnel {id}"));
    engine.set_identity(&format!("engine of {node}"));
    engine.set_node(node);
    w.pass().await;
    id
}

/// The agent that a host says it has, to who may see that.
async fn agent_of(w: &World, host: &Value) -> String {
    let row = w.get(&format!("/v2-beta/hosts/{}", text(host, "id"))).await.ok();
    text(&row, "agentId").to_owned()
}

#[actix_web::test]
async fn a_node_that_an_agent_leads_to_is_one_host() {
    let mut w = World::with_hosts(&[]).await;
    let fake = Fake::of(&w);
    fake.at("tcp://b").set_disconnected(true);
    fake.set(vec![node("a"), node("b")]);
    follow(&w, &fake, None).await.expect("it is followed");
    let before = host(&w, "machine-b").await;
    assert_eq!(text(&before, "state"), "disconnected");
    let leading = agent(&w, "b", "1a5").await;
    look(&w).await;
    let is_led = async |w: &World| {
        assert_eq!(w.list("hosts").await.len(), 2);
        let host = host(w, "machine-b").await;
        let labels = (&host["labels"]["zone"], &host["labels"]["rack"]);
        assert_eq!(
            (&host["id"], text(&host, "state"), labels),
            (&before["id"], "active", (&json!("a"), &json!("7"))),
            "{host:#}"
        );
        assert_eq!(agent_of(w, &host).await, leading);
    };
    is_led(&w).await;
    let stack = w.stack("s").await;
    w.running(&stack, "web", json!({"scale": 2})).await;
    let there = w
        .engine_at(&format!("tunnel {leading}"))
        .observe()
        .await
        .expect("it answers");
    assert_eq!(there.len(), 1);

    // A start finds the way again; that the address answers, too, changes nothing.
    fake.at("tcp://b").set_disconnected(false);
    w.restart().await;
    follow(&w, &fake, None).await.expect("it is followed");
    look(&w).await;
    is_led(&w).await;

    // The machine leaves, and joins again as another node.
    w.engine_at(&format!("tunnel {leading}")).set_node("z");
    fake.set(vec![
        node("a"),
        Node {
            name: "machine-b".into(),
            engine: String::new(),
            ..node("z")
        },
    ]);
    look(&w).await;
    is_led(&w).await;

    // It goes with its agent, and comes with another one.
    let path = format!("/v2-beta/agents/{leading}");
    w.act(&path, "deactivate", json!({})).await.ok();
    w.settle().await;
    w.delete(&path).await.ok();
    w.advance(Duration::from_secs(5)).await;
    assert_eq!(w.list("hosts").await.len(), 1);
    agent(&w, "z", "1a5").await;
    assert_ne!(host(&w, "machine-b").await["id"], before["id"]);
}

#[actix_web::test]
async fn an_agent_on_a_node_waits_where_it_cannot_be_the_nodes_host() {
    let w = World::with_hosts(&[]).await;
    let fake = Fake::of(&w);
    let nowhere = Node {
        engine: String::new(),
        ..node("b")
    };
    fake.set(vec![node("a"), nowhere]);
    let words = follow(&w, &fake, None).await.expect("it is followed");
    assert!(words.contains("or start drover agent there"), "{words}");
    let why = async |agent: &str| {
        let row = w.get(&format!("/v2-beta/agents/{agent}")).await.ok();
        assert_eq!(text(&row, "state"), "activating", "{row:#}");
        text(&row, "transitioningMessage").to_owned()
    };
    let project = w.post("/v2-beta/projects", json!({"name": "other"})).await.ok();
    w.settle().await;
    let strange = agent(&w, "b", text(&project, "id")).await;
    assert_eq!(
        why(&strange).await,
        "Waiting for its host: its engine is that of node machine-b, whose host is of another project: let it join that one"
    );
    assert_eq!(w.list("hosts").await.len(), 1);

    // Whose node it is, only a manager knows.
    *fake.nodes.lock().unwrap() = Err(Error::Unreachable("no manager".into()));
    let made = json!({"uri": "tunnel://right", "agentResourcesAccountId": "1a5"});
    let right = text(&w.post("/v2-beta/agents", made).await.ok(), "id").to_owned();
    w.engine_at(&format!("tunnel {right}")).set_node("b");
    w.pass().await;
    assert!(why(&right).await.contains("whether in this one is not known"));
    fake.set(vec![node("a"), node("b")]);
    w.advance(Duration::from_secs(61)).await;
    assert_eq!(agent_of(&w, &host(&w, "machine-b").await).await, right);

    // Of two that lead there the first one does.
    let made = json!({"uri": "tunnel://second", "agentResourcesAccountId": "1a5"});
    let second = text(&w.post("/v2-beta/agents", made).await.ok(), "id").to_owned();
    w.engine_at(&format!("tunnel {second}")).set_node("b");
    w.pass().await;
    assert!(why(&second).await.contains("is that of host machine-b already"));
    assert_eq!(w.list("hosts").await.len(), 2);
}

/// The addresses of what runs on these engines, none of which is there twice.
async fn addresses(fake: &Fake, at: &[&str]) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for address in at {
        let engine = fake.at(address);
        let was_away = engine.ping().await.is_err();
        engine.set_disconnected(false);
        let found = engine.observe().await.expect("it answers");
        engine.set_disconnected(was_away);
        for one in found.iter().filter(|one| one.life == Life::Running) {
            let ip = one.ip.clone().expect("an address");
            assert!(all.insert(ip.clone()), "{ip} is there twice: {found:#?}");
        }
    }
    all
}

/// How the second node is reached.
#[derive(Clone, Copy, PartialEq)]
enum By {
    Address,
    Agent,
}

/// Two nodes with two containers each of a service of four, and the second of them is gone for so long that its host is given up.
/// The service, the host, and where the engine is.
async fn with_a_lost_node(by: By) -> (World, Fake, String, Value, String) {
    let w = World::with_hosts(&[]).await;
    for (name, value) in [
        ("host.remove.delay.seconds", "600"),
        ("host.remove.delay.startup.seconds", "0"),
    ] {
        w.post("/v2-beta/settings", json!({"name": name, "value": value}))
            .await
            .ok();
    }
    let fake = Fake::of(&w);
    fake.set(vec![node("a"), node("b")]);
    fake.at("tcp://b").set_disconnected(by == By::Agent);
    follow(&w, &fake, None).await.expect("it is followed");
    let at = match by {
        By::Address => "tcp://b".to_owned(),
        By::Agent => format!("tunnel {}", agent(&w, "b", "1a5").await),
    };
    let stack = w.stack("s").await;
    let service = w.running(&stack, "web", json!({"scale": 4, "retainIp": true})).await;
    let lost = host(&w, "machine-b").await;
    fake.at(&at).set_disconnected(true);
    fake.set(vec![
        node("a"),
        Node {
            is_ready: false,
            ..node("b")
        },
    ]);
    look(&w).await;
    w.advance(Duration::from_secs(500)).await;
    look(&w).await;
    assert_eq!(text(&host(&w, "machine-b").await, "state"), "disconnected");
    assert_eq!(addresses(&fake, &["tcp://a"]).await.len(), 2);
    // A simulated host that has an agent is away only when that has been silent for 180 seconds.
    let rest = if by == By::Agent { 650 } else { 200 };
    w.advance(Duration::from_secs(rest)).await;
    look(&w).await;
    w.advance(Duration::from_secs(5)).await;
    let row = w.show(text(&lost, "id")).await;
    assert_eq!(text(&row, "state"), "removing", "{row:#}");
    (w, fake, service, lost, at)
}

#[actix_web::test]
async fn what_ran_on_a_node_that_stays_away_comes_elsewhere_and_no_address_is_there_twice() {
    for by in [By::Address, By::Agent] {
        let (mut w, fake, service, lost, at) = with_a_lost_node(by).await;
        let both = ["tcp://a", at.as_str()];
        w.wait(&service, "active").await;
        assert_eq!(addresses(&fake, &["tcp://a"]).await.len(), 4);
        assert_eq!(addresses(&fake, &both).await.len(), 6);
        w.restart().await;
        follow(&w, &fake, None).await.expect("it is followed");
        w.put(&service, json!({"scale": 6})).await.ok();
        w.wait(&service, "active").await;
        assert_eq!(addresses(&fake, &both).await.len(), 8);

        // Back: what is there goes, and then it is a host again.
        fake.at(&at).set_disconnected(false);
        fake.set(vec![node("a"), node("b")]);
        for _ in 0..120 {
            look(&w).await;
            w.advance(Duration::from_secs(1)).await;
            let all = w.list("hosts").await;
            let back = all
                .iter()
                .find(|host| text(host, "name") == "machine-b" && host["id"] != lost["id"]);
            let left = fake.at(&at).observe().await.expect("it answers");
            addresses(&fake, &both).await;
            if let Some(back) = back {
                assert!(left.is_empty(), "{left:#?}");
                if text(back, "state") == "active" {
                    break;
                }
            }
        }
        assert_eq!(text(&host(&w, "machine-b").await, "state"), "active");
        assert_ne!(host(&w, "machine-b").await["id"], lost["id"]);
        w.put(&service, json!({"scale": 8})).await.ok();
        w.wait(&service, "active").await;
        assert_eq!(addresses(&fake, &[at.as_str()]).await.len(), 2);
        assert_eq!(addresses(&fake, &both).await.len(), 8);
    }
}

#[actix_web::test]
async fn a_node_that_is_taken_out_of_the_swarm_frees_its_addresses() {
    let (w, fake, service, lost, _) = with_a_lost_node(By::Address).await;
    w.wait(&service, "active").await;
    let left = |rows: &[Value]| rows.iter().filter(|row| row["hostId"] == lost["id"]).count();
    assert_eq!(left(&w.list("containers").await), 2);
    fake.set(vec![node("a")]);
    look(&w).await;
    w.advance(Duration::from_secs(30)).await;
    assert_eq!(left(&w.list("containers").await), 0);
    assert_eq!(w.list("hosts").await.len(), 1);
    assert_eq!(addresses(&fake, &["tcp://a"]).await.len(), 4);
}
