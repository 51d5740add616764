//! From a service in MedStack Control's words to one in the engine's own: a launch configuration, a scale, and what it says of
//! itself to balancers.

use serde_json::{Map, Value, json};

use super::placement::{Hosts, rules};
use super::refusal::{Form, Outcome, Refusal};
use super::spec::{File, Spec};
use super::words;
use crate::model::launch::{LABEL_HOST, LABEL_HOST_NE};
use crate::model::own_labels::CONFIG;
use crate::model::secret_reference::place_of;

/// The label by which the balancer of domains finds services, and what it says.
pub const ROUTER: (&str, &str) = ("io.drover.router", "medstack");
/// How often a container is asked how it is, and how long an answer may take, where nothing else is said; in seconds.
const CHECKED_EVERY: i64 = 10;
const ANSWERED_WITHIN: i64 = 5;
/// So many good answers in a row, and so many bad ones, say how a container is.
const GOOD: i64 = 1;
const BAD: i64 = 3;
/// The mode of a file that says none.
const READABLE: u32 = 0o444;
/// Modes that are so usual in decimal digits that these are not octal ones: 0644, 0444, 0600, 0400.
const DECIMAL: [u32; 4] = [420, 292, 384, 256];

/// What other rows are called.
pub trait Others: Hosts {
    /// The secret of a name or an id, as a reference has it.
    fn secret(&self, name: &str) -> Option<String>;
    /// The name of the config with a name or an id.
    fn config(&self, name: &str) -> Option<String>;
    /// The name of the volume with an id; a name is its own, whether there is such a volume or not.
    fn volume(&self, source: &str) -> String;
    /// Whether there are simulated hosts, which images of theirs are for.
    fn simulates(&self) -> bool;
}

/// A service in the engine's words.
#[derive(Debug, Clone, PartialEq)]
pub struct Native {
    /// Its launch configuration.
    pub launch: Map<String, Value>,
    /// What it says of itself to balancers; null is nothing.
    pub routes: Value,
}

/// What `spec` is here.
///
/// # Errors
/// 400 for what is not there, and for what cannot be done.
pub fn project(spec: &Spec, others: &dyn Others) -> Outcome<Native> {
    let mut launch = Map::new();
    let mut labels = Map::from_iter([(ROUTER.0.to_owned(), json!(ROUTER.1))]);
    let image = match others.simulates() && spec.image.starts_with("sim:") {
        true => spec.image.clone(),
        false => format!("docker:{}", spec.image),
    };
    launch.insert("imageUuid".into(), json!(image));
    for (field, line) in [("entryPoint", &spec.command), ("command", &spec.args)] {
        let words = words::split(line).unwrap_or_default();
        if !words.is_empty() {
            launch.insert(field.into(), json!(words));
        }
    }
    let variables = spec.environment_variables.iter();
    let environment: Map<String, Value> = variables.map(|one| (one.key.clone(), json!(one.value))).collect();
    if !environment.is_empty() {
        launch.insert("environment".into(), Value::Object(environment));
    }
    put_mounts(&mut launch, spec, others);
    put_secrets(&mut launch, spec, others)?;
    put_configs(&mut labels, spec, others)?;
    put_check(&mut launch, spec);
    let places = rules(&spec.placement_constraints, others)?;
    for (label, all) in [(LABEL_HOST, places.with), (LABEL_HOST_NE, places.without)] {
        if !all.is_empty() {
            labels.insert(label.into(), json!(all.join(",")));
        }
    }
    launch.insert("labels".into(), Value::Object(labels));
    Ok(Native {
        launch,
        routes: routes(spec),
    })
}

/// What it says of itself to balancers: a rule for each domain.
fn routes(spec: &Spec) -> Value {
    let rules = spec
        .hosts
        .iter()
        .map(|host| json!({"hostname": host, "targetPort": spec.port}));
    let rules: Vec<Value> = rules.collect();
    match rules.is_empty() {
        true => Value::Null,
        false => json!({"portRules": rules}),
    }
}

fn put_mounts(launch: &mut Map<String, Value>, spec: &Spec, others: &dyn Others) {
    let volumes = spec.mounts.iter().map(|mount| {
        let suffix = if mount.readonly { ":ro" } else { "" };
        format!("{}:{}{suffix}", others.volume(&mount.source), mount.target)
    });
    let volumes: Vec<String> = volumes.collect();
    if !volumes.is_empty() {
        launch.insert("dataVolumes".into(), json!(volumes));
    }
}

/// The mode of a file: in octal digits, unless it cannot be, or is one of the usual decimal ones. None for what is no mode.
pub fn mode_of(text: &str) -> Option<u32> {
    let decimal = text
        .parse()
        .ok()
        .filter(|mode| DECIMAL.contains(mode) || text.contains(['8', '9']));
    let mode = match text {
        "" => Some(READABLE),
        text if text.chars().all(|c| c.is_ascii_digit()) => decimal.or_else(|| u32::from_str_radix(text, 8).ok()),
        _ => None,
    };
    mode.filter(|mode| *mode <= 0o7777)
}

fn missing(list: &str, what: &str, name: &str) -> Refusal {
    Refusal::field(Form::Prefixed, list, &format!("has no {what} called {name}"))
}

fn no_file(list: &str, file: &File) -> Refusal {
    let why = format!("file_name {:?} is no path that a file can have", file.file_name);
    Refusal::field(Form::Prefixed, list, &why)
}

/// Secrets are files below `/run/secrets`, or where they say.
fn put_secrets(launch: &mut Map<String, Value>, spec: &Spec, others: &dyn Others) -> Outcome<()> {
    let mut secrets = Vec::new();
    for file in &spec.secrets {
        let secret = others
            .secret(&file.name)
            .ok_or_else(|| missing("secrets", "secret", &file.name))?;
        place_of(&file.file_name).ok_or_else(|| no_file("secrets", file))?;
        secrets.push(json!({
            "secretId": secret, "name": file.file_name, "uid": file.uid.to_string(), "gid": file.gid.to_string(),
            "mode": format!("{:o}", mode_of(&file.mode).unwrap_or(READABLE)),
        }));
    }
    if !secrets.is_empty() {
        launch.insert("secrets".into(), Value::Array(secrets));
    }
    Ok(())
}

/// Configs are files below the root, by labels that say which.
fn put_configs(labels: &mut Map<String, Value>, spec: &Spec, others: &dyn Others) -> Outcome<()> {
    for file in &spec.configs {
        let config = others
            .config(&file.name)
            .ok_or_else(|| missing("configs", "config", &file.name))?;
        let place = format!("/{}", file.file_name.trim_start_matches('/'));
        place_of(&place).ok_or_else(|| no_file("configs", file))?;
        let mode = mode_of(&file.mode).unwrap_or(READABLE);
        let value = format!("{config} uid={} gid={} mode={mode:o}", file.uid, file.gid);
        labels.insert(format!("{CONFIG}{place}"), json!(value));
    }
    Ok(())
}

/// The balancer sends nobody to a container that does not answer well, and nobody stops it.
fn put_check(launch: &mut Map<String, Value>, spec: &Spec) {
    let (Some(port), false) = (spec.port, spec.healthcheck_path.is_empty()) else {
        return;
    };
    let millis = |seconds: Option<i64>, default: i64| seconds.unwrap_or(default).saturating_mul(1_000);
    let interval = millis(spec.healthcheck_interval, CHECKED_EVERY);
    launch.insert(
        "healthCheck".into(),
        json!({
            "port": port, "requestLine": format!("GET {} HTTP/1.0", spec.healthcheck_path), "interval": interval,
            "responseTimeout": millis(spec.healthcheck_timeout, ANSWERED_WITHIN), "healthyThreshold": GOOD,
            "unhealthyThreshold": BAD, "strategy": "none",
        }),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_octal_unless_it_cannot_be() {
        for (text, mode) in [
            ("", Some(0o444)),
            ("400", Some(0o400)),
            ("0600", Some(0o600)),
            ("420", Some(0o644)),
            ("292", Some(0o444)),
            ("256", Some(0o400)),
            ("389", Some(389)),
            ("7777", Some(0o7777)),
            ("17777", None),
            ("rw", None),
            ("-1", None),
        ] {
            assert_eq!(mode_of(text), mode, "{text}");
        }
    }
}
