//! The keys that are more than one field each, as they are read.

use serde_json::{Map, Value, json};

use crate::model::launch::is_remote;
use crate::model::port::PortSpec;

use super::balancing;
use super::forms::{Form, bytes, list, optional_pairs, pairs, seconds, words};
use super::keys::{File, Key};
use super::parts::{Link, Parts, Reader};
use super::problem::{Problem, Read};
use super::resources::{BLKIO, blkio_config, cpus, deploy, limit_device};
use super::secrets;
use super::yaml::{Kind, Node};

/// The label that names the sidekicks of a service.
pub const SIDEKICKS: &str = "io.rancher.sidekicks";
/// The label that says which containers a service adopts.
pub const SELECTOR_CONTAINER: &str = "io.rancher.service.selector.container";
/// The label that says which services a service is linked to.
pub const SELECTOR_LINK: &str = "io.rancher.service.selector.link";
/// The label by which Rancher's command line knows what it sent.
pub const HASH: &str = "io.rancher.service.hash";
/// The label that makes a service run on every host.
pub(super) const GLOBAL: &str = "io.rancher.scheduler.global";

/// What a range of ports may hold; a service may have fewer.
const MAX_RANGE: u16 = 1_000;

/// `(in the file, in the field)` of a health check.
pub(super) const HEALTH_CHECK: &[(&str, &str, Form)] = &[
    ("healthy_threshold", "healthyThreshold", Form::Count),
    ("initializing_timeout", "initializingTimeout", Form::Count),
    ("interval", "interval", Form::Count),
    ("name", "name", Form::Text),
    ("port", "port", Form::Count),
    ("reinitializing_timeout", "reinitializingTimeout", Form::Count),
    ("request_line", "requestLine", Form::Text),
    ("response_timeout", "responseTimeout", Form::Count),
    ("strategy", "strategy", Form::Text),
    ("unhealthy_threshold", "unhealthyThreshold", Form::Count),
];

/// The same of a policy of scaling.
pub(super) const SCALE_POLICY: &[(&str, &str, Form)] = &[
    ("increment", "increment", Form::Count),
    ("max", "max", Form::Count),
    ("min", "min", Form::Count),
];

/// The same of the pace of an upgrade.
const UPGRADE_STRATEGY: &[(&str, &str, Form)] = &[
    ("batch_size", "batchSize", Form::Count),
    ("interval_millis", "intervalMillis", Form::Count),
    ("start_first", "startFirst", Form::Flag),
];

/// Reads a key into what it belongs to.
pub(super) fn read(reader: &mut Reader<'_>, parts: &mut Parts, key: &Key, node: &Node) -> Read<()> {
    match (key.file, key.name) {
        (_, "image") => parts.image = Some(node.as_text()?.trim().to_owned()),
        (_, "build") => build(reader, parts, node)?,
        (_, "type") => parts.kind = Some(node.as_text()?.to_owned()),
        (_, "environment") => {
            for (name, value) in optional_pairs(node)? {
                // A name alone is taken over from what is given.
                if let Some(value) = value.or_else(|| reader.variables.get(&name).cloned()) {
                    parts.put("environment", &name, json!(value));
                }
            }
        }
        (_, "labels") => labels(parts, node)?,
        (_, "links" | "external_links") => links(parts, key.name, node)?,
        (_, "ports") => ports(parts, node)?,
        (_, "volumes") => volumes(reader, parts, node)?,
        (_, "secrets") => secrets::wanted(reader, parts, node)?,
        (_, "volumes_from") => volumes_from(parts, node)?,
        (_, "net" | "network_mode") => network(parts, node.as_text()?),
        (_, "logging") => {
            logging(parts, node.get("driver"), node.get("options"))?;
            unknown(reader, parts, key.name, node, &["driver", "options"])?;
        }
        (_, "log_driver") => logging(parts, Some(node), None)?,
        (_, "log_opt") => logging(parts, None, Some(node))?,
        (_, "healthcheck") => docker_check(reader, parts, node)?,
        (_, "cpus") => cpus(parts, node)?,
        (_, "deploy") => deploy(reader, parts, node)?,
        (_, "blkio_config") => blkio_config(reader, parts, node)?,
        (File::Rancher, "health_check") => {
            let mut check = mapped(reader, parts, "health_check", HEALTH_CHECK, node)?;
            if let Some(config) = node.get("recreate_on_quorum_strategy_config") {
                let quorum = config.get("quorum").map(Node::as_int).transpose()?;
                check.insert("recreateOnQuorumStrategyConfig".into(), json!({"quorum": quorum}));
            }
            parts.health_check = Some(Value::Object(check));
        }
        (File::Rancher, "scale_policy") => {
            let policy = mapped(reader, parts, "scale_policy", SCALE_POLICY, node)?;
            parts.fields.insert("scalePolicy".into(), Value::Object(policy));
        }
        (File::Rancher, "upgrade_strategy") => {
            parts.pace = mapped(reader, parts, "upgrade_strategy", UPGRADE_STRATEGY, node)?;
        }
        (File::Rancher, "external_ips") => parts.outside_addresses = list(node)?,
        (File::Rancher, "hostname") => parts.outside_name = Some(node.as_text()?.to_owned()),
        (File::Rancher, "lb_config" | "load_balancer_config" | "certs" | "default_cert") => {
            balancing::read(reader, parts, key.name, node)?;
        }
        (_, name) => match BLKIO.iter().find(|(key, _)| *key == name) {
            Some((_, field)) => {
                for limit in node.as_list()? {
                    limit_device(parts, field, limit)?;
                }
            }
            None => return Err(Problem::new("is known and not read")),
        },
    }
    Ok(())
}

/// Warns of the keys of a map that are not among those known.
pub(super) fn unknown(reader: &mut Reader<'_>, parts: &Parts, key: &str, node: &Node, known: &[&str]) -> Read<()> {
    for (name, _) in node.as_map()? {
        if !known.contains(&name.as_str()) {
            reader.warn(Some(&parts.name), &format!("{key}.{name}"), "is not known");
        }
    }
    Ok(())
}

/// A map whose keys are fields under another name.
pub(super) fn mapped(
    reader: &mut Reader<'_>,
    parts: &Parts,
    key: &str,
    table: &[(&str, &str, Form)],
    node: &Node,
) -> Read<Map<String, Value>> {
    let mut known: Vec<&str> = table.iter().map(|(name, ..)| *name).collect();
    known.push("recreate_on_quorum_strategy_config");
    unknown(reader, parts, key, node, &known)?;
    let mut map = Map::new();
    for (name, field, form) in table {
        if let Some(value) = node.get(name) {
            let value = form.read(value).map_err(|problem| problem.within(*name))?;
            map.insert((*field).to_owned(), value);
        }
    }
    Ok(map)
}

fn labels(parts: &mut Parts, node: &Node) -> Read<()> {
    for (name, value) in pairs(node)? {
        parts.put("labels", &name, value);
    }
    let csv = parts.label(SIDEKICKS).unwrap_or_default().to_owned();
    let names = csv.split(',').map(str::trim).filter(|name| !name.is_empty());
    parts.sidekicks = names.map(str::to_owned).collect();
    if !parts.sidekicks.is_empty() {
        let names = parts.sidekicks.join(",");
        parts.put("labels", SIDEKICKS, json!(names));
    }
    for (label, field) in [
        (SELECTOR_CONTAINER, "selectorContainer"),
        (SELECTOR_LINK, "selectorLink"),
    ] {
        if let Some(selector) = parts.label(label).map(str::to_owned) {
            parts.fields.insert(field.to_owned(), json!(selector));
        }
    }
    Ok(())
}

fn links(parts: &mut Parts, key: &str, node: &Node) -> Read<()> {
    for text in list(node)? {
        let (service, alias) = match text.split_once(':') {
            Some((service, alias)) => (service, alias),
            None => (text.as_str(), text.rsplit('/').next().unwrap_or_default()),
        };
        let (service, alias) = (service.trim(), alias.trim());
        if service.is_empty() || alias.is_empty() {
            return Err(node.wrong(format!("{text:?} names no service")));
        }
        if key == "links" && service.contains('/') {
            return Err(node.wrong(format!(
                "{service:?} is in another stack: it belongs under external_links"
            )));
        }
        parts.links.push(Link {
            service: service.to_owned(),
            alias: alias.to_owned(),
        });
    }
    Ok(())
}

fn ports(parts: &mut Parts, node: &Node) -> Read<()> {
    // None is an empty list: it says that there are none.
    parts.config.entry("ports").or_insert_with(|| json!([]));
    let single = [node.clone()];
    let items = match &node.kind {
        Kind::Scalar(..) => &single[..],
        _ => node.as_list()?,
    };
    for item in items {
        let texts = match &item.kind {
            Kind::Map(_) => vec![long_port(item)?],
            _ => expand(item.as_text()?).ok_or_else(|| item.wrong("the range of ports is wrong"))?,
        };
        for text in texts {
            let port = PortSpec::parse(&text).map_err(|error| {
                item.wrong(format!(
                    "{text:?}: {}",
                    error.external.unwrap_or_else(|| "is no port".to_owned())
                ))
            })?;
            if text.ends_with("/tcp") {
                parts.older_tcp.push(port.public.unwrap_or(port.private));
            }
            parts.push("ports", port.to_string());
        }
    }
    Ok(())
}

/// `target`, `published`, `protocol`.
fn long_port(node: &Node) -> Read<String> {
    for (key, value) in node.as_map()? {
        let is_known = matches!(
            key.as_str(),
            "target" | "published" | "protocol" | "mode" | "host_ip" | "name"
        );
        if !is_known {
            return Err(value.wrong(format!("{key} is not known")));
        }
    }
    let text = |key: &str| node.get(key).map(Node::as_text).transpose();
    let target = text("target")?.ok_or_else(|| node.wrong("target is missing"))?;
    let protocol = text("protocol")?.unwrap_or("tcp");
    let published = text("published")?.map(|port| format!("{port}:")).unwrap_or_default();
    let ip = text("host_ip")?.map(|ip| format!("{ip}:")).unwrap_or_default();
    Ok(format!("{ip}{published}{target}/{protocol}"))
}

/// A text of a port, or of a range of them, as texts of one port each.
fn expand(text: &str) -> Option<Vec<String>> {
    let (spec, protocol) = match text.split_once('/') {
        Some((spec, protocol)) => (spec, format!("/{protocol}")),
        None => (text, String::new()),
    };
    let mut parts = spec.rsplitn(3, ':');
    let (private, public) = (parts.next().unwrap_or_default(), parts.next());
    let ip = parts.next().map(|ip| format!("{ip}:")).unwrap_or_default();
    if !private.contains('-') && !public.is_some_and(|public| public.contains('-')) {
        return Some(vec![text.to_owned()]);
    }
    let (first, count) = range(private)?;
    let public = match public.filter(|public| !public.is_empty()) {
        None => None,
        Some(public) => Some(range(public).filter(|(_, many)| *many == count)?.0),
    };
    let port = |n: u16| match public {
        Some(public) => Some(format!(
            "{ip}{}:{}{protocol}",
            public.checked_add(n)?,
            first.checked_add(n)?
        )),
        None => Some(format!("{ip}{}{protocol}", first.checked_add(n)?)),
    };
    (0..count).map(port).collect()
}

/// The first of a range of ports, and how many there are.
fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse::<u16>().ok()?, last.parse::<u16>().ok()?);
    let count = last.checked_sub(first)?.checked_add(1)?;
    (count <= MAX_RANGE).then_some((first, count))
}

fn volumes(reader: &Reader<'_>, parts: &mut Parts, node: &Node) -> Read<()> {
    for item in node.as_list()? {
        let text = match &item.kind {
            Kind::Map(_) => match long_volume(parts, item)? {
                Some(text) => text,
                None => continue,
            },
            _ => item.as_text()?.to_owned(),
        };
        if text.starts_with(['.', '~']) {
            return Err(item.wrong(format!("{text:?} is relative to files that the server does not have")));
        }
        let renamed = text
            .split_once(':')
            .and_then(|(name, rest)| Some(format!("{}:{rest}", reader.volumes.get(name)?)));
        parts.push("dataVolumes", renamed.unwrap_or(text));
    }
    Ok(())
}

/// `type`, `source`, `target`; what is in memory is no volume.
fn long_volume(parts: &mut Parts, node: &Node) -> Read<Option<String>> {
    for (key, value) in node.as_map()? {
        let is_known = matches!(
            key.as_str(),
            "type" | "source" | "target" | "read_only" | "consistency" | "volume" | "bind" | "tmpfs"
        );
        if !is_known {
            return Err(value.wrong(format!("{key} is not known")));
        }
    }
    let text = |key: &str| node.get(key).map(Node::as_text).transpose();
    let target = text("target")?
        .ok_or_else(|| node.wrong("target is missing"))?
        .to_owned();
    let is_read_only = node.get("read_only").map(Node::as_bool).transpose()?.unwrap_or(false);
    let mode = if is_read_only { ":ro" } else { "" };
    let source = text("source")?.unwrap_or_default();
    match (text("type")?.unwrap_or("volume"), source) {
        ("tmpfs", _) => {
            let size = node
                .get("tmpfs")
                .and_then(|tmpfs| tmpfs.get("size"))
                .map(bytes)
                .transpose()?;
            let options = size.map(|size| format!("size={size}")).unwrap_or_default();
            parts.put("tmpfs", &target, json!(options));
            Ok(None)
        }
        ("volume", "") => Ok(Some(target)),
        ("bind", "") => Err(node.wrong("source is missing")),
        ("volume" | "bind", source) => Ok(Some(format!("{source}:{target}{mode}"))),
        (other, _) => Err(node.wrong(format!("type {other} is not known"))),
    }
}

fn volumes_from(parts: &mut Parts, node: &Node) -> Read<()> {
    for text in list(node)? {
        let name = text.strip_suffix(":rw").unwrap_or(&text);
        if name.contains(':') {
            return Err(node.wrong(format!(
                "{text:?}: only the volumes of the service and its sidekicks can be had, as they are"
            )));
        }
        parts.push("dataVolumesFromLaunchConfigs", name.to_owned());
    }
    Ok(())
}

fn network(parts: &mut Parts, text: &str) {
    let joined = text
        .strip_prefix("container:")
        .or_else(|| text.strip_prefix("service:"));
    let mode = match joined {
        Some(name) => {
            parts.config.insert("networkLaunchConfig".into(), json!(name.trim()));
            "container"
        }
        None if text == "default" => "bridge",
        None => text,
    };
    parts.config.insert("networkMode".into(), json!(mode));
}

fn logging(parts: &mut Parts, driver: Option<&Node>, options: Option<&Node>) -> Read<()> {
    let mut config = match parts.config.get("logConfig") {
        Some(Value::Object(config)) => config.clone(),
        _ => Map::from_iter([("config".to_owned(), json!({}))]),
    };
    if let Some(driver) = driver {
        config.insert("driver".into(), json!(driver.as_text()?));
    }
    if let Some(options) = options {
        config.insert("config".into(), Value::Object(pairs(options)?));
    }
    parts.config.insert("logConfig".into(), Value::Object(config));
    Ok(())
}

/// What the engine builds itself, of an address. There are no files beside the file.
fn build(reader: &mut Reader<'_>, parts: &mut Parts, node: &Node) -> Read<()> {
    let (context, dockerfile) = match &node.kind {
        Kind::Scalar(..) => (node.as_text()?, None),
        _ => {
            unknown(reader, parts, "build", node, &["context", "dockerfile", "args"])?;
            if node.get("args").is_some() {
                return Err(Problem::new("is not part of this build").within("args"));
            }
            let context = node.get("context").map(Node::as_text).transpose()?.unwrap_or_default();
            (context, node.get("dockerfile").map(Node::as_text).transpose()?)
        }
    };
    if !is_remote(context) {
        return Err(Problem::new(
            "images are built of an address only: the server has no files of yours",
        ));
    }
    let mut config = Map::new();
    config.insert("remote".into(), json!(context));
    config.extend(dockerfile.map(|file| ("dockerfile".to_owned(), json!(file))));
    parts.config.insert("build".into(), Value::Object(config));
    Ok(())
}

/// Docker's own check.
fn docker_check(reader: &mut Reader<'_>, parts: &mut Parts, node: &Node) -> Read<()> {
    unknown(
        reader,
        parts,
        "healthcheck",
        node,
        &[
            "test",
            "interval",
            "timeout",
            "retries",
            "start_period",
            "start_interval",
            "disable",
        ],
    )?;
    for key in ["start_period", "start_interval"] {
        if node.get(key).is_some() {
            reader.warn(
                Some(&parts.name),
                &format!("healthcheck.{key}"),
                "the engine is not told of it",
            );
        }
    }
    if node.get("disable").map(Node::as_bool).transpose()?.unwrap_or(false) {
        parts.config.insert("healthCmd".into(), json!(["NONE"]));
        return Ok(());
    }
    if let Some(test) = node.get("test") {
        let command = match &test.kind {
            Kind::Scalar(..) => vec!["CMD-SHELL".to_owned(), test.as_text()?.to_owned()],
            _ => words(test)?,
        };
        parts.config.insert("healthCmd".into(), json!(command));
    }
    for (key, field) in [("interval", "healthInterval"), ("timeout", "healthTimeout")] {
        if let Some(length) = node.get(key) {
            let length = seconds(length).map_err(|problem| problem.within(key))?;
            parts.config.insert(field.into(), json!(length));
        }
    }
    if let Some(retries) = node.get("retries") {
        parts.config.insert("healthRetries".into(), json!(retries.as_int()?));
    }
    Ok(())
}
