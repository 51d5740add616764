//! What containers may do to their hosts is said by the policy of their project, at every door.

use actix_web::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{Answer, World, text};

/// Whoever asks, by the name of its key.
fn basic(name: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:secret-of-{name}")))
}

/// A server with access control on, keys of the superadmin, the admin and the Default project, and a project that was made after that.
pub(crate) struct House {
    pub(crate) w: World,
    pub(crate) project: String,
}

impl House {
    pub(crate) async fn new() -> Self {
        let w = World::new().await;
        for (account, key) in [("superadmin", "SUPER"), ("admin", "ADMIN"), ("1a5", "1a5")] {
            w.engine
                .set_key(account, key.into(), &format!("secret-of-{key}"))
                .await
                .unwrap();
        }
        let on = json!({"username": "root", "password": "correct horse battery", "enabled": true});
        w.post("/v2-beta/localAuthConfig", on).await.ok();
        let mut house = Self {
            w,
            project: String::new(),
        };
        let made = house
            .send("ADMIN", Method::POST, "/v2-beta/projects", json!({"name": "p"}))
            .await;
        house.project = text(&made.expect(201, json!({"hostPolicy": {"privileged": false}})), "id").to_owned();
        house.w.settle().await;
        let project = house.project.clone();
        let secret = format!("secret-of-{project}");
        house
            .w
            .engine
            .set_key(&project, project.clone(), &secret)
            .await
            .unwrap();
        house
    }

    pub(crate) async fn send(&self, key: &str, method: Method, path: &str, body: Value) -> Answer {
        let by = basic(key);
        self.w
            .send_with(method, path, &[("authorization", by.as_str())], Some(body))
            .await
    }

    /// By the project's own key.
    pub(crate) async fn post(&self, version: &str, path: &str, body: Value) -> Answer {
        let path = format!("/{version}/{path}");
        self.send(&self.project, Method::POST, &path, body).await
    }

    pub(crate) async fn made(&self, path: &str, body: Value) -> String {
        let made = self.post("v2-beta", path, body).await.ok();
        self.w.settle().await;
        text(&made, "id").to_owned()
    }

    /// An active service without containers.
    async fn service(&self, stack: &str, path: &str, name: &str) -> String {
        let body = json!({"name": name, "stackId": stack, "scale": 0, "startOnCreate": true, "launchConfig": {"imageUuid": "sim:web"},
            "secondaryLaunchConfigs": [{"name": "side", "imageUuid": "sim:side"}]});
        let id = self.made(path, body).await;
        let row = self
            .send(&self.project, Method::GET, &format!("/v2-beta/{path}/{id}"), json!({}))
            .await;
        row.expect(200, json!({"state": "active"}));
        id
    }

    async fn set_policy(&self, policy: Value) {
        let path = format!("/v2-beta/projects/{}", self.project);
        self.send("ADMIN", Method::PUT, &path, json!({"hostPolicy": policy}))
            .await
            .ok();
        self.w.settle().await;
    }
}

/// A configuration with one field more.
fn with(base: Value, field: &str, value: &Value) -> Value {
    let mut config = base;
    config[field] = value.clone();
    config
}

/// `(field, value, whether v1 has it)` of what reaches the host.
fn reaching() -> Vec<(&'static str, Value, bool)> {
    vec![
        ("privileged", json!(true), true),
        ("pidMode", json!("host"), true),
        ("networkMode", json!("host"), true),
        ("devices", json!(["/dev/sda"]), true),
        ("capAdd", json!(["SYS_ADMIN"]), true),
        ("dataVolumes", json!(["/v", "/etc:/x:ro"]), true),
        (
            "dataVolumes",
            json!(["/var/run/docker.sock:/var/run/docker.sock"]),
            true,
        ),
        ("securityOpt", json!(["seccomp=unconfined"]), true),
        ("logConfig", json!({"driver": "syslog", "config": {}}), true),
        ("volumeDriver", json!("nfs"), true),
        ("ipcMode", json!("host"), false),
        ("ipcMode", json!("container:other"), false),
        ("uts", json!("host"), false),
        ("usernsMode", json!("host"), false),
        ("cgroupParent", json!("/"), false),
        ("isolation", json!("process"), false),
        ("oomKillDisable", json!(true), false),
        ("oomScoreAdj", json!(-500), false),
        ("sysctls", json!({"kernel.shmmax": "1"}), false),
        ("ulimits", json!([{"name": "nproc", "soft": 1, "hard": 1}]), false),
    ]
}

/// What allows all of that.
fn wide() -> Value {
    json!({"privileged": true, "pidHost": true, "ipcHost": true, "networkHost": true, "utsHost": true, "usernsHost": true,
        "cgroupParent": true, "isolation": true, "oom": true, "dockerSock": true, "nativeContainers": true,
        "devices": ["/dev"], "binds": ["/"], "capAdd": ["*"], "sysctls": ["*"], "ulimits": ["*"], "securityOpt": ["*"],
        "logDrivers": ["*"], "volumeDrivers": ["*"]})
}

#[actix_web::test]
async fn what_reaches_the_host_is_refused_at_every_door() {
    let house = House::new().await;
    let stack = house.made("stacks", json!({"name": "s"})).await;
    let service = house.service(&stack, "services", "web").await;
    let container = house
        .made("containers", json!({"imageUuid": "sim:web", "name": "c"}))
        .await;
    let before = house.w.stored();
    for (field, value, is_in_v1) in reaching() {
        let refused = |answer: Answer| {
            let refusal = answer.refused(422, "NotAllowed");
            assert_eq!(refusal["fieldName"], field, "{value}");
        };
        let config = with(json!({"imageUuid": "sim:web"}), field, &value);
        let side = with(json!({"imageUuid": "sim:web", "name": "side"}), field, &value);
        let plain = json!({"imageUuid": "sim:web"});
        for version in ["v2-beta", "v1"].into_iter().filter(|v| is_in_v1 || *v == "v2-beta") {
            refused(house.post(version, "containers", config.clone()).await);
            let stack_field = if version == "v1" { "environmentId" } else { "stackId" };
            let new = |primary: &Value, sidekicks: Value| {
                let body = json!({"name": "new", "launchConfig": primary, "secondaryLaunchConfigs": sidekicks});
                with(body, stack_field, &json!(stack))
            };
            refused(house.post(version, "services", new(&config, json!([]))).await);
            refused(house.post(version, "services", new(&plain, json!([side]))).await);
            for strategy in [
                json!({"launchConfig": config}),
                json!({"secondaryLaunchConfigs": [side]}),
            ] {
                let path = format!("services/{service}?action=upgrade");
                refused(house.post(version, &path, json!({"inServiceStrategy": strategy})).await);
            }
            // Who runs the server may change what others may not, but for the policy.
            let put = |path: String, body: Value| {
                let house = &house;
                async move { house.send("SUPER", Method::PUT, &path, body).await }
            };
            refused(put(format!("/v2-beta/containers/{container}"), config.clone()).await);
            refused(put(format!("/v2-beta/services/{service}"), json!({"launchConfig": config})).await);
            let body = json!({"secondaryLaunchConfigs": [side]});
            refused(put(format!("/v2-beta/services/{service}"), body).await);
        }
    }
    assert_eq!(house.w.stored(), before);
    house.set_policy(wide()).await;
    for (field, value, _) in reaching() {
        let config = with(json!({"imageUuid": "sim:web"}), field, &value);
        house.post("v2-beta", "containers", config).await.expect(201, json!({}));
    }
}

#[actix_web::test]
async fn the_host_is_not_reached_by_way_of_volumes_or_other_containers() {
    let house = House::new().await;
    house.set_policy(wide()).await;
    let container = |more: Value| {
        let mut body = json!({"imageUuid": "sim:web"});
        crate::support::lay_over(&mut body, more);
        body
    };
    let binds = house
        .made("containers", container(json!({"dataVolumes": ["/etc:/x"]})))
        .await;
    let between = house
        .made("containers", container(json!({"dataVolumesFrom": [binds]})))
        .await;
    let on_host = house
        .made("containers", container(json!({"networkMode": "host"})))
        .await;
    let path = house.made("volumes", json!({"name": "/etc", "driver": "local"})).await;
    house.set_policy(json!({})).await;
    let plain = house.made("volumes", json!({"name": "plain", "driver": "local"})).await;
    for (kind, body, field) in [
        (
            "containers",
            container(json!({"dataVolumesFrom": [binds]})),
            "dataVolumesFrom",
        ),
        (
            "containers",
            container(json!({"dataVolumesFrom": [between]})),
            "dataVolumesFrom",
        ),
        (
            "containers",
            container(json!({"networkMode": "container", "networkContainerId": on_host})),
            "networkContainerId",
        ),
        (
            "containers",
            container(json!({"dataVolumeMounts": {"/x": path}})),
            "dataVolumeMounts",
        ),
        ("volumes", json!({"name": "/", "driver": "local"}), "name"),
        ("volumes", json!({"name": "v", "driver": "nfs"}), "driver"),
        (
            "volumes",
            json!({"name": "v", "driver": "local", "driverOpts": {"type": "none", "o": "bind", "device": "/"}}),
            "driverOpts",
        ),
    ] {
        let refusal = house
            .post("v2-beta", kind, body.clone())
            .await
            .refused(422, "NotAllowed");
        assert_eq!(refusal["fieldName"], field, "{body}");
    }
    for (body, field) in [
        (json!({"name": "/etc"}), "name"),
        (
            json!({"driverOpts": {"type": "none", "o": "bind", "device": "/"}}),
            "driverOpts",
        ),
    ] {
        let path = format!("/v2-beta/volumes/{plain}");
        let refusal = house.send("SUPER", Method::PUT, &path, body).await;
        assert_eq!(refusal.refused(422, "NotAllowed")["fieldName"], field);
    }
    house
        .made("containers", container(json!({"dataVolumeMounts": {"/x": plain}})))
        .await;
}

#[actix_web::test]
async fn containers_that_were_run_by_hand_lend_nothing() {
    let house = House::new().await;
    // Of the Default project, where the simulated host is: a policy is given to it.
    let policy = |policy: Value| {
        house.send(
            "ADMIN",
            Method::PUT,
            "/v2-beta/projects/1a5",
            json!({"hostPolicy": policy}),
        )
    };
    policy(json!({})).await.ok();
    let made = house
        .send(
            "1a5",
            Method::POST,
            "/v2-beta/containers",
            json!({"imageUuid": "sim:web", "name": "n"}),
        )
        .await
        .expect(201, json!({}));
    let id = text(&made, "id").to_owned();
    house.w.settle().await;
    let lent = || {
        house.send(
            "1a5",
            Method::POST,
            "/v2-beta/containers",
            json!({"imageUuid": "sim:web", "dataVolumesFrom": [id]}),
        )
    };
    lent().await.expect(201, json!({}));
    let by = json!({"nativeContainer": true});
    let path = format!("/v2-beta/containers/{id}");
    house.send("SUPER", Method::PUT, &path, by).await.ok();
    assert_eq!(lent().await.refused(422, "NotAllowed")["fieldName"], "dataVolumesFrom");
    policy(json!({"nativeContainers": true})).await.ok();
    lent().await.expect(201, json!({}));
}

#[actix_web::test]
async fn only_who_runs_the_server_says_what_a_project_may_do() {
    let house = House::new().await;
    let project = format!("/v2-beta/projects/{}", house.project);
    let account = house
        .send(
            "ADMIN",
            Method::POST,
            "/v2-beta/accounts",
            json!({"kind": "user", "name": "owner"}),
        )
        .await
        .expect(201, json!({}));
    let owner = text(&account, "id").to_owned();
    house.w.settle().await;
    let key = json!({"publicValue": "OWNER", "secretValue": "secret-of-OWNER", "accountId": owner});
    house.send("ADMIN", Method::POST, "/v2-beta/apiKeys", key).await.ok();
    let members = json!({"members": [{"externalId": owner, "externalIdType": "rancher_id", "role": "owner"}]});
    house
        .send("ADMIN", Method::POST, &format!("{project}?action=setmembers"), members)
        .await
        .ok();
    house.w.settle().await;
    let shown = |policy: Value| json!({"hostPolicy": policy});
    let privileged = json!({"hostPolicy": {"privileged": true}, "description": "d"});
    house
        .send("OWNER", Method::PUT, &project, privileged.clone())
        .await
        .expect(200, json!({"hostPolicy": {"privileged": false}, "description": "d"}));
    let inside = format!("{project}/projects/{}", house.project);
    for key in ["OWNER", house.project.as_str()] {
        let answer = house.send(key, Method::PUT, &inside, privileged.clone()).await;
        answer.refused(405, "Method not allowed");
    }
    // What an owner makes is as every other one, whatever it asks for.
    let made = house.send(
        "OWNER",
        Method::POST,
        "/v2-beta/projects",
        json!({"name": "own", "hostPolicy": null}),
    );
    made.await.expect(201, shown(json!({"privileged": false})));
    for key in ["ADMIN", "SUPER"] {
        let answer = house.send(key, Method::PUT, &project, privileged.clone()).await;
        answer.expect(200, shown(json!({"privileged": true})));
        let answer = house.send(key, Method::PUT, &project, shown(json!({}))).await;
        answer.expect(200, shown(json!({"privileged": false})));
    }
    // The setting says what new ones begin with.
    let set = |value: &str| {
        let body = json!({"value": value});
        house.send("ADMIN", Method::PUT, "/v2-beta/settings/host.policy", body)
    };
    assert_eq!(
        set(r#"{"privilegd": true}"#).await.refused(422, "InvalidFormat")["fieldName"],
        "value"
    );
    for (value, expected) in [
        (r#"{"networkHost": true}"#, json!({"networkHost": true})),
        ("null", Value::Null),
    ] {
        set(value).await.ok();
        let made = house
            .send("ADMIN", Method::POST, "/v2-beta/projects", json!({"name": "q"}))
            .await;
        made.expect(201, shown(expected));
    }
    let own = json!({"name": "r", "hostPolicy": {"binds": ["/srv"]}});
    let made = house.send("ADMIN", Method::POST, "/v2-beta/projects", own).await;
    made.expect(201, shown(json!({"binds": ["/srv"], "privileged": false})));
}

#[actix_web::test]
async fn the_default_project_and_open_servers_are_as_the_original() {
    let house = House::new().await;
    let privileged = json!({"imageUuid": "sim:web", "privileged": true, "dataVolumes": ["/:/host"]});
    house
        .send("1a5", Method::POST, "/v2-beta/containers", privileged.clone())
        .await
        .expect(201, json!({"privileged": true}));
    house
        .post("v2-beta", "containers", privileged.clone())
        .await
        .refused(422, "NotAllowed");
    house
        .send(
            "ADMIN",
            Method::POST,
            "/v2-beta/localAuthConfig",
            json!({"enabled": null}),
        )
        .await
        .ok();
    house
        .post("v2-beta", &format!("projects/{}/containers", house.project), privileged)
        .await
        .expect(201, json!({"privileged": true}));
}
