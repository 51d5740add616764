//! Moving units until a service is spread evenly over the hosts that may have it: one at a time, and each only to where it
//! makes a difference, so that it comes to an end.
//!
//! Nothing is remembered from one plan to the next. A unit more than wanted, on a host that has two fewer than the fullest,
//! is the successor of one there; when it serves, that one goes.

use std::collections::{BTreeMap, BTreeSet};

use super::draft::{Draft, Reach};
use super::naming::free_indexes;
use super::roster::{Roster, sort_by_number};
use super::service::is_available;
use super::unit::Unit;
use super::*;

/// A unit moves if its host has at least so many more than the other one: after that they have changed places at most.
const DIFFERENCE: usize = 2;

/// How many of these units each host has that answers. One that does not keeps what it has.
fn counts<'u, 'a: 'u>(draft: &Draft<'_>, units: impl IntoIterator<Item = &'u Unit<'a>>) -> BTreeMap<ResourceId, usize> {
    let mut counts = BTreeMap::new();
    for host in units.into_iter().filter_map(Unit::host) {
        if draft.link(Some(host)) == Reach::Up {
            *counts.entry(host).or_default() += 1;
        }
    }
    counts
}

/// The host with the most, the lowest id first, and how many.
fn fullest(counts: &BTreeMap<ResourceId, usize>) -> Option<(ResourceId, usize)> {
    counts
        .iter()
        .max_by_key(|(host, count)| (**count, std::cmp::Reverse(**host)))
        .map(|(host, count)| (*host, *count))
}

/// Which units make up the scale while units move: of one too many, the successor is kept, and what it replaces goes as
/// soon as it serves.
pub(super) fn sort_by_place<'a>(draft: &Draft<'a>, roster: &mut Roster<'a>, units: Vec<Unit<'a>>, wanted: usize) {
    let (mut live, empty): (Vec<Unit<'a>>, Vec<Unit<'a>>) = units.into_iter().partition(|u| !u.live.is_empty());
    let newest = (0..live.len()).max_by_key(|at| live.get(*at).map(|u| (u.order, u.id)));
    let successor = newest.filter(|at| live.len() == wanted.saturating_add(1) && is_successor(draft, &live, *at));
    let Some(successor) = successor else {
        live.extend(empty);
        sort_by_number(roster, live, wanted);
        return;
    };
    let serves = live.get(successor).is_some_and(|u| is_available(draft, u));
    let old = live.iter().enumerate().filter(|(at, _)| *at != successor);
    let host = fullest(&counts(draft, old.clone().map(|(_, unit)| unit))).map(|(host, _)| host);
    // What does not serve costs nothing; of the others the last one made.
    let goes = old
        .filter(|(_, unit)| unit.host() == host)
        .max_by_key(|(_, unit)| (!is_available(draft, unit), unit.order))
        .map(|(at, _)| at);
    let gone = goes.filter(|_| serves).map(|at| live.remove(at));
    live.extend(empty);
    sort_by_number(roster, live, wanted.saturating_add(usize::from(!serves)));
    roster.surplus.extend(gone);
}

/// Whether the unit at this place came to take over from one on a fuller host.
fn is_successor(draft: &Draft<'_>, units: &[Unit<'_>], at: usize) -> bool {
    let old = units.iter().enumerate().filter(|(other, _)| *other != at);
    let counts = counts(draft, old.map(|(_, unit)| unit));
    let Some(host) = units.get(at).and_then(Unit::host) else {
        return false;
    };
    let here = counts.get(&host).copied().unwrap_or_default();
    fullest(&counts).is_some_and(|(_, most)| most >= here + DIFFERENCE)
}

/// Begins the next move, if all that is there serves and one makes a difference.
pub(super) fn move_one<'a>(draft: &mut Draft<'a>, roster: &mut Roster<'a>, how: Moves) {
    let Scale::Units(wanted) = draft.desired.scale else {
        return;
    };
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
    if how == Moves::Stay || !draft.is_settled() || !roster.surplus.is_empty() {
        return;
    }
    // Whose removal is awaited counts no more, and still has its name.
    let is_leaving = |unit: &Unit<'_>| {
        unit.leaving
            .iter()
            .any(|i| !i.is_parked && draft.link(i.host) == Reach::Up)
    };
    if roster.kept.iter().chain(&roster.others).any(is_leaving) {
        return;
    }
    let ill = roster.kept.iter().find(|unit| !is_available(draft, unit));
    if let Some(instance) = ill.and_then(|unit| unit.live.first().copied()) {
        draft.wait_for(instance, "to become healthy");
        return;
    }
    // A successor that is waited for is one of those kept.
    if roster.kept.len() != wanted {
        return;
    }
    let counts = counts(draft, &roster.kept);
    let Some((from, most)) = fullest(&counts) else { return };
    let leaves = roster.kept.iter().rposition(|unit| unit.host() == Some(from));
    let Some(unit) = leaves.and_then(|at| roster.kept.get_mut(at)) else {
        return;
    };
    let in_place = Some(&*unit).filter(|_| how == Moves::StopFirst);
    let Ok(to) = roster.scheduler.choose(in_place, None, Some(from)) else {
        // It is as even as it can be.
        return;
    };
    if counts.get(&to).copied().unwrap_or_default() + DIFFERENCE > most {
        return;
    }
    if how == Moves::StopFirst {
        draft.remove_live(unit, Why::Surplus, |_| true);
        return;
    }
    let units = roster.kept.iter().chain(&roster.others);
    let used: BTreeSet<u32> = units.map(|unit| unit.index).collect();
    let Some(index) = free_indexes(&used).next() else {
        return;
    };
    roster.scheduler.occupy(to, index, None);
    for config in draft.shape.configs.clone() {
        draft.create(UnitId::New(index), index, config, to);
    }
}
