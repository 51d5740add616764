//! What balancers of files balance: names become ids, and ids names.

use serde_json::{Map, Value, json};

use crate::compose::{CERTIFICATES, DEFAULT_CERTIFICATE, TARGET};
use crate::engine::core::Core;
use crate::model::{Error, Resource, Result, WireId};
use crate::store::Tx;

use super::super::names::Neighbours;
use super::wanted::find_service;

/// The selector of a rule whose target is not made yet, while the rest of it is checked.
const STAND_IN: &str = "stand=in";

/// The names of what is balanced.
pub(super) fn targets(balancing: Option<&Map<String, Value>>) -> impl Iterator<Item = &str> {
    let rules = balancing
        .and_then(|balancing| balancing.get("portRules"))
        .and_then(Value::as_array);
    rules
        .into_iter()
        .flatten()
        .filter_map(|rule| rule.get(TARGET)?.as_str())
}

impl Core {
    /// `lbConfig` as it is checked before its targets are there; certificates are, or it is refused.
    pub(super) fn balanced(&self, stack: &Resource, balancing: &Map<String, Value>) -> Result<Map<String, Value>> {
        let mut config = balancing.clone();
        let certificate = |name: &str| -> Result<String> {
            let all = self.store.all("certificate", stack.account_id)?;
            let found = all.iter().find(|row| row.name.eq_ignore_ascii_case(name));
            let missing =
                || Error::invalid("InvalidReference", "certs").with_message(format!("there is no certificate {name}"));
            Ok(self.wire_id("certificate", found.ok_or_else(missing)?.id))
        };
        if let Some(names) = config.shift_remove(CERTIFICATES) {
            let names = names.as_array().into_iter().flatten().filter_map(Value::as_str);
            let ids: Vec<String> = names.map(certificate).collect::<Result<_>>()?;
            config.insert("certificateIds".into(), json!(ids));
        }
        if let Some(name) = config.shift_remove(DEFAULT_CERTIFICATE) {
            let id = certificate(name.as_str().unwrap_or_default())?;
            config.insert("defaultCertificateId".into(), json!(id));
        }
        for rule in rules_mut(&mut config) {
            if rule.shift_remove(TARGET).is_some() {
                rule.insert("selector".into(), json!(STAND_IN));
            }
        }
        Ok(config)
    }
}

fn rules_mut(config: &mut Map<String, Value>) -> impl Iterator<Item = &mut Map<String, Value>> {
    let rules = config.get_mut("portRules").and_then(Value::as_array_mut);
    rules.into_iter().flatten().filter_map(Value::as_object_mut)
}

/// Puts the ids of the targets into a checked `lbConfig`: all of them are there by now, or it is refused.
pub(super) fn aim(
    tx: &mut Tx<'_>,
    (stack, beside): (&Resource, &Neighbours),
    prefix: &str,
    input: &mut Map<String, Value>,
    balancing: &Map<String, Value>,
) -> Result<()> {
    let names = balancing.get("portRules").and_then(Value::as_array);
    let names: Vec<Option<String>> = names
        .into_iter()
        .flatten()
        .map(|rule| rule.get(TARGET).and_then(Value::as_str).map(str::to_owned))
        .collect();
    let Some(config) = input.get_mut("lbConfig").and_then(Value::as_object_mut) else {
        return Ok(());
    };
    for (rule, name) in rules_mut(config).zip(names) {
        let Some(name) = name else { continue };
        let Some(target) = find_service(tx, stack, beside, &name)? else {
            return Err(
                Error::invalid("InvalidReference", "serviceId").with_message(format!("there is no service {name}"))
            );
        };
        rule.shift_remove("selector");
        rule.insert("serviceId".into(), json!(format!("{prefix}{target}")));
    }
    Ok(())
}

impl Core {
    /// `lbConfig` of a row with names in the place of ids.
    pub(super) fn by_names(&self, service: &Resource, config: &Map<String, Value>) -> Result<Map<String, Value>> {
        let mut config = config.clone();
        let row_of = |wire: &Value| -> Result<Option<Resource>> {
            let wire = wire.as_str().and_then(WireId::parse);
            wire.map(|wire| self.store.find(wire.id))
                .transpose()
                .map(Option::flatten)
        };
        if let Some(ids) = config.shift_remove("certificateIds") {
            let mut names = Vec::new();
            for id in ids.as_array().into_iter().flatten() {
                names.extend(row_of(id)?.map(|row| row.name));
            }
            config.insert(CERTIFICATES.into(), json!(names));
        }
        if let Some(row) = config
            .shift_remove("defaultCertificateId")
            .map(|id| row_of(&id))
            .transpose()?
            .flatten()
        {
            config.insert(DEFAULT_CERTIFICATE.into(), json!(row.name));
        }
        for rule in rules_mut(&mut config) {
            let target = rule
                .shift_remove("serviceId")
                .map(|id| row_of(&id))
                .transpose()?
                .flatten();
            if let Some(target) = target {
                let name = self.name_from(service, &target)?;
                rule.insert(TARGET.into(), json!(name));
            }
        }
        Ok(config)
    }

    /// What a file of one service calls another: its name, or `stack/name`.
    pub(super) fn name_from(&self, from: &Resource, to: &Resource) -> Result<String> {
        if from.parent_id == to.parent_id {
            return Ok(to.name.clone());
        }
        let stack = to.parent_id.map(|id| self.store.find(id)).transpose()?.flatten();
        Ok(format!(
            "{}/{}",
            stack.map(|stack| stack.name).unwrap_or_default(),
            to.name
        ))
    }
}
