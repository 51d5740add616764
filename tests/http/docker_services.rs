//! The Docker Engine's interface of services: what its clients send, and what they get, over the same rows that Rancher's clients see.

use std::time::Duration;

use actix_web::http::Method;
use drover::runtime::sim::Health;
use drover::schema::Role;
use serde_json::{Value, json};

use crate::project_isolation::{scene, send};
use crate::support::{Answer, World, text};

pub(crate) async fn get(w: &World, path: &str) -> Answer {
    w.get(&format!("/docker/v1.41{path}")).await
}

pub(crate) async fn post(w: &World, path: &str, body: Value) -> Answer {
    w.post(&format!("/docker/v1.41{path}"), body).await
}

pub(crate) async fn delete(w: &World, path: &str) -> Answer {
    w.send(Method::DELETE, &format!("/docker/v1.41{path}"), None).await
}

pub(crate) fn web(more: Value) -> Value {
    let mut spec =
        json!({"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "sim:latest", "Args": ["sleep", "1000"]}}});
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    spec
}

pub(crate) async fn made(w: &World, spec: Value) -> String {
    let answer = post(w, "/services/create", spec).await.expect(201, json!({}));
    for _ in 0..8 {
        w.advance(Duration::from_millis(500)).await;
    }
    text(&answer, "ID").to_owned()
}

pub(crate) async fn show(w: &World, id: &str) -> Value {
    get(w, &format!("/services/{id}")).await.expect(200, json!({}))
}

pub(crate) async fn update(w: &World, id: &str, spec: Value) -> Answer {
    let index = show(w, id).await["Version"]["Index"].to_string();
    let answer = post(w, &format!("/services/{id}/update?version={index}"), spec).await;
    w.settle().await;
    answer
}

/// Lets time pass until the update of a service is in this state.
pub(crate) async fn until(w: &World, id: &str, state: &str) -> Value {
    for _ in 0..240 {
        let service = show(w, id).await;
        if service["UpdateStatus"]["State"] == state {
            return service;
        }
        w.advance(Duration::from_millis(500)).await;
    }
    panic!("never {state}: {} {:#}", native(w).await, show(w, id).await);
}

/// The same service as Rancher's clients see it.
pub(crate) async fn native(w: &World) -> Value {
    let mut rows = w.list("services").await;
    // What publishes its ports is no service of Docker's.
    rows.retain(|row| row["type"] == "service");
    let [row] = rows.as_slice() else {
        panic!("not one service: {rows:?}")
    };
    row.clone()
}

#[actix_web::test]
async fn clients_find_out_whom_they_talk_to() {
    let w = World::new().await;
    for path in [
        "/docker/_ping",
        "/docker/v1.24/_ping",
        "/docker/projects/1a5/v1.41/_ping",
    ] {
        let ping = w.get(path).await;
        assert_eq!((ping.status, ping.body.as_str()), (200, Some("OK")), "{path}");
        assert_eq!(ping.header("api-version"), Some("1.41"));
        assert_eq!(ping.header("server"), Some("Docker/20.10.24 (linux)"));
    }
    assert_eq!(w.send(Method::HEAD, "/docker/_ping", None).await.status, 200);
    let version = w
        .get("/docker/version")
        .await
        .expect(200, json!({"ApiVersion": "1.41", "MinAPIVersion": "1.24"}));
    assert!(version["Components"][0]["Name"] == "Engine");
    let info = get(&w, "/info").await.expect(200, json!({"OSType": "linux"}));
    assert_eq!(info["Swarm"]["LocalNodeState"], "active");
    assert_eq!(info["Swarm"]["ControlAvailable"], true);
    for (path, status, said) in [
        (
            "/docker/v1.99/services",
            400,
            "client version 1.99 is too new. Maximum supported API version is 1.41",
        ),
        ("/docker/v1.41/nothing", 404, "page not found"),
        ("/docker/v1.41/services/none", 404, "service none not found"),
        ("/docker/v1.41/plugins", 501, "/plugins is not part of this build"),
    ] {
        let answer = w.get(path).await.expect(status, json!({}));
        assert_eq!(answer["message"], said, "{path}");
    }
    assert_eq!(
        w.send(Method::PUT, "/docker/v1.41/services", Some(json!({})))
            .await
            .status,
        404
    );
}

#[actix_web::test]
async fn what_is_made_here_is_a_service_like_any_other() {
    let w = World::new().await;
    let spec = web(json!({
        "Mode": {"replicated": {"Replicas": 1}}, "Labels": {"a": "b"},
        "TaskTemplate": {"ContainerSpec": {"Image": "sim:latest", "Command": ["sh"], "Args": ["-c", "true"],
            "Env": ["B=1", "A=x=y"], "Labels": {"c": "d"}, "Hosts": ["10.0.0.1 db"], "StopGracePeriod": 3_000_000_000_i64},
            "Resources": {"Limits": {"NanoCPUs": 500_000_000, "MemoryBytes": 67_108_864}}},
        "EndpointSpec": {"Ports": [{"TargetPort": 80, "PublishedPort": 8081}]},
    }));
    let id = made(&w, spec).await;
    assert_eq!(id.len(), 25);
    let row = native(&w).await;
    let launch = &row["launchConfig"];
    let expected = json!({
        "imageUuid": "sim:latest", "entryPoint": ["sh"], "command": ["-c", "true"], "environment": {"A": "x=y", "B": "1"},
        "labels": {"c": "d", "io.drover.mesh.ports": "8081:80"}, "extraHosts": ["db:10.0.0.1"], "stopTimeout": 3,
        "memory": 67_108_864, "cpuQuota": 50_000, "ports": null,
    });
    crate::support::has(launch, &expected, "the launch configuration");
    assert_eq!(
        (row["name"].as_str(), row["scale"].as_i64(), row["state"].as_str()),
        (Some("web"), Some(1), Some("active"))
    );
    assert_eq!(w.show(text(&row, "stackId")).await["name"], "default");

    let service = show(&w, &id).await;
    let kept = json!({
        "Name": "web", "Labels": {"a": "b"},
        "TaskTemplate": {"ContainerSpec": {"Image": "sim:latest", "Labels": {"c": "d"}, "Command": ["sh"], "Args": ["-c", "true"],
            "Env": ["B=1", "A=x=y"], "StopGracePeriod": 3_000_000_000_i64, "Hosts": ["10.0.0.1 db"], "Isolation": "default"},
            "Resources": {"Limits": {"NanoCPUs": 500_000_000, "MemoryBytes": 67_108_864}}, "ForceUpdate": 0, "Runtime": "container"},
        "Mode": {"Replicated": {"Replicas": 1}},
        "EndpointSpec": {"Mode": "vip", "Ports": [{"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8081, "PublishMode": "ingress"}]},
    });
    assert_eq!(service["Spec"], kept);
    assert_eq!(service["Endpoint"]["Ports"][0]["PublishedPort"], 8081);
    assert_eq!(service["UpdateStatus"], Value::Null);
    for name in ["web", &id, id.get(..6).unwrap_or_default()] {
        assert_eq!(show(&w, name).await["ID"], *id, "{name}");
    }
    let listed = get(&w, "/services?status=true").await.expect(200, json!([{"ID": id}]));
    assert_eq!(
        listed[0]["ServiceStatus"],
        json!({"RunningTasks": 1, "DesiredTasks": 1, "CompletedTasks": 0})
    );
    let tasks = get(&w, "/tasks?filters=%7B%22service%22%3A%5B%22web%22%5D%7D")
        .await
        .expect(200, json!([{}]));
    for (at, task) in tasks.as_array().into_iter().flatten().enumerate() {
        assert_eq!(
            (task["Slot"].as_u64(), &task["Status"]["State"]),
            (Some(at as u64 + 1), &json!("running"))
        );
        assert_eq!(task["DesiredState"], "running");
        let one = get(&w, &format!("/tasks/{}", text(task, "ID")))
            .await
            .expect(200, json!({}));
        assert_eq!(one, *task);
    }

    let gone = delete(&w, "/services/web").await;
    assert_eq!((gone.status, gone.body), (200, json!("")));
    w.settle().await;
    assert_eq!(get(&w, "/services/web").await.status, 404);
    assert!(w.list("services").await.is_empty());
}

#[actix_web::test]
async fn an_update_makes_containers_anew_only_where_they_would_differ() {
    let w = World::new().await;
    let id = made(&w, web(json!({}))).await;
    let before = w.containers(text(&native(&w).await, "id")).await;
    // A scale and labels.
    let scaled = web(json!({"Mode": {"Replicated": {"Replicas": 3}}, "Labels": {"x": "y"}}));
    update(&w, &id, scaled.clone())
        .await
        .expect(200, json!({"Warnings": null}));
    let service = show(&w, &id).await;
    assert_eq!(
        (&service["Spec"]["Labels"], &service["UpdateStatus"]),
        (&json!({"x": "y"}), &Value::Null)
    );
    assert_eq!(service["PreviousSpec"]["Mode"]["Replicated"]["Replicas"], 1);
    let after = w.containers(text(&native(&w).await, "id")).await;
    assert!(after.len() == 3 && after.iter().any(|row| row["id"] == before[0]["id"]));
    // An image: a rolling update that finishes by itself.
    let mut newer = scaled.clone();
    newer["TaskTemplate"]["ContainerSpec"]["Image"] = json!("sim:2");
    newer["UpdateConfig"] = json!({"Parallelism": 1, "Order": "start-first", "Monitor": 1_000_000_000});
    update(&w, &id, newer.clone()).await.expect(200, json!({}));
    assert_eq!(show(&w, &id).await["UpdateStatus"]["State"], "updating");
    let strategy = native(&w).await["upgrade"]["inServiceStrategy"].clone();
    assert_eq!(
        (&strategy["startFirst"], &strategy["batchSize"]),
        (&json!(true), &json!(1))
    );
    let done = until(&w, &id, "completed").await;
    assert_eq!(done["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"], "sim:2");
    w.wait(text(&native(&w).await, "id"), "active").await;
    assert!(show(&w, &id).await["UpdateStatus"]["CompletedAt"].is_string());
    let rows = w.containers(text(&native(&w).await, "id")).await;
    assert!(
        rows.len() == 3 && rows.iter().all(|row| row["imageUuid"] == "sim:2"),
        "{rows:?}"
    );
    // And back.
    let index = show(&w, &id).await["Version"]["Index"].to_string();
    let path = format!("/services/{id}/update?version={index}&rollback=previous");
    post(&w, &path, newer).await.expect(200, json!({}));
    w.settle().await;
    assert_eq!(show(&w, &id).await["UpdateStatus"]["State"], "rollback_started");
    let back = until(&w, &id, "rollback_completed").await;
    assert_eq!(back["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"], "sim:latest");
    assert_eq!(back["PreviousSpec"]["TaskTemplate"]["ContainerSpec"]["Image"], "sim:2");
    // The same once more, by force.
    let mut forced = scaled;
    forced["TaskTemplate"]["ForceUpdate"] = json!(1);
    let rows = w.containers(text(&native(&w).await, "id")).await;
    update(&w, &id, forced).await.expect(200, json!({}));
    until(&w, &id, "completed").await;
    w.wait(text(&native(&w).await, "id"), "active").await;
    let anew = w.containers(text(&native(&w).await, "id")).await;
    assert!(anew.iter().all(|row| !rows.iter().any(|old| old["id"] == row["id"])));
}

#[actix_web::test]
async fn an_update_takes_the_place_of_one_that_is_on_its_way() {
    let w = World::new().await;
    let id = made(&w, web(json!({"Mode": {"Replicated": {"Replicas": 2}}}))).await;
    let to = |image: &str| {
        let mut spec = web(json!({"Mode": {"Replicated": {"Replicas": 2}}}));
        spec["TaskTemplate"]["ContainerSpec"]["Image"] = json!(image);
        spec["UpdateConfig"] = json!({"Parallelism": 1, "Monitor": 1_000_000_000, "FailureAction": "continue"});
        spec
    };
    update(&w, &id, to("sim:2")).await.expect(200, json!({}));
    assert_eq!(native(&w).await["state"], "upgrading");
    update(&w, &id, to("sim:3")).await.expect(200, json!({}));
    let service = until(&w, &id, "completed").await;
    assert_eq!(service["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"], "sim:3");
    w.wait(text(&native(&w).await, "id"), "active").await;
    w.advance(Duration::from_secs(5)).await;
    let rows = w.containers(text(&native(&w).await, "id")).await;
    assert!(
        rows.len() == 2 && rows.iter().all(|row| row["imageUuid"] == "sim:3"),
        "{rows:?}"
    );
    // One that waits for a person at Rancher's side is finished by the next here.
    let upgrade = json!({"inServiceStrategy": {"launchConfig": {"imageUuid": "sim:4"}, "intervalMillis": 100}});
    let row = text(&native(&w).await, "id").to_owned();
    w.act(&row, "upgrade", upgrade).await.ok();
    w.wait(&row, "upgraded").await;
    assert_eq!(
        show(&w, &id).await["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"],
        "sim:4"
    );
    update(&w, &id, to("sim:5")).await.expect(200, json!({}));
    w.wait(&row, "active").await;
    let rows = w.containers(&row).await;
    assert!(
        rows.len() == 2 && rows.iter().all(|row| row["imageUuid"] == "sim:5"),
        "{rows:?}"
    );
}

#[actix_web::test]
async fn a_failed_update_stops_or_goes_back_as_its_policy_says() {
    for (action, state, image) in [
        ("pause", "paused", "sim:bad"),
        ("rollback", "rollback_completed", "sim:latest"),
    ] {
        let w = World::new().await;
        let id = made(&w, web(json!({"Mode": {"Replicated": {"Replicas": 2}}}))).await;
        let mut bad = web(json!({"Mode": {"Replicated": {"Replicas": 2}}}));
        bad["TaskTemplate"]["ContainerSpec"]["Image"] = json!("sim:bad");
        bad["TaskTemplate"]["ContainerSpec"]["Healthcheck"] =
            json!({"Test": ["CMD", "false"], "Interval": 1_000_000_000, "Retries": 1});
        bad["TaskTemplate"]["ContainerSpec"]["Labels"] = json!({"sim.health": "unhealthy"});
        bad["UpdateConfig"] = json!({"Parallelism": 1, "FailureAction": action});
        update(&w, &id, bad).await.expect(200, json!({}));
        let service = until(&w, &id, state).await;
        assert_eq!(
            service["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"], image,
            "{action}"
        );
    }
}

#[actix_web::test]
async fn a_failed_update_goes_back_at_the_pace_that_is_said_of_going_back() {
    let w = World::new().await;
    let id = made(&w, web(json!({"Mode": {"Replicated": {"Replicas": 4}}}))).await;
    let before: Vec<String> = w
        .list("containers")
        .await
        .iter()
        .map(|row| text(row, "id").to_owned())
        .collect();
    let mut bad = web(json!({"Mode": {"Replicated": {"Replicas": 4}}}));
    bad["TaskTemplate"]["ContainerSpec"]["Healthcheck"] =
        json!({"Test": ["CMD", "true"], "Interval": 1_000_000_000, "Retries": 1});
    bad["UpdateConfig"] = json!({"Parallelism": 0, "Monitor": 30_000_000_000_i64, "FailureAction": "rollback"});
    bad["RollbackConfig"] = json!({"Parallelism": 1, "Delay": 20_000_000_000_i64, "Order": "start-first"});
    update(&w, &id, bad).await.expect(200, json!({}));
    let labels = native(&w).await["launchConfig"]["labels"].clone();
    for (label, value) in [
        ("parallelism", "1"),
        ("delay", "20000ms"),
        ("order", "start-first"),
        ("failure_action", "pause"),
        ("monitor", "5000ms"),
    ] {
        assert_eq!(labels[format!("io.drover.rollback.{label}")], value, "{labels}");
    }
    w.advance(Duration::from_secs(5)).await;
    let all = w.list("containers").await;
    let is_new = |row: &&Value| !before.contains(&text(row, "id").to_owned()) && text(row, "state") == "running";
    let new: Vec<&Value> = all.iter().filter(is_new).collect();
    assert_eq!(new.len(), 4, "{all:#?}");
    w.sim().set_health(text(new[0], "uuid"), Health::Unhealthy);
    until(&w, &id, "rollback_started").await;
    let begun = w.clock_ms();
    until(&w, &id, "rollback_completed").await;
    // Four batches of one, with three waits between them.
    let took = w.clock_ms() - begun;
    assert!(took >= 60_000, "{took} ms");
}

#[actix_web::test]
async fn what_is_changed_elsewhere_shows_here() {
    let w = World::new().await;
    let id = made(
        &w,
        web(json!({"TaskTemplate": {"ContainerSpec": {"Image": "sim:latest", "Env": ["B=1", "A=2"]}}})),
    )
    .await;
    let index = show(&w, &id).await["Version"]["Index"].as_u64();
    let row = text(&native(&w).await, "id").to_owned();
    w.put(&row, json!({"scale": 4})).await.ok();
    w.settle().await;
    let service = show(&w, &id).await;
    assert_eq!(service["Spec"]["Mode"]["Replicated"]["Replicas"], 4);
    assert_eq!(
        service["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"],
        json!(["B=1", "A=2"])
    );
    assert!(service["Version"]["Index"].as_u64() > index);
    // Who read it before is told so.
    let path = format!("/services/{id}/update?version={}", index.unwrap_or(0));
    let stale = post(&w, &path, web(json!({}))).await.expect(500, json!({}));
    assert_eq!(
        stale["message"],
        "rpc error: code = Unknown desc = update out of sequence"
    );

    // What was made there is whole here, and hidden is what Docker has no word for.
    let stack = w.stack("shop").await;
    let made = json!({"scale": 1, "launchConfig": {"imageUuid": "sim:api:1", "environment": {"K": "v"}, "labels": {"a": null}, "ulimits": [{"name": "nofile", "soft": 10}], "logConfig": {}, "ports": ["80"]}});
    w.running(&stack, "api", made).await;
    let balancer = json!({"type": "externalService", "name": "out", "stackId": stack, "hostname": "example.org"});
    w.post("externalservices", balancer).await.ok();
    w.settle().await;
    let listed = get(&w, "/services").await.ok();
    let mut names: Vec<&str> = listed
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|s| s["Spec"]["Name"].as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["shop_api", "web"]);
    let api = show(&w, "shop_api").await;
    assert_eq!(api["Spec"]["Labels"], json!({"com.docker.stack.namespace": "shop"}));
    let container = &api["Spec"]["TaskTemplate"]["ContainerSpec"];
    assert_eq!(
        (&container["Image"], &container["Env"]),
        (&json!("sim:api:1"), &json!(["K=v"]))
    );
    assert_eq!(api["Spec"]["Mode"]["Replicated"]["Replicas"], 1);
    let mut changed = api["Spec"].clone();
    changed["TaskTemplate"]["ContainerSpec"]["Image"] = json!("sim:api:2");
    let metadata = json!({"metadata": {"kept": true}});
    let row = w.list("services?name=api").await[0].clone();
    w.put(text(&row, "id"), metadata).await.ok();
    update(&w, "shop_api", changed).await.expect(200, json!({}));
    let row = w.show(text(&row, "id")).await;
    assert_eq!(row["launchConfig"]["imageUuid"], "sim:api:2");
    assert_eq!(
        row["metadata"],
        json!({"kept": true}),
        "what Docker does not know stays"
    );
}

#[actix_web::test]
async fn names_are_the_projects_and_refusals_are_dockers() {
    let w = World::new().await;
    let id = made(
        &w,
        web(json!({"EndpointSpec": {"Ports": [{"TargetPort": 80, "PublishedPort": 8081}]}})),
    )
    .await;
    let said = |answer: Answer, status: u16| text(&answer.expect(status, json!({})), "message").to_owned();
    assert_eq!(
        said(post(&w, "/services/create", web(json!({"Name": "WEB"}))).await, 409),
        "rpc error: code = AlreadyExists desc = name conflicts with an existing object: service WEB already exists"
    );
    let taken = web(json!({"Name": "b", "EndpointSpec": {"Ports": [{"TargetPort": 81, "PublishedPort": 8081}]}}));
    assert_eq!(
        said(post(&w, "/services/create", taken).await, 400),
        format!(
            "rpc error: code = InvalidArgument desc = port '8081' is already in use by service 'web' ({id}) as an ingress port"
        )
    );
    for (spec, status, words) in [
        (json!({"Name": "b"}), 400, "mismatched Runtime and *Spec fields"),
        (
            web(json!({"Name": "b", "Networks": [{"Target": "nonet"}]})),
            500,
            "network nonet not found",
        ),
        (
            web(json!({"Name": "b", "Mode": {"Replicated": {"Replicas": -1}}})),
            400,
            "json: cannot unmarshal",
        ),
        (
            web(json!({"Name": "b", "Mode": {"ReplicatedJob": {}}, "UpdateConfig": {}})),
            400,
            "rpc error: code = InvalidArgument desc = Jobs may not have an update config",
        ),
        (
            web(
                json!({"Name": "b", "TaskTemplate": {"ContainerSpec": {"Image": "sim:a"}, "Placement": {"Preferences": [{}]}}}),
            ),
            501,
            "Placement.Preferences: only Spread",
        ),
    ] {
        let answer = said(post(&w, "/services/create", spec.clone()).await, status);
        assert!(answer.starts_with(words), "{spec}: {answer}");
    }
    // Numbers at their ends are refused or taken; nothing falls over.
    for container in [
        json!({"Image": "sim:a", "StopGracePeriod": i64::MAX}),
        json!({"Image": "sim:a", "StopGracePeriod": -1}),
        json!({"Image": "sim:a", "Healthcheck": {"Test": ["CMD", "a"], "Interval": i64::MAX, "StartPeriod": i64::MAX, "Retries": i64::MAX}}),
        json!({"Image": "sim:a", "Mounts": [{"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": i64::MIN, "Mode": u32::MAX}}]}),
        json!({"Image": "sim:a", "Env": ["=x", "A=\u{0}", "A=1", "A=2"]}),
        json!({"Image": "sim:\u{0}"}),
        json!({"Image": "sim:a", "Ulimits": [{"Name": "", "Hard": i64::MAX, "Soft": i64::MIN}]}),
    ] {
        let limits = json!({"Limits": {"NanoCPUs": i64::MAX, "MemoryBytes": i64::MAX, "Pids": i64::MIN}});
        let task = json!({"ContainerSpec": container, "Resources": limits});
        let answer = post(&w, "/services/create", json!({"Name": "ends", "TaskTemplate": task})).await;
        assert!(
            answer.status < 500 || answer.status == 501,
            "{container}: {} {}",
            answer.status,
            answer.body
        );
        if answer.status == 201 {
            get(&w, "/services?status=1").await.expect(200, json!([{}, {}]));
            get(&w, "/tasks").await.ok();
            delete(&w, "/services/ends").await.ok();
            w.settle().await;
        }
    }
    for (path, status, words) in [
        (
            "update",
            400,
            "invalid service version '': strconv.ParseUint: parsing \"\": invalid syntax",
        ),
        (
            "update?version=99",
            500,
            "rpc error: code = Unknown desc = update out of sequence",
        ),
        (
            "update?version=1&rollback=bogus",
            500,
            "unrecognized rollback option bogus",
        ),
    ] {
        let answer = post(&w, &format!("/services/web/{path}"), web(json!({}))).await;
        assert_eq!(said(answer, status), words, "{path}");
    }
    let back = post(&w, "/services/web/update?version=1&rollback=previous", web(json!({}))).await;
    assert_eq!(
        said(back, 400),
        format!("rpc error: code = FailedPrecondition desc = service {id} does not have a previous spec")
    );
    let global = web(json!({"Mode": {"Global": {}}}));
    assert_eq!(
        said(post(&w, "/services/web/update?version=1", global).await, 501),
        "rpc error: code = Unimplemented desc = service mode change is not allowed"
    );
    let bad = get(&w, "/services?filters=%7B%22colour%22%3A%5B%22red%22%5D%7D").await;
    assert_eq!(said(bad, 400), "Invalid filter 'colour'");
    native(&w).await;
    let log = w
        .get("/v2-beta/auditlogs?eventType=api.service.create&limit=100")
        .await
        .ok();
    let codes: Vec<i64> = log["data"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|row| row["responseCode"].as_i64())
        .collect();
    assert!(
        [201, 409, 400].iter().all(|code| codes.contains(code)),
        "the audit log has them: {codes:?}"
    );
    // A new name, as documents of Docker's clients show it.
    let ports = json!({"Ports": [{"TargetPort": 80, "PublishedPort": 8081}]});
    update(&w, &id, web(json!({"Name": "new_name", "EndpointSpec": ports})))
        .await
        .expect(200, json!({}));
    assert_eq!(show(&w, &id).await["Spec"]["Name"], "new_name");
    assert_eq!(native(&w).await["name"], "new-name");
}

#[actix_web::test]
async fn secrets_configs_and_networks_are_what_services_name() {
    let w = World::new().await;
    let value = "c2VjcmV0";
    let secret = post(
        &w,
        "/secrets/create",
        json!({"Name": "key", "Data": value, "Labels": {"a": "b"}}),
    )
    .await;
    let secret = text(&secret.expect(201, json!({})), "ID").to_owned();
    let config = post(&w, "/configs/create", json!({"Name": "conf", "Data": value})).await;
    let config = text(&config.expect(201, json!({})), "ID").to_owned();
    w.settle().await;
    let shown = get(&w, &format!("/secrets/{secret}")).await.ok();
    assert_eq!(
        shown["Spec"],
        json!({"Name": "key", "Labels": {"a": "b"}}),
        "never its data"
    );
    assert_eq!(
        get(&w, "/configs/conf").await.ok()["Spec"],
        json!({"Name": "conf", "Labels": {}, "Data": value})
    );
    let rows = w.list("secrets").await;
    assert_eq!(
        (rows.len(), rows[0]["name"].as_str(), rows[0].get("dockerLabels")),
        (1, Some("key"), None)
    );
    assert!(w.list("genericobjects").await.is_empty());
    for kind in ["secrets", "configs"] {
        let nameless = post(&w, &format!("/{kind}/create"), json!({"Data": value}))
            .await
            .expect(400, json!({}));
        assert_eq!(
            nameless["message"],
            "rpc error: code = InvalidArgument desc = name must be provided"
        );
        let name = get(&w, &format!("/{kind}")).await.ok()[0]["Spec"]["Name"].clone();
        let twice = post(&w, &format!("/{kind}/create"), json!({"Name": name, "Data": value})).await;
        assert_eq!(twice.status, 409, "{kind}");
    }
    let network = post(&w, "/networks/create", json!({"Name": "front", "Driver": "overlay"})).await;
    let network = text(&network.expect(201, json!({"Warning": ""})), "Id").to_owned();
    let many: serde_json::Map<String, Value> = (0..101).map(|n| (format!("l{n}"), json!("x"))).collect();
    for (body, status) in [
        (json!({"Name": "x", "Internal": true}), 501),
        (json!({"Name": "x", "ConfigFrom": {"Network": "front"}}), 501),
        (json!({"Name": "x", "IPAM": {"Driver": "mine"}}), 501),
        (json!({"Name": "a\u{0}b"}), 400),
        (json!({"Name": "x", "Labels": many}), 400),
        (json!({"Name": "x", "Labels": {"a": 1}}), 400),
        (json!({"Name": "x", "Labels": "a"}), 400),
    ] {
        let answer = post(&w, "/networks/create", body.clone()).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
    }
    let unknown = get(&w, "/networks?filters=%7B%22colour%22%3A%5B%22red%22%5D%7D").await;
    assert_eq!(unknown.status, 400, "no filter is taken and ignored");
    let file = json!({"Name": "key", "UID": "0", "GID": "0", "Mode": 292});
    let reference = json!([{"SecretID": secret, "SecretName": "key", "File": file}]);
    let spec = web(json!({"Networks": [{"Target": "front"}],
        "TaskTemplate": {"ContainerSpec": {"Image": "sim:a", "Secrets": reference}}}));
    let id = made(&w, spec).await;
    assert_eq!(show(&w, &id).await["Spec"]["Networks"], json!([{"Target": network}]));
    let secrets = native(&w).await["launchConfig"]["secrets"].clone();
    assert_eq!(
        (&secrets[0]["secretId"], &secrets[0]["mode"]),
        (&rows[0]["id"], &json!("444"))
    );
    for path in [format!("/secrets/{secret}"), format!("/networks/{network}")] {
        let used = delete(&w, &path).await.expect(400, json!({}));
        assert!(text(&used, "message").contains("in use by"), "{used}");
    }
    delete(&w, "/services/web").await.ok();
    w.settle().await;
    for path in [
        format!("/secrets/{secret}"),
        format!("/networks/{network}"),
        format!("/configs/{config}"),
    ] {
        assert_eq!(delete(&w, &path).await.status, 204, "{path}");
        w.settle().await;
        assert_eq!(get(&w, &path).await.status, 404, "{path}");
    }
}

#[actix_web::test]
async fn hosts_are_nodes() {
    let w = World::new().await;
    let nodes = get(&w, "/nodes").await.expect(
        200,
        json!([{"Status": {"State": "ready"}, "ManagerStatus": {"Leader": true}}]),
    );
    let (id, index) = (
        text(&nodes[0], "ID").to_owned(),
        nodes[0]["Version"]["Index"].to_string(),
    );
    assert_eq!(
        get(&w, "/nodes/self").await.status,
        404,
        "clients ask `/info` who that is"
    );
    let spec = json!({"Labels": {"disk": "fast"}, "Role": "manager", "Availability": "pause"});
    assert_eq!(
        post(&w, &format!("/nodes/{id}/update?version={index}"), spec)
            .await
            .status,
        200
    );
    w.settle().await;
    let node = get(&w, &format!("/nodes/{id}")).await.ok();
    assert_eq!(
        (&node["Spec"]["Labels"]["disk"], &node["Spec"]["Availability"]),
        (&json!("fast"), &json!("pause"))
    );
    assert_eq!(w.list("hosts").await[0]["state"], "inactive");
    let index = node["Version"]["Index"].to_string();
    let spec = json!({"Labels": {"disk": "fast"}, "Role": "worker", "Availability": "active"});
    assert_eq!(
        post(&w, &format!("/nodes/{id}/update?version={index}"), spec)
            .await
            .status,
        501
    );
    let spec = json!({"Labels": {"disk": "fast"}, "Role": "manager", "Availability": "active"});
    assert_eq!(
        post(&w, &format!("/nodes/{id}/update?version={index}"), spec)
            .await
            .status,
        200
    );
    w.settle().await;
    let placed = |value: &str| {
        let placement = json!({"Constraints": [format!("node.labels.disk == {value}")]});
        web(
            json!({"Name": format!("on-{value}"), "TaskTemplate": {"ContainerSpec": {"Image": "sim:a"}, "Placement": placement}}),
        )
    };
    made(&w, placed("fast")).await;
    made(&w, placed("slow")).await;
    for (name, state) in [("on-fast", "active"), ("on-slow", "activating")] {
        assert_eq!(
            w.list(&format!("services?name={name}")).await[0]["state"],
            state,
            "{name}"
        );
    }
}

#[actix_web::test]
async fn each_key_has_its_project_and_its_role_has_its_limits() {
    let scene = scene().await;
    let w = &scene.world;
    let docker = |method: Method, account: String, path: String, body: Option<Value>| async move {
        send(w, &account, method, &format!("/docker{path}"), body).await
    };
    assert_eq!(w.get("/docker/v1.41/services").await.status, 401, "a stranger");
    assert_eq!(w.get("/docker/v1.41/_ping").await.status, 200);
    for (account, prefix, role) in &scene.strangers {
        let path = |rest: &str| match prefix.contains("/projects/") {
            true => format!("/projects/{}/v1.41{rest}", scene.project),
            false => format!("/v1.41{rest}"),
        };
        let list = docker(Method::GET, account.clone(), path("/services"), None).await;
        if *role == Role::User {
            assert_eq!(list.status, 403, "no member of the Default project");
            continue;
        }
        let shows_foreign = list.body.to_string().contains("front_");
        assert_eq!((list.status, shows_foreign), (200, false), "{role:?}: {}", list.body);
        let other = docker(Method::GET, account.clone(), "/projects/1a5/services".to_owned(), None).await;
        assert_eq!(other.status, 403, "{role:?}");
        let name = format!("of-{account}").to_lowercase();
        let spec = json!({"Name": name, "TaskTemplate": {"ContainerSpec": {"Image": "sim:a", "Env": ["K=HUSH"]}}});
        let made = docker(Method::POST, account.clone(), path("/services/create"), Some(spec)).await;
        let expected = if *role == Role::Readonly { 403 } else { 201 };
        assert_eq!(made.status, expected, "{role:?}: {}", made.body);
        // What a role does not see of a launch configuration it does not see here.
        let own = text(&made.body, "ID").to_owned();
        if own.is_empty() {
            let all = docker(Method::GET, account.clone(), path("/services"), None).await.body;
            let tasks = docker(Method::GET, account.clone(), path("/tasks"), None).await.body;
            assert!(all.as_array().is_some_and(|all| !all.is_empty()));
            assert!(
                !all.to_string().contains("HUSH") && !tasks.to_string().contains("HUSH"),
                "{role:?}: {all}"
            );
        } else {
            let one = docker(Method::GET, account.clone(), path(&format!("/services/{own}")), None)
                .await
                .body;
            assert_eq!(
                one["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"],
                json!(["K=HUSH"]),
                "{role:?}"
            );
        }
    }
}
