//! Databases full of rows, made by the library as the server would make them, only many per transaction.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use drover::engine::{Engine, EngineConfig};
use drover::keyfile;
use drover::model::time::SystemClock;
use drover::model::{Fields, ResourceId, Result, State};
use drover::schema::{Registry, layout};
use drover::secret::Keeper;
use drover::store::{LayoutOf, NewResource, Priority, Store, StoreConfig};
use serde_json::{Value, json};

/// So many projects share the rows.
pub const PROJECTS: u64 = 50;

/// Rows of one transaction.
const CHUNK: u64 = 500;

/// What a database was filled with.
pub struct Filled {
    /// The projects.
    pub projects: Vec<i64>,
    pub containers: Vec<i64>,
    pub objects: Vec<i64>,
    pub took: Duration,
}

struct Packing(Arc<Registry>);

impl LayoutOf for Packing {
    fn pack(&self, root: &str, kind: &str, fields: &Fields) -> Result<(String, String)> {
        let ty = self.0.type_of(root, kind).expect("a known type");
        Ok(layout::pack(ty, fields))
    }

    fn sample(&self) -> Vec<u8> {
        layout::sample(self.0.types.values().map(|ty| &**ty))
    }
}

/// The fields of a container of some service, as an engine would have filled them.
pub fn container(number: u64) -> Value {
    json!({
        "imageUuid": "docker:registry.example.org/shop/web:2026.11.3",
        "command": ["serve", "--workers", "4"],
        "environment": {"DATABASE_URL": "postgres://shop@db.shop/shop", "LOG_LEVEL": "info", "FEATURE_FLAGS": "checkout,search,reviews"},
        "labels": {
            "io.rancher.stack.name": "shop", "io.rancher.stack_service.name": "shop/web",
            "io.rancher.service.deployment.unit": format!("0192f0aa-7c11-7d2e-9a55-{number:012x}"),
            "io.rancher.service.launch.config": "io.rancher.service.primary.launch.config",
            "io.rancher.container.name": format!("shop-web-{number}"), "tier": "front"
        },
        "networkMode": "managed", "primaryIpAddress": format!("10.42.{}.{}", number / 250 % 250, number % 250 + 2),
        "externalId": format!("{number:064x}"), "deploymentUnitUuid": format!("0192f0aa-7c11-7d2e-9a55-{number:012x}"),
        "ports": ["8080:80/tcp"], "restartPolicy": {"name": "always"}, "startCount": 1, "createIndex": number, "version": "0",
        "startOnCreate": true, "stdinOpen": true, "tty": true, "memory": 268_435_456, "cpuShares": 512,
        "firstRunning": "2026-11-20T10:00:00Z", "dataVolumes": ["/var/lib/shop"], "hostname": format!("shop-web-{number}")
    })
}

/// A plain object whose answer has about 1.8 KB.
pub fn object(number: u64) -> Value {
    let mut data = container(number);
    data["description"] = json!("x".repeat(100));
    json!({"key": format!("object-{number}"), "resourceData": data})
}

/// The store alone, without an engine.
pub fn store(config: &StoreConfig, registry: Arc<Registry>) -> Store {
    let opened = Store::open(
        config,
        Arc::new(SystemClock),
        Arc::new(Packing(registry)),
        Box::new(|_| {}),
        None,
    );
    opened.expect("the database").0
}

fn fields(value: Value) -> Fields {
    Fields::parse(&value.to_string()).expect("an object")
}

/// Makes `folder/drover.db` with `rows` rows, half of them containers.
pub fn drover(folder: &Path, rows: u64) -> Filled {
    let started = Instant::now();
    std::fs::create_dir_all(folder).expect("a writable folder");
    let config = StoreConfig::new(folder.join("drover.db"));
    let registry = Arc::new(Registry::load(None).expect("schemas that fit"));
    let clock = Arc::new(SystemClock);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        // As the server will find it.
        let key = keyfile::find(folder, None).expect("a key");
        key.keep().expect("a writable folder");
        let with_key = EngineConfig {
            secrets: Arc::new(Keeper::new(&key.bytes)),
            ..EngineConfig::default()
        };
        let opened = Engine::open(registry.clone(), &config, clock.clone(), with_key, None).expect("a new database");
        opened.engine.prepare().await.expect("seeds");
        opened.engine.close();
        let store = store(&config, registry.clone());
        let root = |kind: &str| registry.find_type(kind).expect("a known type").root.clone();
        let (account, instance) = (root("project"), root("container"));
        let projects: Vec<i64> = store
            .write(Priority::Background, move |tx| {
                let project = |n| NewResource {
                    root: account.clone(),
                    kind: "project".into(),
                    name: format!("project {n}"),
                    state: State::ACTIVE,
                    health: "healthy".into(),
                    ..NewResource::default()
                };
                (0..PROJECTS)
                    .map(|n| tx.insert(project(n)).map(|row| row.id.0))
                    .collect()
            })
            .await
            .expect("projects");
        let mut filled = Filled {
            projects: projects.clone(),
            containers: Vec::new(),
            objects: Vec::new(),
            took: Duration::ZERO,
        };
        let mut waiting = std::collections::VecDeque::new();
        for first in (0..rows).step_by(CHUNK as usize) {
            let last = (first + CHUNK).min(rows);
            let new: Vec<NewResource> = (first..last)
                .map(|number| {
                    let is_container = number % 2 == 0;
                    // Neighbours belong to the same project: their rows lie together, as a service's do.
                    let project = projects[(number / 2 / 100 % PROJECTS) as usize];
                    let (root, kind, state) = if is_container {
                        (instance.as_str(), "container", "stopped")
                    } else {
                        ("genericObject", "genericObject", "active")
                    };
                    NewResource {
                        root: root.into(),
                        kind: kind.into(),
                        account_id: Some(ResourceId(project)),
                        name: format!("shop-web-{number}"),
                        state: State::of(state),
                        fields: fields(if is_container {
                            container(number)
                        } else {
                            object(number)
                        }),
                        ..NewResource::default()
                    }
                })
                .collect();
            waiting.push_back(tokio::spawn({
                let store = store.clone();
                async move {
                    store
                        .write(Priority::Background, move |tx| {
                            new.into_iter()
                                .map(|row| tx.insert(row).map(|r| (r.kind == "container", r.id.0)))
                                .collect::<Result<Vec<_>>>()
                        })
                        .await
                }
            }));
            while waiting.len() > 4 || last == rows && !waiting.is_empty() {
                let made = waiting
                    .pop_front()
                    .expect("one that waits")
                    .await
                    .expect("no panic")
                    .expect("rows");
                for (is_container, id) in made {
                    if is_container {
                        filled.containers.push(id)
                    } else {
                        filled.objects.push(id)
                    }
                }
            }
        }
        store.close();
        filled.took = started.elapsed();
        filled
    })
}
