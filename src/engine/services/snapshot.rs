//! A service with everything that planning needs of it, read from the rows.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::engine::core::{Core, notes};
use crate::engine::instances::{InstanceFacts, InstanceNotes, plan_health, plan_state};
use crate::model::launch::{LABEL_GLOBAL, LABEL_START_ONCE, LaunchConfig, is_none_image};
use crate::model::own_labels::{FailureAction, RestartRule, UpgradePolicy, Watch};
use crate::model::{Error, Resource, ResourceId, Result, ServiceKind, Timestamp};
use crate::plan::{self, Batches, Desired, Goal, Guard, HealthStrategy, Observed, OnFailure, Scale, Trial};
use crate::schema::limits::SCALE;

use super::going_back::going_back;
use super::scheduled::ScheduleNotes;

/// The engine's own notes of a service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ServiceNotes {
    /// When the last batch of the running upgrade or restart began.
    pub(crate) last_batch_at: Option<Timestamp>,
    /// Start counts at the time a restart was asked for.
    pub(crate) start_counts: BTreeMap<i64, i64>,
    /// Addresses that the service retains: `<config>/<index>` → address.
    pub(crate) retained: BTreeMap<String, String>,
    /// The service it is upgraded to, and how (toServiceStrategy).
    pub(crate) to_service: Option<i64>,
    /// Whether the links were already copied to that service.
    pub(crate) links_copied: bool,
    /// Containers that could not be started and were removed, until there are others: `<config>/<index>` → how often.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) failed: BTreeMap<String, Failed>,
    /// Ports drawn from the project's range: they are given back with the service.
    pub(crate) drawn_ports: Vec<u16>,
    /// What is known of an upgrade that is guarded by labels.
    #[serde(skip_serializing_if = "UpgradeNotes::is_plain")]
    pub(crate) upgrade: UpgradeNotes,
    /// Whether its units are to move until each host has its share.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) rebalances: bool,
    /// The balancer that publishes its ports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mesh: Option<i64>,
    /// What is known of its schedule.
    #[serde(skip_serializing_if = "ScheduleNotes::is_none")]
    pub(crate) schedule: ScheduleNotes,
}

/// What is known of an upgrade, or of a rollback, that is guarded by labels of its launch configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct UpgradeNotes {
    /// The create index of the service when it began.
    pub(crate) from: i64,
    /// When it began, if it is a rollback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<Timestamp>,
    /// The indexes of units in which something new failed.
    pub(crate) failed: BTreeSet<u32>,
    /// Whether it was told to go on after it stood still.
    pub(crate) is_released: bool,
    /// When it was rolled back by itself, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) given_up: Option<GivenUp>,
}

impl UpgradeNotes {
    fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// The same, for planning.
    pub(crate) fn trial(&self) -> Trial {
        Trial {
            from: self.from,
            since: self.since,
            failed: self.failed.clone(),
            is_released: self.is_released,
        }
    }
}

/// An upgrade that failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct GivenUp {
    pub(crate) at: Timestamp,
    pub(crate) why: String,
}

/// What is known of containers that could not be started.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Failed {
    /// How often in a row.
    pub(crate) times: u32,
    /// Of which version: another one is another attempt.
    pub(crate) version: String,
}

/// A service's own fields, as far as the engine acts on them.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ServiceFields {
    pub(crate) scale: Option<i64>,
    pub(crate) scale_policy: Option<ScalePolicy>,
    pub(crate) launch_config: Option<Box<RawValue>>,
    pub(crate) secondary_launch_configs: Option<Vec<Box<RawValue>>>,
    pub(crate) upgrade: Option<UpgradeFields>,
    pub(crate) retain_ip: Option<bool>,
    pub(crate) create_index: Option<i64>,
    pub(crate) current_scale: Option<i64>,
    pub(crate) restart: Option<RestartFields>,
    pub(crate) selector_container: Option<String>,
    pub(crate) system: Option<bool>,
    pub(crate) public_endpoints: Option<Box<RawValue>>,
}

/// `scalePolicy`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct ScalePolicy {
    pub(crate) min: Option<i64>,
    pub(crate) max: Option<i64>,
    pub(crate) increment: Option<i64>,
}

/// `upgrade`, as far as pacing goes.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct UpgradeFields {
    pub(crate) in_service_strategy: Option<Strategy>,
    pub(crate) to_service_strategy: Option<Strategy>,
}

/// `restart`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RestartFields {
    pub(crate) rolling_restart_strategy: Option<Strategy>,
}

/// Batch size and interval of any strategy.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Strategy {
    pub(crate) batch_size: Option<i64>,
    pub(crate) interval_millis: Option<i64>,
    pub(crate) start_first: Option<bool>,
    pub(crate) to_service_id: Option<String>,
    pub(crate) final_scale: Option<i64>,
    pub(crate) update_links: Option<bool>,
    pub(crate) launch_config: Option<Box<RawValue>>,
}

impl Strategy {
    fn batches(&self) -> Batches {
        Batches {
            size: u32::try_from(self.batch_size.unwrap_or(1)).unwrap_or(1).max(1),
            interval: Duration::from_millis(u64::try_from(self.interval_millis.unwrap_or(2_000)).unwrap_or(2_000)),
            start_first: self.start_first.unwrap_or(false),
            guard: Guard::NONE,
        }
    }
}

/// A launch configuration, parsed and as pieces of text.
pub(crate) struct Config {
    pub(crate) launch: LaunchConfig,
    pub(crate) raw: BTreeMap<String, Box<RawValue>>,
}

impl Config {
    fn parse(text: &RawValue) -> Result<Self> {
        let failed = |e| Error::internal("reading a launch configuration", e);
        Ok(Self {
            launch: serde_json::from_str(text.get()).map_err(failed)?,
            raw: serde_json::from_str(text.get()).map_err(failed)?,
        })
    }
}

/// A service with everything that planning needs of it.
pub(crate) struct ServiceSnapshot {
    pub(crate) service: Resource,
    pub(crate) stack: Resource,
    pub(crate) fields: ServiceFields,
    pub(crate) notes: ServiceNotes,
    pub(crate) configs: Vec<Config>,
    pub(crate) instances: Vec<Resource>,
    pub(crate) observed: Observed,
}

impl ServiceSnapshot {
    /// Whether units are one per host.
    pub(crate) fn is_global(&self) -> bool {
        self.configs.iter().any(|c| c.launch.has_label_true(LABEL_GLOBAL))
    }

    /// Whether the service has containers of its own at all.
    pub(crate) fn has_own(&self) -> bool {
        // These have a launch configuration for its labels alone, whatever image it names.
        let never = matches!(self.service.kind.as_str(), "externalService" | "dnsService");
        !never && self.configs.first().is_some_and(|c| c.launch.has_image())
    }

    fn scale(&self) -> Scale {
        if self.is_global() {
            return Scale::Global;
        }
        let fixed = self.fields.scale.unwrap_or(1);
        let wanted = match &self.fields.scale_policy {
            Some(policy) => {
                // From the minimum upwards, an increment more whenever all that was asked for runs.
                let (min, max) = (policy.min.unwrap_or(1), policy.max.unwrap_or(1));
                let next = self
                    .running_primaries()
                    .saturating_add(policy.increment.unwrap_or(1).max(1));
                next.max(self.current_scale()).min(max).max(min)
            }
            None => fixed,
        };
        // What was stored before there was a limit is held to it as well.
        Scale::Units(u32::try_from(wanted.clamp(0, SCALE)).unwrap_or(0))
    }

    /// How many units there should be: as many as the scale says, or one for each host.
    pub(crate) fn wanted_units(&self) -> usize {
        match self.scale() {
            Scale::Units(units) => usize::try_from(units).unwrap_or(usize::MAX),
            Scale::Global => self.observed.hosts.iter().filter(|host| host.is_active).count(),
        }
    }

    /// What is there, if that is enough for a scale policy.
    pub(crate) fn scale_that_fits(&self) -> Option<Scale> {
        let (Some(policy), Scale::Units(_)) = (&self.fields.scale_policy, self.scale()) else {
            return None;
        };
        let there = self.current_scale();
        (there >= policy.min.unwrap_or(1)).then(|| Scale::Units(u32::try_from(there).unwrap_or(u32::MAX)))
    }

    /// What counts as fully there: the minimum of a scale policy.
    fn expected(&self) -> Scale {
        match (&self.fields.scale_policy, self.scale()) {
            (_, Scale::Global) => Scale::Global,
            (Some(policy), _) => Scale::Units(u32::try_from(policy.min.unwrap_or(1).max(0)).unwrap_or(1)),
            (None, scale) => scale,
        }
    }

    fn in_service(&self) -> Batches {
        let strategy = self
            .fields
            .upgrade
            .as_ref()
            .and_then(|u| u.in_service_strategy.clone())
            .unwrap_or_default();
        Batches {
            guard: self.upgrade_policy().map_or(Guard::NONE, |policy| Guard {
                canary: policy.canary,
                ..guard_of(policy.watch)
            }),
            ..strategy.batches()
        }
    }

    /// What the labels of the primary say of upgrades. They were checked before they were stored.
    fn upgrade_policy(&self) -> Option<UpgradePolicy> {
        let labels = self.configs.first()?.launch.labels.as_ref()?;
        UpgradePolicy::of(labels).ok()
    }

    pub(crate) fn goal(&self, process: &str) -> Goal {
        match process {
            "upgrade" | "continueupgrade" => Goal::Upgrade(self.in_service()),
            "rollback" => Goal::Rollback(going_back(self.in_service(), self.fields.upgrade.as_ref())),
            "finishupgrade" => Goal::FinishUpgrade(self.in_service()),
            "restart" => Goal::Restart {
                batches: self
                    .fields
                    .restart
                    .as_ref()
                    .and_then(|r| r.rolling_restart_strategy.clone())
                    .unwrap_or_default()
                    .batches(),
                start_counts: self
                    .notes
                    .start_counts
                    .iter()
                    .map(|(id, n)| (ResourceId(*id), *n))
                    .collect(),
            },
            "deactivate" => Goal::Stop,
            "remove" => Goal::Remove,
            _ => Goal::Run,
        }
    }

    pub(crate) fn desired(&self, core: &Core, goal: Goal) -> Desired {
        let configs = if self.has_own() {
            self.configs
                .iter()
                .map(|c| core.plan_config(Some(&self.service.name), &c.launch))
                .collect()
        } else {
            Vec::new()
        };
        Desired {
            stack: self.stack.name.clone(),
            service: self.service.name.clone(),
            goal,
            scale: self.scale(),
            configs,
            health: HealthStrategy::of(self.configs.first().and_then(|c| c.launch.check()).as_ref()),
            moves: self.moves(),
            divider: '-',
        }
    }

    /// As many as the scale says, whatever their version.
    pub(crate) fn desired_run(&self, core: &Core) -> Desired {
        self.desired(core, Goal::Run)
    }

    /// The service's health, from its own containers.
    pub(crate) fn health(&self, now: Timestamp) -> &'static str {
        let is_computed = ServiceKind::of(&self.service.kind).computes_health();
        if !is_computed || !self.has_own() {
            return "healthy";
        }
        let once: HashMap<Option<&str>, bool> = self
            .configs
            .iter()
            .map(|c| (c.launch.name.as_deref(), c.launch.has_label_true(LABEL_START_ONCE)))
            .collect();
        let rules: HashMap<Option<&str>, RestartRule> = self
            .configs
            .iter()
            .map(|c| (c.launch.name.as_deref(), RestartRule::checked(c.launch.labels.as_ref())))
            .collect();
        // Whoever ended well by a rule that leaves it so has done its work, too.
        let is_done = |i: &plan::Instance| {
            let rule = rules.get(&i.config.as_deref()).copied().unwrap_or_default();
            rule.on_failure_only && i.exit_code == Some(0) && i.ended_at().is_some()
        };
        let is_once = |i: &plan::Instance| once.get(&i.config.as_deref()).copied().unwrap_or(false) || is_done(i);
        let active: HashMap<ResourceId, bool> = self.observed.hosts.iter().map(|h| (h.id, h.is_active)).collect();
        let members = self
            .observed
            .instances
            .iter()
            .filter(|i| !i.is_parked)
            .map(|i| plan::Member {
                state: i.state,
                health: if i.is_shaky(now) && !is_once(i) {
                    plan::Health::Unhealthy
                } else {
                    i.health
                },
                is_start_once: is_once(i),
                start_count: i.start_count,
                is_on_active_host: i.host.and_then(|h| active.get(&h)).copied().unwrap_or(false),
            });
        plan::service_health(self.expected(), self.configs.len(), members)
    }

    /// When the next container that keeps exiting counts as staying up, if it does.
    pub(crate) fn steady_at(&self, now: Timestamp) -> Option<Timestamp> {
        let shaky = self.observed.instances.iter().filter(|i| i.is_shaky(now));
        shaky.filter_map(plan::Instance::steady_at).min()
    }

    fn running_primaries(&self) -> i64 {
        let runs = |i: &&plan::Instance| !i.is_parked && i.config.is_none() && i.state == plan::InstanceState::Running;
        i64::try_from(self.observed.instances.iter().filter(runs).count()).unwrap_or(i64::MAX)
    }

    /// How many primary containers are there and count.
    pub(crate) fn current_scale(&self) -> i64 {
        let there = self.observed.instances.iter().filter(|i| {
            !i.is_parked
                && i.config.is_none()
                && !matches!(i.state, plan::InstanceState::Removing | plan::InstanceState::Broken)
        });
        i64::try_from(there.count()).unwrap_or(i64::MAX)
    }
}

/// What labels say of failures, for planning.
pub(super) fn guard_of(watch: Watch) -> Guard {
    Guard {
        on_failure: match watch.failure_action {
            FailureAction::Continue => OnFailure::Continue,
            FailureAction::Pause => OnFailure::Pause,
            FailureAction::Rollback => OnFailure::RollBack,
        },
        monitor: watch.monitor,
        tolerated_ppm: watch.max_failed_ppm,
        canary: 0,
    }
}

impl Core {
    /// Reads everything about a service; `None` if it or its stack is gone.
    pub(crate) fn snapshot(&self, id: ResourceId) -> Result<Option<ServiceSnapshot>> {
        let Some(service) = self.store.find(id)? else {
            return Ok(None);
        };
        let stack = service.parent_id.map(|id| self.store.find(id)).transpose()?.flatten();
        let Some(stack) = stack else { return Ok(None) };
        let fields: ServiceFields =
            serde_json::from_str(&service.fields).map_err(|e| Error::internal(format!("reading service {id}"), e))?;
        let mut configs = Vec::new();
        for raw in fields
            .launch_config
            .iter()
            .chain(fields.secondary_launch_configs.iter().flatten())
        {
            configs.push(Config::parse(raw)?);
        }
        if let Some(primary) = configs.first_mut() {
            primary.launch.name = None;
        }
        let instances = self.store.children(id, "instance")?;
        let mut parked: HashMap<String, bool> = HashMap::new();
        for map in self.store.children(id, "serviceExposeMap")? {
            let fields: ExposeFields = serde_json::from_str(&map.fields).unwrap_or_default();
            if let Some(instance) = fields.instance_id {
                parked.insert(instance, fields.upgrade && !fields.managed);
            }
        }
        let prefix = self.type_of("container")?.prefix.clone();
        let mut seen = Vec::with_capacity(instances.len());
        for row in &instances {
            let facts: InstanceFacts = serde_json::from_str(&row.fields).unwrap_or_default();
            let note: InstanceNotes = notes(row);
            seen.push(plan::Instance {
                id: row.id,
                unit: facts.deployment_unit_uuid.unwrap_or_default(),
                index: note.index,
                config: note.config,
                version: facts.version.unwrap_or_default(),
                is_parked: parked.get(&format!("{prefix}{}", row.id)).copied().unwrap_or(false),
                state: plan_state(row.state),
                health: plan_health(&row.health),
                host: row.host_id,
                create_index: facts.create_index.unwrap_or(0),
                start_count: facts.start_count.unwrap_or(0),
                up_since: note.up_since,
                exits: note.exits,
                exited_at: note.exited_at,
                exit_code: note.exit_code,
                restarts: note.restarts,
                failures: note.failures,
                failed_at: note.failed_at,
            });
        }
        let note: ServiceNotes = notes(&service);
        let launches: Vec<&LaunchConfig> = configs.iter().map(|c| &c.launch).collect();
        let hosts = self.plan_hosts(service.account_id, Some(id), &launches)?;
        let observed = Observed {
            instances: seen,
            hosts,
            homes: self.homes_of_service(&stack, id, &configs)?,
            last_batch_at: note.last_batch_at,
            trial: note.upgrade.trial(),
        };
        Ok(Some(ServiceSnapshot {
            service,
            stack,
            fields,
            notes: note,
            configs,
            instances,
            observed,
        }))
    }
}

/// Whether a launch configuration of an upgrade asks for its sidekick to go.
pub(crate) fn removes_sidekick(image_uuid: Option<&str>) -> bool {
    image_uuid.is_some_and(is_none_image)
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ExposeFields {
    instance_id: Option<String>,
    managed: bool,
    upgrade: bool,
}
