//! Where new units go: hosts as values, one decision for a whole unit.

use std::collections::BTreeSet;

use super::affinity::{Rule, Subject, matches_own_unit, rules};
use super::unit::{Unit, has_fixed_ports};
use super::*;

/// The hosts that may take a unit of this service as far as kind, state, `requestedHostId` and host labels go,
/// lowest id first. A global service has one unit on each.
pub fn eligible_hosts(desired: &Desired, observed: &Observed) -> Vec<ResourceId> {
    Scheduler::new(desired, observed).eligible()
}

/// Why there is no place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No host is active at all.
    NoHost,
    /// What has to go first is on its way.
    Busy,
    /// A host that would do does not answer now.
    Away(ResourceId),
    /// The sentence says what is not met.
    Unmet(String),
}

/// The hosts and what they have left, while a plan is being made.
#[derive(Debug)]
pub(super) struct Scheduler<'a> {
    desired: &'a Desired,
    rules: Vec<Rule>,
    requested: BTreeSet<ResourceId>,
    ports: Vec<&'a PortSpec>,
    memory: i64,
    milli_cpu: i64,
    own: PlacementRule,
    /// Sorted by id.
    places: Vec<Place<'a>>,
}

#[derive(Debug)]
struct Place<'a> {
    host: &'a Host,
    load: u32,
    /// Units of this service.
    own: u32,
    memory: Option<i64>,
    milli_cpu: Option<i64>,
    /// Units of this service that have (or get) the service's ports here.
    holders: Vec<PortHolder<'a>>,
    /// For each rule: how many containers and units here it speaks of.
    matches: Vec<u32>,
    /// Right kind, state, labels and request.
    is_eligible: bool,
    /// Eligible as soon as it answers again.
    is_away: bool,
}

#[derive(Debug)]
struct PortHolder<'a> {
    /// None for a unit made by this plan.
    unit: Option<&'a str>,
    is_leaving: bool,
}

impl<'a> Scheduler<'a> {
    /// Takes stock of the hosts; nothing of the service itself is on them yet.
    pub(super) fn new(desired: &'a Desired, observed: &'a Observed) -> Self {
        let rules = rules(desired);
        let mut places: Vec<Place<'a>> = observed.hosts.iter().map(|host| Place::new(host, &rules)).collect();
        places.sort_unstable_by_key(|p| p.host.id);
        let mut scheduler = Self {
            desired,
            requested: desired.configs.iter().filter_map(|c| c.requested_host).collect(),
            ports: desired
                .configs
                .iter()
                .flat_map(|c| &c.host_ports)
                .filter(|p| p.public.is_some())
                .collect(),
            memory: desired.configs.iter().map(|c| c.memory_reservation).sum(),
            milli_cpu: desired.configs.iter().map(|c| c.milli_cpu_reservation).sum(),
            own: desired
                .configs
                .first()
                .map(|primary| PlacementRule::checked(&primary.labels))
                .unwrap_or_default(),
            rules,
            places: Vec::new(),
        };
        for place in &mut places {
            place.is_eligible = scheduler.is_eligible(place.host);
            place.is_away = !place.is_eligible && place.host.is_disconnected && scheduler.suits(place.host);
        }
        scheduler.places = places;
        scheduler
    }

    /// See [`eligible_hosts`].
    pub(super) fn eligible(&self) -> Vec<ResourceId> {
        self.places
            .iter()
            .filter(|p| p.is_eligible)
            .map(|p| p.host.id)
            .collect()
    }

    /// Hosts that would take a unit if they answered, lowest id first.
    pub(super) fn away(&self) -> impl Iterator<Item = ResourceId> {
        self.places.iter().filter(|p| p.is_away).map(|p| p.host.id)
    }

    /// Whether this host is listed and not removed.
    pub(super) fn is_there(&self, host: ResourceId) -> bool {
        self.place(host).is_some_and(|p| !p.host.is_gone)
    }

    /// A place for a new unit, or for the known one `of` which then does not stand in its own way. `wish` is taken
    /// if it will do; `avoid` is never taken.
    pub(super) fn choose(
        &self,
        of: Option<&Unit<'a>>,
        wish: Option<ResourceId>,
        avoid: Option<ResourceId>,
    ) -> Result<ResourceId, Refusal> {
        let hard = self.rules.iter().take_while(|r| !r.is_soft).count();
        if let Some(place) = wish.and_then(|id| self.place(id)) {
            // The reservation of what is replaced there is still counted, so it is not asked for again.
            if self.fits(place, of, hard) && self.ports_free(place, of, Leaving::Blocks) {
                return Ok(place.host.id);
            }
        }
        if !self.has_active_host() && self.away().next().is_none() && self.requested.is_empty() {
            return Err(Refusal::NoHost);
        }
        let evenly = self.desired.moving() != Moves::Stay || !self.own.spread.is_empty();
        let best = |rules: usize, leaving: Leaving| {
            self.places
                .iter()
                .filter(|p| Some(p.host.id) != avoid)
                .filter(|p| self.fits(p, of, rules) && self.has_room(p) && self.ports_free(p, of, leaving))
                .min_by_key(|p| (self.nearby(p), if evenly { p.own } else { 0 }, p.load, p.host.id))
        };
        // Soft rules are dropped one at a time, the last one first.
        if let Some(place) = (hard..=self.rules.len())
            .rev()
            .find_map(|rules| best(rules, Leaving::Blocks))
        {
            return Ok(place.host.id);
        }
        let would_do = |p: &&Place<'a>| {
            p.is_away && self.meets(p, of, hard) && self.has_room(p) && self.ports_free(p, of, Leaving::Ignored)
        };
        Err(if best(hard, Leaving::Ignored).is_some() {
            Refusal::Busy
        } else if let Some(place) = self.places.iter().find(would_do) {
            Refusal::Away(place.host.id)
        } else {
            Refusal::Unmet(self.explain())
        })
    }

    /// A place for a new unit that has something on this host. One that does not answer is waited for; where it may not be any
    /// more, it begins anew elsewhere.
    pub(super) fn choose_home(&self, home: ResourceId) -> Result<ResourceId, Refusal> {
        let hard = self.rules.iter().take_while(|r| !r.is_soft).count();
        let fits = |place: &&Place<'a>| self.meets(place, None, hard) && self.has_room(place);
        let Some(place) = self.place(home).filter(fits) else {
            return self.choose(None, None, None);
        };
        match (place.is_eligible, place.is_away) {
            (true, _) if self.ports_free(place, None, Leaving::Blocks) => Ok(home),
            (true, _) if self.ports_free(place, None, Leaving::Ignored) => Err(Refusal::Busy),
            (false, true) => Err(Refusal::Away(home)),
            _ => self.choose(None, None, None),
        }
    }

    /// Whether this host can have a unit of a global service, or one more container of a unit that is there.
    pub(super) fn check(
        &self,
        host: ResourceId,
        of: Option<&Unit<'a>>,
        configs: &[&UnitConfig],
    ) -> Result<(), Refusal> {
        let Some(place) = self.place(host) else {
            return Err(Refusal::Unmet(self.explain()));
        };
        if configs.iter().any(|c| c.is_sim != place.host.is_sim) {
            return Err(Refusal::Unmet(self.explain_kind()));
        }
        if of.is_none() && !self.has_room(place) {
            return Err(Refusal::Unmet(self.explain()));
        }
        let taken = configs
            .iter()
            .flat_map(|c| &c.host_ports)
            .find(|p| place.host.bound_ports.iter().any(|bound| bound.clashes(p)));
        match taken {
            Some(port) => Err(Refusal::Unmet(format!("{UNMET} port {port} is in use on host {host}"))),
            None if configs.iter().any(|c| has_fixed_ports(c)) => {
                match (
                    self.holder(place, of, Leaving::Blocks),
                    self.holder(place, of, Leaving::Ignored),
                ) {
                    (None, _) => Ok(()),
                    (Some(_), None) => Err(Refusal::Busy),
                    (Some(_), Some(_)) => Err(Refusal::Unmet(self.explain())),
                }
            }
            None => Ok(()),
        }
    }

    /// A unit comes to this host.
    pub(super) fn occupy(&mut self, host: ResourceId, index: u32, unit: Option<&'a str>) {
        let size = u32::try_from(self.desired.configs.len()).unwrap_or(u32::MAX);
        let (memory, milli_cpu, holds) = (self.memory, self.milli_cpu, !self.ports.is_empty());
        let own = self.own_matches(index);
        let Some(place) = self.place_mut(host) else { return };
        place.load = place.load.saturating_add(size);
        place.own = place.own.saturating_add(1);
        place.memory = place.memory.map(|free| free.saturating_sub(memory));
        place.milli_cpu = place.milli_cpu.map(|free| free.saturating_sub(milli_cpu));
        if holds {
            place.holders.push(PortHolder {
                unit,
                is_leaving: false,
            });
        }
        for (count, is_match) in place.matches.iter_mut().zip(own) {
            *count += u32::from(is_match);
        }
    }

    /// Nothing live is left of a unit on this host; its ports are held until it is down.
    pub(super) fn vacate(&mut self, host: ResourceId, index: u32) {
        let own = self.own_matches(index);
        let Some(place) = self.place_mut(host) else { return };
        place.own = place.own.saturating_sub(1);
        for (count, is_match) in place.matches.iter_mut().zip(own) {
            *count = count.saturating_sub(u32::from(is_match));
        }
    }

    /// Counts a unit of the service where it is. What is parked is on its way down only if the plan stops it.
    pub(super) fn count(&mut self, unit: &Unit<'a>, stops_parked: bool) {
        if let Some(host) = unit.live.iter().find_map(|i| i.host) {
            let own = self.own_matches(unit.index);
            if let Some(place) = self.place_mut(host) {
                place.own = place.own.saturating_add(1);
                for (count, is_match) in place.matches.iter_mut().zip(own) {
                    *count += u32::from(is_match);
                }
            }
        }
        if self.ports.is_empty() {
            return;
        }
        // What a unit lacks will come to where it is, so its ports are taken there already.
        let home = unit.live.iter().find_map(|i| i.host).map(|host| (host, false));
        let desired = self.desired;
        let publishes = |i: &&&Instance| desired.configs.iter().any(|c| c.name == i.config && has_fixed_ports(c));
        let is_bound = |i: &&&Instance| {
            matches!(
                i.state,
                InstanceState::Starting | InstanceState::Running | InstanceState::Stopping
            )
        };
        let parked = unit
            .parked
            .iter()
            .filter(is_bound)
            .filter(publishes)
            .filter_map(|i| Some((i.host?, stops_parked)));
        let leaving = unit
            .leaving
            .iter()
            .filter(publishes)
            .filter_map(|i| Some((i.host?, true)));
        for (host, is_leaving) in home.into_iter().chain(parked).chain(leaving) {
            if let Some(place) = self.place_mut(host) {
                place.holders.push(PortHolder {
                    unit: Some(unit.id),
                    is_leaving,
                });
            }
        }
    }

    fn own_matches(&self, index: u32) -> Vec<bool> {
        self.rules
            .iter()
            .map(|rule| rule.field != Subject::HostLabel && matches_own_unit(rule, self.desired, index))
            .collect()
    }

    fn place(&self, id: ResourceId) -> Option<&Place<'a>> {
        self.places
            .binary_search_by_key(&id, |p| p.host.id)
            .ok()
            .and_then(|at| self.places.get(at))
    }

    fn place_mut(&mut self, id: ResourceId) -> Option<&mut Place<'a>> {
        self.places
            .binary_search_by_key(&id, |p| p.host.id)
            .ok()
            .and_then(|at| self.places.get_mut(at))
    }

    fn has_active_host(&self) -> bool {
        self.places.iter().any(|p| is_open(p.host))
    }

    fn is_eligible(&self, host: &Host) -> bool {
        (!host.is_disconnected || !self.requested.is_empty()) && self.suits(host)
    }

    /// Whether a unit may come to this host, answering or not.
    fn suits(&self, host: &Host) -> bool {
        let is_kind = self.desired.configs.iter().all(|c| c.is_sim == host.is_sim);
        let is_wanted = if self.requested.is_empty() {
            let labels = || host.labels.iter().map(|(k, v)| (k.as_str(), v.as_str()));
            let hard = self
                .rules
                .iter()
                .filter(|r| r.field == Subject::HostLabel && !r.is_soft);
            host.is_active
                && hard
                    .into_iter()
                    .all(|rule| rule.matches_labels(labels()) != rule.is_negated)
        } else {
            // `requestedHostId` overrides scheduling and the host's state; two different ones cannot both be had.
            self.requested.len() == 1 && self.requested.contains(&host.id)
        };
        is_kind && is_wanted && !host.is_gone
    }

    /// Whether the place is eligible and meets the first `rules` rules.
    fn fits(&self, place: &Place<'a>, of: Option<&Unit<'a>>, rules: usize) -> bool {
        place.is_eligible && self.meets(place, of, rules)
    }

    fn meets(&self, place: &Place<'a>, of: Option<&Unit<'a>>, rules: usize) -> bool {
        let is_here = of.is_some_and(|u| u.live.iter().any(|i| i.host == Some(place.host.id)));
        let others = place.own.saturating_sub(u32::from(is_here));
        if self.own.max_per_host.is_some_and(|most| others >= most) {
            return false;
        }
        if !self.requested.is_empty() || self.rules.is_empty() {
            return true;
        }
        // The unit itself neither helps nor hinders.
        let itself = of.filter(|u| u.live.iter().any(|i| i.host == Some(place.host.id)));
        self.rules
            .iter()
            .zip(&place.matches)
            .take(rules)
            .all(|(rule, matches)| {
                let own = itself
                    .is_some_and(|u| rule.field != Subject::HostLabel && matches_own_unit(rule, self.desired, u.index));
                (matches.saturating_sub(u32::from(own)) > 0) != rule.is_negated
            })
    }

    /// How many units of the service are where the host is, by each label that is spread over, the wider places first.
    fn nearby(&self, place: &Place<'a>) -> Vec<u32> {
        let value = |of: &Place<'a>, label: &String| {
            let mut labels = of.host.labels.iter();
            labels
                .find(|(key, _)| key.eq_ignore_ascii_case(label))
                .map(|(_, value)| value.clone())
        };
        let mut near: Vec<&Place<'a>> = self.places.iter().collect();
        let mut counts = Vec::with_capacity(self.own.spread.len());
        for label in &self.own.spread {
            let here = value(place, label);
            near.retain(|other| value(other, label) == here);
            counts.push(near.iter().map(|other| other.own).sum());
        }
        counts
    }

    fn has_room(&self, place: &Place<'a>) -> bool {
        let enough = |need: i64, free: Option<i64>| need <= 0 || free.is_none_or(|free| need <= free);
        enough(self.memory, place.memory) && enough(self.milli_cpu, place.milli_cpu)
    }

    fn ports_free(&self, place: &Place<'a>, of: Option<&Unit<'a>>, leaving: Leaving) -> bool {
        let by_others = || {
            self.ports
                .iter()
                .any(|port| place.host.bound_ports.iter().any(|bound| bound.clashes(port)))
        };
        self.ports.is_empty() || (self.holder(place, of, leaving).is_none() && !by_others())
    }

    fn holder<'p>(&self, place: &'p Place<'a>, of: Option<&Unit<'a>>, leaving: Leaving) -> Option<&'p PortHolder<'a>> {
        let is_other = |holder: &&PortHolder<'_>| of.is_none() || holder.unit != of.map(|u| u.id);
        place
            .holders
            .iter()
            .filter(is_other)
            .find(|holder| leaving == Leaving::Blocks || !holder.is_leaving)
    }

    fn explain(&self) -> String {
        let is_kind = |p: &&Place<'_>| self.desired.configs.iter().all(|c| c.is_sim == p.host.is_sim);
        if !self.requested.is_empty() && self.eligible().is_empty() {
            return format!("{UNMET} the requested host");
        }
        if self.requested.is_empty() && !self.places.iter().filter(is_kind).any(|p| is_open(p.host)) {
            return self.explain_kind();
        }
        let mut needs: Vec<String> = self
            .rules
            .iter()
            .filter(|r| !r.is_soft)
            .map(ToString::to_string)
            .collect();
        needs.extend(self.ports.iter().map(|p| format!("port {p}")));
        needs.extend(self.own.max_per_host.map(|most| format!("at most {most} on a host")));
        if self.memory > 0 {
            needs.push(format!("{} bytes of memory", self.memory));
        }
        if self.milli_cpu > 0 {
            needs.push(format!("{} thousandths of a core", self.milli_cpu));
        }
        format!("{UNMET} {}", needs.join(", "))
    }

    fn explain_kind(&self) -> String {
        let sims = self.desired.configs.iter().filter(|c| c.is_sim).count();
        if sims == 0 {
            "Scheduling failed: no Docker host is active".to_owned()
        } else if sims == self.desired.configs.len() {
            "Scheduling failed: no simulated host is active".to_owned()
        } else {
            "Scheduling failed: no simulated host takes Docker images, and no Docker host simulated ones".to_owned()
        }
    }
}

/// The sentence clients know, up to what is lacking.
const UNMET: &str = "Scheduling failed: No healthy hosts meet the resource constraints:";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaving {
    Blocks,
    Ignored,
}

impl<'a> Place<'a> {
    fn new(host: &'a Host, rules: &[Rule]) -> Self {
        fn pairs(labels: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
            labels.iter().map(|(k, v)| (k.as_str(), v.as_str()))
        }
        let matches = rules.iter().map(|rule| match rule.field {
            Subject::HostLabel => u32::from(rule.matches_labels(pairs(&host.labels))),
            Subject::ContainerLabel | Subject::Container => u32::from(
                host.neighbours
                    .iter()
                    .any(|n| rule.matches_container(&n.name, pairs(&n.labels))),
            ),
        });
        Self {
            host,
            load: host.live_instances,
            own: 0,
            memory: host.free_memory,
            milli_cpu: host.free_milli_cpu,
            holders: Vec::new(),
            matches: matches.collect(),
            is_eligible: false,
            is_away: false,
        }
    }
}

fn is_open(host: &Host) -> bool {
    host.is_active && !host.is_gone && !host.is_disconnected
}
