//! BRIDGEPORT's interface: how it refuses, what it says of itself; and what its tests share.

use std::future::Future;
use std::time::Duration;

use actix_web::http::Method;
use serde_json::{Value, json};

use crate::support::{Answer, World, text};

/// The environment that is there from the start.
pub(crate) const MANAGEMENT: &str = "1a5";
const PASSWORD: &str = "a-good-password";
const EMAIL: &str = "first@example.com";

/// A client with a token.
pub(crate) struct Client<'w> {
    pub(crate) w: &'w World,
    pub(crate) token: String,
}

/// A request without credentials.
pub(crate) async fn bare(w: &World, method: Method, path: &str, body: Option<Value>) -> Answer {
    w.send_with(method, &format!("/bridgeport{path}"), &[], body).await
}

/// The first person of a server.
pub(crate) async fn first(w: &World) -> Client<'_> {
    let body = json!({"email": EMAIL, "password": PASSWORD, "name": "First"});
    let answer = bare(w, Method::POST, "/api/auth/register", Some(body)).await;
    let answer = answer.expect(200, json!({"user": {"email": EMAIL, "name": "First", "role": "admin"}}));
    Client {
        w,
        token: text(&answer, "token").to_owned(),
    }
}

impl<'w> Client<'w> {
    pub(crate) async fn send(&self, method: Method, path: &str, more: &[(&str, &str)], body: Option<Value>) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend(more);
        self.w
            .send_with(method, &format!("/bridgeport/api{path}"), &headers, body)
            .await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, &[], Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, &[], Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, &[], None).await
    }

    /// A token of the same person in a role; everywhere, or in some environments.
    pub(crate) async fn narrowed(&self, role: &str, environments: &[&str]) -> Client<'w> {
        let body = match environments {
            [] => json!({"name": role, "role": role, "allEnvironments": true}),
            some => json!({"name": role, "role": role, "environmentIds": some}),
        };
        let made = self
            .post("/admin/tokens", body)
            .await
            .expect(200, json!({"tokenRecord": {"role": role}}));
        Client {
            w: self.w,
            token: text(&made, "token").to_owned(),
        }
    }

    /// An object of an environment, made; its id.
    pub(crate) async fn made(&self, environment: &str, kind: &str, one: &str, body: Value) -> String {
        let path = format!("/environments/{environment}/{kind}");
        let made = self.post(&path, body).await.expect(200, json!({}));
        text(&made[one], "id").to_owned()
    }

    /// The server that is the simulated host.
    pub(crate) async fn server(&self) -> String {
        let servers = self
            .get(&format!("/environments/{MANAGEMENT}/servers"))
            .await
            .expect(200, json!({}));
        text(&servers["servers"][0], "id").to_owned()
    }

    /// A template of an image; its id.
    pub(crate) async fn service(&self, name: &str, image: &str, more: Value) -> String {
        let images = self
            .get(&format!("/environments/{MANAGEMENT}/container-images"))
            .await
            .ok();
        let known = images["images"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|one| one["imageName"] == image);
        let image = match known {
            Some(known) => text(known, "id").to_owned(),
            None => {
                let body = json!({"name": image, "imageName": image});
                self.made(MANAGEMENT, "container-images", "image", body).await
            }
        };
        let mut body = json!({"name": name, "containerImageId": image});
        for (key, value) in more.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        self.made(MANAGEMENT, "services", "service", body).await
    }

    /// A template on a server; the id of the deployment.
    pub(crate) async fn placed(&self, service: &str, server: &str, container: &str, more: Value) -> String {
        let mut body = json!({"serverId": server, "containerName": container});
        for (key, value) in more.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        let made = self.post(&format!("/services/{service}/deployments"), body).await;
        text(&made.expect(200, json!({}))["deployment"], "id").to_owned()
    }
}

/// Lets time pass until a request is answered that waits for something.
pub(crate) async fn meanwhile<F: Future>(w: &World, request: F) -> F::Output {
    let mut request = std::pin::pin!(request);
    for _ in 0..4_000 {
        match tokio::time::timeout(Duration::from_millis(20), &mut request).await {
            Ok(answer) => return answer,
            Err(_) => w.advance(Duration::from_millis(500)).await,
        }
    }
    panic!("a request is never answered");
}

/// A refusal in BRIDGEPORT's envelope.
#[track_caller]
pub(crate) fn refused(answer: Answer, status: u16, code: &str) -> Value {
    let header = answer.header("x-request-id").unwrap_or_default().to_owned();
    let body = answer.expect(status, json!({"code": code}));
    assert!(!text(&body, "message").is_empty(), "{body}");
    let id = text(&body, "requestId");
    assert!(id.starts_with("req_") && id.len() == 30, "{body}");
    assert_eq!(id, header);
    body
}

#[actix_web::test]
async fn every_failure_has_the_envelope_and_a_name_of_its_own() {
    let w = World::new().await;
    let c = first(&w).await;
    let nobody = refused(
        bare(&w, Method::GET, "/api/environments", None).await,
        401,
        "UNAUTHORIZED",
    );
    let again = refused(bare(&w, Method::GET, "/api/nowhere", None).await, 401, "UNAUTHORIZED");
    assert_ne!(nobody["requestId"], again["requestId"]);
    let nowhere = refused(c.get("/nowhere").await, 404, "NOT_FOUND");
    assert_eq!(nowhere["message"], "Route GET:/api/nowhere not found");
    refused(
        c.send(Method::PUT, "/environments", &[], Some(json!({}))).await,
        404,
        "NOT_FOUND",
    );
    refused(c.delete("/auth/me").await, 404, "NOT_FOUND");
    refused(c.get("/services/1bps999999").await, 404, "NOT_FOUND");
    refused(c.get("/services/nonsense").await, 404, "NOT_FOUND");
    let wrong = refused(
        c.post("/environments", json!({"name": ""})).await,
        400,
        "VALIDATION_ERROR",
    );
    assert_eq!(wrong["field"], "name");
    assert!(wrong["details"].as_array().is_some_and(|all| all.len() == 1), "{wrong}");
    refused(c.post("/environments", json!([1])).await, 400, "VALIDATION_ERROR");
    let unbuilt = refused(c.get("/services/x/drift").await, 501, "SERVICE_UNAVAILABLE");
    assert_eq!(unbuilt["message"], "drift: not part of this build");
    let text = json!("a text, and no object");
    refused(c.post("/environments", text).await, 400, "VALIDATION_ERROR");
}

#[actix_web::test]
async fn it_says_that_it_is_there_and_what_it_has() {
    let w = World::new().await;
    bare(&w, Method::GET, "/health", None)
        .await
        .expect(200, json!({"status": "ok", "version": "1.0.0"}));
    let document = bare(&w, Method::GET, "/openapi.json", None)
        .await
        .expect(200, json!({"openapi": "3.0.3"}));
    let patch = &document["paths"]["/api/services/{id}"]["patch"];
    let fields = &patch["requestBody"]["content"]["application/json"]["schema"]["properties"];
    let expected = json!({
        "name": {"type": "string", "minLength": 1, "maxLength": 255},
        "deployStrategy": {"type": "string", "enum": ["sequential", "parallel"]},
        "healthRetries": {"type": "integer", "minimum": 1, "maximum": 1000},
        "healthWaitMs": {"type": "integer", "minimum": 0, "maximum": 86_400_000},
    });
    for (field, schema) in expected.as_object().into_iter().flatten() {
        assert_eq!(&fields[field], schema, "{field}");
    }
    assert!(patch["responses"]["422"].is_object() && patch["responses"]["401"].is_object());
    assert_eq!(
        fields.as_object().map(serde_json::Map::len),
        Some(11),
        "as the page of the template says"
    );
    let c = first(&w).await;
    // Each operation of the document leads somewhere: no path of it is unknown.
    for (path, operations) in document["paths"].as_object().into_iter().flatten() {
        for method in operations
            .as_object()
            .into_iter()
            .flatten()
            .map(|(method, _)| method.to_uppercase())
        {
            let path = path
                .replace("{id}", "1bps9")
                .replace("{envId}", MANAGEMENT)
                .replace("{depId}", "1bpd9");
            let path = path.replace("{serverId}", "1bph9");
            let Some(path) = path.strip_prefix("/api") else {
                continue;
            };
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            let answer = c.send(method, path, &[], Some(json!({}))).await;
            let message = answer.body["message"].as_str().unwrap_or_default().to_owned();
            assert!(
                !message.starts_with("Route ") && answer.status != 501 && answer.status < 500,
                "{path}: {answer:?}"
            );
        }
    }
}
