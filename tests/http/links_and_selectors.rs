//! What ties services to each other and to containers of no service: links and selectors.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{World, has, text};

fn link(service: &str, name: &str) -> Value {
    json!({"serviceLink": {"serviceId": service, "name": name}})
}

/// `linkedServices` of a service.
async fn linked(w: &World, service: &str) -> Value {
    w.show(service).await["linkedServices"].clone()
}

#[actix_web::test]
async fn links_are_added_removed_and_set_in_any_state() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let other_stack = w.stack("t").await;
    let web = w.service(&stack, "web", json!({})).await;
    let db = w.service(&stack, "db", json!({})).await;
    let far = w.service(&other_stack, "far", json!({})).await;
    w.act(&web, "addservicelink", link(&db, "mysql"))
        .await
        .expect(200, json!({"id": web, "linkedServices": {"mysql": db}}));
    w.act(&web, "addservicelink", link(&db, "other"))
        .await
        .expect(422, json!({"code": "NotUnique", "fieldName": "serviceId"}));
    w.act(&web, "addservicelink", link("1s999999", ""))
        .await
        .expect(422, json!({"code": "InvalidReference", "fieldName": "serviceId"}));
    w.act(&web, "addservicelink", link(&far, "-x"))
        .await
        .refused(422, "InvalidCharacters");
    w.act(&web, "addservicelink", json!({}))
        .await
        .refused(422, "MissingRequired");
    w.act(&web, "addservicelink", link(&far, ""))
        .await
        .expect(200, json!({"linkedServices": {"mysql": db, "far": far}}));
    let maps = w.list(&format!("serviceconsumemaps?serviceId={web}&sort=id")).await;
    has(
        &json!(maps),
        &json!([{"consumedServiceId": db, "name": "mysql", "state": "active"}, {"consumedServiceId": far}]),
        "maps",
    );
    let targets = w.list(&format!("services/{web}/consumedservices")).await;
    assert_eq!(targets.len(), 2);
    assert_eq!(w.list(&format!("services/{db}/consumedbyservices")).await[0]["id"], web);

    w.act(&web, "removeservicelink", link(&far, ""))
        .await
        .expect(200, json!({"linkedServices": {"mysql": db, "far": null}}));
    w.act(&web, "removeservicelink", link(&far, ""))
        .await
        .expect(422, json!({"code": "InvalidReference"}));

    let both = json!({"serviceLinks": [{"serviceId": db, "name": "a"}, {"serviceId": db, "name": "b"}, {"serviceId": far, "name": ""}]});
    w.act(&web, "setservicelinks", both).await.expect(200, json!({}));
    assert_eq!(linked(&w, &web).await, json!({"a": db, "b": db, "far": far}));
    let twice = json!({"serviceLinks": [{"serviceId": db, "name": "a"}, {"serviceId": db, "name": "a"}]});
    w.act(&web, "setservicelinks", twice).await.refused(422, "NotUnique");
    assert_eq!(
        linked(&w, &web).await,
        json!({"a": db, "b": db, "far": far}),
        "a refused set changes nothing"
    );

    // Whoever goes takes its links along, in both directions.
    w.delete(&far).await.ok();
    w.act(&web, "addservicelink", link(&far, "late"))
        .await
        .expect(200, json!({}));
    w.wait(&far, "removed").await;
    assert_eq!(linked(&w, &web).await, json!({"a": db, "b": db}));
    w.act(
        &web,
        "setservicelinks",
        json!({"serviceLinks": [{"serviceId": far, "name": ""}]}),
    )
    .await
    .refused(422, "InvalidReference");
    w.act(&web, "setservicelinks", json!({})).await.expect(200, json!({}));
    assert_eq!(linked(&w, &web).await, json!(null));
}

#[actix_web::test]
async fn a_link_may_name_its_service() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let web = w.service(&stack, "web", json!({})).await;
    let by_name = |name: &str, alias: &str| json!({"serviceLink": {"service": name, "name": alias}});
    w.act(&web, "addservicelink", by_name("db", "mysql"))
        .await
        .expect(200, json!({"linkedServices": {"mysql": "db"}}));
    w.act(&web, "addservicelink", by_name("db", "again"))
        .await
        .refused(422, "NotUnique");
    let maps = w.list(&format!("serviceconsumemaps?serviceId={web}")).await;
    has(
        &json!(maps),
        &json!([{"consumedServiceId": null, "consumedService": "db", "name": "mysql", "state": "active"}]),
        "maps",
    );
    // A link to another environment is not taken for one that leads nowhere yet.
    let before = linked(&w, &web).await;
    let elsewhere = by_name("environment/stack/db", "far");
    let refused = w.act(&web, "addservicelink", elsewhere.clone()).await;
    has(
        &refused.refused(501, "NotImplemented"),
        &json!({"fieldName": "service"}),
        "the refusal",
    );
    let elsewhere = json!({"serviceLinks": [{"service": "db", "name": "mysql"}, elsewhere["serviceLink"]]});
    w.act(&web, "setservicelinks", elsewhere)
        .await
        .refused(501, "NotImplemented");
    assert_eq!(linked(&w, &web).await, before);
    let links = json!({"serviceLinks": [{"service": "other/far"}, {"service": "db", "name": "mysql"}]});
    w.act(&web, "setservicelinks", links).await.ok();
    assert_eq!(linked(&w, &web).await, json!({"far": "other/far", "mysql": "db"}));
    w.act(&web, "removeservicelink", by_name("other/far", "")).await.ok();
    assert_eq!(linked(&w, &web).await, json!({"mysql": "db"}));

    // What is named need not be there yet; once it is, it is found like any other.
    let db = w.service(&stack, "DB", json!({})).await;
    w.act(&stack, "activateservices", json!({})).await.ok();
    w.wait(&web, "active").await;
    w.wait(&db, "active").await;
    let started = |row: Value| row["createdTS"].as_i64().unwrap_or_default();
    let (web, db) = (w.containers(&web).await.remove(0), w.containers(&db).await.remove(0));
    assert!(started(db) <= started(web), "a link by name is waited for, too");
}

#[actix_web::test]
async fn a_service_waits_for_what_it_is_linked_to_only_while_that_is_made() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let db = w.service(&stack, "db", json!({})).await;
    let web = w.service(&stack, "web", json!({})).await;
    w.act(&web, "addservicelink", link(&db, "db")).await.ok();
    w.act(&db, "addservicelink", link(&web, "web")).await.ok();
    w.act(&web, "activate", json!({})).await.ok();
    w.wait(&web, "active").await;
    w.act(&stack, "activateservices", json!({}))
        .await
        .expect(200, json!({}));
    w.wait(&db, "active").await;
}

#[actix_web::test]
async fn a_link_selector_links_whatever_fits() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let first = w
        .service(&stack, "first", json!({"launchConfig": {"labels": {"role": "db"}}}))
        .await;
    let other = w
        .service(&stack, "other", json!({"launchConfig": {"labels": {"role": "cache"}}}))
        .await;
    let web = w.service(&stack, "web", json!({"selectorLink": "role=db"})).await;
    assert_eq!(linked(&w, &web).await, json!({"first": first}));
    let later = w
        .service(&stack, "later", json!({"launchConfig": {"labels": {"role": "db"}}}))
        .await;
    assert_eq!(linked(&w, &web).await, json!({"first": first, "later": later}));
    // Another selector: the links of the old one go, those made by hand stay.
    let hand = w.service(&stack, "hand", json!({})).await;
    w.act(&web, "addservicelink", link(&hand, "")).await.ok();
    w.put(&web, json!({"selectorLink": "role=cache"}))
        .await
        .expect(200, json!({"state": "updating-inactive"}));
    w.wait(&web, "inactive").await;
    assert_eq!(linked(&w, &web).await, json!({"other": other, "hand": hand}));
    w.put(&web, json!({"selectorLink": "role is db"}))
        .await
        .refused(422, "InvalidFormat");
}

#[actix_web::test]
async fn a_container_selector_adopts_what_fits_and_lets_it_go() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let fits = json!({"name": "one", "imageUuid": "sim:x", "labels": {"app": "web"}});
    let one = text(&w.post("containers", fits.clone()).await.expect(201, json!({})), "id").to_owned();
    w.wait(&one, "running").await;
    let body = json!({"name": "sel", "stackId": stack, "selectorContainer": "app=web", "launchConfig": {"imageUuid": "rancher/none"}});
    let id = text(&w.post("services", body).await.expect(201, json!({})), "id").to_owned();
    w.wait(&id, "inactive").await;
    w.act(&id, "activate", json!({})).await.ok();
    w.wait(&id, "active").await;
    has(
        &w.show(&id).await,
        &json!({"instanceIds": [one], "healthState": "healthy"}),
        "adopted",
    );
    has(
        &json!(w.list(&format!("serviceexposemaps?serviceId={id}")).await),
        &json!([{"instanceId": one, "managed": false}]),
        "maps",
    );

    // One that comes later, one that goes.
    let mut second = fits;
    second["name"] = json!("two");
    let two = text(&w.post("containers", second).await.ok(), "id").to_owned();
    w.wait(&two, "running").await;
    w.advance(Duration::from_secs(1)).await;
    assert_eq!(w.show(&id).await["instanceIds"], json!([one, two]));
    w.delete(&one).await.ok();
    w.wait(&one, "removed").await;
    w.settle().await;
    assert_eq!(w.show(&id).await["instanceIds"], json!([two]));

    // One that stops stays adopted; another selector lets it go, and back.
    w.act(&two, "stop", json!({})).await.ok();
    w.wait(&two, "stopped").await;
    w.settle().await;
    assert_eq!(w.show(&id).await["instanceIds"], json!([two]));
    for (selector, expected) in [("app=other", json!(null)), ("app=web", json!([two]))] {
        w.put(&id, json!({"selectorContainer": selector}))
            .await
            .expect(200, json!({"state": "updating-active"}));
        w.act(&two, "start", json!({})).await;
        w.wait(&two, "running").await;
        w.wait(&id, "active").await;
        w.settle().await;
        assert_eq!(w.show(&id).await["instanceIds"], expected, "{selector}");
    }

    // With containers of its own only those count; removing the service leaves the others alone.
    let mixed = w
        .running(&stack, "mixed", json!({"selectorContainer": "app=web"}))
        .await;
    has(&w.show(&mixed).await, &json!({"currentScale": 1}), "mixed");
    assert_eq!(w.show(&mixed).await["instanceIds"].as_array().map(Vec::len), Some(2));
    w.put(&mixed, json!({"scale": 2})).await.ok();
    w.wait(&mixed, "active").await;
    assert_eq!(w.show(&mixed).await["instanceIds"].as_array().map(Vec::len), Some(3));
    for service in [&id, &mixed] {
        w.delete(service).await.ok();
        w.wait(service, "removed").await;
    }
    assert_eq!(w.show(&two).await["state"], "running");
}
