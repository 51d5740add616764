//! What name servers are told: differences alone, of what changed alone; and together they make the table that would be told
//! whole.

use std::time::Duration;

use drover::engine::NameKeeper;
use drover::model::network_table::{Service, Table};
use drover::runtime::sim::Told;
use serde_json::{Value, json};

use crate::support::{World, text};

const PROJECT: &str = "adminProject";

struct Names {
    world: World,
    keeper: NameKeeper,
}

impl Names {
    async fn new() -> Self {
        let world = World::new().await;
        world.sim().allow_name_servers();
        let keeper = world.engine.names();
        Self { world, keeper }
    }

    /// Lets everything happen that is due, names included.
    async fn rest(&mut self) {
        for _ in 0..4 {
            self.world.settle().await;
            let _ = self.keeper.turn().await;
            self.world.advance(Duration::from_millis(200)).await;
        }
        self.keeper.turn().await.expect("nothing is in the way");
    }

    fn table(&self) -> Table {
        let table = self.world.sim().name_table(PROJECT).expect("there is a name server");
        Table { number: 0, ..table }
    }

    fn told(&self) -> Told {
        self.world.sim().told_names(PROJECT)
    }

    fn service(&self, name: &str) -> Service {
        let found = self.table().services.into_values().find(|service| service.name == name);
        found.unwrap_or_else(|| panic!("{name} is not told of"))
    }

    /// What was told in differences is what is told whole.
    async fn check(&mut self, what: &str) {
        self.rest().await;
        let differences = self.table();
        self.world.sim().cut_feeds();
        let snapshots = self.told().snapshots;
        self.keeper.turn().await.expect("nothing is in the way");
        assert_eq!(self.told().snapshots, snapshots + 1, "{what}: it is told whole");
        assert_eq!(differences, self.table(), "{what}");
    }

    async fn post(&self, path: &str, body: Value) -> String {
        text(&self.world.post(path, body).await.ok(), "id").to_owned()
    }

    async fn put(&self, path: &str, body: Value) {
        self.world.put(path, body).await.ok();
    }
}

fn web(name: &str, stack: &str, more: Value) -> Value {
    let mut body =
        json!({"name": name, "stackId": stack, "startOnCreate": true, "launchConfig": {"imageUuid": "sim:web"}});
    crate::support::lay_over(&mut body, more);
    body
}

#[actix_web::test]
async fn differences_make_the_table_that_would_be_told_whole() {
    let mut n = Names::new().await;
    let (near, far) = (n.world.stack("near").await, n.world.stack("far").await);
    let side = json!({"name": "side", "imageUuid": "sim:side", "networkLaunchConfig": "web"});
    let check =
        json!({"port": 80, "interval": 2000, "responseTimeout": 1000, "healthyThreshold": 2, "unhealthyThreshold": 3});
    let shop = json!({"scale": 2, "secondaryLaunchConfigs": [side], "launchConfig": {"ports": ["80/tcp"], "healthCheck": check}});
    let shop = n.post("services", web("web", &near, shop)).await;
    let db = n.post("services", web("db", &far, json!({}))).await;
    let alias = n.post("dnsServices", json!({"name": "alias", "stackId": near})).await;
    n.check("services with containers").await;

    let links = json!({"serviceLinks": [{"serviceId": shop}, {"serviceId": db, "name": "it"}, {"serviceId": db, "name": "again"}]});
    n.world
        .act(&format!("services/{alias}"), "setservicelinks", links.clone())
        .await
        .ok();
    n.world
        .act(
            &format!("services/{shop}"),
            "setservicelinks",
            json!({"serviceLinks": [{"serviceId": db, "name": "mysql"}]}),
        )
        .await
        .ok();
    n.check("links").await;
    n.put(&format!("services/{shop}"), json!({"scale": 4, "metadata": {"a": 1}}))
        .await;
    n.check("more containers").await;
    n.world.advance(Duration::from_secs(30)).await;
    n.check("health").await;
    let upgrade = json!({"inServiceStrategy": {"batchSize": 2, "intervalMillis": 100, "startFirst": true,
        "launchConfig": {"imageUuid": "sim:web:2", "labels": {"new": "1"}}}});
    n.world.act(&format!("services/{shop}"), "upgrade", upgrade).await.ok();
    n.rest().await;
    n.check("an upgrade").await;
    n.world.advance(Duration::from_secs(60)).await;
    n.rest().await;
    n.world
        .act(&format!("services/{shop}"), "finishupgrade", json!({}))
        .await
        .ok();
    n.check("the end of an upgrade").await;

    let alone = n
        .post(
            "containers",
            json!({"name": "alone", "imageUuid": "sim:web", "labels": {"colour": "blue"}}),
        )
        .await;
    n.rest().await;
    let sharing =
        json!({"name": "sharing", "imageUuid": "sim:web", "networkMode": "container", "networkContainerId": alone});
    let sharing = n.post("containers", sharing).await;
    let linked = json!({"name": "linked", "imageUuid": "sim:web", "instanceLinks": {"friend": alone}});
    n.post("containers", linked).await;
    n.check("containers that rest on another").await;
    let adopting = json!({"name": "adopting", "stackId": far, "startOnCreate": true, "selectorContainer": "colour=blue",
        "launchConfig": {"imageUuid": "docker:rancher/none"}});
    n.post("services", adopting).await;
    n.check("one that is adopted").await;
    n.world
        .act(&format!("containers/{alone}"), "stop", json!({}))
        .await
        .ok();
    n.check("a container that stops").await;
    n.world.delete(&format!("containers/{sharing}")).await.ok();
    n.world.delete(&format!("containers/{alone}")).await.ok();
    n.check("containers that go").await;

    for (path, name) in [
        (format!("services/{db}"), "base"),
        (format!("stacks/{far}"), "away"),
        ("/v2-beta/projects/1a5".to_owned(), "house"),
    ] {
        n.world
            .put(&path, json!({"name": name}))
            .await
            .expect(200, json!({"name": name}));
        n.check("another name").await;
    }
    let host = text(&n.world.list("hosts").await[0], "id").to_owned();
    n.put(
        &format!("hosts/{host}"),
        json!({"name": "tower", "labels": {"disk": "ssd"}}),
    )
    .await;
    n.check("a host").await;
    n.put(&format!("services/{shop}"), json!({"scale": 1})).await;
    n.check("fewer containers").await;
    n.world.delete(&format!("services/{db}")).await.ok();
    n.check("a service that goes").await;
    assert!(n.service("web").links.is_empty());
    n.world.delete(&format!("stacks/{near}")).await.ok();
    n.check("a stack that goes").await;
}

#[actix_web::test]
async fn what_changes_is_told_and_nothing_else() {
    let mut n = Names::new().await;
    let stack = n.world.stack("app").await;
    let services = ["a", "b", "c", "d"].map(|name| web(name, &stack, json!({"scale": 5})));
    let mut ids = Vec::new();
    for service in services {
        ids.push(n.post("services", service).await);
    }
    n.rest().await;
    assert_eq!(n.table().containers.len(), 20);
    let before = n.told();
    let container = text(&n.world.containers(&ids[0]).await[0], "id").to_owned();
    n.world
        .act(&format!("containers/{container}"), "stop", json!({}))
        .await
        .ok();
    n.rest().await;
    let after = n.told();
    assert_eq!(after.snapshots, before.snapshots, "by the way that was open");
    let entries = after.entries - before.entries;
    // It stops, and its service starts it again.
    assert!(
        (1..=6).contains(&entries) && after.deltas > before.deltas,
        "{before:?} {after:?}"
    );

    // However many containers come at once, what came together is told together.
    let before = n.told();
    n.put(&format!("services/{}", ids[1]), json!({"scale": 25})).await;
    n.world.settle().await;
    n.keeper.turn().await.expect("it is told");
    let after = n.told();
    assert_eq!(after.deltas, before.deltas + 1, "{before:?} {after:?}");
    assert!(
        (21..=30).contains(&(after.entries - before.entries)),
        "{before:?} {after:?}"
    );
    assert_eq!(after.snapshots, before.snapshots);
    assert_eq!(n.service("b").containers.len(), 25);
}

/// Rancher's metadata has one name for each target; its links have as many as were set.
#[actix_web::test]
async fn two_links_to_one_service_are_both_told() {
    let mut n = Names::new().await;
    let stack = n.world.stack("app").await;
    let shop = n.post("services", web("shop", &stack, json!({}))).await;
    let db = n.post("services", web("db", &stack, json!({}))).await;
    let links = json!({"serviceLinks": [{"serviceId": db, "name": "reader"}, {"serviceId": db, "name": "writer"}]});
    n.world
        .act(&format!("services/{shop}"), "setservicelinks", links)
        .await
        .ok();
    n.rest().await;
    let shop = n.service("shop");
    assert_eq!(shop.links, [("app/db".to_owned(), "writer".to_owned())].into());
    assert_eq!(
        shop.more_links,
        [("app/db".to_owned(), vec!["reader".to_owned()])].into()
    );
}
