//! All types alike: whatever a schema offers can be asked for, and is answered as the schema says.

use std::collections::BTreeMap;

use actix_web::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drover::schema::{Role, TypeView, Version};
use serde_json::{Map, Value, json};

use crate::support::{Answer, World, actions, has, text};

/// The schemas of a version, by id, as a client reads them.
pub async fn schemas(w: &World, base: &str) -> BTreeMap<String, Value> {
    let rows = w.list(&format!("{base}/schemas")).await;
    rows.into_iter()
        .map(|schema| (text(&schema, "id").to_owned(), schema))
        .collect()
}

pub fn can(schema: &Value, methods: &str, method: &str) -> bool {
    schema[methods]
        .as_array()
        .is_some_and(|m| m.iter().any(|m| m == method))
}

/// The path of a link.
pub fn path(link: &Value) -> String {
    link.as_str()
        .unwrap_or_default()
        .trim_start_matches("http://localhost")
        .to_owned()
}

const BASES: [&str; 4] = ["/v1", "/v2-beta", "/v1/projects/1a5", "/v2-beta/projects/1a5"];

/// A world with something of everything.
pub async fn full_world() -> World {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let db = w.running(&stack, "db", json!({"scale": 2})).await;
    let launch =
        json!({"ports": ["8080:80"], "labels": {"a": "b"}, "dataVolumes": ["data:/data"], "healthCheck": {"port": 80}});
    let web = w
        .running(&stack, "web", json!({"scale": 1, "launchConfig": launch}))
        .await;
    w.act(
        &web,
        "addservicelink",
        json!({"serviceLink": {"serviceId": db, "name": "store"}}),
    )
    .await
    .ok();
    let strategy = json!({"inServiceStrategy": {"launchConfig": {"imageUuid": "sim:new"}}});
    w.act(&db, "upgrade", strategy).await.ok();
    w.wait(&db, "upgraded").await;
    w.post(
        "containers",
        json!({"imageUuid": "sim:one", "name": "one", "ports": ["81"]}),
    )
    .await
    .ok();
    w.post(
        "genericobjects",
        json!({"name": "thing", "kind": "note", "resourceData": {"a": {"b": 1}}}),
    )
    .await
    .ok();
    w.settle().await;
    w
}

#[actix_web::test]
async fn every_collection_can_be_listed_in_every_version_and_scope() {
    let w = full_world().await;
    for base in BASES {
        for (id, schema) in schemas(&w, base).await {
            if !can(&schema, "collectionMethods", "GET") {
                continue;
            }
            let url = path(&schema["links"]["collection"]);
            assert!(url.starts_with(base), "{base} {id}: {url}");
            // Subscribing is no list, and of some things there is just one.
            if matches!(id.as_str(), "subscribe" | "localAuthConfig" | "publish") {
                continue;
            }
            let body = w.get(&url).await.expect(200, json!({"type": "collection"}));
            // Settings are shown as what is in effect.
            assert!(body["data"].is_array(), "{url}");
            // Quirk: figures of the server have no id, and so no address of their own.
            if matches!(id.as_str(), "processPool" | "processSummary") {
                continue;
            }
            for row in body["data"].as_array().into_iter().flatten().take(3) {
                assert!(
                    row["links"]["self"]
                        .as_str()
                        .is_some_and(|s| s.starts_with("http://localhost/v")),
                    "{url}: {row}"
                );
            }
        }
    }
}

#[actix_web::test]
async fn every_schema_can_be_read_by_its_own_link() {
    let w = World::new().await;
    for base in BASES {
        for (id, schema) in schemas(&w, base).await {
            let own = w.show(&path(&schema["links"]["self"])).await;
            assert_eq!(own, schema, "{base} {id}");
            for field in schema["resourceFields"].as_object().into_iter().flatten() {
                assert!(field.1["type"].is_string(), "{id}.{}", field.0);
            }
        }
    }
}

#[actix_web::test]
async fn every_link_of_every_row_leads_somewhere() {
    let w = full_world().await;
    for base in ["/v1", "/v2-beta/projects/1a5"] {
        for (id, schema) in schemas(&w, base).await {
            if !can(&schema, "collectionMethods", "GET")
                || matches!(
                    id.as_str(),
                    "schema" | "subscribe" | "typeDocumentation" | "localAuthConfig"
                )
            {
                continue;
            }
            for row in w.list(&path(&schema["links"]["collection"])).await {
                for (name, link) in row["links"].as_object().into_iter().flatten() {
                    let url = path(link);
                    let answer = w.get(&url).await;
                    assert!(
                        matches!(answer.status, 200 | 404 | 501),
                        "{id}.{name} {url}: {} {}",
                        answer.status,
                        answer.body
                    );
                    // A link to one thing is only shown if it is there; but who acted may be nobody the project knows.
                    let may_hide = name.starts_with("authenticatedAs");
                    // Below a project's address everybody is at most its owner, who sees less than an admin.
                    let may_hide = may_hide || row["type"] == "project" || row["kind"] == "project";
                    assert!(
                        matches!(answer.status, 200 | 501) || may_hide,
                        "{id}.{name} {url}: {}",
                        answer.body
                    );
                }
                let own = w.show(&path(&row["links"]["self"])).await;
                assert_eq!(own["id"], row["id"], "{id}");
            }
        }
    }
}

/// Something that fits a field, as far as the schemas say.
pub async fn value_of(
    w: &World,
    base: &str,
    all: &BTreeMap<String, Value>,
    ty: &str,
    field: &Value,
    depth: usize,
) -> Value {
    if let Some(first) = field["options"].as_array().and_then(|o| o.first()) {
        return if ty.starts_with("array") {
            json!([first])
        } else {
            first.clone()
        };
    }
    let inner = ty
        .split_once('[')
        .map(|(_, rest)| rest.trim_end_matches(']').to_owned() + &"]".repeat(ty.matches('[').count() - 1));
    match (ty.split('[').next().unwrap_or(ty), inner) {
        ("string" | "password" | "blob" | "enum", _) => json!("x"),
        ("int" | "float", _) => json!(field["min"].as_i64().unwrap_or(1).max(1)),
        ("boolean", _) => json!(true),
        ("date", _) => json!("2020-01-01T00:00:00Z"),
        ("json", _) => json!({"a": 1}),
        ("reference", Some(kind)) => {
            let path = all
                .get(&kind)
                .map(|s| path(&s["links"]["collection"]))
                .unwrap_or_default();
            let found = if path.is_empty() {
                None
            } else {
                w.get(&path).await.body["data"].get(0).map(|r| r["id"].clone())
            };
            found.unwrap_or_else(|| json!("1x999999"))
        }
        ("array", Some(of)) => json!([Box::pin(value_of(w, base, all, &of, &json!({}), depth)).await]),
        ("map", Some(of)) => json!({"key": Box::pin(value_of(w, base, all, &of, &json!({}), depth)).await}),
        (embedded, _) if depth > 0 && all.contains_key(embedded) => {
            Box::pin(body_of(w, base, all, &all[embedded], false, depth - 1)).await
        }
        _ => json!({}),
    }
}

/// A body with all required fields, or with every field that may be given.
pub async fn body_of(
    w: &World,
    base: &str,
    all: &BTreeMap<String, Value>,
    schema: &Value,
    is_full: bool,
    depth: usize,
) -> Value {
    let mut body = Map::new();
    for (name, field) in schema["resourceFields"].as_object().into_iter().flatten() {
        if field["create"] == true && (is_full || field["required"] == true) {
            let value = value_of(w, base, all, text(field, "type"), field, depth).await;
            body.insert(name.clone(), value);
        }
    }
    Value::Object(body)
}

fn check_never_ours(answer: &Answer, what: &str) {
    assert!(
        answer.status < 500 || answer.status == 501,
        "{what}: {} {}",
        answer.status,
        answer.body
    );
    if answer.status == 501 {
        assert_eq!(answer.body["code"], "NotImplemented", "{what}: {}", answer.body);
    }
}

/// Creates one of every type with this sort of body, and does everything with it that its answer offers.
async fn create_everything(base: &str, is_full: bool) {
    let w = full_world().await;
    let all = schemas(&w, base).await;
    let mut made = Vec::new();
    for (id, schema) in &all {
        if !can(schema, "collectionMethods", "POST") {
            continue;
        }
        let body = body_of(&w, base, &all, schema, is_full, 3).await;
        let what = format!("{base} {id} {body}");
        let answer = w.post(&path(&schema["links"]["collection"]), body).await;
        assert!(
            matches!(answer.status, 200 | 201 | 400 | 405 | 409 | 422 | 501),
            "{what}: {} {}",
            answer.status,
            answer.body
        );
        check_never_ours(&answer, &what);
        w.settle().await;
        // Publishing and subscribing make nothing that could be looked at.
        if answer.status == 201 && answer.body["links"]["self"].is_string() && answer.body["type"] != "collection" {
            made.push((id.clone(), answer.body));
        }
    }
    for (id, row) in made {
        let own = path(&row["links"]["self"]);
        let what = format!("{base} {id} {own}");
        let update = json!({"name": "other", "description": "changed"});
        check_never_ours(&w.put(&own, update).await, &what);
        w.settle().await;
        for action in actions(&w.show(&own).await)
            .iter()
            .map(|a| (*a).to_owned())
            .collect::<Vec<_>>()
        {
            check_never_ours(&w.act(&own, &action, json!({})).await, &format!("{what} {action}"));
            w.settle().await;
        }
        let listed: Vec<String> = all[&id]["resourceActions"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(a, _)| a.clone())
            .collect();
        for action in listed {
            check_never_ours(&w.act(&own, &action, json!({})).await, &format!("{what} {action}"));
        }
        check_never_ours(&w.delete(&own).await, &what);
        w.pass().await;
        check_never_ours(&w.get(&own).await, &what);
    }
}

#[actix_web::test]
async fn every_type_answers_a_create_with_the_least_body() {
    for base in ["/v1", "/v2-beta/projects/1a5"] {
        create_everything(base, false).await;
    }
}

#[actix_web::test]
async fn every_type_answers_a_create_with_every_field() {
    for base in ["/v1/projects/1a5", "/v2-beta"] {
        create_everything(base, true).await;
    }
}

#[actix_web::test]
async fn generic_objects_are_kept_found_and_removed() {
    let w = World::new().await;
    let body = json!({"name": "a", "kind": "note", "key": "k1", "resourceData": {"deep": {"list": [1, "2", null]}}});
    let made = w
        .post("genericobjects", body)
        .await
        .expect(201, json!({"type": "genericObject", "state": "activating"}));
    let own = path(&made["links"]["self"]);
    w.settle().await;
    let row = w.get(&own).await.expect(
        200,
        json!({"state": "active", "resourceData": {"deep": {"list": [1, "2", null]}}, "key": "k1"}),
    );
    assert_eq!(actions(&row), ["remove"]);
    assert_eq!(w.list("genericobjects?key=k1").await.len(), 1);
    assert_eq!(w.list("genericobjects?key=k2").await.len(), 0);
    // Its data may change, what it is called by may not.
    let changed = json!({"key": "k1", "resourceData": {"z": 1}});
    w.put(&own, json!({"key": "k2", "resourceData": {"z": 1}}))
        .await
        .expect(200, changed.clone());
    w.get(&own).await.expect(200, changed);
    w.act(&own, "remove", json!({}))
        .await
        .expect(202, json!({"state": "removing"}));
    w.settle().await;
    w.get(&own).await.expect(200, json!({"state": "removed"}));
    assert!(w.list("genericobjects").await.is_empty());
    w.delete(&own).await.expect(200, json!({"state": "removed"}));
}

#[actix_web::test]
async fn what_is_not_built_says_so_and_is_offered_where_clients_look_for_it() {
    let w = World::new().await;
    let container = w
        .post("containers", json!({"imageUuid": "sim:one", "name": "one"}))
        .await
        .ok();
    w.settle().await;
    let id = text(&container, "id");
    let row = w.show(id).await;
    // A console is a virtual machine's: the original has it for nothing else.
    assert!(!actions(&row).contains(&"console"), "{row}");
    for root in ["/v1", "/v2-beta"] {
        let path = format!("{root}/projects/1a5/containers/{id}");
        let refusal = w
            .act(&path, "console", json!({}))
            .await
            .refused(422, "ActionNotAvailable");
        assert_eq!(refusal["fieldName"], "action", "{refusal}");
    }
    let hosts = w.list("hosts").await;
    let host = hosts.first().expect("a host");
    assert!(actions(host).contains(&"dockersocket"), "{host}");
    let refusal = w.act(text(host, "id"), "dockersocket", json!({})).await;
    refusal.refused(501, "NotImplemented");
    w.act(id, "stop", json!({})).await.expect(202, json!({}));
    w.settle().await;
    let row = w.show(id).await;
    assert!(
        actions(&row).contains(&"logs") && !actions(&row).contains(&"execute"),
        "{row}"
    );
    w.act(id, "execute", json!({"command": ["ls"]}))
        .await
        .refused(422, "ActionNotAvailable");
    // Hosts are made by drivers of machines, and none is active.
    w.post("hosts", json!({"hostname": "h"}))
        .await
        .refused(405, "Method not allowed");
    for (collection, body) in [
        ("machines", json!({"name": "m"})),
        ("virtualmachines", json!({"name": "m"})),
        ("backuptargets", json!({})),
    ] {
        let answer = w.post(collection, body).await;
        assert!(
            matches!(answer.status, 422 | 501),
            "{collection}: {} {}",
            answer.status,
            answer.body
        );
    }
}

#[actix_web::test]
async fn labels_are_rows_that_lead_to_what_carries_them() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let labels = json!({"tier": "web", "empty": "", "io.rancher.container.pull_image": "always"});
    let web = w
        .running(&stack, "web", json!({"scale": 2, "launchConfig": {"labels": labels}}))
        .await;
    let one = w
        .post("containers", json!({"imageUuid": "sim:x", "labels": {"tier": "web"}}))
        .await
        .ok();
    let host = text(&w.list("hosts").await[0], "id").to_owned();
    w.put(&host, json!({"labels": {"tier": "web", "disk": "ssd"}}))
        .await
        .ok();
    w.settle().await;
    let rows = w.list("labels?key=tier").await;
    has(
        &json!(rows),
        &json!([{"type": "label", "state": "created", "key": "tier", "value": "web", "accountId": "1a5"}]),
        "labels",
    );
    let label = path(&rows[0]["links"]["self"]);
    assert_eq!(w.list(&format!("{label}/instances")).await.len(), 3);
    assert_eq!(w.list(&format!("{label}/hosts")).await.len(), 1);
    let container = w.containers(&web).await.remove(0);
    let own = w
        .list(&format!(
            "containers/{}/instancelabels?sort=key",
            text(&container, "id")
        ))
        .await;
    let mut keys: Vec<&str> = own.iter().map(|l| text(l, "key")).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["empty", "io.rancher.container.pull_image", "tier"]);
    assert_eq!(w.list(&format!("hosts/{host}/hostlabels")).await.len(), 2);
    w.put(&host, json!({"labels": {"disk": "hdd"}})).await.ok();
    w.settle().await;
    has(
        &json!(w.list(&format!("hosts/{host}/hostlabels")).await),
        &json!([{"key": "disk", "value": "hdd"}]),
        "host labels",
    );
    assert!(w.list(&format!("{label}/hosts")).await.is_empty());
    w.delete(text(&one, "id")).await.ok();
    w.settle().await;
    assert_eq!(w.list(&format!("{label}/instances")).await.len(), 2);
    w.delete(&label).await.refused(405, "Method not allowed");
}

#[actix_web::test]
async fn processes_tell_what_runs_how_often_it_failed_and_why() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w
        .service(
            &stack,
            "web",
            json!({"launchConfig": {"labels": {"sim.fail": "start"}}}),
        )
        .await;
    w.act(&id, "activate", json!({})).await.ok();
    w.advance(std::time::Duration::from_secs(5)).await;
    let container = w.containers(&id).await.remove(0);
    let open = w
        .list(&format!(
            "processinstances?resourceId={}&endTime_null",
            text(&container, "id")
        ))
        .await;
    assert_eq!(open.len(), 1, "{open:#?}");
    has(
        &open[0],
        &json!({"type": "processInstance", "processName": "instance.start", "resourceType": "instance", "resourceId": container["id"],
                "message": "Failing [compute.instance.activate]", "exitReason": null, "endTime": null, "accountId": "1a5"}),
        "process",
    );
    assert!(
        open[0]["executionCount"].as_i64() > Some(1) && open[0]["runAfterTS"].as_i64().is_some(),
        "{}",
        open[0]
    );
    let own = w.get(&path(&open[0]["links"]["self"])).await.expect(200, json!({}));
    assert_eq!(own["id"], open[0]["id"]);
    // Ended ones are kept, and found by name.
    let ended = w.list("processinstances?processName=service.create").await;
    has(
        &json!(ended),
        &json!([{"exitReason": "DONE", "resourceId": id, "executionCount": 1}]),
        "ended",
    );
    let all = w.list("processinstances").await;
    let mut paged = Vec::new();
    let mut next = "processinstances?limit=2&sort=id&order=desc".to_owned();
    while !next.is_empty() {
        let page = w.get(&next).await.ok();
        paged.extend(page["data"].as_array().cloned().unwrap_or_default());
        next = path(&page["pagination"]["next"]);
    }
    paged.reverse();
    assert_eq!(paged, all);
    for (query, count) in [
        ("processName_prefix=service.", 2),
        ("processName_like=%25.activate", 1),
        ("processName_ne=x&resourceType=service", 2),
        ("resourceType=nope", 0),
        ("executionCount_gt=1", 1),
        ("resourceId=nope", 0),
        ("startTime_lt=2001-01-01T00:00:00Z", 0),
    ] {
        let found = w.list(&format!("processinstances?{query}")).await;
        assert_eq!(found.len(), count, "{query}: {found:#?}");
    }
    // Administrators read how far each is, in the words of the original.
    for (query, count) in [
        ("phase=STARTED&resourceType=service", 1),
        (
            "phase_ne=STARTED&result=SUCCESS&exitReason=DONE&resourceType=service",
            1,
        ),
        ("result_null&resourceType=service", 1),
        ("priority=0&processName=service.create", 1),
        ("runningProcessServerId_null&processName=service.create", 1),
    ] {
        let found = w.list(&format!("/v2-beta/processinstances?{query}")).await;
        assert_eq!(found.len(), count, "{query}: {found:#?}");
    }
    let ended = w.list("/v2-beta/processinstances?processName=service.create").await;
    has(
        &json!(ended),
        &json!([{"phase": "DONE", "result": "SUCCESS", "priority": 0, "runningProcessServerId": null}]),
        "ended, for administrators",
    );
    w.get("processinstances/1pi999999").await.refused(404, "Not Found");
    w.get("processinstances/1s1").await.refused(404, "Not Found");
    w.delete(&path(&own["links"]["self"]))
        .await
        .refused(405, "Method not allowed");
    w.post("processinstances", json!({}))
        .await
        .refused(405, "Method not allowed");
    w.get("/v1/projects/1a5/processinstances")
        .await
        .refused(404, "Not Found");
    // v1 knows them for admins, with less to say.
    let body = w
        .get("/v1/processinstances?limit=1")
        .await
        .expect(200, json!({"resourceType": "processInstance"}));
    assert!(
        body["data"][0].get("message").is_none() && body["data"][0].get("phase").is_some(),
        "{}",
        body["data"][0]
    );
}

#[actix_web::test]
async fn a_type_is_added_by_one_file() {
    let dir = tempfile::tempdir().expect("a folder can be made");
    let types = dir.path().join("types");
    std::fs::create_dir(&types).expect("a folder can be made");
    let file = json!({
        "id": "toolBox",
        "process": "default",
        "collection": ["GET", "POST"],
        "resource": ["GET", "PUT", "DELETE"],
        "fields": {
            "drawers": {"type": "int", "can": "cu", "default": 3, "min": 1, "filter": true, "scheduleUpdate": true},
            "stackId": {"type": "reference[stack]", "can": "c", "source": "column:parentId", "filter": true},
        },
        "actions": {"activate": {}, "deactivate": {}, "remove": {}},
        "links": {"stack": "stackId"},
    });
    std::fs::write(types.join("toolBox.json"), file.to_string()).expect("a file can be written");
    let w = World::with_schemas(dir.path()).await;
    let stack = w.stack("s").await;
    let made = w
        .post("toolboxes", json!({"name": "box", "stackId": stack, "drawers": "5"}))
        .await;
    let made = made.expect(
        201,
        json!({"type": "toolBox", "state": "registering", "drawers": 5, "stackId": stack}),
    );
    let own = path(&made["links"]["self"]);
    assert!(own.starts_with("/v2-beta/projects/1a5/toolboxes/1tb"), "{own}");
    w.settle().await;
    let row = w
        .get(&own)
        .await
        .expect(200, json!({"state": "inactive", "transitioning": "no"}));
    assert_eq!(actions(&row), ["activate", "remove"]);
    w.act(&own, "activate", json!({}))
        .await
        .expect(202, json!({"state": "activating"}));
    w.settle().await;
    w.put(&own, json!({"drawers": 7}))
        .await
        .expect(200, json!({"state": "updating-active", "drawers": 7}));
    w.settle().await;
    w.put(&own, json!({"drawers": 0}))
        .await
        .refused(422, "MinLimitExceeded");
    assert_eq!(w.list("toolboxes?drawers_gt=6").await.len(), 1);
    assert_eq!(
        w.list(&format!("toolboxes?stackId={stack}&drawers_lt=6")).await.len(),
        0
    );
    w.get(&format!("{own}/stack")).await.expect(200, json!({"id": stack}));
    w.get("/v1/schemas/toolbox")
        .await
        .expect(200, json!({"id": "toolBox", "pluralName": "toolBoxes"}));
    w.delete(&own).await.refused(405, "Method not allowed");
    w.act(&own, "deactivate", json!({}))
        .await
        .expect(202, json!({"state": "deactivating"}));
    w.settle().await;
    w.delete(&own).await.expect(200, json!({"state": "removing"}));
    w.settle().await;
    w.get(&own).await.expect(200, json!({"state": "removed"}));
    assert!(w.list("toolboxes").await.is_empty());
    w.send(Method::GET, "toolboxes?_removed", None)
        .await
        .expect(200, json!({"data": [{"state": "removed"}]}));
}

/// Types that only the server makes rows of, computed or written with what happened; a superadmin's schemas list POST for them.
const MADE_BY_THE_SERVER: [&str; 5] = [
    "auditLog",
    "identity",
    "processInstance",
    "serviceLog",
    "typeDocumentation",
];

#[actix_web::test]
async fn what_has_no_rows_of_its_own_cannot_be_created_by_any_role() {
    let w = World::new().await;
    let registry = w.engine.registry().clone();
    for account in ["superadmin", "admin", "1a5", "1a6"] {
        w.engine
            .set_key(account, format!("key-{account}"), "secret")
            .await
            .expect(account);
    }
    w.engine.require_proof(true).await.expect("access control goes on");
    let mut seen = 0;
    for (account, role) in [
        ("superadmin", Role::Superadmin),
        ("admin", Role::Admin),
        ("1a5", Role::Project),
        ("1a6", Role::Service),
    ] {
        let key = format!("Basic {}", STANDARD.encode(format!("key-{account}:secret")));
        let key = [("authorization", key.as_str())];
        for version in Version::ALL {
            let view = registry.view(version, role).clone();
            let is_rowless = |ty: &TypeView| ty.is_embedded || MADE_BY_THE_SERVER.contains(&ty.def.id.as_str());
            let before = w.stored();
            for ty in view
                .types
                .values()
                .filter(|ty| is_rowless(ty) && ty.collection_methods.iter().any(|m| m == "POST"))
            {
                let path = format!("/{}/{}", version.as_str(), ty.plural);
                for body in [
                    json!({}),
                    json!({"name": "x", "members": [{"externalId": "1a1", "externalIdType": "rancher_id", "role": "owner"}]}),
                ] {
                    let refusal = w
                        .send_with(Method::POST, &path, &key, Some(body))
                        .await
                        .refused(501, "NotImplemented");
                    assert!(text(&refusal, "message").contains(&ty.id), "{path}: {refusal}");
                }
                seen += 1;
            }
            assert_eq!(w.stored(), before, "{role:?} {version:?}: nothing was stored");
        }
    }
    assert!(seen > 200, "{seen} were asked for");
}

#[actix_web::test]
async fn no_resource_says_anything_twice() {
    let world = World::new().await;
    let host = text(&world.list("hosts").await[0], "id").to_owned();
    world.put(&host, json!({"labels": {"disk": "ssd"}})).await.ok();
    world.running(&world.stack("front").await, "web", json!({})).await;
    let view = world.engine.registry().view(Version::V2Beta, Role::Project).clone();
    let mut seen = 0;
    for ty in view
        .types
        .values()
        .filter(|ty| ty.is_listable && ty.collection_methods.iter().any(|m| m == "GET"))
    {
        let path = format!("/v2-beta/projects/1a5/{}?limit=-1", ty.plural);
        let whole = world.get(&path).await.body;
        for row in whole["data"].as_array().into_iter().flatten() {
            assert!(row["type"].is_string() && row["id"].is_string(), "{path}: {row}");
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen} rows");
    let label = world
        .list("labels")
        .await
        .into_iter()
        .find(|row| row["key"] == "disk")
        .expect("a label");
    assert_eq!((text(&label, "type"), text(&label, "value")), ("label", "ssd"));
}

#[actix_web::test]
async fn what_is_not_given_comes_back_as_its_default_and_real_time_limits_are_kept() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let limits = json!({"cpuRealtimePeriod": 1_000_000, "cpuRealtimeRuntime": 950_000});
    let mut launch = json!({"imageUuid": "sim:a"});
    crate::support::lay_over(&mut launch, limits.clone());
    let alone = w.post("containers", launch.clone()).await.expect(201, limits.clone());
    w.settle().await;
    w.get(text(&alone, "id")).await.expect(200, limits.clone());
    let body = json!({"name": "n", "stackId": stack, "startOnCreate": true, "launchConfig": launch});
    let service = w
        .post("services", body)
        .await
        .expect(201, json!({"launchConfig": limits}));
    w.settle().await;
    has(
        &w.containers(text(&service, "id")).await[0],
        &limits,
        "a service's container",
    );
    let body = |millis: i64| json!({"name": "drains", "stackId": stack, "launchConfig": {"imageUuid": "sim:a", "drainTimeoutMs": millis}});
    // What is not given comes back as its default.
    let config = json!({"privileged": false, "publishAllPorts": false, "readOnly": false, "runInit": false, "stdinOpen": false, "system": false, "tty": false, "drainTimeoutMs": 0});
    let made = w.post("services", body(0)).await.expect(
        201,
        json!({"launchConfig": config, "startOnCreate": false, "publicEndpoints": null}),
    );
    // What only the server writes is taken and forgotten: clients send back whole rows.
    let given = json!({"publicEndpoints": [{"ipAddress": "1.2.3.4", "port": 1}], "description": "d"});
    w.settle().await;
    w.put(text(&made, "id"), given)
        .await
        .expect(200, json!({"description": "d", "publicEndpoints": null}));
}

#[actix_web::test]
async fn what_the_original_lists_and_nothing_is_built_of_is_an_empty_list() {
    let w = World::new().await;
    for list in [
        "hosttemplates",
        "regions",
        "scheduledupgrades",
        "networkpolicyrulewithins",
    ] {
        assert!(w.list(list).await.is_empty(), "{list}");
    }
    for list in [
        "accountlinks",
        "clustermemberships",
        "deploymentunits",
        "externalcredentials",
        "processpools",
        "processsummary",
        "regions",
    ] {
        let answer = w.get(&format!("/v2-beta/{list}")).await;
        assert!(matches!(answer.status, 200 | 404), "{list}: {}", answer.status);
    }
    w.post("hosttemplates", json!({"name": "t"}))
        .await
        .refused(501, "NotImplemented");
}
