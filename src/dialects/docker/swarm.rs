//! The project as a swarm: what there is of one, and what of it can be changed.
//!
//! There is no store of a swarm's own and no authority behind it, so most of its settings have nothing to say here: those are
//! refused by their names, unless they are left as they are.

use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::caller::{Caller, Deed, given_labels};
use super::keys::canonical;
use super::query::Query;
use super::reader;
use super::record::{nanos, written};
use super::refusal::{Outcome, Refusal};
use crate::engine::FASTER;
use crate::model::{Error, Timestamp};

/// The field of a project that its settings are kept in. No view of Rancher's shows it.
const FIELD: &str = "dockerSwarm";
/// So many tasks of a slot that are gone are remembered, unless somebody says otherwise.
const HISTORY: i64 = 5;
/// The most that can be asked to be remembered.
const MOST_HISTORY: i64 = 1_000;
/// The only name there is.
const NAME: &str = "default";
/// What of a swarm can be set, and has an effect.
const SET: [&str; 3] = ["Name", "Labels", "Orchestration"];
/// What networks of containers are taken from, as a swarm writes it of itself.
const SUBNET_SIZE: u64 = 24;
/// The port of a swarm's own networks.
const DATA_PORT: u64 = 4_789;

/// What was set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Settings {
    /// One more with each write.
    index: u64,
    /// Milliseconds since 1970; 0 if nothing was written yet.
    updated_at: i64,
    labels: Value,
    /// How many tasks of a slot that are gone are remembered; below zero all of them.
    history: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            index: 1,
            updated_at: 0,
            labels: json!({}),
            history: HISTORY,
        }
    }
}

impl Settings {
    /// What is set for the caller's project.
    pub fn read(caller: &Caller) -> Outcome<Self> {
        let stored = caller.engine.project_field(&caller.scope, FIELD)?;
        Self::of(&stored)
    }

    fn of(stored: &Value) -> Outcome<Self> {
        match stored {
            Value::Null => Ok(Self::default()),
            stored => {
                let read = Self::deserialize(stored);
                Ok(read.map_err(|e| Error::internal("reading what is set of a swarm", e))?)
            }
        }
    }

    /// How many tasks of a slot that are gone are remembered.
    pub fn history(&self) -> usize {
        usize::try_from(self.history).unwrap_or(usize::MAX)
    }

    fn spec(&self) -> Value {
        json!({
            "Name": NAME, "Labels": self.labels, "Orchestration": {"TaskHistoryRetentionLimit": self.history},
            "Raft": {"SnapshotInterval": 10_000, "KeepOldSnapshots": 0, "LogEntriesForSlowFollowers": 500, "ElectionTick": 10,
                "HeartbeatTick": 1},
            "Dispatcher": {"HeartbeatPeriod": 5_000_000_000_i64}, "CAConfig": {"NodeCertExpiry": 7_776_000_000_000_000_i64},
            "TaskDefaults": {}, "EncryptionConfig": {"AutoLockManagers": false},
        })
    }
}

/// The swarm, as far as there is one: `GET /swarm` has its join tokens beside it, and here there are none to join by.
pub fn cluster(caller: &Caller) -> Outcome<Value> {
    let settings = Settings::read(caller)?;
    let project = caller.engine.find(&caller.scope, caller.scope.effective.id)?;
    let created = project.map_or(Timestamp(0), |project| project.created);
    let updated = match settings.updated_at {
        0 => created,
        at => Timestamp(at),
    };
    Ok(json!({
        "ID": caller.ids.of(caller.scope.effective.id), "Version": {"Index": settings.index}, "CreatedAt": nanos(created),
        "UpdatedAt": nanos(updated), "Spec": settings.spec(),
        "TLSInfo": {}, "RootRotationInProgress": false, "DefaultAddrPool": null, "SubnetSize": SUBNET_SIZE, "DataPathPort": DATA_PORT,
    }))
}

/// `GET /swarm`.
pub async fn inspect(caller: &Caller) -> Outcome<Value> {
    caller.may("host", Deed::Read)?;
    let mut swarm = cluster(caller)?;
    if let Some(swarm) = swarm.as_object_mut() {
        // Hosts join in another way, and by other tokens.
        swarm.insert("JoinTokens".into(), json!({"Worker": "", "Manager": ""}));
    }
    Ok(swarm)
}

/// `POST /swarm/…`: what is answered, if anything.
pub async fn asked(caller: &mut Caller, what: &str, query: &Query, sent: &[u8]) -> Outcome<Option<Value>> {
    match what {
        "init" => Ok(Some(init(caller, reader::body(sent, "swarm.InitRequest")?).await?)),
        "update" => {
            update(caller, query, reader::body(sent, "swarm.Spec")?).await?;
            Ok(None)
        }
        // Nothing is left, and whoever means it is content.
        "leave" if query.is_on("force") => Ok(None),
        "leave" => Err(is_last()),
        "join" => Err(is_in_one()),
        "unlock" => Err(Refusal::new(StatusCode::CONFLICT, "swarm is not locked")),
        _ => Err(Refusal::nowhere()),
    }
}

/// `POST /swarm/init`: there is a swarm already, and whoever asks for one as it is has it. The id of its first node.
async fn init(caller: &Caller, body: Value) -> Outcome<Value> {
    caller.may("host", Deed::Read)?;
    let body = canonical(body);
    let settings = Settings::read(caller)?;
    check_spec(body.get("Spec").unwrap_or(&Value::Null), &settings)?;
    if let Some(spec) = body.get("Spec").and_then(Value::as_object) {
        let asked = wanted(spec, &settings)?;
        let is_other = |key: &str| spec.get(key).is_some_and(|value| !says_nothing(value));
        if (is_other("Labels") && asked.labels != settings.labels)
            || (is_other("Orchestration") && asked.history != settings.history)
        {
            return Err(not_so(
                "Spec",
                "the swarm is there already, and is changed by /swarm/update",
            ));
        }
    }
    let as_is = json!({"SubnetSize": SUBNET_SIZE, "DataPathPort": DATA_PORT});
    for field in [
        "ForceNewCluster",
        "AutoLockManagers",
        "DefaultAddrPool",
        "SubnetSize",
        "DataPathPort",
    ] {
        let given = body.get(field).unwrap_or(&Value::Null);
        if !is_same(given, as_is.get(field)) {
            return Err(not_so(field, "the swarm is there already, and stays as it is"));
        }
    }
    let hosts = caller.lasting("host").await?;
    Ok(json!(
        hosts.first().map(|host| caller.ids.of(host.id)).unwrap_or_default()
    ))
}

/// `POST /swarm/update`.
async fn update(caller: &mut Caller, query: &Query, body: Value) -> Outcome<()> {
    caller.may("host", Deed::Update)?;
    let body = canonical(body);
    reader::check_types(&body, "Spec", &[("Name", "string"), ("Labels", "map[string]string")])?;
    let version = query.version("swarm")?;
    for rotated in ["rotateWorkerToken", "rotateManagerToken", "rotateManagerUnlockKey"] {
        let value = query.first(rotated).unwrap_or_default();
        let wrong = |_| Refusal::bad(format!("invalid value for {rotated}: {value}"));
        if query.truth(rotated).map_err(wrong)? {
            return Err(not_so(rotated, "hosts join by other tokens, and nothing is locked"));
        }
    }
    let stored = caller.engine.project_field(&caller.scope, FIELD)?;
    let settings = Settings::of(&stored)?;
    check_spec(&body, &settings)?;
    let spec = body.as_object().cloned().unwrap_or_default();
    let asked = wanted(&spec, &settings)?;
    if version != settings.index {
        return Err(Refusal::stale());
    }
    let now = Settings {
        index: settings.index + 1,
        updated_at: caller.engine.now().0,
        ..asked
    };
    let project = caller.engine.registry().find_type("project").cloned();
    let project = project.ok_or_else(|| Error::bug("a type is not there"))?;
    let row = caller.engine.find(&caller.scope, caller.scope.effective.id)?;
    caller.note(&project, row.as_deref(), "update", &crate::engine::Input::new());
    let write = caller
        .engine
        .write_project_field(&caller.scope, FIELD, stored, written(&now)?);
    match write.await {
        Ok(_) => Ok(()),
        Err(error) if error.code.as_deref() == Some(FASTER) => Err(Refusal::stale()),
        Err(error) => Err(error.into()),
    }
}

/// What a description asks for; what it leaves out is as it is at first.
fn wanted(spec: &Map<String, Value>, settings: &Settings) -> Outcome<Settings> {
    let name = spec.get("Name").and_then(Value::as_str).unwrap_or_default();
    if !matches!(name, "" | NAME) {
        return Err(Refusal::bad(format!("swarm spec must be named {NAME:?}")));
    }
    let orchestration = spec.get("Orchestration").and_then(Value::as_object);
    let history = match orchestration.and_then(|own| own.get("TaskHistoryRetentionLimit")) {
        None | Some(Value::Null) => HISTORY,
        Some(limit) => {
            let limit = limit.as_i64().filter(|limit| *limit <= MOST_HISTORY);
            limit.ok_or_else(|| {
                Refusal::argument(format!(
                    "Orchestration.TaskHistoryRetentionLimit: a whole number, and at most {MOST_HISTORY}"
                ))
            })?
        }
    };
    Ok(Settings {
        labels: given_labels(&Value::Object(spec.clone()))?,
        history,
        ..settings.clone()
    })
}

/// Refuses what has nothing to say here and is not as it is.
fn check_spec(spec: &Value, settings: &Settings) -> Outcome<()> {
    let own = settings.spec();
    for (key, given) in spec
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| !SET.contains(&key.as_str()))
    {
        check_part(key, given, own.get(key))?;
    }
    Ok(())
}

fn check_part(path: &str, given: &Value, own: Option<&Value>) -> Outcome<()> {
    if is_same(given, own) {
        return Ok(());
    }
    match given.as_object() {
        Some(members) => members.iter().try_for_each(|(key, value)| {
            let within = own.and_then(|own| own.get(key));
            check_part(&format!("{path}.{key}"), value, within)
        }),
        None => Err(not_so(path, "a swarm's own store, network and authority are not here")),
    }
}

/// Whether something is left as it is: nothing, and what is as good, is what there is at first.
fn is_same(given: &Value, own: Option<&Value>) -> bool {
    says_nothing(given) || own == Some(given)
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.is_empty(),
        Value::Bool(true) => false,
    }
}

fn not_so(field: &str, why: &str) -> Refusal {
    Refusal::not_built(format!("{field}: {why}"))
}

/// Of `POST /swarm/join`: this is one swarm, and stays in it.
fn is_in_one() -> Refusal {
    let words =
        "This node is already part of a swarm. Use \"docker swarm leave\" to leave this swarm and join another one.";
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, words)
}

/// Of `POST /swarm/leave` by one who does not insist.
fn is_last() -> Refusal {
    let words = "You are attempting to leave the swarm on a node that is participating as a manager. Removing the last manager erases all \
                 current state of the swarm. Use `--force` to ignore this message. ";
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, words)
}
