//! Oddities of the wire that are kept on purpose; `docs/API-DESIGN.md` lists them.

use serde_json::json;

use crate::support::{World, text};

#[actix_web::test]
async fn a_setting_is_shown_under_another_type() {
    let w = World::new().await;
    let expected = json!({"id": "api.host", "type": "activeSetting", "baseType": "setting", "name": "api.host"});
    w.get("/v2-beta/settings/api.host").await.expect(200, expected.clone());
    w.get("/v1/settings/api.host").await.expect(200, expected);
}

#[actix_web::test]
async fn a_link_to_something_that_goes_is_taken_and_does_nothing() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let web = w.service(&stack, "web", json!({})).await;
    let db = w.running(&stack, "db", json!({})).await;
    // Nothing is settled: it stays on its way out.
    w.delete(&db).await.expect(200, json!({"state": "removing"}));
    let link = json!({"serviceLink": {"serviceId": db, "name": "db"}});
    let row = w.act(&web, "addservicelink", link).await.ok();
    assert_eq!(text(&row, "id"), web);
    assert!(w.list(&format!("serviceconsumemaps?serviceId={web}")).await.is_empty());
}

#[actix_web::test]
async fn a_link_is_named_in_its_own_letters_or_in_lower_case() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let service = w.service(&stack, "web", json!({})).await;
    for name in ["serviceExposeMaps", "serviceexposemaps", "stack"] {
        w.get(&format!("{service}/{name}")).await.ok();
    }
    for name in ["Stack", "STACK", "ServiceExposeMaps"] {
        w.get(&format!("{service}/{name}")).await.refused(404, "Not Found");
    }
}
