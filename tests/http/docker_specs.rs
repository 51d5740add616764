//! What Docker's clients say of a service that Rancher has no field for, and what becomes of it in containers.

use std::time::Duration;

use serde_json::{Value, json};

use crate::docker_services::{delete, get, made, native, post, show, update, web};
use crate::support::{World, text};

/// A service with more in its `ContainerSpec`.
fn with(container: Value) -> Value {
    let mut spec = web(json!({}));
    for (key, value) in container.as_object().into_iter().flatten() {
        spec["TaskTemplate"]["ContainerSpec"][key] = value.clone();
    }
    spec
}

async fn thing(w: &World, kind: &str, name: &str, data: &str) -> String {
    let answer = post(w, &format!("/{kind}/create"), json!({"Name": name, "Data": data})).await;
    text(&answer.expect(201, json!({})), "ID").to_owned()
}

/// The files that the newest container has: path, content, user, group and mode.
async fn files(w: &World) -> Vec<(String, String, u32, u32, u32)> {
    let rows = w.list("containers?sort=id&order=desc").await;
    let files = w.sim().secrets_of(text(&rows[0], "uuid")).unwrap_or_default();
    let one = |file: &drover::runtime::SecretFile| {
        let (content, access) = (String::from_utf8_lossy(&file.content).into_owned(), file.access);
        (file.name.clone(), content, access.uid, access.gid, access.mode)
    };
    files.iter().map(one).collect()
}

#[actix_web::test]
async fn configs_and_secrets_are_files_wherever_they_are_to_be() {
    let w = World::new().await;
    let (key, site, other) = (
        thing(&w, "secrets", "key", "aHVzaA==").await,
        thing(&w, "configs", "site", "bGlzdGVu").await,
        thing(&w, "configs", "other", "b3RoZXI=").await,
    );
    let file = |name: &str, uid: &str, mode: u32| json!({"Name": name, "UID": uid, "GID": "7", "Mode": mode});
    let spec = with(json!({
        "Secrets": [
            {"SecretID": key, "SecretName": "key", "File": file("key", "0", 0o444)},
            {"SecretID": key, "SecretName": "key", "File": file("/etc/key", "5", 0o400)},
        ],
        "Configs": [
            {"ConfigID": site, "ConfigName": "site", "File": file("/etc/site.conf", "6", 0o440)},
            {"ConfigID": other, "ConfigName": "other", "File": file("other", "0", 0o444)},
        ],
    }));
    let id = made(&w, spec.clone()).await;
    let of = |name: &str, content: &str, uid: u32, mode: u32| (name.to_owned(), content.to_owned(), uid, 7, mode);
    let all = [
        of("key", "hush", 0, 0o444),
        of("/etc/key", "hush", 5, 0o400),
        of("/etc/site.conf", "listen", 6, 0o440),
        of("/other", "other", 0, 0o444),
    ];
    assert_eq!(files(&w).await, all);
    let shown = show(&w, &id).await["Spec"]["TaskTemplate"]["ContainerSpec"].clone();
    for field in ["Secrets", "Configs"] {
        assert_eq!(shown[field], spec["TaskTemplate"]["ContainerSpec"][field]);
    }
    assert_eq!(shown.get("Labels"), None, "labels of ours are none of Docker's");
    // What is in use stays.
    let used = delete(&w, "/configs/site").await.expect(400, json!({}));
    let words = "rpc error: code = InvalidArgument desc = config 'site' is in use by the following service: web";
    assert_eq!(used["message"], words);
    // A machine that was started anew has forgotten them.
    w.sim().forget_secrets();
    w.engine.resync().await.expect("a comparison");
    assert_eq!(files(&w).await, all);

    // Another config is another container.
    let mut changed = spec.clone();
    changed["TaskTemplate"]["ContainerSpec"]["Configs"] =
        json!([{"ConfigID": other, "ConfigName": "other", "File": file("/etc/site.conf", "6", 0o440)}]);
    update(&w, &id, changed).await.expect(200, json!({}));
    crate::docker_services::until(&w, &id, "completed").await;
    assert_eq!(files(&w).await[2], of("/etc/site.conf", "other", 6, 0o440));
    assert_eq!(delete(&w, "/configs/site").await.status, 204);
}

#[actix_web::test]
async fn files_that_cannot_be_are_refused() {
    let w = World::new().await;
    let (key, site) = (
        thing(&w, "secrets", "key", "aHVzaA==").await,
        thing(&w, "configs", "site", "bGlzdGVu").await,
    );
    let config =
        |id: &str, name: &str| json!({"ConfigID": id, "ConfigName": "site", "File": {"Name": name, "Mode": 292}});
    let secret = |name: &str| json!({"SecretID": key, "SecretName": "key", "File": {"Name": name, "Mode": 292}});
    let desc = "rpc error: code = InvalidArgument desc = ";
    for (container, status, words) in [
        (
            json!({"Configs": [config("none", "/a")]}),
            400,
            format!("{desc}config not found: site"),
        ),
        (
            json!({"Configs": [{"ConfigID": site, "ConfigName": "site"}]}),
            400,
            format!("{desc}malformed config reference"),
        ),
        (
            json!({"Configs": [config(&site, "/a"), config(&site, "/a")]}),
            400,
            format!("{desc}config references 'site' and 'site' have a conflicting target: '/a'"),
        ),
        (
            json!({"Secrets": [secret("a"), secret("a")]}),
            400,
            format!("{desc}secret references 'key' and 'key' have a conflicting target: 'a'"),
        ),
        (
            json!({"Configs": [{"ConfigID": site, "ConfigName": "site", "Runtime": {}}]}),
            501,
            "ContainerSpec.Configs: Runtime".to_owned(),
        ),
        (json!({"Configs": [config(&site, "/a/../b")]}), 400, String::new()),
        (json!({"Secrets": [secret("../a")]}), 400, String::new()),
        (
            json!({"Configs": [config(&site, "/a")], "Secrets": [secret("/a")]}),
            400,
            String::new(),
        ),
    ] {
        let answer = post(&w, "/services/create", with(container.clone())).await;
        let said = text(&answer.expect(status, json!({})), "message").to_owned();
        assert!(said.starts_with(&words), "{container}: {said}");
    }
    assert!(w.list("services").await.is_empty());
}

#[actix_web::test]
async fn a_label_makes_a_config_a_file_for_any_client() {
    let w = World::new().await;
    thing(&w, "configs", "site", "bGlzdGVu").await;
    let labels = json!({"io.drover.config./etc/site.conf": "site uid=3 mode=0400"});
    let body = json!({"imageUuid": "sim:one", "name": "reader", "labels": labels});
    let id = text(&w.post("containers", body).await.ok(), "id").to_owned();
    w.wait(&id, "running").await;
    let file = ("/etc/site.conf".to_owned(), "listen".to_owned(), 3, 0, 0o400);
    assert_eq!(files(&w).await, [file]);
    // It is there before the container is: the engine mounts it by itself.
    let calls = w.sim().calls();
    let at = |call: &str| calls.iter().position(|each| each.starts_with(call));
    assert!(at("deliver_secrets") < at("create reader"), "{calls:?}");

    let labels = json!({"io.drover.config.etc": "site"});
    let body = json!({"imageUuid": "sim:one", "labels": labels});
    w.post("containers", body).await.refused(422, "InvalidOption");
    let labels = json!({"io.drover.config./etc/none": "none"});
    let body = json!({"imageUuid": "sim:one", "labels": labels});
    let id = text(&w.post("containers", body).await.ok(), "id").to_owned();
    let row = w.wait(&id, "error").await;
    assert!(
        text(&row, "transitioningMessage").contains("config none is gone"),
        "{row}"
    );
    // Whoever asks by a label uses it, too.
    let stack = w.stack("shop").await;
    let labels = json!({"io.drover.config./etc/site.conf": "site"});
    let config = json!({"imageUuid": "sim:web", "labels": labels});
    w.running(&stack, "web", json!({"launchConfig": config})).await;
    let used = delete(&w, "/configs/site").await.expect(400, json!({}));
    assert!(
        text(&used, "message").ends_with("in use by the following service: shop_web"),
        "{used}"
    );
    assert_eq!(get(&w, "/services").await.ok()[0]["Spec"]["Name"], "shop_web");
}

/// State, desired state and exit code of the only task.
async fn task(w: &World) -> (String, String, Value) {
    let tasks = get(w, "/tasks").await.ok();
    assert_eq!(tasks.as_array().map(Vec::len), Some(1), "{tasks:#}");
    let (status, desired) = (&tasks[0]["Status"], text(&tasks[0], "DesiredState"));
    let code = status["ContainerStatus"]["ExitCode"].clone();
    (text(status, "State").to_owned(), desired.to_owned(), code)
}

/// How often containers were started.
fn starts(w: &World) -> usize {
    w.sim()
        .take_calls()
        .iter()
        .filter(|call| call.starts_with("start "))
        .count()
}

#[actix_web::test]
async fn a_restart_policy_says_what_becomes_of_whoever_ended() {
    let second = 1_000_000_000_i64;
    for (image, policy, expected, tries) in [
        (
            "sim:exit:0:500",
            json!({"Condition": "none"}),
            ("complete", "shutdown", 0),
            1,
        ),
        (
            "sim:exit:3:500",
            json!({"Condition": "none"}),
            ("failed", "shutdown", 3),
            1,
        ),
        (
            "sim:exit:0:500",
            json!({"Condition": "on-failure"}),
            ("complete", "shutdown", 0),
            1,
        ),
        (
            "sim:exit:3:500",
            json!({"Condition": "on-failure", "Delay": second, "MaxAttempts": 3}),
            ("failed", "shutdown", 3),
            4,
        ),
        (
            "sim:exit:0:500",
            json!({"Condition": "any", "Delay": second, "MaxAttempts": 2, "Window": 600 * second}),
            ("complete", "shutdown", 0),
            3,
        ),
        // Two in three seconds are never had where each waits three.
        (
            "sim:exit:3:500",
            json!({"Condition": "any", "Delay": 3 * second, "MaxAttempts": 2, "Window": 3 * second}),
            ("", "running", 3),
            9,
        ),
    ] {
        let mut w = World::new().await;
        let mut spec = web(json!({}));
        spec["TaskTemplate"]["ContainerSpec"]["Image"] = json!(image);
        spec["TaskTemplate"]["RestartPolicy"] = policy.clone();
        let id = made(&w, spec).await;
        for _ in 0..56 {
            w.advance(Duration::from_millis(500)).await;
        }
        let (state, desired, code) = task(&w).await;
        if !expected.0.is_empty() {
            assert_eq!((state.as_str(), desired.as_str()), (expected.0, expected.1), "{policy}");
            assert_eq!(code, expected.2, "{policy}");
        }
        let tried = starts(&w);
        assert!(
            tried.abs_diff(tries) <= usize::from(expected.0.is_empty()),
            "{policy}: {tried} starts"
        );
        let shown = show(&w, &id).await["Spec"]["TaskTemplate"]["RestartPolicy"].clone();
        crate::support::has(&shown, &policy, "as it was given");
        // What is over stays over when the server starts anew.
        if !expected.0.is_empty() {
            w.restart().await;
            w.advance(Duration::from_secs(60)).await;
            assert_eq!(starts(&w), 0, "{policy}");
            assert_eq!(task(&w).await.0, expected.0, "{policy}");
            assert_eq!(native(&w).await["state"], "active");
            let health = if expected.2 == 0 || policy["Condition"] == "none" {
                "started-once"
            } else {
                "unhealthy"
            };
            if policy["Condition"] != "any" {
                assert_eq!(native(&w).await["healthState"], health, "{policy}");
            }
        }
    }
}

#[actix_web::test]
async fn labels_say_the_same_of_services_of_rancher() {
    let w = World::new().await;
    let stack = w.stack("shop").await;
    let rule = json!({"io.drover.restart.condition": "on-failure", "io.drover.restart.delay": "30s",
        "io.drover.restart.max_attempts": "5"});
    w.running(
        &stack,
        "web",
        json!({"launchConfig": {"imageUuid": "sim:web", "labels": rule}}),
    )
    .await;
    let uuid = w.uuid("shop-web-1").await;
    starts(&w);
    w.sim().exit(&uuid, 7);
    w.pass().await;
    w.advance(Duration::from_secs(28)).await;
    assert_eq!(starts(&w), 0, "not before its time");
    w.advance(Duration::from_secs(4)).await;
    assert_eq!(starts(&w), 1);
    // Whoever ended well stays so, until somebody starts it.
    w.sim().exit(&uuid, 0);
    w.pass().await;
    w.advance(Duration::from_secs(60)).await;
    assert_eq!(starts(&w), 0);
    let row = w.list("containers").await.remove(0);
    w.act(text(&row, "id"), "start", json!({})).await.ok();
    w.wait(text(&row, "id"), "running").await;
    assert_eq!(starts(&w), 1);
    let shown = get(&w, "/services/shop_web").await.ok()["Spec"]["TaskTemplate"]["RestartPolicy"].clone();
    assert_eq!(
        shown,
        json!({"Condition": "on-failure", "Delay": 30_000_000_000_i64, "MaxAttempts": 5})
    );
    for (label, value) in [
        ("condition", "none"),
        ("delay", "soon"),
        ("window", "5s"),
        ("times", "1"),
    ] {
        let labels = json!({format!("io.drover.restart.{label}"): value});
        let body = json!({"name": "b", "stackId": stack, "launchConfig": {"imageUuid": "sim:web", "labels": labels}});
        w.post("services", body).await.refused(422, "InvalidOption");
    }
    let policy = json!({"MaxAttempts": 101, "Window": 1_000_000_000});
    let mut spec = web(json!({"Name": "b"}));
    spec["TaskTemplate"]["RestartPolicy"] = policy;
    assert_eq!(post(&w, "/services/create", spec).await.status, 501);
}

/// A service with this placement.
fn placed(name: &str, placement: Value) -> Value {
    let mut spec = web(json!({"Name": name}));
    spec["TaskTemplate"]["Placement"] = placement;
    spec
}

#[actix_web::test]
async fn placement_says_where_and_how_many() {
    let w = World::new().await;
    let host = w.list("hosts").await.remove(0);
    let labels = json!({"disk": "fast"});
    w.put(text(&host, "id"), json!({"labels": labels})).await.ok();
    w.settle().await;
    let (node, name) = (
        text(&get(&w, "/nodes").await.ok()[0], "ID").to_owned(),
        text(&host, "hostname").to_owned(),
    );
    let one = |text: String| json!({"Constraints": [text]});
    for (at, (placement, state)) in [
        (one(format!("node.id == {node}")), "active"),
        (one(format!("node.id != {node}")), "activating"),
        (one("node.id == nobody".to_owned()), "activating"),
        (one(format!("node.hostname == {name}")), "active"),
        (one(format!("node.hostname != {name}")), "activating"),
        (one("node.role == manager".to_owned()), "active"),
        (one("node.role == worker".to_owned()), "activating"),
        (one("node.role != worker".to_owned()), "active"),
        (one("node.platform.os == linux".to_owned()), "active"),
        (one("node.platform.os == windows".to_owned()), "activating"),
        (one("node.platform.arch == arm64".to_owned()), "activating"),
        (one("engine.labels.disk == fast".to_owned()), "active"),
        (one("engine.labels.disk != fast".to_owned()), "activating"),
        (json!({"MaxReplicas": 1}), "active"),
        (
            json!({"Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.disk"}}]}),
            "active",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let service = format!("s{at}");
        let id = made(&w, placed(&service, placement.clone())).await;
        assert_eq!(
            w.list(&format!("services?name={service}")).await[0]["state"],
            state,
            "{placement}"
        );
        assert_eq!(
            show(&w, &id).await["Spec"]["TaskTemplate"]["Placement"],
            placement,
            "as it was given"
        );
    }
    // The second one has no host.
    let mut spec = placed("two", json!({"MaxReplicas": 1}));
    spec["Mode"] = json!({"Replicated": {"Replicas": 2}});
    made(&w, spec).await;
    let row = w.list("services?name=two").await.remove(0);
    assert!(
        text(&row, "transitioningMessage").contains("at most 1 on a host"),
        "{row}"
    );
    let states: Vec<Value> = w
        .containers(text(&row, "id"))
        .await
        .iter()
        .map(|one| one["state"].clone())
        .collect();
    assert_eq!(states, ["running"]);
    // What labels say shows as Docker has it.
    let stack = w.stack("shop").await;
    let labels = json!({"io.drover.scheduler.max_per_host": "3", "io.drover.scheduler.spread": "zone",
        "io.rancher.scheduler.affinity:host_label": "io.drover.host.arch=aarch64,disk=fast"});
    w.service(
        &stack,
        "web",
        json!({"launchConfig": {"imageUuid": "sim:web", "labels": labels}}),
    )
    .await;
    let shown = get(&w, "/services/shop_web").await.ok()["Spec"]["TaskTemplate"]["Placement"].clone();
    let constraints = json!(["node.platform.arch==aarch64", "node.labels.disk==fast"]);
    let preferences = json!([{"Spread": {"SpreadDescriptor": "node.labels.zone"}}]);
    assert_eq!(
        shown,
        json!({"Constraints": constraints, "Preferences": preferences, "MaxReplicas": 3})
    );
    for (placement, status) in [
        (one("node.labels.a == b,c".to_owned()), 500),
        (one("node.colour == red".to_owned()), 501),
        (one("node.role".to_owned()), 500),
        (
            json!({"Preferences": [{"Spread": {"SpreadDescriptor": "node.role"}}]}),
            501,
        ),
    ] {
        let answer = post(&w, "/services/create", placed("bad", placement.clone())).await;
        assert_eq!(answer.status, status, "{placement}");
    }
    let labels = json!({"io.drover.scheduler.max_per_host": "none"});
    let body = json!({"name": "b", "stackId": stack, "launchConfig": {"imageUuid": "sim:web", "labels": labels}});
    w.post("services", body).await.refused(422, "InvalidOption");
}

#[actix_web::test]
async fn aliases_of_networks_are_names_of_the_service() {
    let w = World::new().await;
    post(&w, "/networks/create", json!({"Name": "front"})).await.ok();
    let networks = |aliases: Value| json!([{"Target": "front", "Aliases": aliases}]);
    let id = made(&w, web(json!({"Networks": networks(json!(["store", "web", "cache"]))}))).await;
    assert_eq!(
        native(&w).await["launchConfig"]["labels"]["io.drover.network.aliases"],
        "cache,store"
    );
    assert_eq!(
        show(&w, &id).await["Spec"]["Networks"][0]["Aliases"],
        json!(["store", "web", "cache"])
    );
    // Other names are other containers.
    update(&w, &id, web(json!({"Networks": networks(json!(["web"]))})))
        .await
        .expect(200, json!({}));
    for (aliases, status) in [(json!(["a b"]), 400), (json!([""]), 400)] {
        let spec = web(json!({"Name": "b", "Networks": networks(aliases)}));
        assert_eq!(post(&w, "/services/create", spec).await.status, status);
    }
}

#[actix_web::test]
async fn mounts_and_variables_are_what_an_engine_can_take() {
    let w = World::new().await;
    let driver = json!({"Name": "local", "Options": {"type": "tmpfs", "device": "tmpfs"}});
    let mounts = json!([
        {"Type": "bind", "Source": "/tmp", "Target": "/a", "ReadOnly": true, "BindOptions": {"Propagation": "rslave"}},
        {"Type": "bind", "Source": "/tmp", "Target": "/b", "BindOptions": {"Propagation": "rprivate"}},
        {"Type": "volume", "Source": "data", "Target": "/c", "VolumeOptions": {"NoCopy": true}},
        {"Type": "volume", "Source": "made", "Target": "/d", "VolumeOptions": {"DriverConfig": driver}},
    ]);
    let id = made(&w, with(json!({"Mounts": mounts, "Env": ["B=1", "PATH"]}))).await;
    let launch = native(&w).await["launchConfig"].clone();
    assert_eq!(
        launch["dataVolumes"],
        json!(["/tmp:/a:ro,rslave", "/tmp:/b", "data:/c:nocopy", "made:/d"])
    );
    assert_eq!(launch["environment"], json!({"B": "1"}));
    let labels = json!({"io.drover.environment.unset": "PATH",
        "io.drover.volume.made": r#"{"driver":"local","options":{"device":"tmpfs","type":"tmpfs"}}"#});
    assert_eq!(launch["labels"], labels);
    let shown = show(&w, &id).await["Spec"]["TaskTemplate"]["ContainerSpec"].clone();
    assert_eq!((&shown["Mounts"], &shown["Env"]), (&mounts, &json!(["B=1", "PATH"])));
    let volume = |mount: Value| json!({"Mounts": [mount]});
    for (container, status) in [
        (
            volume(json!({"Type": "bind", "Source": "/tmp", "Target": "/a", "BindOptions": {"Propagation": "odd"}})),
            400,
        ),
        (
            volume(json!({"Type": "bind", "Source": "/tmp", "Target": "/a", "BindOptions": {"NonRecursive": true}})),
            501,
        ),
        (
            volume(json!({"Type": "volume", "Target": "/a", "VolumeOptions": {"DriverConfig": {"Name": "nfs"}}})),
            501,
        ),
    ] {
        let mut spec = with(container.clone());
        spec["Name"] = json!("b");
        assert_eq!(post(&w, "/services/create", spec).await.status, status, "{container}");
    }
    for (label, value) in [("environment.unset", "A=1"), ("volume.data", "nfs")] {
        let labels = json!({format!("io.drover.{label}"): value});
        let body = json!({"imageUuid": "sim:web", "labels": labels});
        w.post("containers", body).await.refused(422, "InvalidOption");
    }
}

fn job(name: &str, image: &str, mode: Value) -> Value {
    let mut spec = web(json!({"Name": name, "Mode": mode}));
    spec["TaskTemplate"]["ContainerSpec"]["Image"] = json!(image);
    spec
}

/// A job's `ServiceStatus`, in its order.
async fn tally(w: &World) -> [i64; 3] {
    let all = get(w, "/services?status=true").await.ok();
    ["RunningTasks", "DesiredTasks", "CompletedTasks"].map(|name| all[0]["ServiceStatus"][name].as_i64().unwrap_or(-1))
}

/// The states of all tasks and what is wanted of them.
async fn states(w: &World) -> Vec<String> {
    let tasks = get(w, "/tasks").await.ok();
    let one = |task: &Value| format!("{} {}", text(&task["Status"], "State"), text(task, "DesiredState"));
    tasks.as_array().into_iter().flatten().map(one).collect()
}

#[actix_web::test]
async fn a_job_runs_until_it_has_succeeded_so_often() {
    let mut w = World::new().await;
    let mode = json!({"ReplicatedJob": {"MaxConcurrent": 2, "TotalCompletions": 5}});
    let id = text(
        &post(&w, "/services/create", job("job", "sim:exit:0:10000", mode.clone()))
            .await
            .ok(),
        "ID",
    )
    .to_owned();
    w.settle().await;
    let shown = show(&w, &id).await;
    assert_eq!(
        (&shown["Spec"]["Mode"], &shown["JobStatus"]["JobIteration"]),
        (&mode, &json!({}))
    );
    assert!(shown["JobStatus"]["LastExecution"].is_string());
    assert_eq!(tally(&w).await, [2, 2, 0]);
    assert_eq!(states(&w).await, ["running complete"; 2]);
    assert_eq!(native(&w).await["state"], "activating");
    let mut most = 0;
    for _ in 0..40 {
        w.advance(Duration::from_secs(1)).await;
        most = most.max(tally(&w).await[0]);
    }
    assert_eq!((most, tally(&w).await), (2, [0, 2, 5]));
    assert_eq!(states(&w).await, ["complete complete"; 5]);
    assert_eq!(
        (&native(&w).await["state"], &native(&w).await["healthState"]),
        (&json!("active"), &json!("started-once"))
    );
    assert_eq!(starts(&w), 5);
    w.restart().await;
    w.advance(Duration::from_secs(60)).await;
    assert_eq!(starts(&w), 0, "what is done is done");

    // More of the same is added; a change runs all of it again.
    let more = json!({"ReplicatedJob": {"MaxConcurrent": 2, "TotalCompletions": 6}});
    update(&w, &id, job("job", "sim:exit:0:10000", more.clone()))
        .await
        .expect(200, json!({}));
    w.advance(Duration::from_secs(20)).await;
    assert_eq!((tally(&w).await, starts(&w)), ([0, 2, 6], 1));
    update(&w, &id, job("job", "sim:exit:0:9000", more))
        .await
        .expect(200, json!({}));
    let shown = show(&w, &id).await;
    assert_eq!(shown["JobStatus"]["JobIteration"], json!({"Index": 1}));
    assert_eq!(shown.get("UpdateStatus"), None);
    let mut most = 0;
    for _ in 0..60 {
        w.advance(Duration::from_secs(1)).await;
        most = most.max(tally(&w).await[0]);
    }
    assert_eq!((most, tally(&w).await, starts(&w)), (2, [0, 2, 6], 6));
    assert_eq!(native(&w).await["state"], "active");
    let newest = get(&w, "/tasks?filters=%7B%22_up-to-date%22%3A%7B%22true%22%3Atrue%7D%7D")
        .await
        .ok();
    assert_eq!(newest.as_array().map(Vec::len), Some(6));
    assert_eq!(newest[0]["JobIteration"], json!({"Index": 1}));
    let slots: Vec<Option<i64>> = newest
        .as_array()
        .into_iter()
        .flatten()
        .map(|task| task["Slot"].as_i64())
        .collect();
    assert_eq!(
        slots,
        [None, Some(1), Some(2), Some(3), Some(4), Some(5)],
        "as its clients count them"
    );
    let listed = get(&w, "/services?filters=%7B%22mode%22%3A%5B%22replicated-job%22%5D%7D")
        .await
        .ok();
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    let other = update(&w, &id, web(json!({"Name": "job"})))
        .await
        .expect(501, json!({}));
    assert!(text(&other, "message").ends_with("service mode change is not allowed"));
}

#[actix_web::test]
async fn a_job_that_fails_is_tried_again_as_its_policy_says() {
    for (policy, tries) in [
        (json!({"Condition": "any", "Delay": 1_000_000_000, "MaxAttempts": 2}), 3),
        (json!({"Condition": "none"}), 1),
    ] {
        let w = World::new().await;
        let mut spec = job("job", "sim:exit:4:500", json!({"GlobalJob": {}}));
        spec["TaskTemplate"]["RestartPolicy"] = policy.clone();
        let id = made(&w, spec).await;
        w.advance(Duration::from_secs(30)).await;
        assert_eq!((starts(&w), tally(&w).await), (tries, [0, 1, 0]), "{policy}");
        assert_eq!(states(&w).await, ["failed shutdown"], "{policy}");
        assert_eq!(show(&w, &id).await["Spec"]["Mode"], json!({"GlobalJob": {}}));
        assert_eq!(native(&w).await["state"], "active");
    }
    let w = World::new().await;
    made(&w, job("job", "sim:exit:0:500", json!({"GlobalJob": {}}))).await;
    w.advance(Duration::from_secs(30)).await;
    assert_eq!((starts(&w), tally(&w).await), (1, [0, 0, 1]));
    let task = get(&w, "/tasks").await.ok()[0].clone();
    assert_eq!((task.get("Slot"), &task["DesiredState"]), (None, &json!("complete")));
    // The same by labels.
    let stack = w.stack("shop").await;
    let labels = json!({"io.drover.job": "true", "io.drover.job.max_concurrent": "1"});
    let config = json!({"imageUuid": "sim:exit:0:500", "labels": labels});
    w.running(&stack, "web", json!({"scale": 3, "launchConfig": config}))
        .await;
    let shown = get(&w, "/services/shop_web").await.ok()["Spec"].clone();
    assert_eq!(
        shown["Mode"],
        json!({"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 3}})
    );
    assert_eq!(shown["TaskTemplate"].get("RestartPolicy"), None);
    for labels in [
        json!({"io.drover.job": "yes"}),
        json!({"io.drover.job.max_concurrent": "1"}),
    ] {
        let body = json!({"name": "b", "stackId": stack, "launchConfig": {"imageUuid": "sim:web", "labels": labels}});
        w.post("services", body).await.refused(422, "InvalidOption");
    }
}
