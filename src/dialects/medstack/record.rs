//! What is kept of a service beyond the engine's own row, and the service as clients read it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::caller::{Caller, fields};
use super::project::{Others, ROUTER, project};
use super::references::Named;
use super::rollout::is_pace;
use super::spec::{File, Policy, Spec};
use super::synth::{Seen, overlay, synthesise};
use crate::model::{Error, Fields, Resource, Result};

/// The field of a service that it is kept in. No view of Rancher's shows it.
pub const FIELD: &str = "medstackSpec";

/// What clients wrote of a service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Kept {
    /// The service as given, and what it has by default.
    pub spec: Spec,
    /// What the engine calls it: under another name it was renamed elsewhere.
    pub native_name: String,
}

/// A service as it is now.
pub struct Service {
    /// Its row.
    pub row: Resource,
    /// What is kept of it, as it is stored.
    pub stored: Value,
    /// As clients read it.
    pub spec: Spec,
}

impl Service {
    /// Reads a row; none for a service that cannot be told here: of another kind, of the system, or with something that these words
    /// do not have.
    pub fn read(row: Resource, named: &Named) -> Result<Option<Self>> {
        if row.kind != "service" {
            return Ok(None);
        }
        let own = fields(&row)?;
        let seen = seen(&own)?;
        if own.read("system")?.unwrap_or(false) || seen.launch.is_empty() {
            return Ok(None);
        }
        let stored: Value = own.read(FIELD)?.unwrap_or_default();
        let now = synthesise(&seen, &named.secret_names());
        let spec = match &stored {
            Value::Null if is_total(&own, &seen, &now, named)? => Spec {
                name: row.name.clone(),
                ..now
            },
            Value::Null => return Ok(None),
            stored => {
                let kept = Kept::deserialize(stored).map_err(|e| Error::internal("reading a kept service", e))?;
                shown(&row, kept, now, named)
            }
        };
        Ok(Some(Self { row, stored, spec }))
    }

    /// As an object of an answer.
    pub fn to_json(&self, caller: &Caller, named: &Named) -> Value {
        let spec = &self.spec;
        let mut out = json!({
            "id": caller.ids.of("service", self.row.id),
            "object": "service",
            "name": spec.name,
            "image": spec.image,
            "replicas": spec.replicas,
            "command": spec.command,
            "args": spec.args,
            "hosts": spec.hosts,
            "protocol": spec.protocol,
            "healthcheck_path": spec.healthcheck_path,
            "secrets": files(&spec.secrets, |name| named.secret_id(name)),
            "configs": files(&spec.configs, |name| named.config_id(name)),
            "mounts": mounts(spec),
            "environment_variables": spec.environment_variables,
            "placement_constraints": spec.placement_constraints,
        });
        let Some(object) = out.as_object_mut() else { return out };
        let numbers = [
            ("port", spec.port.map(i64::from)),
            ("healthcheck_interval", spec.healthcheck_interval),
            ("healthcheck_timeout", spec.healthcheck_timeout),
        ];
        let numbers = numbers
            .into_iter()
            .filter_map(|(field, number)| Some((field.to_owned(), json!(number?))));
        object.extend(numbers);
        put_policy(object, "update", &spec.update);
        put_policy(object, "rollback", &spec.rollback);
        // A role reads only what its view of launch configurations shows.
        for (field, native) in [
            ("environment_variables", "environment"),
            ("command", "entryPoint"),
            ("args", "command"),
            ("mounts", "dataVolumes"),
            ("secrets", "secrets"),
            ("configs", "secrets"),
        ] {
            if !caller.shows(native) {
                object.shift_remove(field);
            }
        }
        out
    }
}

fn mounts(spec: &Spec) -> Vec<Value> {
    let mounts = spec.mounts.iter().map(
        |mount| json!({"type": "volume", "target": mount.target, "source": mount.source, "readonly": mount.readonly}),
    );
    mounts.collect()
}

/// Secrets or configs with their ids; one that is gone has none.
fn files(all: &[File], id: impl Fn(&str) -> Option<String>) -> Vec<Value> {
    let shown = all.iter().map(|file| {
        json!({
            "id": id(&file.name).unwrap_or_default(), "name": file.name, "file_name": file.file_name, "uid": file.uid,
            "gid": file.gid, "mode": file.mode,
        })
    });
    shown.collect()
}

fn put_policy(object: &mut Map<String, Value>, which: &str, policy: &Policy) {
    for (field, value) in [
        ("order", json!(policy.order)),
        ("delay", json!(policy.delay)),
        ("parallelism", json!(policy.parallelism)),
        ("failure_action", json!(policy.failure_action)),
        ("max_failure_ratio", json!(policy.max_failure_ratio)),
        ("monitor", json!(policy.monitor)),
    ] {
        object.insert(format!("{which}_{field}"), value);
    }
}

/// What of a row says how the service is.
pub fn seen(own: &Fields) -> Result<Seen> {
    Ok(Seen {
        launch: own.read("launchConfig")?.unwrap_or_default(),
        scale: own.read("scale")?.unwrap_or(1),
        routes: own.read("lbConfig")?.unwrap_or_default(),
    })
}

/// What is kept, with what was changed elsewhere.
fn shown(row: &Resource, kept: Kept, now: Spec, named: &Named) -> Spec {
    let mut spec = match project(&kept.spec, named) {
        // What it names is gone: nothing can be said of what it was made to be.
        Err(_) => Spec {
            replicas: now.replicas,
            ..kept.spec.clone()
        },
        Ok(native) => {
            let then = Seen {
                launch: native.launch,
                scale: kept.spec.replicas,
                routes: native.routes,
            };
            overlay(&kept.spec, &synthesise(&then, &named.secret_names()), now)
        }
    };
    if kept.native_name != row.name {
        spec.name = row.name.clone();
    }
    spec
}

/// Fields of launch configurations that say nothing where they have these values.
fn says_nothing(field: &str, value: &Value) -> bool {
    let is_empty = match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Number(number) => number.as_i64() == Some(0),
        Value::Bool(true) => false,
    };
    is_empty
        || matches!(
            (field, value.as_str()),
            ("type" | "kind" | "version", _)
                | ("networkMode", Some("managed"))
                | ("instanceTriggeredStop", Some("stop"))
        )
        || field == "startOnCreate" && *value == json!(true)
        || field == "vcpu" && *value == json!(1)
}

/// An object without what says nothing, whatever is in it.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(all) => {
            let all = all.iter().filter(|(field, value)| !says_nothing(field, value));
            let all = all.map(|(field, value)| (field.clone(), plain(value)));
            Value::Object(all.collect())
        }
        Value::Array(all) => Value::Array(all.iter().map(plain).collect()),
        other => other.clone(),
    }
}

/// Whether these words say all of a service that was made elsewhere: what they come to in the engine's words is what is there.
fn is_total(own: &Fields, seen: &Seen, now: &Spec, named: &Named) -> Result<bool> {
    let sidekicks: Vec<Value> = own.read("secondaryLaunchConfigs")?.unwrap_or_default();
    let has_more = ["selectorContainer", "selectorLink"]
        .into_iter()
        .any(|field| own.text(field).is_some_and(|t| !t.is_empty()));
    let policy: Value = own.read("scalePolicy")?.unwrap_or_default();
    if !sidekicks.is_empty() || has_more || !policy.is_null() {
        return Ok(false);
    }
    let Ok(mut native) = project(now, named) else {
        return Ok(false);
    };
    let mut launch = seen.launch.clone();
    for launch in [&mut native.launch, &mut launch] {
        if let Some(labels) = launch.get_mut("labels").and_then(Value::as_object_mut) {
            labels.retain(|label, _| label != ROUTER.0 && !is_pace(label));
        }
    }
    let same =
        |one: Map<String, Value>, other: Map<String, Value>| plain(&Value::Object(one)) == plain(&Value::Object(other));
    Ok(same(native.launch, launch) && plain(&native.routes) == plain(&seen.routes) && !named.simulates_other(now))
}

impl Named {
    /// Whether an image could be one of two: what begins as those of simulated hosts do, where there is none.
    fn simulates_other(&self, spec: &Spec) -> bool {
        spec.image.starts_with("sim:") && !self.simulates()
    }
}
