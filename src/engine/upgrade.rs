//! Upgrades: what the POST writes, what a rollback restores, and the upgrade from one service to another.
//!
//! An in-service upgrade is bookkeeping plus the planner: the new launch configurations are written at once, with a
//! new version on those that change and on what depends on them; the planner replaces whatever has another version.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::model::launch::{LaunchConfig, parse_reference};
use crate::model::port::PortSpec;
use crate::model::{Error, Fields, Resource, Result};
use crate::plan;
use crate::store::{Changes, Process};

use super::commands::not_available;
use super::core::{Core, notes, write_notes};
use super::door::{Answer, Input, Scope};
use super::handlers::draw_ports;
use super::links;
use super::picture::{Picture, ServiceNotes, removes_sidekick};
use super::process::{Outcome, fenced, request};
use super::services;

type Config = Map<String, Value>;

/// Takes an upgrade: everything that can be wrong is found here, everything that has to be known is written here.
pub(crate) async fn accept(core: &Core, scope: &Scope, row: &Resource, input: Input) -> Result<Answer> {
    let strategy = |name: &str| input.get(name).and_then(Value::as_object).cloned();
    match (strategy("inServiceStrategy"), strategy("toServiceStrategy")) {
        (Some(strategy), _) => accept_in_service(core, scope, row, strategy).await,
        (None, Some(strategy)) => accept_to_service(core, scope, row, strategy).await,
        (None, None) => Err(Error::invalid("MissingRequired", "inServiceStrategy")),
    }
}

fn check_pace(strategy: &Config) -> Result<()> {
    for (field, least) in [("batchSize", 1), ("intervalMillis", 100), ("finalScale", 1)] {
        if strategy.get(field).and_then(Value::as_i64).is_some_and(|n| n < least) {
            return Err(Error::invalid("MinLimitExceeded", field));
        }
    }
    Ok(())
}

async fn accept_in_service(core: &Core, scope: &Scope, row: &Resource, mut strategy: Config) -> Result<Answer> {
    check_pace(&strategy)?;
    let is_given = |key: &str| strategy.get(key).is_some_and(|v| !v.is_null());
    let has_primary = is_given("launchConfig");
    let has_sidekicks = strategy.get("secondaryLaunchConfigs").and_then(Value::as_array).is_some_and(|l| !l.is_empty());
    if !has_primary && !has_sidekicks {
        return Err(Error::invalid("InvalidOption", "launchConfig").with_message("an upgrade needs a launch configuration"));
    }
    if row.kind == "loadBalancerService" && !has_primary {
        return Err(Error::invalid("InvalidOption", "launchConfig"));
    }
    let fields = Fields::parse(&row.fields)?;
    let starts_first = strategy.get("startFirst").and_then(Value::as_bool).unwrap_or(false);
    if starts_first && fields.read::<bool>("retainIp")?.unwrap_or(false) {
        return Err(Error::invalid("InvalidOption", "startFirst").with_message("a service that retains addresses cannot start first"));
    }
    let selector = fields.text("selectorContainer");
    services::check_upgrade_configs(&row.kind, &row.name, selector.as_deref(), &mut strategy)?;
    let old_primary: Option<Config> = fields.read("launchConfig")?;
    if has_primary
        && services::is_global(strategy.get("launchConfig").and_then(Value::as_object)) != services::is_global(old_primary.as_ref())
    {
        return Err(Error::invalid("InvalidOption", "launchConfig").with_message("an upgrade cannot make a service global, or not global"));
    }
    let machine = core.machine_of(&row.kind)?.clone();
    let range = core.port_range(row.account_id)?;
    let id = row.id;
    core.write_for(scope, move |tx| {
        let row = tx.get(id)?;
        if machine.start("upgrade", &row.state).is_none() {
            return Err(not_available());
        }
        let mut fields = Fields::parse(&row.fields)?;
        let merged = merge(&row.name, &fields, &strategy)?;
        services::check_complete(&row.name, merged.primary.as_ref(), &merged.sidekicks)?;
        services::check_names_free_of_sidekicks(tx, &row, &merged.sidekicks)?;
        fields.set("launchConfig", &merged.primary)?;
        fields.set("secondaryLaunchConfigs", &merged.sidekicks)?;
        let mut note: ServiceNotes = notes(&row);
        note.last_batch_at = None;
        if let Err(message) = draw_ports(tx, &row, range, &BTreeSet::new(), &mut fields, &mut note)? {
            return Err(Error::conflict(message));
        }
        let (primary, sidekicks): (Option<Config>, Option<Vec<Config>>) =
            (fields.read("launchConfig")?, fields.read("secondaryLaunchConfigs")?);
        strategy.insert("launchConfig".into(), json!(primary));
        strategy.insert("secondaryLaunchConfigs".into(), json!(sidekicks.unwrap_or_default()));
        strategy.insert("previousLaunchConfig".into(), json!(merged.old_primary));
        strategy.insert("previousSecondaryLaunchConfigs".into(), json!(merged.old_sidekicks));
        fields.set("upgrade", &json!({"type": "serviceUpgrade", "inServiceStrategy": strategy, "toServiceStrategy": null}))?;
        let changes = Changes { fields: Some(fields), internal: Some(write_notes(&note)?), ..Changes::default() };
        request(tx, &machine, &row, "upgrade", "{}", changes)
    })
    .await
    .map(|row| Answer::Accepted(Box::new(row)))
}

struct Merged {
    primary: Option<Config>,
    sidekicks: Vec<Config>,
    old_primary: Option<Config>,
    old_sidekicks: Vec<Config>,
}

/// The complete new set: what is given, what depends on it (with a new version), and the rest as it was.
fn merge(service: &str, fields: &Fields, strategy: &Config) -> Result<Merged> {
    let old_primary: Option<Config> = fields.read("launchConfig")?;
    let old_sidekicks: Vec<Config> = fields.read("secondaryLaunchConfigs")?.unwrap_or_default();
    let selects = fields.text("selectorContainer").is_some();
    let given_primary = strategy.get("launchConfig").and_then(Value::as_object).cloned();
    let given: Vec<Config> = strategy
        .get("secondaryLaunchConfigs")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
        .cloned()
        .collect();
    let mut upgraded: BTreeSet<String> = given.iter().map(name_of).collect();
    if given_primary.is_some() {
        upgraded.insert(String::new());
    }
    // What takes its network or its volumes from an upgraded one has to be made anew with it.
    loop {
        let depends = |config: &Config| edges(service, config).iter().any(|e| upgraded.contains(e));
        let mut more: Vec<String> = old_sidekicks.iter().filter(|c| depends(c)).map(name_of).collect();
        if old_primary.as_ref().is_some_and(depends) {
            more.push(String::new());
        }
        let before = upgraded.len();
        upgraded.extend(more);
        if upgraded.len() == before {
            break;
        }
    }
    let version = crate::model::id::random_uuid().to_string();
    let stamp = |mut config: Config, old: Option<&Config>| {
        config.insert("version".into(), json!(version));
        if let Some(old) = old {
            inherit_ports(&mut config, old);
        }
        config
    };
    let primary = match (given_primary, &old_primary) {
        (Some(new), old) => Some(stamp(new, old.as_ref())),
        (None, Some(old)) if upgraded.contains("") => Some(stamp(old.clone(), None)),
        (None, old) => old.clone(),
    };
    let mut sidekicks = Vec::new();
    for old in &old_sidekicks {
        let name = name_of(old);
        match given.iter().find(|g| name_of(g) == name) {
            Some(new) if !selects && removes_sidekick(new.get("imageUuid").and_then(Value::as_str)) => {}
            Some(new) => sidekicks.push(stamp(new.clone(), Some(old))),
            None if upgraded.contains(&name) => sidekicks.push(stamp(old.clone(), None)),
            None => sidekicks.push(old.clone()),
        }
    }
    for new in given {
        let is_new = !old_sidekicks.iter().any(|o| name_of(o) == name_of(&new));
        if is_new && !removes_sidekick(new.get("imageUuid").and_then(Value::as_str)) {
            sidekicks.push(stamp(new, None));
        }
    }
    Ok(Merged { primary, sidekicks, old_primary, old_sidekicks })
}

fn name_of(config: &Config) -> String {
    config.get("name").and_then(Value::as_str).unwrap_or_default().to_lowercase()
}

fn edges(service: &str, config: &Config) -> Vec<String> {
    let launch: LaunchConfig = serde_json::from_value(Value::Object(config.clone())).unwrap_or_default();
    let names = launch.network_launch_config.into_iter().chain(launch.data_volumes_from_launch_configs.into_iter().flatten());
    names.map(|n| if n.eq_ignore_ascii_case(service) { String::new() } else { n.to_lowercase() }).collect()
}

/// A port without a public part keeps the one that the old configuration had for the same private port.
fn inherit_ports(config: &mut Config, old: &Config) {
    let read = |config: &Config| -> Vec<PortSpec> {
        let texts: Vec<String> = config.get("ports").and_then(|p| serde_json::from_value(p.clone()).ok()).unwrap_or_default();
        texts.iter().filter_map(|t| PortSpec::parse(t).ok()).collect()
    };
    let (old, mut ports) = (read(old), read(config));
    for port in ports.iter_mut().filter(|p| p.public.is_none()) {
        port.public = old.iter().find(|o| o.private == port.private).and_then(|o| o.public);
    }
    if !ports.is_empty() {
        config.insert("ports".into(), json!(ports.iter().map(ToString::to_string).collect::<Vec<_>>()));
    }
}

async fn accept_to_service(core: &Core, scope: &Scope, row: &Resource, strategy: Config) -> Result<Answer> {
    check_pace(&strategy)?;
    let target = strategy.get("toServiceId").and_then(Value::as_str).and_then(parse_reference);
    let Some(target) = target else { return Err(Error::invalid("MissingRequired", "toServiceId")) };
    if target == row.id {
        return Err(Error::invalid("InvalidReference", "toServiceId").with_message("a service cannot be upgraded to itself"));
    }
    let machine = core.machine_of(&row.kind)?.clone();
    let id = row.id;
    core.write_for(scope, move |tx| {
        let row = tx.get(id)?;
        if machine.start("upgrade", &row.state).is_none() {
            return Err(not_available());
        }
        let mut fields = Fields::parse(&row.fields)?;
        fields.set("upgrade", &json!({"type": "serviceUpgrade", "inServiceStrategy": null, "toServiceStrategy": strategy}))?;
        let note = ServiceNotes { last_batch_at: None, to_service: Some(target.0), links_copied: false, ..notes::<ServiceNotes>(&row) };
        let changes = Changes { fields: Some(fields), internal: Some(write_notes(&note)?), ..Changes::default() };
        request(tx, &machine, &row, "upgrade", "{}", changes)
    })
    .await
    .map(|row| Answer::Accepted(Box::new(row)))
}

/// Takes a rollback: the previous configurations are the current ones again; the planner brings the old units back.
pub(crate) async fn roll_back(core: &Core, scope: &Scope, row: &Resource) -> Result<Answer> {
    let machine = core.machine_of(&row.kind)?.clone();
    let id = row.id;
    core.write_for(scope, move |tx| {
        let row = tx.get(id)?;
        if machine.start("rollback", &row.state).is_none() {
            return Err(not_available());
        }
        let mut fields = Fields::parse(&row.fields)?;
        let upgrade: Option<Value> = fields.read("upgrade")?;
        let strategy = upgrade.as_ref().and_then(|u| u.get("inServiceStrategy")).filter(|s| s.is_object());
        if let Some(strategy) = strategy.filter(|s| s.get("previousLaunchConfig").is_some()) {
            fields.set("launchConfig", strategy.get("previousLaunchConfig").unwrap_or(&Value::Null))?;
            let sidekicks = strategy.get("previousSecondaryLaunchConfigs").cloned().filter(Value::is_array).unwrap_or(json!([]));
            fields.set("secondaryLaunchConfigs", &sidekicks)?;
        }
        let note = ServiceNotes { last_batch_at: None, ..notes::<ServiceNotes>(&row) };
        let changes = Changes { fields: Some(fields), internal: Some(write_notes(&note)?), ..Changes::default() };
        request(tx, &machine, &row, "rollback", "{}", changes)
    })
    .await
    .map(|row| Answer::Accepted(Box::new(row)))
}

/// One step of an upgrade to another service, from their scales: `(from, to)`, or `None` when it is done.
fn next_scales(from: i64, to: i64, final_scale: i64, batch: i64) -> Option<(i64, i64)> {
    if from == 0 && to == final_scale {
        return None;
    }
    let total = from + to;
    let (mut new_from, mut new_to) = (from, to);
    if total > final_scale {
        new_from = (from - batch.min(total - final_scale)).max(0);
    } else if to < final_scale {
        new_to = to + batch.min(final_scale - to).min(final_scale + batch - total);
    }
    if new_from == 0 && new_to != final_scale && (new_from, new_to) == (from, to) || from == 0 {
        new_to = final_scale;
    }
    Some((new_from, new_to))
}

impl Core {
    /// A pass of an upgrade to another service; `None` if this is an upgrade in place.
    pub(crate) async fn upgrade_to_service(&self, process: &Process, picture: &Picture) -> Result<Option<Outcome>> {
        let Some(upgrade) = &picture.fields.upgrade else { return Ok(None) };
        let (None, Some(strategy)) = (&upgrade.in_service_strategy, &upgrade.to_service_strategy) else { return Ok(None) };
        let target = strategy.to_service_id.as_deref().and_then(parse_reference);
        let target = target.map(|id| self.store.find(id)).transpose()?.flatten().filter(|t| t.removed.is_none() && t.state != "removing");
        // The rest of this service is reconciled on the way, whatever the other one does.
        let plan = plan::plan(&picture.desired_run(self), &picture.observed, self.now());
        let is_settled = plan.steps.is_empty() && plan.verdict == plan::Verdict::Converged;
        if !plan.steps.is_empty() {
            self.carry_out(Some(process.id), picture, plan).await?;
        }
        self.roll_up(picture).await?;
        let Some(target) = target else { return Ok(Some(Outcome::done())) };
        if strategy.update_links.unwrap_or(false) && !picture.notes.links_copied {
            links::copy_consumers(self, picture.service.id, target.id).await?;
        }
        let waiting = |wait: Duration, text: &str| Ok(Some(Outcome::Again(wait, text.to_owned())));
        let target_fields = Fields::parse(&target.fields)?;
        let (to, there): (i64, i64) = (target_fields.read("scale")?.unwrap_or(1), target_fields.read("currentScale")?.unwrap_or(0));
        if target.state == "inactive" {
            let machine = self.machine_of(&target.kind)?.clone();
            let id = target.id;
            self.write(move |tx| {
                let row = tx.get(id)?;
                if machine.start("activate", &row.state).is_some() {
                    request(tx, &machine, &row, "activate", "{}", Changes::default())?;
                }
                Ok(())
            })
            .await?;
            return waiting(POLL, "Activating the other service");
        }
        if !is_settled || target.state != "active" || there != to || target.health == "initializing" {
            return waiting(POLL, "Waiting for both services");
        }
        let interval = Duration::from_millis(u64::try_from(strategy.interval_millis.unwrap_or(2_000)).unwrap_or(2_000));
        if let Some(last) = picture.notes.last_batch_at
            && self.now().since(last) < interval
        {
            return waiting(interval - self.now().since(last), "Waiting for the next batch");
        }
        let from = picture.fields.scale.unwrap_or(1);
        let Some((new_from, new_to)) = next_scales(from, to, strategy.final_scale.unwrap_or(1), strategy.batch_size.unwrap_or(1)) else {
            return Ok(Some(Outcome::done()));
        };
        self.write_scales(process, picture, &target, new_from, new_to).await?;
        waiting(POLL, "Moving to the other service")
    }

    async fn write_scales(&self, process: &Process, picture: &Picture, target: &Resource, from: i64, to: i64) -> Result<()> {
        let machine = self.machine_of(&target.kind)?.clone();
        let (process_id, from_id, to_id) = (process.id, picture.service.id, target.id);
        self.write(move |tx| {
            let Some(row) = fenced(tx, process_id, from_id)? else { return Ok(()) };
            let mut fields = Fields::parse(&row.fields)?;
            fields.set("scale", &from)?;
            let note = ServiceNotes { last_batch_at: Some(tx.now()), links_copied: true, ..notes::<ServiceNotes>(&row) };
            tx.update_if(&row, &Changes { fields: Some(fields), internal: Some(write_notes(&note)?), ..Changes::default() })?;
            let target = tx.get(to_id)?;
            let mut fields = Fields::parse(&target.fields)?;
            if fields.read::<i64>("scale")? != Some(to) {
                fields.set("scale", &to)?;
                request(tx, &machine, &target, "update", "{}", Changes { fields: Some(fields), ..Changes::default() })?;
            }
            Ok(())
        })
        .await
    }
}

/// How often two services that wait for each other are looked at.
const POLL: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

    use super::*;

    fn run(mut from: i64, mut to: i64, final_scale: i64, batch: i64) -> (i64, i64, usize) {
        for round in 0..100 {
            match next_scales(from, to, final_scale, batch) {
                None => return (from, to, round),
                Some((f, t)) => {
                    assert!(f >= 0 && t >= 0 && (f, t) != (from, to), "stuck at {from}, {to}");
                    (from, to) = (f, t);
                }
            }
        }
        (from, to, 100)
    }

    #[test]
    fn an_upgrade_to_a_service_ends_at_the_final_scale() {
        for (from, to, final_scale, batch) in [(1, 1, 2, 1), (5, 2, 3, 100), (1, 5, 2, 2), (3, 0, 3, 1), (0, 0, 1, 1), (10, 10, 1, 3)] {
            let (f, t, _) = run(from, to, final_scale, batch);
            assert_eq!((f, t), (0, final_scale), "{from} {to} {final_scale} {batch}");
        }
    }

    fn service(primary: Value, sidekicks: Value) -> Fields {
        let mut fields = Fields::default();
        fields.set("launchConfig", &primary).expect("sets");
        fields.set("secondaryLaunchConfigs", &sidekicks).expect("sets");
        fields
    }

    fn versions(merged: &Merged) -> Vec<(String, bool)> {
        let is_new = |c: &Config| c.get("version").and_then(Value::as_str) != Some("0");
        merged.primary.iter().chain(&merged.sidekicks).map(|c| (name_of(c), is_new(c))).collect()
    }

    #[test]
    fn only_what_is_upgraded_and_what_depends_on_it_gets_a_new_version() {
        let fields = service(
            json!({"imageUuid": "a", "version": "0", "networkLaunchConfig": "one"}),
            json!([
                {"name": "one", "version": "0", "dataVolumesFromLaunchConfigs": ["two"]},
                {"name": "two", "version": "0"},
                {"name": "three", "version": "0"},
            ]),
        );
        let strategy = json!({"secondaryLaunchConfigs": [{"name": "two", "imageUuid": "b"}]});
        let merged = merge("web", &fields, strategy.as_object().expect("object")).expect("merges");
        let expected = [("", true), ("one", true), ("two", true), ("three", false)].map(|(n, v)| (n.to_owned(), v));
        assert_eq!(versions(&merged), expected);
        assert_eq!(merged.old_sidekicks.len(), 3);
    }

    #[test]
    fn sidekicks_are_added_and_removed() {
        let fields = service(json!({"imageUuid": "a", "version": "0"}), json!([{"name": "old", "version": "0"}]));
        let strategy = json!({"secondaryLaunchConfigs": [{"name": "OLD", "imageUuid": "rancher/NONE"}, {"name": "new", "imageUuid": "b"}]});
        let merged = merge("web", &fields, strategy.as_object().expect("object")).expect("merges");
        assert_eq!(versions(&merged), [("".to_owned(), false), ("new".to_owned(), true)]);
    }

    #[test]
    fn random_ports_survive_an_upgrade() {
        let fields = service(json!({"ports": ["49153:80/tcp", "49154:82/tcp"], "version": "0"}), json!([]));
        let strategy = json!({"launchConfig": {"imageUuid": "b", "ports": ["80/tcp", "82/udp", "8083:83/udp"]}});
        let merged = merge("web", &fields, strategy.as_object().expect("object")).expect("merges");
        let ports = merged.primary.and_then(|p| p.get("ports").cloned());
        assert_eq!(ports, Some(json!(["49153:80/tcp", "49154:82/udp", "8083:83/udp"])));
    }
}
