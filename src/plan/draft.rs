//! A plan while it is being made: the steps so far, and the first reason to wait.

use super::schedule::Refusal;
use super::unit::{Unit, UnitShape};
use super::*;

/// How a host can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Work there is done.
    Up,
    /// Work there waits, and nothing there is replaced.
    Cut,
    /// Removed, and what was on it is lost.
    Gone,
}

/// Collects steps and sentences. Sentences are only made for the first of their kind.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    pub(super) desired: &'a Desired,
    pub(super) observed: &'a Observed,
    pub(super) now: Timestamp,
    pub(super) shape: UnitShape<'a>,
    hosts: BTreeMap<ResourceId, Reach>,
    lost: BTreeSet<ResourceId>,
    steps: Vec<Step>,
    note: Option<String>,
    waiting: Option<String>,
    stuck: Option<String>,
    wake_after: Option<Duration>,
    held_by: Option<ResourceId>,
    held: Option<String>,
    given_up: Option<String>,
    progress: Option<i32>,
    /// Indexes of units that may fail: what goes on there is not waited for.
    tolerated: BTreeSet<u32>,
    tolerated_steps: usize,
}

impl<'a> Draft<'a> {
    pub(super) fn new(desired: &'a Desired, observed: &'a Observed, now: Timestamp) -> Self {
        let link = |host: &Host| match (host.is_gone, host.is_disconnected) {
            (true, _) => Reach::Gone,
            (false, true) => Reach::Cut,
            (false, false) => Reach::Up,
        };
        Self {
            desired,
            observed,
            now,
            shape: UnitShape::new(&desired.configs),
            hosts: observed.hosts.iter().map(|h| (h.id, link(h))).collect(),
            lost: observed.hosts.iter().filter(|h| h.is_lost).map(|h| h.id).collect(),
            steps: Vec::new(),
            note: None,
            waiting: None,
            stuck: None,
            wake_after: None,
            held_by: None,
            held: None,
            given_up: None,
            progress: None,
            tolerated: BTreeSet::new(),
            tolerated_steps: 0,
        }
    }

    /// So many of so many are done.
    pub(super) fn come_along(&mut self, done: usize, all: usize) {
        let share = done.saturating_mul(100).checked_div(all);
        self.progress = share.and_then(|share| i32::try_from(share).ok());
    }

    /// What goes on in units with these indexes is not waited for.
    pub(super) fn tolerate(&mut self, units: BTreeSet<u32>) {
        self.tolerated = units;
    }

    /// Remembers that something in a unit failed, which holds nothing up.
    pub(super) fn note_failed(&mut self, unit: u32, instance: &Instance) {
        let name = self.name(instance);
        self.note.get_or_insert_with(|| format!("{name} failed"));
        self.steps.push(Step::NoteFailed { unit, id: instance.id });
        self.tolerated_steps += 1;
    }

    /// The upgrade goes no further until somebody decides.
    pub(super) fn hold(&mut self, sentence: String) {
        self.held.get_or_insert(sentence);
    }

    /// Whether it goes no further.
    pub(super) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Whether it failed.
    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.is_some()
    }

    /// The upgrade failed.
    pub(super) fn give_up(&mut self, sentence: String) {
        self.given_up.get_or_insert(sentence);
    }

    /// How things stand with this host. One that is not listed was removed; none yet is no hindrance.
    pub(super) fn link(&self, host: Option<ResourceId>) -> Reach {
        host.map_or(Reach::Up, |id| self.hosts.get(&id).copied().unwrap_or(Reach::Gone))
    }

    /// Whether the names of what leaves there stay taken for who knows how long: they are not waited for.
    pub(super) fn keeps_names(&self, host: Option<ResourceId>) -> bool {
        self.link(host) == Reach::Cut || host.is_some_and(|id| self.lost.contains(&id))
    }

    /// What stops on a host that is lost was asked to go when that was, and has nothing but to be heard of.
    pub(super) fn let_lost_leave(&self, unit: &mut Unit<'a>) {
        let is_lost = |i: &Instance| i.host.is_some_and(|id| self.lost.contains(&id));
        let (leaving, live): (Vec<_>, Vec<_>) = unit
            .live
            .drain(..)
            .partition(|i| i.state == InstanceState::Stopping && is_lost(i));
        unit.live = live;
        unit.leaving.extend(leaving);
    }

    /// Adds a step; `note` says what is being done, for the message.
    pub(super) fn push(&mut self, step: Step, note: impl FnOnce() -> String) {
        self.note.get_or_insert_with(note);
        self.steps.push(step);
    }

    /// Something is under way that has to end first.
    pub(super) fn wait(&mut self, reason: impl FnOnce() -> String) {
        self.waiting.get_or_insert_with(reason);
    }

    /// Waits for this instance `to start`, `to stop` ….
    pub(super) fn wait_for(&mut self, instance: &Instance, what: &str) {
        if self.waiting.is_none() && !self.tolerated.contains(&instance.index) {
            self.waiting = Some(format!("Waiting for {} {what}", self.name(instance)));
        }
    }

    /// Waits for a disconnected host.
    pub(super) fn wait_for_host(&mut self, host: Option<ResourceId>) {
        self.held_by = self.held_by.or(host);
        self.wait(|| match host {
            Some(id) => format!("Waiting for host {id} to reconnect"),
            None => "Waiting for a host".to_owned(),
        });
    }

    /// Plans again after `rest`, if nothing changes before.
    pub(super) fn wake_after(&mut self, rest: Duration) {
        self.wake_after = Some(self.wake_after.map_or(rest, |other| other.min(rest)));
    }

    /// Waits for this instance till then; nothing if that is over.
    pub(super) fn wait_until(&mut self, at: Timestamp, instance: &Instance, what: &str) {
        let rest = at.since(self.now);
        if !rest.is_zero() {
            self.wait_for(instance, what);
            self.wake_after(rest);
        }
    }

    /// There is no place for a unit.
    pub(super) fn refuse(&mut self, refusal: Refusal) {
        match refusal {
            Refusal::Away(host) => self.wait_for_host(Some(host)),
            Refusal::Busy => self.wait(|| "Waiting for a host port to become free".to_owned()),
            Refusal::NoHost => drop(
                self.stuck
                    .get_or_insert_with(|| "Scheduling failed: no host is active".to_owned()),
            ),
            Refusal::Unmet(sentence) => drop(self.stuck.get_or_insert(sentence)),
        }
    }

    /// Something was asked for or is awaited.
    pub(super) fn is_moving(&self) -> bool {
        self.steps.len() > self.tolerated_steps || self.waiting.is_some()
    }

    /// Nothing was asked for, nothing is awaited, nothing is stuck.
    pub(super) fn is_settled(&self) -> bool {
        !self.is_moving() && self.stuck.is_none()
    }

    /// The name by which sentences call this instance.
    pub(super) fn name(&self, instance: &Instance) -> String {
        self.name_of(instance.config.as_deref(), instance.index)
    }

    /// The name of the container of this configuration in the unit with this index.
    pub(super) fn name_of(&self, config: Option<&str>, index: u32) -> String {
        instance_name(
            &self.desired.stack,
            &self.desired.service,
            config,
            index,
            self.desired.divider,
        )
    }

    /// Asks for a new instance.
    pub(super) fn create(&mut self, unit: UnitId, index: u32, config: &UnitConfig, host: ResourceId) {
        let name = self.name_of(config.name.as_deref(), index);
        self.note.get_or_insert_with(|| format!("Creating {name}"));
        let (config, version) = (config.name.clone(), config.version.clone());
        self.tolerated_steps += usize::from(self.tolerated.contains(&index));
        self.steps.push(Step::Create {
            unit,
            index,
            config,
            version,
            host,
            name,
        });
    }

    /// Asks for a start.
    pub(super) fn start(&mut self, instance: &Instance) {
        self.begin(Step::Start(instance.id), "Starting", instance);
    }

    /// Asks for a stop.
    pub(super) fn stop(&mut self, instance: &Instance) {
        self.begin(Step::Stop(instance.id), "Stopping", instance);
    }

    /// Puts an instance aside.
    pub(super) fn park(&mut self, instance: &Instance) {
        self.begin(Step::Park(instance.id), "Replacing", instance);
    }

    /// Takes an instance back.
    pub(super) fn unpark(&mut self, instance: &Instance) {
        self.begin(Step::Unpark(instance.id), "Restoring", instance);
    }

    /// Asks for a removal.
    pub(super) fn remove(&mut self, instance: &Instance, why: Why) {
        self.begin(Step::Remove { id: instance.id, why }, "Removing", instance);
    }

    /// Asks for the removal of those live instances of a unit that `is_unwanted`, the last made first.
    pub(super) fn remove_live(&mut self, unit: &mut Unit<'a>, why: Why, is_unwanted: impl Fn(&Instance) -> bool) {
        let (unwanted, live): (Vec<_>, Vec<_>) = unit.live.drain(..).partition(|i| is_unwanted(i));
        unit.live = live;
        for instance in unwanted.into_iter().rev() {
            self.remove(instance, why);
            unit.leaving.push(instance);
        }
    }

    /// The same for what is parked.
    pub(super) fn remove_parked(&mut self, unit: &mut Unit<'a>, why: Why, is_unwanted: impl Fn(&Instance) -> bool) {
        let (unwanted, parked): (Vec<_>, Vec<_>) = unit.parked.drain(..).partition(|i| is_unwanted(i));
        unit.parked = parked;
        for instance in unwanted {
            self.remove(instance, why);
            unit.leaving.push(instance);
        }
    }

    /// The finished plan.
    pub(super) fn into_plan(self) -> Plan {
        let verdict = match (self.stuck, self.waiting.or(self.note)) {
            _ if self.given_up.is_some() => Verdict::GivenUp(self.given_up.unwrap_or_default()),
            _ if self.held.is_some() => Verdict::Held(self.held.unwrap_or_default()),
            (None, None) => Verdict::Converged,
            (None, Some(sentence)) => Verdict::Working(sentence),
            (Some(sentence), None) => Verdict::Stuck(sentence),
            // What goes on may make room.
            (Some(sentence), Some(_)) => Verdict::Working(sentence),
        };
        // What may fail is not waited for once all else is done.
        let wake_after = self.wake_after.filter(|_| verdict != Verdict::Converged);
        Plan {
            steps: self.steps,
            verdict,
            wake_after,
            held_by: self.held_by,
            progress: self.progress,
        }
    }

    fn begin(&mut self, step: Step, verb: &str, instance: &Instance) {
        if self.note.is_none() {
            self.note = Some(format!("{verb} {}", self.name(instance)));
        }
        self.tolerated_steps += usize::from(self.tolerated.contains(&instance.index));
        self.steps.push(step);
    }
}
