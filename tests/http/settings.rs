//! Settings: read, set, reset, and what those that bound the database do.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::http::Method;
use serde_json::json;

use crate::project_isolation::{key, send};
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

/// Where the original says something else, and why.
const OTHER_VALUES: &[(&str, &str)] = &[
    ("api.proxy.allow", "there is no proxy"),
    ("api.ui.css.url", "pages are this server's own"),
    ("api.ui.index", "pages are this server's own"),
    ("api.ui.js.url", "pages are this server's own"),
    ("bootstrap.required.image", "the agent is this server's own"),
    ("catalog.url", "there are no catalogs"),
    ("events.purge.after.seconds", "they are changes, kept for replay"),
    ("lb.instance.image", "balancers are HAProxy"),
    ("modify.infrastructure.roles", "sorted, without those of v1"),
    ("process_instance.purge.after.seconds", "kept for a day"),
    ("rancher.compose.darwin.url", "that of the last release"),
    ("rancher.compose.linux.url", "that of the last release"),
    ("rancher.compose.windows.url", "that of the last release"),
    ("service_log.purge.after.seconds", "kept for a week"),
    ("settings.public", "and this server's own"),
];

#[actix_web::test]
async fn every_setting_of_the_original_is_there() {
    let world = World::new().await;
    let all = world.list("/v2-beta/settings?limit=-1").await;
    let ours: BTreeMap<&str, &serde_json::Value> = all.iter().map(|row| (text(row, "name"), row)).collect();
    let mut others: Vec<&str> = OTHER_VALUES.iter().map(|(name, _)| *name).collect();
    let mut problems = Vec::new();
    for line in include_str!("../contract/settings.tsv").lines() {
        let (name, value) = line.split_once('\t').expect("a name and a value");
        let Some(row) = ours.get(name) else {
            problems.push(format!("{name} is not there"));
            continue;
        };
        assert_eq!(
            (&row["inDb"], &row["source"]),
            (&json!(false), &json!("Code Packaged Defaults")),
            "{row}"
        );
        // Texts that name other settings are held by a test of their own.
        let is_same = row["value"] == *value || value.contains("${");
        // What is not here has no value.
        if !is_same && !row["value"].is_null() {
            match others.iter().position(|other| *other == name) {
                Some(at) => drop(others.remove(at)),
                None => problems.push(format!("{name} is {}, not {value:?}", row["value"])),
            }
        }
    }
    assert!(problems.is_empty() && others.is_empty(), "{problems:#?} {others:?}");
}

#[actix_web::test]
async fn a_setting_that_names_another_follows_it_and_any_can_be_written() {
    let world = World::new().await;
    let read = async |name: &str| world.show(&format!("/v2-beta/settings/{name}")).await;
    let checks = "/v2-beta/settings/idempotent.checks";
    world.put(checks, json!({"value": "false"})).await.ok();
    assert_eq!(read("idempotent.reexecute").await["value"], "false");
    world
        .put("/v2-beta/settings/lb.instance.image", json!({"value": "haproxy:9"}))
        .await
        .expect(200, json!({"value": "haproxy:9", "inDb": true, "source": "Database"}));
    assert_eq!(read("lb.instance.image.uuid").await["value"], "docker:haproxy:9");
    // One that nothing goes by, and one that has no value here.
    for name in ["task.retry.timeout.schedule", "db.cattle.mysql.host"] {
        let before = read(name).await;
        world
            .put(&format!("/v2-beta/settings/{name}"), json!({"value": "7"}))
            .await
            .expect(200, json!({"value": "7", "activeValue": "7", "inDb": true}));
        world.delete(&format!("/v2-beta/settings/{name}")).await.ok();
        assert_eq!(read(name).await, before);
    }
    world
        .delete("/v2-beta/settings/nobody.knows")
        .await
        .expect(404, json!({}));
}

#[actix_web::test]
async fn others_read_the_settings_that_a_setting_calls_public() {
    let world = World::new().await;
    key(&world, "1a5").await;
    key(&world, "superadmin").await;
    world.engine.require_proof(true).await.expect("access control goes on");
    let read = async |path: &str| send(&world, "1a5", Method::GET, &format!("/v2-beta/settings{path}"), None).await;
    let names = async || {
        let rows = read("?limit=-1").await.ok()["data"].clone();
        let rows = rows.as_array().cloned().unwrap_or_default();
        rows.iter().map(|row| text(row, "name").to_owned()).collect::<Vec<_>>()
    };
    let before = names().await;
    for name in [
        "account.version",
        "api.ui.index",
        "catalog.url",
        "lb.instance.image",
        "vm.enabled",
    ] {
        assert!(before.iter().any(|n| n == name), "{name}");
    }
    for name in [
        "ui.pl",
        "access.log",
        "api.security.enabled",
        "task.retry.timeout.schedule",
    ] {
        read(&format!("/{name}")).await.refused(404, "Not Found");
    }
    let all = send(
        &world,
        "superadmin",
        Method::GET,
        "/v2-beta/settings/settings.public",
        None,
    )
    .await;
    let more = format!("{}, ui.pl", text(&all.ok(), "value"));
    let body = Some(json!({"value": more}));
    send(
        &world,
        "superadmin",
        Method::PUT,
        "/v2-beta/settings/settings.public",
        body,
    )
    .await
    .ok();
    read("/ui.pl").await.expect(200, json!({"value": "rancher"}));
    assert_eq!(names().await.len(), before.len() + 1);
}

/// A setting that is said to have no effect must have none.
#[test]
fn no_code_names_a_setting_that_has_no_effect() {
    let sources = crate::source::sources();
    for line in include_str!("../../schemas/settings.tsv")
        .lines()
        .filter(|l| !l.starts_with('#'))
    {
        let mut columns = line.split('\t');
        let (Some(name), Some(form)) = (columns.next(), columns.next()) else {
            panic!("{line}")
        };
        if matches!(form, "idle" | "foreign" | "client") {
            let quoted = format!("\"{name}\"");
            let by = sources.iter().find(|source| source.program().contains(&quoted));
            assert!(
                by.is_none(),
                "{name} is {form}, and named in {:?}",
                by.map(|source| &source.path)
            );
        }
    }
    let documented = include_str!("../../docs/settings.md");
    for line in include_str!("../../schemas/settings.tsv")
        .lines()
        .filter(|l| !l.starts_with('#'))
    {
        let (name, rest) = line.split_once('\t').expect("a name and a form");
        let is_without_effect = ["idle", "foreign", "client"].iter().any(|form| rest.starts_with(form));
        let is_told = is_without_effect || documented.contains(&format!("`{name}`"));
        assert!(is_told, "docs/settings.md does not tell what {name} does");
    }
}
