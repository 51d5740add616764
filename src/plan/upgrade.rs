//! Upgrade, rollback, finish and restart: reconciling, with batches of units between.

use super::draft::{Draft, Reach};
use super::guard::{await_trial, canary_room, watch};
use super::roster::{Mode, Patience, Roster};
use super::service::{bring_up, downward, has_outdated, is_available, trim, work};
use super::unit::Unit;
use super::*;

/// Replaces what is outdated, batch by batch, and keeps it stopped.
pub(super) fn upgrade(draft: &mut Draft<'_>, batches: Batches) {
    watch(draft, batches.guard, "Upgrade");
    if draft.is_given_up() {
        return;
    }
    let roster = replace(draft, forward(batches), batches, "Upgrading");
    await_proof(draft, &roster);
}

/// Runs the upgrade to its end, then removes what was kept.
pub(super) fn finish(draft: &mut Draft<'_>, batches: Batches) {
    draft.tolerate(draft.observed.trial.failed.clone());
    let batches = unguarded(batches);
    let roster = replace(draft, forward(batches), batches, "Upgrading");
    await_proof(draft, &roster);
    clean_up(draft, roster);
}

/// Brings back what was kept, then removes what replaced it. The new version may be why we go back, so nobody waits
/// for health, unless what comes back is watched.
pub(super) fn rollback(draft: &mut Draft<'_>, batches: Batches) {
    let mode = Mode {
        replaces: true,
        start_first: batches.start_first,
        heals: false,
        stops_first: !batches.start_first,
        patience: match batches.guard.on_failure {
            OnFailure::Continue => Patience::Started,
            OnFailure::Pause | OnFailure::RollBack => Patience::Healthy,
        },
    };
    watch(draft, batches.guard, "Rollback");
    let roster = replace(draft, mode, batches, "Rolling back");
    if !draft.is_held() {
        clean_up(draft, roster);
    }
}

/// Stops units in batches; reconciling starts them again.
pub(super) fn restart(draft: &mut Draft<'_>, batches: Batches, start_counts: &BTreeMap<ResourceId, i64>) {
    let mut roster = bring_up(
        draft,
        Mode {
            patience: Patience::Known,
            ..Mode::RUN
        },
    );
    // A one-shot is not run twice.
    let is_due = |draft: &Draft<'_>, i: &Instance| {
        let is_one_shot = draft.shape.config_of(i).is_some_and(|c| c.start_once);
        i.state == InstanceState::Running && !is_one_shot && start_counts.get(&i.id) == Some(&i.start_count)
    };
    let due: Vec<&Unit<'_>> = roster
        .kept
        .iter()
        .filter(|u| u.live.iter().any(|i| is_due(draft, i)))
        .collect();
    let (reachable, cut): (Vec<&Unit<'_>>, Vec<&Unit<'_>>) =
        due.iter().partition(|u| draft.link(u.host()) != Reach::Cut);
    let progress = Progress {
        verb: "Restarting",
        left: due.len(),
        all: roster.kept.len(),
    };
    draft.come_along(progress.done(), progress.all);
    if !due.is_empty() && may_begin(draft, batches, progress) {
        let batch: Vec<&Unit<'_>> = reachable.into_iter().take(size(batches)).collect();
        begin(draft, progress, batch.len());
        for unit in &batch {
            for instance in downward(draft, unit) {
                if is_due(draft, instance) {
                    draft.stop(instance);
                }
            }
        }
        if let (true, Some(unit)) = (batch.is_empty(), cut.first()) {
            draft.wait_for_host(unit.host());
        }
    }
    trim(draft, &mut roster);
}

/// Whoever finishes has decided.
fn unguarded(batches: Batches) -> Batches {
    Batches {
        guard: Guard::NONE,
        ..batches
    }
}

fn forward(batches: Batches) -> Mode {
    Mode {
        replaces: true,
        start_first: batches.start_first,
        heals: true,
        stops_first: !batches.start_first,
        patience: Patience::Healthy,
    }
}

fn size(batches: Batches) -> usize {
    usize::try_from(batches.size.max(1)).unwrap_or(usize::MAX)
}

/// What an upgrade that stands still after its canary waits for.
const GO_ON: &str = "cancelupgrade and continueupgrade, or rollback";

/// How far batches have come, for the message.
#[derive(Debug, Clone, Copy)]
struct Progress {
    verb: &'static str,
    left: usize,
    all: usize,
}

impl Progress {
    fn done(self) -> usize {
        self.all.saturating_sub(self.left)
    }

    fn sentence(self, batch: usize) -> String {
        format!("{} {} of {}", self.verb, self.done().saturating_add(batch), self.all)
    }
}

/// Whether the next batch may begin: nothing moves, and the interval is over. What is stuck may be waiting for just
/// this batch to give up a port.
fn may_begin(draft: &mut Draft<'_>, batches: Batches, progress: Progress) -> bool {
    if draft.is_moving() {
        return false;
    }
    let rest = draft
        .observed
        .last_batch_at
        .map(|begun| batches.interval.saturating_sub(draft.now.since(begun)));
    match rest.filter(|rest| !rest.is_zero()) {
        None => true,
        Some(rest) => {
            draft.wait(|| progress.sentence(0));
            draft.wake_after(rest);
            false
        }
    }
}

fn begin(draft: &mut Draft<'_>, progress: Progress, batch: usize) {
    if batch > 0 {
        draft.push(Step::BeginBatch, || progress.sentence(batch));
    }
}

fn replace<'a>(draft: &mut Draft<'a>, mode: Mode, batches: Batches, verb: &'static str) -> Roster<'a> {
    let mut roster = bring_up(draft, mode);
    let mut outdated: Vec<usize> = (0..roster.kept.len())
        .filter(|at| roster.kept.get(*at).is_some_and(|u| has_outdated(draft, u)))
        .collect();
    let progress = Progress {
        verb,
        left: outdated.len(),
        all: roster.kept.len(),
    };
    await_trial(draft, &roster, batches.guard);
    let done = progress.done();
    draft.come_along(done, progress.all);
    let room = canary_room(draft, batches.guard, done).unwrap_or(usize::MAX);
    if !outdated.is_empty() && room == 0 && !draft.is_moving() {
        draft.hold(format!("{done} of {} upgraded, waiting for {GO_ON}", progress.all));
    }
    if !outdated.is_empty() && !draft.is_held() && may_begin(draft, batches, progress) {
        // What does not serve anyway costs nothing to replace first.
        outdated.sort_by_key(|at| roster.kept.get(*at).is_some_and(|u| is_available(draft, u)));
        let mut batch = Vec::new();
        for at in outdated {
            let Some(unit) = roster.kept.get(at) else { continue };
            if draft.link(unit.host()) == Reach::Cut {
                draft.wait_for_host(unit.host());
            } else if can_be_replaced(draft, &roster, unit) {
                batch.push(at);
            }
            if batch.len() == size(batches).min(room) {
                break;
            }
        }
        begin(draft, progress, batch.len());
        let Roster { kept, scheduler, .. } = &mut roster;
        for at in batch {
            let Some(unit) = kept.get_mut(at) else { continue };
            park_outdated(draft, unit);
            if let (true, Some(host)) = (unit.live.is_empty(), unit.host()) {
                scheduler.vacate(host, unit.index);
            }
            work(draft, unit, scheduler, mode);
        }
    }
    trim(draft, &mut roster);
    roster
}

/// Nothing is put aside whose successor has no place to go, or cannot have its port.
fn can_be_replaced<'a>(draft: &mut Draft<'a>, roster: &Roster<'a>, unit: &Unit<'a>) -> bool {
    let has = |instances: &[&Instance], config: &UnitConfig| {
        instances
            .iter()
            .any(|i| i.config == config.name && i.version == config.version)
    };
    let lacking: Vec<&UnitConfig> = draft
        .shape
        .configs
        .iter()
        .filter(|c| !has(&unit.live, c))
        .copied()
        .collect();
    let (kept, made): (Vec<&UnitConfig>, Vec<&UnitConfig>) = lacking.iter().partition(|c| has(&unit.parked, c));
    let back = unit
        .parked
        .iter()
        .find(|i| draft.shape.is_current(i))
        .and_then(|i| i.host);
    let stays = made.len() < draft.shape.configs.len() || draft.desired.scale == Scale::Global;
    let outcome = match (back, unit.host()) {
        (Some(host), _) if !kept.is_empty() => roster.scheduler.check(host, Some(unit), &lacking),
        (_, Some(host)) if stays => roster.scheduler.check(host, Some(unit), &lacking),
        (_, wish) => roster.scheduler.choose(Some(unit), wish, None).map(|_| ()),
    };
    outcome.map_err(|refusal| draft.refuse(refusal)).is_ok()
}

fn park_outdated<'a>(draft: &mut Draft<'a>, unit: &mut Unit<'a>) {
    let (current, outdated): (Vec<_>, Vec<_>) = unit.live.drain(..).partition(|i| draft.shape.is_current(i));
    unit.live = current;
    for instance in outdated {
        draft.park(instance);
        unit.parked.push(instance);
    }
}

/// What came with an upgrade has to run for a moment before the upgrade is done: what exits at once never came up.
const PROOF: Duration = Duration::from_secs(1);

fn await_proof(draft: &mut Draft<'_>, roster: &Roster<'_>) {
    if !draft.is_settled() || draft.is_held() {
        return;
    }
    let is_on_trial = |i: &Instance| i.state == InstanceState::Running && i.start_count <= 1;
    let live = roster.kept.iter().flat_map(|u| &u.live);
    let youngest = live
        .filter(|i| is_on_trial(i) && draft.shape.config_of(i).is_some_and(|c| !c.start_once))
        .filter_map(|i| i.up_since.map(|up| (up, *i)))
        .max_by_key(|(up, i)| (*up, i.id));
    if let Some((up, instance)) = youngest {
        draft.wait_until(up.plus(PROOF), instance, "to stay up");
    }
}

/// Once all is done, what was kept goes; its going is not awaited.
fn clean_up<'a>(draft: &mut Draft<'a>, mut roster: Roster<'a>) {
    if draft.is_settled() {
        for unit in roster
            .kept
            .iter_mut()
            .chain(&mut roster.surplus)
            .chain(&mut roster.others)
        {
            draft.remove_parked(unit, Why::Upgraded, |_| true);
        }
    }
}
