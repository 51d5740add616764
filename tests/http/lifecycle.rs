//! The life of a service, from its creation to its end.

use std::time::Duration;

use serde_json::json;

use crate::support::{World, actions, text};

#[actix_web::test]
async fn a_new_service_is_registered_and_has_no_containers() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let body = json!({"name": "web", "stackId": stack, "launchConfig": {"imageUuid": "sim:web", "labels": {"MixedCase": "Yes"}}});
    let row = w
        .post("services", body)
        .await
        .expect(201, json!({"state": "registering", "transitioning": "yes"}));
    let id = text(&row, "id");
    w.settle().await;
    let row = w.show(id).await;
    let expected = json!({
        "state": "inactive",
        "transitioning": "no",
        "healthState": "unhealthy",
        "currentScale": null,
        "launchConfig": {"version": "0", "labels": {"MixedCase": "Yes"}},
    });
    crate::support::has(&row, &expected, "new service");
    assert_eq!(
        actions(&row),
        [
            "activate",
            "addservicelink",
            "remove",
            "removeservicelink",
            "setservicelinks",
            "update",
            "upgrade"
        ]
    );
    assert!(w.containers(id).await.is_empty());
    let plain = w.service(&stack, "plain", json!({})).await;
    assert!(
        w.show(&plain).await["launchConfig"]
            .get("labels")
            .is_none_or(serde_json::Value::is_null)
    );
}

#[actix_web::test]
async fn scale_up_and_down_and_up_again_makes_new_containers() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({"scale": 3})).await;
    assert_eq!(
        w.picture(&id).await,
        ["s-web-1 running", "s-web-2 running", "s-web-3 running"]
    );
    let indexes: Vec<_> = w
        .containers(&id)
        .await
        .iter()
        .map(|c| c["createIndex"].as_i64())
        .collect();
    assert_eq!(indexes, [Some(1), Some(2), Some(3)]);

    // One that was stopped by hand is started again by the next change.
    let second = w.list("containers?name=s-web-2").await[0]["id"].clone();
    let second = second.as_str().expect("an id");
    w.act(second, "stop", json!({}))
        .await
        .expect(202, json!({"state": "stopping"}));
    w.settle().await;
    w.put(&id, json!({"scale": 4}))
        .await
        .expect(200, json!({"state": "updating-active", "scale": 4}));
    w.wait(&id, "active").await;
    assert_eq!(
        w.picture(&id).await,
        [
            "s-web-1 running",
            "s-web-2 running",
            "s-web-3 running",
            "s-web-4 running"
        ]
    );

    w.put(&id, json!({"scale": 0})).await.ok();
    w.wait(&id, "active").await;
    w.advance(Duration::from_secs(2)).await;
    assert!(w.picture(&id).await.is_empty());
    assert!(w.list(&format!("serviceexposemaps?serviceId={id}")).await.is_empty());
    crate::support::has(
        &w.show(&id).await,
        &json!({"currentScale": 0, "instanceIds": null, "healthState": "healthy"}),
        "scale 0",
    );

    w.put(&id, json!({"scale": 4})).await.ok();
    w.wait(&id, "active").await;
    let rows = w.containers(&id).await;
    let newest = rows.iter().filter_map(|c| c["createIndex"].as_i64()).max();
    assert!(rows.iter().all(|c| c["createIndex"].as_i64() > Some(4)), "{rows:#?}");
    assert_eq!(w.show(&id).await["createIndex"].as_i64(), newest);
}

#[actix_web::test]
async fn quick_changes_of_scale_end_at_the_last_one() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({})).await;
    w.put(&id, json!({"scale": 10})).await.ok();
    w.put(&id, json!({"scale": 1})).await.ok();
    w.wait(&id, "active").await;
    assert_eq!(w.picture(&id).await, ["s-web-1 running"]);
}

#[actix_web::test]
async fn deactivating_stops_and_removing_takes_away() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({"scale": 2})).await;
    w.act(&id, "deactivate", json!({}))
        .await
        .expect(202, json!({"state": "deactivating"}));
    w.wait(&id, "inactive").await;
    w.settle().await;
    assert_eq!(w.picture(&id).await, ["s-web-1 stopped", "s-web-2 stopped"]);
    w.put(&id, json!({"scale": 5}))
        .await
        .expect(200, json!({"state": "updating-inactive"}));
    w.wait(&id, "inactive").await;
    assert_eq!(w.picture(&id).await, ["s-web-1 stopped", "s-web-2 stopped"]);
    w.act(&id, "activate", json!({}))
        .await
        .expect(202, json!({"state": "activating"}));
    w.wait(&id, "active").await;
    assert_eq!(w.containers(&id).await.len(), 5);
    w.delete(&id).await.expect(200, json!({"state": "removing"}));
    w.wait(&id, "removed").await;
    assert!(w.containers(&id).await.is_empty());
    assert!(w.sim().containers().is_empty());
    w.act(&id, "activate", json!({}))
        .await
        .refused(422, "ActionNotAvailable");
    w.act(&id, "nope", json!({})).await.refused(422, "InvalidAction");
}

#[actix_web::test]
async fn a_restart_in_the_middle_of_an_upgrade_changes_nothing_of_its_end() {
    let mut w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({"scale": 2})).await;
    let strategy = json!({"inServiceStrategy": {"batchSize": 1, "intervalMillis": 2000, "launchConfig": {"imageUuid": "sim:new"}}});
    let row = w.act(&id, "upgrade", strategy).await.expect(
        202,
        json!({"state": "upgrading", "launchConfig": {"imageUuid": "sim:new"}}),
    );
    crate::support::has(
        &row["upgrade"]["inServiceStrategy"],
        &json!({"previousLaunchConfig": {"imageUuid": "sim:web", "version": "0"}, "previousSecondaryLaunchConfigs": []}),
        "upgrade",
    );
    w.settle().await;
    assert_eq!(
        w.picture(&id).await,
        ["s-web-1 running", "s-web-1 stopped old", "s-web-2 running"]
    );
    w.restart().await;
    w.wait(&id, "upgraded").await;
    assert_eq!(
        w.picture(&id).await,
        [
            "s-web-1 running",
            "s-web-1 stopped old",
            "s-web-2 running",
            "s-web-2 stopped old"
        ]
    );
    w.act(&id, "finishupgrade", json!({}))
        .await
        .expect(202, json!({"state": "finishing-upgrade"}));
    w.wait(&id, "active").await;
    w.settle().await;
    assert_eq!(w.picture(&id).await, ["s-web-1 running", "s-web-2 running"]);
}

#[actix_web::test]
async fn names_stay_with_containers_and_change_with_new_ones() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({})).await;
    w.put(&id, json!({"name": "site", "scale": 2}))
        .await
        .expect(200, json!({"name": "site", "state": "updating-active"}));
    w.wait(&id, "active").await;
    assert_eq!(w.picture(&id).await, ["s-site-2 running", "s-web-1 running"]);
    w.put(&stack, json!({"name": "other"})).await.ok();
    w.wait(&stack, "active").await;
    w.put(&id, json!({"scale": 3})).await.ok();
    w.wait(&id, "active").await;
    assert_eq!(
        w.picture(&id).await,
        ["other-site-3 running", "s-site-2 running", "s-web-1 running"]
    );
    let taken = json!({"name": "SITE", "stackId": stack, "launchConfig": {"imageUuid": "sim:x"}});
    w.post("services", taken.clone())
        .await
        .expect(422, json!({"code": "NotUnique", "fieldName": "name"}));
    w.delete(&id).await.ok();
    w.wait(&id, "removed").await;
    w.post("services", taken).await.expect(201, json!({}));
}

#[actix_web::test]
async fn a_container_that_goes_comes_back_as_it_was() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w
        .running(
            &stack,
            "web",
            json!({"scale": 2, "secondaryLaunchConfigs": [{"name": "side", "imageUuid": "sim:side"}]}),
        )
        .await;
    let picture = w.picture(&id).await;
    assert_eq!(
        picture,
        [
            "s-web-1 running",
            "s-web-2 running",
            "s-web-side-1 running",
            "s-web-side-2 running"
        ]
    );
    let units = |rows: &[serde_json::Value]| {
        let mut units: Vec<(String, String)> = rows
            .iter()
            .map(|c| (text(c, "name").to_owned(), text(c, "deploymentUnitUuid").to_owned()))
            .collect();
        units.sort();
        units
    };
    let rows = w.containers(&id).await;
    let before = units(&rows);
    assert_eq!(before[0].1, before[2].1);
    assert_ne!(before[0].1, before[1].1);
    for row in &rows {
        w.delete(text(row, "id"))
            .await
            .expect(200, json!({"state": "stopping"}));
    }
    w.advance(Duration::from_secs(3)).await;
    w.wait(&id, "active").await;
    let rows = w.containers(&id).await;
    assert_eq!(units(&rows), before);
    assert!(rows.iter().all(|c| c["state"] == "running"));
    assert_eq!(w.list(&format!("serviceexposemaps?serviceId={id}")).await.len(), 4);
    // By other hands: killed, and taken away.
    let (kill, forget) = (w.uuid("s-web-1").await, w.uuid("s-web-side-2").await);
    assert!(w.sim().kill(&kill) && w.sim().forget(&forget));
    w.advance(Duration::from_secs(3)).await;
    w.wait(&id, "active").await;
    assert_eq!(w.picture(&id).await, picture);
    assert_eq!(units(&w.containers(&id).await), before);
    assert_eq!(
        w.uuid("s-web-1").await,
        kill,
        "one that was only stopped is started again"
    );
}

#[actix_web::test]
async fn sidekicks_that_share_go_and_come_together() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    // The primary mounts the volumes of `data` and lives in the network of `net`.
    let kicks = json!([{"name": "data", "imageUuid": "sim:data"}, {"name": "net", "imageUuid": "sim:net"}]);
    let primary =
        json!({"dataVolumesFromLaunchConfigs": ["data"], "networkMode": "container", "networkLaunchConfig": "net"});
    let id = w
        .running(
            &stack,
            "web",
            json!({"launchConfig": primary, "secondaryLaunchConfigs": kicks}),
        )
        .await;
    let id_of = |rows: &[serde_json::Value], name: &str| {
        rows.iter()
            .find(|c| c["name"] == name)
            .map(|c| text(c, "id").to_owned())
            .unwrap_or_default()
    };
    let first = w.containers(&id).await;
    let (web, data, net) = (
        id_of(&first, "s-web-1"),
        id_of(&first, "s-web-data-1"),
        id_of(&first, "s-web-net-1"),
    );
    crate::support::has(
        &w.show(&web).await,
        &json!({"dataVolumesFrom": [data], "networkContainerId": net}),
        "references",
    );
    w.delete(&web).await.ok();
    w.advance(Duration::from_secs(3)).await;
    let second = w.containers(&id).await;
    assert_eq!(id_of(&second, "s-web-data-1"), data, "what it used stays");
    let web = id_of(&second, "s-web-1");
    w.delete(&data).await.ok();
    w.advance(Duration::from_secs(3)).await;
    w.wait(&id, "active").await;
    let third = w.containers(&id).await;
    assert_ne!(id_of(&third, "s-web-1"), web, "what used it is made again");
    let (web, net) = (id_of(&third, "s-web-1"), id_of(&third, "s-web-net-1"));
    let count = w.show(&web).await["startCount"].as_i64().unwrap_or(0);
    w.act(&net, "restart", json!({}))
        .await
        .expect(202, json!({"state": "restarting"}));
    w.advance(Duration::from_secs(3)).await;
    w.wait(&id, "active").await;
    assert!(
        w.show(&web).await["startCount"].as_i64() > Some(count),
        "it starts again with the owner of its network"
    );
    assert_eq!(
        w.picture(&id).await,
        ["s-web-1 running", "s-web-data-1 running", "s-web-net-1 running"]
    );
}

#[actix_web::test]
async fn one_that_is_to_start_once_stays_stopped() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let labels = json!({"io.rancher.container.start_once": "true", "sim.exit": "0:1000"});
    let id = w
        .running(&stack, "job", json!({"launchConfig": {"labels": labels}}))
        .await;
    w.advance(Duration::from_secs(5)).await;
    assert_eq!(w.picture(&id).await, ["s-job-1 stopped"]);
    crate::support::has(
        &w.show(&id).await,
        &json!({"state": "active", "healthState": "started-once"}),
        "once",
    );
    let container = text(&w.containers(&id).await[0], "id").to_owned();
    w.delete(&container).await.ok();
    w.advance(Duration::from_millis(500)).await;
    w.wait(&id, "active").await;
    assert_ne!(
        text(&w.containers(&id).await[0], "id"),
        container,
        "a removed one is made again"
    );
}

#[actix_web::test]
async fn a_retained_address_outlives_its_container() {
    let mut w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({"retainIp": true})).await;
    let later = w.running(&stack, "later", json!({})).await;
    w.put(&later, json!({"retainIp": true}))
        .await
        .expect(200, json!({"state": "updating-active"}));
    w.wait(&later, "active").await;
    for service in [&id, &later] {
        let before = w.containers(service).await.remove(0);
        let ip = text(&before, "primaryIpAddress").to_owned();
        assert!(ip.starts_with("10.42."), "{before:#}");
        // While it is away somebody else asks for an address.
        w.delete(text(&before, "id")).await.ok();
        let other = w.post("containers", json!({"imageUuid": "sim:x"})).await.ok();
        w.advance(Duration::from_secs(2)).await;
        let after = w.containers(service).await.remove(0);
        assert_ne!(before["id"], after["id"]);
        assert_eq!(text(&after, "primaryIpAddress"), ip);
        assert_ne!(w.show(text(&other, "id")).await["primaryIpAddress"], ip.as_str());
    }
    // Nobody gets it after a restart of the server, or while an upgrade has two containers with it.
    let ip = w.containers(&id).await.remove(0)["primaryIpAddress"].clone();
    w.restart().await;
    w.act(
        &id,
        "upgrade",
        json!({"inServiceStrategy": {"launchConfig": {"imageUuid": "sim:new"}}}),
    )
    .await
    .ok();
    w.wait(&id, "upgraded").await;
    w.act(&id, "finishupgrade", json!({})).await.ok();
    w.wait(&id, "active").await;
    w.settle().await;
    let rows = w.containers(&id).await;
    assert_eq!(
        (rows.len(), &rows[0]["primaryIpAddress"], &rows[0]["imageUuid"]),
        (1, &ip, &json!("sim:new"))
    );
    let more = w.running(&stack, "more", json!({"scale": 5})).await;
    assert!(w.containers(&more).await.iter().all(|c| c["primaryIpAddress"] != ip));
}

#[actix_web::test]
async fn a_rolling_restart_starts_each_again_once() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({"scale": 3})).await;
    let starts = |rows: Vec<serde_json::Value>| {
        rows.iter()
            .map(|c| c["startCount"].as_i64().unwrap_or(0))
            .collect::<Vec<_>>()
    };
    assert_eq!(starts(w.containers(&id).await), [1, 1, 1]);
    w.act(&id, "restart", json!({})).await.refused(422, "MissingRequired");
    let strategy = json!({"rollingRestartStrategy": {"batchSize": 1, "intervalMillis": 1000}});
    w.act(&id, "restart", strategy.clone())
        .await
        .expect(202, json!({"state": "restarting"}));
    w.settle().await;
    assert_eq!(starts(w.containers(&id).await), [2, 1, 1]);
    w.wait(&id, "active").await;
    assert_eq!(starts(w.containers(&id).await), [2, 2, 2]);
    // Deactivated in the middle.
    w.act(&id, "restart", strategy).await.ok();
    w.settle().await;
    w.act(&id, "deactivate", json!({}))
        .await
        .expect(202, json!({"state": "deactivating"}));
    w.wait(&id, "inactive").await;
    w.settle().await;
    assert_eq!(
        w.picture(&id).await,
        ["s-web-1 stopped", "s-web-2 stopped", "s-web-3 stopped"]
    );
}

#[actix_web::test]
async fn what_the_engine_does_is_logged_for_the_user() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({"scale": 2})).await;
    w.put(&id, json!({"scale": 1})).await.ok();
    w.wait(&id, "active").await;
    let rows = w.list(&format!("services/{id}/servicelogs")).await;
    let count = |event: &str| rows.iter().filter(|r| r["eventType"] == event).count();
    assert_eq!(
        (count("service.instance.create"), count("service.instance.delete")),
        (2, 1),
        "{rows:#?}"
    );
    crate::support::has(
        &rows[0],
        &json!({"type": "serviceLog", "serviceId": id, "level": "info", "accountId": "1a5"}),
        "log",
    );
    assert_eq!(w.list(&format!("servicelogs?serviceId={id}")).await.len(), rows.len());
}

#[actix_web::test]
async fn the_log_of_a_service_is_a_tree_of_what_its_processes_did() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({"scale": 2})).await;
    w.put(&id, json!({"scale": 1})).await.ok();
    w.wait(&id, "active").await;
    let rows = w.list(&format!("services/{id}/servicelogs")).await;
    let lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let indent = if row["subLog"] == true { "  " } else { "" };
            let about = if row["instanceId"].is_string() { " *" } else { "" };
            format!(
                "{indent}{}: {}{about}",
                text(row, "eventType"),
                text(row, "description")
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            "service.activate: Activating service",
            "  service.activate.info: Requested: 2, Created: 0, Unhealthy: 0, Bad: 0, Incomplete: 0",
            "  service.instance.create: Creating extra service instance *",
            "  service.instance.create: Creating extra service instance *",
            "  service.activate.info: Service already reconciled",
            "service.update: Updating service",
            "  service.update.info: Requested: 1, Created: 2, Unhealthy: 0, Bad: 0, Incomplete: 0",
            "  service.instance.delete: Removing extra service instance *",
            "  service.update.info: Service already reconciled",
        ]
    );
    let transactions: Vec<&str> = rows.iter().map(|row| text(row, "transactionId")).collect();
    assert!(
        transactions[..5].iter().all(|t| *t == transactions[0]),
        "{transactions:?}"
    );
    assert!(
        transactions[5..].iter().all(|t| *t == transactions[5]),
        "{transactions:?}"
    );
    assert_ne!(transactions[0], transactions[5]);
    assert!(rows.iter().all(|row| row["endTime"].is_string()), "{rows:#?}");

    // One that is cut short has an end, too.
    let upgrade = json!({"inServiceStrategy": {"launchConfig": {"imageUuid": "sim:new"}}});
    w.act(&id, "upgrade", upgrade).await.ok();
    w.pass().await;
    w.act(&id, "cancelupgrade", json!({})).await.ok();
    let rows = w
        .list(&format!("services/{id}/servicelogs?eventType=service.upgrade"))
        .await;
    assert_eq!(rows.len(), 1);
    assert!(rows[0]["endTime"].is_string(), "{rows:#?}");
}

#[actix_web::test]
async fn a_put_writes_what_may_change_and_ignores_the_rest() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({"metadata": {"a": 1}})).await;
    let row = w
        .put(
            &id,
            json!({"launchConfig": {"imageUuid": "sim:other"}, "state": "removed", "id": "1s1"}),
        )
        .await;
    row.expect(
        200,
        json!({"state": "active", "launchConfig": {"imageUuid": "sim:web"}}),
    );
    w.put(&id, json!({"description": "words"}))
        .await
        .expect(200, json!({"state": "active", "description": "words"}));
    w.put(&id, json!({"metadata": {"b": 2}})).await.expect(
        200,
        json!({"state": "updating-active", "metadata": {"b": 2, "a": null}}),
    );
    w.wait(&id, "active").await;
    w.put(&id, json!({"scale": null}))
        .await
        .expect(200, json!({"scale": 1, "state": "active"}));
    w.put(&id, json!({"scale": -1})).await.refused(422, "MinLimitExceeded");
    w.delete(&id).await.ok();
    w.put(&id, json!({"scale": 3})).await.refused(409, "Conflict");
    w.wait(&id, "removed").await;
    w.put(&id, json!({"scale": 3})).await.refused(409, "Conflict");
    w.delete(&id).await.expect(200, json!({"state": "removed"}));
}

#[actix_web::test]
async fn of_two_actions_at_once_one_wins() {
    let upgrade = json!({"inServiceStrategy": {"launchConfig": {"imageUuid": "sim:new"}}});
    let restart = json!({"rollingRestartStrategy": {}});
    // (the state before, two actions of which each excludes the other)
    for (first, second) in [
        (("upgrade", upgrade.clone()), ("upgrade", upgrade.clone())),
        (("deactivate", json!({})), ("upgrade", upgrade.clone())),
        (("deactivate", json!({})), ("deactivate", json!({}))),
        (("restart", restart.clone()), ("upgrade", upgrade.clone())),
    ] {
        let w = World::new().await;
        let stack = w.stack("s").await;
        let id = w.running(&stack, "web", json!({"scale": 2})).await;
        let case = format!("{} and {}", first.0, second.0);
        let (a, b) = tokio::join!(w.act(&id, first.0, first.1), w.act(&id, second.0, second.1));
        let mut statuses = [a.status, b.status];
        statuses.sort_unstable();
        // Restarting may be deactivated, and so on: where both are legal in a row both may win.
        assert!(matches!(statuses, [202, 409 | 422]), "{case}: {} {}", a.body, b.body);
        let winner = if a.status == 202 { &a.body } else { &b.body };
        let state = text(winner, "state").to_owned();
        crate::support::has(&w.show(&id).await, &json!({"state": state}), &case);
        let end = match state.as_str() {
            "upgrading" => "upgraded",
            "deactivating" => "inactive",
            _ => "active",
        };
        let row = w.wait(&id, end).await;
        w.settle().await;
        let image = if end == "upgraded" { "sim:new" } else { "sim:web" };
        assert_eq!(row["launchConfig"]["imageUuid"], image, "{case}");
        let rows = w.containers(&id).await;
        let live = rows.iter().filter(|c| c["imageUuid"] == image).count();
        assert_eq!(live, 2, "{case}");
    }
}

#[actix_web::test]
async fn stacks_take_their_services_along() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    w.act(&stack, "deactivateservices", json!({}))
        .await
        .expect(200, json!({}));
    let (a, b) = (
        w.running(&stack, "a", json!({})).await,
        w.service(&stack, "b", json!({})).await,
    );
    crate::support::has(&w.show(&stack).await, &json!({"serviceIds": [a, b]}), "stack");
    w.act(&stack, "activateservices", json!({}))
        .await
        .expect(200, json!({"id": stack}));
    w.wait(&b, "active").await;
    w.settle().await;
    assert_eq!(w.show(&stack).await["healthState"], "healthy");
    w.delete(&stack).await.expect(200, json!({"state": "removing"}));
    let body = json!({"name": "late", "stackId": stack, "launchConfig": {"imageUuid": "sim:x"}});
    w.post("services", body.clone())
        .await
        .expect(422, json!({"code": "InvalidState", "fieldName": "stackId"}));
    w.wait(&stack, "removed").await;
    for id in [&a, &b] {
        assert_eq!(w.show(id).await["state"], "removed");
    }
    assert!(w.sim().containers().is_empty());
    w.post("services", body).await.expect(422, json!({}));
}

#[actix_web::test]
async fn a_service_that_is_to_start_at_once_does() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let body =
        json!({"name": "web", "stackId": stack, "startOnCreate": true, "launchConfig": {"imageUuid": "sim:web"}});
    let id = text(
        &w.post("services", body)
            .await
            .expect(201, json!({"state": "registering"})),
        "id",
    )
    .to_owned();
    w.wait(&id, "active").await;
    assert_eq!(w.picture(&id).await, ["s-web-1 running"]);
    let vip = w.service(&stack, "vip", json!({"assignServiceIpAddress": true})).await;
    assert!(
        text(&w.show(&vip).await, "vip").starts_with("169.254."),
        "{:#}",
        w.show(&vip).await
    );
    let own = w.service(&stack, "own", json!({"vip": "10.1.2.3"})).await;
    assert_eq!(w.show(&own).await["vip"], "10.1.2.3");
}

#[actix_web::test]
async fn the_health_of_a_service_follows_its_containers() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let check = json!({"port": 80, "interval": 1000, "responseTimeout": 1000, "healthyThreshold": 1, "unhealthyThreshold": 2, "strategy": "none"});
    let id = w
        .service(
            &stack,
            "web",
            json!({"scale": 2, "launchConfig": {"healthCheck": check}}),
        )
        .await;
    w.act(&id, "activate", json!({})).await.ok();
    w.settle().await;
    crate::support::has(
        &w.show(&id).await,
        &json!({"state": "active", "healthState": "initializing"}),
        "start",
    );
    w.advance(Duration::from_secs(5)).await;
    assert_eq!(w.show(&id).await["healthState"], "healthy");
    assert_eq!(w.show(&stack).await["healthState"], "healthy");
    let (one, two) = (w.uuid("s-web-1").await, w.uuid("s-web-2").await);
    for (uuid, expected) in [(&one, "degraded"), (&two, "unhealthy")] {
        w.sim().set_health(uuid, drover::runtime::sim::Health::Unhealthy);
        w.advance(Duration::from_secs(10)).await;
        assert_eq!(w.show(&id).await["healthState"], expected);
        // A stack counts whole services only (cattle: a stack of one degraded service is unhealthy).
        assert_eq!(w.show(&stack).await["healthState"], "unhealthy");
    }
    assert_eq!(
        w.uuid("s-web-1").await,
        one,
        "nothing is made anew with the strategy none"
    );
    w.act(&id, "deactivate", json!({})).await.ok();
    w.wait(&id, "inactive").await;
    w.settle().await;
    assert_eq!(w.show(&id).await["healthState"], "unhealthy");
}

#[actix_web::test]
async fn an_ill_container_is_made_anew_unless_the_quorum_is_lost() {
    use drover::runtime::sim::Health::Unhealthy;
    let check =
        json!({"port": 80, "interval": 1000, "responseTimeout": 1000, "healthyThreshold": 1, "unhealthyThreshold": 2});
    let mut quorum = check.clone();
    quorum["strategy"] = json!("recreateOnQuorum");
    quorum["recreateOnQuorumStrategyConfig"] = json!({"quorum": 2});
    // (check, scale, whether an ill one is replaced)
    for (check, scale, replaced) in [(check, 1, true), (quorum.clone(), 2, false), (quorum, 3, true)] {
        let w = World::new().await;
        let stack = w.stack("s").await;
        let id = w
            .running(
                &stack,
                "web",
                json!({"scale": scale, "launchConfig": {"healthCheck": check}}),
            )
            .await;
        w.advance(Duration::from_secs(5)).await;
        let uuid = w.uuid("s-web-1").await;
        w.sim().set_health(&uuid, Unhealthy);
        w.advance(Duration::from_secs(20)).await;
        w.wait(&id, "active").await;
        assert_eq!(w.uuid("s-web-1").await != uuid, replaced, "{check}");
        assert_eq!(
            w.show(&id).await["healthState"],
            if replaced { "healthy" } else { "degraded" },
            "{check}"
        );
    }
}

#[actix_web::test]
async fn each_address_of_an_external_service_is_told_by_a_row() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let body = json!({"name": "outside", "stackId": stack, "externalIpAddresses": ["192.0.2.7", "192.0.2.8"]});
    let row = w.post("externalServices", body).await.expect(201, json!({}));
    let id = text(&row, "id").to_owned();
    w.wait(&id, "inactive").await;
    w.act(&id, "activate", json!({})).await.ok();
    w.wait(&id, "active").await;
    assert_eq!(told(&w, &id).await, ["192.0.2.7", "192.0.2.8"]);
    let path = format!("externalServices/{id}");
    w.put(&path, json!({"externalIpAddresses": ["192.0.2.8", "192.0.2.9"]}))
        .await
        .expect(200, json!({}));
    w.wait(&id, "active").await;
    assert_eq!(told(&w, &id).await, ["192.0.2.8", "192.0.2.9"]);
    w.delete(&id).await.ok();
    w.wait(&id, "removed").await;
    assert!(told(&w, &id).await.is_empty());
}

/// The addresses of a service's expose maps, in order.
async fn told(w: &World, service: &str) -> Vec<String> {
    let list = w.get(&format!("serviceexposemaps?serviceId={service}")).await.ok();
    let rows = list["data"].as_array().expect("rows");
    let mut addresses: Vec<_> = rows.iter().map(|row| text(row, "ipAddress").to_owned()).collect();
    addresses.sort_unstable();
    addresses
}

#[actix_web::test]
async fn a_service_that_is_gone_is_reached_nowhere_and_keeps_its_scale() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w
        .running(
            &stack,
            "web",
            json!({"launchConfig": {"imageUuid": "sim:x", "ports": ["8080:80"]}}),
        )
        .await;
    let endpoints = w.show(&id).await["publicEndpoints"].clone();
    assert_eq!(endpoints[0]["port"], 8080, "{endpoints}");
    w.delete(&id).await.expect(200, json!({"publicEndpoints": endpoints}));
    w.wait(&id, "removed").await;
    w.get(&id)
        .await
        .expect(200, json!({"publicEndpoints": [], "currentScale": 1}));
}
