//! Processes: which there are, and running one again.

use actix_web::http::Method;
use serde_json::json;

use crate::project_isolation::{key, send};
use crate::support::{World, has, text};

#[actix_web::test]
async fn processes_are_defined_by_their_state_machines() {
    let w = World::new().await;
    let all = w.list("/v2-beta/processdefinitions?limit=3").await;
    let names: Vec<&str> = all.iter().map(|row| text(row, "name")).collect();
    assert!(names.is_sorted() && names.len() > 200, "{names:?}");
    for name in [
        "service.activate",
        "instance.start",
        "stack.remove",
        "host.evacuate",
        "credential.create",
    ] {
        assert!(names.contains(&name), "{name}");
    }
    let whole = json!({"id": "1pd!service.activate", "type": "processDefinition", "resourceType": "service",
        "processHandlers": {"name": "process.service.activate.handlers", "implementations": []},
        "stateTransitions": [
            {"fromState": "inactive", "toState": "activating", "field": "state", "type": "TRANSITIONING"},
            {"fromState": "restarting", "toState": "activating", "field": "state", "type": "TRANSITIONING"},
            {"fromState": "activating", "toState": "active", "field": "state", "type": "DONE"}]});
    for path in ["service.activate", "1pd!service.activate"] {
        let one = w.show(&format!("/v2-beta/processdefinitions/{path}")).await;
        has(&one, &whole, "the definition");
        assert_eq!(
            all[names
                .iter()
                .position(|n| *n == "service.activate")
                .expect("it is there")],
            one
        );
    }
    w.get("/v2-beta/processdefinitions/service.nonsense")
        .await
        .refused(404, "Not Found");
    w.get("processdefinitions").await.refused(404, "Not Found");
    // Whatever runs is one of them.
    let stack = w.stack("s").await;
    w.running(&stack, "web", json!({})).await;
    for process in w.list("/v2-beta/processinstances?limit=-1").await {
        let name = text(&process, "processName").to_owned();
        assert!(names.contains(&name.as_str()), "{name}");
    }
}

#[actix_web::test]
async fn a_process_that_waits_is_replayed_by_who_runs_the_server() {
    let w = World::new().await;
    key(&w, "superadmin").await;
    let ask = async |method: Method, path: &str| {
        let path = format!("/v2-beta/processinstances/{path}");
        send(&w, "superadmin", method, &path, None).await
    };
    let made = w
        .post(
            "containers",
            json!({"imageUuid": "sim:x", "labels": {"sim.fail": "start"}}),
        )
        .await
        .ok();
    w.settle().await;
    w.advance(std::time::Duration::from_secs(5)).await;
    let query = format!("processinstances?resourceId={}&endTime_null", text(&made, "id"));
    let waiting = w.list(&query).await.remove(0);
    let id = text(&waiting, "id").to_owned();
    assert!(waiting["executionCount"].as_i64() > Some(1), "{waiting}");
    assert!(waiting["actions"].get("replay").is_none(), "a project may not");
    w.act(&format!("processinstances/{id}"), "replay", json!({}))
        .await
        .refused(422, "InvalidAction");

    let shown = ask(Method::GET, &id).await.ok();
    let action = text(&shown["actions"], "replay").to_owned();
    assert!(
        action.ends_with(&format!("/processinstances/{id}/?action=replay")),
        "{action}"
    );
    let tries = |w: &World| w.sim().calls().iter().filter(|call| call.starts_with("start ")).count();
    let before = tries(&w);
    let replayed = ask(Method::POST, &format!("{id}?action=replay")).await;
    let first = replayed.expect(
        200,
        json!({"id": id, "executionCount": 0, "endTime": null, "phase": "STARTED"}),
    );
    assert_eq!(first["message"], waiting["message"]);
    // It runs at once, without the time going on.
    w.settle().await;
    assert_eq!(tries(&w), before + 1);
    ask(Method::GET, &id).await.expect(200, json!({"executionCount": 1}));

    // One that has ended stays as it was.
    let ended = w.list("processinstances?processName=instance.create").await.remove(0);
    let ended = ask(Method::GET, text(&ended, "id")).await.ok();
    let same = ask(Method::POST, &format!("{}?action=replay", text(&ended, "id"))).await;
    assert_eq!(same.expect(200, json!({})), ended);
    ask(Method::POST, "1pi999999?action=replay")
        .await
        .refused(404, "Not Found");
}

#[actix_web::test]
async fn a_process_leads_to_its_runs_of_which_none_are_kept() {
    let w = World::new().await;
    w.stack("s").await;
    let process = w.list("/v2-beta/processinstances?limit=1").await.remove(0);
    let link = text(&process["links"], "processExecutions").trim_start_matches("http://localhost");
    let id = text(&process, "id");
    assert_eq!(link, format!("/v2-beta/processinstances/{id}/processexecutions"));
    let empty = json!({"type": "collection", "resourceType": "processExecution", "data": [],
        "createDefaults": {"processInstanceId": id}, "pagination": {"limit": 100, "partial": false}});
    w.get(link).await.expect(200, empty);
    w.get("/v2-beta/processinstances/1pi999999/processexecutions")
        .await
        .refused(404, "Not Found");
    // Who sees no such type is led to none.
    let own = w.list("processinstances?limit=1").await.remove(0);
    assert!(own["links"]["processExecutions"].is_null(), "{own}");
    w.get(&format!("processinstances/{}/processexecutions", text(&own, "id")))
        .await
        .refused(404, "Not Found");
}
