//! How hosts join: a token, with it a registration, from that an agent, and what it speaks for.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{Answer, World, actions, text};

/// A world without a host of its own.
async fn world() -> World {
    World::with_hosts(&[]).await
}

async fn token(w: &World) -> Value {
    let made = w
        .post("registrationtokens", json!({}))
        .await
        .expect(201, json!({"type": "registrationToken", "state": "registering"}));
    w.wait(&format!("registrationtokens/{}", text(&made, "id")), "active")
        .await
}

#[actix_web::test]
async fn a_token_says_how_a_host_joins() {
    let w = world().await;
    let token = token(&w).await;
    let url = text(&token, "registrationUrl");
    let base = "http://localhost/v2-beta/projects/1a5/scripts/";
    assert_eq!(url, format!("{base}{}", text(&token, "token")));
    assert_eq!(token["links"]["registrationUrl"], token["registrationUrl"]);
    let command = text(&token, "command");
    assert!(
        command.starts_with("sudo docker run ") && command.ends_with(&format!(" {} {url}", text(&token, "image"))),
        "{command}"
    );
    assert!(text(&token, "windowsCommand").ends_with(url));
    assert!(
        token.get("publicValue").is_none() && token.get("secretValue").is_none(),
        "{token:#}"
    );
    // `<access key>:<midnight of 31 December of the year before>:<signature>`, the same all year.
    let parts: Vec<&str> = text(&token, "token").split(':').collect();
    assert_eq!((parts.len(), parts[0].len(), parts[1]), (3, 20, "1672444800000"));
    w.advance(Duration::from_secs(3_600)).await;
    assert_eq!(
        w.show(&format!("registrationtokens/{}", text(&token, "id"))).await["token"],
        token["token"]
    );

    let script = w
        .get(&format!("/v2-beta/projects/1a5/scripts/{}", text(&token, "token")))
        .await;
    let script = script.ok();
    let script = script.as_str().expect("a script is text");
    for line in [
        "#!/bin/sh".to_owned(),
        "CATTLE_URL='http://localhost/v2-beta/projects/1a5'".to_owned(),
        "CATTLE_REGISTRATION_ACCESS_KEY=\"registrationToken\"".to_owned(),
        format!("CATTLE_REGISTRATION_SECRET_KEY='{}'", text(&token, "token")),
    ] {
        assert!(script.lines().any(|l| l == line), "{line} is not in\n{script}");
    }
    for wrong in ["x", "a:b:c", &format!("{}x", text(&token, "token"))] {
        w.get(&format!("/v2-beta/scripts/{wrong}"))
            .await
            .refused(404, "Not Found");
    }

    let path = format!("registrationtokens/{}", text(&token, "id"));
    w.act(&path, "deactivate", json!({}))
        .await
        .expect(202, json!({"state": "deactivating"}));
    w.wait(&path, "inactive").await;
    w.get(&format!("/v2-beta/scripts/{}", text(&token, "token")))
        .await
        .refused(404, "Not Found");
    w.act(&path, "remove", json!({}))
        .await
        .expect(202, json!({"state": "removing"}));
    w.wait(&path, "removed").await;
}

#[actix_web::test]
async fn a_script_says_nothing_that_a_client_put_into_its_address() {
    let w = world().await;
    let token = token(&w).await;
    let path = format!("/v2-beta/projects/1a5'%22$(id)%60/scripts/{}", text(&token, "token"));
    let script = w.get(&path).await;
    if script.status == 200 {
        let script = script.body.as_str().unwrap_or_default().to_owned();
        let line = script
            .lines()
            .find(|l| l.starts_with("CATTLE_URL="))
            .expect("the script says where the server is");
        assert!(line.starts_with("CATTLE_URL='") && line.ends_with('\''), "{line}");
        assert!(
            !line
                .trim_start_matches("CATTLE_URL=")
                .replace(r"'\''", "")
                .trim_matches('\'')
                .contains('\''),
            "{line}"
        );
    }
}

/// The superadmin's way in; everybody else is let in as the owner of the project.
async fn sudo(w: &World, method: Method, path: &str, body: Option<Value>) -> Answer {
    w.send_with(method, path, &[("authorization", &basic("SUPER", "secret"))], body)
        .await
}

async fn sudo_show(w: &World, path: &str) -> Value {
    sudo(w, Method::GET, path, None).await.expect(200, json!({}))
}

async fn sudo_act(w: &World, path: &str, action: &str) -> Answer {
    sudo(w, Method::POST, &format!("{path}?action={action}"), Some(json!({}))).await
}

/// The rows of a list that somebody with this key sees.
async fn list_as(w: &World, name: &str, secret: &str, path: &str) -> Vec<Value> {
    let answer = w
        .send_with(Method::GET, path, &[("authorization", &basic(name, secret))], None)
        .await;
    answer.expect(200, json!({"type": "collection"}))["data"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

fn basic(name: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{secret}")))
}

/// A world with a key for the superadmin.
async fn open() -> World {
    let w = World::new().await;
    w.engine
        .set_key("superadmin", "SUPER".into(), "secret")
        .await
        .expect("a key can be set");
    w
}

/// A registration with a simulated agent; gives the registration and the agent's id.
async fn register(w: &World, key: &str) -> (Value, String) {
    let body = json!({"key": key, "accountId": "1a5", "agentUriFormat": "sim://%s"});
    let made = sudo(w, Method::POST, "/v2-beta/register", Some(body)).await;
    let made = made.expect(201, json!({"type": "register", "state": "activating"}));
    assert!(
        ["key", "accessKey", "secretKey"]
            .iter()
            .all(|name| made.get(name).is_none()),
        "{made:#}"
    );
    w.settle().await;
    let made = sudo_show(w, &format!("/v2-beta/register/{}", text(&made, "id"))).await;
    assert_eq!((text(&made, "state"), text(&made, "accountId")), ("active", "1a5"));
    let agent = format!("1ag{}", made["data"]["agentId"]);
    (made, agent)
}

async fn ping(w: &World) {
    let tasks = list_as(w, "SUPER", "secret", "/v2-beta/tasks?name=agent.ping").await;
    assert_eq!(tasks.len(), 1);
    sudo_act(w, &format!("/v2-beta/tasks/{}", text(&tasks[0], "id")), "execute")
        .await
        .expect(200, json!({"name": "agent.ping"}));
    w.settle().await;
}

#[actix_web::test]
async fn a_registration_gives_its_keys_to_who_knows_its_key() {
    let w = open().await;
    w.post("register", json!({})).await.refused(422, "MissingRequired");
    let (made, _) = register(&w, "of-mine").await;
    let hidden = ["key", "accessKey", "secretKey"];
    let path = format!("register/{}", text(&made, "id"));
    for query in ["", "?key=", "?key=of-yours"] {
        let row = w.show(&format!("{path}{query}")).await;
        assert!(hidden.iter().all(|name| row.get(name).is_none()), "{query}: {row:#}");
    }
    assert!(w.list("register?key=of-yours").await.is_empty());
    let rows = w.list("register?key=of-mine").await;
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (
            text(&rows[0], "key"),
            text(&rows[0], "accessKey").len(),
            text(&rows[0], "secretKey").len()
        ),
        ("of-mine", 20, 40)
    );
    assert_eq!(
        w.show(&format!("{path}?key=of-mine")).await["secretKey"],
        rows[0]["secretKey"]
    );
    // What is listed without the key is there, and says as little.
    let all = w.list("register").await;
    assert!(
        all.len() == 1 && hidden.iter().all(|name| all[0].get(name).is_none()),
        "{all:#?}"
    );
}

#[actix_web::test]
async fn a_simulated_agent_brings_up_one_host_of_its_own() {
    let mut w = open().await;
    let (made, agent) = register(&w, "k").await;
    ping(&w).await;
    let row = sudo_show(&w, &format!("/v2-beta/agents/{agent}")).await;
    assert_eq!((text(&row, "state"), text(&row, "kind")), ("active", "registeredAgent"));
    assert_eq!(text(&row, "uri"), format!("sim://{}", text(&made, "uuid")));
    assert_eq!(
        row["data"],
        json!({"registrationKey": "k", "agentResourcesAccountId": 5})
    );

    let hosts = list_as(&w, "SUPER", "secret", &format!("/v2-beta/hosts?agentId={agent}")).await;
    assert_eq!(hosts.len(), 1, "{hosts:#?}");
    let host = &hosts[0];
    assert_eq!(
        (text(host, "state"), text(host, "kind"), text(host, "type")),
        ("active", "sim", "host")
    );
    assert!(
        text(host, "name").starts_with("testhost-") && host["name"] == host["hostname"],
        "{host:#}"
    );
    let id = text(host, "id").to_owned();
    let parts = |of: &str| format!("hosts/{id}/{of}");
    let pools = w.list(&parts("storagepools")).await;
    assert_eq!(
        (pools.len(), text(&pools[0], "kind"), text(&pools[0], "state")),
        (1, "sim", "active")
    );
    let addresses = w.list(&parts("ipaddresses")).await;
    assert_eq!(
        (
            addresses.len(),
            text(&addresses[0], "address"),
            text(&addresses[0], "state")
        ),
        (1, "192.168.0.21", "active")
    );
    assert_eq!(w.show(&parts("physicalhost")).await["state"], "active");
    // Pinged again and again, it is still one.
    w.advance(Duration::from_secs(120)).await;
    assert_eq!(
        list_as(&w, "SUPER", "secret", &format!("/v2-beta/hosts?agentId={agent}"))
            .await
            .len(),
        1
    );

    // It takes containers like any other, and they are there after a restart.
    let stack = w.stack("s").await;
    let service = w
        .running(&stack, "web", json!({"launchConfig": {"requestedHostId": id}}))
        .await;
    assert_eq!(w.containers(&service).await[0]["hostId"], json!(id));
    w.restart().await;
    assert_eq!(w.containers(&service).await[0]["state"], "running");
    w.agents.lock().unwrap().clear();
    w.restart().await;
    assert_eq!(w.containers(&service).await[0]["state"], "running");
    assert_eq!(
        w.agents
            .lock()
            .unwrap()
            .values()
            .map(|sim| sim.containers().len())
            .sum::<usize>(),
        1
    );
}

#[actix_web::test]
async fn an_agent_that_is_silent_is_disconnected_and_comes_back() {
    let w = open().await;
    let (made, agent) = register(&w, "k").await;
    ping(&w).await;
    let agent = format!("/v2-beta/agents/{agent}");
    w.advance(Duration::from_secs(10)).await;
    assert_eq!(sudo_show(&w, &agent).await["state"], "active");
    let host = text(&w.list("hosts?kind=sim").await[0], "id").to_owned();
    let sim = w.agents.lock().unwrap()[text(&made, "uuid")].clone();
    sim.set_disconnected(true);
    w.advance(Duration::from_secs(170)).await;
    assert_eq!(w.show(&host).await["state"], "active", "it is given three minutes");
    w.advance(Duration::from_secs(20)).await;
    assert_eq!(sudo_show(&w, &agent).await["state"], "disconnected");
    let row = w.show(&host).await;
    assert_eq!(
        (text(&row, "state"), text(&row, "agentState")),
        ("disconnected", "disconnected")
    );
    sim.set_disconnected(false);
    w.advance(Duration::from_secs(10)).await;
    assert_eq!(sudo_show(&w, &agent).await["state"], "active");
    let row = w.show(&host).await;
    assert_eq!((text(&row, "state"), &row["agentState"]), ("active", &Value::Null));
    // By hand as well.
    sudo_act(&w, &agent, "disconnect")
        .await
        .expect(202, json!({"state": "disconnecting"}));
    w.settle().await;
    assert_eq!(sudo_show(&w, &agent).await["state"], "disconnected");
    assert_eq!(
        actions(&sudo_show(&w, &agent).await),
        ["deactivate", "reconnect", "remove"]
    );
    sudo_act(&w, &agent, "reconnect")
        .await
        .expect(202, json!({"state": "reconnecting"}));
    w.advance(Duration::from_secs(10)).await;
    assert_eq!(sudo_show(&w, &agent).await["state"], "active");
}

#[actix_web::test]
async fn a_host_goes_with_all_that_is_its_own() {
    let w = open().await;
    let (made, agent) = register(&w, "k").await;
    ping(&w).await;
    let host = text(&w.list("hosts?kind=sim").await[0], "id").to_owned();
    let mut parts = BTreeMap::new();
    for (link, collection) in [("storagepools", "storagepools"), ("ipaddresses", "ipaddresses")] {
        let row = w.list(&format!("hosts/{host}/{link}")).await.remove(0);
        parts.insert(collection, text(&row, "id").to_owned());
    }
    parts.insert("physicalhosts", text(&w.show(&host).await, "physicalHostId").to_owned());
    parts.insert("register", text(&made, "id").to_owned());
    w.delete(&host).await.refused(405, "Method not allowed");
    w.act(&host, "deactivate", json!({}))
        .await
        .expect(202, json!({"state": "deactivating"}));
    w.wait(&host, "inactive").await;
    w.delete(&host).await.expect(200, json!({"state": "removing"}));
    w.wait(&host, "removed").await;
    w.settle().await;
    let agent_row = sudo_show(&w, &format!("/v2-beta/agents/{agent}")).await;
    assert_eq!(agent_row["state"], "removed");
    for (collection, id) in parts {
        assert_eq!(
            w.show(&format!("{collection}/{id}")).await["state"],
            "removed",
            "{collection}"
        );
    }
    assert_eq!(
        sudo_show(&w, &format!("/v2-beta/agents/{agent}")).await["state"],
        "removed"
    );
    // The server's own host is as it was.
    assert_eq!(w.list("hosts").await.len(), 1);
    w.act(&host, "purge", json!({}))
        .await
        .expect(202, json!({"state": "purging"}));
    w.wait(&host, "purged").await;
}

#[actix_web::test]
async fn an_agent_that_nobody_is_waits_and_says_why() {
    let w = open().await;
    let made = w.post("register", json!({"key": "k"})).await.ok();
    let made = w.wait(&format!("register/{}?key=k", text(&made, "id")), "active").await;
    assert_eq!(text(&made, "secretKey").len(), 40);
    let all = sudo_show(&w, &format!("/v2-beta/register/{}", text(&made, "id"))).await;
    let agent = format!("/v2-beta/agents/1ag{}", all["data"]["agentId"]);
    w.advance(Duration::from_secs(600)).await;
    let row = sudo_show(&w, &agent).await;
    assert_eq!(
        (text(&row, "state"), text(&row, "transitioning")),
        ("activating", "yes")
    );
    assert!(
        text(&row, "transitioningMessage").contains(&format!("event://{}", text(&made, "uuid"))),
        "{row:#}"
    );
    // Given the address of a simulated one, it comes up.
    sudo(&w, Method::PUT, &agent, Some(json!({"uri": "sim://later"})))
        .await
        .expect(200, json!({"uri": "sim://later"}));
    w.advance(Duration::from_secs(10)).await;
    assert_eq!(sudo_show(&w, &agent).await["state"], "active");
    assert_eq!(w.list("hosts?kind=sim").await.len(), 1);
    sudo(&w, Method::POST, "/v2-beta/agents", Some(json!({"uri": "sim://later"})))
        .await
        .expect(422, json!({"code": "NotUnique", "fieldName": "uri"}));
    sudo_act(&w, &agent, "deactivate").await.ok();
    w.settle().await;
    assert_eq!(sudo_show(&w, &agent).await["state"], "inactive");
    sudo_act(&w, &agent, "remove")
        .await
        .expect(202, json!({"state": "removing"}));
    w.advance(Duration::from_secs(5)).await;
    assert_eq!(sudo_show(&w, &agent).await["state"], "removed");
    assert_eq!(
        w.show(&format!("register/{}", text(&made, "id"))).await["state"],
        "removed"
    );
    assert!(w.list("hosts?kind=sim").await.is_empty());
}

#[actix_web::test]
async fn an_agent_without_an_address_is_at_its_maker() {
    let w = open().await;
    let row = sudo(&w, Method::POST, "/v2-beta/agents", Some(json!({})))
        .await
        .expect(201, json!({"type": "agent", "state": "registering"}));
    assert_eq!(text(&row, "uri"), "ssh://root@localhost:22");
    // Whose its hosts are to be is said with it.
    let body = json!({"uri": "sim://mine", "agentResourcesAccountId": "1a5"});
    sudo(&w, Method::POST, "/v2-beta/agents", Some(body))
        .await
        .expect(201, json!({"data": {"agentResourcesAccountId": 5}}));
    w.settle().await;
    let hosts = w.list("hosts?kind=sim").await;
    assert_eq!(hosts.len(), 1, "{hosts:#?}");
    w.put(text(&hosts[0], "id"), json!({"localStorageMb": 5}))
        .await
        .expect(501, json!({"fieldName": "localStorageMb"}));
}

#[actix_web::test]
async fn each_caller_of_the_chain_sees_its_own_part() {
    let w = open().await;
    let token = token(&w).await;
    let (_, agent) = register(&w, "mine").await;
    ping(&w).await;
    let joining = ("registrationToken", text(&token, "token"));
    // Who holds the token: registrations, by their keys, and nothing else.
    let rows = list_as(&w, joining.0, joining.1, "/v2-beta/register?key=mine").await;
    assert_eq!(rows.len(), 1, "{rows:#?}");
    let login = [("authorization", basic(joining.0, joining.1))];
    let login: Vec<(&str, &str)> = login.iter().map(|(name, value)| (*name, value.as_str())).collect();
    for path in [
        "/v2-beta/hosts",
        "/v2-beta/agents",
        "/v2-beta/services",
        "/v2-beta/registrationtokens",
    ] {
        w.send_with(Method::GET, path, &login, None)
            .await
            .refused(404, "Not Found");
    }
    w.send_with(Method::POST, "/v2-beta/register", &login, Some(json!({})))
        .await
        .refused(422, "MissingRequired");
    let made = w
        .send_with(
            Method::POST,
            "/v2-beta/register",
            &login,
            Some(json!({"key": "another"})),
        )
        .await;
    made.expect(201, json!({"type": "register", "state": "activating"}));

    // Who holds the agent's key: the agent, and the hosts are the project's.
    let (name, secret) = (text(&rows[0], "accessKey"), text(&rows[0], "secretKey"));
    let agents = list_as(&w, name, secret, "/v2-beta/agents").await;
    assert_eq!(
        (agents.len(), text(&agents[0], "id")),
        (1, agent.as_str()),
        "{agents:#?}"
    );
    let key = list_as(
        &w,
        "SUPER",
        "secret",
        &format!("/v2-beta/credentials?publicValue={name}"),
    )
    .await;
    assert_eq!(
        (key.len(), text(&key[0], "kind"), text(&key[0], "state")),
        (1, "agentApiKey", "active")
    );
    assert!(key[0]["secretValue"].is_null(), "{key:#?}");
    let account = sudo_show(&w, &format!("/v2-beta/credentials/{}/account", text(&key[0], "id"))).await;
    let uuid = format!("agentAccount{}", agent.trim_start_matches("1ag"));
    assert_eq!(
        (text(&account, "kind"), text(&account, "uuid")),
        ("agent", uuid.as_str())
    );
    assert_eq!(w.list("hosts?kind=sim").await.len(), 1);
}

#[actix_web::test]
async fn an_evacuated_host_is_left_by_all_and_services_go_on_elsewhere() {
    let w = World::with_hosts(&["a", "b"]).await;
    let hosts = w.list("hosts?sort=id").await;
    let (a, b) = (text(&hosts[0], "id").to_owned(), text(&hosts[1], "id").to_owned());
    let stack = w.stack("s").await;
    let service = w.running(&stack, "web", json!({"scale": 4})).await;
    let names = w.picture(&service).await;
    w.act(&b, "evacuate", json!({}))
        .await
        .expect(200, json!({"state": "deactivating"}));
    w.wait(&b, "inactive").await;
    w.advance(Duration::from_secs(5)).await;
    assert!(
        w.containers(&service)
            .await
            .iter()
            .all(|c| c["hostId"] == json!(a) && c["state"] == "running")
    );
    assert_eq!(w.picture(&service).await, names, "they keep their names");
    assert!(w.sims[1].1.containers().is_empty());
    let offered = [
        "activate",
        "delete",
        "dockersocket",
        "evacuate",
        "provision",
        "remove",
        "update",
        "upgrade",
    ];
    assert_eq!(actions(&w.show(&b).await), offered);
}

/// A world with an agent's host only.
async fn open_with_agent() -> (World, String, String) {
    let w = World::with_hosts(&[]).await;
    w.engine
        .set_key("superadmin", "SUPER".into(), "secret")
        .await
        .expect("a key can be set");
    let (_, agent) = register(&w, "k").await;
    ping(&w).await;
    let host = text(&w.list("hosts").await[0], "id").to_owned();
    (w, format!("/v2-beta/agents/{agent}"), host)
}

/// A container that only the superadmin can make: with `data`.
async fn with_data(w: &World, data: Value) -> String {
    let body = json!({"imageUuid": "sim:one", "accountId": "1a5", "data": data});
    let made = sudo(w, Method::POST, "/v2-beta/containers", Some(body)).await;
    text(&made.expect(201, json!({"type": "container"})), "id").to_owned()
}

#[actix_web::test]
async fn commands_fail_whose_names_stand_anywhere_in_what_is_sent() {
    let (w, ..) = open_with_agent().await;
    let once = json!({"computeTries": 1});
    for command in [
        "compute.instance.activate",
        "storage.volume.activate",
        "storage.image.activate",
    ] {
        let data = json!({format!("{command}::fail"): true, "io.cattle.platform.process.instance.InstanceStart": once});
        let id = with_data(&w, data).await;
        w.settle().await;
        let row = w.show(&id).await;
        assert_eq!(
            (text(&row, "state"), text(&row, "transitioning")),
            ("error", "error"),
            "{row:#}"
        );
        assert_eq!(text(&row, "transitioningMessage"), format!("Failing [{command}]"));
    }
    // Without that it is tried five times.
    let labels = json!({"compute.instance.activate::fail": "true"});
    let row = w
        .post("containers", json!({"imageUuid": "sim:one", "labels": labels}))
        .await
        .ok();
    let id = text(&row, "id").to_owned();
    w.settle().await;
    assert_eq!(w.show(&id).await["transitioning"], "yes");
    assert_eq!(
        text(&w.wait(&id, "error").await, "transitioningMessage"),
        "Failing [compute.instance.activate]"
    );
    // What fails on the way down is tried again and again.
    let row = w
        .post(
            "containers",
            json!({"imageUuid": "sim:one", "environment": {"compute.instance.deactivate::fail": "1"}}),
        )
        .await
        .ok();
    let id = text(&row, "id").to_owned();
    w.wait(&id, "running").await;
    w.act(&id, "stop", json!({}))
        .await
        .expect(202, json!({"state": "stopping"}));
    w.advance(Duration::from_secs(5)).await;
    let row = w.show(&id).await;
    assert_eq!(
        (text(&row, "state"), text(&row, "transitioningMessage")),
        ("stopping", "Failing [compute.instance.deactivate]")
    );
}

#[actix_web::test]
async fn containers_vanish_when_their_words_say_so() {
    let (w, ..) = open_with_agent().await;
    for body in [
        json!({"name": "simForgetImmediately"}),
        json!({"environment": {"simForgetImmediately": "1"}}),
    ] {
        let mut body = body;
        body["imageUuid"] = json!("sim:one");
        let row = w.post("containers", body).await.ok();
        w.wait(text(&row, "id"), "removed").await;
    }
    w.wait(&with_data(&w, json!({"simForgetImmediately": true})).await, "removed")
        .await;
    for body in [
        json!({"command": ["simShutdownAfter", "20"]}),
        json!({"environment": {"simShutdownAfter": "20"}}),
    ] {
        let mut body = body;
        body["imageUuid"] = json!("sim:one");
        let row = w.post("containers", body).await.ok();
        let id = text(&row, "id");
        w.wait(id, "running").await;
        w.advance(Duration::from_secs(15)).await;
        assert_eq!(w.show(id).await["state"], "running");
        w.advance(Duration::from_secs(10)).await;
        assert_eq!(w.show(id).await["state"], "removed");
    }
}

#[actix_web::test]
async fn an_agent_told_to_be_silent_is_disconnected_until_it_is_called() {
    let (w, agent, host) = open_with_agent().await;
    let row = w
        .post(
            "containers",
            json!({"imageUuid": "sim:one", "labels": {"simDisconnectAgent": "true"}}),
        )
        .await
        .ok();
    let id = text(&row, "id").to_owned();
    w.settle().await;
    assert_eq!(w.show(&id).await["state"], "running", "the start itself is answered");
    w.advance(Duration::from_secs(190)).await;
    assert_eq!(sudo_show(&w, &agent).await["state"], "disconnected");
    assert_eq!(w.show(&host).await["state"], "disconnected");
    w.advance(Duration::from_secs(60)).await;
    assert_eq!(sudo_show(&w, &agent).await["state"], "disconnected");
    sudo_act(&w, &agent, "reconnect")
        .await
        .expect(202, json!({"state": "reconnecting"}));
    w.advance(Duration::from_secs(10)).await;
    assert_eq!(sudo_show(&w, &agent).await["state"], "active");
    assert_eq!(w.show(&host).await["state"], "active");
    assert_eq!(w.show(&id).await["state"], "running");
}

#[actix_web::test]
async fn a_container_that_nobody_asked_for_gets_a_row() {
    let (mut w, _, host) = open_with_agent().await;
    let row = w
        .post(
            "containers",
            json!({"imageUuid": "sim:one", "name": "simCreateAnother_abc123"}),
        )
        .await
        .ok();
    w.wait(text(&row, "id"), "running").await;
    w.advance(Duration::from_secs(60)).await;
    let found = w.list("containers?externalId=abc123").await;
    assert_eq!(found.len(), 1, "{found:#?}");
    let expected =
        json!({"state": "running", "nativeContainer": true, "hostId": host, "imageUuid": "sim:one", "name": "abc123"});
    crate::support::has(&found[0], &expected, "the other one");
    let id = text(&found[0], "id").to_owned();
    // It lives like any other from now on.
    w.restart().await;
    assert_eq!(w.show(&id).await["state"], "running");
    w.act(&id, "stop", json!({})).await.ok();
    w.wait(&id, "stopped").await;
    w.act(&id, "start", json!({})).await.ok();
    w.wait(&id, "running").await;
    w.delete(&id).await.ok();
    w.wait(&id, "removed").await;
    w.advance(Duration::from_secs(120)).await;
    assert!(w.list("containers?externalId=abc123").await.is_empty());
    assert_eq!(
        w.agents
            .lock()
            .unwrap()
            .values()
            .map(|sim| sim.containers().len())
            .sum::<usize>(),
        1
    );
}

#[actix_web::test]
async fn an_agent_may_bring_its_key_and_what_cannot_be_honoured_is_refused() {
    let w = open().await;
    let agents = "/v2-beta/agents";
    let body = json!({"uri": "sim://keyed", "name": "keyed", "publicValue": "OWNKEY", "secretValue": "own-secret", "activateOnCreate": true,
        "labels": {"zone": "a"}, "uuid": "11111111-2222-3333-4444-555555555555", "kind": "registeredAgent", "agentResourcesAccountId": "1a5"});
    let made = sudo(&w, Method::POST, agents, Some(body.clone())).await;
    let made = made.expect(
        201,
        json!({"publicValue": "OWNKEY", "secretValue": "own-secret", "kind": "registeredAgent",
        "uuid": "11111111-2222-3333-4444-555555555555", "activateOnCreate": true}),
    );
    w.settle().await;
    let path = format!("{agents}/{}", text(&made, "id"));
    crate::support::has(
        &sudo_show(&w, &path).await,
        &json!({"state": "active", "secretValue": null}),
        "the secret is shown once",
    );
    let host = &w.list("hosts?kind=sim").await[0];
    assert_eq!(host["labels"]["zone"], "a");
    // It is the agent's login.
    let own = list_as(&w, "OWNKEY", "own-secret", agents).await;
    assert_eq!(own.iter().map(|a| &a["id"]).collect::<Vec<_>>(), [&made["id"]]);

    let refuse = |change: Value| {
        let mut body = json!({"uri": "sim://other"});
        crate::support::lay_over(&mut body, change);
        let w = &w;
        async move {
            let refused = sudo(w, Method::POST, agents, Some(body)).await;
            format!(
                "{} {} {}",
                refused.status,
                text(&refused.body, "code"),
                text(&refused.body, "fieldName")
            )
        }
    };
    assert_eq!(
        refuse(json!({"publicValue": "ownkey"})).await,
        "422 NotUnique publicValue"
    );
    assert_eq!(refuse(json!({"kind": "x"})).await, "422 InvalidOption kind");
    assert_eq!(
        refuse(json!({"agentResourcesAccountId": "1a999999"})).await,
        "422 InvalidReference agentResourcesAccountId"
    );
    for (field, value) in [
        ("accountId", json!("1a5")),
        ("authorizedRoleAccountIds", json!(["1a5"])),
        ("state", json!("active")),
        ("created", json!("2020-01-01T00:00:00Z")),
        ("transitioningMessage", json!("x")),
    ] {
        assert_eq!(
            refuse(json!({field: value})).await,
            format!("501 NotImplemented {field}")
        );
    }
    // What it was made with stays with it.
    for (field, value) in [
        ("secretValue", json!("x")),
        ("publicValue", json!("x")),
        ("agentResourcesAccountId", json!("1a1")),
        ("activateOnCreate", json!(true)),
        ("authorizedRoleAccountIds", json!(["1a5"])),
        ("accountId", json!("1a5")),
    ] {
        let changed = sudo(&w, Method::PUT, &path, Some(json!({field: value}))).await;
        if field == "activateOnCreate" {
            changed.ok();
        } else {
            changed.expect(501, json!({"code": "NotImplemented", "fieldName": field}));
        }
    }
    let row = sudo_show(&w, &path).await;
    sudo(&w, Method::PUT, &path, Some(row)).await.ok();
    // An agent of the API's users, who are admins here: the same, as far as they may write it.
    let body = json!({"uri": "sim://by-admin", "publicValue": "ADMINKEY"});
    let made = w
        .post(agents, body)
        .await
        .expect(201, json!({"publicValue": "ADMINKEY"}));
    w.settle().await;
    let keys = sudo(&w, Method::GET, "/v2-beta/credentials?publicValue=ADMINKEY", None)
        .await
        .ok();
    assert_eq!(
        (keys["data"].as_array().map(Vec::len), &keys["data"][0]["kind"]),
        (Some(1), &json!("agentApiKey"))
    );
    assert_eq!(
        w.show(&format!("{agents}/{}", text(&made, "id"))).await["state"],
        "active"
    );
}
