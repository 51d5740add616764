//! A database and an engine in words: names instead of ids, `v0`, `v1` instead of versions, no times.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::path::Path;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use drover::runtime::sim::Sim;
use drover::runtime::{Found, Life};
use serde_json::Value;

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    uuid: String,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Text)]
    health: String,
    #[diesel(sql_type = Text)]
    message: String,
    #[diesel(sql_type = Nullable<BigInt>)]
    parent_id: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    removed_ms: Option<i64>,
    #[diesel(sql_type = Text)]
    fields: String,
    #[diesel(sql_type = Text)]
    internal: String,
}

#[derive(QueryableByName)]
struct Open {
    #[diesel(sql_type = BigInt)]
    resource_id: i64,
    #[diesel(sql_type = Text)]
    process: String,
    #[diesel(sql_type = Text)]
    message: String,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// What stands beside the rows: references, proofs and settings.
const BESIDE: &str = "SELECT '[ref] ' || f.kind || ' ' || f.name || ' ' || field || ' ' || t.kind || ' ' || t.name AS line \
      FROM resource_ref JOIN resource f ON f.id = from_id JOIN resource t ON t.id = to_id \
    UNION ALL SELECT '[proof] ' || c.kind || ' of ' || r.kind || ' ' || r.name FROM credential c JOIN resource r ON r.id = resource_id \
    UNION ALL SELECT '[setting] ' || name || '=' || value FROM setting";

/// The rows, those of the audit log among them.
const ROWS: &str = "SELECT id, kind, name, uuid, state, health, message, parent_id, removed_ms, fields, internal FROM resource \
      JOIN resource_state ON resource_id = id \
    UNION ALL SELECT id, 'auditLog', '', '', '', '', '', NULL, NULL, '{\"eventType\":\"' || event_type || '\"}', '{}' FROM audit ORDER BY id";

/// Own fields that are the same in each run, by their JSON pointers.
const FIELDS: [&str; 17] = [
    "/scale",
    "/currentScale",
    "/createIndex",
    "/startCount",
    "/managed",
    "/privatePort",
    "/publicPort",
    "/protocol",
    "/imageUuid",
    "/launchConfig/imageUuid",
    "/secondaryLaunchConfigs/0/imageUuid",
    "/upgrade/inServiceStrategy/previousLaunchConfig/imageUuid",
    "/publicEndpoints/0/port",
    "/networkMode",
    "/eventType",
    "/description",
    "/path",
];

struct Picture {
    rows: Vec<Row>,
    open: Vec<Open>,
    beside: Vec<Line>,
}

fn read(file: &Path) -> Picture {
    with_database!(file, |conn| {
        let rows = diesel::sql_query(ROWS).load(conn).expect("rows");
        let open = diesel::sql_query("SELECT * FROM process_instance WHERE ended_ms IS NULL ORDER BY id")
            .load(conn)
            .expect("processes");
        let beside = diesel::sql_query(BESIDE).load(conn).expect("the other tables");
        Picture { rows, open, beside }
    })
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

fn is_container(row: &Row) -> bool {
    row.kind == "container"
}

/// A name as it is in each run: hosts of simulated agents are called by a uuid, volumes without a name by 64 digits, and
/// those of one container end with the uuid of its unit.
fn known(name: &str) -> String {
    if name.len() == 64 {
        return "(anonymous)".to_owned();
    }
    if let Some((before, unit)) = name.rsplit_once('_')
        && unit.len() == 36
        && unit.matches('-').count() == 4
    {
        return format!("{before}_(uuid)");
    }
    match name.split_once("testhost-") {
        Some((before, rest)) => format!("{before}testhost-(uuid){}", rest.get(36..).unwrap_or_default()),
        None => name.to_owned(),
    }
}

/// Whether a running container's health is not known yet.
pub fn awaits_health(file: &Path) -> bool {
    let waits = |r: &Row| {
        r.removed_ms.is_none() && is_container(r) && r.state == "running" && r.health.ends_with("initializing")
    };
    read(file).rows.iter().any(waits)
}

/// One line per row and per container of the engine, sorted.
pub fn dump(file: &Path, containers: &[Found]) -> String {
    let picture = read(file);
    let by_id: HashMap<i64, &Row> = picture.rows.iter().map(|r| (r.id, r)).collect();
    let mut versions: BTreeMap<String, usize> = BTreeMap::new();
    let mut version = |value: Option<&Value>| {
        let text = value.and_then(Value::as_str)?;
        let next = versions.len();
        Some(format!("v{}", versions.entry(text.to_owned()).or_insert(next)))
    };
    version(Some(&Value::String("0".into())));
    let mut lines = Vec::new();
    let mut names: HashMap<&str, String> = HashMap::new();
    for row in &picture.rows {
        let fields = json(&row.fields);
        // How things stood is said whenever a plan is made: whoever died makes one more.
        let event = fields.get("eventType").and_then(Value::as_str).unwrap_or_default();
        if row.kind == "serviceLog" && event.ends_with(".info") {
            continue;
        }
        // Services say which versions there were, oldest first.
        version(fields.pointer("/upgrade/inServiceStrategy/previousLaunchConfig/version"));
        let mut path = known(&row.name);
        let mut parent = row.parent_id;
        while let Some(above) = parent.and_then(|id| by_id.get(&id)) {
            path = format!("{}/{path}", above.name);
            parent = above.parent_id;
        }
        let mut line = format!("{} {path} {}", row.kind, row.state);
        // How much of it was left, and how ill, when somebody last looked at what is gone: that may differ.
        for (word, text) in [("health", &row.health), ("message", &row.message)] {
            if !text.is_empty() && row.removed_ms.is_none() {
                line.push_str(&format!(" {word}={text}"));
            }
        }
        for pointer in FIELDS
            .iter()
            .filter(|p| row.removed_ms.is_none() || **p != "/currentScale")
        {
            if let Some(value) = fields.pointer(pointer).filter(|v| !v.is_null()) {
                line.push_str(&format!(" {}={value}", pointer.trim_start_matches('/')));
            }
        }
        for pointer in ["/version", "/launchConfig/version"] {
            if let Some(version) = version(fields.pointer(pointer)) {
                line.push_str(&format!(" {}={version}", pointer.trim_start_matches('/')));
            }
        }
        if row.kind == "serviceExposeMap" {
            let of = fields["instanceId"]
                .as_str()
                .and_then(|w| w.trim_start_matches("1i").parse().ok())
                .and_then(|id: i64| by_id.get(&id));
            let of_version = of.and_then(|i| version(json(&i.fields).get("version")));
            line.push_str(&format!(
                " parked={} of={}@{}",
                fields["upgrade"],
                of.map_or("?", |i| &i.name),
                of_version.unwrap_or_default()
            ));
        }
        if is_container(row) {
            let notes = json(&row.internal);
            line.push_str(&format!(" index={} config={}", notes["index"], notes["config"]));
            names.insert(
                &row.uuid,
                format!("{path}@{}", version(fields.get("version")).unwrap_or_default()),
            );
        }
        lines.push(if row.removed_ms.is_some() {
            format!("(gone) {line}")
        } else {
            line
        });
    }
    for found in containers {
        let name = names.get(found.uuid.as_str()).map_or("(of no row)", String::as_str);
        lines.push(format!("[engine] {name} {:?}", found.life));
    }
    for process in &picture.open {
        let name = by_id.get(&process.resource_id).map_or("?", |r| r.name.as_str());
        lines.push(
            format!("[open] {} of {name}: {}", process.process, process.message)
                .trim_end()
                .to_owned(),
        );
    }
    lines.extend(
        picture
            .beside
            .iter()
            .map(|beside| beside.line.split(' ').map(known).collect::<Vec<_>>().join(" ")),
    );
    lines.sort();
    // Who heard no answer asks again, and that is written down again.
    let is_repeated = |line: &str| line.starts_with("auditLog") || line.starts_with("[ref] serviceLog");
    lines.dedup_by(|a, b| a == b && is_repeated(a));
    lines.join("\n")
}

/// The lines of one that the other has not.
pub fn difference(expected: &str, found: &str) -> String {
    let (mut lacking, mut extra): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), Vec::new());
    for line in found.lines() {
        match lacking.iter().position(|l| *l == line) {
            Some(at) => drop(lacking.remove(at)),
            None => extra.push(line),
        }
    }
    let mark = |sign: &str, lines: Vec<&str>| lines.iter().map(|l| format!("{sign} {l}\n")).collect::<String>();
    mark("-", lacking) + &mark("+", extra)
}

/// What must be so whenever nothing happens any more: nothing is open, and rows and engine tell the same.
pub fn check(file: &Path, containers: &[Found]) -> Result<(), String> {
    let picture = read(file);
    let mut wrong = Vec::new();
    wrong.extend(
        picture
            .open
            .iter()
            .map(|p| format!("{} of {} is open", p.process, p.resource_id)),
    );
    let live: Vec<&Row> = picture
        .rows
        .iter()
        .filter(|r| r.removed_ms.is_none() && is_container(r))
        .collect();
    let mut addresses = BTreeSet::new();
    for row in &live {
        let notes = json(&row.internal);
        let there = containers.iter().find(|c| c.uuid == row.uuid);
        let fits = match (row.state.as_str(), there.map(|c| c.life)) {
            ("running", Some(Life::Running)) | ("stopped", Some(Life::Exited | Life::Created)) | ("error", _) => true,
            ("stopped", None) => notes["is_made"] == false,
            _ => false,
        };
        if !fits {
            wrong.push(format!(
                "{} is {}, and on the engine {:?}",
                row.name,
                row.state,
                there.map(|c| c.life)
            ));
        }
        if let Some(ip) = notes["ip"].as_str() {
            if !addresses.insert(ip.to_owned()) {
                wrong.push(format!("{ip} is held twice"));
            }
            let shown = json(&row.fields)["primaryIpAddress"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            if row.state == "running" && shown != ip {
                wrong.push(format!("{} holds {ip} and shows {shown}", row.name));
            }
        }
    }
    for stray in containers.iter().filter(|c| !live.iter().any(|r| r.uuid == c.uuid)) {
        wrong.push(format!("{} is an orphan", stray.name));
    }
    for row in picture.rows.iter().filter(|r| r.removed_ms.is_none()) {
        let parent = row.parent_id.and_then(|id| picture.rows.iter().find(|r| r.id == id));
        if row.kind != "serviceLog" && parent.is_some_and(|p| p.removed_ms.is_some()) {
            wrong.push(format!(
                "{} {} outlives {}",
                row.kind,
                row.name,
                parent.map_or("?", |p| &p.name)
            ));
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n"))
    }
}

/// What name servers answer from, in short.
pub fn told(sim: &Sim) -> String {
    let mut text = String::new();
    for (project, address) in sim.name_server_addresses() {
        let _ = write!(text, "\nname server of {project} at {address}");
        let table = sim.name_table(&project).expect("it has a table");
        let mut lines: Vec<String> = table
            .containers
            .values()
            .map(|c| format!("  {} {}", c.name, c.state))
            .collect();
        lines.extend(table.services.values().map(|s| {
            let links: Vec<&String> = s.links.keys().collect();
            format!(
                "  service {} {} links {links:?} containers {}",
                s.name,
                s.state,
                s.containers.len()
            )
        }));
        lines.sort();
        lines.iter().for_each(|line| text += &format!("\n{line}"));
    }
    text
}

/// What begins the lines that are each database's own, and never change.
const IDENTITY: [&str; 2] = ["[setting] drover.key.check=", "[setting] install.uuid="];

/// These lines, of one database.
#[derive(Default)]
pub struct Identity(Vec<String>);

impl Identity {
    pub fn of(dump: &str) -> Self {
        let own = |line: &&str| IDENTITY.iter().any(|start| line.starts_with(start));
        let found: Vec<String> = dump.lines().filter(own).map(str::to_owned).collect();
        assert_eq!(found.len(), IDENTITY.len(), "{dump}");
        Self(found)
    }

    /// A dump as those of other databases are, as long as these lines are as they were.
    pub fn hide(&self, dump: String) -> String {
        self.0.iter().fold(dump, |dump, line| {
            let name = line.split_once('=').expect("a setting").0;
            dump.replace(line.as_str(), &format!("{name}=(its own)"))
        })
    }
}
