//! What access control costs: the same requests as in `http`, each with a key, for the view of every role.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Options;
use super::fill::{self, Filled, PROJECTS};
use super::http::{Side, compare, scattered, start_drover, start_floor};
use super::load::{self, Key};
use super::machine::{Cores, Server};
use super::report::{Figure, Limit};

/// How long a row may take to settle.
const PATIENCE: Duration = Duration::from_secs(30);

/// Somebody with a key, and where that key looks at a project.
struct Caller {
    role: &'static str,
    key: Key,
    /// What its URLs begin with.
    root: String,
}

/// Everything that is measured with access control on.
pub fn with_keys(options: &Options, folder: &Path, filled: &Filled) -> Vec<Figure> {
    let project = filled.projects[0];
    let superadmin = key("superadmin");
    let keys = [
        ("superadmin".to_owned(), superadmin.clone()),
        ("admin".to_owned(), key("admin")),
        (format!("1a{project}"), key("project")),
    ];
    let bootstrap: Vec<String> = keys
        .iter()
        .map(|(account, key)| format!("{account}={}:{}", key.access, key.secret))
        .collect();
    let mut arguments = vec!["--access-control", "on"];
    for one in &bootstrap {
        arguments.extend(["--bootstrap-key", one]);
    }
    let server = start_drover(&folder.join("small"), Cores::One, &arguments);
    let scope = format!("/v2-beta/projects/1a{project}");
    let mut callers = vec![
        Caller {
            role: "superadmin",
            key: superadmin.clone(),
            root: "/v2-beta".into(),
        },
        Caller {
            role: "admin",
            key: keys[1].1.clone(),
            root: "/v2-beta".into(),
        },
        Caller {
            role: "project",
            key: keys[2].1.clone(),
            root: scope.clone(),
        },
    ];
    callers.extend(members(&server, &superadmin, &scope));
    let mut figures = vec![first_use(&server, &callers)];
    // The rows of the one project that all callers can see.
    let of_project: Vec<i64> = own_rows(&filled.containers);
    let (file, documents) = (folder.join("floor-access.db"), of_project.len());
    let sample = get(
        &server,
        &format!("{scope}/containers/1i{}", of_project[0]),
        &callers[2].key,
    )
    .to_string();
    let rows = (0..documents as u64 * 4).map(|n| {
        (
            "container".to_owned(),
            (n % 4) as i64,
            "stopped".to_owned(),
            sample.clone(),
        )
    });
    let ids: Vec<i64> = super::floor::fill(&file, rows).into_iter().map(|(_, id)| id).collect();
    let base = start_floor(&file);
    for caller in &callers {
        let (rows, ids) = (&of_project, &ids);
        figures.push(compare(
            options,
            &format!("GET container by id with a key, {}", caller.role),
            &Side {
                server: &server,
                request: Box::new(move |n| {
                    load::get_as(
                        &format!("{}/containers/1i{}", caller.root, rows[scattered(n, rows.len())]),
                        &caller.key,
                    )
                }),
            },
            &Side {
                server: &base,
                request: Box::new(move |n| load::get(&format!("/documents/{}", ids[scattered(n, ids.len())]))),
            },
            Limit::AtLeast(0.6, 1.0),
        ));
        figures.push(compare(
            options,
            &format!("list of 100 with a key, {}", caller.role),
            &Side {
                server: &server,
                request: Box::new(move |_| {
                    load::get_as(
                        &format!("{}/containers?limit=100&state=stopped", caller.root),
                        &caller.key,
                    )
                }),
            },
            &Side {
                server: &base,
                request: Box::new(|n| {
                    load::get(&format!(
                        "/documents?kind=container&account={}&state=stopped",
                        scattered(n, 4)
                    ))
                }),
            },
            Limit::AtLeast(0.45, 0.7),
        ));
    }
    let sent = serde_json::to_string(&fill::object(7)).expect("plain values");
    let caller = &callers[2];
    figures.push(compare(
        options,
        "POST create with its audit row, durable, 32 in flight",
        &Side {
            server: &server,
            request: Box::new(|_| load::post_as(&format!("{}/genericobjects", caller.root), &sent, &caller.key)),
        },
        &Side {
            server: &base,
            request: Box::new(|_| load::post("/documents", &sample)),
        },
        Limit::None,
    ));
    figures
}

/// The rows of the first project: they were filled a hundred of a kind at a time, project after project.
fn own_rows(rows: &[i64]) -> Vec<i64> {
    rows.chunks(100).step_by(PROJECTS as usize).flatten().copied().collect()
}

/// Makes a member of the project for each role that there is.
fn members(server: &Server, superadmin: &Key, scope: &str) -> Vec<Caller> {
    let mut members = Vec::new();
    let mut callers = Vec::new();
    for role in ["owner", "member", "restricted", "readonly"] {
        let account = settled(
            server,
            superadmin,
            "/v2-beta/accounts",
            &json!({"name": role, "kind": "user"}),
        );
        let made = post(
            server,
            "/v2-beta/apikeys",
            &json!({"accountId": account["id"]}),
            superadmin,
        );
        let text = |field: &str| made[field].as_str().expect("a new key shows both halves").to_owned();
        callers.push(Caller {
            role,
            key: Key {
                access: text("publicValue"),
                secret: text("secretValue"),
            },
            root: scope.to_owned(),
        });
        members.push(json!({"externalId": account["id"], "externalIdType": "rancher_id", "role": role}));
    }
    let project = scope.rsplit('/').next().expect("a project");
    post(
        server,
        &format!("/v2-beta/projects/{project}?action=setmembers"),
        &json!({"members": members}),
        superadmin,
    );
    let started = Instant::now();
    while callers
        .iter()
        .any(|c| load::once(server.address, &load::get_as(&format!("{}/stacks", c.root), &c.key)).0 != 200)
    {
        assert!(started.elapsed() < PATIENCE, "the members are not let in");
        std::thread::sleep(Duration::from_millis(20));
    }
    callers
}

/// The longest first `GET schemas` of a role in this process, whose view nobody has asked for yet.
fn first_use(server: &Server, callers: &[Caller]) -> Figure {
    let mut longest = (Duration::ZERO, String::new());
    for caller in callers {
        for version in ["v1", "v2-beta"] {
            let path = format!("{}/schemas", caller.root.replace("v2-beta", version));
            let began = Instant::now();
            let (status, _) = load::once(server.address, &load::get_as(&path, &caller.key));
            assert_eq!(status, 200, "{path} as {}", caller.role);
            longest = longest.max((began.elapsed(), format!("{} {version}", caller.role)));
        }
    }
    Figure {
        name: "a role's first schemas".into(),
        value: Some(longest.0.as_secs_f64() * 1000.0),
        unit: " ms",
        limit: Limit::AtMost(20.0, 10.0),
        from: format!("the longest of {}: {}, transfer included", callers.len() * 2, longest.1),
    }
}

fn key(name: &str) -> Key {
    Key {
        access: format!("BENCH{}", name.to_uppercase()),
        secret: format!("secret-of-the-benchmark-for-{name}"),
    }
}

fn get(server: &Server, path: &str, key: &Key) -> Value {
    let (status, text) = load::once(server.address, &load::get_as(path, key));
    assert_eq!(status, 200, "{path}: {text}");
    serde_json::from_str(&text).expect("JSON")
}

fn post(server: &Server, path: &str, body: &Value, key: &Key) -> Value {
    let (status, text) = load::once(server.address, &load::post_as(path, &body.to_string(), key));
    assert!((200..300).contains(&status), "{path}: {status} {text}");
    serde_json::from_str(&text).expect("JSON")
}

/// A new row that has come to rest.
fn settled(server: &Server, key: &Key, path: &str, body: &Value) -> Value {
    let mut row = post(server, path, body, key);
    let started = Instant::now();
    while row["transitioning"] == "yes" {
        assert!(started.elapsed() < PATIENCE, "{row}");
        std::thread::sleep(Duration::from_millis(20));
        row = get(server, &format!("{path}/{}", row["id"].as_str().expect("an id")), key);
    }
    row
}
