//! Services of MedStack Control's interface: what they are to the engine, and what becomes of them when they are changed.

use actix_web::http::Method;
use serde_json::{Value, json};

use crate::medstack::{Desk, native_list, refused};
use crate::support::{has, text};

/// The service of the page's example, on simulated hosts.
fn example() -> Value {
    json!({
        "name": "my-app", "image": "sim:redis", "replicas": 2, "port": 8080,
        "healthcheck_path": "/my-app-healthcheck", "healthcheck_interval": 10, "healthcheck_timeout": 3,
        "secrets": [{"name": "mysecret", "file_name": "/var/run/secrets", "uid": "0", "gid": "0", "mode": "400"}],
        "configs": [{"name": "myconfig", "file_name": "/var/run/configs", "uid": "7", "gid": "8", "mode": "400"}],
        "mounts": [{"target": "/mnt/myvolume", "source": "myvolume", "readonly": true}],
        "environment_variables": [{"key": "MYVAR2", "value": "b"}, {"key": "MYVAR1", "value": "some_value"}],
        "placement_constraints": ["node.labels.your_label2 != small"],
        "update_order": "start-first", "update_delay": 60, "update_parallelism": 1, "update_failure_action": "rollback",
        "update_max_failure_ratio": 0.33, "update_monitor": 5, "rollback_order": "stop-first", "rollback_delay": 0,
        "rollback_parallelism": 2, "rollback_failure_action": "pause", "rollback_max_failure_ratio": 0, "rollback_monitor": 5,
        "object": {"type": "string"},
    })
}

async fn prepared() -> Desk {
    let d = Desk::new().await;
    d.thing("secrets", "mysecret").await;
    d.thing("configs", "myconfig").await;
    d.thing("volumes", "myvolume").await;
    d
}

#[actix_web::test]
async fn what_is_made_here_is_a_service_like_any_other() {
    let d = prepared().await;
    let id = d.service(example()).await;
    let shown = d.show(&id).await;
    let mut expected = example();
    let given = expected.as_object_mut().unwrap();
    given.shift_remove("object");
    let secret = text(&d.list("/secrets").await[0], "id").to_owned();
    let config = text(&d.list("/configs").await[0], "id").to_owned();
    expected["secrets"] =
        json!([{"id": secret, "name": "mysecret", "file_name": "/var/run/secrets", "uid": 0, "gid": 0, "mode": "400"}]);
    expected["configs"] =
        json!([{"id": config, "name": "myconfig", "file_name": "/var/run/configs", "uid": 7, "gid": 8, "mode": "400"}]);
    expected["mounts"] = json!([{"type": "volume", "target": "/mnt/myvolume", "source": "myvolume", "readonly": true}]);
    for (field, value) in [
        ("id", json!(id)),
        ("object", json!("service")),
        ("command", json!("")),
        ("args", json!("")),
    ] {
        expected[field] = value;
    }
    (expected["hosts"], expected["protocol"]) = (json!([]), json!("http"));
    expected["rollback_max_failure_ratio"] = json!(0.0);
    assert_eq!(sorted(&shown), sorted(&expected));

    let row = d.native("my-app").await;
    let native_secret = native_list(&d.w, "secrets").await;
    let launch = json!({
        "imageUuid": "sim:redis", "environment": {"MYVAR1": "some_value", "MYVAR2": "b"},
        "dataVolumes": ["myvolume:/mnt/myvolume:ro"],
        "secrets": [{"secretId": native_secret[0]["id"], "name": "/var/run/secrets", "uid": "0", "gid": "0", "mode": "400"}],
        "labels": {
            "io.drover.config./var/run/configs": "myconfig uid=7 gid=8 mode=400",
            "io.rancher.scheduler.affinity:host_label_ne": "your_label2=small",
        },
        "healthCheck": {"port": 8080, "requestLine": "GET /my-app-healthcheck HTTP/1.0", "interval": 10_000, "responseTimeout": 3_000, "strategy": "none"},
    });
    has(&row["launchConfig"], &launch, "the launch configuration");
    assert_eq!((row["scale"].as_i64(), text(&row, "state")), (Some(2), "active"));
    // Docker's clients see the same service with the same config and secret.
    let login = crate::project_isolation::login("1a5");
    let docker =
        d.w.send_with(
            Method::GET,
            "/docker/v1.41/services",
            &[("authorization", &login)],
            None,
        )
        .await;
    let container = docker.expect(200, json!([{}]))[0]["Spec"]["TaskTemplate"]["ContainerSpec"].clone();
    assert_eq!(container["Image"], "sim:redis", "{container}");
    let listed = d.list("/services").await;
    assert_eq!(listed, [shown]);
}

/// An object whose members are in order, so that two can be compared whatever their order.
fn sorted(value: &Value) -> std::collections::BTreeMap<String, Value> {
    value
        .as_object()
        .unwrap()
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

#[actix_web::test]
async fn what_is_not_said_is_as_the_documents_have_it_and_the_wrapper_may_be_missing() {
    let d = Desk::new().await;
    let made = d.post("/services", json!({"name": "plain", "image": "sim:a"})).await;
    let made = made.expect(
        201,
        json!({"name": "plain", "image": "sim:a", "replicas": 1, "protocol": "http"}),
    );
    for which in ["update", "rollback"] {
        let of = |field: &str| made[format!("{which}_{field}")].clone();
        assert_eq!(
            [
                of("order"),
                of("delay"),
                of("parallelism"),
                of("failure_action"),
                of("max_failure_ratio"),
                of("monitor")
            ],
            [
                json!("stop-first"),
                json!(0),
                json!(1),
                json!("pause"),
                json!(0.0),
                json!(5)
            ]
        );
    }
    for absent in ["port", "healthcheck_interval", "healthcheck_timeout"] {
        assert_eq!(made.get(absent), None, "{absent}");
    }
    for list in [
        "hosts",
        "secrets",
        "configs",
        "mounts",
        "environment_variables",
        "placement_constraints",
    ] {
        assert_eq!(made[list], json!([]), "{list}");
    }
}

#[actix_web::test]
async fn a_put_resets_what_it_does_not_say_and_a_patch_leaves_it() {
    let d = prepared().await;
    let id = d.service(example()).await;
    let patched = d
        .patch(
            &id,
            json!({"replicas": 3, "environment_variables": [{"key": "ONLY", "value": "1"}]}),
        )
        .await;
    let patched = patched.expect(
        201,
        json!({"replicas": 3, "environment_variables": [{"key": "ONLY", "value": "1"}]}),
    );
    assert_eq!(
        (patched["secrets"].as_array().map(Vec::len), &patched["update_delay"]),
        (Some(1), &json!(60))
    );
    let cleared = d
        .patch(&id, json!({"secrets": [], "configs": null}))
        .await
        .expect(201, json!({"secrets": [], "configs": []}));
    assert_eq!(cleared["mounts"].as_array().map(Vec::len), Some(1));
    let put = d
        .put(&id, json!({"image": "sim:two", "command": "sh -c", "args": "'a b' c"}))
        .await;
    let put = put.expect(
        201,
        json!({"name": "my-app", "image": "sim:two", "command": "sh -c", "args": "'a b' c", "replicas": 1}),
    );
    for list in [
        "hosts",
        "secrets",
        "configs",
        "mounts",
        "environment_variables",
        "placement_constraints",
    ] {
        assert_eq!(put[list], json!([]), "{list}");
    }
    assert_eq!(
        (&put["update_delay"], &put["update_failure_action"]),
        (&json!(0), &json!("pause"))
    );
    d.pass(10).await;
    let row = d.native("my-app").await;
    has(
        &row,
        &json!({"scale": 1, "state": "active", "launchConfig": {"imageUuid": "sim:two", "entryPoint": ["sh", "-c"], "command": ["a b", "c"]}}),
        "after the PUT",
    );
    refused(d.put(&id, json!({"replicas": 2})).await, "image", "image must be given");
    refused(
        d.put(&id, json!({"image": "sim:a", "name": "other"})).await,
        "name",
        "name cannot be changed",
    );
    refused(
        d.put(&id, json!({"image": "sim:a", "name": 1})).await,
        "name",
        "name must be a string",
    );
}

/// The containers of the service: names and when they were made, in order.
async fn containers(d: &Desk) -> Vec<String> {
    let all = native_list(&d.w, "containers").await;
    let mut ids: Vec<String> = all.iter().map(|row| text(row, "id").to_owned()).collect();
    ids.sort();
    ids
}

#[actix_web::test]
async fn only_what_containers_are_made_of_makes_them_anew() {
    let d = Desk::new().await;
    let id = d
        .service(json!({"name": "web", "image": "sim:a", "replicas": 2, "port": 80}))
        .await;
    d.w.put("/v2-beta/settings/medstack.dns.check", json!({"value": "off"}))
        .await;
    let first = containers(&d).await;
    for change in [
        json!({"update_delay": 3, "rollback_order": "start-first"}),
        json!({"port": 81}),
        json!({"hosts": ["a.example.org"]}),
    ] {
        d.patch(&id, change.clone()).await.expect(201, change);
        d.pass(3).await;
        let now = containers(&d).await;
        assert!(first.iter().all(|one| now.contains(one)));
    }
    d.patch(&id, json!({"replicas": 3}))
        .await
        .expect(201, json!({"replicas": 3}));
    d.pass(3).await;
    let now = containers(&d).await;
    assert!(first.iter().all(|one| now.contains(one)));
    d.patch(&id, json!({"image": "sim:b", "update_delay": 0}))
        .await
        .expect(201, json!({"image": "sim:b"}));
    d.pass(40).await;
    let now = containers(&d).await;
    assert!(!first.iter().any(|one| now.contains(one)), "{first:?} {now:?}");
    let tasks = d.list("/tasks").await;
    let running = tasks.iter().filter(|task| task["status"]["state"] == "running").count();
    assert_eq!(running, 3, "{tasks:#?}");
}

#[actix_web::test]
async fn an_image_is_pulled_again_when_it_is_refreshed() {
    let d = Desk::new().await;
    let id = d
        .service(json!({"name": "web", "image": "sim:latest", "replicas": 2}))
        .await;
    let before = (d.show(&id).await, containers(&d).await);
    let path = format!("/services/{id}/refresh_image");
    let answer = d.at(Method::POST, &path, None).await.expect(200, json!({"id": id}));
    assert_eq!(answer, before.0);
    d.pass(20).await;
    let now = containers(&d).await;
    assert!(
        now.len() == 2 && !before.1.iter().any(|one| now.contains(one)),
        "{now:?}"
    );
    assert_eq!(d.show(&id).await, before.0);
    let row = d.native("web").await;
    assert_eq!(
        row["launchConfig"]["labels"]["io.rancher.container.pull_image"],
        "always"
    );
}

#[actix_web::test]
async fn a_failed_update_leads_back_at_the_pace_of_its_rollback() {
    let d = Desk::new().await;
    let spec = json!({"name": "web", "image": "sim:a", "replicas": 4, "port": 80, "healthcheck_path": "/", "healthcheck_interval": 1, "update_failure_action": "rollback",
        "update_parallelism": 0, "update_monitor": 30, "rollback_parallelism": 1, "rollback_delay": 30, "rollback_order": "start-first",
        "rollback_failure_action": "pause", "rollback_monitor": 7, "rollback_max_failure_ratio": 0.5});
    let id = d.service(spec).await;
    let before = containers(&d).await;
    d.patch(&id, json!({"image": "sim:b"}))
        .await
        .expect(201, json!({"image": "sim:b"}));
    let labels = d.native("web").await["launchConfig"]["labels"].clone();
    has(
        &labels,
        &json!({"io.drover.upgrade.failure_action": "rollback", "io.drover.rollback.parallelism": "1",
            "io.drover.rollback.delay": "30000ms", "io.drover.rollback.order": "start-first",
            "io.drover.rollback.failure_action": "pause", "io.drover.rollback.monitor": "7000ms", "io.drover.rollback.max_failure_ratio": "0.500000"}),
        "labels",
    );
    d.pass(5).await;
    let all = native_list(&d.w, "containers").await;
    let is_new = |row: &&Value| !before.contains(&text(row, "id").to_owned()) && text(row, "state") == "running";
    let new: Vec<&Value> = all.iter().filter(is_new).collect();
    assert_eq!(new.len(), 4);
    d.w.sim()
        .set_health(text(new[0], "uuid"), drover::runtime::sim::Health::Unhealthy);
    let mut seconds = 0;
    while text(&d.native("web").await, "state") != "rolling-back" {
        d.pass(1).await;
        seconds += 1;
        assert!(seconds < 120, "{:#}", d.native("web").await);
    }
    let mut seconds = 0;
    while text(&d.native("web").await, "state") != "active" {
        d.pass(1).await;
        seconds += 1;
        assert!(seconds < 400);
    }
    // Four batches of one, with three waits of thirty seconds between them.
    assert!(seconds >= 60, "{seconds}");
    let shown = d.show(&id).await;
    assert_eq!(
        (&shown["image"], &shown["rollback_delay"]),
        (&json!("sim:a"), &json!(30))
    );
}

#[actix_web::test]
async fn what_is_wrong_is_said_of_its_field_and_nothing_is_changed() {
    let d = Desk::new().await;
    let id = d.service(json!({"name": "web", "image": "sim:a"})).await;
    let stored = d.w.stored();
    let twice = json!([{"key": "A", "value": "1"}, {"key": "A=B", "value": "2"}]);
    for (field, value, why) in [
        ("name", json!(7), "name must be a string"),
        (
            "name",
            json!("a b"),
            "name must have letters, digits, dots, hyphens and underscores, at most 63",
        ),
        ("name", json!("WEB"), "name must be unique"),
        ("image", json!(""), "image must be given"),
        ("image", json!([]), "image must be a string"),
        ("replicas", json!("1"), "replicas must be an integer"),
        ("replicas", json!(-1), "replicas must be at least 0"),
        ("replicas", json!(1.5), "replicas must be an integer"),
        (
            "command",
            json!("a 'b"),
            "command must be a line of words whose quotes are closed",
        ),
        ("hosts", json!("a.b"), "hosts must be an array"),
        ("hosts", json!([1]), "hosts must be an array of strings"),
        ("hosts", json!(["a_b"]), "hosts must be names of domains"),
        ("port", json!(0), "port must be at least 1"),
        ("port", json!(65_536), "port must be at most 65535"),
        (
            "protocol",
            json!("tcp"),
            "protocol must be http: so the balancer speaks to containers",
        ),
        (
            "healthcheck_path",
            json!("a"),
            "healthcheck_path must be a path that begins with a slash",
        ),
        (
            "healthcheck_interval",
            json!(0),
            "healthcheck_interval must be at least 1",
        ),
        (
            "secrets",
            json!([{"name": "none", "file_name": "x"}]),
            "secrets has no secret called none",
        ),
        (
            "secrets",
            json!([{"name": "none", "uid": "root"}]),
            "secrets uid must be a number in a string",
        ),
        (
            "secrets",
            json!([{"name": "none", "uid": 0}]),
            "secrets uid must be a string",
        ),
        (
            "configs",
            json!([{"name": "none"}]),
            "configs has no config called none",
        ),
        (
            "configs",
            json!([{"name": "none", "mode": "rw"}]),
            "configs mode must be a mode of a file, such as 0444",
        ),
        (
            "mounts",
            json!([{"target": "x", "source": "vol"}]),
            "mounts target must be a path from the root on, without a colon",
        ),
        (
            "mounts",
            json!([{"target": "/x", "source": "/etc"}]),
            "mounts source must be the name or the id of a volume",
        ),
        (
            "mounts",
            json!([{"target": "/x", "source": "vol", "readonly": 1}]),
            "mounts readonly must be true or false",
        ),
        (
            "environment_variables",
            twice,
            "environment_variables key must be given, without an equals sign",
        ),
        (
            "environment_variables",
            json!([{"key": "A", "more": 1}]),
            "environment_variables has no member more",
        ),
        (
            "placement_constraints",
            json!(["cpu == 4"]),
            "placement_constraints \"cpu == 4\" is about nothing that is known of a node",
        ),
        (
            "update_order",
            json!("both"),
            "update_order must be one of stop-first, start-first",
        ),
        (
            "update_failure_action",
            json!("stop"),
            "update_failure_action must be one of continue, pause, rollback",
        ),
        (
            "rollback_failure_action",
            json!("rollback"),
            "rollback_failure_action must be one of continue, pause",
        ),
        ("update_delay", json!(-1), "update_delay must be at least 0"),
        (
            "update_max_failure_ratio",
            json!(1.1),
            "update_max_failure_ratio must be a number from 0 to 1",
        ),
        (
            "update_max_failure_ratio",
            json!("1"),
            "update_max_failure_ratio must be a number",
        ),
        (
            "rollback_monitor",
            json!(3_601),
            "rollback_monitor must be at most 3600",
        ),
        ("mode", json!(1), "mode must be a string"),
        ("more", json!(1), "more is not known"),
    ] {
        let mut body = json!({"name": "new", "image": "sim:a", "port": 80});
        body[field] = value.clone();
        refused(d.post("/services", json!({"value": body})).await, field, why);
        if !matches!(field, "name" | "more") {
            refused(
                d.patch(&id, json!({field: value, "port": body["port"]})).await,
                field,
                why,
            );
        }
    }
    refused(
        d.post("/services", json!({"image": "sim:a"})).await,
        "name",
        "name must be given",
    );
    let without = json!({"name": "new", "image": "sim:a", "healthcheck_path": "/"});
    refused(
        d.post("/services", without).await,
        "port",
        "port must be given with hosts and with healthcheck_path",
    );
    assert_eq!(d.w.stored(), stored);
}

#[actix_web::test]
async fn what_is_changed_elsewhere_shows_and_what_cannot_be_told_does_not() {
    let d = Desk::new().await;
    let id = d
        .service(json!({"name": "web_1", "image": "sim:a", "args": "run  'it'", "update_delay": 4}))
        .await;
    let row = d.native("web-1").await;
    let login = crate::project_isolation::login("1a5");
    let by = [("authorization", login.as_str())];
    let path = format!("/v2-beta/projects/1a5/services/{}", text(&row, "id"));
    d.w.send_with(Method::PUT, &path, &by, Some(json!({"scale": 3})))
        .await
        .ok();
    d.pass(3).await;
    let upgrade = json!({"inServiceStrategy": {"launchConfig": {"imageUuid": "sim:b", "environment": {"A": "1"}}, "intervalMillis": 100}});
    d.w.send_with(Method::POST, &format!("{path}?action=upgrade"), &by, Some(upgrade))
        .await
        .ok();
    d.pass(10).await;
    let shown = d.show(&id).await;
    has(
        &shown,
        &json!({"name": "web_1", "image": "sim:b", "replicas": 3, "environment_variables": [{"key": "A", "value": "1"}], "update_delay": 4}),
        "changed elsewhere",
    );
    // Made elsewhere: one that these words say all of, and one that has more.
    let stack =
        d.w.send_with(
            Method::POST,
            "/v2-beta/projects/1a5/stacks",
            &by,
            Some(json!({"name": "front"})),
        )
        .await
        .ok();
    for (name, launch) in [
        (
            "told",
            json!({"imageUuid": "sim:c", "environment": {"B": "2"}, "command": ["a", "b c"], "dataVolumes": ["vol:/v"]}),
        ),
        ("untold", json!({"imageUuid": "sim:c", "privileged": true})),
        ("ported", json!({"imageUuid": "sim:c", "ports": ["8080:80/tcp"]})),
    ] {
        let body = json!({"name": name, "stackId": stack["id"], "launchConfig": launch, "scale": 2});
        d.w.send_with(Method::POST, "/v2-beta/projects/1a5/services", &by, Some(body))
            .await
            .ok();
    }
    d.w.settle().await;
    let all = d.list("/services").await;
    let names: Vec<&str> = all.iter().map(|service| text(service, "name")).collect();
    assert_eq!(names, ["web_1", "told"]);
    has(
        &all[1],
        &json!({"image": "sim:c", "args": "a 'b c'", "replicas": 2, "mounts": [{"source": "vol", "target": "/v"}]}),
        "told",
    );
}

#[actix_web::test]
async fn a_service_goes_and_its_tasks_with_it() {
    let d = Desk::new().await;
    let id = d.service(json!({"name": "web", "image": "sim:a", "replicas": 2})).await;
    let tasks = d.list("/tasks").await;
    assert_eq!(tasks.len(), 2);
    has(
        &tasks[0],
        &json!({"service_id": id, "desired_state": "running", "status": {"state": "running", "message": "started"}}),
        "a task",
    );
    assert!(tasks[0]["container_id"].is_string() && tasks[0]["status"].get("error") == Some(&Value::Null));
    d.at(Method::DELETE, &format!("/services/{id}"), None)
        .await
        .expect(204, json!(""));
    assert_eq!(d.get(&format!("/services/{id}")).await.status, 404);
    assert_eq!(d.at(Method::DELETE, &format!("/services/{id}"), None).await.status, 404);
    d.pass(4).await;
    assert!(d.list("/tasks").await.is_empty() && d.list("/services").await.is_empty());
}

#[actix_web::test]
async fn a_task_that_failed_says_why_and_one_without_a_place_waits() {
    let d = Desk::new().await;
    d.service(json!({"name": "exits", "image": "sim:exits", "replicas": 1}))
        .await;
    d.service(json!({"name": "waits", "image": "sim:a", "placement_constraints": ["node.labels.none == here"]}))
        .await;
    let tasks = d.list("/tasks").await;
    let pending: Vec<&Value> = tasks
        .iter()
        .filter(|task| task["status"]["state"] == "pending")
        .collect();
    assert_eq!(pending.len(), 1, "{tasks:#?}");
    assert_eq!(pending[0]["container_id"], Value::Null);
}
