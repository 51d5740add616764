//! The nodes of a cluster as hosts: they join, are drained, get lost, leave and come again.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use drover::engine::Following;
use drover::runtime::sim::Sim;
use drover::runtime::{Availability, Cluster, Error, Node, Result, Runtime};
use serde_json::{Value, json};

use crate::support::{World, text};

/// A cluster of simulated engines, each at an address.
#[derive(Clone)]
struct Fake {
    nodes: Arc<Mutex<Result<Vec<Node>>>>,
    engines: Arc<Mutex<HashMap<String, Arc<Sim>>>>,
    clock: Arc<drover::model::time::ManualClock>,
}

impl Fake {
    fn of(w: &World) -> Self {
        Self {
            nodes: Arc::new(Mutex::new(Ok(Vec::new()))),
            engines: Arc::default(),
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
