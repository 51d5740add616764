//! Containers of no service: their life, and what else lives with them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{World, actions, has, lay_over, text};

/// A new container; gives its id.
async fn container(w: &World, more: Value) -> String {
    let mut body = json!({"name": "one", "imageUuid": "sim:web"});
    lay_over(&mut body, more);
    let row = w.post("containers", body).await.expect(
        201,
        json!({"type": "container", "state": "creating", "transitioning": "yes"}),
    );
    text(&row, "id").to_owned()
}

#[actix_web::test]
async fn a_container_is_made_started_stopped_and_removed() {
    let w = World::new().await;
    let id = container(&w, json!({"startOnCreate": false})).await;
    let row = w.wait(&id, "stopped").await;
    assert_eq!(actions(&row), ["error", "logs", "remove", "start", "update"]);
    // Nothing is known of where it will be, and no engine has heard of it.
    let unplaced = json!({"hostId": null, "externalId": null, "primaryIpAddress": null});
    w.get(&id).await.expect(200, unplaced);
    assert_eq!(
        (w.sim().count("pull"), w.sim().count("create"), w.sim().count("start")),
        (0, 0, 0)
    );
    let row = w
        .act(&id, "start", json!({}))
        .await
        .expect(202, json!({"state": "starting", "transitioning": "yes"}));
    assert_eq!(actions(&row), ["stop"]);
    w.settle().await;
    let row = w
        .get(&id)
        .await
        .expect(200, json!({"state": "running", "startCount": 1, "transitioning": "no"}));
    assert_eq!(
        actions(&row),
        ["execute", "logs", "migrate", "proxy", "restart", "stop", "update"]
    );
    let first = row["firstRunning"].clone();
    assert!(first.is_string());
    w.clock.advance(Duration::from_secs(60));

    w.act(&id, "restart", json!({}))
        .await
        .expect(202, json!({"state": "restarting"}));
    w.settle().await;
    w.get(&id)
        .await
        .expect(200, json!({"state": "running", "startCount": 2, "firstRunning": first}));
    w.act(&id, "stop", json!({"timeout": 3}))
        .await
        .expect(202, json!({"state": "stopping"}));
    w.act(&id, "start", json!({})).await.refused(422, "ActionNotAvailable");
    w.settle().await;
    w.act(&id, "start", json!({}))
        .await
        .expect(202, json!({"state": "starting"}));
    w.settle().await;
    w.get(&id)
        .await
        .expect(200, json!({"state": "running", "startCount": 3, "firstRunning": first}));
    w.act(&id, "remove", json!({})).await.refused(422, "ActionNotAvailable");

    w.delete(&id).await.expect(200, json!({"state": "stopping"}));
    w.settle().await;
    let row = w.get(&id).await.expect(200, json!({"state": "removed"}));
    assert!(row["removed"].is_string() && actions(&row) == ["purge"], "{row:#}");
    assert!(w.sim().containers().is_empty() && w.list("containers").await.is_empty());
    w.delete(&id).await.expect(200, json!({"state": "removed"}));
    w.act(&id, "purge", json!({}))
        .await
        .expect(202, json!({"state": "purging"}));
    w.settle().await;
    w.get(&id).await.expect(200, json!({"state": "purged", "actions": {}}));
}

#[actix_web::test]
async fn stopping_with_remove_takes_the_container_and_its_ports_away() {
    let w = World::new().await;
    let id = container(&w, json!({"ports": ["8080:80", "81/udp"]})).await;
    let ports = w.list(&format!("containers/{id}/ports")).await;
    assert_eq!(
        ports.iter().map(|p| text(p, "state")).collect::<Vec<_>>(),
        ["inactive", "inactive"]
    );
    w.settle().await;
    let ports = w.list(&format!("ports?instanceId={id}&sort=privatePort")).await;
    has(
        &json!(ports),
        &json!([
            {"state": "active", "publicPort": 8080, "privatePort": 80, "protocol": "tcp", "instanceId": id},
            {"state": "active", "privatePort": 81, "protocol": "udp"},
        ]),
        "ports",
    );
    assert!(ports[1]["publicPort"].as_i64() >= Some(49_153), "{}", ports[1]);
    w.act(&id, "stop", json!({})).await.ok();
    w.settle().await;
    let kept = w.list(&format!("ports?instanceId={id}&sort=privatePort")).await;
    assert!(kept.iter().all(|p| p["state"] == "inactive"));
    assert_eq!(kept[1]["publicPort"], ports[1]["publicPort"]);
    w.act(&id, "start", json!({})).await.ok();
    w.settle().await;
    w.act(&id, "stop", json!({"remove": true}))
        .await
        .expect(202, json!({"state": "stopping"}));
    w.settle().await;
    w.get(&id).await.expect(200, json!({"state": "removed"}));
    assert!(w.list(&format!("ports?instanceId={id}")).await.is_empty());
    assert!(w.list("ports").await.is_empty());
}

#[actix_web::test]
async fn a_count_makes_a_collection() {
    let w = World::new().await;
    let page = w
        .post(
            "containers",
            json!({"name": "many", "imageUuid": "sim:web", "count": 3}),
        )
        .await;
    let page = page.expect(201, json!({"type": "collection", "resourceType": "container"}));
    assert_eq!(page["data"].as_array().map(Vec::len), Some(3));
    w.settle().await;
    let rows = w.list("containers?name=many&state=running").await;
    assert_eq!(rows.len(), 3);
    let mut made: Vec<String> = w.sim().containers().into_iter().map(|c| c.name).collect();
    made.sort();
    assert_eq!(made, ["many", "many-2", "many-3"]);
    for (count, code) in [
        (0, "MinLimitExceeded"),
        (-1, "MinLimitExceeded"),
        (100_000, "MaxLimitExceeded"),
    ] {
        w.post("containers", json!({"imageUuid": "sim:web", "count": count}))
            .await
            .refused(422, code);
    }
    w.post("containers", json!({"imageUuid": "sim:web", "count": 1}))
        .await
        .expect(201, json!({"type": "container"}));
}

#[actix_web::test]
async fn a_container_needs_an_image() {
    let w = World::new().await;
    for body in [
        json!({}),
        json!({"imageUuid": null}),
        json!({"imageUuid": "rancher/none"}),
    ] {
        let refusal = w.post("containers", body).await.refused(422, "MissingRequired");
        assert_eq!(refusal["fieldName"], "imageUuid");
        assert_eq!(refusal["message"], "image is required, but not specified");
    }
    // Of no known kind.
    for image in ["", "nocolon", "foo:bar"] {
        let body = json!({"imageUuid": image});
        let refusal = w.post("containers", body).await.refused(422, "InvalidReference");
        assert_eq!(refusal["fieldName"], "imageUuid");
    }
}

#[actix_web::test]
async fn network_modes_decide_on_the_address() {
    let w = World::new().await;
    let provider = container(&w, json!({"name": "provider"})).await;
    w.settle().await;
    let cases = [
        (json!(null), None),
        (json!("none"), None),
        (json!("host"), None),
        (json!("bridge"), Some("172.17.")),
        (json!("managed"), Some("10.42.")),
    ];
    for (mode, prefix) in cases {
        let id = container(
            &w,
            json!({"name": format!("in-{mode}").replace('"', ""), "networkMode": mode}),
        )
        .await;
        w.settle().await;
        let row = w
            .get(&id)
            .await
            .expect(200, json!({"state": "running", "networkMode": mode}));
        let address = row["primaryIpAddress"].as_str();
        assert!(
            address.is_some() == prefix.is_some() && address.is_none_or(|a| a.starts_with(prefix.unwrap_or("?"))),
            "{mode}: {row:#}"
        );
    }
    let id = container(&w, json!({"networkMode": "container", "networkContainerId": provider})).await;
    w.settle().await;
    w.get(&id).await.expect(
        200,
        json!({"state": "running", "primaryIpAddress": null, "networkContainerId": provider}),
    );
    // Whoever lives in its network cannot go on without it.
    w.delete(&provider).await.ok();
    w.settle().await;
    w.get(&id).await.expect(200, json!({"state": "stopped"}));

    let id = container(&w, json!({"name": "unknown", "networkMode": "foo"})).await;
    w.settle().await;
    w.get(&id).await.expect(
        200,
        json!({"transitioningMessage": "Failed to find network for networkMode foo"}),
    );
    w.advance(Duration::from_secs(20)).await;
    w.get(&id).await.expect(
        200,
        json!({"state": "error", "transitioning": "error", "transitioningMessage": "Failed to find network for networkMode foo"}),
    );
    w.post("containers", json!({"imageUuid": "sim:x", "networkMode": "container"}))
        .await
        .expect(
            422,
            json!({"code": "MissingRequired", "fieldName": "networkContainerId"}),
        );
    w.post(
        "containers",
        json!({"imageUuid": "sim:x", "networkMode": "container", "networkContainerId": "1i999999"}),
    )
    .await
    .expect(
        422,
        json!({"code": "InvalidReference", "fieldName": "networkContainerId"}),
    );
}

#[actix_web::test]
async fn requested_addresses_are_given_in_their_order_and_come_back() {
    let w = World::new().await;
    let wanting = |name: &str, list: &str| json!({"name": name, "labels": {"io.rancher.container.requested_ip": list}});
    let mut ids = Vec::new();
    for (name, expected) in [("first", "10.42.200.1"), ("second", "10.42.200.2")] {
        let id = container(&w, wanting(name, "10.42.200.1, 10.42.200.2")).await;
        w.settle().await;
        w.get(&id)
            .await
            .expect(200, json!({"primaryIpAddress": expected, "state": "running"}));
        ids.push(id);
    }
    // All are taken: any will do.
    let id = container(&w, wanting("third", "10.42.200.1,10.42.200.2,999.1.1.1,nonsense")).await;
    w.settle().await;
    let row = w.show(&id).await;
    assert!(text(&row, "primaryIpAddress").starts_with("10.42."), "{row:#}");
    // A stopped one keeps its own.
    w.act(&ids[0], "stop", json!({})).await.ok();
    w.delete(&ids[1]).await.ok();
    w.settle().await;
    let id = container(&w, wanting("fourth", "10.42.200.1,10.42.200.2")).await;
    w.settle().await;
    w.get(&id).await.expect(200, json!({"primaryIpAddress": "10.42.200.2"}));
}

#[actix_web::test]
async fn a_start_that_keeps_failing_ends_in_error() {
    let w = World::new().await;
    let id = container(&w, json!({"labels": {"sim.fail": "start"}})).await;
    w.settle().await;
    let message = "Failing [compute.instance.activate]";
    w.get(&id).await.expect(
        200,
        json!({"state": "starting", "transitioning": "yes", "transitioningMessage": message}),
    );
    w.advance(Duration::from_secs(30)).await;
    let row = w.get(&id).await.expect(
        200,
        json!({"state": "error", "transitioning": "error", "transitioningMessage": message}),
    );
    assert_eq!(actions(&row), ["remove"]);
    assert_eq!(w.sim().count("start"), 5);
    w.act(&id, "start", json!({})).await.refused(422, "ActionNotAvailable");
    w.delete(&id).await.expect(200, json!({"state": "removing"}));
    w.settle().await;
    w.get(&id)
        .await
        .expect(200, json!({"state": "removed", "transitioning": "no"}));
    assert!(w.sim().containers().is_empty());

    // One that works at the third try is none.
    let id = container(
        &w,
        json!({"name": "two", "labels": {"sim.fail": "start", "sim.fail.times": "2"}}),
    )
    .await;
    w.advance(Duration::from_secs(30)).await;
    w.get(&id).await.expect(
        200,
        json!({"state": "running", "transitioning": "no", "transitioningMessage": null}),
    );
    for (step, message) in [
        ("create", "Failing [compute.instance.create]"),
        ("pull", "Failing [storage.image.activate]"),
    ] {
        let id = container(&w, json!({"name": format!("no-{step}"), "labels": {"sim.fail": step}})).await;
        w.advance(Duration::from_secs(30)).await;
        w.get(&id)
            .await
            .expect(200, json!({"state": "error", "transitioningMessage": message}));
    }
}

#[actix_web::test]
async fn a_container_that_ran_before_is_only_stopped_by_a_failing_start() {
    let w = World::new().await;
    let id = container(&w, json!({"ports": ["8085:80"]})).await;
    w.settle().await;
    w.act(&id, "stop", json!({})).await.ok();
    w.settle().await;
    w.sim().hold_port(8085);
    w.act(&id, "start", json!({})).await.ok();
    w.advance(Duration::from_secs(30)).await;
    let row = w
        .get(&id)
        .await
        .expect(200, json!({"state": "stopped", "transitioning": "error"}));
    assert!(text(&row, "transitioningMessage").contains("8085"), "{row:#}");
    w.sim().release_port(8085);
    w.act(&id, "start", json!({})).await.ok();
    w.settle().await;
    w.get(&id).await.expect(
        200,
        json!({"state": "running", "transitioning": "no", "transitioningMessage": null}),
    );
}

#[actix_web::test]
async fn a_stop_or_a_removal_that_fails_is_tried_until_it_works() {
    let w = World::new().await;
    for step in ["stop", "remove"] {
        let id = container(&w, json!({"labels": {"sim.fail": step, "sim.fail.times": "3"}})).await;
        w.settle().await;
        w.delete(&id).await.ok();
        w.settle().await;
        let row = w.get(&id).await.expect(200, json!({"transitioning": "yes"}));
        assert!(text(&row, "transitioningMessage").starts_with("Failing ["), "{row:#}");
        w.advance(Duration::from_secs(30)).await;
        w.get(&id).await.expect(200, json!({"state": "removed"}));
    }
}

#[actix_web::test]
async fn what_happens_on_the_engine_happens_to_the_row() {
    let w = World::new().await;
    let id = container(&w, json!({})).await;
    w.settle().await;
    let uuid = text(&w.show(&id).await, "uuid").to_owned();
    w.sim().kill(&uuid);
    w.pass().await;
    w.get(&id).await.expect(200, json!({"state": "stopped"}));
    w.act(&id, "start", json!({})).await.ok();
    w.settle().await;
    w.sim().forget(&uuid);
    w.pass().await;
    w.get(&id).await.expect(200, json!({"state": "removed"}));
    // One that is to go when it ends does so.
    let id = container(
        &w,
        json!({"instanceTriggeredStop": "remove", "labels": {"sim.exit": "0:5000"}}),
    )
    .await;
    w.settle().await;
    w.advance(Duration::from_secs(7)).await;
    w.get(&id).await.expect(200, json!({"state": "removed"}));
}

#[actix_web::test]
async fn volumes_are_active_while_they_are_mounted() {
    let w = World::new().await;
    let id = container(&w, json!({"dataVolumes": ["data:/data", "/host:/in:ro"]})).await;
    w.settle().await;
    let mounts = w.list(&format!("containers/{id}/mounts?sort=path")).await;
    assert_eq!(mounts.len(), 2, "{mounts:#?}");
    let volume = w.list("volumes?name=data").await.remove(0);
    has(
        &volume,
        &json!({"state": "active", "driver": "local", "isHostPath": false, "uri": volume["uri"]}),
        "volume",
    );
    let own = text(&volume, "id").to_owned();
    w.delete(&own).await.refused(405, "Method not allowed");
    let row = w.show(&id).await;
    assert_eq!(row["mounts"].as_array().map(Vec::len), Some(2), "{row:#}");
    let other = container(&w, json!({"name": "two", "dataVolumes": ["data:/data"]})).await;
    w.settle().await;
    assert_eq!(w.list("volumes?name=data").await.len(), 1);
    w.delete(&id).await.ok();
    w.settle().await;
    w.get(&own).await.expect(200, json!({"state": "active"}));
    w.delete(&other).await.ok();
    w.settle().await;
    w.get(&own).await.expect(200, json!({"state": "detached"}));
    let again = container(&w, json!({"name": "three", "dataVolumes": ["data:/data"]})).await;
    w.settle().await;
    w.get(&own).await.expect(200, json!({"state": "active"}));
    w.delete(&again).await.ok();
    w.settle().await;
    w.delete(&own).await.expect(200, json!({"state": "removing"}));
    w.settle().await;
    w.get(&own).await.expect(200, json!({"state": "removed"}));
}

#[actix_web::test]
async fn a_put_changes_what_may_be_changed_and_nothing_else() {
    let w = World::new().await;
    let id = container(&w, json!({})).await;
    w.settle().await;
    let before = w.show(&id).await;
    let body = json!({"name": "new", "description": "d", "imageUuid": "sim:other", "state": "stopped", "id": "1i1", "startCount": 99, "uuid": "x"});
    w.put(&id, body).await.expect(
        200,
        json!({"name": "new", "description": "d", "imageUuid": "sim:web", "state": "running", "startCount": 1}),
    );
    let mut after = w.show(&id).await;
    after["name"] = before["name"].clone();
    after["description"] = before["description"].clone();
    assert_eq!(after, before);
    // The same again changes nothing at all.
    w.put(&id, json!({"name": "new", "description": "d"}))
        .await
        .expect(200, json!({"state": "running"}));
    w.put(&id, json!({})).await.expect(200, json!({"name": "new"}));
    w.delete(&id).await.ok();
    w.settle().await;
    w.put(&id, json!({"name": "late"})).await.refused(409, "Conflict");
}

#[actix_web::test]
async fn hosts_take_and_refuse_work() {
    let mut w = World::with_hosts(&["a"]).await;
    let second = w.add_host("b").await;
    let first = text(&w.list("hosts?name=a").await[0], "id").to_owned();
    w.act(&first, "deactivate", json!({}))
        .await
        .expect(202, json!({"state": "deactivating"}));
    w.settle().await;
    for name in ["x", "y"] {
        let id = container(&w, json!({"name": name})).await;
        w.settle().await;
        w.get(&id)
            .await
            .expect(200, json!({"state": "running", "hostId": second}));
    }
    // What is asked for by name is given even there.
    let id = container(&w, json!({"requestedHostId": first})).await;
    w.settle().await;
    w.get(&id)
        .await
        .expect(200, json!({"state": "running", "hostId": first}));
    w.delete(&second).await.refused(405, "Method not allowed");
    w.act(&second, "deactivate", json!({})).await.ok();
    w.settle().await;
    let waiting = container(&w, json!({"name": "z"})).await;
    w.settle().await;
    let row = w
        .get(&waiting)
        .await
        .expect(200, json!({"state": "creating", "transitioning": "yes"}));
    assert!(
        text(&row, "transitioningMessage").starts_with("Scheduling failed"),
        "{row:#}"
    );
    w.delete(&second).await.expect(200, json!({"state": "removing"}));
    w.advance(Duration::from_secs(5)).await;
    w.get(&second).await.expect(200, json!({"state": "removed"}));
    assert_eq!(w.list("containers").await.len(), 2);
    w.act(&first, "activate", json!({}))
        .await
        .expect(202, json!({"state": "activating"}));
    w.put(&first, json!({"labels": {"disk": "ssd"}}))
        .await
        .refused(409, "Conflict");
    w.settle().await;
    w.put(&first, json!({"labels": {"disk": "ssd"}}))
        .await
        .expect(200, json!({"labels": {"disk": "ssd"}}));
    w.advance(Duration::from_secs(5)).await;
    w.get(&first).await.expect(200, json!({"state": "active"}));
    w.get(&waiting)
        .await
        .expect(200, json!({"state": "running", "hostId": first}));
}

#[actix_web::test]
async fn work_waits_for_an_engine_that_does_not_answer() {
    let w = World::new().await;
    w.sim().set_disconnected(true);
    let id = container(&w, json!({})).await;
    w.settle().await;
    for _ in 0..20 {
        w.advance(Duration::from_secs(10)).await;
    }
    let waiting = w.get(&id).await;
    waiting.expect(200, json!({"state": "creating", "transitioning": "yes"}));
    w.sim().set_disconnected(false);
    w.advance(Duration::from_secs(3)).await;
    w.get(&id)
        .await
        .expect(200, json!({"state": "running", "startCount": 1}));
}

#[actix_web::test]
async fn a_volume_is_what_was_said_until_it_is_made() {
    let w = World::new().await;
    let sized = json!({"name": "sized", "driver": "local", "sizeMb": 5});
    let answer = w.post("volumes", sized).await.refused(422, "InvalidOption");
    assert_eq!(
        answer["message"],
        "Volume driver local does not support specifying a size."
    );
    assert_eq!(answer["fieldName"], json!(null));
    let host = text(&w.list("hosts").await[0], "id").to_owned();
    let made = w
        .post(
            "volumes",
            json!({"name": "data", "driver": "nfs", "driverOpts": {"size": "1"}}),
        )
        .await
        .ok();
    let id = text(&made, "id").to_owned();
    w.settle().await;
    w.put(&id, json!({"driverOpts": {"size": "2"}}))
        .await
        .expect(200, json!({"driverOpts": {"size": "2"}}));
    w.put(&id, json!({"hostId": host}))
        .await
        .expect(200, json!({"hostId": host}));
    w.settle().await;
    let container = w
        .post(
            "containers",
            json!({"imageUuid": "sim:web", "dataVolumes": ["data:/data"]}),
        )
        .await
        .ok();
    w.wait(text(&container, "id"), "running").await;
    assert!(
        w.sim().calls().contains(&"ensure_volume data".to_owned()),
        "its driver and options reach the engine: {:?}",
        w.sim().calls()
    );
    assert_eq!(w.show(&id).await["state"], "active");
    w.put(&id, json!({"driverOpts": {"size": "3"}}))
        .await
        .expect(501, json!({"code": "NotImplemented", "fieldName": "driverOpts"}));
    w.put(&id, json!({"hostId": null}))
        .await
        .expect(501, json!({"code": "NotImplemented", "fieldName": "hostId"}));
    // What says nothing new is fine.
    w.put(
        &id,
        json!({"driverOpts": {"size": "2"}, "hostId": host, "description": "d"}),
    )
    .await
    .expect(200, json!({"description": "d"}));
}

#[actix_web::test]
async fn who_checks_a_container_is_a_row() {
    let w = World::new().await;
    let plain = container(&w, json!({})).await;
    let checked = container(
        &w,
        json!({"name": "checked", "healthCheck": {"port": 80, "healthyThreshold": 1}}),
    )
    .await;
    w.settle().await;
    let of = async |id: &str| w.list(&format!("{id}/healthcheckinstancehostmaps")).await;
    assert!(of(&plain).await.is_empty());
    let rows = of(&checked).await;
    assert_eq!(rows.len(), 1, "{rows:#?}");
    let host = w.show(&checked).await["hostId"].clone();
    let expected = json!({"type": "healthcheckInstanceHostMap", "state": "active", "healthState": "initializing", "accountId": "1a5",
        "hostId": host, "instanceId": text(&w.show(&checked).await, "id")});
    has(&rows[0], &expected, "the row");
    let on_host = w
        .list(&format!(
            "hosts/{}/healthcheckinstancehostmaps",
            host.as_str().unwrap_or_default()
        ))
        .await;
    assert_eq!(on_host, rows);
    // It follows the container's health, through a restart too, and goes with it.
    w.advance(Duration::from_secs(10)).await;
    assert_eq!(w.show(&checked).await["healthState"], "healthy");
    assert_eq!(of(&checked).await[0]["healthState"], "healthy");
    w.act(&checked, "restart", json!({})).await.ok();
    w.settle().await;
    let rows = of(&checked).await;
    assert_eq!(
        (rows.len(), &rows[0]["healthState"]),
        (1, &w.show(&checked).await["healthState"])
    );
    w.delete(&checked).await.ok();
    w.settle().await;
    assert!(w.list("healthcheckinstancehostmaps").await.is_empty());
}
