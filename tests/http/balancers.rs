//! Balancers: what they may be, what they are told, and what becomes of containers that they send requests to. The engine is
//! simulated; what HAProxy does with a table is not asked here.

use std::time::Duration;

use drover::engine::BalancerKeeper;
use drover::model::balancer_table::{Protocol, Table};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use crate::support::{World, lay_over, text};

/// A world whose balancers can be told what to do, and what keeps them.
async fn world() -> (World, BalancerKeeper) {
    let world = World::new().await;
    world.sim().allow_balancers();
    let keeper = world.engine.balancers();
    (world, keeper)
}

/// Lets everything happen that is due, balancers included.
async fn rest(world: &World, keeper: &mut BalancerKeeper) {
    for _ in 0..6 {
        world.settle().await;
        keeper.turn().await.expect("nothing is in the way");
        world.advance(Duration::from_millis(200)).await;
    }
    keeper.turn().await.expect("nothing is in the way");
}

async fn service(world: &World, name: &str, stack: &str, more: Value) -> Value {
    let mut body =
        json!({"name": name, "stackId": stack, "startOnCreate": true, "launchConfig": {"imageUuid": "sim:web"}});
    lay_over(&mut body, more);
    let made = world.post("services", body).await.ok();
    world.settle().await;
    made
}

fn body(name: &str, stack: &str, config: Value) -> Value {
    json!({"name": name, "stackId": stack, "startOnCreate": true, "lbConfig": config,
        "launchConfig": {"imageUuid": "sim:lb", "ports": ["8090"]}})
}

async fn balancer(world: &World, stack: &str, config: Value) -> Value {
    let made = world.post("loadbalancerservices", body("lb", stack, config)).await.ok();
    world.settle().await;
    made
}

async fn table(world: &World) -> Table {
    let uuid = world.uuid("s-lb-1").await;
    world.sim().balancer_table(&uuid).expect("it was told")
}

/// The addresses that a table has, by the names of the containers, and whether each is on its way out.
async fn servers(world: &World) -> Vec<(String, bool)> {
    let table = table(world).await;
    let mut all = Vec::new();
    for rule in table.listeners.iter().flat_map(|listener| &listener.rules) {
        for (uuid, target) in &rule.targets {
            let name = world.sim().containers().into_iter().find(|c| c.uuid == *uuid);
            all.push((name.map_or(uuid.clone(), |c| c.name), target.is_draining));
        }
    }
    all.sort();
    all
}

fn rule(service: &Value, more: Value) -> Value {
    let mut rule = json!({"sourcePort": 80, "targetPort": 8080, "serviceId": service["id"]});
    lay_over(&mut rule, more);
    rule
}

#[actix_web::test]
async fn what_a_balancer_is_to_do_is_checked() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let a = service(&w, "a", &stack, json!({})).await;
    let id = text(&a, "id").to_owned();
    let other = w.post("/v2-beta/projects", json!({"name": "other"})).await.ok();
    w.settle().await;
    let at = |what: &str| format!("/v2-beta/projects/{}/{what}", text(&other, "id"));
    let foreign_stack = w.post(&at("stacks"), json!({"name": "s"})).await.ok();
    let foreign = json!({"name": "b", "stackId": foreign_stack["id"], "launchConfig": {"imageUuid": "sim:a"}});
    let foreign = w.post(&at("services"), foreign).await.ok();
    let ok = |more: Value| json!({"portRules": [rule(&a, more)]});
    for (config, status, code, field) in [
        (
            json!({"portRules": [{"targetPort": 80, "serviceId": id}]}),
            422,
            "MissingRequired",
            "sourcePort",
        ),
        (
            json!({"portRules": [{"sourcePort": 80, "targetPort": 80}]}),
            422,
            "MissingRequired",
            "serviceId",
        ),
        (
            json!({"portRules": [{"sourcePort": 80, "serviceId": id}]}),
            422,
            "MissingRequired",
            "targetPort",
        ),
        (ok(json!({"selector": "a=b"})), 422, "InvalidOption", "selector"),
        (ok(json!({"sourcePort": 42})), 422, "InvalidOption", "sourcePort"),
        (ok(json!({"protocol": "udp"})), 422, "InvalidOption", "protocol"),
        (ok(json!({"region": "r"})), 422, "MissingRequired", "environment"),
        (ok(json!({"environment": "e"})), 501, "NotImplemented", "environment"),
        (ok(json!({"hostname": "a b"})), 422, "InvalidFormat", "hostname"),
        (ok(json!({"hostname": "a\n  daemon"})), 422, "InvalidFormat", "hostname"),
        (ok(json!({"path": "/a }"})), 422, "InvalidFormat", "path"),
        (ok(json!({"path": "a"})), 422, "InvalidFormat", "path"),
        (
            ok(json!({"backendName": "a\nlisten b"})),
            422,
            "InvalidFormat",
            "backendName",
        ),
        (
            ok(json!({"protocol": "tcp", "hostname": "a.b"})),
            422,
            "InvalidOption",
            "hostname",
        ),
        (
            ok(json!({"protocol": "tls", "path": "/a"})),
            422,
            "InvalidOption",
            "path",
        ),
        (
            json!({"portRules": [rule(&a, json!({})), rule(&a, json!({"protocol": "tcp"}))]}),
            422,
            "InvalidOption",
            "protocol",
        ),
        (
            json!({"portRules": [rule(&foreign, json!({}))]}),
            422,
            "InvalidReference",
            "serviceId",
        ),
        (
            json!({"portRules": [], "certificateIds": ["1c999999"]}),
            422,
            "InvalidReference",
            "certificateIds",
        ),
        (
            json!({"portRules": [], "defaultCertificateId": "1c999999"}),
            422,
            "InvalidReference",
            "defaultCertificateId",
        ),
        (
            json!({"portRules": [], "stickinessPolicy": {"name": "a", "cookie": "b; c"}}),
            422,
            "InvalidFormat",
            "cookie",
        ),
        (
            json!({"portRules": [], "stickinessPolicy": {"cookie": "b", "domain": "a b"}}),
            422,
            "InvalidFormat",
            "domain",
        ),
    ] {
        let answer = w.post("loadbalancerservices", body("lb", &stack, config.clone())).await;
        answer.expect(status, json!({"code": code, "fieldName": field}));
    }
    let lb = balancer(&w, &stack, ok(json!({}))).await;
    let bad = json!({"lbConfig": ok(json!({"hostname": "a b"}))});
    w.put(text(&lb, "id"), bad)
        .await
        .expect(422, json!({"fieldName": "hostname"}));
    let bad = json!({"lbConfig": {"portRules": [rule(&foreign, json!({}))]}});
    w.put(text(&lb, "id"), bad)
        .await
        .expect(422, json!({"code": "InvalidReference"}));
    // What it runs is not a client's to say, but on a simulated host, where nothing runs.
    for field in ["command", "entryPoint", "user", "readOnly"] {
        let value = match field {
            "user" => json!("root"),
            "readOnly" => json!(true),
            _ => json!(["sh"]),
        };
        let mut wanted = body("real", &stack, ok(json!({})));
        wanted["launchConfig"] = json!({"imageUuid": "docker:haproxy:3.0", field: value});
        let answer = w.post("loadbalancerservices", wanted).await;
        answer.expect(422, json!({"code": "InvalidOption", "fieldName": field}));
    }
    // What a service says of itself to balancers is words of a configuration, too.
    let mut says = json!({"name": "says", "stackId": stack, "launchConfig": {"imageUuid": "sim:a"},
        "lbConfig": {"portRules": [{"targetPort": 80, "hostname": "a\nb"}]}});
    w.post("services", says.clone())
        .await
        .expect(422, json!({"fieldName": "hostname"}));
    says["lbConfig"]["portRules"][0]["hostname"] = json!("a.example");
    says["launchConfig"]["imageUuid"] = json!("docker:web:1");
    w.post("services", says)
        .await
        .expect(201, json!({"lbConfig": {"portRules": [{"hostname": "a.example"}]}}));
}

#[actix_web::test]
async fn a_balancer_is_completed_and_linked_to_whom_its_rules_name() {
    let (w, _) = world().await;
    let stack = w.stack("s").await;
    let (a, b) = (
        service(&w, "a", &stack, json!({})).await,
        service(&w, "b", &stack, json!({})).await,
    );
    let lb = balancer(&w, &stack, json!({"portRules": [rule(&a, json!({}))]})).await;
    let id = text(&lb, "id").to_owned();
    let check =
        json!({"port": 42, "interval": 2000, "healthyThreshold": 2, "unhealthyThreshold": 3, "responseTimeout": 2000});
    w.get(&id).await.expect(
        200,
        json!({"launchConfig": {"healthCheck": check, "ports": ["8090:8090/tcp"]}, "linkedServices": {"a": a["id"]}}),
    );
    w.post(
        &format!("{id}?action=addservicelink"),
        json!({"serviceLink": {"serviceId": a["id"]}}),
    )
    .await
    .expect(200, json!({"linkedServices": {"a": a["id"]}}));
    w.put(&id, json!({"lbConfig": {"portRules": [rule(&b, json!({}))]}}))
        .await
        .ok();
    w.settle().await;
    w.get(&id)
        .await
        .expect(200, json!({"linkedServices": {"b": b["id"], "a": null}}));
    // Whoever goes takes the rules with it that lead there.
    w.delete(text(&b, "id")).await.ok();
    w.advance(Duration::from_secs(20)).await;
    w.get(&id)
        .await
        .expect(200, json!({"lbConfig": {"portRules": []}, "linkedServices": null}));
}

#[actix_web::test]
async fn rancher_names_its_own_image_and_gets_the_servers() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    w.send(
        actix_web::http::Method::PUT,
        "/v2-beta/settings/lb.instance.image",
        Some(json!({"value": "sim-haproxy:9"})),
    )
    .await
    .ok();
    let mut wanted = body("lb", &stack, json!({"portRules": []}));
    wanted["launchConfig"] = json!({"imageUuid": "docker:rancher/lb-service-haproxy:v0.9.14"});
    let lb = w.post("loadbalancerservices", wanted).await.ok();
    w.settle().await;
    w.get(text(&lb, "id")).await.expect(
        200,
        json!({"launchConfig": {"imageUuid": "docker:rancher/lb-service-haproxy:v0.9.14"}}),
    );
    let containers = w.containers(text(&lb, "id")).await;
    assert!(
        containers.iter().all(|c| c["imageUuid"] == "docker:sim-haproxy:9"),
        "{containers:#?}"
    );
    // Who names none gets it as well.
    let mut wanted = body("none", &stack, json!({"portRules": []}));
    wanted["launchConfig"] = json!({});
    let made = w.post("loadbalancerservices", wanted).await.ok();
    assert_eq!(made["launchConfig"]["imageUuid"], "docker:sim-haproxy:9");
}

#[actix_web::test]
async fn a_balancer_is_told_who_is_well_and_follows() {
    let (w, mut keeper) = world().await;
    let stack = w.stack("s").await;
    let checked = json!({"scale": 2, "launchConfig": {"healthCheck": {"port": 8080, "interval": 100, "healthyThreshold": 1,
        "unhealthyThreshold": 1, "responseTimeout": 100, "strategy": "none"}}});
    let a = service(&w, "a", &stack, checked).await;
    let rules = json!([
        rule(
            &a,
            json!({"hostname": "a.example", "path": "/x", "priority": 3, "weight": 7, "backendName": "mine"})
        ),
        rule(&a, json!({"sourcePort": 81, "protocol": "tcp"}))
    ]);
    let config = json!({"portRules": rules, "config": "global\n maxconn 5", "stickinessPolicy": {"cookie": "C", "mode": "prefix"}});
    let mut wanted = body("lb", &stack, config);
    wanted["launchConfig"]["labels"] = json!({"io.rancher.loadbalancer.proxy-protocol.ports": "81, 82"});
    let lb = w.post("loadbalancerservices", wanted).await.ok();
    rest(&w, &mut keeper).await;
    let told = table(&w).await;
    let ports: Vec<(u16, Protocol, bool)> = told
        .listeners
        .iter()
        .map(|l| (l.port, l.protocol, l.accepts_proxy))
        .collect();
    assert_eq!(ports, [(80, Protocol::Http, false), (81, Protocol::Tcp, true)]);
    let first = &told.listeners[0].rules[0];
    assert_eq!(
        (
            first.host.as_str(),
            first.path.as_str(),
            first.priority,
            first.weight,
            first.backend.as_str()
        ),
        ("a.example", "/x", Some(3), Some(7), "mine")
    );
    assert_eq!(
        (first.targets.len(), first.targets.values().next().map(|t| t.port)),
        (2, Some(8080))
    );
    assert_eq!(
        (told.config.as_str(), told.stickiness.map(|s| s.cookie)),
        ("global\n maxconn 5", Some("C".to_owned()))
    );

    // Who is ill gets nobody.
    let ill = w.uuid("s-a-1").await;
    w.sim().set_health(&ill, drover::runtime::sim::Health::Unhealthy);
    rest(&w, &mut keeper).await;
    assert!(
        !servers(&w).await.iter().any(|(name, _)| name == "s-a-1"),
        "{:?}",
        servers(&w).await
    );

    // Another balancer, a restart of the server, and a balancer that is gone.
    w.put(text(&lb, "id"), json!({"scale": 1})).await.ok();
    let before = table(&w).await;
    let mut w = w;
    w.restart().await;
    let mut keeper = w.engine.balancers();
    rest(&w, &mut keeper).await;
    let after = table(&w).await;
    assert!(after.number > before.number, "it is compared after a start");
    assert_eq!(after.listeners.len(), before.listeners.len());
}

#[actix_web::test]
async fn aliases_outside_services_and_selectors_lead_where_they_say() {
    let (w, mut keeper) = world().await;
    let stack = w.stack("s").await;
    let a = service(&w, "a", &stack, json!({})).await;
    let outside = json!({"name": "out", "stackId": stack, "externalIpAddresses": ["192.0.2.1"], "startOnCreate": true});
    let outside = w.post("externalservices", outside).await.ok();
    let named = json!({"name": "named", "stackId": stack, "hostname": "db.example.com", "startOnCreate": true});
    let named = w.post("externalservices", named).await.ok();
    let alias = w
        .post(
            "dnsservices",
            json!({"name": "alias", "stackId": stack, "launchConfig": {}, "startOnCreate": true}),
        )
        .await
        .ok();
    w.settle().await;
    let links = json!({"serviceLinks": [{"serviceId": a["id"]}, {"serviceId": outside["id"]}]});
    w.post(&format!("{}?action=setservicelinks", text(&alias, "id")), links)
        .await
        .ok();
    let says = json!({"launchConfig": {"labels": {"tier": "front"}},
        "lbConfig": {"portRules": [{"targetPort": 9000, "hostname": "said.example", "path": "/p"}]}});
    service(&w, "says", &stack, says).await;
    service(
        &w,
        "silent",
        &stack,
        json!({"launchConfig": {"labels": {"tier": "front"}}}),
    )
    .await;
    let rules = json!([rule(&alias, json!({"sourcePort": 80})), rule(&named, json!({"sourcePort": 81})),
        {"sourcePort": 82, "selector": "tier=front", "targetPort": 7000, "hostname": "own.example"}]);
    balancer(&w, &stack, json!({"portRules": rules})).await;
    rest(&w, &mut keeper).await;
    let told = table(&w).await;
    let of = |n: usize| &told.listeners[n].rules;
    let addresses: Vec<&str> = of(0)[0].targets.values().map(|t| t.address.as_str()).collect();
    assert_eq!(addresses.len(), 2, "{addresses:?}");
    assert!(addresses.contains(&"192.0.2.1"));
    assert_eq!(of(1)[0].targets["db.example.com"].port, 8080);
    let mut selected: Vec<(&str, &str, u16)> = of(2)
        .iter()
        .map(|rule| {
            (
                rule.host.as_str(),
                rule.path.as_str(),
                rule.targets.values().next().expect("one").port,
            )
        })
        .collect();
    selected.sort_unstable();
    assert_eq!(selected, [("own.example", "", 7000), ("said.example", "/p", 9000)]);
}

#[actix_web::test]
async fn a_container_is_left_before_it_is_stopped() {
    let (w, mut keeper) = world().await;
    let stack = w.stack("s").await;
    let a = service(&w, "a", &stack, json!({"scale": 2})).await;
    balancer(&w, &stack, json!({"portRules": [rule(&a, json!({}))]})).await;
    rest(&w, &mut keeper).await;
    assert_eq!(servers(&w).await.len(), 2);
    w.sim().take_calls();
    w.put(text(&a, "id"), json!({"scale": 1})).await.ok();
    w.settle().await;
    let stops = |w: &World| w.sim().calls().iter().any(|call| call.starts_with("stop "));
    assert!(!stops(&w), "nobody has told the balancer yet: {:?}", w.sim().calls());
    keeper.turn().await.expect("it can be told");
    let new_ones_go_to = |all: Vec<(String, bool)>| all.into_iter().filter(|(_, is_draining)| !is_draining).count();
    assert_eq!(new_ones_go_to(servers(&w).await), 1, "told, and still running");
    assert!(!stops(&w));
    w.advance(Duration::from_millis(100)).await;
    keeper.turn().await.expect("it can be told");
    assert_eq!(servers(&w).await.len(), 1, "nobody was there any more");
    w.advance(Duration::from_millis(100)).await;
    assert!(stops(&w));

    // A balancer that does not answer keeps nobody for ever.
    w.sim().deafen_balancers(true);
    w.sim().take_calls();
    w.post(&format!("{}?action=deactivate", text(&a, "id")), json!({}))
        .await
        .ok();
    w.settle().await;
    let _ = keeper.turn().await;
    w.advance(Duration::from_secs(6)).await;
    assert!(!stops(&w));
    w.advance(Duration::from_secs(7)).await;
    assert!(stops(&w));
}

#[actix_web::test]
async fn connections_may_end_for_as_long_as_was_said() {
    let (w, mut keeper) = world().await;
    let stack = w.stack("s").await;
    let a = service(&w, "a", &stack, json!({"launchConfig": {"drainTimeoutMs": 5000}})).await;
    let id = text(&a, "id").to_owned();
    balancer(&w, &stack, json!({"portRules": [rule(&a, json!({}))]})).await;
    w.sim().set_draining_connections(3);
    rest(&w, &mut keeper).await;
    let stops = |w: &World| w.sim().calls().iter().any(|call| call.starts_with("stop "));
    w.post(&format!("{id}?action=deactivate"), json!({})).await.ok();
    w.settle().await;
    keeper.turn().await.expect("it can be told");
    assert_eq!(servers(&w).await, [("s-a-1".to_owned(), true)]);
    w.advance(Duration::from_secs(3)).await;
    keeper.turn().await.expect("it can be asked");
    assert!(!stops(&w));
    // The server dies meanwhile: the time is counted from when the stop was asked for.
    let mut w = w;
    w.restart().await;
    let mut keeper = w.engine.balancers();
    keeper.turn().await.expect("it can be told");
    w.advance(Duration::from_millis(1000)).await;
    assert!(!stops(&w));
    w.advance(Duration::from_millis(1100)).await;
    keeper.turn().await.expect("it can be told");
    assert_eq!(
        servers(&w).await,
        [],
        "time is up: nobody is sent there, whoever was there before"
    );
    w.advance(Duration::from_millis(200)).await;
    assert!(stops(&w));
    w.wait(&id, "inactive").await;

    // Nobody is connected: nobody is waited for.
    w.sim().set_draining_connections(0);
    w.post(&format!("{id}?action=activate"), json!({})).await.ok();
    rest(&w, &mut keeper).await;
    assert_eq!(servers(&w).await, [("s-a-1".to_owned(), false)]);
    w.sim().take_calls();
    w.post(&format!("{id}?action=deactivate"), json!({})).await.ok();
    w.settle().await;
    for _ in 0..3 {
        keeper.turn().await.expect("it can be told");
        w.advance(Duration::from_millis(100)).await;
    }
    assert!(stops(&w));
}

#[actix_web::test]
async fn requests_that_are_on_their_way_are_answered_whatever_was_said() {
    let (w, mut keeper) = world().await;
    let stack = w.stack("s").await;
    let a = service(&w, "a", &stack, json!({})).await;
    let id = text(&a, "id").to_owned();
    balancer(&w, &stack, json!({"portRules": [rule(&a, json!({}))]})).await;
    let stops = |w: &World| w.sim().calls().iter().any(|call| call.starts_with("stop "));
    for (connections, patience) in [(1, 2000), (0, 0)] {
        w.sim().set_draining_connections(connections);
        rest(&w, &mut keeper).await;
        w.post(&format!("{id}?action=deactivate"), json!({})).await.ok();
        w.settle().await;
        keeper.turn().await.expect("it can be told");
        if connections > 0 {
            assert_eq!(servers(&w).await, [("s-a-1".to_owned(), true)], "no new ones go there");
            w.advance(Duration::from_millis(patience - 100)).await;
            keeper.turn().await.expect("it can be asked");
            assert!(!stops(&w), "one is still there");
        }
        for _ in 0..3 {
            w.advance(Duration::from_millis(100)).await;
            keeper.turn().await.expect("it can be told");
        }
        assert!(stops(&w), "{connections}");
        w.wait(&id, "inactive").await;
        w.post(&format!("{id}?action=activate"), json!({})).await.ok();
        w.sim().take_calls();
    }
}

#[actix_web::test]
async fn what_a_balancer_cannot_do_its_service_says() {
    let (w, mut keeper) = world().await;
    let stack = w.stack("s").await;
    let lb = balancer(&w, &stack, json!({"portRules": []})).await;
    let id = text(&lb, "id").to_owned();
    rest(&w, &mut keeper).await;
    w.sim().complain_of_balancers(Some("unknown keyword 'x'"));
    w.put(&id, json!({"lbConfig": {"portRules": [], "config": "x"}}))
        .await
        .ok();
    rest(&w, &mut keeper).await;
    w.get(&id).await.expect(
        200,
        json!({"state": "active", "transitioningMessage": "The balancer says: unknown keyword 'x'"}),
    );
    w.sim().complain_of_balancers(None);
    w.put(&id, json!({"lbConfig": {"portRules": []}})).await.ok();
    rest(&w, &mut keeper).await;
    w.get(&id)
        .await
        .expect(200, json!({"state": "active", "transitioningMessage": null}));
}

/// A certificate for a name, with its key.
pub fn certificate(name: &str) -> Value {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new([name.to_owned()]).expect("a name");
    let cert = params.self_signed(&key).expect("it can be signed");
    json!({"name": name.replace('.', "-"), "cert": cert.pem(), "key": key.serialize_pem()})
}

#[actix_web::test]
async fn a_certificate_is_read_sealed_told_and_kept_while_it_is_used() {
    let (w, mut keeper) = world().await;
    let stack = w.stack("s").await;
    let (one, two) = (certificate("one.example"), certificate("two.example"));
    let made = w.post("certificates", one.clone()).await.expect(
        201,
        json!({"state": "activating", "subjectAlternativeNames": ["one.example"], "algorithm": "SHA256WITHECDSA",
               "keySize": 256, "version": "3", "key": one["key"]}),
    );
    let id = text(&made, "id").to_owned();
    let at = format!("certificates/{id}");
    w.settle().await;
    w.get(&at)
        .await
        .expect(200, json!({"state": "active", "key": null, "cert": one["cert"]}));
    let key = one["key"].as_str().unwrap();
    let middle = key.lines().nth(1).unwrap();
    assert!(
        !w.stored().iter().any(|line| line.contains(middle)),
        "the key is sealed"
    );
    let mut mixed = two.clone();
    mixed["key"] = one["key"].clone();
    w.post("certificates", mixed)
        .await
        .expect(422, json!({"code": "InvalidFormat", "fieldName": "key"}));

    let a = service(&w, "a", &stack, json!({})).await;
    let config = json!({"portRules": [rule(&a, json!({"protocol": "https"}))], "certificateIds": [id], "defaultCertificateId": id});
    let lb = balancer(&w, &stack, config).await;
    rest(&w, &mut keeper).await;
    let told = table(&w).await.certificates;
    assert_eq!((told.len(), told[0].key.as_str()), (1, key));

    // Only the key, or only the certificate, does not fit; both do, and the balancer has them.
    w.put(&at, json!({"key": two["key"]}))
        .await
        .expect(422, json!({"fieldName": "key"}));
    w.put(&at, json!({"cert": two["cert"]}))
        .await
        .expect(422, json!({"fieldName": "key"}));
    w.put(&at, json!({"description": "d"}))
        .await
        .expect(200, json!({"description": "d", "key": null}));
    rest(&w, &mut keeper).await;
    w.put(&at, json!({"cert": two["cert"], "key": two["key"]}))
        .await
        .expect(200, json!({"subjectAlternativeNames": ["two.example"], "key": null}));
    rest(&w, &mut keeper).await;
    assert_eq!(table(&w).await.certificates[0].key, two["key"].as_str().unwrap());

    w.delete(&at).await.expect(405, json!({"code": "InvalidAction"}));
    w.post(&format!("{at}?action=remove"), json!({}))
        .await
        .expect(405, json!({"code": "InvalidAction"}));
    w.delete(text(&lb, "id")).await.ok();
    w.advance(Duration::from_secs(20)).await;
    w.delete(&at).await.expect(200, json!({"state": "removing"}));
    w.settle().await;
    w.get(&at).await.expect(200, json!({"state": "removed"}));
    assert!(
        !w.stored()
            .iter()
            .any(|line| line.starts_with("credential ") && line.contains(&format!(" {} ", &id[2..])))
    );
}
