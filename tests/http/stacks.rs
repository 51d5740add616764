//! Stacks: their life, their services, their outputs.

use serde_json::json;

use crate::support::{World, actions, text};

#[actix_web::test]
async fn a_stack_is_active_upgraded_and_rolled_back() {
    let w = World::new().await;
    let row = w.post("stacks", json!({"name": "s", "externalId": "x"})).await;
    let row = row.expect(
        201,
        json!({"type": "stack", "state": "activating", "externalId": "x", "transitioning": "yes"}),
    );
    let id = text(&row, "id").to_owned();
    w.settle().await;
    let row = w.get(&id).await.expect(
        200,
        json!({"state": "active", "healthState": "healthy", "serviceIds": null}),
    );
    let always = ["activateservices", "addoutputs", "deactivateservices"];
    assert!(always.iter().all(|a| actions(&row).contains(a)), "{:?}", actions(&row));
    assert!(
        ["remove", "update"].iter().all(|a| actions(&row).contains(a)),
        "{:?}",
        actions(&row)
    );
    for (action, via, done) in [
        ("upgrade", "upgrading", "upgraded"),
        ("rollback", "rolling-back", "active"),
        ("upgrade", "upgrading", "upgraded"),
        ("finishupgrade", "finishing-upgrade", "active"),
        ("upgrade", "upgrading", "upgraded"),
    ] {
        let answer = w.act(&id, action, json!({})).await;
        if answer.status == 501 {
            // Compose is not built yet: the action is offered, and says so.
            assert!(actions(&w.show(&id).await).contains(&action));
            break;
        }
        answer.expect(202, json!({"state": via, "transitioning": "yes"}));
        w.settle().await;
        w.get(&id)
            .await
            .expect(200, json!({"state": done, "transitioning": "no"}));
    }
    w.delete(&id).await.expect(200, json!({"state": "removing"}));
    w.settle().await;
    w.get(&id).await.expect(200, json!({"state": "removed"}));
    // A removed one gives its name free.
    w.stack("s").await;
}

#[actix_web::test]
async fn names_of_stacks_are_unique_and_well_formed() {
    let w = World::new().await;
    let first = w.stack("one").await;
    let second = w.stack("two").await;
    for (name, code) in [
        ("one", "NotUnique"),
        ("ONE", "NotUnique"),
        ("-a", "InvalidCharacters"),
        ("a-", "InvalidCharacters"),
        ("a_b", "InvalidCharacters"),
        ("", "MinLengthExceeded"),
    ] {
        for answer in [
            w.post("stacks", json!({"name": name})).await,
            w.put(&second, json!({"name": name})).await,
        ] {
            assert_eq!(answer.refused(422, code)["fieldName"], "name", "{name:?}");
        }
    }
    w.put(&first, json!({"name": "three"}))
        .await
        .expect(200, json!({"name": "three", "state": "updating-active"}));
    w.settle().await;
    w.put(&first, json!({"description": "words"}))
        .await
        .expect(200, json!({"name": "three", "state": "active", "description": "words"}));
    w.put(&second, json!({"name": "one"}))
        .await
        .expect(200, json!({"name": "one"}));
    w.post("stacks", json!({})).await.refused(422, "MissingRequired");
}

#[actix_web::test]
async fn a_stack_goes_with_its_services() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let services = [
        w.running(&stack, "a", json!({"scale": 2})).await,
        w.service(&stack, "b", json!({})).await,
    ];
    let mut listed: Vec<String> = w.show(&stack).await["serviceIds"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|i| i.as_str().map(str::to_owned))
        .collect();
    listed.sort();
    assert_eq!(listed, services);
    w.delete(&stack).await.expect(200, json!({"state": "removing"}));
    let late = json!({"name": "late", "stackId": stack, "launchConfig": {"imageUuid": "sim:x"}});
    let refusal = w.post("services", late.clone()).await.refused(422, "InvalidState");
    assert_eq!(refusal["fieldName"], "stackId");
    w.wait(&stack, "removed").await;
    for service in &services {
        w.get(service).await.expect(200, json!({"state": "removed"}));
    }
    assert!(
        w.sim().containers().is_empty() && w.list("containers").await.is_empty() && w.list("services").await.is_empty()
    );
    assert!(w.list("serviceexposemaps").await.is_empty());
    let answer = w.post("services", late).await;
    assert!(
        matches!(text(&answer.body, "code"), "InvalidState" | "InvalidReference"),
        "{}",
        answer.body
    );
}

#[actix_web::test]
async fn all_services_are_activated_and_deactivated_together() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    w.act(&stack, "deactivateservices", json!({}))
        .await
        .expect(200, json!({"state": "active"}));
    let db = w.service(&stack, "db", json!({})).await;
    let web = w.service(&stack, "web", json!({})).await;
    w.act(&web, "addservicelink", json!({"serviceLink": {"serviceId": db}}))
        .await
        .expect(200, json!({"id": web}));
    w.act(&stack, "activateservices", json!({}))
        .await
        .expect(200, json!({"id": stack}));
    w.get(&db).await.expect(200, json!({"state": "activating"}));
    w.wait(&web, "active").await;
    w.get(&db).await.expect(200, json!({"state": "active"}));
    let row = w.show(&stack).await;
    assert_eq!(row["healthState"], "healthy");
    w.act(&stack, "deactivateservices", json!({})).await.ok();
    for id in [&db, &web] {
        w.wait(id, "inactive").await;
    }
    w.settle().await;
    w.get(&stack)
        .await
        .expect(200, json!({"state": "active", "healthState": "unhealthy"}));
    // One that cannot be deactivated now keeps all as they are.
    w.act(&stack, "activateservices", json!({})).await.ok();
    w.wait(&web, "active").await;
    w.act(
        &db,
        "upgrade",
        json!({"inServiceStrategy": {"launchConfig": {"imageUuid": "sim:new"}}}),
    )
    .await
    .ok();
    w.wait(&db, "upgraded").await;
    w.act(&stack, "deactivateservices", json!({}))
        .await
        .refused(422, "InvalidState");
    w.get(&web).await.expect(200, json!({"state": "active"}));
}

#[actix_web::test]
async fn outputs_are_merged() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    w.act(&stack, "addoutputs", json!({"outputs": {"a": "1", "b": "2"}}))
        .await
        .expect(200, json!({"outputs": {"a": "1", "b": "2"}}));
    w.act(&stack, "addoutputs", json!({"outputs": {"b": "3"}}))
        .await
        .expect(200, json!({"outputs": {"a": "1", "b": "3"}}));
    w.act(&stack, "addoutputs", json!({})).await;
    w.get(&stack)
        .await
        .expect(200, json!({"outputs": {"a": "1", "b": "3"}, "state": "active"}));
}

#[actix_web::test]
async fn projects_keep_their_rows_apart() {
    let w = World::new().await;
    w.stack("s").await;
    w.get("/v2-beta/projects/1a999/stacks").await.refused(403, "Forbidden");
    assert_eq!(w.list("/v2-beta/stacks").await.len(), 1);
    assert_eq!(w.list("/v2-beta/projects").await.len(), 1);
    w.get("/v2-beta/projects/1a5")
        .await
        .expect(200, json!({"id": "1a5", "name": "Default", "state": "active"}));
}
