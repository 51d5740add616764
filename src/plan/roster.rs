//! The units of a service, sorted by what becomes of them.

use std::collections::BTreeSet;

use super::schedule::Scheduler;
use super::unit::{Unit, sort};
use super::*;

/// What reconciling does beyond its phases.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mode {
    /// Outdated units are left for a batch, and parked instances are stopped or taken back.
    pub(super) replaces: bool,
    /// Parked instances serve until the new ones are ready.
    pub(super) start_first: bool,
    /// Unhealthy units are made anew.
    pub(super) heals: bool,
    /// What follows in a place comes only after what was there is seen to be down.
    pub(super) stops_first: bool,
    /// When an instance is ready.
    pub(super) patience: Patience,
}

impl Mode {
    /// Everything up, nothing outdated is touched.
    pub(super) const RUN: Self = Self {
        replaces: false,
        start_first: false,
        heals: true,
        stops_first: false,
        patience: Patience::Up,
    };
}

/// When a running instance is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// At once.
    Started,
    /// At once, unless it keeps exiting.
    Up,
    /// When its health is known.
    Known,
    /// When it is healthy.
    Healthy,
}

/// The units of a service, sorted by what becomes of them.
#[derive(Debug)]
pub(super) struct Roster<'a> {
    pub(super) mode: Mode,
    /// Those that make up the scale, in order of creation.
    pub(super) kept: Vec<Unit<'a>>,
    /// More than wanted.
    pub(super) surplus: Vec<Unit<'a>>,
    /// Left alone, or with nothing left but instances on their way out.
    pub(super) others: Vec<Unit<'a>>,
    pub(super) scheduler: Scheduler<'a>,
}

impl<'a> Roster<'a> {
    /// An empty one.
    pub(super) fn new(mode: Mode, scheduler: Scheduler<'a>) -> Self {
        Self {
            mode,
            kept: Vec::new(),
            surplus: Vec::new(),
            others: Vec::new(),
            scheduler,
        }
    }

    fn sort(&mut self) {
        sort(&mut self.kept);
        sort(&mut self.surplus);
    }
}

fn counts(unit: &Unit<'_>, mode: Mode) -> bool {
    !unit.live.is_empty() || (mode.replaces && !unit.parked.is_empty())
}

/// The first ones are kept, up to so many.
pub(super) fn sort_by_number<'a>(roster: &mut Roster<'a>, mut units: Vec<Unit<'a>>, wanted: usize) {
    // A unit in the middle of a batch serves less than any other.
    units.sort_by_key(|u| u.live.is_empty());
    for unit in units {
        if !counts(&unit, roster.mode) {
            roster.others.push(unit);
        } else if roster.kept.len() < wanted {
            roster.kept.push(unit);
        } else {
            roster.surplus.push(unit);
        }
    }
    roster.sort();
}

/// One unit on each host. Units on hosts that are not eligible are left alone, but an upgrade includes them.
pub(super) fn sort_by_host<'a>(roster: &mut Roster<'a>, mut units: Vec<Unit<'a>>, eligible: &BTreeSet<ResourceId>) {
    units.sort_by_key(|u| u.live.is_empty());
    let mut seen = BTreeSet::new();
    for unit in units {
        let host = unit.host();
        let is_eligible = host.is_some_and(|h| eligible.contains(&h));
        if !counts(&unit, roster.mode) || host.is_none() {
            roster.others.push(unit);
        } else if !seen.insert(host) {
            roster.surplus.push(unit);
        } else if is_eligible || (roster.mode.replaces && !unit.live.is_empty()) || is_pinned_parked(roster, &unit) {
            roster.kept.push(unit);
        } else {
            roster.others.push(unit);
        }
    }
    roster.sort();
}

/// Whether an upgrade is in the middle of this unit, on a host that is still there.
fn is_pinned_parked(roster: &Roster<'_>, unit: &Unit<'_>) -> bool {
    roster.mode.replaces && unit.live.is_empty() && unit.host().is_some_and(|h| roster.scheduler.is_there(h))
}
