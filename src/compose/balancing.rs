//! Load balancers: `lb_config`, and the keys and labels that said the same before.
//!
//! Targets and certificates are named here by their names; who has rows makes ids of them.

use serde_json::{Map, Value, json};

use crate::model::lb_config::{LABEL_SSL_PORTS, OlderTarget, is_ssl_port, older_lines};
use crate::model::port::PortSpec;

use super::forms::{Form, list};
use super::parts::{Parts, Reader};
use super::problem::{Problem, Read};
use super::special::{mapped, unknown};
use super::yaml::{Kind, Node};

/// The member of a rule that names its target: `web`, or `stack/web`.
pub const TARGET: &str = "service";
/// The member that names certificates.
pub const CERTIFICATES: &str = "certificates";
/// The member that names the certificate for everything else.
pub const DEFAULT_CERTIFICATE: &str = "defaultCertificate";

const RULE: &[(&str, &str, Form)] = &[
    ("backend_name", "backendName", Form::Text),
    ("environment", "environment", Form::Text),
    ("hostname", "hostname", Form::Text),
    ("path", "path", Form::Text),
    ("priority", "priority", Form::Count),
    ("protocol", "protocol", Form::Text),
    ("region", "region", Form::Text),
    ("selector", "selector", Form::Text),
    ("service", TARGET, Form::Text),
    ("source_port", "sourcePort", Form::Count),
    ("target_port", "targetPort", Form::Count),
    ("weight", "weight", Form::Count),
];

const STICKINESS: &[(&str, &str, Form)] = &[
    ("cookie", "cookie", Form::Text),
    ("domain", "domain", Form::Text),
    ("indirect", "indirect", Form::Flag),
    ("mode", "mode", Form::Text),
    ("name", "name", Form::Text),
    ("nocache", "nocache", Form::Flag),
    ("postonly", "postonly", Form::Flag),
];

const TARGET_LABEL: &str = "io.rancher.loadbalancer.target.";

/// Reads one of the keys.
pub(super) fn read(reader: &mut Reader<'_>, parts: &mut Parts, key: &str, node: &Node) -> Read<()> {
    match key {
        "certs" => {
            parts.balancing.insert(CERTIFICATES.into(), json!(list(node)?));
        }
        "default_cert" => {
            parts
                .balancing
                .insert(DEFAULT_CERTIFICATE.into(), json!(node.as_text()?));
        }
        "lb_config" => {
            let known = ["certs", "config", "default_cert", "port_rules", "stickiness_policy"];
            unknown(reader, parts, key, node, &known)?;
            for inner in ["certs", "default_cert"] {
                if let Some(node) = node.get(inner) {
                    read(reader, parts, inner, node).map_err(|problem| problem.within(inner))?;
                }
            }
            let mut rules = Vec::new();
            for rule in node
                .get("port_rules")
                .map(Node::as_list)
                .transpose()?
                .unwrap_or_default()
            {
                rules.push(Value::Object(mapped(
                    reader,
                    parts,
                    "lb_config.port_rules",
                    RULE,
                    rule,
                )?));
            }
            parts.balancing.insert("portRules".into(), Value::Array(rules));
            if let Some(config) = node.get("config") {
                parts.balancing.insert("config".into(), json!(config.as_text()?));
            }
            if let Some(policy) = node.get("stickiness_policy") {
                let policy = mapped(reader, parts, "lb_config.stickiness_policy", STICKINESS, policy)?;
                parts.balancing.insert("stickinessPolicy".into(), Value::Object(policy));
            }
        }
        _ => older(reader, parts, node)?,
    }
    Ok(())
}

/// `load_balancer_config`.
fn older(reader: &mut Reader<'_>, parts: &mut Parts, node: &Node) -> Read<()> {
    let known = ["haproxy_config", "lb_cookie_stickiness_policy"];
    unknown(reader, parts, "load_balancer_config", node, &known)?;
    if let Some(config) = node.get("haproxy_config") {
        let lines = |section: &str| config.get(section).map(Node::as_text).transpose();
        let text = older_lines(lines("global")?, lines("defaults")?);
        parts.balancing.insert("config".into(), json!(text));
    }
    if let Some(policy) = node.get("lb_cookie_stickiness_policy") {
        let key = "load_balancer_config.lb_cookie_stickiness_policy";
        let policy = mapped(reader, parts, key, STICKINESS, policy)?;
        parts.balancing.insert("stickinessPolicy".into(), Value::Object(policy));
    }
    Ok(())
}

/// What a balancer balances. One without rules has those that its ports, links and labels said before there were rules.
pub(super) fn finish(parts: &mut Parts) -> Read<Map<String, Value>> {
    let mut balancing = std::mem::take(&mut parts.balancing);
    if !balancing.contains_key("portRules") {
        let mut rules = Vec::new();
        for port in texts(&parts.config, "ports") {
            let port = PortSpec::parse(&port).map_err(|_| Problem::new(format!("{port:?} is no port")))?;
            for link in &parts.links {
                rules.extend(older_rules(parts, &port, &link.service)?);
            }
        }
        balancing.insert("portRules".into(), Value::Array(rules));
        // What it balances it need not be linked to.
        parts.links.clear();
    }
    Ok(balancing)
}

fn texts(config: &Map<String, Value>, field: &str) -> Vec<String> {
    let list = config.get(field).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// The rules of one port for one target: one for each entry of its label, `[source:]host/path[=port]`, or one for all.
fn older_rules(parts: &Parts, port: &PortSpec, service: &str) -> Read<Vec<Value>> {
    let source = port.public.unwrap_or(port.private);
    let is_ssl = is_ssl_port(parts.label(LABEL_SSL_PORTS), source);
    let protocol = match (is_ssl, parts.older_tcp.contains(&source)) {
        (true, true) => "tls",
        (true, false) => "https",
        (false, true) => "tcp",
        (false, false) => "http",
    };
    let rule = |target: u16| {
        Map::from_iter([
            ("protocol".to_owned(), json!(protocol)),
            (TARGET.to_owned(), json!(service)),
            ("sourcePort".to_owned(), json!(source)),
            ("targetPort".to_owned(), json!(target)),
        ])
    };
    let entries = parts.label(&format!("{TARGET_LABEL}{service}")).unwrap_or_default();
    let mut rules = Vec::new();
    for entry in entries.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let refuse = || Problem::new(format!("{entry:?} is no target")).within(format!("{TARGET_LABEL}{service}"));
        let said = OlderTarget::parse(entry).ok_or_else(refuse)?;
        if said.source.is_some_and(|at| at != source) {
            continue;
        }
        let mut rule = rule(said.port.unwrap_or(port.private));
        for (key, text) in [("hostname", said.hostname), ("path", said.path)] {
            rule.extend(text.map(|text| (key.to_owned(), json!(text))));
        }
        rules.push(Value::Object(rule));
    }
    if entries.is_empty() {
        rules.push(Value::Object(rule(port.private)));
    }
    Ok(rules)
}

/// `lb_config` of a balancer; `None` if it says nothing.
pub(super) fn write(balancing: &Map<String, Value>) -> Option<Node> {
    let mut entries = Vec::new();
    let mut add = |key: &str, node: Option<Node>| entries.extend(node.map(|node| (key.to_owned(), node)));
    let of = |key: &str| balancing.get(key).unwrap_or(&Value::Null);
    add("certs", Form::List.write(of(CERTIFICATES)));
    add("config", Form::Text.write(of("config")));
    add("default_cert", Form::Text.write(of(DEFAULT_CERTIFICATE)));
    let rules = of("portRules").as_array().map(Vec::as_slice).unwrap_or_default();
    let rules: Vec<Node> = rules
        .iter()
        .filter_map(Value::as_object)
        .map(|rule| table(rule, RULE))
        .collect();
    add("port_rules", (!rules.is_empty()).then(|| Node::of(Kind::List(rules))));
    let policy = of("stickinessPolicy")
        .as_object()
        .map(|policy| table(policy, STICKINESS));
    add("stickiness_policy", policy);
    (!entries.is_empty()).then(|| Node::of(Kind::Map(entries)))
}

/// A map of fields under the names that files have for them.
pub(super) fn table(map: &Map<String, Value>, table: &[(&str, &str, Form)]) -> Node {
    let entries = table.iter().filter_map(|(name, field, form)| {
        let value = map.get(*field).unwrap_or(&Value::Null);
        let node = match value {
            // False is not what is meant by nothing.
            Value::Bool(value) => Some(Node::plain(value)),
            Value::String(text) => Some(Node::text(text)),
            value => form.write(value),
        };
        node.map(|node| ((*name).to_owned(), node))
    });
    Node::of(Kind::Map(entries.collect()))
}
