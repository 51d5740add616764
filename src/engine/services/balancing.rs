//! Balancers as services: what is checked when one is made, changed or upgraded, what is put in beside what was said, and the
//! links that follow from its rules.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::engine::core::{Core, Input, notes};
use crate::model::balancer_table::{Protocol, is_backend, is_cookie, is_domain, is_host, is_path};
use crate::model::launch::{is_none_image, is_sim_image, parse_reference};
use crate::model::lb_config::{LABEL_TARGET, LbConfig, Nearness, PortRule, RESERVED_PORT, means_balancer_image};
use crate::model::selector::Selector;
use crate::model::{Error, Fields, Resource, ResourceId, Result, ServiceKind};
use crate::store::{Changes, Tx};

use super::links::{LinkNotes, Target, insert_link, is_gone, links_of, retire_link};

/// What runs as a balancer where a client names none of its own.
pub(crate) const BALANCER_IMAGE: &str = "lb.instance.image";

/// Fields of a launch configuration that say what a balancer's container runs, which is not a client's to say.
const OWN_WORDS: [&str; 4] = ["command", "entryPoint", "user", "readOnly"];

fn is_said(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(list) => !list.is_empty(),
        Value::String(text) => !text.is_empty(),
        _ => true,
    }
}

/// Puts into the launch configuration of a balancer what it needs and does not say: a health check, and both numbers of ports.
pub(super) fn complete(kind: &str, primary: &mut Map<String, Value>) {
    if ServiceKind::of(kind) != ServiceKind::LoadBalancer {
        return;
    }
    if primary.get("healthCheck").is_none_or(Value::is_null) {
        let check = json!({
            "type": "instanceHealthCheck", "name": null, "requestLine": null, "strategy": null,
            "recreateOnQuorumStrategyConfig": null, "port": RESERVED_PORT, "interval": 2000, "responseTimeout": 2000,
            "healthyThreshold": 2, "unhealthyThreshold": 3, "initializingTimeout": 60000, "reinitializingTimeout": 60000,
        });
        primary.insert("healthCheck".into(), check);
    }
    let ports = primary.get_mut("ports").and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten() {
        let number = port.as_str().and_then(|text| text.trim().parse::<u16>().ok());
        if let Some(number) = number {
            *port = json!(format!("{number}:{number}/tcp"));
        }
    }
}

/// 422 for a balancer whose container is to run something else than a balancer.
pub(super) fn check_launch(kind: &str, primary: &Map<String, Value>) -> Result<()> {
    if ServiceKind::of(kind) != ServiceKind::LoadBalancer {
        return Ok(());
    }
    let labels = primary.get("labels").and_then(Value::as_object);
    let target = labels.and_then(|labels| labels.get(LABEL_TARGET)?.as_str());
    if target.is_some_and(|word| Nearness::parse(word).is_none()) {
        return Err(Error::invalid("InvalidOption", "launchConfig.labels")
            .with_message(format!("{LABEL_TARGET} is any, prefer-local or only-local")));
    }
    let image = primary.get("imageUuid").and_then(Value::as_str).unwrap_or_default();
    if is_sim_image(image) || is_none_image(image) {
        return Ok(());
    }
    match OWN_WORDS.iter().find(|word| primary.get(**word).is_some_and(is_said)) {
        Some(word) => {
            Err(Error::invalid("InvalidOption", *word).with_message("what a balancer runs is decided by the server"))
        }
        None => Ok(()),
    }
}

/// Checks what a balancer is to do, or what a service says of itself to balancers.
pub(super) fn check_config(kind: &str, input: &Input) -> Result<()> {
    let is_balancer = ServiceKind::of(kind) == ServiceKind::LoadBalancer;
    let Some(config) = input.get("lbConfig").filter(|config| !config.is_null()) else {
        return Ok(());
    };
    let config: LbConfig =
        serde_json::from_value(config.clone()).map_err(|_| Error::invalid("InvalidFormat", "lbConfig"))?;
    for rule in config.port_rules.iter().flatten() {
        if is_balancer {
            check_rule(rule)?;
        }
        check_words(rule)?;
    }
    if is_balancer {
        check_protocols(&config)?;
    }
    if let Some(policy) = &config.stickiness_policy {
        let told = policy.told().unwrap_or_default();
        if !is_cookie(&told.cookie) {
            return Err(Error::invalid("InvalidFormat", "cookie").with_message("letters, digits, `-`, `_` and `.`"));
        }
        if !told.domain.is_empty() && !is_domain(&told.domain) {
            return Err(Error::invalid("InvalidFormat", "domain").with_message("no domain name"));
        }
    }
    Ok(())
}

fn check_rule(rule: &PortRule) -> Result<()> {
    let has = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let Some(port) = rule.source_port else {
        return Err(Error::invalid("MissingRequired", "sourcePort"));
    };
    if i64::from(port) == RESERVED_PORT {
        return Err(
            Error::invalid("InvalidOption", "sourcePort").with_message("a balancer's own health is asked on this port")
        );
    }
    match (has(&rule.service_id), has(&rule.selector)) {
        (false, false) => return Err(Error::invalid("MissingRequired", "serviceId")),
        (true, true) => {
            return Err(Error::invalid("InvalidOption", "selector").with_message("a rule has a service or a selector"));
        }
        (true, false) if rule.target_port.is_none() => return Err(Error::invalid("MissingRequired", "targetPort")),
        _ => {}
    }
    if has(&rule.region) && !has(&rule.environment) {
        return Err(Error::invalid("MissingRequired", "environment"));
    }
    for (field, text) in [("environment", &rule.environment), ("region", &rule.region)] {
        if has(text) {
            return Err(
                Error::not_implemented("services of other environments are not part of this build").with_field(field),
            );
        }
    }
    if has(&rule.selector) {
        Selector::parse(rule.selector.as_deref().unwrap_or_default(), "selector")?;
    }
    Ok(())
}

/// What becomes a word of a configuration has to be one.
fn check_words(rule: &PortRule) -> Result<()> {
    let bad = |text: &Option<String>, is_good: fn(&str) -> bool| {
        let text = text.as_deref().unwrap_or_default();
        !text.is_empty() && !is_good(text)
    };
    for (field, is_bad, form) in [
        (
            "hostname",
            bad(&rule.hostname, is_host),
            "a host name, with a `*` at one of its ends or without",
        ),
        (
            "path",
            bad(&rule.path, is_path),
            "the beginning of a path, or its end after a `*`",
        ),
        (
            "backendName",
            bad(&rule.backend_name, is_backend),
            "letters, digits, `-`, `_`, `.` and `:`",
        ),
    ] {
        if is_bad {
            return Err(Error::invalid("InvalidFormat", field).with_message(form));
        }
    }
    Ok(())
}

/// One port speaks one protocol, and what it does not read cannot lead anywhere.
fn check_protocols(config: &LbConfig) -> Result<()> {
    let mut spoken: Vec<(Option<u16>, &str)> = Vec::new();
    for rule in config.port_rules.iter().flatten() {
        let word = rule.protocol.as_deref().unwrap_or("http");
        let refuse = |why: &str| Err(Error::invalid("InvalidOption", "protocol").with_message(why));
        let Some(protocol) = Protocol::parse(word) else {
            return refuse("HAProxy does not balance UDP");
        };
        match spoken.iter().find(|(port, _)| *port == rule.source_port) {
            Some((_, other)) if *other != word => return refuse("one port has one protocol"),
            Some(_) => {}
            None => spoken.push((rule.source_port, word)),
        }
        let has = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        if has(&rule.path) && !protocol.is_http() {
            return Err(Error::invalid("InvalidOption", "path").with_message("only HTTP has paths"));
        }
        if has(&rule.hostname) && !protocol.knows_host() {
            return Err(Error::invalid("InvalidOption", "hostname").with_message("TCP does not tell a host name"));
        }
    }
    Ok(())
}

/// 422 for services and certificates that are not there, or are another project's.
pub(super) fn check_references(
    input: &Input,
    account: Option<ResourceId>,
    mut find: impl FnMut(ResourceId) -> Result<Option<Resource>>,
) -> Result<()> {
    let config = input.get("lbConfig").filter(|config| config.is_object());
    let Some(config) = config.and_then(|config| serde_json::from_value::<LbConfig>(config.clone()).ok()) else {
        return Ok(());
    };
    let services = config
        .port_rules
        .iter()
        .flatten()
        .filter_map(|rule| rule.service_id.as_ref());
    let services = services.map(|wire| ("serviceId", "service", wire));
    let certificates = config.certificate_ids.iter().flatten();
    let certificates = certificates.map(|wire| ("certificateIds", "certificate", wire));
    let default = config.default_certificate_id.iter();
    let default = default.map(|wire| ("defaultCertificateId", "certificate", wire));
    for (field, root, wire) in services.chain(certificates).chain(default) {
        let found = parse_reference(wire).map(&mut find).transpose()?.flatten();
        let is_there = |row: &Resource| row.root == root && row.removed.is_none() && row.account_id == account;
        if !wire.is_empty() && !found.as_ref().is_some_and(is_there) {
            return Err(Error::invalid("InvalidReference", field));
        }
    }
    Ok(())
}

/// The services that the rules of a balancer name.
fn ruled(service: &Resource) -> Result<BTreeSet<ResourceId>> {
    if ServiceKind::of(&service.kind) != ServiceKind::LoadBalancer {
        return Ok(BTreeSet::new());
    }
    let config: Option<LbConfig> = Fields::parse(&service.fields)?.read("lbConfig")?;
    let rules = config.and_then(|config| config.port_rules).unwrap_or_default();
    Ok(rules
        .iter()
        .filter_map(|rule| parse_reference(rule.service_id.as_deref()?))
        .collect())
}

impl Core {
    /// What is really run for an image that a balancer names: the server's own for the original's.
    pub(super) fn balancer_image(&self, image_uuid: &str) -> Result<Option<String>> {
        if !means_balancer_image(image_uuid) {
            return Ok(None);
        }
        let setting = self
            .setting(BALANCER_IMAGE)?
            .and_then(|setting| setting.active_value)
            .unwrap_or_default();
        let plain = setting.trim();
        Ok(Some(match plain.starts_with("docker:") {
            true => plain.to_owned(),
            false => format!("docker:{plain}"),
        }))
    }

    /// Names the image of a balancer that names none.
    pub(super) fn name_balancer_image(&self, kind: &str, input: &mut Input) -> Result<()> {
        let primary = input.get_mut("launchConfig").and_then(Value::as_object_mut);
        let Some(primary) = primary.filter(|_| ServiceKind::of(kind) == ServiceKind::LoadBalancer) else {
            return Ok(());
        };
        if primary.get("imageUuid").is_none_or(|image| !is_said(image))
            && let Some(image) = self.balancer_image("")?
        {
            primary.insert("imageUuid".into(), json!(image));
        }
        Ok(())
    }

    /// Links a balancer to the services that its rules name, and unlinks those that they named before.
    pub(super) async fn follow_rules(&self, service: &Resource) -> Result<()> {
        if ServiceKind::of(&service.kind) != ServiceKind::LoadBalancer {
            return Ok(());
        }
        let (id, types, keep) = (service.id, Arc::new(self.link_types()?), self.keep_removed());
        self.write_on(move |tx| {
            let Some(row) = tx.find(id)?.filter(|row| !is_gone(Some(row))) else {
                return Ok(false);
            };
            let mut wanted = ruled(&row)?;
            for (map, target, _) in links_of(tx, id)? {
                let is_wanted = target.service().is_some_and(|target| wanted.remove(&target));
                if !is_wanted && notes::<LinkNotes>(&map).is_ruled {
                    retire_link(tx, &map, keep)?;
                    if tx.is_full() {
                        return Ok(true);
                    }
                }
            }
            for target in wanted {
                if is_gone(tx.find(target)?.as_ref()) {
                    continue;
                }
                let note = LinkNotes {
                    is_ruled: true,
                    ..LinkNotes::default()
                };
                insert_link(tx, &types, &row, &Target::Service(target), "", note)?;
                if tx.is_full() {
                    return Ok(true);
                }
            }
            Ok(false)
        })
        .await
    }
}

/// A service goes: the rules of a balancer that lead to it go with it.
pub(super) fn forget_target(tx: &mut Tx<'_>, balancer: ResourceId, gone: ResourceId) -> Result<()> {
    let Some(row) = tx.find(balancer)?.filter(|row| row.removed.is_none()) else {
        return Ok(());
    };
    if !ruled(&row)?.contains(&gone) {
        return Ok(());
    }
    let mut fields = Fields::parse(&row.fields)?;
    let Some(mut config) = fields.read::<Map<String, Value>>("lbConfig")? else {
        return Ok(());
    };
    let leads_there = |rule: &Value| {
        let wire = rule.get("serviceId").and_then(Value::as_str);
        wire.and_then(parse_reference) == Some(gone)
    };
    if let Some(rules) = config.get_mut("portRules").and_then(Value::as_array_mut) {
        rules.retain(|rule| !leads_there(rule));
    }
    fields.set("lbConfig", &config)?;
    let changes = Changes {
        fields: Some(fields),
        ..Changes::default()
    };
    tx.update_if(&row, &changes).map(drop)
}
