//! What belongs to another project does not exist, on whatever path one asks for it.

use std::collections::BTreeSet;

use actix_web::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drover::schema::{Role, Version};
use serde_json::{Value, json};

use crate::support::{Answer, World, text};

/// Sends as the key of an account; the key is called like it.
async fn send(world: &World, account: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
    let key = format!("Basic {}", STANDARD.encode(format!("key-{account}:of-{account}")));
    world.send_with(method, path, &[("authorization", &key)], body).await
}

async fn key(world: &World, account: &str) {
    world.engine.set_key(account, format!("key-{account}"), &format!("of-{account}")).await.expect(account);
}

/// A row of the other project: the type it is listed under, its id and uuid, and what it links to.
struct Foreign {
    plural: String,
    ty: String,
    id: String,
    uuid: String,
    links: Vec<String>,
    actions: Vec<String>,
}

struct Scene {
    world: World,
    /// Everything in `1a5`.
    foreign: Vec<Foreign>,
    /// `(account of the key, prefix of its paths, role)`: strangers to `1a5`.
    strangers: Vec<(String, String, Role)>,
    /// The project of the strangers.
    project: String,
}

async fn scene() -> Scene {
    let world = World::new().await;
    let stack = world.stack("front").await;
    let web = world.running(&stack, "web", json!({"scale": 2})).await;
    let db = world.service(&stack, "db", json!({})).await;
    world.act(&web, "addservicelink", json!({"serviceLink": {"serviceId": db}})).await.ok();
    key(&world, "superadmin").await;
    key(&world, "1a5").await;
    world.engine.require_proof(true).await.expect("access control goes on");
    let mut users = Vec::new();
    for name in ["olga", "mia", "rex", "ron"] {
        let made = send(&world, "superadmin", Method::POST, "/v2-beta/accounts", Some(json!({"kind": "user", "name": name}))).await;
        users.push(text(&made.expect(201, json!({"kind": "user"})), "id").to_owned());
    }
    world.settle().await;
    let roles = [Role::Owner, Role::Member, Role::Restricted, Role::Readonly];
    let members: Vec<Value> = (users.iter().zip(roles))
        .map(|(user, role)| json!({"externalId": user, "externalIdType": "rancher_id", "role": role.as_str()}))
        .collect();
    let made = send(&world, "superadmin", Method::POST, "/v2-beta/projects", Some(json!({"name": "other", "members": members}))).await;
    let project = text(&made.expect(201, json!({"type": "project"})), "id").to_owned();
    world.settle().await;
    key(&world, &project).await;
    let mut strangers = vec![(project.clone(), String::new(), Role::Project)];
    for (user, role) in users.iter().zip(roles) {
        key(&world, user).await;
        strangers.push((user.clone(), String::new(), Role::User));
        strangers.push((user.clone(), format!("/projects/{project}"), role));
    }
    let mut foreign = Vec::new();
    let view = world.engine.registry().view(Version::V2Beta, Role::Superadmin).clone();
    for ty in view.types.values().filter(|ty| ty.collection_methods.iter().any(|m| m == "GET")) {
        let list = send(&world, "superadmin", Method::GET, &format!("/v2-beta/{}?limit=1000", ty.plural), None).await;
        for row in list.body["data"].as_array().into_iter().flatten().filter(|row| row["accountId"] == "1a5") {
            let keys = |name: &str| row[name].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
            let (id, uuid) = (text(row, "id").to_owned(), text(row, "uuid").to_owned());
            foreign.push(Foreign {
                plural: ty.plural.clone(),
                ty: ty.id.clone(),
                id,
                uuid,
                links: keys("links"),
                actions: keys("actions"),
            });
        }
    }
    let types: BTreeSet<&str> = foreign.iter().map(|row| row.ty.as_str()).collect();
    assert!(types.len() > 12, "there is something to leak: {types:?}");
    Scene { world, foreign, strangers, project }
}

#[actix_web::test]
async fn lists_show_nothing_of_another_project() {
    let scene = scene().await;
    let uuids: BTreeSet<&str> = scene.foreign.iter().map(|row| row.uuid.as_str()).filter(|uuid| !uuid.is_empty()).collect();
    for version in Version::ALL {
        for (account, prefix, role) in &scene.strangers {
            let view = scene.world.engine.registry().view(version, *role).clone();
            for ty in view.types.values().filter(|ty| ty.collection_methods.iter().any(|m| m == "GET")) {
                let list = format!("/{}{prefix}/{}", version.as_str(), ty.plural);
                let include = ty.includeable_links.first().map_or_else(String::new, |link| format!("&include={link}"));
                for query in ["limit=1000", "accountId=1a5", "accountId_ne=1a1", "_removed&sort=name", &format!("limit=1000{include}")] {
                    let answer = send(&scene.world, account, Method::GET, &format!("{list}?{query}"), None).await;
                    let body = answer.body.to_string();
                    let leaked: Vec<&&str> = uuids.iter().filter(|uuid| body.contains(**uuid)).collect();
                    assert!(leaked.is_empty(), "{role:?} {list}?{query} shows {leaked:?}");
                    assert!(!body.contains(r#""accountId":"1a5""#), "{role:?} {list}?{query}: {body}");
                }
            }
        }
    }
}

#[actix_web::test]
async fn rows_of_another_project_are_not_there_on_any_path() {
    let scene = scene().await;
    let mut seen = BTreeSet::new();
    for row in scene.foreign.iter().filter(|row| seen.insert(row.ty.clone())) {
        for (account, prefix, role) in &scene.strangers {
            let path = format!("/v2-beta{prefix}/{}/{}", row.plural, row.id);
            let world = &scene.world;
            let gone = |answer: Answer, what: &str| assert_eq!(answer.status, 404, "{role:?} {what} {path}: {}", answer.body);
            gone(send(world, account, Method::GET, &path, None).await, "GET");
            let letters = row.id.trim_end_matches(|c: char| c.is_ascii_digit());
            for method in [Method::PUT, Method::DELETE] {
                let body = Some(json!({"name": "taken"}));
                let answer = send(world, account, method.clone(), &path, body.clone()).await;
                let nobodys = format!("/v2-beta{prefix}/{}/{letters}99999999", row.plural);
                let expected = send(world, account, method.clone(), &nobodys, body).await.status;
                assert!(matches!(answer.status, 404 | 405) && answer.status == expected, "{role:?} {method} {path}: {}", answer.body);
            }
            for link in &row.links {
                gone(send(world, account, Method::GET, &format!("{path}/{link}"), None).await, link);
            }
            for action in &row.actions {
                let answer = send(world, account, Method::POST, &format!("{path}?action={action}"), Some(json!({}))).await;
                // An action that the role does not have is refused before anybody looks for the row.
                assert!(answer.status == 404 || answer.body["code"] == "InvalidAction", "{role:?} {action} {path}: {}", answer.body);
            }
            let (plural, uuid) = (&row.plural, &row.uuid);
            let by_uuid = send(world, account, Method::GET, &format!("/v2-beta{prefix}/{plural}?uuid={uuid}"), None).await;
            assert!(!by_uuid.body["data"].to_string().contains(uuid.as_str()) || uuid.is_empty(), "{role:?} {plural} by uuid");
        }
    }
}

#[actix_web::test]
async fn another_projects_rows_cannot_be_referred_to() {
    let scene = scene().await;
    let find = |ty: &str| scene.foreign.iter().find(|row| row.ty == ty).map(|row| row.id.clone()).expect(ty);
    let (stack, service, host, container) = (find("stack"), find("service"), find("host"), find("container"));
    let launch = json!({"imageUuid": "sim:web"});
    let own = send(&scene.world, &scene.project, Method::POST, "/v2-beta/stacks", Some(json!({"name": "own"}))).await;
    let own = text(&own.expect(201, json!({"type": "stack"})), "id").to_owned();
    let made = json!({"name": "own", "stackId": own, "launchConfig": launch});
    let made = send(&scene.world, &scene.project, Method::POST, "/v2-beta/services", Some(made)).await;
    let made = text(&made.expect(201, json!({"type": "service"})), "id").to_owned();
    scene.world.settle().await;
    let bodies = [
        ("services".to_owned(), json!({"name": "a", "stackId": stack, "launchConfig": launch})),
        ("containers".to_owned(), json!({"name": "b", "imageUuid": "sim:web", "requestedHostId": host})),
        (
            "containers".to_owned(),
            json!({"name": "c", "imageUuid": "sim:web", "networkMode": "container", "networkContainerId": container}),
        ),
        (format!("services/{made}?action=addservicelink"), json!({"serviceLink": {"serviceId": service}})),
        (format!("services/{made}?action=setservicelinks"), json!({"serviceLinks": [{"serviceId": service}]})),
    ];
    for (path, body) in bodies {
        let answer = send(&scene.world, &scene.project, Method::POST, &format!("/v2-beta/{path}"), Some(body)).await;
        assert!((400..500).contains(&answer.status), "{path}: {} {}", answer.status, answer.body);
    }
    for (account, prefix, _) in &scene.strangers {
        let by_path = send(&scene.world, account, Method::GET, "/v2-beta/projects/1a5/services", None).await;
        by_path.refused(403, "Forbidden");
        let project = send(&scene.world, account, Method::GET, &format!("/v2-beta{prefix}/projects/1a5"), None).await;
        assert_eq!(project.status, 404, "{account} {prefix}: {}", project.body);
    }
}
