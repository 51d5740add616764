//! Hyper's services: what its clients send, and what they get, over the same rows that Rancher's clients see.

use std::time::Duration;

use actix_web::http::Method;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};

use crate::hyper_support::{Client, Twist, example};
use crate::project_isolation::key;
use crate::support::{World, lay_over, text};

async fn world() -> (World, Client) {
    let w = World::new().await;
    key(&w, "1a5").await;
    (w, Client::of("1a5"))
}

fn with(more: Value) -> Value {
    let mut body = example();
    lay_over(&mut body, more);
    body
}

/// The row of a service, by its name.
async fn native(w: &World, name: &str) -> Value {
    let rows = w.list(&format!("services?name={name}")).await;
    let [row] = rows.as_slice() else {
        panic!("not one service {name}: {rows:#?}")
    };
    row.clone()
}

#[actix_web::test]
async fn a_service_is_made_as_the_page_shows_it() {
    let (w, client) = world().await;
    let said = client.post(&w, "/services/create", example()).await;
    assert_eq!(said.content_type, "application/json");
    let made = said.json(201);
    let expected = json!({
        "Name": "http", "Image": "sim:nginx", "WorkingDir": "", "ServiceSize": "s4", "ContainerSize": "s4", "SSLCert": "",
        "NetMode": "", "StopSignal": "", "ServicePort": 80, "ContainerPort": 80, "Replicas": 2, "HealthCheckInterval": 5,
        "HealthCheckFall": 3, "HealthCheckRise": 2, "Algorithm": "roundrobin", "Protocol": "http", "Stdin": false, "Tty": false,
        "SessionAffinity": false, "Entrypoint": null, "Cmd": null, "Env": null, "Volumes": null, "Labels": {"app": "nginx"},
        "SecurityGroups": null, "IP": "", "Tenant": made["Tenant"], "FIP": "", "Message": "Service is created",
        "Created": made["Created"], "Status": "created", "Containers": null,
    });
    assert_eq!(made, expected);
    let keys = |value: &Value| value.as_object().map(|map| map.keys().cloned().collect::<Vec<_>>());
    assert_eq!(keys(&made), keys(&expected), "in the order of the page");
    let tenant = text(&made, "Tenant");
    assert!(
        tenant.len() == 32 && tenant.bytes().all(|b| b.is_ascii_hexdigit()),
        "{tenant}"
    );
    assert!(
        text(&made, "Created").ends_with("000000Z") && text(&made, "Created").len() == 30,
        "nanoseconds"
    );
    let settled = client.until(&w, "http", "Scaling complete").await;
    let ids = settled["Containers"].as_array().cloned().unwrap_or_default();
    assert!(
        ids.len() == 2 && ids.iter().all(|id| id.as_str().is_some_and(|id| id.len() > 12)),
        "{ids:?}"
    );
    let mut expected = expected;
    lay_over(
        &mut expected,
        json!({
            "Entrypoint": [], "Cmd": [], "Env": [], "Volumes": {}, "SecurityGroups": {}, "Status": "active", "Message": "Scaling complete",
            "IP": settled["IP"], "Containers": ids, "Created": text(&made, "Created").replace("000000Z", "Z"),
        }),
    );
    assert_eq!(settled, expected);
    assert!(text(&settled, "IP").starts_with("10.42."), "{}", settled["IP"]);
    assert_eq!(client.get(&w, "/services").await.json(200), json!([settled]));
}

#[actix_web::test]
async fn behind_it_stand_a_service_and_a_balancer_of_ranchers() {
    let (w, client) = world().await;
    let more = json!({
        "ContainerPort": 8080, "Env": ["A=1", "B"], "Volumes": ["data:/data", "conf:/conf:ro"], "Cmd": ["sleep", "9"],
        "Entrypoint": ["/init"], "WorkingDir": "/srv", "StopSignal": "SIGQUIT", "TTY": true, "stdin": true, "NetMode": "bridge",
        "ContainerSize": "m2", "ServiceSize": "s2", "Algorithm": "leastconn", "SessionAffinity": true, "HealthCheckInterval": 3,
        "Labels": ["app=nginx", "tier"],
    });
    let made = client.made(&w, with(more)).await;
    let shown = json!({
        "Env": ["A=1", "B"], "Volumes": {"data:/data": {}, "conf:/conf:ro": {}}, "Cmd": ["sleep", "9"], "Entrypoint": ["/init"],
        "WorkingDir": "/srv", "StopSignal": "SIGQUIT", "Tty": true, "Stdin": true, "NetMode": "bridge", "ContainerSize": "m2",
        "ServiceSize": "s2", "Algorithm": "leastconn", "SessionAffinity": true, "HealthCheckInterval": 3,
        "Labels": {"app": "nginx", "tier": ""}, "ContainerPort": 8080, "ServicePort": 80,
    });
    crate::support::has(&made, &shown, "as written");
    let service = native(&w, "http").await;
    let expected = json!({
        "kind": "service", "scale": 2, "state": "active",
        "launchConfig": {
            "imageUuid": "sim:nginx", "environment": {"A": "1"}, "dataVolumes": ["data:/data", "conf:/conf:ro"],
            "command": ["sleep", "9"], "entryPoint": ["/init"], "workingDir": "/srv", "stopSignal": "SIGQUIT", "tty": true,
            "stdinOpen": true, "memory": 2_147_483_648_i64, "cpuPeriod": 100_000, "cpuQuota": 200_000,
            "labels": {"app": "nginx", "tier": ""},
            "healthCheck": {"port": 8080, "interval": 3000, "unhealthyThreshold": 3, "healthyThreshold": 2, "strategy": "none"},
        },
    });
    crate::support::has(&service, &expected, "the service");
    assert!(
        service.get("hyperSpec").is_none() && service.get("partOf").is_none(),
        "what is kept is shown to nobody"
    );
    let balancer = native(&w, "http-lb").await;
    let expected = json!({
        "type": "loadBalancerService", "scale": 1, "stackId": service["stackId"], "launchConfig": {"memory": 134_217_728},
        "lbConfig": {
            "portRules": [{"sourcePort": 80, "targetPort": 8080, "protocol": "http", "serviceId": service["id"]}],
            "stickinessPolicy": {"cookie": "HYPERSRV", "mode": "insert"},
        },
    });
    crate::support::has(&balancer, &expected, "the balancer");
    assert!(text(&balancer["lbConfig"], "config").contains("balance leastconn"));
    assert!(
        balancer["launchConfig"]["ports"].as_array().is_none_or(Vec::is_empty),
        "it is published nowhere"
    );
    let stack = w.show(text(&service, "stackId")).await;
    assert_eq!(stack["name"], "hyper");
    // What Rancher's clients change shows.
    w.put(text(&service, "id"), json!({"scale": 3})).await.ok();
    let after = client.until(&w, "http", "Scaling complete").await;
    assert_eq!(
        (&after["Replicas"], after["Containers"].as_array().map(Vec::len)),
        (&json!(3), Some(3))
    );
    // Docker's clients see the service and not the balancer.
    let docker = w.get("/docker/v1.41/services").await.ok();
    let names: Vec<&str> = docker
        .as_array()
        .into_iter()
        .flatten()
        .map(|s| text(&s["Spec"], "Name"))
        .collect();
    assert_eq!(names, ["hyper_http"]);
}

#[actix_web::test]
async fn what_cannot_be_made_is_refused_in_text_and_changes_nothing() {
    let (w, client) = world().await;
    client.made(&w, example()).await;
    let before = w.stored();
    let create = |body: Value| client.post(&w, "/services/create", body);
    create(example())
        .await
        .refused(409, "name conflicts with an existing object");
    create(with(json!({"Name": "HTTP"}))).await.refused(409, "conflicts");
    create(with(json!({"Name": "http-lb"}))).await.refused(409, "conflicts");
    for (more, field) in [
        (json!({"Name": "a b"}), "Name: "),
        (json!({"Name": "x", "Image": null}), "Image: "),
        (json!({"Name": "x", "Image": "sim:a b"}), "Image"),
        (json!({"Name": "x", "ServicePort": null}), "ServicePort: "),
        (json!({"Name": "x", "ServicePort": 42}), "sourcePort"),
        (json!({"Name": "x", "Replicas": 0}), "Replicas: at least 1"),
        (json!({"Name": "x", "Replicas": 100_000_000}), "scale"),
        (json!({"Name": "x", "Protocol": "udp"}), "Protocol: "),
        (json!({"Name": "x", "Algorithm": "random"}), "Algorithm: "),
        (json!({"Name": "x", "ContainerSize": "s5"}), "ContainerSize: s1, s2"),
        (json!({"Name": "x", "NetMode": "host"}), "NetMode: "),
        (json!({"Name": "x", "SSLCert": "x"}), "SSLCert: only httpsTerm"),
        (
            json!({"Name": "x", "Protocol": "httpsTerm"}),
            "SSLCert: httpsTerm needs",
        ),
        (
            json!({"Name": "x", "Protocol": "httpsTerm", "SSLCert": "hello"}),
            "SSLCert: it is not PEM",
        ),
        (json!({"Name": "x", "Labels": 1}), "Labels: "),
        (
            json!({"Name": "x", "Labels": {"io.drover.upgrade.monitor": "soon"}}),
            "io.drover.upgrade.monitor",
        ),
    ] {
        create(with(more.clone())).await.refused(400, field);
    }
    create(with(json!({"Name": "x", "SecurityGroups": {"web": {}}})))
        .await
        .refused(501, "SecurityGroups");
    for body in ["[", "[]", "\"x\"", ""] {
        let said = client
            .send(&w, Method::POST, "/services/create", body, Twist::default())
            .await;
        said.refused(400, "");
    }
    assert_eq!(w.stored(), before);
    for (method, path, status) in [
        (Method::GET, "/services/nobody", 404),
        (Method::DELETE, "/services/nobody", 404),
        (Method::PUT, "/services/http", 404),
        (Method::GET, "/nothing", 404),
        (Method::PATCH, "/services", 404),
        (Method::GET, "/", 404),
        (Method::GET, "/sg", 501),
        (Method::GET, "/volumes", 501),
        (Method::POST, "/containers/create", 501),
        (Method::GET, "/events/ws", 501),
    ] {
        let said = client.send(&w, method.clone(), path, "", Twist::default()).await;
        said.refused(status, "");
    }
    client
        .get(&w, "/services/nobody")
        .await
        .refused(404, "No such service: nobody");
    let long = json!({"Name": "x", "Image": "a".repeat(2_000_000)});
    create(long).await.refused(413, "");
}

#[actix_web::test]
async fn lists_are_filtered_in_both_shapes() {
    let (w, client) = world().await;
    for (name, label) in [("one", "a"), ("two", "b")] {
        client
            .made(&w, with(json!({"Name": name, "Labels": {"app": label}, "Replicas": 1})))
            .await;
    }
    for (filters, expected) in [
        (json!({"name": {"one": true}}), vec!["one"]),
        (json!({"name": ["one", "two"]}), vec!["one", "two"]),
        (json!({"label": ["app=b"]}), vec!["two"]),
        (json!({"label": {"app": true}}), vec!["one", "two"]),
        (json!({"status": ["active"], "name": ["two"]}), vec!["two"]),
        (json!({"image": ["other"]}), vec![]),
        (json!({}), vec!["one", "two"]),
    ] {
        let encoded: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("filters", &filters.to_string())
            .finish();
        let list = client
            .get(&w, &format!("/services?{}", encoded.replace('+', "%20")))
            .await
            .json(200);
        let names: Vec<&str> = list.as_array().into_iter().flatten().map(|s| text(s, "Name")).collect();
        assert_eq!(names, expected, "{filters}");
    }
    client
        .get(&w, "/services?filters=%7B%22colour%22%3A%5B%5D%7D")
        .await
        .refused(400, "filters: ");
}

#[actix_web::test]
async fn replicas_come_and_go_and_those_that_stay_are_the_same() {
    let (w, client) = world().await;
    let before = client.made(&w, example()).await["Containers"].clone();
    let update = |body: Value| client.post(&w, "/services/http/update", body);
    let said = update(json!({"Replicas": 4, "Image": null, "FIP": null}))
        .await
        .json(200);
    assert_eq!(
        (&said["Replicas"], &said["Message"], &said["Status"]),
        (&json!(4), &json!("Scaling"), &json!("updating"))
    );
    let four = client.until(&w, "http", "Scaling complete").await["Containers"].clone();
    let of = |ids: &Value| ids.as_array().cloned().unwrap_or_default();
    assert!(of(&four).len() == 4 && of(&before).iter().all(|id| of(&four).contains(id)));
    update(json!({"Replicas": 1})).await.json(200);
    let one = client.until(&w, "http", "Scaling complete").await["Containers"].clone();
    for _ in 0..10 {
        w.advance(Duration::from_millis(500)).await;
    }
    assert_eq!(of(&client.service(&w, "http").await["Containers"]).len(), 1, "{one}");
    update(json!({"Replicas": 0}))
        .await
        .refused(400, "Replicas: at least 1");
    update(json!({"Replicas": 2, "FIP": ""})).await.refused(400, "FIP: ");
    update(json!({"Image": ""})).await.refused(400, "Image: ");
    let same = update(json!({"Replicas": null, "Image": null, "FIP": null}))
        .await
        .json(200);
    assert_eq!(same["Replicas"], 1);
    client
        .post(&w, "/services/none/update", json!({"Replicas": 2}))
        .await
        .refused(404, "No such service: none");
}

#[actix_web::test]
async fn a_balancer_before_a_service_is_nothing_of_its_own_to_dockers_clients() {
    let (w, client) = world().await;
    let made = client.made(&w, example()).await;
    let docker = async |method: Method, path: &str| w.send(method, &format!("/docker/v1.41{path}"), None).await;
    let shown = docker(Method::GET, "/containers/json?all=1").await.ok();
    let mut ids: Vec<&str> = shown
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| text(row, "Id"))
        .collect();
    let mut own: Vec<&str> = made["Containers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    ids.sort_unstable();
    own.sort_unstable();
    assert_eq!(ids, own, "{shown:#}");
    let services = docker(Method::GET, "/services").await.ok();
    assert_eq!(services.as_array().map(Vec::len), Some(1));
    let stack = native(&w, "http").await["stackId"].clone();
    let name = text(&services[0]["Spec"], "Name").to_owned();
    docker(Method::DELETE, &format!("/services/{name}")).await;
    w.advance(Duration::from_secs(20)).await;
    assert_eq!(w.list("services").await, Vec::<Value>::new(), "it went along: {stack}");
}

#[actix_web::test]
async fn a_rolling_update_that_fails_says_so() {
    let (w, client) = world().await;
    client.made(&w, example()).await;
    client
        .post(&w, "/services/http/update", json!({"Image": "sim:fail"}))
        .await
        .json(200);
    let mut said = String::new();
    for _ in 0..60 {
        w.advance(Duration::from_millis(500)).await;
        said = text(&client.service(&w, "http").await, "Message").to_owned();
        if said.contains("Failing") {
            break;
        }
    }
    assert!(
        said.starts_with("Rolling update in progress: ") && said.ends_with("Failing [compute.instance.activate]"),
        "{said}"
    );
}

#[actix_web::test]
async fn an_image_is_rolled_out_one_by_one_and_finishes_by_itself() {
    let (w, client) = world().await;
    let before = client.made(&w, with(json!({"Replicas": 3}))).await["Containers"].clone();
    let said = client
        .post(
            &w,
            "/services/http/update",
            json!({"Replicas": null, "Image": "sim:two", "FIP": null}),
        )
        .await;
    let said = said.json(200);
    assert_eq!(
        (&said["Image"], &said["Message"]),
        (&json!("sim:two"), &json!("Rolling update in progress"))
    );
    let is_old = |id: &&Value| before.as_array().is_some_and(|before| before.contains(id));
    let mut old = vec![3];
    for _ in 0..240 {
        let service = client.service(&w, "http").await;
        let left = service["Containers"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(is_old)
            .count();
        if old.last() != Some(&left) {
            old.push(left);
        }
        if service["Message"] == "Rolling update complete" {
            break;
        }
        w.advance(Duration::from_millis(100)).await;
    }
    assert_eq!(old, [3, 2, 1, 0], "one after the other");
    let after = client.service(&w, "http").await;
    assert_eq!(
        (&after["Message"], &after["Image"]),
        (&json!("Rolling update complete"), &json!("sim:two"))
    );
    let of = |ids: &Value| ids.as_array().cloned().unwrap_or_default();
    assert!(of(&after["Containers"]).len() == 3 && !of(&before).iter().any(|id| of(&after["Containers"]).contains(id)));
    assert_eq!(native(&w, "http").await["state"], "active", "nobody has to finish it");
    let scaled = client
        .post(&w, "/services/http/update", json!({"Replicas": 2}))
        .await
        .json(200);
    assert_eq!(scaled["Image"], "sim:two");
    client.until(&w, "http", "Scaling complete").await;
}

#[actix_web::test]
async fn a_service_goes_with_all_that_was_made_for_it_unless_it_is_kept() {
    let (w, client) = world().await;
    client.made(&w, example()).await;
    client.made(&w, with(json!({"Name": "other"}))).await;
    // The command line always says this, whatever it was told.
    client.delete(&w, "/services/http?keey=yes").await.empty(204);
    client
        .get(&w, "/services/http")
        .await
        .refused(404, "No such service: http");
    for _ in 0..10 {
        w.advance(Duration::from_millis(500)).await;
    }
    let names = |rows: Vec<Value>| rows.iter().map(|row| text(row, "name").to_owned()).collect::<Vec<_>>();
    assert_eq!(
        names(w.list("services?removed_null=true&sort=name").await),
        ["other", "other-lb"]
    );
    let running: Vec<Value> = w.list("containers?state=running").await;
    assert_eq!(running.len(), 3, "two containers and a balancer: {:?}", names(running));
    client.made(&w, example()).await;
    client.delete(&w, "/services/other?keep=true").await.empty(204);
    client
        .get(&w, "/services/other")
        .await
        .refused(404, "No such service: other");
    for _ in 0..10 {
        w.advance(Duration::from_millis(500)).await;
    }
    let left = names(w.list("services?removed_null=true&sort=name").await);
    assert!(left.len() == 3 && left[2].starts_with("other-kept-"), "{left:?}");
    let kept = names(w.list("containers?state=running&sort=name").await);
    assert_eq!(
        kept.iter()
            .filter(|name| name.starts_with("hyper-other-") && !name.contains("-lb-"))
            .count(),
        2,
        "{kept:?}"
    );
    client.made(&w, with(json!({"Name": "other"}))).await;
}

#[actix_web::test]
async fn whoever_removes_a_service_its_balancer_goes_too() {
    let (w, client) = world().await;
    client.made(&w, example()).await;
    let id = text(&native(&w, "http").await, "id").to_owned();
    w.delete(&id).await.ok();
    for _ in 0..10 {
        w.advance(Duration::from_millis(500)).await;
    }
    assert_eq!(w.list("services?removed_null=true").await, Vec::<Value>::new());
    assert_eq!(w.list("containers?state=running").await, Vec::<Value>::new());
}

/// An authority's certificate, one that it signed, and that one's key.
fn certificate() -> (String, String, String) {
    let (root_key, own_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut root = CertificateParams::new(vec![]).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.distinguished_name.push(rcgen::DnType::CommonName, "authority");
    let root_cert = root.self_signed(&root_key).unwrap();
    let own = CertificateParams::new(vec!["web.example".to_owned()]).unwrap();
    let own = own.signed_by(&own_key, &Issuer::new(root, root_key)).unwrap();
    (root_cert.pem(), own.pem(), own_key.serialize_pem())
}

#[actix_web::test]
async fn where_tls_ends_at_the_balancer_a_certificate_stands_behind_it() {
    let (w, client) = world().await;
    let (root, own, own_key) = certificate();
    let pem = format!("{own}{root}{own_key}");
    let body = |cert: &str| {
        with(json!({"Name": "safe", "Protocol": "httpsTerm", "ServicePort": 443, "ContainerPort": 80, "SSLCert": cert}))
    };
    let create = |cert: String| client.post(&w, "/services/create", body(&cert));
    let other_key = KeyPair::generate().unwrap().serialize_pem();
    create(format!("{own}{other_key}")).await.refused(400, "SSLCert: ");
    create(format!("{root}{own}{own_key}")).await.refused(400, "SSLCert: ");
    assert_eq!(w.list("services").await.len(), 0, "nothing is made of what is refused");
    let made = create(pem.clone()).await.json(201);
    assert_eq!(made["SSLCert"], json!(pem), "as it was sent");
    let settled = client.until(&w, "safe", "Scaling complete").await;
    assert_eq!(
        (&settled["SSLCert"], &settled["Protocol"]),
        (&json!(""), &json!("httpsTerm")),
        "the key is not told again"
    );
    let certificates = w.list("certificates").await;
    assert_eq!(certificates.len(), 1);
    let balancer = native(&w, "safe-lb").await;
    assert_eq!(balancer["lbConfig"]["defaultCertificateId"], certificates[0]["id"]);
    assert_eq!(balancer["lbConfig"]["portRules"][0]["protocol"], "https");
    let secret: String = own_key.lines().nth(1).unwrap_or_default().to_owned();
    assert!(
        !w.stored().iter().any(|line| line.contains(&secret)),
        "the key is sealed"
    );
    let log = w.list("/v2-beta/auditlogs?limit=1000").await;
    assert!(!json!(log).to_string().contains(&secret), "and in no log");
    client.delete(&w, "/services/safe").await.empty(204);
    for _ in 0..10 {
        w.advance(Duration::from_millis(500)).await;
    }
    assert_eq!(w.list("certificates?removed_null=true").await, Vec::<Value>::new());
}

#[actix_web::test]
async fn containers_images_and_the_server_can_be_looked_at() {
    let (w, client) = world().await;
    let service = client.made(&w, example()).await;
    let id = text(&json!({"id": service["Containers"][0]}), "id").to_owned();
    let list = client.get(&w, "/containers/json").await.json(200);
    assert_eq!(list.as_array().map(Vec::len), Some(3), "two, and the balancer's");
    for wanted in [&id, &id[..12].to_owned(), &"hyper-http-1".to_owned()] {
        let one = client.get(&w, &format!("/containers/{wanted}/json")).await.json(200);
        assert_eq!(
            (&one["Id"], &one["State"]["Running"]),
            (&json!(id), &json!(true)),
            "{wanted}"
        );
        assert_eq!(
            (&one["Name"], &one["Config"]["Image"]),
            (&json!("/hyper-http-1"), &json!("sim:nginx"))
        );
    }
    client
        .get(&w, "/containers/nobody/json")
        .await
        .refused(404, "No such container: nobody");
    let image = client.get(&w, "/images/sim:nginx/json").await.json(200);
    assert_eq!(image["RepoTags"], json!(["sim:nginx"]));
    assert_eq!(image["Os"], "linux");
    client
        .get(&w, "/images/host:5000/a/b/json")
        .await
        .refused(404, "No such image: host:5000/a/b");
    let info = client.get(&w, "/info").await.json(200);
    assert_eq!(
        (&info["Containers"], &info["ContainersRunning"], &info["Services"]),
        (&json!(3), &json!(3), &json!(1))
    );
    assert_eq!(client.get(&w, "/version").await.json(200)["ApiVersion"], "1.23");
}

#[actix_web::test]
async fn an_image_is_fetched_while_the_client_is_told() {
    let (w, client) = world().await;
    client
        .get(&w, "/images/sim:new/json")
        .await
        .refused(404, "No such image: sim:new");
    let fetching = client.post(&w, "/images/create?fromImage=sim&tag=new", Value::Null);
    // A subscriber hears of a row once a second: what is done in one go, and what is not, are both told in time.
    let working = async {
        loop {
            w.engine.tell();
            w.advance(Duration::from_secs(1)).await;
            tokio::task::yield_now().await;
        }
    };
    let said = tokio::select! {
        said = fetching => said,
        () = working => unreachable!("it works for ever"),
    };
    assert_eq!(said.status, 200, "{}", said.text);
    let lines: Vec<&str> = said.text.lines().collect();
    assert!(
        lines.len() == 2 && lines[0].contains("Pulling sim:new") && lines[1].contains("up to date"),
        "{}",
        said.text
    );
    assert!(client.get(&w, "/images/sim:new/json").await.json(200)["Id"].is_string());
    client
        .post(&w, "/images/create", Value::Null)
        .await
        .refused(400, "fromImage");
}
