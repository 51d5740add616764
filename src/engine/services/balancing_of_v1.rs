//! What v1 says of balancers in fields of its own, and in links: it becomes `lbConfig`, and is written back of it.

use serde_json::{Map, Value, json};

use crate::balancer::split_sections;
use crate::engine::core::{Answer, Core, Input, Scope, Update, apply_update, live};
use crate::model::launch::parse_reference;
use crate::model::lb_config::{LABEL_SSL_PORTS, OlderTarget, is_ssl_port, older_lines};
use crate::model::port::PortSpec;
use crate::model::{Error, Resource, Result, ServiceKind};
use crate::schema::limits;
use crate::schema::{Role, Version};

use super::balancing::{check_config, check_references};
use super::files::means;

/// v1's fields, of which `lbConfig` has two by the same name.
const FIELDS: [&str; 3] = ["certificateIds", "defaultCertificateId", "loadBalancerConfig"];

fn fields_of(row: &Resource) -> Result<Input> {
    serde_json::from_str(&row.fields).map_err(|e| Error::internal("reading the fields of a service", e))
}

/// Brings what a client says of a balancer into line: what v1's fields say anew goes into `lbConfig`, and they show what that says.
pub(super) fn settle(kind: &str, row: Option<&Resource>, input: &mut Input) -> Result<()> {
    if ServiceKind::of(kind) != ServiceKind::LoadBalancer {
        return Ok(());
    }
    let old = row.map(fields_of).transpose()?.unwrap_or_default();
    let nothing = Value::Null;
    // A client of v1 that puts a whole row back says nothing new by it.
    let is_news = |field: &&str| {
        let before = old.get(*field).unwrap_or(&nothing);
        input.get(*field).is_some_and(|value| means(value) != means(before))
    };
    let news: Vec<&str> = FIELDS.into_iter().filter(is_news).collect();
    let said = input.get("lbConfig").and_then(Value::as_object);
    if news.is_empty() && said.is_none() {
        FIELDS.iter().for_each(|field| drop(input.shift_remove(*field)));
        return Ok(());
    }
    let of_old = || old.get("lbConfig").and_then(Value::as_object);
    let mut config = said.or_else(of_old).cloned().unwrap_or_default();
    config.entry("type").or_insert_with(|| json!("lbConfig"));
    for field in news {
        let value = input.get(field).cloned().unwrap_or_default();
        match field {
            "loadBalancerConfig" => read_older(&value, &mut config),
            field => drop(config.insert(field.to_owned(), value)),
        }
    }
    for field in FIELDS {
        let shown = match field {
            "loadBalancerConfig" => older(&config),
            field => config.get(field).cloned().unwrap_or_default(),
        };
        match shown.is_null() && old.get(field).is_none_or(Value::is_null) {
            true => drop(input.shift_remove(field)),
            false => drop(input.insert(field.to_owned(), shown)),
        }
    }
    input.insert("lbConfig".into(), Value::Object(config));
    Ok(())
}

/// `loadBalancerConfig`: lines for two sections, and a cookie. Lines of other sections stay.
fn read_older(value: &Value, config: &mut Map<String, Value>) {
    let lines = value.get("haproxyConfig").unwrap_or(&Value::Null);
    let of = |section: &str| lines.get(section).and_then(Value::as_str);
    let mut text = older_lines(of("global"), of("defaults"));
    let known = config.get("config").and_then(Value::as_str).unwrap_or_default();
    for section in split_sections(known) {
        if !is_older(section) {
            text.push_str(section);
        }
    }
    let text = match text.is_empty() {
        true => Value::Null,
        false => json!(text),
    };
    config.insert("config".into(), text);
    let policy = value.get("lbCookieStickinessPolicy").cloned().unwrap_or_default();
    config.insert("stickinessPolicy".into(), policy);
}

/// The same of a `lbConfig`; null if that says nothing of it.
fn older(config: &Map<String, Value>) -> Value {
    let text = config.get("config").and_then(Value::as_str).unwrap_or_default();
    let lines = |head: &str| -> Value {
        let mut found = split_sections(text)
            .into_iter()
            .filter(|section| section.split_whitespace().next() == Some(head));
        let lines = found.next().and_then(|section| section.split_once('\n'));
        lines.map_or(Value::Null, |(_, lines)| json!(lines.trim_end()))
    };
    let policy = config.get("stickinessPolicy").cloned().unwrap_or_default();
    let (global, defaults) = (lines("global"), lines("defaults"));
    let haproxy = match global.is_null() && defaults.is_null() {
        true => Value::Null,
        false => json!({"type": "haproxyConfig", "global": global, "defaults": defaults}),
    };
    match haproxy.is_null() && policy.is_null() {
        true => Value::Null,
        false => json!({"type": "loadBalancerConfig", "haproxyConfig": haproxy, "lbCookieStickinessPolicy": policy}),
    }
}

fn is_older(section: &str) -> bool {
    matches!(section.split_whitespace().next(), Some("global" | "defaults"))
}

/// A port that a balancer listens on.
struct Listener {
    source: u16,
    target: u16,
    protocol: String,
}

/// The ports that a balancer listens on: those that are published, and those that are only exposed. A port speaks what its
/// rules say, for it has one protocol; where it has none yet HTTP, in TLS where the label says that this ends here.
// Quirk: before there were rules, `80:80/tcp` was TCP and `80:80` HTTP (cattle: `LoadBalancerInfoDaoImpl.getListeners`). Ports are
// kept with their protocol since, whoever wrote them without, so that nothing tells one from the other any more.
fn listeners_of(fields: &Input) -> Vec<Listener> {
    let launch = fields.get("launchConfig").unwrap_or(&Value::Null);
    let label = launch
        .get("labels")
        .and_then(|labels| labels.get(LABEL_SSL_PORTS)?.as_str());
    let spoken = |port: u16| {
        let of_port = |rule: &&Value| rule.get("sourcePort").and_then(Value::as_u64) == Some(port.into());
        rules_of(fields).iter().find(of_port)?.get("protocol")?.as_str()
    };
    let lists = ["ports", "expose"].map(|field| launch.get(field).and_then(Value::as_array));
    let texts = lists.into_iter().flatten().flatten().filter_map(Value::as_str);
    let listener = |text: &str| {
        let port = PortSpec::parse(text).ok()?;
        let source = port.public.unwrap_or(port.private);
        let protocol = if is_ssl_port(label, source) { "https" } else { "http" };
        Some(Listener {
            source,
            target: port.private,
            protocol: spoken(source).unwrap_or(protocol).to_owned(),
        })
    };
    texts.filter_map(listener).collect()
}

/// The rules that a balancer has.
fn rules_of(fields: &Input) -> &[Value] {
    fields
        .get("lbConfig")
        .and_then(|config| config.get("portRules")?.as_array())
        .map_or(&[], Vec::as_slice)
}

/// The rules that a link of v1 stands for: for each port of the balancer those of its entries, or one for all.
fn rules_of_link(fields: &Input, link: &Value) -> Result<Vec<Value>> {
    let service = link.get("serviceId").cloned().unwrap_or_default();
    if service.as_str().and_then(parse_reference).is_none() {
        return Err(Error::invalid("MissingRequired", "serviceId"));
    }
    let entries = link.get("ports").and_then(Value::as_array).into_iter().flatten();
    let entries: Vec<&str> = entries.filter_map(Value::as_str).collect();
    let targets = entries
        .iter()
        .map(|entry| {
            let refuse = || Error::invalid("InvalidFormat", "ports").with_message(format!("{entry:?} is no target"));
            OlderTarget::parse(entry).ok_or_else(refuse)
        })
        .collect::<Result<Vec<_>>>()?;
    let targets = match targets.is_empty() {
        true => vec![OlderTarget::default()],
        false => targets,
    };
    let mut rules = Vec::new();
    for port in listeners_of(fields) {
        for target in targets.iter().filter(|t| t.source.is_none_or(|at| at == port.source)) {
            let mut rule = json!({"type": "portRule", "sourcePort": port.source, "protocol": port.protocol, "serviceId": service,
                "targetPort": target.port.unwrap_or(port.target)});
            for (field, text) in [("hostname", &target.hostname), ("path", &target.path)] {
                if let (Some(text), Some(rule)) = (text, rule.as_object_mut()) {
                    rule.insert(field.to_owned(), json!(text));
                }
            }
            rules.push(rule);
        }
    }
    Ok(rules)
}

/// What an action on links of v1 makes of the rules of a balancer. Those of a selector stay.
fn changed_rules(fields: &Input, action: &str, input: &Input) -> Result<Vec<Value>> {
    let mut rules = rules_of(fields).to_vec();
    let target = |rule: &Value| rule.get("serviceId").and_then(Value::as_str).and_then(parse_reference);
    let links: Vec<Value> = match action {
        "setservicelinks" => {
            rules.retain(|rule| target(rule).is_none());
            input
                .get("serviceLinks")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default()
        }
        _ => {
            let link = input.get("serviceLink").cloned().unwrap_or_default();
            let one = target(&link).ok_or_else(|| Error::invalid("MissingRequired", "serviceId"))?;
            let is_there = rules.iter().any(|rule| target(rule) == Some(one));
            if action == "removeservicelink" && !is_there {
                return Err(Error::invalid("InvalidReference", "serviceId"));
            }
            rules.retain(|rule| target(rule) != Some(one));
            vec![link]
        }
    };
    if action != "removeservicelink" {
        for link in &links {
            rules.extend(rules_of_link(fields, link)?);
        }
    }
    Ok(rules)
}

/// An action on the links of a balancer, as v1 means it: its rules. Nothing for everybody else, whose links are only links; so are
/// those of a balancer that listens nowhere.
pub(super) async fn act(
    core: &Core,
    scope: &Scope,
    row: &Resource,
    action: &str,
    input: &Input,
) -> Result<Option<Answer>> {
    let is_balancer = ServiceKind::of(&row.kind) == ServiceKind::LoadBalancer;
    if scope.version != Version::V1 || !is_balancer || listeners_of(&fields_of(row)?).is_empty() {
        return Ok(None);
    }
    let view = core.registry.view(Version::V2Beta, Role::Project);
    let Some(update) = view.find_by_kind(&row.kind).map(|ty| Update::of(ty)) else {
        return Ok(None);
    };
    let (id, action, input) = (row.id, action.to_owned(), input.clone());
    let written = core.write_for(scope, move |tx| {
        let row = live(tx, id)?;
        let fields = fields_of(&row)?;
        let rules = changed_rules(&fields, &action, &input)?;
        let rules = Value::Array(rules);
        limits::check("portRules", &rules)?;
        let mut config = fields
            .get("lbConfig")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        config.entry("type").or_insert_with(|| json!("lbConfig"));
        config.insert("portRules".into(), rules);
        let changed = Input::from_iter([("lbConfig".to_owned(), Value::Object(config))]);
        check_config(&row.kind, &changed)?;
        check_references(&changed, row.account_id, |id| tx.find(id))?;
        apply_update(tx, &update, &row, &changed)
    });
    written.await.map(|row| Some(Answer::Done(Box::new(row))))
}
