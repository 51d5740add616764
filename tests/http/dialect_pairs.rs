//! One service, whoever made it and whoever changes it: every interface that shows it says the same.

use std::time::Duration;

use actix_web::http::Method;
use serde_json::{Value, json};

use crate::bridgeport::meanwhile;
use crate::hyper_support::Client;
use crate::project_isolation::{key, login};
use crate::support::{World, text};

/// An interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Rancher,
    Docker,
    Hyper,
    MedStack,
    Bridgeport,
}

const SIDES: [Side; 5] = [
    Side::Rancher,
    Side::Docker,
    Side::Hyper,
    Side::MedStack,
    Side::Bridgeport,
];

/// What all of them can say of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    image: String,
    replicas: i64,
    environment: Vec<String>,
}

/// A world in which a project is asked by all of them.
struct Table {
    w: World,
    hyper: Client,
    cluster: String,
}

impl Table {
    async fn new() -> Self {
        let w = World::with_hosts(&["one", "two", "three"]).await;
        key(&w, "1a5").await;
        let ask = async |path: &str| {
            let headers = [("authorization", login("1a5"))];
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            w.send_with(Method::GET, path, &headers, None).await.ok()
        };
        let company = text(&ask("/medstack/v1/companies/current").await, "id").to_owned();
        let clusters = ask(&format!("/medstack/v1/companies/{company}/clusters")).await;
        let cluster = text(&clusters["data"][0], "id").to_owned();
        Self {
            hyper: Client::of("1a5"),
            cluster: format!("/medstack/v1/companies/{company}/clusters/{cluster}"),
            w,
        }
    }

    async fn medstack(&self, method: Method, rest: &str, body: Option<Value>) -> Value {
        let (path, proof) = (format!("{}{rest}", self.cluster), login("1a5"));
        let headers = [("authorization", proof.as_str())];
        let answer = self.w.send_with(method, &path, &headers, body).await;
        assert!(
            (200..300).contains(&answer.status),
            "{path}: {} {:#}",
            answer.status,
            answer.body
        );
        answer.body
    }

    async fn docker(&self, method: Method, rest: &str, body: Option<Value>) -> Value {
        let answer = self.w.send(method, &format!("/docker/v1.41{rest}"), body).await;
        assert!(
            (200..300).contains(&answer.status),
            "{rest}: {} {:#}",
            answer.status,
            answer.body
        );
        answer.body
    }

    async fn bridgeport(&self, method: Method, rest: &str, body: Option<Value>) -> Value {
        let (path, proof) = (format!("/bridgeport/api{rest}"), login("1a5"));
        let headers = [("authorization", proof.as_str())];
        let answer = meanwhile(&self.w, self.w.send_with(method, &path, &headers, body)).await;
        assert_eq!(answer.status, 200, "{path}: {:#}", answer.body);
        answer.body
    }

    /// What one of them has in its list: the one service there, if it shows any.
    async fn listed(&self, side: Side) -> Option<Value> {
        let mut all = match side {
            Side::Rancher => {
                let mut rows = self.w.list("services").await;
                rows.retain(|row| row["type"] == "service" && row["system"] != true);
                Value::from(rows)
            }
            Side::Docker => self.docker(Method::GET, "/services", None).await,
            Side::Hyper => self.hyper.get(&self.w, "/services").await.json(200),
            Side::MedStack => self.medstack(Method::GET, "/services", None).await["data"].take(),
            Side::Bridgeport => {
                let path = "/environments/1a5/services";
                self.bridgeport(Method::GET, path, None).await["services"].take()
            }
        };
        let all = all.as_array_mut().expect("a list");
        assert!(all.len() < 2, "{side:?} shows more than was made: {all:#?}");
        all.pop()
    }

    /// The service as one of them shows it.
    async fn seen(&self, side: Side) -> Option<Seen> {
        let row = self.listed(side).await?;
        let texts = |list: &Value| {
            let list = list.as_array().cloned().unwrap_or_default();
            list.iter()
                .map(|text| text.as_str().expect("a text").to_owned())
                .collect()
        };
        let (full, count);
        let (image, replicas, mut environment): (&str, &Value, Vec<String>) = match side {
            Side::Rancher => {
                let launch = &row["launchConfig"];
                let environment = launch["environment"].as_object().cloned().unwrap_or_default();
                let pairs = environment.iter();
                let pairs = pairs.map(|(name, value)| format!("{name}={}", value.as_str().expect("a text")));
                let image = text(launch, "imageUuid").strip_prefix("docker:");
                (
                    image.unwrap_or(text(launch, "imageUuid")),
                    &row["scale"],
                    pairs.collect(),
                )
            }
            Side::Docker => {
                let container = &row["Spec"]["TaskTemplate"]["ContainerSpec"];
                let replicas = &row["Spec"]["Mode"]["Replicated"]["Replicas"];
                (text(container, "Image"), replicas, texts(&container["Env"]))
            }
            Side::Hyper => (text(&row, "Image"), &row["Replicas"], texts(&row["Env"])),
            Side::MedStack => {
                let pairs = row["environment_variables"].as_array().cloned().unwrap_or_default();
                let pairs = pairs
                    .iter()
                    .map(|pair| format!("{}={}", text(pair, "key"), text(pair, "value")));
                (text(&row, "image"), &row["replicas"], pairs.collect())
            }
            Side::Bridgeport => {
                let pairs: Value = serde_json::from_str(text(&row, "baseEnv")).expect("JSON");
                let pairs = pairs.as_object().cloned().unwrap_or_default();
                let pairs = pairs.iter();
                let pairs = pairs.map(|(name, value)| format!("{name}={}", value.as_str().expect("a text")));
                full = format!(
                    "{}:{}",
                    text(&row["containerImage"], "imageName"),
                    text(&row, "imageTag")
                );
                let deployments = row["serviceDeployments"].as_array().cloned().unwrap_or_default();
                assert!(
                    deployments.iter().all(|one| one["containerStatus"] == "running"),
                    "{row:#}"
                );
                count = json!(deployments.len());
                (&full, &count, pairs.collect())
            }
        };
        environment.sort();
        Some(Seen {
            image: image.to_owned(),
            replicas: replicas.as_i64().expect("a number"),
            environment,
        })
    }

    /// A service by one of them: two containers of `sim:one`, one where each is a deployment of its own.
    async fn make(&self, side: Side) -> i64 {
        match side {
            Side::Rancher => {
                let stack = self.w.stack("shop").await;
                let launch = json!({"imageUuid": "sim:one", "environment": {"A": "1=2", "B": ""}});
                self.w
                    .running(&stack, "web", json!({"scale": 2, "launchConfig": launch}))
                    .await;
            }
            Side::Docker => {
                let container = json!({"Image": "sim:one", "Env": ["A=1=2", "B="]});
                let spec = json!({"Name": "web", "TaskTemplate": {"ContainerSpec": container},
                    "Mode": {"Replicated": {"Replicas": 2}}});
                self.docker(Method::POST, "/services/create", Some(spec)).await;
            }
            Side::Hyper => {
                let body = json!({"Name": "web", "Image": "sim:one", "Env": ["A=1=2", "B="], "Replicas": 2,
                    "ServicePort": 80, "Protocol": "tcp"});
                self.hyper.made(&self.w, body).await;
            }
            Side::MedStack => {
                let environment = json!([{"key": "A", "value": "1=2"}, {"key": "B", "value": ""}]);
                let value =
                    json!({"name": "web", "image": "sim:one", "replicas": 2, "environment_variables": environment});
                self.medstack(Method::POST, "/services", Some(json!({"value": value})))
                    .await;
            }
            Side::Bridgeport => {
                let made = async |kind: &str, one: &str, body: Value| {
                    let path = format!("/environments/1a5/{kind}");
                    let made = self.bridgeport(Method::POST, &path, Some(body)).await;
                    text(&made[one], "id").to_owned()
                };
                let image = made("container-images", "image", json!({"name": "one", "imageName": "sim"})).await;
                let body = json!({"name": "web", "containerImageId": image, "imageTag": "one",
                    "baseEnv": {"A": "1=2", "B": ""}});
                let service = made("services", "service", body).await;
                let servers = self.bridgeport(Method::GET, "/environments/1a5/servers", None).await;
                let body = json!({"serverId": servers["servers"][0]["id"], "containerName": "web"});
                self.bridgeport(Method::POST, &format!("/services/{service}/deployments"), Some(body))
                    .await;
                let path = format!("/services/{service}/deploy");
                self.bridgeport(Method::POST, &path, Some(json!({}))).await;
            }
        }
        self.rest().await;
        if side == Side::Bridgeport { 1 } else { 2 }
    }

    /// Lets everything come to rest.
    async fn rest(&self) {
        for _ in 0..40 {
            self.w.advance(Duration::from_millis(500)).await;
        }
    }

    /// Three containers, by one of them, if it has a word for how many there are.
    async fn scale(&self, side: Side, count: i64) -> i64 {
        if side == Side::Bridgeport {
            return count;
        }
        let row = self.listed(side).await.expect("it is shown");
        match side {
            Side::Rancher => {
                self.w.put(text(&row, "id"), json!({"scale": 3})).await.ok();
            }
            Side::Docker => {
                let mut spec = row["Spec"].clone();
                spec["Mode"]["Replicated"]["Replicas"] = json!(3);
                self.update(&row, spec).await;
            }
            Side::Hyper => {
                let path = format!("/services/{}/update", text(&row, "Name"));
                let body = json!({"Replicas": 3, "Image": null, "FIP": null});
                self.hyper.post(&self.w, &path, body).await.json(200);
            }
            Side::MedStack => {
                let path = format!("/services/{}", text(&row, "id"));
                self.medstack(Method::PATCH, &path, Some(json!({"value": {"replicas": 3}})))
                    .await;
            }
            Side::Bridgeport => unreachable!("it scales nothing"),
        }
        self.rest().await;
        3
    }

    async fn update(&self, row: &Value, spec: Value) {
        let path = format!(
            "/services/{}/update?version={}",
            text(row, "ID"),
            row["Version"]["Index"]
        );
        self.docker(Method::POST, &path, Some(spec)).await;
    }

    /// Another image, by one of them.
    async fn upgrade(&self, side: Side) {
        let row = self.listed(side).await.expect("it is shown");
        match side {
            Side::Rancher => {
                let mut launch = row["launchConfig"].clone();
                launch["imageUuid"] = json!("sim:two");
                let strategy = json!({"inServiceStrategy": {"launchConfig": launch, "batchSize": 3}});
                self.w.act(text(&row, "id"), "upgrade", strategy).await.ok();
                self.w.wait(text(&row, "id"), "upgraded").await;
                self.w.act(text(&row, "id"), "finishupgrade", json!({})).await.ok();
            }
            Side::Docker => {
                let mut spec = row["Spec"].clone();
                spec["TaskTemplate"]["ContainerSpec"]["Image"] = json!("sim:two");
                self.update(&row, spec).await;
            }
            Side::Hyper => {
                let path = format!("/services/{}/update", text(&row, "Name"));
                let body = json!({"Replicas": null, "Image": "sim:two", "FIP": null});
                self.hyper.post(&self.w, &path, body).await.json(200);
            }
            Side::MedStack => {
                let path = format!("/services/{}", text(&row, "id"));
                self.medstack(Method::PATCH, &path, Some(json!({"value": {"image": "sim:two"}})))
                    .await;
            }
            Side::Bridgeport => {
                let path = format!("/services/{}/deploy", text(&row, "id"));
                let done = self
                    .bridgeport(Method::POST, &path, Some(json!({"imageTag": "two"})))
                    .await;
                assert_eq!(done["halted"], false, "{done:#}");
            }
        }
        self.rest().await;
    }

    /// All that show the service show it so, and it runs so.
    async fn is(&self, what: &str, image: &str, replicas: i64, hidden_from: &[Side]) {
        let wanted = Seen {
            image: image.to_owned(),
            replicas,
            environment: vec!["A=1=2".to_owned(), "B=".to_owned()],
        };
        for side in SIDES {
            let wanted = Some(&wanted).filter(|_| !hidden_from.contains(&side));
            assert_eq!(self.seen(side).await.as_ref(), wanted, "{what}, as {side:?} says");
        }
        let row = self.listed(Side::Rancher).await.expect("it is shown");
        assert_eq!(row["state"], "active", "{what}");
        let containers = self.w.containers(text(&row, "id")).await;
        let running = containers.iter().filter(|row| row["state"] == "running");
        let images: Vec<&str> = running.map(|row| text(row, "imageUuid")).collect();
        let whole = format!("docker:{image}");
        let is_it = |found: &&str| *found == image || *found == whole;
        assert!(
            images.len() as i64 == replicas && images.iter().all(is_it),
            "{what}: {images:?}"
        );
    }
}

/// Who does not show what another one made.
fn hidden_from(maker: Side) -> &'static [Side] {
    match maker {
        // There is no port that a balancer stands before.
        Side::Rancher | Side::Docker | Side::MedStack => &[Side::Hyper],
        // There are no words for the size of a container.
        Side::Hyper => &[Side::MedStack],
        // Neither that, nor words for a host that a container has to be on.
        Side::Bridgeport => &[Side::Hyper, Side::MedStack],
    }
}

#[actix_web::test]
async fn a_service_is_the_same_one_for_every_interface_that_shows_it() {
    for maker in SIDES {
        for changer in SIDES {
            let hidden = hidden_from(maker);
            if hidden.contains(&changer) {
                continue;
            }
            let table = Table::new().await;
            let count = table.make(maker).await;
            table.is(&format!("made by {maker:?}"), "sim:one", count, hidden).await;
            let count = table.scale(changer, count).await;
            let what = format!("made by {maker:?}, scaled by {changer:?}");
            table.is(&what, "sim:one", count, hidden).await;
            table.upgrade(changer).await;
            let what = format!("made by {maker:?}, upgraded by {changer:?}");
            table.is(&what, "sim:two", count, hidden).await;
        }
    }
}
