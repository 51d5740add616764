//! Balancers as v1 has them: fields of their own, and links with ports. They are `lbConfig`, whoever reads them.

use serde_json::{Value, json};

use crate::support::{World, lay_over, text};

async fn target(w: &World, stack: &str, name: &str) -> String {
    w.service(stack, name, json!({})).await
}

async fn balancer(w: &World, stack: &str, more: Value) -> Value {
    let mut body = json!({"name": "lb", "environmentId": stack,
        "launchConfig": {"imageUuid": "sim:lb", "ports": ["80:8080", "443"], "labels": {"io.rancher.loadbalancer.ssl.ports": "443"}}});
    lay_over(&mut body, more);
    let made = w
        .post("/v1/projects/1a5/loadbalancerservices", body)
        .await
        .expect(201, json!({"type": "loadBalancerService"}));
    w.settle().await;
    made
}

fn v1(id: &str) -> String {
    format!("/v1/projects/1a5/loadbalancerservices/{id}")
}

/// The rules of a balancer in one line each: port, protocol, target, port there, host and path.
async fn rules(w: &World, id: &str) -> Vec<String> {
    let row = w.show(id).await;
    let rules = row["lbConfig"]["portRules"].as_array().cloned().unwrap_or_default();
    let line = |rule: &Value| {
        format!(
            "{} {} {}:{} {}{}",
            rule["sourcePort"],
            text(rule, "protocol"),
            text(rule, "serviceId"),
            rule["targetPort"],
            rule["hostname"].as_str().unwrap_or("-"),
            rule["path"].as_str().unwrap_or_default(),
        )
    };
    rules.iter().map(line).collect()
}

#[actix_web::test]
async fn links_with_ports_are_rules() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let environment = stack.replacen("1st", "1e", 1);
    let (a, b) = (target(&w, &stack, "a").await, target(&w, &stack, "b").await);
    let made = balancer(&w, &environment, json!({})).await;
    let id = text(&made, "id").to_owned();
    assert!(rules(&w, &id).await.is_empty());
    // Without ports: each of the balancer's own, to the same port there.
    let link = json!({"serviceLink": {"serviceId": a}});
    w.act(&v1(&id), "addservicelink", link)
        .await
        .expect(200, json!({"type": "loadBalancerService"}));
    w.settle().await;
    assert_eq!(
        rules(&w, &id).await,
        [format!("80 http {a}:8080 -"), format!("443 https {a}:443 -")]
    );
    // Said once more, it is said anew.
    let ports = json!(["80:a.example/x=81", "443", "b.example:443=444"]);
    let link = json!({"serviceLink": {"serviceId": a, "ports": ports}});
    w.act(&v1(&id), "addservicelink", link).await.ok();
    w.settle().await;
    let of_a = [
        format!("80 http {a}:81 a.example/x"),
        format!("443 https {a}:443 -"),
        format!("443 https {a}:444 b.example"),
    ];
    assert_eq!(rules(&w, &id).await, of_a);
    let link = json!({"serviceLink": {"serviceId": b, "ports": ["/b=9"]}});
    w.act(&v1(&id), "addservicelink", link).await.ok();
    w.settle().await;
    let of_b = [format!("80 http {b}:9 -/b"), format!("443 https {b}:9 -/b")];
    assert_eq!(rules(&w, &id).await, [&of_a[..], &of_b[..]].concat());
    // What its rules name it is linked to, and reads as such in both versions.
    let linked = w
        .list(&format!("/v1/projects/1a5/services/{id}/consumedservices"))
        .await;
    assert_eq!(linked.len(), 2, "{linked:?}");
    w.act(&v1(&id), "removeservicelink", json!({"serviceLink": {"serviceId": a}}))
        .await
        .ok();
    w.settle().await;
    assert_eq!(rules(&w, &id).await, of_b);
    let maps = w.list(&format!("serviceconsumemaps?serviceId={id}")).await;
    assert_eq!(maps.len(), 1, "{maps:?}");
    w.act(&v1(&id), "removeservicelink", json!({"serviceLink": {"serviceId": a}}))
        .await
        .refused(422, "InvalidReference");
    let links = json!({"serviceLinks": [{"serviceId": a, "ports": ["80=1"]}, {"serviceId": b, "ports": ["443=2"]}]});
    w.act(&v1(&id), "setservicelinks", links).await.ok();
    w.settle().await;
    let both = [format!("80 http {a}:1 -"), format!("443 https {b}:2 -")];
    assert_eq!(rules(&w, &id).await, both);

    // What is no target is refused, and changes nothing.
    for (ports, code, field) in [
        (json!(["80=x"]), "InvalidFormat", "ports"),
        (json!(["a b=1"]), "InvalidFormat", "hostname"),
        (json!(["/a\"b=1"]), "InvalidFormat", "path"),
    ] {
        let link = json!({"serviceLinks": [{"serviceId": a, "ports": ports}]});
        let answer = w.act(&v1(&id), "setservicelinks", link).await.refused(422, code);
        assert_eq!(answer["fieldName"], field, "{ports}: {answer}");
    }
    let stranger = json!({"serviceLinks": [{"serviceId": "1s99999", "ports": ["80=1"]}]});
    w.act(&v1(&id), "setservicelinks", stranger)
        .await
        .refused(422, "InvalidReference");
    let many: Vec<String> = (0..101).map(|n| format!("/{n}=1")).collect();
    let many = json!({"serviceLinks": [{"serviceId": a, "ports": many}]});
    w.act(&v1(&id), "setservicelinks", many)
        .await
        .refused(422, "MaxLimitExceeded");
    assert_eq!(rules(&w, &id).await, both);

    // In v2-beta a link is only a link.
    w.act(
        &format!("loadbalancerservices/{id}"),
        "setservicelinks",
        json!({"serviceLinks": []}),
    )
    .await
    .ok();
    w.settle().await;
    assert_eq!(rules(&w, &id).await, both);
}

#[actix_web::test]
async fn a_port_that_has_rules_keeps_their_protocol() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let environment = stack.replacen("1st", "1e", 1);
    let (a, b) = (target(&w, &stack, "a").await, target(&w, &stack, "b").await);
    let made = balancer(&w, &environment, json!({})).await;
    let id = text(&made, "id").to_owned();
    let rule =
        |port: u16, protocol: &str| json!({"sourcePort": port, "protocol": protocol, "serviceId": a, "targetPort": 1});
    let config = json!({"portRules": [rule(80, "tcp"), rule(443, "tls")]});
    w.put(&id, json!({ "lbConfig": config })).await.ok();
    w.settle().await;
    let link = json!({"serviceLink": {"serviceId": b, "ports": ["80=2", "443=3"]}});
    w.act(&v1(&id), "addservicelink", link).await.ok();
    w.settle().await;
    let of_b = [format!("80 tcp {b}:2 -"), format!("443 tls {b}:3 -")];
    assert_eq!(rules(&w, &id).await[2..], of_b);
    // What is not read leads nowhere by its host name.
    let link = json!({"serviceLink": {"serviceId": b, "ports": ["80:b.example=9"]}});
    w.act(&v1(&id), "addservicelink", link)
        .await
        .refused(422, "InvalidOption");
    // All said anew, it is the same still; without any rule it begins as before.
    let links = json!({"serviceLinks": [{"serviceId": a, "ports": ["80=4"]}]});
    w.act(&v1(&id), "setservicelinks", links).await.ok();
    w.settle().await;
    assert_eq!(rules(&w, &id).await, [format!("80 tcp {a}:4 -")]);
    let link = json!({"serviceLink": {"serviceId": b, "ports": ["443=5"]}});
    w.act(&v1(&id), "addservicelink", link).await.ok();
    w.settle().await;
    assert_eq!(rules(&w, &id).await[1..], [format!("443 https {b}:5 -")]);
}

#[actix_web::test]
async fn fields_of_v1_are_what_lb_config_says() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let environment = stack.replacen("1st", "1e", 1);
    let older = json!({"haproxyConfig": {"global": "maxconn 99", "defaults": "timeout server 5m"},
        "lbCookieStickinessPolicy": {"name": "stay", "cookie": "C", "mode": "insert"}});
    let made = balancer(&w, &environment, json!({"loadBalancerConfig": older})).await;
    let id = text(&made, "id").to_owned();
    let row = w.show(&id).await;
    let config = &row["lbConfig"];
    assert_eq!(
        config["config"], "global\nmaxconn 99\ndefaults\ntimeout server 5m\n",
        "{config}"
    );
    assert_eq!(config["stickinessPolicy"]["cookie"], "C", "{config}");
    let of_v1 = w.show(&v1(&id)).await;
    assert_eq!(
        of_v1["loadBalancerConfig"]["haproxyConfig"]["global"], "maxconn 99",
        "{of_v1}"
    );
    assert_eq!(of_v1["loadBalancerConfig"]["lbCookieStickinessPolicy"]["cookie"], "C");

    // What v2-beta says is what v1 shows; lines of other sections stay when v1 says its own.
    let lines = "global\n    maxconn 5\nbackend web\n    balance leastconn\n";
    let config = json!({"portRules": [], "config": lines});
    w.put(&id, json!({ "lbConfig": config })).await.ok();
    w.settle().await;
    let of_v1 = w.show(&v1(&id)).await;
    assert_eq!(
        of_v1["loadBalancerConfig"]["haproxyConfig"]["global"], "    maxconn 5",
        "{of_v1}"
    );
    assert_eq!(of_v1["loadBalancerConfig"]["haproxyConfig"]["defaults"], Value::Null);
    assert_eq!(of_v1["loadBalancerConfig"]["lbCookieStickinessPolicy"], Value::Null);
    // A whole row that is put back says nothing new.
    w.put(&v1(&id), of_v1.clone()).await.ok();
    w.settle().await;
    assert_eq!(w.show(&id).await["lbConfig"]["config"], lines);
    let new = json!({"loadBalancerConfig": {"haproxyConfig": {"global": "maxconn 7"}}});
    w.put(&v1(&id), new).await.ok();
    w.settle().await;
    assert_eq!(
        w.show(&id).await["lbConfig"]["config"],
        "global\nmaxconn 7\nbackend web\n    balance leastconn\n"
    );
    // Certificates have to be there.
    let answer = w
        .put(&v1(&id), json!({"certificateIds": ["1c99999"]}))
        .await
        .refused(422, "InvalidReference");
    assert_eq!(answer["fieldName"], "certificateIds", "{answer}");
    let answer = w
        .put(&v1(&id), json!({"defaultCertificateId": "1c99999"}))
        .await
        .refused(422, "InvalidReference");
    assert_eq!(answer["fieldName"], "defaultCertificateId", "{answer}");
    w.put(&v1(&id), json!({"loadBalancerConfig": null})).await.ok();
    w.settle().await;
    let row = w.show(&id).await;
    assert_eq!(
        row["lbConfig"]["config"], "backend web\n    balance leastconn\n",
        "{row}"
    );
    assert_eq!(w.show(&v1(&id)).await["loadBalancerConfig"], Value::Null);
}
