//! MedStack Control's interface: who comes in, what there is, and how refusals look. What its nouns do is in the files beside this one.

use std::time::Duration;

use actix_web::http::Method;
use drover::schema::Role;
use serde_json::{Value, json};

use crate::project_isolation::{key, scene, send};
use crate::support::{Answer, World, text};

/// A world with a key of its project, and the ids of its company and its cluster.
pub struct Desk {
    pub w: World,
    pub company: String,
    pub cluster: String,
}

impl Desk {
    pub async fn new() -> Self {
        Self::over(World::new().await).await
    }

    pub async fn over(w: World) -> Self {
        key(&w, "1a5").await;
        let company = send(&w, "1a5", Method::GET, "/medstack/v1/companies/current", None).await;
        let company = text(&company.expect(200, json!({"object": "company"})), "id").to_owned();
        let path = format!("/medstack/v1/companies/{company}/clusters");
        let clusters = send(&w, "1a5", Method::GET, &path, None).await;
        let clusters = clusters.expect(200, json!({"object": "list", "data": [{"object": "cluster"}]}));
        let cluster = text(&clusters["data"][0], "id").to_owned();
        Self { w, company, cluster }
    }

    /// A request below the company.
    pub async fn of(&self, method: Method, rest: &str, body: Option<Value>) -> Answer {
        let path = format!("/medstack/v1/companies/{}{rest}", self.company);
        send(&self.w, "1a5", method, &path, body).await
    }

    /// A request below the cluster.
    pub async fn at(&self, method: Method, rest: &str, body: Option<Value>) -> Answer {
        self.of(method, &format!("/clusters/{}{rest}", self.cluster), body)
            .await
    }

    pub async fn get(&self, rest: &str) -> Answer {
        self.at(Method::GET, rest, None).await
    }

    /// The entries of a list.
    pub async fn list(&self, rest: &str) -> Vec<Value> {
        match self.get(rest).await.expect(200, json!({"object": "list"}))["data"].take() {
            Value::Array(all) => all,
            other => panic!("{rest} is no list: {other}"),
        }
    }

    pub async fn post(&self, rest: &str, body: Value) -> Answer {
        self.at(Method::POST, rest, Some(body)).await
    }

    /// A secret, a config or a volume that is made; its id.
    pub async fn thing(&self, kind: &str, name: &str) -> String {
        let body = match kind {
            "volumes" => json!({"name": name}),
            _ => json!({"name": name, "data": format!("data of {name}")}),
        };
        let made = self
            .post(&format!("/{kind}"), body)
            .await
            .expect(201, json!({"name": name}));
        text(&made, "id").to_owned()
    }

    /// A service that is made and up; its id.
    pub async fn service(&self, body: Value) -> String {
        let made = self
            .post("/services", json!({"value": body}))
            .await
            .expect(201, json!({"object": "service"}));
        self.pass(6).await;
        text(&made, "id").to_owned()
    }

    pub async fn show(&self, id: &str) -> Value {
        self.get(&format!("/services/{id}"))
            .await
            .expect(200, json!({"id": id}))
    }

    pub async fn put(&self, id: &str, body: Value) -> Answer {
        let answer = self
            .at(Method::PUT, &format!("/services/{id}"), Some(json!({"value": body})))
            .await;
        self.w.settle().await;
        answer
    }

    pub async fn patch(&self, id: &str, body: Value) -> Answer {
        let answer = self
            .at(Method::PATCH, &format!("/services/{id}"), Some(json!({"value": body})))
            .await;
        self.w.settle().await;
        answer
    }

    /// Lets so many seconds pass.
    pub async fn pass(&self, seconds: u64) {
        for _ in 0..seconds * 2 {
            self.w.advance(Duration::from_millis(500)).await;
        }
    }

    /// The service of this name as Rancher's clients see it.
    pub async fn native(&self, name: &str) -> Value {
        let rows = native_list(&self.w, "services").await;
        let found = rows.into_iter().find(|row| row["name"] == name);
        found.unwrap_or_else(|| panic!("no service {name}"))
    }
}

/// A list of `/v2-beta`, asked for by the project's key.
pub async fn native_list(w: &World, plural: &str) -> Vec<Value> {
    let answer = send(w, "1a5", Method::GET, &format!("/v2-beta/projects/1a5/{plural}"), None).await;
    answer.expect(200, json!({}))["data"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

/// Checks for the 400 of an object with a plain message.
#[track_caller]
pub fn refused(answer: Answer, param: &str, message: &str) {
    let body = answer.expect(400, json!({"code": 400, "type": "invalid_request_error"}));
    assert_eq!((text(&body, "param"), text(&body, "message")), (param, message));
}

#[actix_web::test]
async fn nobody_comes_in_without_a_key_on_an_open_server_either() {
    let d = Desk::new().await;
    let path = "/medstack/v1/companies/current";
    for headers in [
        vec![],
        vec![("authorization", "Bearer some")],
        vec![("authorization", "Basic eDp5")],
        vec![("cookie", "token=1")],
    ] {
        let answer = d.w.send_with(Method::GET, path, &headers, None).await;
        assert_eq!(
            answer.header("www-authenticate"),
            Some("Basic realm=\"MedStack Control\"")
        );
        answer.expect(401, json!({"code": 401, "type": "unauthorized"}));
    }
    // Paths that there are not, too.
    assert_eq!(d.w.get("/medstack/v1/nothing").await.status, 401);
}

#[actix_web::test]
async fn a_company_is_the_account_of_a_key_and_clusters_are_its_projects() {
    let d = Desk::new().await;
    let company = d.of(Method::GET, "", None).await;
    assert_eq!(company.status, 404, "{}", company.body);
    let whole = send(&d.w, "1a5", Method::GET, "/medstack/v1/companies/current", None)
        .await
        .body;
    let empty = [
        "street_address",
        "city",
        "province",
        "country",
        "postal_code",
        "phone_number",
    ];
    assert_eq!(whole["name"], "Default");
    assert!(empty.iter().all(|field| whole[field] == ""), "{whole}");
    for (name, value) in [
        ("medstack.company.city", "Toronto"),
        ("medstack.company.name", "Clinic"),
        ("medstack.region", "east"),
    ] {
        d.w.put(&format!("/v2-beta/settings/{name}"), json!({"value": value}))
            .await
            .ok();
    }
    let whole = send(&d.w, "1a5", Method::GET, "/medstack/v1/companies/current", None).await;
    whole.expect(200, json!({"name": "Clinic", "city": "Toronto"}));
    let cluster = d.get("").await;
    let id = d.cluster.clone();
    cluster.expect(
        200,
        json!({"id": id, "object": "cluster", "label": "Default", "infrastructure_provider": {"id": "drover"}, "region": {"name": "east"}}),
    );
    assert!(d.company.starts_with("company_") && d.cluster.starts_with("cluster_"));
}

#[actix_web::test]
async fn what_is_not_there_is_404_and_a_wrong_method_says_which_there_are() {
    let d = Desk::new().await;
    let nowhere = json!({"code": 404, "type": "not_found", "message": "Path not found"});
    for rest in [
        "/nothing",
        "/services/service_00000000000",
        "/services/other",
        "/configs/x",
        "/nodes/node_00000000001",
        "/services/x/y/z",
    ] {
        assert_eq!(d.get(rest).await.expect(404, json!({})), nowhere, "{rest}");
    }
    for path in [
        "/clusters/cluster_00000000001",
        "/clusters/x/services",
        "/webhooks/outgoing/x",
        "/webhooks",
    ] {
        assert_eq!(
            d.of(Method::GET, path, None).await.expect(404, json!({})),
            nowhere,
            "{path}"
        );
    }
    for (method, rest, allow) in [
        (Method::DELETE, "/services", "GET, POST"),
        (Method::POST, "/services/x", "GET, PUT, PATCH, DELETE"),
        (Method::GET, "/services/x/refresh_image", "POST"),
        (Method::GET, "/secrets/x", "DELETE"),
        (Method::PUT, "/tasks", "GET"),
        (Method::HEAD, "/tasks", "GET"),
    ] {
        let answer = d.at(method.clone(), rest, None).await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, Some(allow)),
            "{method} {rest}"
        );
        assert!(answer.header("x-request-id").is_some_and(|id| id.len() == 32));
    }
    for sent in ["", "{", "[]", "null"] {
        let path = format!("/medstack/v1/companies/{}/clusters/{}/volumes", d.company, d.cluster);
        let answer = crate::medstack::raw(&d.w, &path, sent).await;
        refused(answer, "body", "must be an object of JSON");
    }
}

/// Posts what may be no JSON.
pub async fn raw(w: &World, path: &str, sent: &str) -> Answer {
    let login = crate::project_isolation::login("1a5");
    w.send_text(Method::POST, path, &[("authorization", &login)], sent)
        .await
}

#[actix_web::test]
async fn each_key_has_its_clusters_and_its_role_has_its_limits() {
    let scene = scene().await;
    let w = &scene.world;
    let of_default = Desk::over_keyed(w).await;
    for (account, prefix, role) in &scene.strangers {
        let by = |method: Method, path: String, body: Option<Value>| async move {
            send(w, account, method, &format!("/medstack/v1/companies{path}"), body).await
        };
        let company = by(Method::GET, "/current".into(), None).await.expect(200, json!({}));
        let company = text(&company, "id").to_owned();
        // What is another company's does not exist.
        let foreign = by(Method::GET, format!("/{}/clusters", of_default.0), None).await;
        assert_eq!(foreign.status, 404, "{role:?}");
        let clusters = by(Method::GET, format!("/{company}/clusters"), None)
            .await
            .expect(200, json!({}));
        let clusters = clusters["data"].as_array().cloned().unwrap();
        let [cluster] = clusters.as_slice() else {
            panic!("{role:?} has {clusters:?}")
        };
        assert_eq!(cluster["label"], "other", "{role:?}");
        let foreign = by(
            Method::GET,
            format!("/{company}/clusters/{}/services", of_default.1),
            None,
        )
        .await;
        assert_eq!(foreign.status, 404, "{role:?}");
        let base = format!("/{company}/clusters/{}", text(cluster, "id"));
        // A key of a user is the same in each of the two ways in which others name its project.
        let is_reader = *role == Role::Readonly || is_readonly(&scene.strangers, account);
        let body = json!({"name": format!("of-{account}-{}", prefix.len()).to_lowercase(), "image": "sim:a",
            "environment_variables": [{"key": "K", "value": "HUSH"}]});
        let made = by(Method::POST, format!("{base}/services"), Some(body)).await;
        assert_eq!(
            made.status,
            if is_reader { 403 } else { 201 },
            "{role:?}: {}",
            made.body
        );
        let listed = by(Method::GET, format!("{base}/services"), None)
            .await
            .expect(200, json!({}));
        assert_eq!(listed.to_string().contains("HUSH"), !is_reader, "{role:?}: {listed}");
        assert!(!listed.to_string().contains("front"));
    }
}

/// Whether a user of the scene only reads.
fn is_readonly(strangers: &[(String, String, Role)], account: &str) -> bool {
    strangers
        .iter()
        .any(|(of, _, role)| of == account && *role == Role::Readonly)
}

impl Desk {
    /// The ids of the company and of the cluster behind the key of the Default project, which has one already.
    async fn over_keyed(w: &World) -> (String, String) {
        let company = send(w, "1a5", Method::GET, "/medstack/v1/companies/current", None)
            .await
            .body;
        let company = text(&company, "id").to_owned();
        let path = format!("/medstack/v1/companies/{company}/clusters");
        let clusters = send(w, "1a5", Method::GET, &path, None).await.body;
        (company, text(&clusters["data"][0], "id").to_owned())
    }
}
