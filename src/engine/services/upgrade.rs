//! Upgrades in place: what the POST writes, and what a rollback restores.
//!
//! An in-service upgrade is bookkeeping plus the planner: the new launch configurations are written at once, with a
//! new version on those that change and on what depends on them; the planner replaces whatever has another version.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::engine::core::{Answer, Core, Input, Scope, not_available, notes, request, supersede, write_notes};
use crate::engine::instances::check_own_key;
use crate::model::own_labels::UpgradePolicy;
use crate::model::{Error, Fields, Resource, Result, ServiceKind};
use crate::schema::Machine;
use crate::store::{Changes, Tx};

use super::random_ports::{Drawn, EXHAUSTED, draw_ports};
use super::snapshot::{ServiceNotes, UpgradeNotes};
use super::to_service::accept_to_service;
use super::upgrade_merge::merge;
use super::{configs, going_back, mesh_ports, names};

/// What a rollback knows of its cause.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct RollbackData {
    /// Why the upgrade was given up, if nobody asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) because: Option<String>,
}

pub(super) type Config = Map<String, Value>;

/// Takes an upgrade: everything that can be wrong is found here, everything that has to be known is written here.
pub(crate) async fn accept(core: &Core, scope: &Scope, row: &Resource, input: Input) -> Result<Answer> {
    let strategy = |name: &str| input.get(name).and_then(Value::as_object).cloned();
    match (strategy("inServiceStrategy"), strategy("toServiceStrategy")) {
        (Some(strategy), _) => accept_in_service(core, scope, row, strategy).await,
        (None, Some(_)) if is_guarded(&Fields::parse(&row.fields)?)? => Err(Error::not_implemented(
            "an upgrade to another service is not watched over: the labels io.drover.upgrade.… count for upgrades in place",
        )
        .with_field("launchConfig.labels")),
        (None, Some(strategy)) => accept_to_service(core, scope, row, strategy).await,
        (None, None) => Err(Error::invalid("MissingRequired", "Upgrade strategy needs to be set")),
    }
}

pub(super) fn check_pace(strategy: &Config) -> Result<()> {
    for (field, least) in [("batchSize", 1), ("intervalMillis", 100), ("finalScale", 1)] {
        if strategy.get(field).and_then(Value::as_i64).is_some_and(|n| n < least) {
            return Err(Error::invalid("MinLimitExceeded", field));
        }
    }
    Ok(())
}

async fn accept_in_service(core: &Core, scope: &Scope, row: &Resource, mut strategy: Config) -> Result<Answer> {
    core.apply_image_rules(&mut strategy)?;
    core.check_host_use(row.account_id, &strategy)?;
    check_own_key(scope, &strategy)?;
    let upgrade = Upgrade::check(row, strategy)?;
    let machine = core.machine_of(&row.kind)?.clone();
    let range = core.port_range(row.account_id)?;
    let id = row.id;
    core.write_for(scope, move |tx| {
        let row = tx.get(id)?;
        if machine.start("upgrade", row.state).is_none() {
            return Err(not_available());
        }
        upgrade.begin(tx, &machine, &row, range)
    })
    .await
    .map(|row| Answer::Accepted(Box::new(row)))
}

/// An upgrade in place that is to be done, and in which nothing is wrong that can be seen without its neighbours.
pub(crate) struct Upgrade {
    strategy: Config,
    finishes: bool,
    /// Fields that are written with it.
    beside: Input,
    /// Whether it takes the place of an upgrade or a rollback that is on its way, or not decided upon.
    supersedes: bool,
}

/// What an upgrade knows beside its strategy.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct UpgradeData {
    /// Whether it finishes by itself.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) finishes: bool,
}

impl Upgrade {
    /// Checks what a service is to be upgraded to.
    pub(crate) fn check(row: &Resource, mut strategy: Config) -> Result<Self> {
        check_pace(&strategy)?;
        let is_given = |key: &str| strategy.get(key).is_some_and(|v| !v.is_null());
        let has_primary = is_given("launchConfig");
        let has_sidekicks = strategy
            .get("secondaryLaunchConfigs")
            .and_then(Value::as_array)
            .is_some_and(|l| !l.is_empty());
        if !has_primary && !has_sidekicks {
            return Err(Error::invalid(
                "InvalidOption",
                "LaunchConfig/secondaryLaunchConfigs need to be specified for inService strategy",
            ));
        }
        if ServiceKind::of(&row.kind) == ServiceKind::LoadBalancer && !has_primary {
            return Err(Error::invalid("InvalidOption", "launchConfig"));
        }
        let fields = Fields::parse(&row.fields)?;
        let starts_first = strategy.get("startFirst").and_then(Value::as_bool).unwrap_or(false);
        if starts_first && fields.read::<bool>("retainIp")?.unwrap_or(false) {
            return Err(Error::invalid("InvalidOption", "startFirst")
                .with_message("a service that retains addresses cannot start first"));
        }
        let selector = fields.text("selectorContainer");
        configs::check_upgrade_configs(&row.kind, &row.name, selector.as_deref(), &mut strategy)?;
        let old_primary: Option<Config> = fields.read("launchConfig")?;
        if has_primary
            && configs::is_global(strategy.get("launchConfig").and_then(Value::as_object))
                != configs::is_global(old_primary.as_ref())
        {
            return Err(Error::invalid("InvalidOption", "launchConfig")
                .with_message("an upgrade cannot make a service global, or not global"));
        }
        Ok(Self {
            strategy,
            finishes: false,
            beside: Input::new(),
            supersedes: false,
        })
    }

    /// The same, finished by itself when all are upgraded.
    pub(super) fn finishing(self) -> Self {
        Self { finishes: true, ..self }
    }

    /// The same that takes the place of one which is on its way, and is written together with other fields.
    pub(super) fn superseding(self, beside: Input) -> Self {
        Self {
            supersedes: true,
            beside,
            ..self
        }
    }

    /// Writes the new configurations, keeps the old ones, and asks for the process. `range` is where ports are drawn.
    pub(crate) fn begin(
        self,
        tx: &mut Tx<'_>,
        machine: &Machine,
        row: &Resource,
        range: (u16, u16),
    ) -> Result<Resource> {
        let data = UpgradeData {
            finishes: self.finishes,
        };
        let data = serde_json::to_string(&data).map_err(|e| Error::internal("writing an upgrade", e))?;
        let mut strategy = self.strategy;
        let mut fields = Fields::parse(&row.fields)?;
        let mut new_name = None;
        for (field, value) in &self.beside {
            match (field.as_str(), value.as_str()) {
                ("name", Some(name)) => new_name = Some(name.to_owned()).filter(|name| *name != row.name),
                _ => fields.set(field, value)?,
            }
        }
        if let Some(name) = &new_name {
            names::check_name_free(tx, row, name)?;
        }
        let merged = merge(&row.name, &fields, &strategy)?;
        configs::check_complete(&row.name, merged.primary.as_ref(), &merged.sidekicks)?;
        names::check_names_free_of_sidekicks(tx, row, &merged.sidekicks)?;
        fields.set("launchConfig", &merged.primary)?;
        fields.set("secondaryLaunchConfigs", &merged.sidekicks)?;
        let mut note: ServiceNotes = notes(row);
        note.last_batch_at = None;
        note.upgrade = first_notes(&fields)?;
        if draw_ports(tx, row, range, &BTreeSet::new(), &mut fields, &mut note)? == Drawn::Exhausted {
            return Err(Error::conflict(EXHAUSTED));
        }
        mesh_ports::check_free(tx, row.account_id, Some(row.id), &fields)?;
        let (primary, sidekicks): (Option<Config>, Option<Vec<Config>>) =
            (fields.read("launchConfig")?, fields.read("secondaryLaunchConfigs")?);
        strategy.insert("launchConfig".into(), json!(primary));
        strategy.insert("secondaryLaunchConfigs".into(), json!(sidekicks.unwrap_or_default()));
        strategy.insert("previousLaunchConfig".into(), json!(merged.old_primary));
        strategy.insert("previousSecondaryLaunchConfigs".into(), json!(merged.old_sidekicks));
        fields.set(
            "upgrade",
            &json!({"type": "serviceUpgrade", "inServiceStrategy": strategy, "toServiceStrategy": null}),
        )?;
        let changes = Changes {
            name: new_name,
            fields: Some(fields),
            internal: Some(write_notes(&note)?),
            ..Changes::default()
        };
        match self.supersedes {
            true => supersede(tx, machine, row, "upgrade", &data, changes),
            false => request(tx, machine, row, "upgrade", &data, changes),
        }
    }
}

/// What is noted of an upgrade as it begins; `fields` have its configurations already.
fn first_notes(fields: &Fields) -> Result<UpgradeNotes> {
    let from = match is_guarded(fields)? {
        true => fields.read("createIndex")?.unwrap_or(0),
        false => 0,
    };
    Ok(UpgradeNotes {
        from,
        ..UpgradeNotes::default()
    })
}

/// Whether labels of the primary say anything of upgrades to it.
fn is_guarded(fields: &Fields) -> Result<bool> {
    let launch: Option<Config> = fields.read("launchConfig")?;
    let launch = launch.map(|launch| configs::as_launch(&launch)).transpose()?;
    let labels = launch.and_then(|launch| launch.labels).unwrap_or_default();
    Ok(UpgradePolicy::of(&labels)? != UpgradePolicy::default())
}

/// Lets an upgrade go on that was cancelled. What stood still after a canary, or because of failures, does so no more:
/// only what fails from now on counts.
pub(crate) async fn go_on(core: &Core, scope: &Scope, row: &Resource) -> Result<Answer> {
    let machine = core.machine_of(&row.kind)?.clone();
    let id = row.id;
    core.write_for(scope, move |tx| {
        let row = tx.get(id)?;
        if machine.start("continueupgrade", row.state).is_none() {
            return Err(not_available());
        }
        let mut note: ServiceNotes = notes(&row);
        let mut changes = Changes::default();
        if is_guarded(&Fields::parse(&row.fields)?)? {
            note.upgrade.failed.clear();
            note.upgrade.is_released = true;
            changes.internal = Some(write_notes(&note)?);
        }
        request(tx, &machine, &row, "continueupgrade", "{}", changes)
    })
    .await
    .map(|row| Answer::Accepted(Box::new(row)))
}

/// Takes a rollback.
pub(crate) async fn roll_back(core: &Core, scope: &Scope, row: &Resource) -> Result<Answer> {
    let machine = core.machine_of(&row.kind)?.clone();
    let id = row.id;
    core.write_for(scope, move |tx| {
        let row = tx.get(id)?;
        match machine.start("rollback", row.state) {
            Some(_) => begin_rollback(tx, &machine, &row, None),
            None => Err(not_available()),
        }
    })
    .await
    .map(|row| Answer::Accepted(Box::new(row)))
}

/// Begins a rollback: the previous configurations are the current ones again; the planner brings the old units back.
/// `because` of a failure, if nobody asked for it.
pub(super) fn begin_rollback(
    tx: &mut Tx<'_>,
    machine: &Machine,
    row: &Resource,
    because: Option<String>,
) -> Result<Resource> {
    let mut fields = Fields::parse(&row.fields)?;
    let upgrade: Option<Value> = fields.read("upgrade")?;
    let strategy = upgrade
        .as_ref()
        .and_then(|u| u.get("inServiceStrategy"))
        .filter(|s| s.is_object());
    if let Some(strategy) = strategy.filter(|s| s.get("previousLaunchConfig").is_some()) {
        fields.set(
            "launchConfig",
            strategy.get("previousLaunchConfig").unwrap_or(&Value::Null),
        )?;
        let sidekicks = strategy
            .get("previousSecondaryLaunchConfigs")
            .cloned()
            .filter(Value::is_array)
            .unwrap_or(json!([]));
        fields.set("secondaryLaunchConfigs", &sidekicks)?;
    }
    let data = RollbackData { because };
    let note = ServiceNotes {
        last_batch_at: None,
        upgrade: going_back::first_notes(&fields, tx.now(), data.because.as_deref())?,
        ..notes::<ServiceNotes>(row)
    };
    let changes = Changes {
        fields: Some(fields),
        internal: Some(write_notes(&note)?),
        message: data.because.clone(),
        ..Changes::default()
    };
    let data = serde_json::to_string(&data).map_err(|e| Error::internal("writing a rollback", e))?;
    request(tx, machine, row, "rollback", &data, changes)
}
