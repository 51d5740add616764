//! Every role × version × type × operation: allowed exactly where the role's schemas say so.

use std::collections::BTreeMap;

use actix_web::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drover::schema::{Role, TypeView, Version};
use serde_json::{Value, json};

use crate::support::{Answer, World, text};

/// Somebody who asks, with a key of its own.
struct Caller {
    role: Role,
    /// The key's account; the key is called like it.
    account: &'static str,
    /// Whether it asks inside the project.
    inside: bool,
}

const CALLERS: [Caller; 6] = [
    Caller { role: Role::Superadmin, account: "superadmin", inside: false },
    Caller { role: Role::Admin, account: "admin", inside: false },
    Caller { role: Role::Service, account: "1a6", inside: false },
    Caller { role: Role::Register, account: "1a7", inside: false },
    Caller { role: Role::Project, account: "1a5", inside: false },
    Caller { role: Role::Owner, account: "admin", inside: true },
];

/// What answers by itself, whatever the schemas say: logging in, access control, and what is a socket.
const APART: [&str; 5] = ["token", "localAuthConfig", "schema", "subscribe", "publish"];

impl Caller {
    async fn send(&self, world: &World, version: Version, method: Method, path: &str, body: Option<Value>) -> Answer {
        let key = format!("Basic {}", STANDARD.encode(format!("key-{}:of-{}", self.account, self.account)));
        let project = if self.inside { "/projects/1a5" } else { "" };
        let path = format!("/{}{project}/{path}", version.as_str());
        let answer = world.send_with(method, &path, &[("authorization", &key)], body).await;
        let is_honest = answer.status < 500 || answer.status == 501;
        assert!(is_honest && answer.status != 401, "{:?} {path}: {} {}", self.role, answer.status, answer.body);
        answer
    }
}

fn has(methods: &[String], method: &str) -> bool {
    methods.iter().any(|m| m == method)
}

/// A server with something of most types in its project, access control on, and a key for each caller.
async fn full() -> World {
    let world = World::new().await;
    let stack = world.stack("front").await;
    let web = world.running(&stack, "web", json!({"scale": 2})).await;
    let db = world.service(&stack, "db", json!({})).await;
    world.act(&web, "addservicelink", json!({"serviceLink": {"serviceId": db}})).await.ok();
    for account in ["superadmin", "admin", "1a5", "1a6", "1a7"] {
        world.engine.set_key(account, format!("key-{account}"), &format!("of-{account}")).await.expect(account);
    }
    world.engine.require_proof(true).await.expect("access control goes on");
    world
}

/// One row of each type, by the name of the type, as the superadmin lists them.
async fn rows(world: &World, version: Version) -> BTreeMap<String, Value> {
    let all = &CALLERS[0];
    let mut rows = BTreeMap::new();
    let view = world.engine.registry().view(version, Role::Superadmin).clone();
    for ty in view.types.values().filter(|ty| has(&ty.collection_methods, "GET") && !APART.contains(&ty.id.as_str())) {
        let list = all.send(world, version, Method::GET, &format!("{}?limit=1", ty.plural), None).await;
        if let Some(row) = list.body["data"].as_array().and_then(|rows| rows.first()) {
            rows.insert(ty.id.clone(), row.clone());
        }
    }
    rows
}

/// The collection of a type: each method is 405 unless the schema has it.
async fn check_collection(world: &World, caller: &Caller, version: Version, ty: &TypeView) {
    let what = format!("{:?} {} {}", caller.role, version.as_str(), ty.id);
    let listed = caller.send(world, version, Method::GET, &ty.plural, None).await;
    let expected: &[u16] = if has(&ty.collection_methods, "GET") { &[200, 501] } else { &[405] };
    assert!(expected.contains(&listed.status), "list {what}: {} {}", listed.status, listed.body);
    // A body that no type takes as it is: it is looked at only if the method is allowed at all.
    let made = caller.send(world, version, Method::POST, &ty.plural, Some(json!({"name": ["none"], "uuid": {}}))).await;
    let may = has(&ty.collection_methods, "POST");
    assert_eq!(made.status != 405, may, "create {what}: {} {}", made.status, made.body);
    for method in [Method::PUT, Method::DELETE, Method::PATCH] {
        let answer = caller.send(world, version, method.clone(), &ty.plural, None).await;
        assert_eq!(answer.status, 405, "{method} on the list of {what}");
    }
}

/// A row of a type: what the schema does not have is refused before anything is looked at, and changes nothing.
async fn check_row(world: &World, caller: &Caller, version: Version, ty: &TypeView, known: &[String], id: &str) {
    let what = format!("{:?} {} {}/{id}", caller.role, version.as_str(), ty.id);
    let path = format!("{}/{id}", ty.plural);
    let read = caller.send(world, version, Method::GET, &path, None).await;
    if read.status == 404 {
        // Not the caller's: nothing at all can be done to it.
        for method in [Method::PUT, Method::DELETE] {
            let status = caller.send(world, version, method, &path, Some(json!({}))).await.status;
            assert!(matches!(status, 404 | 405), "{what}: {status}");
        }
        return;
    }
    assert_eq!(read.status, if has(&ty.resource_methods, "GET") { 200 } else { 405 }, "read {what}: {}", read.body);
    let update = caller.send(world, version, Method::PUT, &path, Some(json!({}))).await;
    assert_eq!(update.status != 405, has(&ty.resource_methods, "PUT"), "update {what}: {} {}", update.status, update.body);
    if !has(&ty.resource_methods, "DELETE") {
        assert_eq!(caller.send(world, version, Method::DELETE, &path, None).await.status, 405, "delete {what}");
    }
    for action in known.iter().filter(|action| !ty.actions.contains_key(*action)) {
        let refused = caller.send(world, version, Method::POST, &format!("{path}?action={action}"), Some(json!({}))).await;
        assert_eq!((refused.status, text(&refused.body, "code")), (422, "InvalidAction"), "{action} {what}: {}", refused.body);
        assert!(read.body["actions"].get(action).is_none(), "{action} is offered on {what}");
    }
}

#[actix_web::test]
async fn each_role_may_do_what_its_schemas_say_and_nothing_else() {
    let world = full().await;
    for version in Version::ALL {
        let rows = rows(&world, version).await;
        let registry = world.engine.registry().clone();
        let everything = registry.view(version, Role::Superadmin).clone();
        for caller in &CALLERS {
            let view = registry.view(version, caller.role).clone();
            for whole in everything.types.values().filter(|ty| !ty.is_embedded && !APART.contains(&ty.id.as_str())) {
                // Below a project's path this is a link of the project, not a list inside it.
                if caller.inside && whole.id == "projectMember" {
                    continue;
                }
                let Some(ty) = view.types.get(&whole.id) else {
                    let hidden = caller.send(&world, version, Method::GET, &whole.plural, None).await;
                    assert_eq!(hidden.status, 404, "{:?} does not have {}", caller.role, whole.id);
                    continue;
                };
                check_collection(&world, caller, version, ty).await;
                if let Some(row) = rows.get(&ty.id) {
                    let known: Vec<String> = whole.actions.keys().cloned().collect();
                    check_row(&world, caller, version, ty, &known, text(row, "id")).await;
                }
            }
        }
    }
    let audited = CALLERS[1].send(&world, Version::V2Beta, Method::GET, "auditlogs?limit=1000", None).await.body.to_string();
    assert!(!CALLERS.iter().any(|c| audited.contains(&format!("of-{}", c.account))), "no secret is in the audit log");
}
