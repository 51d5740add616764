//! A server with access control and a simulated host, and who asks it: the accounts, keys and projects that the recordings
//! were made with.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use actix_web::http::{Method, Uri, header};
use actix_web::{App, test};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drover::api::configure;
use serde_json::{Value, json};

use super::names::{HOST, Names, TAG, wire_id};
use crate::support::{World, text};

/// Members of the project, and the kinds of the other accounts.
const MEMBERS: [&str; 4] = ["owner", "member", "restricted", "readonly"];
const ACCOUNTS: [(&str, &str); 7] = [
    ("owner", "user"),
    ("member", "user"),
    ("restricted", "user"),
    ("readonly", "user"),
    ("stranger", "user"),
    ("readAdmin", "readAdmin"),
    ("service", "service"),
];
/// Where requests come from.
const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 50_000);
/// How long set-up waits for a state.
const ROUNDS: usize = 60;

/// What was answered.
pub struct Reply {
    pub status: u16,
    pub body: Value,
    pub headers: HashMap<String, String>,
}

/// What is asked.
#[derive(Default)]
pub struct Ask {
    pub method: String,
    pub path: String,
    pub body: Option<String>,
    pub headers: Vec<(String, String)>,
}

type Sender = Box<dyn Fn(test::TestRequest) -> Pin<Box<dyn Future<Output = Reply>>>>;

/// See the module.
pub struct Client {
    pub world: World,
    send: Sender,
    /// Public and secret value, by whose they are.
    pub keys: HashMap<String, (String, String)>,
    pub names: Names,
    accounts: HashMap<String, String>,
    hosts_made: usize,
}

impl Client {
    /// A server with everything that scenarios take for granted.
    pub async fn new() -> Self {
        let world = World::with_hosts(&[]).await;
        world
            .engine
            .set_key("superadmin", "superadmin".into(), "superadminpass")
            .await
            .expect("a key can be set");
        world
            .engine
            .require_proof(true)
            .await
            .expect("access control can be turned on");
        let state = world.api();
        let app = Rc::new(test::init_service(App::new().configure(|c| configure(c, state))).await);
        let send: Sender = Box::new(move |request| {
            let app = app.clone();
            Box::pin(async move {
                let response = test::call_service(&*app, request.to_request()).await;
                let status = response.status().as_u16();
                let one = |(name, value): (&header::HeaderName, &header::HeaderValue)| {
                    (
                        name.as_str().to_owned(),
                        String::from_utf8_lossy(value.as_bytes()).into_owned(),
                    )
                };
                let headers = response.headers().iter().map(one).collect();
                let bytes = test::read_body(response).await;
                let text = || json!({"_text": String::from_utf8_lossy(&bytes).chars().take(300).collect::<String>()});
                let body = if bytes.is_empty() {
                    Value::Null
                } else {
                    serde_json::from_slice(&bytes).unwrap_or_else(|_| text())
                };
                Reply { status, body, headers }
            })
        });
        let keys = HashMap::from([
            (
                "superadmin".to_owned(),
                ("superadmin".to_owned(), "superadminpass".to_owned()),
            ),
            ("wrong".to_owned(), ("nosuchkey".to_owned(), "nosuchsecret".to_owned())),
        ]);
        let mut client = Self {
            world,
            send,
            keys,
            names: Names::default(),
            accounts: HashMap::new(),
            hosts_made: 0,
        };
        client.set_up().await;
        client
    }

    /// Sends one request, as whom a key belongs to, or as nobody.
    pub async fn send(&self, key: &str, ask: &Ask) -> Reply {
        let (Ok(uri), Ok(method)) = (ask.path.parse::<Uri>(), Method::from_bytes(ask.method.as_bytes())) else {
            return Reply {
                status: 0,
                body: Value::Null,
                headers: HashMap::new(),
            };
        };
        let mut request = test::TestRequest::default()
            .method(method)
            .uri(&uri.to_string())
            .peer_addr(PEER);
        request = request
            .insert_header((header::HOST, HOST))
            .insert_header((header::ACCEPT, "application/json"));
        if let Some((access, secret)) = self.keys.get(key) {
            let value = STANDARD.encode(format!("{access}:{secret}"));
            request = request.insert_header((header::AUTHORIZATION, format!("Basic {value}")));
        }
        if let Some(body) = &ask.body {
            request = request
                .insert_header((header::CONTENT_TYPE, "application/json"))
                .set_payload(body.clone());
        }
        for (name, value) in &ask.headers {
            request = request.insert_header((name.as_str(), value.as_str()));
        }
        let mut reply = (self.send)(request).await;
        if ask.method == "HEAD" {
            // What is not sent: there is no connection here that would leave it out.
            reply.body = Value::Null;
        }
        reply
    }

    async fn ask(&self, key: &str, method: &str, path: &str, body: Option<Value>) -> Value {
        let ask = Ask {
            method: method.into(),
            path: path.into(),
            body: body.map(|b| b.to_string()),
            headers: Vec::new(),
        };
        let reply = self.send(key, &ask).await;
        assert!(reply.status < 300, "{method} {path}: {} {}", reply.status, reply.body);
        reply.body
    }

    async fn get(&self, key: &str, path: &str) -> Value {
        self.ask(key, "GET", path, None).await
    }

    async fn post(&self, key: &str, path: &str, body: Value) -> Value {
        self.ask(key, "POST", path, Some(body)).await
    }

    /// Asks until a row is as wanted.
    async fn until(&self, key: &str, path: &str, is_there: impl Fn(&Value) -> bool) -> Value {
        self.world.settle().await;
        for _ in 0..ROUNDS {
            let row = self.get(key, path).await;
            if is_there(&row) {
                return row;
            }
            self.world.advance(Duration::from_secs(1)).await;
        }
        panic!("{path} does not come to be as it has to: {}", self.get(key, path).await);
    }

    async fn make_key(&mut self, whose: &str, account: &str) {
        let key = self
            .post("superadmin", "/v2-beta/apikeys", json!({"accountId": account}))
            .await;
        self.until("superadmin", &format!("/v2-beta/apikeys/{}", text(&key, "id")), |row| {
            row["transitioning"] != "yes"
        })
        .await;
        self.keys.insert(
            whose.to_owned(),
            (
                text(&key, "publicValue").to_owned(),
                text(&key, "secretValue").to_owned(),
            ),
        );
    }

    async fn set_up(&mut self) {
        // The original knew no policy, and passwords of any length.
        for (name, value) in [("host.policy", "null"), ("api.auth.local.min.length", "0")] {
            let body = json!({"name": name, "value": value});
            self.post("superadmin", "/v2-beta/settings", body).await;
        }
        for (kind, query) in [("admin", "kind=admin&uuid=admin"), ("superadmin", "kind=superadmin")] {
            let rows = self.get("superadmin", &format!("/v2-beta/accounts?{query}")).await;
            let id = text(&rows["data"][0], "id").to_owned();
            self.names.learn_id(&format!("{{a.{kind}}}"), &id);
            self.accounts.insert(kind.to_owned(), id);
        }
        let admin = self.accounts["admin"].clone();
        self.make_key("admin", &admin).await;
        for (role, kind) in ACCOUNTS {
            let body = json!({"name": format!("twin {role} {TAG}"), "kind": kind});
            let account = self.post("superadmin", "/v2-beta/accounts", body).await;
            let id = text(&account, "id").to_owned();
            self.until("superadmin", &format!("/v2-beta/accounts/{id}"), |row| {
                row["transitioning"] != "yes"
            })
            .await;
            self.names.learn_id(&format!("{{a.{role}}}"), &id);
            self.make_key(role, &id).await;
            self.accounts.insert(role.to_owned(), id);
        }
        let hosts = [("{h.host}".to_owned(), "{ag.agent}".to_owned())];
        self.project(&format!("twin {TAG}"), "project", "{a.project}", &hosts, true)
            .await;
        let agent = self
            .keys
            .remove(&agent_of("project", 0))
            .expect("the project's host has an agent");
        self.keys.insert("agent".to_owned(), agent);
        let host = self.names.fill("/v2-beta/hosts/{h.host}", &|_, _| None);
        let host = self.get("superadmin", &host).await;
        self.names
            .words
            .insert("hostname".to_owned(), text(&host, "hostname").to_owned());
        self.names
            .words
            .insert("hostuuid".to_owned(), text(&host, "uuid").to_owned());
    }

    /// A project of the owner with its members, hosts and network driver. Its key is called `whose`.
    pub async fn project(&mut self, title: &str, whose: &str, name: &str, hosts: &[(String, String)], driver: bool) {
        let member =
            |role: &str| json!({"role": role, "externalId": self.accounts[role], "externalIdType": "rancher_id"});
        let members: Vec<Value> = MEMBERS.iter().map(|role| member(role)).collect();
        let project = self
            .post("owner", "/v2-beta/projects", json!({"name": title, "members": members}))
            .await;
        let id = text(&project, "id").to_owned();
        self.until("owner", &format!("/v2-beta/projects/{id}"), |row| {
            row["transitioning"] != "yes"
        })
        .await;
        self.names.learn_id(name, &id);
        self.make_key(whose, &id).await;
        if driver {
            self.driver(&id).await;
        }
        for (i, (host, agent)) in hosts.iter().enumerate() {
            self.host(&id, whose, i, host, agent).await;
        }
    }

    async fn driver(&mut self, project: &str) {
        let base = format!("/v2-beta/projects/{project}");
        let stack = self
            .post(
                "owner",
                &format!("{base}/stacks"),
                json!({"name": "default-test-driver", "system": true}),
            )
            .await;
        let network = json!({
            "subnets": [{"networkAddress": "10.42.0.0/16"}], "dns": ["169.254.169.250"], "dnsSearch": ["rancher.internal"],
        });
        let body = json!({
            "name": "default-test-driver", "startOnCreate": true, "stackId": stack["id"], "selectorContainer": "none",
            "networkDriver": {"name": "default-test-driver", "defaultNetwork": network, "cniConf": {}},
        });
        let driver = self.post("owner", &format!("{base}/networkdriverservices"), body).await;
        let path = format!("{base}/networkdriverservices/{}", text(&driver, "id"));
        self.until("owner", &path, |row| row["state"] == "active").await;
        // Each project has one; the newest is the one that is asked for.
        self.names.make("{st.driverstack}", text(&stack, "id"));
        self.names.make("{s.driver}", text(&driver, "id"));
    }

    async fn host(&mut self, project: &str, whose: &str, nth: usize, name: &str, agent_name: &str) {
        let token = self.post(whose, "/v2-beta/registrationtokens", json!({})).await;
        let path = format!("/v2-beta/registrationtokens/{}", text(&token, "id"));
        let token = self
            .until(whose, &path, |row| row["state"] == "active" && row["token"].is_string())
            .await;
        let key = format!("twin{:08x}", self.hosts_made);
        self.hosts_made += 1;
        let body = json!({"key": key, "accountId": project, "agentUriFormat": "sim://%s"});
        self.post("superadmin", "/v2-beta/register", body).await;
        self.keys.insert(
            "registration".to_owned(),
            ("registrationToken".to_owned(), text(&token, "token").to_owned()),
        );
        let is_there = |rows: &Value| rows["data"][0]["state"] == "active" && rows["data"][0]["accessKey"].is_string();
        let rows = self
            .until("registration", &format!("/v2-beta/register?key={key}"), is_there)
            .await;
        let pair = (
            text(&rows["data"][0], "accessKey").to_owned(),
            text(&rows["data"][0], "secretKey").to_owned(),
        );
        let whose_agent = agent_of(whose, nth);
        self.keys.insert(whose_agent.clone(), pair);
        let agents = self
            .until(&whose_agent, "/v2-beta/agents", |rows| {
                rows["data"].as_array().is_some_and(|rows| rows.len() == 1)
            })
            .await;
        let agent = text(&agents["data"][0], "id").to_owned();
        self.ask(
            "superadmin",
            "PUT",
            &format!("/v2-beta/agents/{agent}"),
            Some(json!({"uri": format!("sim://{key}")})),
        )
        .await;
        let tasks = self.get("superadmin", "/v2-beta/tasks?name=agent.ping").await;
        self.post(
            "superadmin",
            &format!("/v2-beta/tasks/{}?action=execute", text(&tasks["data"][0], "id")),
            json!({}),
        )
        .await;
        let hosts = self
            .until("superadmin", &format!("/v2-beta/hosts?agentId={agent}"), |rows| {
                rows["data"][0]["state"] == "active"
            })
            .await;
        let host = text(&hosts["data"][0], "id").to_owned();
        let is_active = |rows: &Value| rows["data"][0]["state"] == "active";
        self.until("superadmin", &format!("/v2-beta/hosts/{host}/storagepools"), is_active)
            .await;
        self.names.learn_id(name, &host);
        self.names.learn_id(agent_name, &agent);
        self.names.words.entry("regkey".to_owned()).or_insert(key);
    }

    /// The first id with these letters in the newest answers.
    pub fn latest_id(answers: &[Value], letters: &str) -> Option<u64> {
        answers.iter().rev().find_map(|answer| first_id(answer, letters))
    }
}

fn agent_of(whose: &str, nth: usize) -> String {
    format!("agent {nth} of {whose}")
}

fn first_id(value: &Value, letters: &str) -> Option<u64> {
    let own = value["id"]
        .as_str()
        .and_then(wire_id)
        .filter(|(found, _)| *found == letters)
        .map(|(_, number)| number);
    own.or_else(|| value["data"].as_array()?.iter().find_map(|row| first_id(row, letters)))
}
