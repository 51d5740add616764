//! A client of Hyper's interface: it signs what it sends, by the recipe that Hyper published.

use actix_web::http::Method;
use actix_web::{App, test};
use drover::model::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::World;

/// What a request was answered.
#[derive(Debug)]
pub struct Said {
    pub status: u16,
    pub content_type: String,
    pub text: String,
}

impl Said {
    /// The body as JSON; the status has to be this one.
    #[track_caller]
    pub fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    /// A refusal: plain text, and one line of it.
    #[track_caller]
    pub fn refused(&self, status: u16, part: &str) {
        assert_eq!(
            (self.status, self.content_type.as_str()),
            (status, "text/plain; charset=utf-8"),
            "{}",
            self.text
        );
        assert!(
            self.text.ends_with('\n') && self.text.contains(part),
            "{:?} has not {part:?}",
            self.text
        );
    }

    /// Nothing, with a status of success.
    #[track_caller]
    pub fn empty(&self, status: u16) {
        assert_eq!((self.status, self.text.as_str()), (status, ""));
    }
}

/// Who signs, and where requests go.
#[derive(Debug, Clone)]
pub struct Client {
    pub access: String,
    pub secret: String,
    /// Before each path.
    pub mount: String,
}

/// A request that is changed after it was signed, or signed otherwise.
#[derive(Debug, Clone, Default)]
pub struct Twist {
    /// So many milliseconds from now.
    pub offset_ms: i64,
    /// Sent in the place of the body that was signed.
    pub body: Option<String>,
    /// Sent in the place of the path that was signed.
    pub path: Option<String>,
    /// In the place of the header `Authorization`.
    pub authorization: Option<String>,
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `20161008T131215Z`
fn stamp(at: i64) -> String {
    let text = Timestamp(at).to_wire_millis();
    let digits: String = text.chars().filter(|c| c.is_ascii_digit() || *c == 'T').collect();
    format!("{}Z", &digits[..15])
}

impl Client {
    /// The key of an account, as `project_isolation::key` makes it.
    pub fn of(account: &str) -> Self {
        Self {
            access: format!("key-{account}"),
            secret: format!("of-{account}"),
            mount: "/hyper/v1.23".to_owned(),
        }
    }

    /// The header `Authorization` and the other signed ones of a request.
    pub fn sign(&self, method: &str, uri: &str, body: &str, at: i64) -> Vec<(&'static str, String)> {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let path = path
            .split('/')
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("/")
            .replace(':', "%3A");
        let mut pairs: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
        pairs.sort_unstable();
        let (stamp, content) = (stamp(at), hex(&Sha256::digest(body.as_bytes())));
        let names = "content-type;host;x-hyper-content-sha256;x-hyper-date";
        let canonical = format!(
            "{method}\n{path}\n{}\ncontent-type:application/json\nhost:localhost\nx-hyper-content-sha256:{content}\nx-hyper-date:{stamp}\n\n{names}\n{content}",
            pairs.join("&")
        );
        let scope = format!("{}/us-west-1/hyper/hyper_request", &stamp[..8]);
        let text = format!(
            "HYPER-HMAC-SHA256\n{stamp}\n{scope}\n{}",
            hex(&Sha256::digest(canonical.as_bytes()))
        );
        let mut key = format!("HYPER{}", self.secret).into_bytes();
        for word in [&stamp[..8], "us-west-1", "hyper", "hyper_request"] {
            key = hmac(&key, word);
        }
        let signature = hex(&hmac(&key, &text));
        vec![
            ("content-type", "application/json".to_owned()),
            ("x-hyper-date", stamp),
            ("x-hyper-content-sha256", content),
            (
                "authorization",
                format!(
                    "HYPER-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
                    self.access
                ),
            ),
        ]
    }

    /// Sends a body as it is.
    pub async fn send(&self, w: &World, method: Method, path: &str, body: &str, twist: Twist) -> Said {
        let uri = format!("{}{path}", self.mount);
        let mut headers = self.sign(method.as_str(), &uri, body, w.clock_ms() + twist.offset_ms);
        if let Some(other) = twist.authorization {
            headers.retain(|(name, _)| *name != "authorization");
            headers.push(("authorization", other));
        }
        let uri = twist.path.map_or(uri, |path| format!("{}{path}", self.mount));
        let sent = twist.body.unwrap_or_else(|| body.to_owned());
        let app = test::init_service(App::new().configure(|c| w.configure(c))).await;
        let mut request = test::TestRequest::default()
            .method(method)
            .uri(&uri)
            .insert_header(("host", "localhost"));
        for (name, value) in headers.into_iter().filter(|(_, value)| !value.is_empty()) {
            request = request.insert_header((name, value));
        }
        let response = test::call_service(&app, request.set_payload(sent).to_request()).await;
        let content_type = response.headers().get("content-type");
        Said {
            status: response.status().as_u16(),
            content_type: content_type.map_or(String::new(), |value| value.to_str().unwrap_or_default().to_owned()),
            text: String::from_utf8_lossy(&test::read_body(response).await).into_owned(),
        }
    }

    pub async fn get(&self, w: &World, path: &str) -> Said {
        self.send(w, Method::GET, path, "", Twist::default()).await
    }

    pub async fn post(&self, w: &World, path: &str, body: Value) -> Said {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.send(w, Method::POST, path, &body, Twist::default()).await
    }

    pub async fn delete(&self, w: &World, path: &str) -> Said {
        self.send(w, Method::DELETE, path, "", Twist::default()).await
    }

    /// A service as it is read now.
    pub async fn service(&self, w: &World, name: &str) -> Value {
        self.get(w, &format!("/services/{name}")).await.json(200)
    }

    /// A service that is made, and is there.
    pub async fn made(&self, w: &World, body: Value) -> Value {
        let made = self.post(w, "/services/create", body).await.json(201);
        self.until(w, made["Name"].as_str().unwrap_or_default(), "Scaling complete")
            .await
    }

    /// Lets time pass until the message of a service is this one.
    pub async fn until(&self, w: &World, name: &str, message: &str) -> Value {
        for _ in 0..240 {
            let service = self.service(w, name).await;
            if service["Message"] == message && service["Status"] == "active" {
                return service;
            }
            w.advance(std::time::Duration::from_millis(500)).await;
        }
        panic!("never {message:?}: {:#}", self.service(w, name).await);
    }
}

/// What the page of Hyper's interface shows as an example, with an image that can be simulated.
pub fn example() -> Value {
    json!({
        "Name": "http", "Image": "sim:nginx", "ContainerPort": 80, "Replicas": 2, "Protocol": "http", "ServicePort": 80,
        "Labels": {"app": "nginx"},
    })
}
