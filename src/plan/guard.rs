//! What an upgrade watches over: new units that fail, how long new ones have to stay up, and the stop after a canary. A rollback watches
//! over those that come back.

use super::draft::{Draft, Reach};
use super::roster::Roster;
use super::unit::{group, is_over};
use super::*;

/// Notes what fails, and says whether the upgrade (or rollback: `what`) goes on: too many failures hold it, or end it.
pub(super) fn watch(draft: &mut Draft<'_>, guard: Guard, what: &str) {
    if guard.on_failure == OnFailure::Continue {
        return;
    }
    let mut failed = draft.observed.trial.failed.clone();
    let failing = failing(draft, guard);
    failed.extend(failing.keys());
    let all = units(draft);
    if is_exceeded(failed.len(), all, guard.tolerated_ppm) {
        let names: Vec<String> = failed.iter().take(NAMED).map(|at| draft.name_of(None, *at)).collect();
        let more = if failed.len() > NAMED { " ..." } else { "" };
        let sentence = format!("{} of {all} failed: {}{more}", failed.len(), names.join(", "));
        if guard.on_failure == OnFailure::RollBack {
            return draft.give_up(format!("{what} rolled back: {sentence}"));
        }
        draft.hold(format!("{what} paused: {sentence}"));
    }
    for (unit, instance) in failing {
        if !draft.observed.trial.failed.contains(&unit) {
            draft.note_failed(unit, instance);
        }
    }
    draft.tolerate(failed);
}

/// New instances have to stay up before anything else is replaced.
pub(super) fn await_trial(draft: &mut Draft<'_>, roster: &Roster<'_>, guard: Guard) {
    if guard.monitor.is_zero() {
        return;
    }
    let is_on_trial = |i: &&&Instance| {
        i.state == InstanceState::Running && is_new(draft, i) && draft.shape.config_of(i).is_some_and(|c| !c.start_once)
    };
    let live = roster.kept.iter().flat_map(|unit| &unit.live).filter(is_on_trial);
    let tried = |i: &Instance| i.up_since.map(|up| up.plus(guard.monitor));
    let last = live.filter_map(|i| tried(i).map(|at| (at, *i)));
    if let Some((at, instance)) = last.max_by_key(|(at, i)| (*at, i.id)) {
        draft.wait_until(at, instance, "to stay up");
    }
}

/// How many more units may be replaced before the stop after the canary; `None` without one.
pub(super) fn canary_room(draft: &Draft<'_>, guard: Guard, done: usize) -> Option<usize> {
    let canary = usize::try_from(guard.canary).unwrap_or(usize::MAX);
    (canary > 0 && !draft.observed.trial.is_released).then(|| canary.saturating_sub(done))
}

/// So many failed units are named in a sentence.
const NAMED: usize = 3;

/// How many units the service has, of which some may fail.
fn units(draft: &Draft<'_>) -> usize {
    match draft.desired.scale {
        Scale::Units(units) => usize::try_from(units).unwrap_or(usize::MAX),
        Scale::Global => group(&draft.observed.instances)
            .iter()
            .filter(|u| !u.is_empty())
            .count(),
    }
}

fn is_exceeded(failed: usize, all: usize, tolerated_ppm: u32) -> bool {
    let wide = |n: usize| u128::try_from(n).unwrap_or(u128::MAX);
    wide(failed).saturating_mul(1_000_000) > wide(all).saturating_mul(u128::from(tolerated_ppm))
}

/// The units in which something new fails now, by index, with what fails.
fn failing<'a>(draft: &Draft<'a>, guard: Guard) -> BTreeMap<u32, &'a Instance> {
    let mut failing = BTreeMap::new();
    for instance in draft.observed.instances.iter().filter(|i| fails(draft, i, guard)) {
        let found = failing.entry(instance.index).or_insert(instance);
        if instance.id < found.id {
            *found = instance;
        }
    }
    failing
}

/// Whether an instance came with the upgrade, or back with the rollback.
fn is_new(draft: &Draft<'_>, i: &Instance) -> bool {
    draft.observed.trial.has(i.create_index, i.up_since, i.failed_at)
}

/// Whether an instance is new, and cannot start, ended by itself, or is ill.
fn fails(draft: &Draft<'_>, instance: &Instance, guard: Guard) -> bool {
    let Some(config) = draft
        .shape
        .config_of(instance)
        .filter(|c| c.version == instance.version)
    else {
        return false;
    };
    let is_new = !instance.is_parked && is_new(draft, instance);
    // What happens on a host that does not answer says nothing of the version.
    let went_well = || is_over(instance, config) && (config.start_once || instance.exit_code == Some(0));
    if !is_new || draft.link(instance.host) != Reach::Up || went_well() {
        return false;
    }
    let ended_soon = || {
        let shortest = guard.monitor.max(STEADY);
        let lived = instance
            .exited_at
            .map(|at| instance.up_since.map_or(Duration::ZERO, |up| at.since(up)));
        !config.start_once && lived.is_some_and(|lived| lived < shortest)
    };
    match instance.state {
        InstanceState::Broken => true,
        InstanceState::Stopped => ended_soon() || instance.failed_at.is_some(),
        InstanceState::Running => {
            let is_ill = config.health_checked && instance.health == Health::Unhealthy;
            is_ill || (!config.start_once && instance.is_shaky(draft.now))
        }
        InstanceState::Starting | InstanceState::Stopping | InstanceState::Removing => false,
    }
}
