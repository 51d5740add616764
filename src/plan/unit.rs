//! Instances grouped into units, and the order of the configurations in a unit.

use super::*;

/// The instances of one unit. Planning moves them between the lists, so that later phases see what earlier ones
/// asked for.
#[derive(Debug, Clone)]
pub(super) struct Unit<'a> {
    /// Its uuid.
    pub(super) id: &'a str,
    /// The `n` of its names.
    pub(super) index: u32,
    /// The lowest create index in it, that of kept instances included: an upgrade does not change the order of units.
    pub(super) order: i64,
    /// Managed ones.
    pub(super) live: Vec<&'a Instance>,
    /// Put aside by an upgrade.
    pub(super) parked: Vec<&'a Instance>,
    /// Being removed, by an earlier plan or by this one.
    pub(super) leaving: Vec<&'a Instance>,
}

impl Unit<'_> {
    /// Where it is: with its live instances, else with its parked ones.
    pub(super) fn host(&self) -> Option<ResourceId> {
        self.live.iter().chain(&self.parked).find_map(|i| i.host)
    }

    /// Takes its place in the order of creation by what is left of it.
    pub(super) fn reorder(&mut self) {
        self.order = self
            .live
            .iter()
            .chain(&self.parked)
            .map(|i| i.create_index)
            .min()
            .unwrap_or(self.order);
    }

    /// Whether it has an instance to speak of.
    pub(super) fn is_empty(&self) -> bool {
        self.live.is_empty() && self.parked.is_empty()
    }
}

/// The units, those made first coming first. Does not depend on the order of the instances.
pub(super) fn group(instances: &[Instance]) -> Vec<Unit<'_>> {
    let mut sorted: Vec<&Instance> = instances.iter().collect();
    sorted.sort_unstable_by(|a, b| (&a.unit, a.create_index, a.id).cmp(&(&b.unit, b.create_index, b.id)));
    let mut units: Vec<Unit<'_>> = sorted
        .chunk_by(|a, b| a.unit == b.unit)
        .filter_map(|members| {
            let staying = |i: &&&Instance| i.state != InstanceState::Removing;
            let first = members.iter().find(staying).or(members.first())?;
            let mut unit = Unit {
                id: &first.unit,
                index: first.index,
                order: first.create_index,
                live: Vec::new(),
                parked: Vec::new(),
                leaving: Vec::new(),
            };
            for instance in members {
                match (instance.state, instance.is_parked) {
                    (InstanceState::Removing, _) => unit.leaving.push(instance),
                    (_, true) => unit.parked.push(instance),
                    (_, false) => unit.live.push(instance),
                }
            }
            Some(unit)
        })
        .collect();
    sort(&mut units);
    units
}

/// Puts units in order of creation.
pub(super) fn sort(units: &mut [Unit<'_>]) {
    units.sort_unstable_by(|a, b| (a.order, a.id).cmp(&(b.order, b.id)));
}

/// The configurations of a unit, providers before those that depend on them.
#[derive(Debug)]
pub(super) struct UnitShape<'a> {
    /// Of the primary: whether a unit is ready only when it is over, and how many go on at once.
    pub(super) job: JobRule,
    /// In start order.
    pub(super) configs: Vec<&'a UnitConfig>,
    /// For each of `configs`: the places of the ones it depends on directly.
    providers: Vec<Vec<usize>>,
}

impl<'a> UnitShape<'a> {
    /// Orders the configurations; those in a circle keep their own order at the end.
    pub(super) fn new(configs: &'a [UnitConfig]) -> Self {
        let mut ordered: Vec<&UnitConfig> = Vec::with_capacity(configs.len());
        let mut rest: Vec<&UnitConfig> = configs.iter().collect();
        while !rest.is_empty() {
            let is_ready = |config: &&UnitConfig| {
                !rest
                    .iter()
                    .any(|other| !same_name(other, config) && depends_on(config, other))
            };
            let (ready, blocked): (Vec<&UnitConfig>, Vec<&UnitConfig>) = rest.iter().partition(|c| is_ready(c));
            if ready.is_empty() {
                ordered.extend(blocked);
                break;
            }
            ordered.extend(ready);
            rest = blocked;
        }
        let providers = ordered
            .iter()
            .enumerate()
            .map(|(at, config)| {
                ordered
                    .iter()
                    .enumerate()
                    .take(at)
                    .filter(|(_, other)| depends_on(config, other))
                    .map(|(n, _)| n)
                    .collect()
            })
            .collect();
        let primary = configs.iter().find(|config| config.name.is_none());
        Self {
            job: primary
                .map(|primary| JobRule::checked(&primary.labels))
                .unwrap_or_default(),
            configs: ordered,
            providers,
        }
    }

    /// The place of the configuration with this name.
    pub(super) fn position(&self, name: Option<&str>) -> Option<usize> {
        self.configs.iter().position(|c| c.name.as_deref() == name)
    }

    /// The configuration that made this instance, if it is still wanted.
    pub(super) fn config_of(&self, instance: &Instance) -> Option<&'a UnitConfig> {
        self.configs.iter().find(|c| c.name == instance.config).copied()
    }

    /// The places of what the configuration at `at` depends on directly.
    pub(super) fn providers(&self, at: usize) -> &[usize] {
        self.providers.get(at).map_or(&[], Vec::as_slice)
    }

    /// Whether the instance is of the wanted version.
    pub(super) fn is_current(&self, instance: &Instance) -> bool {
        self.config_of(instance).is_some_and(|c| c.version == instance.version)
    }
}

fn same_name(a: &UnitConfig, b: &UnitConfig) -> bool {
    a.name == b.name
}

fn depends_on(config: &UnitConfig, other: &UnitConfig) -> bool {
    // Cattle compares launch configuration names without regard to case.
    let is_other = |name: &Option<String>| match (name, &other.name) {
        (None, None) => true,
        (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
        _ => false,
    };
    config.network_from.as_ref().is_some_and(is_other) || config.volumes_from.iter().any(is_other)
}

/// Whether the configuration publishes a port that only one container of a host can have.
pub(super) fn has_fixed_ports(config: &UnitConfig) -> bool {
    config.host_ports.iter().any(|p| p.public.is_some())
}

/// Whether the instance has ended, and is left so: a one-shot, or one whose rule says so.
pub(super) fn is_over(instance: &Instance, config: &UnitConfig) -> bool {
    let is_left = || {
        let ended = instance.ended_at();
        ended.is_some_and(|at| config.restarts.leaves(instance.exit_code, at, &instance.restarts))
    };
    matches!(instance.state, InstanceState::Stopped | InstanceState::Stopping)
        && (config.start_once && instance.start_count >= 1 || is_left())
}

/// Whether the instance runs, or need not any more.
pub(super) fn is_up(instance: &Instance, config: &UnitConfig) -> bool {
    instance.state == InstanceState::Running || is_over(instance, config)
}
