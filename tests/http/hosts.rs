//! Services on several hosts: one on each, moving away, ports, and how many fit.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{World, has, text};

const GLOBAL: &str = "io.rancher.scheduler.global";

/// The ids of the hosts by name.
async fn hosts(w: &World) -> Vec<String> {
    w.list("hosts?sort=id")
        .await
        .iter()
        .map(|h| text(h, "id").to_owned())
        .collect()
}

/// The hosts of a service's running containers, sorted.
async fn places(w: &World, service: &str) -> Vec<String> {
    let rows = w.containers(service).await;
    let mut places: Vec<String> = rows
        .iter()
        .filter(|c| c["state"] == "running")
        .map(|c| text(c, "hostId").to_owned())
        .collect();
    places.sort();
    places
}

async fn retire(w: &World, host: &str) {
    w.delete(host).await.refused(405, "Method not allowed");
    w.act(host, "deactivate", json!({}))
        .await
        .expect(202, json!({"state": "deactivating"}));
    w.wait(host, "inactive").await;
    w.delete(host).await.expect(200, json!({"state": "removing"}));
    w.wait(host, "removed").await;
}

#[actix_web::test]
async fn containers_are_spread_and_move_away_from_a_removed_host() {
    let w = World::with_hosts(&["a", "b"]).await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({"scale": 4})).await;
    let all = hosts(&w).await;
    let (a, b) = (all[0].as_str(), all[1].as_str());
    assert_eq!(places(&w, &id).await, [a, a, b, b]);
    let names = w.picture(&id).await;

    // Only deactivated: what runs there stays, nothing new comes.
    w.act(&all[1], "deactivate", json!({}))
        .await
        .expect(202, json!({"state": "deactivating"}));
    w.wait(&all[1], "inactive").await;
    w.put(&id, json!({"scale": 5})).await.ok();
    w.wait(&id, "active").await;
    assert_eq!(places(&w, &id).await, [a, a, a, b, b]);
    w.put(&id, json!({"scale": 4})).await.ok();
    w.wait(&id, "active").await;
    w.act(&all[1], "activate", json!({}))
        .await
        .expect(202, json!({"state": "activating"}));
    w.wait(&all[1], "active").await;

    retire(&w, &all[1]).await;
    w.wait(&id, "active").await;
    w.advance(Duration::from_secs(5)).await;
    assert_eq!(places(&w, &id).await, vec![all[0].clone(); 4]);
    assert_eq!(w.picture(&id).await, names, "they keep their names");
    assert_eq!(w.sims[0].1.containers().len(), 4);
}

#[actix_web::test]
async fn a_global_service_has_one_on_every_host_that_fits() {
    let mut w = World::with_hosts(&["a", "b"]).await;
    let stack = w.stack("s").await;
    let all = hosts(&w).await;
    w.put(&all[0], json!({"labels": {"Group": "Web"}})).await.ok();
    w.settle().await;
    let everywhere = w
        .running(
            &stack,
            "all",
            json!({"scale": 7, "launchConfig": {"labels": {GLOBAL: "true"}}}),
        )
        .await;
    let labels = json!({GLOBAL: "true", "io.rancher.scheduler.affinity:host_label": "group=web"});
    let some = w
        .running(&stack, "some", json!({"launchConfig": {"labels": labels}}))
        .await;
    assert_eq!(w.picture(&everywhere).await, ["s-all-1 running", "s-all-2 running"]);
    assert_eq!(places(&w, &everywhere).await, all);
    assert_eq!(places(&w, &some).await, [all[0].clone()]);
    has(
        &w.show(&everywhere).await,
        &json!({"healthState": "healthy", "currentScale": 2}),
        "global",
    );

    // A new host, and a new label.
    let third = w.add_host("c").await;
    w.put(&third, json!({"labels": {"group": "web"}})).await.ok();
    w.advance(Duration::from_secs(2)).await;
    w.wait(&everywhere, "active").await;
    w.wait(&some, "active").await;
    assert_eq!(places(&w, &everywhere).await.len(), 3);
    assert_eq!(places(&w, &some).await, [all[0].clone(), third.clone()]);

    // One goes.
    retire(&w, &all[1]).await;
    w.advance(Duration::from_secs(2)).await;
    assert_eq!(places(&w, &everywhere).await, [all[0].clone(), third.clone()]);

    // Upgrade and back: the same number.
    let mut new = json!({"imageUuid": "sim:new", "labels": {}});
    new["labels"][GLOBAL] = json!("true");
    w.act(
        &everywhere,
        "upgrade",
        json!({"inServiceStrategy": {"launchConfig": new}}),
    )
    .await
    .ok();
    w.wait(&everywhere, "upgraded").await;
    assert_eq!(places(&w, &everywhere).await.len(), 2);
    w.act(&everywhere, "rollback", json!({})).await.ok();
    w.wait(&everywhere, "active").await;
    w.advance(Duration::from_secs(3)).await;
    assert_eq!(places(&w, &everywhere).await, [all[0].clone(), third]);
    w.act(
        &everywhere,
        "upgrade",
        json!({"inServiceStrategy": {"launchConfig": {"imageUuid": "sim:new"}}}),
    )
    .await
    .refused(422, "InvalidOption");
}

#[actix_web::test]
async fn a_fixed_port_is_on_each_host_once() {
    let w = World::with_hosts(&["a", "b"]).await;
    let stack = w.stack("s").await;
    let ports = json!({"scale": 3, "launchConfig": {"ports": ["8080:80"]}});
    let id = w.service(&stack, "web", ports).await;
    assert_eq!(w.show(&id).await["launchConfig"]["ports"], json!(["8080:80/tcp"]));
    w.act(&id, "activate", json!({})).await.ok();
    w.advance(Duration::from_secs(5)).await;
    let row = w.show(&id).await;
    assert_eq!(
        (text(&row, "state"), text(&row, "transitioning")),
        ("activating", "yes"),
        "{row:#}"
    );
    assert!(
        text(&row, "transitioningMessage").contains("8080"),
        "{}",
        row["transitioningMessage"]
    );
    assert_eq!(places(&w, &id).await, hosts(&w).await);
    w.put(&id, json!({"scale": 2}))
        .await
        .expect(200, json!({"state": "activating"}));
    let row = w.wait(&id, "active").await;
    assert_eq!(row["transitioning"], "no");
    let mut endpoints: Vec<(String, Value)> = row["publicEndpoints"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|e| (text(e, "hostId").to_owned(), e["port"].clone()))
        .collect();
    endpoints.sort_by(|a, b| a.0.cmp(&b.0));
    let expected: Vec<(String, Value)> = hosts(&w).await.into_iter().map(|h| (h, json!(8080))).collect();
    assert_eq!(endpoints, expected);
    // The next service gets nothing of it, until the first has gone.
    let second = w
        .service(&stack, "second", json!({"launchConfig": {"ports": ["8080:80"]}}))
        .await;
    w.act(&second, "activate", json!({})).await.ok();
    w.advance(Duration::from_secs(5)).await;
    assert_eq!(w.show(&second).await["state"], "activating");
    w.delete(&id).await.ok();
    w.wait(&id, "removed").await;
    w.wait(&second, "active").await;
}

#[actix_web::test]
async fn endpoints_come_with_the_start_and_go_with_the_stop() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w
        .running(
            &stack,
            "web",
            json!({"launchConfig": {"ports": ["0.0.0.0:9090:90", "91"]}}),
        )
        .await;
    let row = w.show(&id).await;
    let random: u64 = text(&json!({"p": row["launchConfig"]["ports"][1]}), "p")
        .split(':')
        .next()
        .and_then(|p| p.parse().ok())
        .expect("a port");
    assert!((49_153..=65_535).contains(&random));
    let container = w.containers(&id).await[0]["id"].clone();
    let points = row["publicEndpoints"].as_array().cloned().unwrap_or_default();
    assert_eq!(points.len(), 2, "{row:#}");
    let bound = points.iter().find(|p| p["port"] == 9090).expect("the bound port");
    has(
        bound,
        &json!({"type": "publicEndpoint", "ipAddress": "0.0.0.0", "instanceId": container, "serviceId": id}),
        "bound",
    );
    assert!(points.iter().any(|p| p["port"] == random));
    w.act(&id, "deactivate", json!({})).await.ok();
    w.wait(&id, "inactive").await;
    w.settle().await;
    let points = w.show(&id).await["publicEndpoints"].clone();
    assert!(points.is_null() || points == json!([]), "{points}");
}

#[actix_web::test]
async fn random_ports_are_shared_by_a_service_and_given_back() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let kicks = json!([{"name": "side", "imageUuid": "sim:side", "ports": ["90"]}]);
    let body = json!({"launchConfig": {"ports": ["80", "81"]}, "secondaryLaunchConfigs": kicks});
    let first = w.service(&stack, "first", body.clone()).await;
    let row = w.show(&first).await;
    let mut drawn: Vec<String> = serde_json::from_value(row["launchConfig"]["ports"].clone()).expect("texts");
    drawn.push(text(&json!({"p": row["secondaryLaunchConfigs"][0]["ports"][0]}), "p").to_owned());
    let mut publics: Vec<&str> = drawn.iter().filter_map(|p| p.split(':').next()).collect();
    publics.sort_unstable();
    assert_eq!(publics, ["49153", "49154", "49155"]);
    let mut other = body.clone();
    other["launchConfig"]["ports"] = json!(["80"]);
    other["secondaryLaunchConfigs"] = json!([]);
    let second = w.service(&stack, "second", other.clone()).await;
    assert_eq!(w.show(&second).await["launchConfig"]["ports"], json!(["49156:80/tcp"]));
    w.delete(&first).await.ok();
    w.wait(&first, "removed").await;
    let third = w.service(&stack, "third", other).await;
    let ports = w.show(&third).await["launchConfig"]["ports"].clone();
    assert_eq!(ports, json!(["49153:80/tcp"]), "what the first had is free again");
}

#[actix_web::test]
async fn a_service_waits_while_all_random_ports_are_taken() {
    let w = World::new().await;
    let range = json!({"servicesPortRange": {"startPort": 50_000, "endPort": 50_019}});
    w.put("/v2-beta/projects/1a5", range).await.expect(200, json!({}));
    let stack = w.stack("s").await;
    let all: Vec<String> = (1..=20).map(|port| port.to_string()).collect();
    let greedy = w
        .service(&stack, "greedy", json!({"launchConfig": {"ports": all}}))
        .await;
    let body = json!({"name": "late", "stackId": stack, "launchConfig": {"imageUuid": "sim:web", "ports": ["80"]}});
    let id = text(&w.post("services", body).await.expect(201, json!({})), "id").to_owned();
    w.advance(Duration::from_secs(5)).await;
    let row = w
        .get(&id)
        .await
        .expect(200, json!({"state": "registering", "transitioning": "yes"}));
    assert!(
        text(&row, "transitioningMessage").contains("Not enough environment ports"),
        "{}",
        row["transitioningMessage"]
    );
    w.delete(&greedy).await.ok();
    w.wait(&greedy, "removed").await;
    w.wait(&id, "inactive").await;
}

#[actix_web::test]
async fn a_scale_policy_takes_as_many_as_fit() {
    let mut w = World::with_hosts(&["a", "b"]).await;
    let stack = w.stack("s").await;
    let policy = json!({"min": 1, "max": 3, "increment": 1});
    let body = json!({"scalePolicy": policy, "launchConfig": {"ports": ["8080:80"]}});
    let id = w.running(&stack, "web", body).await;
    assert_eq!(w.picture(&id).await, ["s-web-1 running", "s-web-2 running"]);
    has(
        &w.show(&id).await,
        &json!({"healthState": "healthy", "currentScale": 2, "transitioning": "no"}),
        "what fits",
    );
    w.add_host("c").await;
    w.advance(Duration::from_secs(2)).await;
    w.wait(&id, "active").await;
    assert_eq!(w.containers(&id).await.len(), 3);
    w.put(&id, json!({"scalePolicy": {"min": 1, "max": 1, "increment": 1}}))
        .await
        .expect(200, json!({"state": "updating-active"}));
    w.wait(&id, "active").await;
    assert_eq!(w.picture(&id).await, ["s-web-1 running"]);
    w.put(&id, json!({"scalePolicy": {"min": 3, "max": 2, "increment": 1}}))
        .await
        .refused(422, "MaxLimitExceeded");
}

#[actix_web::test]
async fn without_a_host_a_service_is_content_with_nothing() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let host = hosts(&w).await.remove(0);
    w.act(&host, "deactivate", json!({})).await.ok();
    w.wait(&host, "inactive").await;
    let id = w.running(&stack, "web", json!({"scale": 2})).await;
    assert!(w.containers(&id).await.is_empty());
    w.act(&host, "activate", json!({})).await.ok();
    w.advance(Duration::from_secs(2)).await;
    w.wait(&id, "active").await;
    assert_eq!(w.containers(&id).await.len(), 2);
}

#[actix_web::test]
async fn an_unreachable_host_holds_work_up_but_loses_none() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({})).await;
    w.sim().set_disconnected(true);
    w.put(&id, json!({"scale": 2})).await.ok();
    w.advance(Duration::from_secs(20)).await;
    assert_eq!(w.show(&id).await["state"], "updating-active");
    w.sim().set_disconnected(false);
    w.wait(&id, "active").await;
    assert_eq!(w.picture(&id).await, ["s-web-1 running", "s-web-2 running"]);
}

/// A world whose only host speaks by an agent, which is silent by now: the host is disconnected.
async fn with_a_silent_host() -> (World, String) {
    let w = World::with_hosts(&[]).await;
    let agent = json!({"uri": "sim://quiet", "agentResourcesAccountId": "1a5"});
    let agent = text(&w.post("/v2-beta/agents", agent).await.ok(), "id").to_owned();
    w.pass().await;
    let host = hosts(&w).await.remove(0);
    let silencer = json!({"imageUuid": "sim:one", "labels": {"simDisconnectAgent": "true"}});
    w.post("containers", silencer).await.ok();
    w.advance(Duration::from_secs(190)).await;
    assert_eq!(w.show(&host).await["state"], "disconnected");
    (w, format!("/v2-beta/agents/{agent}"))
}

/// What a row says while it waits for its host.
async fn waits(w: &World, id: &str, state: &str) {
    let row = w.show(id).await;
    assert_eq!(
        (text(&row, "state"), text(&row, "transitioning")),
        (state, "yes"),
        "{row:#}"
    );
    let message = text(&row, "transitioningMessage");
    assert!(message.starts_with("Waiting for"), "{message}");
}

#[actix_web::test]
async fn while_the_host_is_away_nothing_ends_without_its_containers() {
    let (w, agent) = with_a_silent_host().await;
    let stack = w.stack("s").await;
    let units = w.service(&stack, "units", json!({"scale": 2})).await;
    let everywhere = json!({"launchConfig": {"labels": {GLOBAL: "true"}}});
    let everywhere = w.service(&stack, "everywhere", everywhere).await;
    for id in [&units, &everywhere] {
        w.act(id, "activate", json!({})).await.ok();
    }
    let alone = w
        .post("containers", json!({"imageUuid": "sim:one", "name": "alone"}))
        .await
        .ok();
    let alone = text(&alone, "id").to_owned();
    w.advance(Duration::from_secs(120)).await;
    waits(&w, &units, "activating").await;
    waits(&w, &everywhere, "activating").await;
    waits(&w, &alone, "creating").await;

    let called = w.act(&agent, "reconnect", json!({})).await;
    called.expect(202, json!({"state": "reconnecting"}));
    w.advance(Duration::from_secs(20)).await;
    w.wait(&units, "active").await;
    w.wait(&everywhere, "active").await;
    w.wait(&alone, "running").await;
    assert_eq!(w.picture(&units).await, ["s-units-1 running", "s-units-2 running"]);
}

#[actix_web::test]
async fn an_upgrade_and_a_new_scale_wait_for_the_host_too() {
    let w = World::with_hosts(&[]).await;
    let agent = json!({"uri": "sim://quiet", "agentResourcesAccountId": "1a5"});
    let agent = text(&w.post("/v2-beta/agents", agent).await.ok(), "id").to_owned();
    w.pass().await;
    let stack = w.stack("s").await;
    let scaled = w.running(&stack, "scaled", json!({})).await;
    let upgraded = w.running(&stack, "upgraded", json!({})).await;
    let silencer = json!({"imageUuid": "sim:one", "labels": {"simDisconnectAgent": "true"}});
    w.post("containers", silencer).await.ok();
    w.advance(Duration::from_secs(190)).await;
    w.put(&scaled, json!({"scale": 2})).await.ok();
    let new = json!({"inServiceStrategy": {"launchConfig": {"imageUuid": "sim:new"}}});
    w.act(&upgraded, "upgrade", new).await.ok();
    w.advance(Duration::from_secs(120)).await;
    waits(&w, &scaled, "updating-active").await;
    waits(&w, &upgraded, "upgrading").await;
    w.act(&format!("/v2-beta/agents/{agent}"), "reconnect", json!({}))
        .await
        .ok();
    w.advance(Duration::from_secs(20)).await;
    w.wait(&scaled, "active").await;
    w.wait(&upgraded, "upgraded").await;
    assert_eq!(w.picture(&scaled).await, ["s-scaled-1 running", "s-scaled-2 running"]);
}

#[actix_web::test]
async fn without_any_host_a_container_says_so() {
    let w = World::with_hosts(&[]).await;
    let row = w.post("containers", json!({"imageUuid": "sim:one"})).await.ok();
    let id = text(&row, "id").to_owned();
    w.advance(Duration::from_secs(60)).await;
    let row = w.show(&id).await;
    let expected = json!({"state": "error", "transitioning": "error",
        "transitioningMessage": "Scheduling failed: No healthy hosts with sufficient resources available"});
    has(&row, &expected, "no host");
}

#[actix_web::test]
async fn what_is_reserved_on_a_host_is_not_there_for_others() {
    for (there, wanted, says) in [
        (
            json!({"memory": 1_000_000}),
            json!({"memoryReservation": 600_000}),
            "600000 bytes of memory",
        ),
        (
            json!({"milliCpu": 1_000}),
            json!({"milliCpuReservation": 600}),
            "600 thousandths of a core",
        ),
    ] {
        let w = World::new().await;
        let host = hosts(&w).await.remove(0);
        w.put(&host, there).await.ok();
        let stack = w.stack("s").await;
        let reserve = json!({"launchConfig": wanted});
        let first = w.running(&stack, "first", reserve.clone()).await;
        let second = w.service(&stack, "second", reserve).await;
        w.act(&second, "activate", json!({})).await.ok();
        w.advance(Duration::from_secs(5)).await;
        let row = w.show(&second).await;
        assert_eq!(text(&row, "state"), "activating", "{row:#}");
        assert!(text(&row, "transitioningMessage").contains(says), "{row:#}");
        w.delete(&first).await.ok();
        w.wait(&first, "removed").await;
        w.wait(&second, "active").await;
    }
}

#[actix_web::test]
async fn a_host_shows_what_is_published_on_it() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let host = hosts(&w).await.remove(0);
    assert!(w.show(&host).await["publicEndpoints"].is_null());
    let id = w
        .running(&stack, "web", json!({"launchConfig": {"ports": ["9090:90"]}}))
        .await;
    let alone = json!({"imageUuid": "sim:one", "name": "alone", "ports": ["1.2.3.4:9091:91"]});
    let alone = text(&w.post("containers", alone).await.ok(), "id").to_owned();
    w.wait(&alone, "running").await;
    let container = w.containers(&id).await[0]["id"].clone();
    let points = w.show(&host).await["publicEndpoints"].clone();
    assert_eq!(points.as_array().map(Vec::len), Some(2), "{points:#}");
    let of_service =
        json!({"type": "publicEndpoint", "port": 9090, "hostId": host, "serviceId": id, "instanceId": container});
    has(&points[0], &of_service, "of the service");
    let of_none = json!({"port": 9091, "ipAddress": "1.2.3.4", "serviceId": null, "instanceId": alone});
    has(&points[1], &of_none, "of no service");
    w.act(&id, "deactivate", json!({})).await.ok();
    w.wait(&id, "inactive").await;
    assert_eq!(w.show(&host).await["publicEndpoints"].as_array().map(Vec::len), Some(1));
}

#[actix_web::test]
async fn a_host_that_stays_away_is_removed_after_its_projects_delay() {
    let (w, agent) = with_a_silent_host().await;
    let host = hosts(&w).await.remove(0);
    let is_due = || w.stored().iter().any(|line| line.contains("\"removeAfter\":\""));
    assert!(!is_due(), "by default it stays");
    w.put("/v2-beta/projects/1a5", json!({"hostRemoveDelaySeconds": 1200}))
        .await
        .expect(200, json!({"hostRemoveDelaySeconds": 1200}));
    w.advance(Duration::from_secs(10)).await;
    assert!(is_due());
    // Taken away, or back in time: it stays.
    let none = json!({"hostRemoveDelaySeconds": null});
    w.put("/v2-beta/projects/1a5", none)
        .await
        .expect(200, json!({"hostRemoveDelaySeconds": null}));
    w.advance(Duration::from_secs(10)).await;
    assert!(!is_due());
    let setting = |value: i64| json!({"name": "host.remove.delay.seconds", "value": value.to_string()});
    w.post("/v2-beta/settings", setting(1200)).await.ok();
    w.advance(Duration::from_secs(10)).await;
    assert!(is_due());
    w.act(&agent, "reconnect", json!({})).await.ok();
    w.advance(Duration::from_secs(20)).await;
    assert!(!is_due() && w.show(&host).await["state"] == "active");
    w.advance(Duration::from_secs(1300)).await;
    assert_eq!(w.show(&host).await["state"], "active");

    let stack = w.stack("s").await;
    let silencer = json!({"name": "web", "stackId": stack, "startOnCreate": true,
        "launchConfig": {"imageUuid": "sim:one", "labels": {"simDisconnectAgent": "true"}}});
    w.post("services", silencer).await.ok();
    w.advance(Duration::from_secs(200)).await;
    assert_eq!(w.show(&host).await["state"], "disconnected");
    w.advance(Duration::from_secs(1000)).await;
    assert_eq!(w.show(&host).await["state"], "disconnected", "its time is not up");
    w.advance(Duration::from_secs(400)).await;
    w.advance(Duration::from_secs(10)).await;
    assert!(hosts(&w).await.is_empty(), "{:#}", w.show(&host).await);
    assert!(
        w.list("containers")
            .await
            .iter()
            .all(|row| row["hostId"] != json!(host))
    );
    w.post(
        "/v2-beta/settings",
        json!({"name": "host.remove.delay.seconds", "value": "soon"}),
    )
    .await
    .refused(422, "InvalidFormat");
}

#[actix_web::test]
async fn a_server_that_starts_gives_hosts_time_to_come_back() {
    let (mut w, _) = with_a_silent_host().await;
    let host = hosts(&w).await.remove(0);
    w.put("/v2-beta/projects/1a5", json!({"hostRemoveDelaySeconds": 0}))
        .await
        .ok();
    w.restart().await;
    w.advance(Duration::from_secs(600)).await;
    assert_eq!(w.show(&host).await["state"], "disconnected");
    w.advance(Duration::from_secs(400)).await;
    w.advance(Duration::from_secs(10)).await;
    assert!(hosts(&w).await.is_empty(), "{:#}", w.show(&host).await);
}
