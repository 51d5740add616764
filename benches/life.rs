//! Starting, staying small, and running containers: simulated ones, and real ones where there is an engine.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::fill::Filled;
use super::http::drover;
use super::load;
use super::machine::{Cores, Server, median};
use super::report::{Figure, Limit};

/// From the start of the program to its first answer, on a database with many rows; and its memory then.
pub fn cold_start(folder: &Path, filled: &Filled) -> Vec<Figure> {
    let rows = filled.containers.len() + filled.objects.len();
    let folder = folder.display().to_string();
    let arguments = [
        "serve",
        "--listen",
        "{address}",
        "--data-dir",
        &folder,
        "--docker",
        "none",
        "--log",
        "error",
    ];
    let request = load::get(&format!(
        "/v2-beta/containers/1i{}",
        filled.containers[filled.containers.len() / 2]
    ));
    let (mut took, mut used) = (Vec::new(), Vec::new());
    let mut memory = f64::NAN;
    for _ in 0..9 {
        let began = Instant::now();
        let server = Server::spawn(Path::new(env!("CARGO_BIN_EXE_drover")), &arguments, Cores::All);
        while std::net::TcpStream::connect(server.address).is_err() {
            assert!(began.elapsed() < Duration::from_secs(60), "drover does not start");
            std::thread::sleep(Duration::from_micros(200));
        }
        let (status, text) = load::once(server.address, &request);
        assert_eq!(status, 200, "{text}");
        took.push(began.elapsed().as_secs_f64() * 1000.0);
        used.push(server.cpu_of_threads() * 1000.0);
        std::thread::sleep(Duration::from_millis(1000));
        memory = server.own_memory();
    }
    let first = took.first().copied().unwrap_or_default();
    vec![
        Figure {
            name: format!("start to first answer, {rows} rows"),
            value: Some(median(&mut took)),
            unit: " ms",
            limit: Limit::AtMost(25.0, 15.0),
            from: format!(
                "median of {}; the first took {first:.1} ms, the longest {:.1} ms",
                took.len(),
                took.last().unwrap_or(&0.0)
            ),
        },
        Figure {
            name: "processor time of that".into(),
            value: Some(median(&mut used)),
            unit: " ms",
            limit: Limit::AtMost(25.0, 15.0),
            from: format!("median of {}, all threads", used.len()),
        },
        Figure {
            name: "memory at rest".into(),
            value: Some(memory),
            unit: " MiB",
            limit: Limit::AtMost(40.0, 16.0),
            from: "RssAnon a second after the first answer".into(),
        },
    ]
}

/// A client of the default project.
pub struct Client(pub SocketAddr);

impl Client {
    pub fn ask(&self, request: &[u8]) -> Value {
        let (status, text) = load::once(self.0, request);
        assert!((200..300).contains(&status), "{status}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    pub fn get(&self, path: &str) -> Value {
        self.ask(&load::get(&format!("/v2-beta/projects/1a5/{path}")))
    }

    pub fn post(&self, path: &str, body: &Value) -> Value {
        self.ask(&load::post(&format!("/v2-beta/projects/1a5/{path}"), &body.to_string()))
    }

    /// The same anywhere.
    pub fn post_to(&self, path: &str, body: &Value) -> Value {
        self.ask(&load::post(path, &body.to_string()))
    }

    /// Asks for a row until it is in a state; how long that took.
    pub fn wait(&self, path: &str, state: &str, every: Duration) -> Duration {
        let began = Instant::now();
        loop {
            let row = self.get(path);
            if row["state"] == state {
                return began.elapsed();
            }
            assert!(
                began.elapsed() < Duration::from_secs(300),
                "{path} does not become {state}: {row}"
            );
            std::thread::sleep(every);
        }
    }

    /// A service in a stack of its own.
    pub fn service(&self, scale: u32, image: &str) -> String {
        let nth = self.get("stacks?limit=1000")["data"].as_array().map_or(0, Vec::len);
        let stack = self.post("stacks", &json!({"name": format!("bench-{scale}-{nth}")}));
        let mut launch = json!({"imageUuid": image, "command": ["sleep", "1000"]});
        if image.starts_with("docker:") {
            // As the floor does it.
            launch["networkMode"] = json!("bridge");
        }
        let body = json!({"name": "web", "stackId": stack["id"], "scale": scale, "startOnCreate": true, "launchConfig": launch});
        let service = self.post("services", &body);
        format!("services/{}", service["id"].as_str().expect("an id"))
    }
}

/// So many containers are upgraded.
const SCALE: u32 = 1000;

/// A service of a thousand simulated containers: first start and upgrade in one batch.
pub fn simulated(folder: &Path) -> Vec<Figure> {
    std::fs::create_dir_all(folder).expect("a writable folder");
    let server = drover(folder, Cores::All);
    let client = Client(server.address);
    let pause = Duration::from_millis(20);
    let seconds = |name: String, value: f64, limit, cpu: f64, written: u64| Figure {
        name,
        value: Some(value),
        unit: " s",
        limit,
        from: format!(
            "{cpu:.2} CPU seconds, {:.1} KB written per container",
            written as f64 / 1000.0 / f64::from(SCALE)
        ),
    };
    let (cpu, written) = (server.cpu(), server.written());
    let began = Instant::now();
    let service = client.service(SCALE, "sim:web");
    client.wait(&service, "active", pause);
    let up = began.elapsed().as_secs_f64();
    let first = seconds(
        format!("first start of {SCALE} simulated containers"),
        up,
        Limit::None,
        server.cpu() - cpu,
        server.written() - written,
    );
    let mut upgrades = Vec::new();
    let (mut cpus, mut bytes) = (0.0, 0);
    for round in 1..=3 {
        let (cpu, written) = (server.cpu(), server.written());
        let began = Instant::now();
        let strategy = json!({"batchSize": SCALE, "intervalMillis": 100, "launchConfig": {"imageUuid": format!("sim:web:{round}")}});
        client.post(
            &format!("{service}?action=upgrade"),
            &json!({ "inServiceStrategy": strategy }),
        );
        client.wait(&service, "upgraded", pause);
        upgrades.push(began.elapsed().as_secs_f64());
        (cpus, bytes) = (server.cpu() - cpu, server.written() - written);
        client.post(&format!("{service}?action=finishupgrade"), &json!({}));
        client.wait(&service, "active", pause);
    }
    let upgrade = seconds(
        format!("upgrade of {SCALE} simulated containers"),
        median(&mut upgrades),
        Limit::AtMost(5.0, 1.0),
        cpus,
        bytes,
    );
    vec![first, upgrade]
}

/// The image of real containers: the live tests' own.
pub const IMAGE: &str = "drover-test/busybox:1";
/// Real containers of the second figure.
const MANY: u32 = 50;

pub fn skipped(name: &str, unit: &'static str, limit: Limit) -> Figure {
    Figure {
        name: name.into(),
        value: None,
        unit,
        limit,
        from: "skipped, no Docker (DROVER_TEST_DOCKER is not set)".into(),
    }
}

/// Real containers, over what Docker itself takes for them.
pub fn real(folder: &Path) -> Vec<Figure> {
    let names = [
        "container created to running, over Docker's own time",
        "50 containers up / Docker's own time",
    ];
    let limits = [Limit::AtMost(30.0, 10.0), Limit::AtMost(1.25, 1.05)];
    let Some(url) = std::env::var("DROVER_TEST_DOCKER").ok().filter(|u| !u.is_empty()) else {
        return vec![skipped(names[0], " ms", limits[0]), skipped(names[1], "x", limits[1])];
    };
    std::fs::create_dir_all(folder).expect("a writable folder");
    let docker = Docker::connect(&url);
    let data = folder.display().to_string();
    let arguments = [
        "serve",
        "--listen",
        "{address}",
        "--data-dir",
        &data,
        "--docker",
        &url,
        "--log",
        "error",
    ];
    let server = Server::start(Path::new(env!("CARGO_BIN_EXE_drover")), &arguments, Cores::All);
    let client = Client(server.address);
    let (mut own, mut ours) = (Vec::new(), Vec::new());
    for round in 0..12 {
        own.push(docker.one(&format!("bench-floor-{round}")).as_secs_f64() * 1000.0);
        let body = json!({
            "name": format!("bench-{round}"), "imageUuid": format!("docker:{IMAGE}"), "command": ["sleep", "1000"], "networkMode": "bridge"
        });
        let began = Instant::now();
        let container = client.post("containers", &body);
        let path = format!("containers/{}", container["id"].as_str().expect("an id"));
        client.wait(&path, "running", Duration::from_millis(1));
        ours.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    let (own_one, ours_one) = (median(&mut own), median(&mut ours));
    let own_many = docker.many(MANY).as_secs_f64();
    let began = Instant::now();
    let service = client.service(MANY, &format!("docker:{IMAGE}"));
    client.wait(&service, "active", Duration::from_millis(5));
    let ours_many = began.elapsed().as_secs_f64();
    drop(server);
    docker.clean();
    vec![
        Figure {
            name: names[0].into(),
            value: Some(ours_one - own_one),
            unit: " ms",
            limit: limits[0],
            from: format!("{ours_one:.0} ms, Docker {own_one:.0} ms"),
        },
        Figure {
            name: names[1].into(),
            value: Some(ours_many / own_many),
            unit: "x",
            limit: limits[1],
            from: format!("{ours_many:.1} s, Docker {own_many:.1} s"),
        },
    ]
}

/// The engine itself, spoken to as Drover does.
struct Docker {
    client: bollard::Docker,
    runtime: tokio::runtime::Runtime,
}

/// So many creations at a time: what Drover does.
const AT_A_TIME: usize = 8;

impl Docker {
    fn connect(url: &str) -> Self {
        let client = match url.strip_prefix("unix://") {
            Some(path) => bollard::Docker::connect_with_unix(path, 120, bollard::API_DEFAULT_VERSION),
            None => bollard::Docker::connect_with_http(url, 120, bollard::API_DEFAULT_VERSION),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        Self {
            client: client.expect("an engine"),
            runtime,
        }
    }

    async fn run(&self, name: &str) {
        use bollard::models::{ContainerCreateBody, HostConfig};
        use bollard::query_parameters::{
            CreateContainerOptionsBuilder, InspectContainerOptions, StartContainerOptions,
        };
        let body = ContainerCreateBody {
            image: Some(IMAGE.into()),
            cmd: Some(vec!["sleep".into(), "1000".into()]),
            labels: Some([("drover.bench".to_owned(), "1".to_owned())].into()),
            host_config: Some(HostConfig {
                network_mode: Some("bridge".into()),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptionsBuilder::new().name(name).build();
        self.client
            .create_container(Some(options), body)
            .await
            .expect("a container");
        self.client
            .start_container(name, None::<StartContainerOptions>)
            .await
            .expect("a start");
        self.client
            .inspect_container(name, None::<InspectContainerOptions>)
            .await
            .expect("a look");
    }

    fn one(&self, name: &str) -> Duration {
        let began = Instant::now();
        self.runtime.block_on(self.run(name));
        began.elapsed()
    }

    fn many(&self, count: u32) -> Duration {
        use futures_util::StreamExt as _;
        let began = Instant::now();
        let all = (0..count).map(|n| async move { self.run(&format!("bench-many-{n}")).await });
        self.runtime
            .block_on(futures_util::stream::iter(all).for_each_concurrent(AT_A_TIME, |one| one));
        began.elapsed()
    }

    /// Removes what was made here; the engine is the benchmark's own.
    fn clean(&self) {
        use bollard::query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder};
        self.runtime.block_on(async {
            let all = self
                .client
                .list_containers(Some(ListContainersOptionsBuilder::new().all(true).build()))
                .await
                .unwrap_or_default();
            for container in all {
                let names = container.names.unwrap_or_default();
                if names.iter().any(|n| n.starts_with("/bench-")) {
                    let options = RemoveContainerOptionsBuilder::new().force(true).build();
                    let _ = self
                        .client
                        .remove_container(&container.id.unwrap_or_default(), Some(options))
                        .await;
                }
            }
        });
    }
}
