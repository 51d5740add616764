//! Whole sequences of Rancher's clients, request by request as they were described from the wire: the command line's `up` and
//! what goes with it, rancher-compose, Terraform's provider and the pages of the user interface. What each of them needs to
//! find in the answers is asserted; what is served beside that is tested elsewhere.

use actix_web::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{PROJECT, World, actions, has, text};

/// A client inside the project, which goes by what answers say.
struct Client<'w> {
    world: &'w World,
    base: String,
}

impl<'w> Client<'w> {
    fn new(world: &'w World) -> Self {
        Self {
            world,
            base: format!("/v2-beta/projects/{PROJECT}"),
        }
    }

    async fn get(&self, path: &str) -> Value {
        self.world
            .get(&format!("{}/{path}", self.base))
            .await
            .expect(200, json!({}))
    }

    async fn rows(&self, path: &str) -> Vec<Value> {
        let list = self.get(path).await;
        list["data"].as_array().expect("a list has data").clone()
    }

    async fn make(&self, path: &str, body: Value) -> Value {
        let answer = self.world.post(&format!("{}/{path}", self.base), body).await;
        answer.expect(201, json!({}))
    }

    /// Follows a link of a row.
    async fn follow(&self, row: &Value, link: &str) -> Value {
        let url = text(&row["links"], link);
        assert!(url.starts_with("http://localhost/"), "{link} of {row:#}");
        self.world
            .get(url.trim_start_matches("http://localhost"))
            .await
            .expect(200, json!({}))
    }

    async fn reload(&self, row: &Value) -> Value {
        self.follow(row, "self").await
    }

    /// Reads a row again until it says that it is settled.
    async fn wait(&self, row: &Value) -> Value {
        self.world.settle().await;
        let now = self.reload(row).await;
        assert_eq!(now["transitioning"], "no", "{now:#}");
        now
    }

    /// Calls an action by the address that the row has for it now.
    async fn act(&self, row: &Value, action: &str, body: Value) -> Value {
        let now = self.reload(row).await;
        let url = text(&now["actions"], action)
            .trim_start_matches("http://localhost")
            .to_owned();
        assert!(!url.is_empty(), "{action} is not offered: {now:#}");
        let answer = self.world.send(Method::POST, &url, Some(body)).await;
        answer.ok()
    }

    async fn put(&self, row: &Value, body: Value) -> Value {
        let url = text(&row["links"], "self")
            .trim_start_matches("http://localhost")
            .to_owned();
        self.world.put(&url, body).await.expect(200, json!({}))
    }

    async fn delete(&self, row: &Value) -> Value {
        let url = text(&row["links"], "self")
            .trim_start_matches("http://localhost")
            .to_owned();
        self.world.delete(&url).await.ok()
    }

    /// The prologue of every command.
    async fn prologue(&self) {
        for path in ["/v2-beta", "/v2-beta/schemas"] {
            self.world.get(path).await.expect(200, json!({}));
        }
        let projects = self.world.list("/v2-beta/projects").await;
        assert!(projects.iter().any(|p| p["id"] == PROJECT), "{projects:?}");
        for path in ["schemas/schemas", "schemas"] {
            self.get(path).await;
        }
    }

    /// A stack by its name, as the command line looks it up, or made.
    async fn stack(&self, name: &str) -> Value {
        let known = self.rows(&format!("stacks?name={name}&removed_null=%3Cnil%3E")).await;
        if let Some(known) = known.into_iter().next() {
            return known;
        }
        assert!(
            self.rows("stacks?removed_null=%3Cnil%3E")
                .await
                .iter()
                .all(|s| s["name"] != name)
        );
        let made = self.make("stacks", json!({ "name": name })).await;
        let made = self.wait(&made).await;
        has(
            &made,
            &json!({"state": "active", "accountId": PROJECT, "system": false}),
            "a new stack",
        );
        self.world
            .get(&format!(
                "/v2-beta/projects/{PROJECT}/projects/{}",
                text(&made, "accountId")
            ))
            .await
            .expect(200, json!({"name": "Default"}));
        made
    }

    async fn service(&self, stack: &Value, name: &str) -> Option<Value> {
        let id = text(stack, "id");
        let found = self
            .rows(&format!("services?stackId={id}&name={name}&removed_null=%3Cnil%3E"))
            .await;
        found.into_iter().next()
    }
}

/// What the command line makes of a service of a file: transformed, and with its own marks.
async fn launch(client: &Client<'_>, image: &str, hash: &str, more: Value) -> Value {
    let document = json!({
        "Name": "/web",
        "Config": {"Image": image, "Env": ["A=1", "B"], "Labels": {"l": "1"}, "Cmd": ["serve"], "ExposedPorts": {"80/tcp": {}}},
        "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8301"}]}, "Binds": ["data:/data"], "LogConfig": {"Type": "", "Config": null}},
    });
    let transform = format!("{}/scripts/transform", client.base);
    let once = client
        .world
        .post(&transform, document.clone())
        .await
        .expect(200, json!({}));
    let twice = client.world.post(&transform, document).await.expect(200, json!({}));
    assert_eq!(once.to_string(), twice.to_string(), "the client hashes this");
    for (field, value) in [
        ("environment", json!({"A": "1", "B": ""})),
        ("command", json!(["serve"])),
        ("dataVolumes", json!(["data:/data"])),
        ("ports", json!(["8301:80/tcp"])),
    ] {
        assert_eq!(once[field], value, "{field}: {once:#}");
    }
    assert!(once["logConfig"].is_object(), "{once:#}");
    let mut launch = once;
    crate::support::lay_over(
        &mut launch,
        json!({"imageUuid": image, "networkMode": "managed", "ports": ["8301:80"],
            "labels": {"l": "1", "io.rancher.service.hash": hash}}),
    );
    crate::support::lay_over(&mut launch, more);
    launch
}

#[actix_web::test]
async fn the_command_line_brings_a_stack_up_upgrades_it_and_takes_it_down() {
    let world = World::with_hosts(&["one", "two"]).await;
    let client = Client::new(&world);
    client.prologue().await;
    let schemas = client.get("schemas").await;
    let of = |id: &str| {
        let all = schemas["data"].as_array().expect("schemas");
        all.iter()
            .find(|schema| schema["id"] == id)
            .cloned()
            .unwrap_or_default()
    };
    for id in ["stack", "service", "secret", "volumeTemplate", "pullTask"] {
        let methods = of(id)["collectionMethods"].to_string();
        assert!(methods.contains("POST") && methods.contains("GET"), "{id}: {methods}");
    }
    for id in [
        "service",
        "container",
        "instance",
        "host",
        "project",
        "stack",
        "volume",
        "secret",
        "machine",
        "projectTemplate",
        "serviceConsumeMap",
        "subscribe",
    ] {
        assert!(!of(id).is_null(), "{id} is among the schemas");
    }
    let stack = client.stack("app").await;
    let id = stack["id"].clone();

    // Volumes and secrets come first.
    let name = text(&stack, "id").to_owned();
    assert!(
        client
            .rows(&format!("volumetemplates?name=data&stackId={name}"))
            .await
            .is_empty()
    );
    client
        .make(
            "volumetemplates",
            json!({"name": "data", "stackId": id, "driver": "local", "external": false, "perContainer": false}),
        )
        .await;
    assert!(client.rows("secrets?name=password").await.is_empty());
    let secret = client
        .make(
            "secrets",
            json!({"name": "password", "value": STANDARD.encode("open sesame")}),
        )
        .await;
    world.settle().await;
    client.rows(&format!("hosts?stackId={name}")).await;

    // The create pass.
    assert!(client.service(&stack, "db").await.is_none());
    let body = json!({"name": "db", "stackId": id, "scale": 1, "launchConfig": {"imageUuid": "sim:db", "networkMode": "managed"}});
    let db = client.make("services", body).await;
    let config =
        json!({"secrets": [{"secretId": secret["id"], "name": "password", "uid": "0", "gid": "0", "mode": "0444"}]});
    let body = json!({"name": "web", "stackId": id, "scale": 2, "metadata": {"io.rancher.service.hash": "h1"},
        "launchConfig": launch(&client, "sim:web:1", "l1", config.clone()).await});
    client.make("services", body).await;
    let web = client.service(&stack, "web").await.expect("it is there");
    assert_eq!(web["state"], "registering", "{web:#}");
    let web_id = text(&web, "id").to_owned();
    assert!(
        client
            .rows(&format!("serviceConsumeMaps?serviceId={web_id}"))
            .await
            .is_empty()
    );
    // Links are set whatever state it is in.
    client
        .act(
            &web,
            "setservicelinks",
            json!({"serviceLinks": [{"name": "store", "serviceId": db["id"]}]}),
        )
        .await;
    let web = client.wait(&web).await;
    has(
        &web,
        &json!({"state": "inactive", "metadata": {"io.rancher.service.hash": "h1"}}),
        "web",
    );
    assert_eq!(web["launchConfig"]["labels"]["io.rancher.service.hash"], "l1");
    client.act(&db, "setservicelinks", json!({})).await;
    // The up pass.
    for row in [&db, &web] {
        let now = client.reload(row).await;
        assert!(actions(&now).contains(&"activate"), "{now:#}");
        client.act(&now, "activate", json!({})).await;
        let now = client.wait(&now).await;
        has(&now, &json!({"state": "active", "healthState": "healthy"}), "after up");
    }
    // `ps`, and what it shows.
    client.rows("stacks?all=true&limit=-2").await;
    let listed = client
        .rows("services?limit=-2&removed_null=1&state_ne=inactive&state_ne=stopped&state_ne=removing&system=false")
        .await;
    assert_eq!(listed.len(), 2, "{listed:?}");
    let shown = listed.iter().find(|row| row["name"] == "web").expect("web");
    assert_eq!(shown["instanceIds"].as_array().map(Vec::len), Some(2), "{shown:#}");
    let containers = client.follow(shown, "instances").await;
    assert_eq!(containers["data"].as_array().map(Vec::len), Some(2));
    let one = &containers["data"][0];
    for field in ["name", "imageUuid", "state", "hostId", "primaryIpAddress", "externalId"] {
        assert!(one[field].is_string(), "{field} of {one:#}");
    }
    // `logs` asks the instance by the container's id.
    let instance = client.get(&format!("instances/{}", text(one, "id"))).await;
    let access = client
        .act(
            &instance,
            "logs",
            json!({"follow": true, "lines": 100, "timestamps": true}),
        )
        .await;
    assert!(
        text(&access, "url").starts_with("ws://") && !text(&access, "token").is_empty(),
        "{access}"
    );
    let access = client
        .act(
            &instance,
            "execute",
            json!({"attachStdin": true, "attachStdout": true, "command": ["sh"], "tty": true}),
        )
        .await;
    assert!(text(&access, "url").starts_with("ws://"), "{access}");
    client
        .rows(&format!(
            "serviceLogs?sort=id&order=desc&limit=10&all=true&system=false&serviceId={web_id}"
        ))
        .await;

    // A new file: what differs by its hash is upgraded.
    let again = client.service(&stack, "web").await.expect("it is there");
    let new = launch(&client, "sim:web:2", "l2", config).await;
    let mut whole = again.clone();
    whole["metadata"] = json!({"io.rancher.service.hash": "h2"});
    let put = client.put(&again, whole).await;
    has(
        &put,
        &json!({"scale": 2, "metadata": {"io.rancher.service.hash": "h2"}}),
        "after the put",
    );
    let put = client.wait(&put).await;
    client.act(&put, "upgrade", json!({"inServiceStrategy": {"batchSize": 2, "intervalMillis": 1000, "startFirst": false, "launchConfig": new}})).await;
    let upgraded = world.wait(&web_id, "upgraded").await;
    assert!(
        actions(&upgraded).contains(&"finishupgrade") && actions(&upgraded).contains(&"rollback"),
        "{upgraded:#}"
    );
    assert_eq!(upgraded["launchConfig"]["labels"]["io.rancher.service.hash"], "l2");
    client.act(&upgraded, "rollback", json!({})).await;
    let back = world.wait(&web_id, "active").await;
    assert_eq!(
        back["launchConfig"]["labels"]["io.rancher.service.hash"], "l1",
        "the old file's again"
    );
    // `up --pull`
    let task = client
        .make("pullTasks", json!({"mode": "all", "image": "sim:web:2", "labels": {}}))
        .await;
    let task = client.wait(&task).await;
    assert!(
        task["status"]
            .as_object()
            .is_some_and(|s| s.values().all(|word| word == "Done")),
        "{task:#}"
    );
    // `scale`, `restart`, `export`, `rm`
    client.put(&back, json!({"scale": 1})).await;
    let scaled = client.wait(&back).await;
    has(&scaled, &json!({"scale": 1, "currentScale": 1}), "scaled");
    client
        .act(
            &scaled,
            "restart",
            json!({"rollingRestartStrategy": {"batchSize": 1, "intervalMillis": 1000}}),
        )
        .await;
    world.wait(&web_id, "active").await;
    let files = client.act(&stack, "exportconfig", Value::Null).await;
    let docker = text(&files, "dockerComposeConfig");
    for part in ["web:\r\n", "links:\r\n    - db:store", "secrets:\r\n", "volumes:\r\n"] {
        assert!(docker.contains(part), "{part}: {docker}");
    }
    client.delete(&stack).await;
    client.wait(&stack).await;
    assert!(client.rows("services").await.is_empty());
}

#[actix_web::test]
async fn rancher_compose_stops_restarts_removes_and_moves_a_service_to_another() {
    let world = World::new().await;
    let client = Client::new(&world);
    // A newer version would only be told of; one that is not said is a 404.
    let version = world.get("/v2-beta/settings/rancher.compose.version").await;
    assert!(matches!(version.status, 200 | 404));
    let stack = client.stack("app").await;
    let make = async |name: &str, scale: i64| -> Value {
        let body =
            json!({"name": name, "stackId": stack["id"], "scale": scale, "launchConfig": {"imageUuid": "sim:web"}});
        let row = client.make("services", body).await;
        client.wait(&row).await
    };
    let old = make("old", 2).await;
    client.act(&old, "activate", json!({})).await;
    client.wait(&old).await;
    client
        .act(
            &old,
            "restart",
            json!({"rollingRestartStrategy": {"batchSize": 1, "intervalMillis": 1000}}),
        )
        .await;
    world.wait(text(&old, "id"), "active").await;
    client.act(&old, "deactivate", json!({})).await;
    has(&client.wait(&old).await, &json!({"state": "inactive"}), "stopped");
    client.act(&old, "activate", json!({})).await;
    client.wait(&old).await;

    // `upgrade OLD NEW`: the new one is made without containers, and gets those of the old one.
    let new = make("new", 2).await;
    client.put(&new, json!({"scale": 0})).await;
    client.wait(&new).await;
    client.act(&new, "activate", json!({})).await;
    client.wait(&new).await;
    let strategy = json!({"toServiceStrategy": {"toServiceId": new["id"], "finalScale": 2, "batchSize": 1, "intervalMillis": 1000, "updateLinks": true}});
    client.act(&old, "upgrade", strategy).await;
    world.wait(text(&old, "id"), "upgraded").await;
    has(&client.reload(&old).await, &json!({"scale": 0}), "the old one");
    has(&client.reload(&new).await, &json!({"scale": 2}), "the new one");
    client.act(&old, "finishupgrade", json!({})).await;
    world.wait(text(&old, "id"), "active").await;
    client.delete(&old).await;
    let gone = client.wait(&old).await;
    has(&gone, &json!({"state": "removed"}), "rm");
    assert!(gone["removed"].is_string(), "{gone:#}");
    // `logs`: by the containers' own action, with no body.
    let containers = client.follow(&client.reload(&new).await, "instances").await;
    let access = client.act(&containers["data"][0], "logs", Value::Null).await;
    assert!(!text(&access, "token").is_empty(), "{access}");
}

#[actix_web::test]
async fn terraform_keeps_a_stack_of_files_a_volume_and_a_host() {
    let world = World::new().await;
    let client = Client::new(&world);
    let project = world
        .get(&format!("/v2-beta/projects/{PROJECT}"))
        .await
        .expect(200, json!({"orchestration": "cattle"}));
    let schemas = format!(
        "{}/schemas",
        text(&project["links"], "self").trim_start_matches("http://localhost")
    );
    world.get(&schemas).await.expect(200, json!({"type": "collection"}));
    let docker = "web:\n  image: sim:web:1\n  environment: {COLOR: '${COLOR}'}\n";
    let body = json!({"name": "tf", "description": "d", "dockerCompose": docker, "rancherCompose": "web:\n  scale: 2\n",
        "environment": {"COLOR": "red"}, "externalId": "", "startOnCreate": true, "system": false});
    let made = client.make("stacks", body).await;
    let stack = client.wait(&made).await;
    has(
        &stack,
        &json!({"state": "active", "accountId": PROJECT, "environment": {"COLOR": "red"}, "startOnCreate": true, "system": false, "description": "d"}),
        "the stack",
    );
    let files = client.act(&stack, "exportconfig", Value::Null).await;
    assert!(text(&files, "dockerComposeConfig").contains("COLOR: red"), "{files}");
    assert!(text(&files, "rancherComposeConfig").contains("scale: 2"), "{files}");
    // An update is a PUT and an upgrade, finished at once.
    client.put(&stack, json!({"name": "tf", "description": "e"})).await;
    let stack = client.wait(&stack).await;
    let upgrade = json!({"dockerCompose": docker.replace("web:1", "web:2"), "rancherCompose": "web:\n  scale: 2\n",
        "environment": {"COLOR": "blue"}, "externalId": ""});
    client.act(&stack, "upgrade", upgrade).await;
    world.wait(text(&stack, "id"), "upgraded").await;
    client.act(&stack, "finishupgrade", json!({})).await;
    let stack = world.wait(text(&stack, "id"), "active").await;
    has(
        &stack,
        &json!({"description": "e", "environment": {"COLOR": "blue"}}),
        "the new stack",
    );
    let service = client.rows("services?name=web").await.remove(0);
    assert_eq!(service["launchConfig"]["imageUuid"], "sim:web:2");
    // One without files is written as an empty one.
    let empty = client.make("stacks", json!({"name": "empty"})).await;
    let empty = client.wait(&empty).await;
    let files = client.act(&empty, "exportconfig", Value::Null).await;
    assert_eq!(text(&files, "dockerComposeConfig").trim_end(), "version: '2'");

    let volume = client
        .make("volumes", json!({"name": "v", "driver": "local", "description": "d"}))
        .await;
    let volume = client.wait(&volume).await;
    has(&volume, &json!({"state": "inactive", "driver": "local"}), "the volume");
    client.put(&volume, json!({"description": "e"})).await;
    client.wait(&volume).await;
    client.delete(&volume).await;
    has(&client.wait(&volume).await, &json!({"state": "removed"}), "the volume");

    for row in [&empty, &stack] {
        client.delete(row).await;
        has(&client.wait(row).await, &json!({"state": "removed"}), "the stack");
    }
    let host = client.rows("hosts").await.remove(0);
    let host = client.put(&host, json!({"name": "named", "labels": {"a": "b"}})).await;
    has(&host, &json!({"name": "named", "labels": {"a": "b"}}), "the host");
    client.act(&host, "deactivate", json!({})).await;
    has(&client.wait(&host).await, &json!({"state": "inactive"}), "the host");
    client.delete(&host).await;
    has(&client.wait(&host).await, &json!({"state": "removed"}), "the host");
}

#[actix_web::test]
async fn the_pages_of_the_user_interface_find_what_they_ask_for() {
    let world = World::new().await;
    let client = Client::new(&world);
    let schemas = client.get("schemas").await;
    let field = |of: &str, field: &str| -> Value {
        let all = schemas["data"].as_array().expect("schemas");
        let schema = all.iter().find(|schema| schema["id"] == of).expect("a schema");
        schema["resourceFields"][field].clone()
    };
    // Without these lists its forms end in an error.
    for (of, name) in [
        ("container", "capAdd"),
        ("portRule", "protocol"),
        ("projectMember", "role"),
    ] {
        assert!(
            field(of, name)["options"].is_array(),
            "{of}.{name}: {}",
            field(of, name)
        );
    }
    assert!(field("stack", "system")["create"].is_boolean());
    let body = json!({"name": "page", "description": "", "dockerCompose": "web: {image: 'sim:web'}\n", "rancherCompose": "", "environment": {}, "startOnCreate": true});
    let stack = client.make("stacks", body).await;
    let stack = client.wait(&stack).await;
    for action in ["activateservices", "deactivateservices", "exportconfig", "remove"] {
        assert!(
            actions(&stack).contains(&action) || action == "remove",
            "{action}: {stack:#}"
        );
    }
    assert!(text(&stack["links"], "composeConfig").starts_with("http"), "{stack:#}");
    let files = client.act(&stack, "exportconfig", json!({})).await;
    assert!(
        files["dockerComposeConfig"].is_string() && files["rancherComposeConfig"].is_string(),
        "{files}"
    );
    let service = client.rows("services?name=web").await.remove(0);
    for name in [
        "launchConfig",
        "secondaryLaunchConfigs",
        "linkedServices",
        "publicEndpoints",
        "healthState",
        "kind",
    ] {
        assert!(service.get(name).is_some(), "{name}: {service:#}");
    }
    client
        .rows(&format!(
            "servicelogs?serviceId={}&limit=100&sort=id&order=desc",
            text(&service, "id")
        ))
        .await;

    // A scale of the whole object; an upgrade as its dialog sends it.
    let mut whole = service.clone();
    whole["scale"] = json!(2);
    client.put(&service, whole).await;
    let service = client.wait(&service).await;
    assert!(actions(&service).contains(&"upgrade"), "{service:#}");
    let mut launch = service["launchConfig"].clone();
    launch["imageUuid"] = json!("sim:web:2");
    let strategy = json!({"inServiceStrategy": {"batchSize": 1, "intervalMillis": 2000, "startFirst": false, "launchConfig": launch, "secondaryLaunchConfigs": []}});
    client.act(&service, "upgrade", strategy).await;
    client
        .act(&service, "setservicelinks", json!({"serviceLinks": []}))
        .await;
    let upgraded = world.wait(text(&service, "id"), "upgraded").await;
    client.act(&upgraded, "finishupgrade", json!({})).await;
    world.wait(text(&service, "id"), "active").await;

    let container = client.rows("containers?state=running").await.remove(0);
    for link in ["ports", "instanceLinks", "containerStats"] {
        assert!(
            text(&container["links"], link).starts_with("http"),
            "{link}: {container:#}"
        );
    }
    client.follow(&container, "ports").await;
    let stats = client.follow(&container, "containerStats").await;
    assert!(
        text(&stats, "url").starts_with("ws://") && !text(&stats, "token").is_empty(),
        "{stats}"
    );
    let logs = client
        .act(&container, "logs", json!({"follow": true, "lines": 500}))
        .await;
    assert!(text(&logs, "url").starts_with("ws://"), "{logs}");
    let project = world.get(&format!("/v2-beta/projects/{PROJECT}")).await.ok();
    client.follow(&project, "projectMembers").await;
}
