//! What runs everything else is changed by some roles only: hosts, registration tokens, and what is the system's own.

use actix_web::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{Answer, World, actions, text};

/// A project with an owner (the admin), and members of these roles; each key is called like its role.
async fn members(world: &World, roles: &[&str]) {
    world
        .engine
        .set_key("admin", "owner".into(), "secret")
        .await
        .expect("the admin is there");
    let mut members = vec![json!({"externalId": "1a1", "externalIdType": "rancher_id", "role": "owner"})];
    for role in roles {
        let made = world
            .post("/v2-beta/accounts", json!({"kind": "user", "name": role}))
            .await
            .ok();
        let id = text(&made, "id").to_owned();
        world.settle().await;
        world
            .engine
            .set_key(&id, (*role).to_owned(), "secret")
            .await
            .expect("an account");
        members.push(json!({"externalId": id, "externalIdType": "rancher_id", "role": role}));
    }
    world
        .act("/v2-beta/projects/1a5", "setmembers", json!({"members": members}))
        .await
        .ok();
    world.engine.require_proof(true).await.expect("access control goes on");
}

async fn send(world: &World, who: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
    let key = format!("Basic {}", STANDARD.encode(format!("{who}:secret")));
    world.send_with(method, path, &[("authorization", &key)], body).await
}

async fn show(world: &World, who: &str, path: &str) -> Value {
    send(world, who, Method::GET, path, None).await.expect(200, json!({}))
}

#[actix_web::test]
async fn a_role_without_the_right_reads_hosts_and_does_not_see_tokens() {
    let world = World::new().await;
    members(&world, &["member"]).await;
    let token = send(&world, "owner", Method::POST, "registrationtokens", Some(json!({})))
        .await
        .expect(201, json!({}));
    let token = format!("registrationtokens/{}", text(&token, "id"));
    world.settle().await;
    let host = text(&show(&world, "owner", "hosts").await["data"][0], "id").to_owned();
    assert!(actions(&show(&world, "member", &host).await).contains(&"deactivate"));
    assert_eq!(
        show(&world, "member", "registrationtokens").await["data"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );

    let setting = show(&world, "owner", "/v2-beta/settings/modify.infrastructure.roles").await;
    let without = text(&setting, "value").replace("member,", "");
    assert!(
        text(&setting, "value").contains("member,") && !without.contains("restricted"),
        "{setting}"
    );
    let path = "/v2-beta/settings/modify.infrastructure.roles";
    send(&world, "owner", Method::PUT, path, Some(json!({"value": without})))
        .await
        .ok();

    let seen = show(&world, "member", &host).await;
    assert_eq!(actions(&seen), Vec::<&str>::new());
    send(&world, "member", Method::PUT, &host, Some(json!({"name": "mine"})))
        .await
        .refused(403, "Forbidden");
    send(&world, "member", Method::DELETE, &host, None)
        .await
        .refused(403, "Forbidden");
    send(
        &world,
        "member",
        Method::POST,
        &format!("{host}?action=deactivate"),
        Some(json!({})),
    )
    .await
    .refused(403, "Forbidden");
    assert_eq!(show(&world, "member", &host).await, seen);
    assert_eq!(show(&world, "member", "registrationtokens").await["data"], json!([]));
    send(&world, "member", Method::GET, &token, None)
        .await
        .refused(404, "Not Found");
    send(&world, "member", Method::PUT, &token, Some(json!({})))
        .await
        .refused(405, "Method not allowed");
    send(&world, "member", Method::POST, "registrationtokens", Some(json!({})))
        .await
        .refused(403, "Forbidden");
    assert_eq!(show(&world, "member", "credentials").await["data"], json!([]));
    // The owner has the right still.
    assert!(actions(&show(&world, "owner", &host).await).contains(&"deactivate"));
}

#[actix_web::test]
async fn what_is_the_systems_own_is_changed_by_who_may() {
    let world = World::new().await;
    members(&world, &["member", "restricted"]).await;
    let post = |who: &'static str, path: &'static str, body: Value| send(&world, who, Method::POST, path, Some(body));
    let plain = post("restricted", "stacks", json!({"name": "mine", "system": true}))
        .await
        .expect(201, json!({"system": false}));
    let system = post("owner", "stacks", json!({"name": "net", "system": true}))
        .await
        .expect(201, json!({"system": true}));
    let body = |stack: &Value| json!({"name": "web", "stackId": stack["id"], "startOnCreate": true, "launchConfig": {"imageUuid": "sim:web"}});
    world.settle().await;
    post("restricted", "services", body(&system))
        .await
        .refused(403, "Forbidden");
    let service = post("owner", "services", body(&system))
        .await
        .expect(201, json!({"system": true}));
    let own = post("restricted", "services", body(&plain))
        .await
        .expect(201, json!({"system": false}));
    world.settle().await;
    let container = |service: &Value| format!("services/{}/instances", text(service, "id"));
    let theirs = text(&show(&world, "owner", &container(&service)).await["data"][0], "id").to_owned();
    let ours = text(&show(&world, "owner", &container(&own)).await["data"][0], "id").to_owned();

    for id in [text(&system, "id"), text(&service, "id"), &theirs] {
        let seen = show(&world, "restricted", id).await;
        // What containers say may be read, once it can be.
        assert!(
            actions(&seen).into_iter().all(|action| action == "logs"),
            "{id}: {seen}"
        );
        send(
            &world,
            "restricted",
            Method::PUT,
            id,
            Some(json!({"description": "mine"})),
        )
        .await
        .refused(403, "Forbidden");
        send(&world, "restricted", Method::DELETE, id, None)
            .await
            .refused(403, "Forbidden");
        send(
            &world,
            "restricted",
            Method::POST,
            &format!("{id}?action=remove"),
            Some(json!({})),
        )
        .await
        .refused(
            if id == theirs { 422 } else { 403 },
            if id == theirs {
                "ActionNotAvailable"
            } else {
                "Forbidden"
            },
        );
        assert_eq!(show(&world, "restricted", id).await["description"], Value::Null);
        assert!(!actions(&show(&world, "member", id).await).is_empty(), "{id}");
        send(
            &world,
            "member",
            Method::PUT,
            id,
            Some(json!({"description": "theirs"})),
        )
        .await
        .ok();
    }
    for id in [text(&plain, "id"), text(&own, "id"), &ours] {
        assert!(actions(&show(&world, "restricted", id).await).len() > 1, "{id}");
        send(
            &world,
            "restricted",
            Method::PUT,
            id,
            Some(json!({"description": "mine"})),
        )
        .await
        .ok();
    }
    // In one list, both as they are.
    let list = show(&world, "restricted", "services?sort=id").await;
    let offered: Vec<bool> = list["data"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| actions(row).is_empty())
        .collect();
    assert_eq!(offered, [true, false]);
}
