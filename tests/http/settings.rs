//! Settings: read, set, reset, and what those that bound the database do.

use std::time::Duration;

use serde_json::json;

use crate::support::{World, text};

#[actix_web::test]
async fn settings_are_listed_by_name_and_the_public_ones_alone_on_request() {
    let world = World::new().await;
    let names = |rows: &[serde_json::Value]| rows.iter().map(|r| text(r, "name").to_owned()).collect::<Vec<_>>();
    let all = world.list("/v2-beta/settings?limit=-1").await;
    assert!(names(&all).is_sorted() && names(&all).contains(&"audit_log.purge.after.seconds".to_owned()));
    assert!(
        all.iter()
            .all(|r| r["type"] == "activeSetting" && r["baseType"] == "setting" && r["id"] == r["name"])
    );
    let public = names(&world.list("/v2-beta/setting?all=false&limit=-1").await);
    assert!(
        public.contains(&"rancher.server.version".to_owned())
            && !public.contains(&"audit_log.purge.after.seconds".to_owned())
    );
    world
        .get("/v2-beta/settings/nobody.knows")
        .await
        .expect(200, json!({"id": "nobody.knows", "value": null, "inDb": false}));
    // A name of any letters has an address that is one.
    let odd = "/v2-beta/settings/r%C3%A5%20%25%22?x";
    let links = world
        .get(odd)
        .await
        .expect(200, json!({"id": "r\u{e5} %\"", "value": null}))["links"]
        .clone();
    assert!(
        text(&links, "self").ends_with("/v2-beta/settings/r%C3%A5%20%25%22"),
        "{links}"
    );
}

#[actix_web::test]
async fn sweeping_goes_by_the_settings_of_the_moment() {
    let world = World::new().await;
    for n in 0..5 {
        world.post("stacks", json!({"name": format!("s{n}")})).await.ok();
    }
    world.settle().await;
    assert_eq!(world.list("auditlogs").await.len(), 5);
    world.engine.sweep().await.expect("a sweep");
    assert_eq!(world.list("auditlogs").await.len(), 5);
    let scope = world
        .engine
        .admit_open(drover::schema::Version::V2Beta, None)
        .expect("access is open");
    world
        .engine
        .write_setting(&scope, "audit_log.keep.rows", Some("2".into()))
        .await
        .expect("a number");
    world.engine.sweep().await.expect("a sweep");
    let kept = world.list("auditlogs?sort=id").await;
    assert_eq!(
        kept.iter().map(|r| text(r, "eventType")).collect::<Vec<_>>(),
        ["api.stack.create"; 2]
    );
    world.clock.advance(Duration::from_secs(2_592_001));
    world.engine.sweep().await.expect("a sweep");
    assert!(world.list("auditlogs").await.is_empty());

    assert!(
        world
            .engine
            .write_setting(&scope, "audit_log.keep.rows", Some("many".into()))
            .await
            .is_err()
    );
    assert!(
        world
            .engine
            .write_setting(&scope, "rancher.server.version", Some("v9".into()))
            .await
            .is_err()
    );
    let reset = world
        .engine
        .write_setting(&scope, "audit_log.keep.rows", None)
        .await
        .expect("a reset");
    assert_eq!((reset.value.as_deref(), reset.in_db), (Some("1000000"), false));
}

#[actix_web::test]
async fn the_accounts_that_are_there_from_the_start() {
    let mut world = World::new().await;
    world.restart().await;
    for (id, kind) in [
        ("1a1", "admin"),
        ("1a2", "system"),
        ("1a3", "superadmin"),
        ("1a5", "project"),
    ] {
        let row = world
            .get(&format!("/v2-beta/accounts/{id}"))
            .await
            .expect(200, json!({"id": id, "kind": kind, "state": "active"}));
        assert!(kind == "project" || row["uuid"] == kind && row["name"] == kind, "{row}");
    }
}

#[actix_web::test]
async fn an_installation_keeps_its_uuid_and_says_what_clients_ask() {
    let mut world = World::new().await;
    let uuid = world
        .get("/v2-beta/settings/install.uuid")
        .await
        .expect(200, json!({"inDb": true}))["value"]
        .clone();
    assert!(uuid.as_str().is_some_and(|uuid| uuid.len() == 36), "{uuid}");
    world.restart().await;
    world
        .get("/v2-beta/settings/install.uuid")
        .await
        .expect(200, json!({"value": uuid}));
    for name in [
        "lb.instance.image",
        "rancher.cli.linux.url",
        "supported.docker.range",
        "engine.install.url",
        "account.version",
        "catalog.url",
    ] {
        let row = world
            .get(&format!("/v2-beta/settings/{name}"))
            .await
            .expect(200, json!({"name": name}));
        assert!(row["value"].as_str().is_some_and(|value| !value.is_empty()), "{row}");
    }
}

#[actix_web::test]
async fn images_come_from_the_registries_that_settings_say() {
    let world = World::new().await;
    let set = async |name: &str, value: &str| {
        let setting = json!({"name": name, "value": value});
        world.post("/v2-beta/settings", setting).await.ok();
    };
    let stack = world.stack("s").await;
    let service =
        |image: &str, name: &str| json!({"name": name, "stackId": stack, "launchConfig": {"imageUuid": image}});
    let refusal = json!({"code": "InvalidOption", "fieldName": "imageUuid"});

    set("registry.default", "registry.example").await;
    for (image, kept) in [
        ("docker:nginx:1", "docker:registry.example/nginx:1"),
        ("docker:library/nginx", "docker:registry.example/library/nginx"),
        ("docker:quay.io/a/b", "docker:quay.io/a/b"),
        ("docker:index.docker.io/nginx", "docker:index.docker.io/nginx"),
        ("sim:nginx", "sim:nginx"),
    ] {
        let made = world.post("containers", json!({"imageUuid": image})).await.ok();
        assert_eq!(made["imageUuid"], kept);
    }
    let web = world.post("services", service("docker:nginx", "web")).await.ok();
    assert_eq!(web["launchConfig"]["imageUuid"], "docker:registry.example/nginx");

    set("registry.whitelist", "registry.example, QUAY.io").await;
    world.post("services", service("docker:nginx", "a")).await.ok();
    world.post("services", service("docker:quay.io/x", "b")).await.ok();
    world
        .post("services", service("docker:other.example/x", "c"))
        .await
        .expect(422, refusal.clone());
    world
        .post("containers", json!({"imageUuid": "docker:localhost/x"}))
        .await
        .expect(422, refusal.clone());
    world.settle().await;
    let launch = json!({"launchConfig": {"imageUuid": "docker:other.example/x"}});
    world
        .act(text(&web, "id"), "upgrade", json!({"inServiceStrategy": launch}))
        .await
        .expect(422, refusal);
}
