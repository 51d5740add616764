//! Upgrades: their way forward and back, what stops them, and where they may stand still.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{World, has, lay_over, text};

/// The ids of a service's containers that count, by name.
async fn ids(w: &World, service: &str) -> Vec<String> {
    let maps = w.list(&format!("serviceexposemaps?serviceId={service}")).await;
    let mut rows = w.containers(service).await;
    rows.retain(|r| maps.iter().any(|m| m["instanceId"] == r["id"] && m["managed"] == true));
    rows.sort_by(|a, b| text(a, "name").cmp(text(b, "name")));
    rows.iter().map(|r| text(r, "id").to_owned()).collect()
}

fn in_service(more: Value) -> Value {
    let mut strategy = json!({"batchSize": 1, "intervalMillis": 2000, "launchConfig": {"imageUuid": "sim:new"}});
    lay_over(&mut strategy, more);
    json!({"inServiceStrategy": strategy})
}

/// The versions of a service's configurations: the primary's, then the sidekicks' by name.
fn versions(row: &Value) -> Vec<String> {
    let sidekicks = row["secondaryLaunchConfigs"].as_array().cloned().unwrap_or_default();
    let mut all = vec![text(&row["launchConfig"], "version").to_owned()];
    all.extend(
        sidekicks
            .iter()
            .map(|s| format!("{} {}", text(s, "name"), text(s, "version"))),
    );
    all
}

#[actix_web::test]
async fn an_upgrade_goes_batch_by_batch_and_keeps_the_old_until_it_is_finished() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({"scale": 3})).await;
    let row = w
        .act(&id, "upgrade", in_service(json!({"batchSize": 2})))
        .await
        .expect(202, json!({"state": "upgrading", "transitioning": "yes"}));
    let strategy = &row["upgrade"]["inServiceStrategy"];
    has(
        strategy,
        &json!({
            "batchSize": 2, "intervalMillis": 2000,
            "launchConfig": {"imageUuid": "sim:new", "version": row["launchConfig"]["version"]},
            "secondaryLaunchConfigs": [],
            "previousLaunchConfig": {"imageUuid": "sim:web", "version": "0"},
            "previousSecondaryLaunchConfigs": [],
        }),
        "strategy",
    );
    assert_ne!(row["launchConfig"]["version"], "0");
    w.settle().await;
    let first = [
        "s-web-1 running",
        "s-web-1 stopped old",
        "s-web-2 running",
        "s-web-2 stopped old",
        "s-web-3 running",
    ];
    assert_eq!(w.picture(&id).await, first);
    w.advance(Duration::from_millis(1900)).await;
    assert_eq!(w.picture(&id).await, first, "the interval is kept");
    w.wait(&id, "upgraded").await;
    assert_eq!(w.containers(&id).await.len(), 6);
    has(
        &w.show(&id).await,
        &json!({"currentScale": 3, "healthState": "healthy", "transitioning": "no"}),
        "upgraded",
    );
    w.act(&id, "finishupgrade", json!({}))
        .await
        .expect(202, json!({"state": "finishing-upgrade"}));
    let row = w.wait(&id, "active").await;
    w.settle().await;
    assert_eq!(
        w.picture(&id).await,
        ["s-web-1 running", "s-web-2 running", "s-web-3 running"]
    );
    assert_eq!(
        row["upgrade"]["inServiceStrategy"]["previousLaunchConfig"]["imageUuid"], "sim:web",
        "what was upgraded stays readable"
    );
    w.act(&id, "rollback", json!({}))
        .await
        .refused(422, "ActionNotAvailable");
}

#[actix_web::test]
async fn an_upgrade_that_is_refused_is_told_what_comes_first() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({"scale": 2})).await;
    let refused = |message: Value| {
        let (w, id) = (&w, &id);
        async move {
            let before = w.stored();
            let said = w.act(id, "upgrade", in_service(json!({}))).await.expect(
                422,
                json!({"code": "ActionNotAvailable", "fieldName": "action", "detail": null}),
            );
            assert_eq!(said["message"], message);
            assert_eq!(w.stored(), before);
        }
    };
    w.act(&id, "upgrade", in_service(json!({}))).await.ok();
    refused(json!("it is upgrading: rollback or cancelupgrade comes first")).await;
    w.act(&id, "cancelupgrade", json!({})).await.ok();
    w.wait(&id, "canceled-upgrade").await;
    refused(json!("it is canceled-upgrade: rollback or continueupgrade comes first")).await;
    w.act(&id, "continueupgrade", json!({})).await.ok();
    w.wait(&id, "upgraded").await;
    refused(json!("it is upgraded: finishupgrade or rollback comes first")).await;
    w.act(&id, "rollback", json!({})).await.ok();
    // Nothing that could be asked for leads on from here.
    refused(Value::Null).await;
    w.wait(&id, "active").await;
    w.act(&id, "upgrade", in_service(json!({})))
        .await
        .expect(202, json!({"state": "upgrading"}));
}

#[actix_web::test]
async fn a_rollback_brings_the_same_containers_back() {
    for (name, more) in [
        ("plain", json!({"scale": 2})),
        (
            "kicks",
            json!({"scale": 2, "secondaryLaunchConfigs": [{"name": "side", "imageUuid": "sim:side"}]}),
        ),
    ] {
        let w = World::new().await;
        let stack = w.stack("s").await;
        let id = w.running(&stack, name, more).await;
        let (before, shown) = (ids(&w, &id).await, w.picture(&id).await);
        let maps = |rows: Vec<Value>| rows.iter().map(|m| text(m, "id").to_owned()).collect::<Vec<_>>();
        let exposes = maps(w.list(&format!("serviceexposemaps?serviceId={id}&sort=id")).await);
        w.act(
            &id,
            "upgrade",
            in_service(json!({"launchConfig": {"imageUuid": "sim:new"}})),
        )
        .await
        .ok();
        w.wait(&id, "upgraded").await;
        assert_ne!(ids(&w, &id).await, before);
        w.act(&id, "rollback", json!({})).await.expect(
            202,
            json!({"state": "rolling-back", "launchConfig": {"imageUuid": "sim:web", "version": "0"}}),
        );
        w.wait(&id, "active").await;
        w.advance(Duration::from_secs(3)).await;
        assert_eq!(ids(&w, &id).await, before, "{name}");
        assert_eq!(w.picture(&id).await, shown, "{name}");
        assert_eq!(
            maps(w.list(&format!("serviceexposemaps?serviceId={id}&sort=id")).await),
            exposes,
            "{name}"
        );
    }
}

#[actix_web::test]
async fn a_cancelled_upgrade_stands_still_until_it_is_told_where_to_go() {
    // (the way on, the version it is asked for in, the state it ends in, the image of all then)
    for (action, version, end, image) in [
        ("rollback", "v2-beta", "active", "sim:web"),
        ("continueupgrade", "v2-beta", "upgraded", "sim:new"),
        ("finishupgrade", "v1", "active", "sim:new"),
        ("remove", "v2-beta", "removed", "sim:new"),
    ] {
        let w = World::new().await;
        let stack = w.stack("s").await;
        let id = w.running(&stack, "web", json!({"scale": 2})).await;
        w.act(&id, "upgrade", in_service(json!({}))).await.ok();
        w.settle().await;
        w.act(&id, "cancelupgrade", json!({}))
            .await
            .expect(202, json!({"state": "canceling-upgrade"}));
        w.wait(&id, "canceled-upgrade").await;
        let paused = ["s-web-1 running", "s-web-1 stopped old", "s-web-2 running"];
        w.advance(Duration::from_secs(30)).await;
        assert_eq!(w.picture(&id).await, paused, "{action}");
        w.put(&id, json!({"scale": 5})).await.refused(409, "Conflict");
        assert_eq!(w.show(&id).await["scale"], 2);
        w.act(&format!("/{version}/projects/1a5/services/{id}"), action, json!({}))
            .await
            .expect(202, json!({}));
        let row = w.wait(&id, end).await;
        w.advance(Duration::from_secs(3)).await;
        assert_eq!(row["launchConfig"]["imageUuid"], image, "{action}");
        let expected: &[&str] = match end {
            "removed" => &[],
            "upgraded" => &[
                "s-web-1 running",
                "s-web-1 stopped old",
                "s-web-2 running",
                "s-web-2 stopped old",
            ],
            _ => &["s-web-1 running", "s-web-2 running"],
        };
        assert_eq!(w.picture(&id).await, expected, "{action}");
        for container in w.containers(&id).await.iter().filter(|c| c["state"] == "running") {
            assert_eq!(container["imageUuid"], image, "{action}");
        }
    }
}

#[actix_web::test]
async fn a_cancelled_rollback_can_be_finished_or_removed_only() {
    for (action, end) in [("finishupgrade", "active"), ("remove", "removed")] {
        let w = World::new().await;
        let stack = w.stack("s").await;
        let id = w.running(&stack, "web", json!({"scale": 2})).await;
        let v1 = format!("/v1/projects/1a5/services/{id}");
        w.act(&id, "upgrade", in_service(json!({}))).await.ok();
        w.wait(&id, "upgraded").await;
        w.act(&id, "rollback", json!({})).await.ok();
        w.settle().await;
        w.act(&v1, "cancelrollback", json!({}))
            .await
            .expect(202, json!({"state": "canceling-rollback"}));
        w.wait(&v1, "canceled-rollback").await;
        w.act(&v1, "rollback", json!({}))
            .await
            .refused(422, "ActionNotAvailable");
        w.act(&v1, action, json!({})).await.expect(202, json!({}));
        w.wait(&v1, end).await;
        w.advance(Duration::from_secs(5)).await;
        let expected: &[&str] = if end == "removed" {
            &[]
        } else {
            &["s-web-1 running", "s-web-2 running"]
        };
        assert_eq!(w.picture(&id).await, expected);
        assert!(
            w.containers(&id).await.iter().all(|c| c["imageUuid"] == "sim:web"),
            "{action}: the previous configuration counts"
        );
    }
}

#[actix_web::test]
async fn a_finish_that_is_cancelled_can_be_rolled_back() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({"scale": 2})).await;
    w.act(&id, "upgrade", in_service(json!({}))).await.ok();
    w.wait(&id, "upgraded").await;
    w.act(&id, "finishupgrade", json!({}))
        .await
        .expect(202, json!({"state": "finishing-upgrade"}));
    w.act(&id, "cancelupgrade", json!({}))
        .await
        .expect(202, json!({"state": "canceling-upgrade"}));
    w.wait(&id, "canceled-upgrade").await;
    w.act(&id, "rollback", json!({}))
        .await
        .expect(202, json!({"state": "rolling-back"}));
    w.wait(&id, "active").await;
    w.advance(Duration::from_secs(3)).await;
    assert_eq!(w.picture(&id).await, ["s-web-1 running", "s-web-2 running"]);
    assert!(w.containers(&id).await.iter().all(|c| c["imageUuid"] == "sim:web"));
}

#[actix_web::test]
async fn whatever_interrupts_an_upgrade_in_any_phase_ends_without_a_trace() {
    // After so many milliseconds of an upgrade of three, one of these comes.
    for millis in [0, 1, 2_000, 2_500, 4_100] {
        for (action, end) in [
            ("rollback", "active"),
            ("remove", "removed"),
            ("cancelupgrade", "canceled-upgrade"),
        ] {
            let mut w = World::new().await;
            let stack = w.stack("s").await;
            let id = w.running(&stack, "web", json!({"scale": 3})).await;
            let before = ids(&w, &id).await;
            w.act(&id, "upgrade", in_service(json!({}))).await.ok();
            if millis > 0 {
                w.advance(Duration::from_millis(millis)).await;
            }
            if w.show(&id).await["state"] != "upgrading" {
                continue;
            }
            w.act(&id, action, json!({})).await.expect(202, json!({}));
            // The server ends right after the request, before anything of it was done.
            w.restart().await;
            w.wait(&id, end).await;
            if action == "cancelupgrade" {
                w.act(&id, "rollback", json!({})).await.ok();
                w.wait(&id, "active").await;
            }
            w.advance(Duration::from_secs(5)).await;
            let case = format!("{action} after {millis} ms");
            if action == "remove" {
                assert!(w.sim().containers().is_empty(), "{case}");
                continue;
            }
            assert_eq!(ids(&w, &id).await, before, "{case}");
            assert_eq!(
                w.picture(&id).await,
                ["s-web-1 running", "s-web-2 running", "s-web-3 running"],
                "{case}"
            );
            assert_eq!(w.sim().containers().len(), 3, "{case}");
        }
    }
}

#[actix_web::test]
async fn an_inactive_service_is_running_after_its_upgrade() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({"scale": 2})).await;
    w.act(&id, "deactivate", json!({})).await.ok();
    w.wait(&id, "inactive").await;
    w.settle().await;
    w.act(&id, "upgrade", in_service(json!({})))
        .await
        .expect(202, json!({"state": "upgrading"}));
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
    w.act(&id, "finishupgrade", json!({})).await.ok();
    w.wait(&id, "active").await;
    // Never activated: no containers yet.
    let id = w.service(&stack, "new", json!({})).await;
    w.act(&id, "upgrade", in_service(json!({}))).await.ok();
    w.wait(&id, "upgraded").await;
    assert_eq!(w.picture(&id).await, ["s-new-1 running"]);
}

#[actix_web::test]
async fn the_scale_may_change_during_an_upgrade() {
    for (scale, expected) in [
        (
            4,
            vec![
                "s-web-1 running",
                "s-web-1 stopped old",
                "s-web-2 running",
                "s-web-2 stopped old",
                "s-web-3 running",
                "s-web-4 running",
            ],
        ),
        (1, vec!["s-web-1 running", "s-web-1 stopped old"]),
        (0, vec![]),
    ] {
        let w = World::new().await;
        let stack = w.stack("s").await;
        let id = w.running(&stack, "web", json!({"scale": 2})).await;
        w.act(&id, "upgrade", in_service(json!({}))).await.ok();
        w.settle().await;
        w.put(&id, json!({"scale": scale}))
            .await
            .expect(200, json!({"state": "upgrading", "scale": scale}));
        w.wait(&id, "upgraded").await;
        let shown: Vec<String> = w.picture(&id).await;
        let live: Vec<&String> = shown.iter().filter(|l| !l.ends_with("old")).collect();
        let wanted: Vec<&&str> = expected.iter().filter(|l| !l.ends_with("old")).collect();
        assert_eq!(live.len(), wanted.len(), "{scale}: {shown:?}");
        w.act(&id, "finishupgrade", json!({})).await.ok();
        w.wait(&id, "active").await;
        w.advance(Duration::from_secs(3)).await;
        let shown = w.picture(&id).await;
        assert_eq!(
            shown.len(),
            usize::try_from(scale).expect("a small number"),
            "{shown:?}"
        );
        assert!(w.containers(&id).await.iter().all(|c| c["imageUuid"] == "sim:new"));
    }
}

#[actix_web::test]
async fn start_first_starts_the_new_before_the_old_stops() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({"scale": 2})).await;
    w.sim().take_calls();
    w.act(&id, "upgrade", in_service(json!({"startFirst": true})))
        .await
        .ok();
    w.wait(&id, "upgraded").await;
    let calls = w.sim().take_calls();
    let order: Vec<&str> = calls
        .iter()
        .map(|c| c.split(' ').next().unwrap_or_default())
        .filter(|c| matches!(*c, "start" | "stop"))
        .collect();
    assert_eq!(order, ["start", "stop", "start", "stop"], "{calls:?}");
    let id = w.running(&stack, "keeps", json!({"retainIp": true})).await;
    w.act(&id, "upgrade", in_service(json!({"startFirst": true})))
        .await
        .refused(422, "InvalidOption");
}

#[actix_web::test]
async fn an_upgrade_waits_until_the_new_ones_are_healthy() {
    let check =
        json!({"port": 80, "interval": 2000, "responseTimeout": 2000, "healthyThreshold": 2, "unhealthyThreshold": 3});
    for rolls_back in [false, true] {
        let w = World::new().await;
        let stack = w.stack("s").await;
        let id = w
            .service(
                &stack,
                "web",
                json!({"scale": 2, "launchConfig": {"healthCheck": check}}),
            )
            .await;
        w.act(&id, "activate", json!({})).await.ok();
        w.wait(&id, "active").await;
        w.advance(Duration::from_secs(6)).await;
        assert_eq!(w.show(&id).await["healthState"], "healthy");
        let before = ids(&w, &id).await;
        let ill = json!({"launchConfig": {"healthCheck": check, "labels": {"sim.health": "unreachable"}}});
        w.act(&id, "upgrade", in_service(ill)).await.ok();
        w.advance(Duration::from_secs(60)).await;
        let row = w.show(&id).await;
        assert_eq!(row["state"], "upgrading");
        assert_eq!(row["healthState"], "initializing");
        assert_eq!(
            w.picture(&id).await,
            ["s-web-1 running", "s-web-1 stopped old", "s-web-2 running"]
        );
        if rolls_back {
            w.act(&id, "rollback", json!({}))
                .await
                .expect(202, json!({"state": "rolling-back"}));
            w.wait(&id, "active").await;
            w.advance(Duration::from_secs(10)).await;
            assert_eq!(ids(&w, &id).await, before);
            assert_eq!(w.show(&id).await["healthState"], "healthy");
            continue;
        }
        for _ in 0..2 {
            for container in w.containers(&id).await.iter().filter(|c| c["imageUuid"] == "sim:new") {
                w.sim()
                    .set_health(text(container, "uuid"), drover::runtime::sim::Health::Healthy);
            }
            w.advance(Duration::from_secs(10)).await;
        }
        assert_eq!(w.show(&id).await["state"], "upgraded");
    }
}

#[actix_web::test]
async fn only_what_is_upgraded_and_what_hangs_on_it_gets_a_new_version() {
    let kicks = json!([
        {"name": "one", "imageUuid": "sim:one", "dataVolumesFromLaunchConfigs": ["two"]},
        {"name": "two", "imageUuid": "sim:two"},
        {"name": "three", "imageUuid": "sim:three", "networkLaunchConfig": "web"},
    ]);
    // (what is sent, which get a new version)
    for (strategy, expected) in [
        (json!({"launchConfig": {"imageUuid": "sim:new"}}), vec!["", "three"]),
        (
            json!({"secondaryLaunchConfigs": [{"name": "one", "imageUuid": "sim:new"}]}),
            vec!["one"],
        ),
        (
            json!({"secondaryLaunchConfigs": [{"name": "TWO", "imageUuid": "sim:new"}]}),
            vec!["one", "two"],
        ),
        (
            json!({"launchConfig": {"imageUuid": "sim:new"}, "secondaryLaunchConfigs": [{"name": "one", "imageUuid": "sim:new"}]}),
            vec!["", "one", "three"],
        ),
    ] {
        let w = World::new().await;
        let stack = w.stack("s").await;
        let id = w.running(&stack, "web", json!({"secondaryLaunchConfigs": kicks})).await;
        let old: Vec<(String, String)> = w
            .containers(&id)
            .await
            .iter()
            .map(|c| (text(c, "name").to_owned(), text(c, "id").to_owned()))
            .collect();
        assert_eq!(old.len(), 4);
        let row = w
            .act(&id, "upgrade", json!({"inServiceStrategy": strategy}))
            .await
            .expect(202, json!({"state": "upgrading"}));
        let changed: Vec<String> = versions(&row)
            .into_iter()
            .map(|v| match v.rsplit_once(' ') {
                Some((name, version)) => (name.to_lowercase(), version.to_owned()),
                None => (String::new(), v),
            })
            .filter(|(_, version)| version != "0")
            .map(|(name, _)| name)
            .collect();
        assert_eq!(changed, expected, "{strategy}");
        assert_eq!(
            row["upgrade"]["inServiceStrategy"]["secondaryLaunchConfigs"]
                .as_array()
                .map(Vec::len),
            Some(3),
            "all of them"
        );
        w.wait(&id, "upgraded").await;
        w.act(&id, "finishupgrade", json!({})).await.ok();
        w.wait(&id, "active").await;
        w.advance(Duration::from_secs(2)).await;
        let now = w.containers(&id).await;
        for (name, id) in &old {
            let short = name
                .strip_prefix("s-web-")
                .and_then(|n| n.strip_suffix("1"))
                .unwrap_or_default()
                .trim_end_matches('-');
            let kept = now.iter().any(|c| c["id"] == id.as_str());
            assert_eq!(kept, !expected.contains(&short), "{name} after {strategy}");
        }
        assert!(now.iter().all(|c| c["state"] == "running"), "{now:#?}");
        assert_eq!(now.len(), 4);
    }
}

#[actix_web::test]
async fn sidekicks_come_and_go_with_an_upgrade_and_back() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w
        .running(
            &stack,
            "web",
            json!({"secondaryLaunchConfigs": [{"name": "old", "imageUuid": "sim:old"}]}),
        )
        .await;
    let before = ids(&w, &id).await;
    let strategy = json!({"secondaryLaunchConfigs": [{"name": "old", "imageUuid": "rancher/none"}, {"name": "new", "imageUuid": "sim:new"}]});
    w.act(&id, "upgrade", json!({"inServiceStrategy": strategy}))
        .await
        .expect(202, json!({"secondaryLaunchConfigs": [{"name": "new"}]}));
    w.wait(&id, "upgraded").await;
    w.advance(Duration::from_secs(2)).await;
    assert_eq!(
        w.picture(&id).await,
        ["s-web-1 running", "s-web-new-1 running", "s-web-old-1 stopped old"]
    );
    w.act(&id, "rollback", json!({}))
        .await
        .expect(202, json!({"secondaryLaunchConfigs": [{"name": "old"}]}));
    w.wait(&id, "active").await;
    w.advance(Duration::from_secs(2)).await;
    assert_eq!(w.picture(&id).await, ["s-web-1 running", "s-web-old-1 running"]);
    assert_eq!(ids(&w, &id).await, before);
}

#[actix_web::test]
async fn random_ports_are_kept_over_an_upgrade() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w
        .running(&stack, "web", json!({"launchConfig": {"ports": ["80", "82/tcp"]}}))
        .await;
    let ports = w.show(&id).await["launchConfig"]["ports"].clone();
    let ports: Vec<String> = serde_json::from_value(ports).expect("texts");
    assert!(ports.iter().all(|p| p.split(':').count() == 2), "{ports:?}");
    let strategy = in_service(json!({"launchConfig": {"ports": ["80", "82/tcp", "8083:83/udp"]}}));
    let row = w.act(&id, "upgrade", strategy).await.ok();
    let mut expected = ports.clone();
    expected.push("8083:83/udp".into());
    assert_eq!(row["launchConfig"]["ports"], json!(expected));
    w.wait(&id, "upgraded").await;
    w.act(&id, "rollback", json!({}))
        .await
        .expect(202, json!({"launchConfig": {"ports": ports}}));
    w.wait(&id, "active").await;
}

#[actix_web::test]
async fn an_upgrade_to_another_service_moves_the_scale() {
    // (scale of the old, scale of the new, final scale, batch)
    for (from, to, last, batch) in [(1, 1, 2, 1), (5, 2, 3, 100), (1, 5, 2, 2)] {
        let w = World::new().await;
        let stack = w.stack("s").await;
        let old = w.running(&stack, "old", json!({"scale": from})).await;
        let new = w.running(&stack, "new", json!({"scale": to})).await;
        let consumer = w.running(&stack, "user", json!({})).await;
        w.act(
            &consumer,
            "addservicelink",
            json!({"serviceLink": {"serviceId": old, "name": "db"}}),
        )
        .await
        .expect(200, json!({}));
        let strategy = json!({"toServiceId": new, "finalScale": last, "batchSize": batch, "intervalMillis": 200, "updateLinks": true});
        let row = w
            .act(&old, "upgrade", json!({"toServiceStrategy": strategy}))
            .await
            .expect(202, json!({"state": "upgrading"}));
        has(
            &row["upgrade"],
            &json!({"toServiceStrategy": {"toServiceId": new, "finalScale": last}, "inServiceStrategy": null}),
            "upgrade",
        );
        let case = format!("{from} {to} {last} {batch}");
        w.wait(&old, "upgraded").await;
        assert_eq!(w.show(&old).await["scale"], 0, "{case}");
        assert_eq!(w.wait(&new, "active").await["scale"], last, "{case}");
        assert_eq!(
            w.containers(&new).await.len(),
            usize::try_from(last).expect("small"),
            "{case}"
        );
        assert_eq!(
            w.list(&format!("serviceconsumemaps?serviceId={consumer}")).await.len(),
            2,
            "{case}"
        );
        w.act(&old, "finishupgrade", json!({})).await.ok();
        assert_eq!(w.wait(&old, "active").await["scale"], 0, "{case}");
        assert!(w.containers(&old).await.is_empty(), "{case}");
    }
}

#[actix_web::test]
async fn an_upgrade_that_cannot_be_is_refused_and_changes_nothing() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({})).await;
    let before = w.show(&id).await;
    for (body, code) in [
        (json!({}), "MissingRequired"),
        (json!({"inServiceStrategy": {}}), "InvalidOption"),
        (json!({"inServiceStrategy": {"launchConfig": {}}}), "InvalidOption"),
        (in_service(json!({"batchSize": 0})), "MinLimitExceeded"),
        (in_service(json!({"intervalMillis": 99})), "MinLimitExceeded"),
        (
            in_service(json!({"launchConfig": {"labels": {"io.rancher.scheduler.global": "true"}}})),
            "InvalidOption",
        ),
        (
            in_service(json!({"launchConfig": {"ports": ["a:b:c:d"]}})),
            "PortWrongFormat",
        ),
        (json!({"toServiceStrategy": {}}), "MissingRequired"),
        (
            json!({"toServiceStrategy": {"toServiceId": "1s999999"}}),
            "InvalidReference",
        ),
    ] {
        let answer = w.act(&id, "upgrade", body.clone()).await;
        assert_eq!(
            (answer.status, text(&answer.body, "code")),
            (422, code),
            "{body}: {}",
            answer.body
        );
    }
    assert_eq!(w.show(&id).await, before);
}

#[actix_web::test]
async fn a_rollback_needs_no_upgrade_to_have_happened_in_the_same_life_of_the_server() {
    let mut w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({})).await;
    let before = ids(&w, &id).await;
    w.act(&id, "upgrade", in_service(json!({}))).await.ok();
    w.wait(&id, "upgraded").await;
    w.restart().await;
    w.act(&id, "rollback", json!({})).await.ok();
    w.restart().await;
    w.wait(&id, "active").await;
    assert_eq!(ids(&w, &id).await, before);
}
