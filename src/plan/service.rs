//! Reconciling a service: what is broken goes, what is half made is finished, what is missing comes, what is too
//! much goes. Upgrades use the same phases with batches between them.

use std::collections::BTreeSet;

use super::draft::{Draft, Reach};
use super::jobs::{is_of_job, room_of_job};
use super::naming::free_indexes;
use super::roster::{Mode, Patience, Roster, sort_by_host, sort_by_number};
use super::schedule::{Refusal, Scheduler};
use super::unit::{Unit, group, has_fixed_ports, is_over, is_up, sort};
use super::*;

/// So many units are made by one plan: however large a service, each of its plans is short.
pub(super) const UNITS_A_ROUND: usize = 1_000;

/// The next steps toward `desired`.
///
/// Pure and total: the same inputs give the same plan, in whatever order the instances and hosts are listed. Call it
/// again after every change of `observed`, and after [`Plan::wake_after`].
pub fn plan(desired: &Desired, observed: &Observed, now: Timestamp) -> Plan {
    let mut draft = Draft::new(desired, observed, now);
    match &desired.goal {
        Goal::Hold => {}
        Goal::Stop => stop_all(&mut draft),
        Goal::Remove => remove_all(&mut draft),
        Goal::Run => {
            let mut roster = bring_up(&mut draft, Mode::RUN);
            spread::move_one(&mut draft, &mut roster, desired.moves);
            trim(&mut draft, &mut roster);
        }
        Goal::Upgrade(batches) => upgrade::upgrade(&mut draft, *batches),
        Goal::FinishUpgrade(batches) => upgrade::finish(&mut draft, *batches),
        Goal::Rollback(batches) => upgrade::rollback(&mut draft, *batches),
        Goal::Restart { batches, start_counts } => upgrade::restart(&mut draft, *batches, start_counts),
    }
    draft.into_plan()
}

/// The phases up to "bring up missing". Units with something outdated are left to the caller if the mode replaces.
pub(super) fn bring_up<'a>(draft: &mut Draft<'a>, mode: Mode) -> Roster<'a> {
    let mut units = group(&draft.observed.instances);
    units.iter_mut().for_each(|unit| draft.let_lost_leave(unit));
    let eligible: BTreeSet<ResourceId> = match draft.desired.scale {
        Scale::Units(_) => BTreeSet::new(),
        Scale::Global => eligible_hosts(draft.desired, draft.observed).into_iter().collect(),
    };
    remove_broken(draft, &mut units, mode);
    if mode.heals {
        remove_unhealthy(draft, &mut units, mode, &eligible);
    }
    units.iter_mut().for_each(Unit::reorder);
    sort(&mut units);
    let mut scheduler = Scheduler::new(draft.desired, draft.observed);
    for unit in &units {
        // The parked ones of a unit that waits for its batch stay as they are till then.
        scheduler.count(unit, mode.replaces && !has_outdated(draft, unit));
    }
    let mut roster = Roster::new(mode, scheduler);
    if draft.desired.configs.is_empty() {
        sort_by_number(&mut roster, units, 0);
    } else {
        match draft.desired.scale {
            Scale::Units(wanted) => {
                let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
                match draft.desired.moving() {
                    Moves::Stay => sort_by_number(&mut roster, units, wanted),
                    Moves::StartFirst | Moves::StopFirst => spread::sort_by_place(draft, &mut roster, units, wanted),
                }
            }
            Scale::Global => sort_by_host(&mut roster, units, &eligible),
        }
    }
    let Roster { kept, scheduler, .. } = &mut roster;
    for unit in kept.iter_mut() {
        if !mode.replaces || !has_outdated(draft, unit) {
            work(draft, unit, scheduler, mode);
        }
    }
    add_units(draft, &mut roster, &eligible);
    roster
}

/// The last phase: what is too much goes, and removals are awaited.
pub(super) fn trim<'a>(draft: &mut Draft<'a>, roster: &mut Roster<'a>) {
    let Roster {
        mode,
        kept,
        surplus,
        others,
        ..
    } = roster;
    for unit in surplus.iter_mut().rev() {
        draft.remove_live(unit, Why::Surplus, |_| true);
    }
    if mode.replaces {
        for unit in surplus.iter().chain(others.iter()) {
            settle_parked(draft, unit, |_| false);
        }
    }
    for unit in kept.iter().chain(surplus.iter()).chain(others.iter()) {
        let awaited = unit
            .leaving
            .iter()
            .find(|i| !i.is_parked && draft.link(i.host) == Reach::Up);
        if let Some(instance) = awaited {
            draft.wait_for(instance, "to be removed");
        }
    }
}

/// Whether something live in the unit is not of the wanted version.
pub(super) fn has_outdated(draft: &Draft<'_>, unit: &Unit<'_>) -> bool {
    unit.live.iter().any(|i| !draft.shape.is_current(i))
}

/// Whether the unit serves: one of each configuration runs and is not known to be ill.
pub(super) fn is_available(draft: &Draft<'_>, unit: &Unit<'_>) -> bool {
    let serves =
        |i: &Instance, c: &UnitConfig| is_up(i, c) && i.health != Health::Unhealthy && is_well(i, c, Patience::Healthy);
    draft
        .shape
        .configs
        .iter()
        .all(|c| unit.live.iter().any(|i| i.config == c.name && serves(i, c)))
}

/// Finishes one unit: restores, creates and starts what it lacks, stops what it replaced, waits for the rest.
pub(super) fn work<'a>(draft: &mut Draft<'a>, unit: &mut Unit<'a>, scheduler: &mut Scheduler<'a>, mode: Mode) {
    let host = unit.host();
    if draft.link(host) == Reach::Cut {
        if !is_complete(draft, unit, mode.patience) {
            draft.wait_for_host(host);
        }
        return;
    }
    if mode.replaces {
        let was_empty = unit.live.is_empty();
        take_back(draft, unit);
        if let (true, Some(host)) = (was_empty, unit.live.iter().find_map(|i| i.host)) {
            scheduler.occupy(host, unit.index, Some(unit.id));
        }
    }
    drop_dependants(draft, unit);
    let missing = missing(draft, unit);
    let target = if missing.is_empty() {
        unit.host()
    } else {
        place(draft, unit, scheduler, mode, &missing)
    };
    if mode.replaces {
        let is_done = is_complete(draft, unit, mode.patience);
        let wants_ports = missing.iter().any(|c| has_fixed_ports(c)) || unit.live.iter().any(|i| needs_port(draft, i));
        // A port can have one owner: where the old one has it, it cannot serve until the new one is ready.
        settle_parked(draft, unit, |i| {
            mode.start_first && !is_done && !(wants_ports && i.host == target)
        });
    }
    if let (Some(host), false) = (target, missing.is_empty()) {
        if unit.live.is_empty() {
            scheduler.occupy(host, unit.index, Some(unit.id));
        }
        create_missing(draft, unit, &missing, host, mode);
    }
    start_stopped(draft, unit, scheduler, mode);
    await_ready(draft, unit, mode.patience);
}

fn remove_broken<'a>(draft: &mut Draft<'a>, units: &mut [Unit<'a>], mode: Mode) {
    let links: BTreeMap<ResourceId, Reach> = draft
        .observed
        .hosts
        .iter()
        .map(|h| (h.id, draft.link(Some(h.id))))
        .collect();
    let link = |i: &Instance| {
        i.host
            .map_or(Reach::Up, |id| links.get(&id).copied().unwrap_or(Reach::Gone))
    };
    let is_broken = |i: &Instance| i.state == InstanceState::Broken && link(i) == Reach::Up;
    // What is wanted and fails again and again is shown, with its reason, until another one is made.
    let mut resting = BTreeSet::new();
    for instance in units.iter().flat_map(|unit| &unit.live) {
        let at = instance.remake_at().filter(|at| *at > draft.now);
        if let Some(at) = at.filter(|_| is_broken(instance) && draft.shape.is_current(instance)) {
            draft.wait_until(at, instance, "to be made again");
            resting.insert(instance.id);
        }
    }
    let is_broken = |i: &Instance| is_broken(i) && !resting.contains(&i.id);
    for unit in units {
        if unit.live.iter().any(|i| is_broken(i) || link(i) == Reach::Gone) {
            draft.remove_live(unit, Why::Broken, |i| is_broken(i) || link(i) == Reach::Gone);
        }
        if mode.replaces && unit.parked.iter().any(|i| is_broken(i)) {
            draft.remove_parked(unit, Why::Broken, is_broken);
        }
    }
}

fn remove_unhealthy<'a>(draft: &mut Draft<'a>, units: &mut [Unit<'a>], mode: Mode, eligible: &BTreeSet<ResourceId>) {
    match draft.desired.health {
        HealthStrategy::None => return,
        HealthStrategy::Recreate => {}
        HealthStrategy::RecreateOnQuorum(quorum) => {
            let healthy = units.iter().filter(|u| is_available(draft, u)).count();
            if healthy < usize::try_from(quorum).unwrap_or(usize::MAX) {
                return;
            }
        }
    }
    for unit in units {
        let is_ill = unit
            .live
            .iter()
            .any(|i| i.state == InstanceState::Running && i.health == Health::Unhealthy);
        if !is_ill || draft.link(unit.host()) == Reach::Cut {
            continue;
        }
        // What an upgrade is about to replace anyway stays, so that it can be rolled back to.
        let is_next = mode.replaces && has_outdated(draft, unit);
        let is_ignored = draft.desired.scale == Scale::Global && !unit.host().is_some_and(|h| eligible.contains(&h));
        if !is_next && !is_ignored {
            draft.remove_live(unit, Why::Unhealthy, |_| true);
        }
    }
}

/// Creates the units that are missing, so many in a plan; what is then still missing the next one finds.
fn add_units<'a>(draft: &mut Draft<'a>, roster: &mut Roster<'a>, eligible: &BTreeSet<ResourceId>) {
    if draft.desired.configs.is_empty() {
        return;
    }
    let wanted: Vec<Option<ResourceId>> = match draft.desired.scale {
        Scale::Units(wanted) => {
            let missing = usize::try_from(wanted)
                .unwrap_or(usize::MAX)
                .saturating_sub(roster.kept.len());
            vec![None; missing.min(UNITS_A_ROUND).min(room_of_job(draft, roster))]
        }
        Scale::Global => {
            let served: BTreeSet<ResourceId> = roster.kept.iter().filter_map(Unit::host).collect();
            // It is to be on each: one that does not answer now is waited for.
            if let Some(away) = roster.scheduler.away().find(|host| !served.contains(host)) {
                draft.wait_for_host(Some(away));
            }
            let missing = eligible.difference(&served).copied();
            missing.take(UNITS_A_ROUND).map(Some).collect()
        }
    };
    if wanted.is_empty() {
        return;
    }
    let (mut used, mut busy) = (BTreeSet::new(), BTreeMap::new());
    for unit in roster.kept.iter().chain(&roster.surplus).chain(&roster.others) {
        for instance in unit.leaving.iter().filter(|i| !i.is_parked) {
            if draft.keeps_names(instance.host) {
                used.insert(instance.index);
            } else {
                busy.insert(instance.index, *instance);
            }
        }
        if !unit.is_empty() {
            used.insert(unit.index);
        }
    }
    let configs = draft.shape.configs.clone();
    for (index, pinned) in free_indexes(&used).zip(wanted) {
        if let Some(instance) = busy.get(&index) {
            draft.wait_for(instance, "to be removed");
            continue;
        }
        let place = match pinned {
            None => match draft.observed.homes.get(&index) {
                Some(home) => roster.scheduler.choose_home(*home),
                None => roster.scheduler.choose(None, None, None),
            },
            Some(host) => roster.scheduler.check(host, None, &configs).map(|()| host),
        };
        match place {
            Ok(host) => {
                roster.scheduler.occupy(host, index, None);
                for config in &configs {
                    draft.create(UnitId::New(index), index, config, host);
                }
            }
            // Without any active host a service is content with no containers (cattle: `service.skip`).
            Err(Refusal::NoHost) => return,
            Err(refusal) => {
                draft.refuse(refusal);
                if pinned.is_none() {
                    return;
                }
            }
        }
    }
}

fn slot<'a>(unit: &Unit<'a>, config: &UnitConfig) -> Option<&'a Instance> {
    unit.live.iter().find(|i| i.config == config.name).copied()
}

fn missing<'a>(draft: &Draft<'a>, unit: &Unit<'a>) -> Vec<&'a UnitConfig> {
    draft
        .shape
        .configs
        .iter()
        .filter(|c| slot(unit, c).is_none())
        .copied()
        .collect()
}

fn is_well(instance: &Instance, config: &UnitConfig, patience: Patience) -> bool {
    match (patience, instance.health) {
        (_, Health::None | Health::Healthy) | (Patience::Started | Patience::Up, _) => true,
        (Patience::Known, health) => health != Health::Initializing || !config.health_checked,
        (Patience::Healthy, Health::Initializing | Health::Unhealthy) => !config.health_checked,
    }
}

/// Whether it runs and keeps exiting, which whoever brings back what was there before does not ask.
fn is_shaky(draft: &Draft<'_>, instance: &Instance, config: &UnitConfig, patience: Patience) -> bool {
    patience != Patience::Started && !config.start_once && instance.is_shaky(draft.now)
}

fn is_ready(draft: &Draft<'_>, instance: &Instance, config: &UnitConfig, patience: Patience) -> bool {
    let is_up = || instance.state == InstanceState::Running && !is_shaky(draft, instance, config, patience);
    let serves = || !is_of_job(draft, config) && is_up() && is_well(instance, config, patience);
    is_over(instance, config) || serves()
}

fn is_complete(draft: &Draft<'_>, unit: &Unit<'_>, patience: Patience) -> bool {
    draft
        .shape
        .configs
        .iter()
        .all(|c| slot(unit, c).is_some_and(|i| is_ready(draft, i, c, patience)))
}

fn needs_port(draft: &Draft<'_>, instance: &Instance) -> bool {
    let config = draft.shape.config_of(instance);
    instance.state == InstanceState::Stopped && config.is_some_and(|c| has_fixed_ports(c) && !is_over(instance, c))
}

/// What shares the network or the volumes of something missing goes, to be made anew on top of its successor.
fn drop_dependants<'a>(draft: &mut Draft<'a>, unit: &mut Unit<'a>) {
    let mut lacking: Vec<bool> = draft.shape.configs.iter().map(|c| slot(unit, c).is_none()).collect();
    if !lacking.contains(&true) {
        return;
    }
    for (at, config) in draft.shape.configs.clone().into_iter().enumerate() {
        let depends = draft
            .shape
            .providers(at)
            .iter()
            .any(|p| lacking.get(*p).copied().unwrap_or(false));
        if let (true, Some(lacks)) = (depends, lacking.get_mut(at)) {
            *lacks = true;
            draft.remove_live(unit, Why::Dependent, |i| i.config == config.name);
        }
    }
}

/// Takes back the parked instances that are what is wanted now.
fn take_back<'a>(draft: &mut Draft<'a>, unit: &mut Unit<'a>) {
    if unit.parked.is_empty() {
        return;
    }
    for (at, config) in draft.shape.configs.clone().into_iter().enumerate() {
        if slot(unit, config).is_some() {
            continue;
        }
        let host = unit.live.iter().find_map(|i| i.host);
        // Made on top of a provider that is not there any more, it could not start.
        let is_based = |i: &Instance| {
            let providers = draft
                .shape
                .providers(at)
                .iter()
                .filter_map(|p| draft.shape.configs.get(*p));
            providers
                .into_iter()
                .all(|p| slot(unit, p).is_some_and(|provider| provider.create_index < i.create_index))
        };
        let is_usable = |i: &&&Instance| {
            i.config == config.name
                && i.version == config.version
                && i.state != InstanceState::Broken
                && draft.link(i.host) == Reach::Up
                && (host.is_none() || i.host == host)
                && is_based(i)
        };
        let Some(instance) = unit.parked.iter().rev().find(is_usable).copied() else {
            continue;
        };
        unit.parked.retain(|i| i.id != instance.id);
        unit.live.push(instance);
        draft.unpark(instance);
    }
}

/// The host for what the unit lacks: that of what it has, else its old one, else a new one.
fn place<'a>(
    draft: &mut Draft<'a>,
    unit: &Unit<'a>,
    scheduler: &Scheduler<'a>,
    mode: Mode,
    missing: &[&UnitConfig],
) -> Option<ResourceId> {
    let old = unit.host();
    let is_pinned = !unit.live.is_empty() || draft.desired.scale == Scale::Global;
    let place = match old {
        Some(host) if is_pinned => scheduler.check(host, Some(unit), missing).map(|()| host),
        _ => {
            let serves = unit.parked.iter().any(|i| i.state == InstanceState::Running);
            let stays = draft.observed.homes.contains_key(&unit.index);
            let moves = mode.start_first && serves && !stays && missing.iter().any(|c| has_fixed_ports(c));
            let elsewhere = if moves {
                scheduler.choose(Some(unit), None, old).ok()
            } else {
                None
            };
            elsewhere.map_or_else(|| scheduler.choose(Some(unit), old, None), Ok)
        }
    };
    place.map_err(|refusal| draft.refuse(refusal)).ok()
}

/// Stops what is parked and does not serve.
fn settle_parked<'a>(draft: &mut Draft<'a>, unit: &Unit<'a>, serves: impl Fn(&Instance) -> bool) {
    for instance in &unit.parked {
        let is_going_on = matches!(instance.state, InstanceState::Running | InstanceState::Starting);
        match (draft.link(instance.host), instance.state) {
            (Reach::Gone, _) => {}
            (Reach::Cut, _) if is_going_on => draft.wait_for_host(instance.host),
            (Reach::Cut, _) => {}
            (Reach::Up, InstanceState::Stopping) => draft.wait_for(instance, "to stop"),
            (Reach::Up, _) if is_going_on && !serves(instance) => draft.stop(instance),
            (Reach::Up, _) => {}
        }
    }
}

/// What in the unit has this host's ports until it is down: parked or leaving.
fn port_owner<'a>(draft: &Draft<'a>, unit: &Unit<'a>, host: Option<ResourceId>) -> Option<&'a Instance> {
    let bound = |i: &&&Instance| {
        matches!(
            i.state,
            InstanceState::Starting | InstanceState::Running | InstanceState::Stopping
        )
    };
    let mut owners = unit.parked.iter().filter(bound).chain(&unit.leaving);
    owners
        .find(|i| i.host == host && draft.link(i.host) == Reach::Up)
        .copied()
}

/// What still has the place that this configuration has in the unit, where that has to be down first.
fn predecessor<'a>(draft: &Draft<'a>, unit: &Unit<'a>, config: &UnitConfig, mode: Mode) -> Option<&'a Instance> {
    let is_down = |i: &Instance| matches!(i.state, InstanceState::Stopped | InstanceState::Broken);
    let mut holders = unit.parked.iter().chain(&unit.leaving).filter(|_| mode.stops_first);
    holders
        .find(|i| i.config == config.name && !is_down(i) && draft.link(i.host) == Reach::Up)
        .copied()
}

fn create_missing<'a>(draft: &mut Draft<'a>, unit: &Unit<'a>, missing: &[&UnitConfig], host: ResourceId, mode: Mode) {
    let mut blocked = vec![false; draft.shape.configs.len()];
    for (at, config) in draft.shape.configs.clone().into_iter().enumerate() {
        if !missing.iter().any(|m| m.name == config.name) {
            continue;
        }
        // Kept ones share their name with what replaces them; managed ones do not.
        let namesake = unit
            .leaving
            .iter()
            .find(|i| !i.is_parked && i.config == config.name && !draft.keeps_names(i.host))
            .copied();
        let owner = if has_fixed_ports(config) {
            port_owner(draft, unit, Some(host))
        } else {
            None
        };
        let owner = owner.or_else(|| predecessor(draft, unit, config, mode));
        let waits = draft
            .shape
            .providers(at)
            .iter()
            .any(|p| blocked.get(*p).copied().unwrap_or(false));
        if let Some(instance) = namesake {
            draft.wait_for(instance, "to be removed");
        } else if let Some(instance) = owner {
            draft.wait_for(instance, "to stop");
        } else if !waits {
            draft.create(UnitId::Known(unit.id.to_owned()), unit.index, config, host);
            continue;
        }
        if let Some(is_blocked) = blocked.get_mut(at) {
            *is_blocked = true;
        }
    }
}

fn start_stopped<'a>(draft: &mut Draft<'a>, unit: &Unit<'a>, scheduler: &Scheduler<'a>, mode: Mode) {
    let mut started = vec![false; draft.shape.configs.len()];
    for (at, config) in draft.shape.configs.clone().into_iter().enumerate() {
        let Some(instance) = slot(unit, config) else { continue };
        if instance.state != InstanceState::Stopped || is_over(instance, config) {
            continue;
        }
        let is_carried = |p: &usize| {
            let provider = draft.shape.configs.get(*p).and_then(|c| slot(unit, c).map(|i| (i, *c)));
            started.get(*p).copied().unwrap_or(false) || provider.is_some_and(|(i, c)| is_up(i, c))
        };
        let waits = !draft.shape.providers(at).iter().all(is_carried);
        let owner = if has_fixed_ports(config) {
            port_owner(draft, unit, instance.host)
        } else {
            None
        };
        if let Some(owner) = owner.or_else(|| predecessor(draft, unit, config, mode)) {
            draft.wait_for(owner, "to stop");
            continue;
        }
        if let Some(at) = instance.restart_at(&config.restarts).filter(|at| *at > draft.now) {
            draft.wait_until(at, instance, "to be started again");
            continue;
        }
        if waits {
            draft.wait_for(instance, "to start");
            continue;
        }
        if let Some(refusal) = instance
            .host
            .filter(|_| has_fixed_ports(config))
            .and_then(|h| scheduler.check(h, Some(unit), &[config]).err())
        {
            draft.refuse(refusal);
            continue;
        }
        draft.start(instance);
        if let Some(is_started) = started.get_mut(at) {
            *is_started = true;
        }
    }
}

fn await_ready<'a>(draft: &mut Draft<'a>, unit: &Unit<'a>, patience: Patience) {
    for instance in &unit.live {
        let Some(config) = draft.shape.config_of(instance) else {
            continue;
        };
        match instance.state {
            _ if is_ready(draft, instance, config, patience) => {}
            InstanceState::Starting => draft.wait_for(instance, "to start"),
            InstanceState::Running if is_of_job(draft, config) => draft.wait_for(instance, "to succeed"),
            InstanceState::Running if is_shaky(draft, instance, config, patience) => {
                if let Some(at) = instance.steady_at() {
                    draft.wait_until(at, instance, "to stay up");
                }
                if !is_well(instance, config, patience) {
                    draft.wait_for(instance, "to become healthy");
                }
            }
            InstanceState::Running if patience == Patience::Healthy => draft.wait_for(instance, "to become healthy"),
            InstanceState::Running => draft.wait_for(instance, "to be checked"),
            InstanceState::Stopping => draft.wait_for(instance, "to stop"),
            // Started or waited for by the phases before.
            InstanceState::Stopped | InstanceState::Broken | InstanceState::Removing => {}
        }
    }
}

/// Those of a unit that are to go down, dependants before what they depend on.
pub(super) fn downward<'a>(draft: &Draft<'a>, unit: &Unit<'a>) -> Vec<&'a Instance> {
    let mut live = unit.live.clone();
    live.sort_by_key(|i| std::cmp::Reverse(draft.shape.position(i.config.as_deref())));
    live
}

fn stop_all(draft: &mut Draft<'_>) {
    for unit in group(&draft.observed.instances) {
        for instance in downward(draft, &unit) {
            match instance.state {
                InstanceState::Running | InstanceState::Starting => draft.stop(instance),
                InstanceState::Stopping => draft.wait_for(instance, "to stop"),
                InstanceState::Stopped | InstanceState::Broken | InstanceState::Removing => {}
            }
        }
    }
}

fn remove_all(draft: &mut Draft<'_>) {
    for unit in group(&draft.observed.instances) {
        let live = downward(draft, &unit);
        for instance in live.into_iter().chain(unit.parked.iter().copied()) {
            draft.remove(instance, Why::Removed);
        }
        for instance in &unit.leaving {
            draft.wait_for(instance, "to be removed");
        }
    }
}
