//! What follows from fields that no other test is about.

use std::time::Duration;

use actix_web::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drover::runtime::sim::Health::Unhealthy;
use serde_json::{Value, json};

use crate::balancers::certificate;
use crate::support::{World, has, text};

#[actix_web::test]
async fn a_stack_is_made_of_templates_and_answers_and_upgraded_by_others() {
    let w = World::new().await;
    let file = |image: &str| json!({"docker-compose.yml": format!("web:\n  image: sim:{image}\n  environment: {{SAID: '${{SAID}}'}}\n")});
    let made = json!({"name": "t", "templates": file("one"), "answers": {"SAID": "a"}, "startOnCreate": true});
    let stack = text(&w.post("stacks", made).await.ok(), "id").to_owned();
    w.wait(&stack, "active").await;
    let web = async || w.list(&format!("services?stackId={stack}")).await.remove(0);
    let is = async |image: &str, said: &str| {
        let row = web().await;
        let launch = &row["launchConfig"];
        assert_eq!(
            (text(launch, "imageUuid"), &launch["environment"]["SAID"]),
            (format!("sim:{image}").as_str(), &json!(said)),
            "{row:#}"
        );
    };
    is("one", "a").await;
    let other = json!({"templates": file("two"), "answers": {"SAID": "b"}});
    w.act(&stack, "upgrade", other).await.ok();
    w.wait(&stack, "upgraded").await;
    is("two", "b").await;
    w.act(&stack, "finishupgrade", json!({})).await.ok();
    w.wait(&stack, "active").await;
    // The first version has an input of its own.
    let v1 = format!("/v1/projects/1a5/environments/{}", stack.replacen("1st", "1e", 1));
    let other = json!({"dockerCompose": "web:\n  image: sim:three\n  environment: {SAID: '${SAID}'}\n",
        "rancherCompose": "web:\n  metadata: {a: b}\n", "environment": {"SAID": "c"}, "externalId": "catalog://x"});
    w.act(&v1, "upgrade", other).await.ok();
    let row = w.wait(&stack, "upgraded").await;
    is("three", "c").await;
    assert_eq!(web().await["metadata"], json!({"a": "b"}));
    assert_eq!(row["externalId"], "catalog://x");
}

#[actix_web::test]
async fn a_restarted_container_that_does_not_get_well_in_time_is_replaced() {
    for (limit, is_replaced) in [(3_000, true), (600_000, false)] {
        let w = World::new().await;
        let stack = w.stack("s").await;
        let check = json!({"port": 80, "interval": 1000, "responseTimeout": 1000, "healthyThreshold": 1,
            "unhealthyThreshold": 2, "initializingTimeout": 600_000, "reinitializingTimeout": limit});
        let id = w
            .running(&stack, "web", json!({"launchConfig": {"healthCheck": check}}))
            .await;
        w.advance(Duration::from_secs(5)).await;
        let uuid = w.uuid("s-web-1").await;
        let container = text(&w.containers(&id).await[0], "id").to_owned();
        assert_eq!(w.show(&container).await["healthState"], "healthy");
        w.act(&container, "restart", json!({})).await.ok();
        w.sim().set_health(&uuid, Unhealthy);
        w.advance(Duration::from_secs(20)).await;
        assert_eq!(w.uuid("s-web-1").await != uuid, is_replaced, "{limit}");
    }
}

#[actix_web::test]
async fn who_may_makes_rows_for_another_account() {
    let w = World::new().await;
    let other = w.post("/v2-beta/projects", json!({"name": "other"})).await.ok();
    let other = text(&other, "id");
    w.settle().await;
    w.engine
        .set_key("1a6", "SERVICE".into(), "secret-of-SERVICE")
        .await
        .expect("a key");
    let service = format!("Basic {}", STANDARD.encode("SERVICE:secret-of-SERVICE"));
    let mut certificate = certificate("c");
    certificate["accountId"] = json!(other);
    for (list, body) in [
        ("apikeys", json!({"accountId": other})),
        (
            "passwords",
            json!({"accountId": other, "publicValue": "somebody", "secretValue": "a long enough one"}),
        ),
        ("registrationtokens", json!({"accountId": other})),
        ("certificates", certificate),
    ] {
        // Administrators make neither tokens for hosts nor certificates: the services that run beside the server do.
        let headers: &[(&str, &str)] = match list {
            "registrationtokens" | "certificates" => &[("authorization", &service)],
            _ => &[],
        };
        let made = w
            .send_with(Method::POST, &format!("/v2-beta/{list}"), headers, Some(body))
            .await
            .expect(201, json!({"accountId": other}));
        w.settle().await;
        let own = format!("/v2-beta/{list}/{}", text(&made, "id"));
        w.get(&own).await.expect(200, json!({"accountId": other}));
        let inside = |project: &str| format!("/v2-beta/projects/{project}/{list}/{}", text(&made, "id"));
        w.get(&inside("1a5")).await.refused(404, "Not Found");
        w.get(&inside(other)).await.ok();
    }
}

#[actix_web::test]
async fn parts_that_are_only_kept_come_back_with_their_whole() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let check = json!({"name": "check", "port": 80, "interval": 2000, "responseTimeout": 2000});
    let outside =
        json!({"name": "outside", "stackId": stack, "externalIpAddresses": ["192.0.2.7"], "healthCheck": check});
    let balancer = json!({"name": "lb", "stackId": stack, "launchConfig": {"imageUuid": "sim:lb", "ports": ["80"], "healthCheck": check},
        "lbConfig": {"stickinessPolicy": {"name": "policy", "mode": "insert", "cookie": "STAY"}, "portRules": []}});
    let bound = json!({"name": "bound", "binding": {"services": {"web": {"labels": {"a": "b"}, "ports": ["80:80"]}}}});
    for (list, mut body) in [
        ("externalservices", outside),
        ("loadbalancerservices", balancer),
        ("stacks", bound),
    ] {
        let made = w.send(Method::POST, list, Some(body.clone())).await.ok();
        w.settle().await;
        let row = w.show(text(&made, "id")).await;
        // A port is shown with its protocol.
        if let Some(launch) = body.get_mut("launchConfig").and_then(Value::as_object_mut) {
            launch.remove("ports");
        }
        has(&row, &body, list);
    }
}

#[actix_web::test]
async fn what_the_server_itself_says_is_not_taken_from_clients() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let other = w.running(&stack, "other", json!({})).await;
    let container = w.containers(&other).await.remove(0);
    let endpoint = json!({"hostId": container["hostId"], "instanceId": container["id"], "ipAddress": "192.0.2.1", "port": 99, "serviceId": other});
    let id = w
        .running(
            &stack,
            "web",
            json!({"publicEndpoints": [endpoint], "launchConfig": {"ports": ["8080:80"]}}),
        )
        .await;
    let ports = async || -> Vec<Value> {
        let row = w.show(&id).await;
        let all = row["publicEndpoints"].as_array().cloned().unwrap_or_default();
        all.iter().map(|one| one["port"].clone()).collect()
    };
    assert_eq!(ports().await, [json!(8080)]);
    w.put(&id, json!({"publicEndpoints": [endpoint]})).await.ok();
    w.settle().await;
    assert_eq!(ports().await, [json!(8080)]);

    // Of a member it is taken who it is and its role.
    let user = json!({"kind": "user", "name": "somebody"});
    let user = w.post("/v2-beta/accounts", user).await.ok();
    let member = json!({"externalId": user["id"], "externalIdType": "rancher_id", "role": "owner", "description": "d"});
    let made = w
        .post("/v2-beta/projects", json!({"name": "p", "members": [member]}))
        .await
        .ok();
    w.settle().await;
    let members = w
        .list(&format!("/v2-beta/projects/{}/projectmembers", text(&made, "id")))
        .await;
    let said: Vec<&Value> = members
        .iter()
        .filter(|m| m["externalId"] == user["id"])
        .map(|m| &m["description"])
        .collect();
    assert_eq!(said, [&Value::Null]);
}
