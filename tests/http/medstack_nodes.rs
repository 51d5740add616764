//! Nodes of MedStack Control's interface, which are hosts.

use actix_web::http::Method;
use drover::schema::Role;
use serde_json::{Value, json};

use crate::medstack::{Desk, native_list};
use crate::support::{World, has, text};

#[actix_web::test]
async fn nodes_are_the_hosts_and_the_oldest_is_the_manager() {
    let d = Desk::over(World::with_hosts(&["one", "two"]).await).await;
    let nodes = d.list("/nodes").await;
    let [one, two] = nodes.as_slice() else {
        panic!("{nodes:?}")
    };
    has(
        one,
        &json!({"status": "ready", "swarm_manager": true, "size": "local"}),
        "the manager",
    );
    has(
        two,
        &json!({"status": "ready", "swarm_manager": false, "operating_system": {"type": "linux"}}),
        "the other",
    );
    // A read that says 202, as the original does.
    d.get(&format!("/nodes/{}", text(one, "id")))
        .await
        .expect(202, one.clone());
    let sizes = d.list("/node-sizes").await;
    assert_eq!(sizes.len(), 4);
    has(
        &sizes[1],
        &json!({"id": "node_size_medium", "object": "node_size", "title": "Medium", "vcpu": 2, "memory": 4}),
        "a size",
    );
    let hosts = native_list(&d.w, "hosts").await;
    let host = format!("/v2-beta/projects/1a5/hosts/{}", text(&hosts[1], "id"));
    let login = crate::project_isolation::login("1a5");
    let labels = json!({"labels": {"medstack.manager": "true"}});
    d.w.send_with(Method::PUT, &host, &[("authorization", &login)], Some(labels))
        .await
        .ok();
    d.w.settle().await;
    let managers: Vec<Value> = d
        .list("/nodes")
        .await
        .iter()
        .map(|node| node["swarm_manager"].clone())
        .collect();
    assert_eq!(managers, [json!(false), json!(true)]);
}

#[actix_web::test]
async fn where_no_hosts_are_simulated_none_is_made() {
    let d = Desk::over(World::with_hosts(&[]).await).await;
    let said = "This server makes no machines: hosts join by drover agent, or by --docker";
    let answer = d.post("/nodes", json!({"size_id": "node_size_small"})).await;
    answer.expect(409, json!({"code": 409, "type": "conflict error", "message": said}));
    assert!(d.list("/nodes").await.is_empty());
}

#[actix_web::test]
async fn a_simulated_node_is_made_resized_and_removed() {
    let mut d = Desk::new().await;
    for (body, why) in [
        (json!({}), "must be a string"),
        (json!({"size_id": 1}), "must be a string"),
        (json!({"size_id": "huge"}), "must be the id of a node size"),
    ] {
        let answer = d
            .post("/nodes", body)
            .await
            .expect(400, json!({"code": 400, "param": "size_id", "size_id": why}));
        assert_eq!(answer["message"], Value::Null);
        assert!(answer.as_object().is_some_and(|body| body.contains_key("message")));
    }
    let made = d.post("/nodes", json!({"size_id": "node_size_small"})).await;
    let made = made.expect(
        202,
        json!({"status": "creating", "size": "node_size_small", "swarm_manager": false}),
    );
    let id = text(&made, "id").to_owned();
    d.pass(3).await;
    d.get(&format!("/nodes/{id}"))
        .await
        .expect(202, json!({"id": id, "status": "ready", "size": "node_size_small"}));
    // What is made there is still there after a restart.
    d.service(json!({"name": "web", "image": "sim:a", "replicas": 4})).await;
    let before = running(&d).await;
    d.w.restart().await;
    d.pass(3).await;
    assert_eq!(running(&d).await, before);
    assert_eq!(before.len(), 4);
    let path = format!("/nodes/{id}");
    let resized = d
        .at(Method::PATCH, &path, Some(json!({"size_id": "node_size_large"})))
        .await;
    resized.expect(202, json!({"status": "resizing", "size": "node_size_large"}));
    let hosts = native_list(&d.w, "hosts").await;
    has(
        &hosts[1],
        &json!({"memory": 8_589_934_592_i64, "milliCpu": 2000}),
        "the host",
    );
    d.at(Method::DELETE, &path, None)
        .await
        .expect(202, json!({"id": id, "status": "deleting"}));
    d.pass(10).await;
    assert_eq!(d.get(&path).await.status, 404);
    assert_eq!(d.at(Method::DELETE, &path, None).await.status, 404);
    let now = running(&d).await;
    assert_eq!(now.len(), 4, "they came up elsewhere");
    // The only manager stays.
    let manager = text(&d.list("/nodes").await[0], "id").to_owned();
    let refused = d.at(Method::DELETE, &format!("/nodes/{manager}"), None).await;
    refused.expect(
        409,
        json!({"code": 409, "type": "conflict error", "message": "The only manager of a cluster stays"}),
    );
}

/// The ids of the containers that run, in order.
async fn running(d: &Desk) -> Vec<String> {
    let all = native_list(&d.w, "containers").await;
    let runs = all.iter().filter(|row| text(row, "state") == "running");
    let mut ids: Vec<String> = runs.map(|row| text(row, "id").to_owned()).collect();
    ids.sort();
    ids
}

#[actix_web::test]
async fn a_reboot_restarts_all_containers_of_a_node() {
    let d = Desk::new().await;
    d.service(json!({"name": "web", "image": "sim:a", "replicas": 2})).await;
    let node = text(&d.list("/nodes").await[0], "id").to_owned();
    let counts = |all: &[Value]| {
        all.iter()
            .map(|row| row["startCount"].as_i64().unwrap_or(0))
            .collect::<Vec<_>>()
    };
    let before = native_list(&d.w, "containers").await;
    let path = format!("/nodes/{node}/reboot");
    d.at(Method::POST, &path, None)
        .await
        .expect(202, json!({"id": node, "status": "rebooting"}));
    d.get(&format!("/nodes/{node}"))
        .await
        .expect(202, json!({"status": "rebooting"}));
    // Not while it is on its way.
    d.at(Method::POST, &path, None)
        .await
        .expect(409, json!({"type": "conflict error"}));
    d.pass(5).await;
    d.get(&format!("/nodes/{node}"))
        .await
        .expect(202, json!({"status": "ready"}));
    let after = native_list(&d.w, "containers").await;
    let more: Vec<i64> = counts(&before).iter().map(|count| count + 1).collect();
    assert_eq!(counts(&after), more);
}

#[actix_web::test]
async fn a_role_that_only_reads_changes_no_node() {
    let scene = crate::project_isolation::scene().await;
    let (account, ..) = scene
        .strangers
        .iter()
        .find(|(_, _, role)| *role == Role::Readonly)
        .unwrap();
    let world = &scene.world;
    let by = |method: Method, path: String, body: Option<Value>| async move {
        let path = format!("/medstack/v1/companies{path}");
        crate::project_isolation::send(world, account, method, &path, body).await
    };
    let company = by(Method::GET, "/current".into(), None).await.body;
    let company = text(&company, "id").to_owned();
    let clusters = by(Method::GET, format!("/{company}/clusters"), None).await.body;
    let base = format!("/{company}/clusters/{}", text(&clusters["data"][0], "id"));
    let size = json!({"size_id": "node_size_small"});
    by(Method::POST, format!("{base}/nodes"), Some(size))
        .await
        .expect(403, json!({"code": 403, "type": "forbidden"}));
    by(Method::GET, format!("{base}/nodes"), None)
        .await
        .expect(200, json!({"data": []}));
}
