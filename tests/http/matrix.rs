//! Every state of a service that a client can see, and what may be asked for in it: nothing more, nothing less.

use serde_json::{Value, json};

use crate::support::{World, actions, text};

/// How a service gets into a state: actions, a change of its scale, and waiting (`=`) for states on the way.
const WAYS: &[(&str, &str)] = &[
    ("registering", ""),
    ("inactive", "=inactive"),
    ("activating", "=inactive activate"),
    ("active", "=inactive activate =active"),
    ("updating-active", "=inactive activate =active scale"),
    ("updating-inactive", "=inactive scale"),
    ("deactivating", "=inactive activate =active deactivate"),
    ("upgrading", "=inactive activate =active upgrade"),
    ("upgraded", "=inactive activate =active upgrade =upgraded"),
    (
        "finishing-upgrade",
        "=inactive activate =active upgrade =upgraded finishupgrade",
    ),
    ("canceling-upgrade", "=inactive activate =active upgrade cancelupgrade"),
    (
        "canceled-upgrade",
        "=inactive activate =active upgrade cancelupgrade =canceled-upgrade",
    ),
    ("rolling-back", "=inactive activate =active upgrade =upgraded rollback"),
    (
        "canceling-rollback",
        "=inactive activate =active upgrade =upgraded rollback cancelrollback",
    ),
    (
        "canceled-rollback",
        "=inactive activate =active upgrade =upgraded rollback cancelrollback =canceled-rollback",
    ),
    ("restarting", "=inactive activate =active restart"),
    ("removing", "=inactive activate =active remove"),
    ("removed", "=inactive activate =active remove =removed"),
];

/// The matrix of one version: state → sorted actions.
fn offered(version: &str, state: &str) -> Vec<&'static str> {
    let text = include_str!("../contract/service-matrix.txt");
    let column = text
        .lines()
        .find_map(|l| l.strip_prefix("# ").and_then(|l| l.strip_suffix(&format!(" {state}"))))
        .expect("a known state");
    let mut lines = text.lines().skip_while(|l| *l != format!("[{version}]")).skip(1);
    let columns: Vec<&str> = lines.next().expect("a head line").split_whitespace().collect();
    let index = columns.iter().position(|c| *c == column).expect("a column");
    let rows = lines.take_while(|l| !l.trim().is_empty());
    let mut offered: Vec<&str> = rows
        .filter_map(|l| {
            let mut words = l.split_whitespace();
            let action = words.next()?;
            (words.nth(index) == Some("Y")).then_some(action)
        })
        .collect();
    offered.sort_unstable();
    offered
}

fn input(action: &str) -> Value {
    match action {
        "upgrade" => json!({"inServiceStrategy": {"launchConfig": {"imageUuid": "sim:new"}}}),
        "restart" => json!({"rollingRestartStrategy": {}}),
        "addservicelink" | "removeservicelink" => json!({"serviceLink": {"serviceId": "1s1", "name": "x"}}),
        _ => json!({}),
    }
}

/// The path of a service in v1; the only version that has every state.
fn v1(id: &str) -> String {
    format!("/v1/projects/1a5/services/{id}")
}

async fn bring(w: &World, stack: &str, state: &str, way: &str) -> String {
    let body = json!({"name": state, "stackId": stack, "launchConfig": {"imageUuid": "sim:web"}});
    let id = text(&w.post("services", body).await.ok(), "id").to_owned();
    for word in way.split_whitespace() {
        match (word, word.strip_prefix('=')) {
            (_, Some(state)) => drop(w.wait(&v1(&id), state).await),
            ("scale", _) => drop(w.put(&id, json!({"scale": 2})).await.ok()),
            (action, _) => drop(w.act(&v1(&id), action, input(action)).await.expect(202, json!({}))),
        }
    }
    id
}

#[actix_web::test]
async fn every_state_offers_what_the_matrix_says_and_refuses_the_rest() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    for (state, way) in WAYS {
        let id = bring(&w, &stack, state, way).await;
        for version in ["v1", "v2-beta"] {
            let path = format!("/{version}/projects/1a5/services/{id}");
            let before = w.show(&path).await;
            let shown = match (version, *state) {
                // v2-beta has no words for a cancelled rollback.
                ("v2-beta", "canceling-rollback" | "canceled-rollback") => text(&before, "state"),
                _ => state,
            };
            assert_eq!(text(&before, "state"), shown, "{version} {way}");
            let expected = offered(version, state);
            assert_eq!(actions(&before), expected, "{version} {state}");
            let schema = w.show(&format!("/{version}/projects/1a5/schemas/service")).await;
            for action in schema["resourceActions"]
                .as_object()
                .expect("actions")
                .keys()
                .filter(|a| !expected.contains(&a.as_str()))
            {
                w.act(&path, action, input(action))
                    .await
                    .refused(422, "ActionNotAvailable");
            }
            w.act(&path, "restore", json!({})).await.refused(422, "InvalidAction");
            assert_eq!(
                before,
                w.show(&path).await,
                "{version} {state}: a refused action changed something"
            );
        }
        // Out of the way of the next one.
        w.settle().await;
    }
}

#[actix_web::test]
async fn v1_and_v2_beta_show_one_service_in_their_own_words() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let environment = w
        .list("/v1/projects/1a5/environments")
        .await
        .into_iter()
        .find(|e| e["name"] == "s")
        .expect("the stack in v1");
    let environment = text(&environment, "id").to_owned();
    assert_eq!(environment, stack.replace("1st", "1e"));
    let body = json!({"name": "web", "environmentId": environment, "launchConfig": {"imageUuid": "sim:web"}});
    // The service is v2-beta's with another name for its stack beside the old one, and other links.
    let created = w
        .post("/v1/projects/1a5/services", body)
        .await
        .expect(201, json!({"environmentId": environment, "stackId": stack}));
    let id = text(&created, "id");
    assert!(
        text(&created["links"], "environment").ends_with(&format!("/environments/{environment}")),
        "{created:#}"
    );
    assert!(created["links"].get("stack").is_none());
    w.wait(id, "inactive").await;
    let row = w.get(id).await.expect(
        200,
        json!({"stackId": stack, "environmentId": null, "state": "inactive", "instanceIds": null}),
    );
    assert!(
        text(&row["links"], "stack").ends_with(&format!("/services/{id}/stack")),
        "{row:#}"
    );
    assert!(row["links"].get("environment").is_none());
    w.get(&format!("/v1/projects/1a5/services?environmentId={environment}"))
        .await
        .expect(200, json!({"data": [{"id": id}]}));
    w.get(&format!("services?stackId={stack}"))
        .await
        .expect(200, json!({"data": [{"id": id}]}));
}
