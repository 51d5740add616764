//! What a template on a server is in the engine's words: a launch configuration, and the upgrade that brings it there.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use url::Url;

use super::caller::{Caller, spec};
use super::fields::text;
use super::placed::Placed;
use super::refusal::{Outcome, Refusal};
use super::servers::Server;
use super::services::Template;
use super::things::Thing;
use super::{compose, elsewhere};
use crate::model::launch::LABEL_PULL_IMAGE;
use crate::model::own_labels::{FAILURE_ACTION, MONITOR};
use crate::model::{Resource, State};

/// Where a service of the engine's keeps which deployment it is.
pub const FIELD: &str = "bridgeportSpec";
/// How long a container without a health check has to stay up.
const STEADY: &str = "1000ms";
/// How long a probe may take, in milliseconds.
const PROBE_MS: i64 = 5_000;
/// The longest name of a service.
const LONGEST_NAME: usize = 63;

/// What is said at a deployment.
#[derive(Debug, Clone)]
pub struct Options {
    /// Another tag, which the template has from then on.
    pub tag: Option<String>,
    /// Whether the image is pulled though it is there.
    pub pulls: bool,
    /// Whether the files that it goes by are kept.
    pub keeps_files: bool,
}

/// A deployment that is ready to be asked for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The launch configuration.
    pub launch: Map<String, Value>,
    /// The image with its tag.
    pub image: String,
    /// The same without the tag.
    pub image_name: String,
    /// The tag.
    pub tag: String,
    /// The compose file.
    pub compose: String,
    /// All variables.
    pub env: Map<String, Value>,
    /// What stands in the file and has no effect.
    pub warnings: Vec<String>,
}

/// 400 for what is no name of a container.
pub fn check_name(name: &str) -> Outcome<()> {
    let is_known = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let begins_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    match begins_well && name.len() <= LONGEST_NAME && name.chars().all(is_known) {
        true => Ok(()),
        false => Err(Refusal::bad(
            "containerName",
            "A container's name has up to 63 letters, digits, _, . and -, and begins with a letter or a digit",
        )),
    }
}

/// A name as services and stacks may have it.
pub fn plain_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let replaced: String = name.chars().map(plain).take(LONGEST_NAME).collect();
    let mut out = replaced.trim_matches('-').to_owned();
    while out.contains("--") {
        out = out.replace("--", "-");
    }
    if out.is_empty() { "service".to_owned() } else { out }
}

/// What can be put in place of variables: the project's own, and what is said of the deployment.
pub struct Values {
    known: BTreeMap<String, String>,
    secrets: Vec<String>,
}

impl Values {
    /// Reads the variables and the names of secrets.
    pub async fn read(caller: &Caller<'_>) -> Outcome<Self> {
        let mut known = BTreeMap::new();
        for row in caller.lasting(Thing::Var.root()).await? {
            let kept = spec(&row)?;
            known.insert(row.name.clone(), text(&kept, "value").unwrap_or_default());
        }
        let secrets = caller.lasting("secret").await?;
        Ok(Self {
            known,
            secrets: secrets.into_iter().map(|row| row.name).collect(),
        })
    }

    /// The same with what is said of one deployment.
    pub fn of(&self, more: &[(&str, &str)]) -> BTreeMap<String, String> {
        let mut all = self.known.clone();
        all.extend(
            more.iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        all
    }

    /// 501 for a text that names a secret, or the files of a service.
    pub fn check(&self, field: &str, words: &str) -> Outcome<()> {
        let named = self.secrets.iter().find(|name| words.contains(&format!("${{{name}}}")));
        if let Some(name) = named {
            let why = format!("{field}: the secret {name} would stand where others read it; not part of this build");
            return Err(Refusal::not_built(why).about(field));
        }
        match words.contains("${CONFIG_FILE_") {
            true => {
                Err(Refusal::not_built(format!("{field}: files of services are not part of this build")).about(field))
            }
            false => Ok(()),
        }
    }
}

/// Puts values in the place of `${NAME}`; what has none stays. `escapes` is for who reads the text as a compose file.
pub fn filled(words: &str, values: &BTreeMap<String, String>, escapes: bool) -> String {
    let mut out = String::with_capacity(words.len());
    let mut rest = words;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        let found = after
            .split_once('}')
            .and_then(|(name, tail)| Some((values.get(name)?, tail)));
        match found {
            Some((value, tail)) => {
                match escapes {
                    true => out.push_str(&value.replace('$', "$$")),
                    false => out.push_str(value),
                }
                rest = tail;
            }
            None => {
                out.push_str("${");
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// The host of a server.
///
/// # Errors
/// 400 for a server that nothing can be brought to.
pub fn host_of(placed: &Placed) -> Outcome<(&Server, &Resource)> {
    let server = placed
        .server
        .as_ref()
        .ok_or_else(|| Refusal::bad("serverId", "The server is gone"))?;
    let host = server
        .host
        .as_ref()
        .filter(|host| matches!(host.state, State::ACTIVE | State::UPDATING_ACTIVE));
    let host = host.ok_or_else(|| {
        let words = format!(
            "Server {} has no active host: register one with its hostname in this environment",
            server.name
        );
        Refusal::bad("serverId", words)
    })?;
    Ok((server, host))
}

/// What a template on a server comes to.
pub async fn wanted(
    caller: &Caller<'_>,
    template: &Template,
    placed: &Placed,
    values: &Values,
    options: &Options,
) -> Outcome<Wanted> {
    let image_name = image_name(caller, template)?;
    if let (false, Some(service)) = (template.is_own(), &placed.service) {
        return elsewhere::wanted(template, service, values, options, &image_name);
    }
    let (server, host) = host_of(placed)?;
    let tag = options
        .tag
        .clone()
        .or(template.text("imageTag"))
        .unwrap_or_else(|| "latest".to_owned());
    let full = elsewhere::full(&image_name, &tag);
    let name = placed.container_name();
    let all = values.of(&[
        ("SERVICE_NAME", &template.row.name),
        ("CONTAINER_NAME", &name),
        ("IMAGE_NAME", &image_name),
        ("IMAGE_TAG", &tag),
        ("FULL_IMAGE", &full),
    ]);
    let mut env = template.base_env();
    env.extend(placed.overrides());
    for value in env.values_mut() {
        let words = value.as_str().unwrap_or_default();
        values.check("baseEnv", words)?;
        *value = json!(filled(words, &all, false));
    }
    let simulates = caller.engine.is_simulated(host);
    let (mut launch, compose, warnings) = match template.text("composeTemplate").filter(|text| !text.is_empty()) {
        None => (Map::new(), compose::auto(&name, &full), Vec::new()),
        Some(words) => {
            values.check("composeTemplate", &words)?;
            let read = caller
                .engine
                .read_compose(&filled(&words, &all, true), &name, &BTreeMap::new());
            let read = read.map_err(|error| Refusal::from(error).about("composeTemplate"))?;
            (read.launch, filled(&words, &all, false), read.warnings)
        }
    };
    let uuid = text(&launch, "imageUuid").unwrap_or_else(|| full.clone());
    let uuid = uuid.trim_start_matches("docker:");
    let uuid = match simulates && uuid.starts_with("sim:") {
        true => uuid.to_owned(),
        false => format!("docker:{uuid}"),
    };
    launch.insert("imageUuid".into(), json!(uuid));
    let mut environment = object(&launch, "environment");
    environment.extend(env.clone());
    launch.insert("environment".into(), Value::Object(environment));
    launch.insert("requestedHostId".into(), json!(caller.engine.wire_id(host)));
    let check = health_check(template, &name, server, &launch)?;
    let labels = watching(object(&launch, "labels"), check.is_some(), options);
    launch.insert("labels".into(), Value::Object(labels));
    launch.extend(check.map(|check| ("healthCheck".to_owned(), check)));
    Ok(Wanted {
        launch,
        image: full,
        image_name,
        tag,
        compose,
        env,
        warnings,
    })
}

/// What the image of a template is called.
fn image_name(caller: &Caller<'_>, template: &Template) -> Outcome<String> {
    if let Some(name) = &template.image_name {
        return Ok(name.clone());
    }
    let id = template.text("containerImageId").unwrap_or_default();
    let thing = Thing::Image;
    let image = caller.row(thing.root(), thing.letters(), &id)?;
    let image = image.ok_or_else(|| Refusal::bad("containerImageId", "Container image not found"))?;
    Ok(text(&spec(&image)?, "imageName").unwrap_or_default())
}

/// A member of a launch configuration that is an object; empty if there is none.
pub fn object(launch: &Map<String, Value>, name: &str) -> Map<String, Value> {
    launch.get(name).and_then(Value::as_object).cloned().unwrap_or_default()
}

/// Labels with those that have an upgrade stop at the first failure.
pub fn watching(mut labels: Map<String, Value>, is_checked: bool, options: &Options) -> Map<String, Value> {
    // What is checked is good when it is healthy.
    let monitor = if is_checked { "0ms" } else { STEADY };
    labels.insert(FAILURE_ACTION.into(), json!("pause"));
    labels.insert(MONITOR.into(), json!(monitor));
    if options.pulls {
        labels.insert(LABEL_PULL_IMAGE.into(), json!("always"));
    }
    labels
}

/// The health check that a template's address comes to: a probe of the container by the engine.
///
/// # Errors
/// 501 for an address that is not the container's own.
fn health_check(
    template: &Template,
    container: &str,
    server: &Server,
    launch: &Map<String, Value>,
) -> Outcome<Option<Value>> {
    let Some(address) = template
        .text("healthCheckUrl")
        .filter(|address| !address.trim().is_empty())
    else {
        return Ok(None);
    };
    let unbuilt = || {
        let words = "healthCheckUrl: checked are addresses of the container itself, as http://localhost:8080/health; \
                     others are not part of this build";
        Refusal::not_built(words).about("healthCheckUrl")
    };
    let url = Url::parse(address.trim()).map_err(|_| Refusal::bad("healthCheckUrl", "Invalid URL"))?;
    let host = url.host_str().unwrap_or_default();
    let is_own = ["localhost", "127.0.0.1", "[::1]", container].contains(&host) || server.name == host;
    if url.scheme() != "http" || !is_own || !url.username().is_empty() {
        return Err(unbuilt());
    }
    let port = url.port_or_known_default().ok_or_else(unbuilt)?;
    let target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    // Quotes mean something in a line that is asked.
    let target = target.replace('\'', "%27");
    let number = |name: &str, or: i64| template.kept.get(name).and_then(Value::as_i64).unwrap_or(or);
    let (wait, retries) = (number("healthWaitMs", 30_000), number("healthRetries", 3));
    let interval = number("healthIntervalMs", 5_000).max(100);
    Ok(Some(json!({
        "port": inner_port(launch, port), "requestLine": format!("GET {target} HTTP/1.0"), "interval": interval,
        "responseTimeout": PROBE_MS, "healthyThreshold": 1, "unhealthyThreshold": retries,
        "initializingTimeout": wait.saturating_add(interval.saturating_mul(retries)), "strategy": "none",
    })))
}

/// The port of the container behind one of its server.
fn inner_port(launch: &Map<String, Value>, port: u16) -> u16 {
    let ports = launch.get("ports").and_then(Value::as_array).into_iter().flatten();
    for line in ports.filter_map(Value::as_str) {
        let bare = line.split('/').next().unwrap_or_default();
        let mut parts = bare.rsplit(':');
        let (inner, outer) = (parts.next(), parts.next());
        if outer.and_then(|outer| outer.parse().ok()) == Some(port)
            && let Some(inner) = inner.and_then(|inner| inner.parse().ok())
        {
            return inner;
        }
    }
    port
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_plain_and_values_are_put_in() {
        for (name, plain) in [
            ("web", "web"),
            ("My Service!", "My-Service"),
            ("a__b.c", "a-b-c"),
            ("--", "service"),
        ] {
            assert_eq!(plain_name(name), plain);
        }
        let values = BTreeMap::from([("A".to_owned(), "x$y".to_owned())]);
        assert_eq!(filled("${A} ${B} $A ${", &values, false), "x$y ${B} $A ${");
        assert_eq!(filled("${A}", &values, true), "x$$y");
        let launch = json!({"ports": ["8080:80/tcp", "127.0.0.1:9090:90"]});
        let launch = launch.as_object().cloned().unwrap_or_default();
        assert_eq!(
            [
                inner_port(&launch, 8080),
                inner_port(&launch, 9090),
                inner_port(&launch, 70)
            ],
            [80, 90, 70]
        );
    }
}
