//! The audit log: one row for each request that asks for a change, written with the change.

use actix_web::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{World, text};

/// The newest rows first, as `eventType responseCode resourceId`.
async fn log(world: &World) -> Vec<String> {
    let rows = world.list("auditlogs?sort=id&order=desc").await;
    rows.iter()
        .map(|r| {
            format!(
                "{} {} {}",
                text(r, "eventType"),
                r["responseCode"],
                text(r, "resourceId")
            )
        })
        .collect()
}

#[actix_web::test]
async fn each_change_and_each_refusal_leaves_one_row() {
    let world = World::new().await;
    let stack = text(&world.post("stacks", json!({"name": "shop"})).await.ok(), "id").to_owned();
    world.settle().await;
    assert_eq!(log(&world).await, [format!("api.stack.create 201 {stack}")]);

    world
        .post("stacks", json!({"name": "shop"}))
        .await
        .refused(422, "NotUnique");
    world.post("stacks", json!({})).await.refused(422, "MissingRequired");
    world.put(&stack, json!({"description": "d"})).await.ok();
    world.put(&stack, json!({"description": "d"})).await.ok();
    world
        .act(&stack, "nonsense", json!({}))
        .await
        .refused(422, "InvalidAction");
    world.act(&stack, "deactivateservices", json!({})).await.ok();
    world
        .act(&stack, "remove", json!({}))
        .await
        .expect(202, json!({"state": "removing"}));
    world.settle().await;
    world.delete(&stack).await.expect(200, json!({"state": "removed"}));
    world.get(&stack).await.ok();
    assert_eq!(
        log(&world).await,
        [
            format!("api.stack.delete 200 {stack}"),
            format!("api.stack.remove 202 {stack}"),
            format!("api.stack.deactivateservices 200 {stack}"),
            format!("api.stack.nonsense 422 {stack}"),
            format!("api.stack.update 200 {stack}"),
            format!("api.stack.update 200 {stack}"),
            "api.stack.create 422 ".to_owned(),
            "api.stack.create 422 ".to_owned(),
            format!("api.stack.create 201 {stack}"),
        ]
    );
    let about = world
        .list(&format!("auditlogs?resourceId={stack}&eventType=api.stack.remove"))
        .await;
    assert_eq!(about.len(), 1);
}

#[actix_web::test]
async fn a_row_says_who_asked_for_what_and_what_came_of_it() {
    let world = World::new().await;
    let stack = world.stack("shop").await;
    let row = world.list("auditlogs").await.remove(0);
    let request: serde_json::Value = serde_json::from_str(text(&row, "requestObject")).expect("the request is JSON");
    assert_eq!(request, json!({"name": "shop"}));
    let response: serde_json::Value = serde_json::from_str(text(&row, "responseObject")).expect("the response is JSON");
    crate::support::has(
        &response,
        &json!({"id": stack, "type": "stack", "name": "shop", "state": "activating"}),
        "the response",
    );
    crate::support::has(
        &row,
        &json!({"type": "auditLog", "accountId": "1a5", "authType": "AdminAuth", "authenticatedAsAccountId": "1a1",
            "authenticatedAsIdentityId": "1i!rancher_id:1", "resourceType": "stack", "resourceId": stack, "kind": "auditLog"}),
        "the row",
    );
    // Rows of the log are read, never written.
    let id = text(&row, "id");
    world
        .delete(&format!("auditlogs/{id}"))
        .await
        .refused(405, "Method not allowed");
    world
        .put(&format!("auditlogs/{id}"), json!({"eventType": "x"}))
        .await
        .refused(405, "Method not allowed");
    world
        .get(&format!("/v2-beta/auditlogs/{id}/authenticatedAsAccount"))
        .await
        .expect(200, json!({"id": "1a1"}));
}

#[actix_web::test]
async fn a_row_leads_to_what_was_changed_and_to_who_changed_it() {
    let world = World::new().await;
    let stack = world.stack("shop").await;
    world
        .post("stacks", json!({"name": "shop"}))
        .await
        .refused(422, "NotUnique");
    world
        .put("1st9%22%7Dx", json!({"description": "of none"}))
        .await
        .refused(404, "Not Found");
    world
        .put("/v2-beta/settings/api.host", json!({"value": "http://h"}))
        .await
        .ok();
    for (log, resource) in [
        ("/v2-beta/auditlogs", format!("/v2-beta/stacks/{stack}")),
        (
            "/v2-beta/projects/1a5/auditlogs",
            format!("/v2-beta/projects/1a5/stacks/{stack}"),
        ),
        (
            "/v1/projects/1a5/auditlogs",
            format!("/v1/projects/1a5/environments/{}", stack.replacen("1st", "1e", 1)),
        ),
    ] {
        let rows = world.list(&format!("{log}?sort=id&resourceType=stack")).await;
        let path = |row: &Value, link: &str| {
            let url = row["links"][link].as_str().unwrap_or_default();
            url.find("/v").map_or(String::new(), |at| url[at..].to_owned())
        };
        assert_eq!(path(&rows[0], "resource"), resource, "{}", rows[0]);
        world
            .get(&resource)
            .await
            .expect(200, json!({"name": "shop", "state": "active"}));
        let identity = path(&rows[0], "authenticatedAsIdentity");
        assert!(identity.ends_with("/identities/1i!rancher_id:1"), "{identity}");
        world
            .get(&identity)
            .await
            .expect(200, json!({"id": "1i!rancher_id:1a1", "type": "identity"}));
        // Nothing was made, and nothing is led to.
        assert_eq!(path(&rows[1], "resource"), "", "{}", rows[1]);
        // What a client wrote in a path stays a part of it.
        assert!(path(&rows[2], "resource").ends_with("/1st9%22%7Dx"), "{}", rows[2]);
    }
    let rows = world.list("/v2-beta/auditlogs?resourceType=setting").await;
    let url = text(&rows[0]["links"], "resource");
    assert!(url.ends_with("/v2-beta/settings/api.host"), "{url}");
}

#[actix_web::test]
async fn in_the_names_of_events_a_project_is_an_environment_and_a_stack_stays_a_stack() {
    let world = World::new().await;
    let made = world
        .post("/v2-beta/projects", json!({"name": "new"}))
        .await
        .expect(201, json!({"type": "project"}));
    world
        .post("/v1/projects/1a5/environments", json!({"name": "shop"}))
        .await
        .expect(201, json!({"type": "environment"}));
    world.settle().await;
    let gone = world.delete(&format!("/v2-beta/projects/{}", text(&made, "id"))).await;
    // Quirk: a list of one.
    gone.expect(
        200,
        json!({"type": "collection", "resourceType": "project", "data": [{"id": made["id"], "state": "deactivating"}]}),
    );
    let rows = world.list("/v2-beta/auditlogs?sort=id").await;
    let names: Vec<_> = rows
        .iter()
        .map(|r| (text(r, "eventType"), text(r, "resourceType")))
        .collect();
    assert_eq!(
        names,
        [
            ("api.environment.create", "project"),
            ("api.stack.create", "stack"),
            ("api.environment.delete", "project")
        ]
    );
}

#[actix_web::test]
async fn a_change_and_its_row_are_lost_together() {
    let mut world = World::new().await;
    world.die_after(0);
    assert_eq!(world.post("stacks", json!({"name": "lost"})).await.status, 503);
    world.restart().await;
    assert!(log(&world).await.is_empty() && world.list("stacks?name=lost").await.is_empty());
}

#[actix_web::test]
async fn whoever_may_write_everything_can_change_and_remove_rows_of_the_log() {
    let world = World::new().await;
    let (one, two) = (world.stack("one").await, world.stack("two").await);
    let key = world.engine.set_key("superadmin", "key-super".into(), "of-super").await;
    key.expect("the superadmin is there");
    let basic = format!("Basic {}", STANDARD.encode("key-super:of-super"));
    let send = async |method: Method, path: &str, body: Option<Value>| {
        let path = format!("/v2-beta/{path}");
        world.send_with(method, &path, &[("authorization", &basic)], body).await
    };
    let listed = async |filter: &str| {
        let rows = send(
            Method::GET,
            &format!("auditlogs?sort=id&resourceType=stack&{filter}"),
            None,
        )
        .await
        .ok();
        let rows = rows["data"].as_array().expect("a list").clone();
        rows.iter()
            .map(|row| text(row, "resourceId").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(listed("").await, [one.clone(), two.clone()]);
    let first = send(Method::GET, "auditlogs?sort=id&limit=1", None).await.ok()["data"][0].clone();
    let path = format!("auditlogs/{}", text(&first, "id"));
    let changes = json!({"description": "seen", "clientIp": "10.9.8.7", "responseObject": "none"});
    let changed = send(Method::PUT, &path, Some(changes.clone()))
        .await
        .expect(200, changes.clone());
    assert_eq!(changed["requestObject"], first["requestObject"]);
    send(Method::GET, &path, None).await.expect(200, changes);
    for filter in ["description=seen", "clientIp=10.9.8.7", "description_notnull"] {
        assert_eq!(listed(filter).await, [one.as_str()], "{filter}");
    }
    assert_eq!(listed("description_null").await, [two.as_str()]);

    let gone = send(Method::DELETE, &path, None).await.ok();
    assert!(gone["removed"].is_null(), "that is not shown of such rows");
    send(Method::GET, &path, None)
        .await
        .expect(200, json!({"description": "seen"}));
    assert_eq!(listed("").await, [two.as_str()]);
    world.clock.advance(std::time::Duration::from_secs(3 * 24 * 3600));
    world.engine.sweep().await.expect("a sweep");
    assert_eq!(send(Method::GET, &path, None).await.status, 404);
    assert_eq!(listed("").await, [two]);
}
