//! Domains of MedStack Control's services: the balancer that leads them, and what DNS has to say first.

use std::net::IpAddr;

use actix_web::http::Method;
use serde_json::{Value, json};

use crate::medstack::{Desk, native_list, refused};
use crate::support::{World, has, text};

impl Desk {
    /// Says which addresses a domain has.
    fn resolves(&self, domain: &str, addresses: &[&str]) {
        let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        self.w.domains.lock().unwrap().insert(domain.to_owned(), addresses);
    }

    /// The address of the only host.
    async fn manager(&self) -> String {
        let nodes = self.list("/nodes").await;
        text(&nodes[0], "public_ip_address").to_owned()
    }

    async fn balancers(&self) -> Vec<Value> {
        native_list(&self.w, "loadBalancerServices").await
    }
}

#[actix_web::test]
async fn a_domain_has_to_lead_to_the_manager_before_it_is_taken() {
    // A host that is reached by an address: one of an agent.
    let w = World::with_hosts(&[]).await;
    let agent = json!({"uri": "sim://manager", "agentResourcesAccountId": "1a5"});
    w.post("/v2-beta/agents", agent).await.ok();
    w.settle().await;
    let d = Desk::over(w).await;
    let manager = d.manager().await;
    assert!(!manager.is_empty());
    d.resolves("good.example.org", &["9.9.9.9", &manager]);
    d.resolves("bad.example.org", &["9.9.9.9"]);
    let body = json!({"name": "web", "image": "sim:a", "port": 80, "hosts": ["none.example.org", "good.example.org", "bad.example.org"]});
    let said = format!(
        "hosts no ip address for none.example.org, bad.example.org does not resolve to manager ip address {manager}"
    );
    refused(d.post("/services", json!({"value": body})).await, "hosts", &said);
    assert!(d.list("/services").await.is_empty() && d.balancers().await.is_empty());
    let id = d
        .service(json!({"name": "web", "image": "sim:a", "port": 80, "hosts": ["GOOD.example.org"]}))
        .await;
    assert_eq!(d.show(&id).await["hosts"], json!(["good.example.org"]));
    let bad = json!({"hosts": ["bad.example.org"]});
    let said = format!("hosts bad.example.org does not resolve to manager ip address {manager}");
    refused(d.patch(&id, bad.clone()).await, "hosts", &said);
    assert_eq!(d.show(&id).await["hosts"], json!(["good.example.org"]));
    d.w.put("/v2-beta/settings/medstack.dns.check", json!({"value": "off"}))
        .await
        .ok();
    d.patch(&id, bad)
        .await
        .expect(201, json!({"hosts": ["bad.example.org"]}));
    d.w.put("/v2-beta/settings/medstack.dns.check", json!({"value": "maybe"}))
        .await
        .refused(422, "InvalidOption");
    let other = json!({"name": "other", "image": "sim:a", "port": 80, "hosts": ["bad.example.org"]});
    refused(
        d.post("/services", json!({"value": other})).await,
        "hosts",
        "hosts bad.example.org leads to service web already",
    );
}

#[actix_web::test]
async fn one_balancer_leads_the_domains_of_all_services() {
    let d = Desk::new().await;
    d.w.put("/v2-beta/settings/medstack.dns.check", json!({"value": "off"}))
        .await
        .ok();
    let web = d
        .service(json!({"name": "web", "image": "sim:a", "port": 8080, "hosts": ["a.example.org", "b.example.org"]}))
        .await;
    d.service(json!({"name": "api", "image": "sim:a", "port": 9090, "hosts": ["api.example.org"]}))
        .await;
    d.service(json!({"name": "none", "image": "sim:a"})).await;
    let balancers = d.balancers().await;
    assert_eq!(balancers.len(), 1);
    let selector = "io.drover.router=medstack";
    has(
        &balancers[0],
        &json!({"name": "router", "state": "active", "lbConfig": {"portRules": [{"sourcePort": 80, "protocol": "http", "selector": selector}]},
            "launchConfig": {"ports": ["80:80/tcp", "443:443/tcp"], "labels": {"io.rancher.scheduler.global": "true"}}}),
        "the balancer",
    );
    let routes = |row: &Value| row["lbConfig"]["portRules"].clone();
    let row = d.native("web").await;
    has(
        &routes(&row),
        &json!([{"hostname": "a.example.org", "targetPort": 8080}, {"hostname": "b.example.org", "targetPort": 8080}]),
        "routes",
    );
    assert_eq!(row["launchConfig"]["labels"]["io.drover.router"], "medstack");
    // What leads where changes with the service, and no container is made anew for it.
    let containers = native_list(&d.w, "containers").await.len();
    d.patch(&web, json!({"hosts": ["c.example.org"], "port": 81}))
        .await
        .expect(201, json!({"port": 81}));
    has(
        &routes(&d.native("web").await),
        &json!([{"hostname": "c.example.org", "targetPort": 81}]),
        "new routes",
    );
    d.put(&web, json!({"image": "sim:a", "port": 81}))
        .await
        .expect(201, json!({"hosts": []}));
    assert_eq!(d.native("web").await["lbConfig"], Value::Null);
    d.pass(5).await;
    assert_eq!(native_list(&d.w, "containers").await.len(), containers);
    // The balancer and what it is made of are no services here.
    let names: Vec<Value> = d
        .list("/services")
        .await
        .iter()
        .map(|one| one["name"].clone())
        .collect();
    assert_eq!(names, [json!("web"), json!("api"), json!("none")]);
}

#[actix_web::test]
async fn certificates_of_the_project_open_443() {
    let d = Desk::new().await;
    d.w.put("/v2-beta/settings/medstack.dns.check", json!({"value": "off"}))
        .await
        .ok();
    let web = d
        .service(json!({"name": "web", "image": "sim:a", "port": 80, "hosts": ["a.example.org"]}))
        .await;
    let made = rcgen::generate_simple_self_signed(vec!["a.example.org".to_owned()]).unwrap();
    let body = json!({"name": "own", "cert": made.cert.pem(), "key": made.signing_key.serialize_pem()});
    let login = crate::project_isolation::login("1a5");
    let by = [("authorization", login.as_str())];
    let certificate =
        d.w.send_with(Method::POST, "/v2-beta/projects/1a5/certificates", &by, Some(body))
            .await
            .ok();
    d.w.settle().await;
    d.patch(&web, json!({"hosts": ["a.example.org", "b.example.org"]}))
        .await
        .expect(201, json!({}));
    let balancer = d.balancers().await.remove(0);
    let config = &balancer["lbConfig"];
    assert_eq!(config["defaultCertificateId"], certificate["id"]);
    let ports: Vec<(i64, &str)> = config["portRules"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|rule| (rule["sourcePort"].as_i64().unwrap_or(0), text(rule, "protocol")))
        .collect();
    assert_eq!(ports, [(80, "http"), (443, "https")]);
}
