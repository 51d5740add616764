//! A simulated world for the tests of the planner: it carries steps out as the engine would, and moves on in ticks.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails should say where"
)]

use super::*;

/// Wanted, there, and the time.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) desired: Desired,
    pub(super) observed: Observed,
    pub(super) now: Timestamp,
    /// Instances of these versions never become healthy.
    pub(super) sick: Vec<String>,
    next: i64,
}

/// A plain configuration.
pub(super) fn config(name: Option<&str>) -> UnitConfig {
    UnitConfig {
        name: name.map(str::to_owned),
        version: "v0".into(),
        is_sim: false,
        start_once: false,
        restarts: RestartRule::default(),
        health_checked: false,
        network_from: None,
        volumes_from: Vec::new(),
        host_ports: Vec::new(),
        labels: BTreeMap::new(),
        requested_host: None,
        memory_reservation: 0,
        milli_cpu_reservation: 0,
    }
}

/// An active Docker host with nothing on it.
pub(super) fn host(id: i64) -> Host {
    Host {
        id: ResourceId(id),
        is_sim: false,
        is_active: true,
        is_gone: false,
        is_disconnected: false,
        is_lost: false,
        labels: Arc::default(),
        live_instances: 0,
        bound_ports: Vec::new(),
        neighbours: Vec::new(),
        free_memory: None,
        free_milli_cpu: None,
    }
}

/// One unit at a time, two seconds apart.
pub(super) const ONE_BY_ONE: Batches = Batches {
    size: 1,
    interval: Duration::from_secs(2),
    start_first: false,
    guard: Guard::NONE,
};

impl World {
    /// `shop/web` with so many units, one Docker host, nothing there yet.
    pub(super) fn new(scale: Scale) -> Self {
        let desired = Desired {
            stack: "shop".into(),
            service: "web".into(),
            goal: Goal::Run,
            scale,
            configs: vec![config(None)],
            health: HealthStrategy::Recreate,
            moves: Moves::Stay,
            divider: '-',
        };
        let observed = Observed {
            hosts: vec![host(1)],
            ..Observed::default()
        };
        Self {
            desired,
            observed,
            now: Timestamp(1_000_000),
            sick: Vec::new(),
            next: 1,
        }
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub(super) fn plan(&self) -> Plan {
        plan(&self.desired, &self.observed, self.now)
    }

    /// Adds an instance; returns its place in the list.
    pub(super) fn add(
        &mut self,
        unit: &str,
        index: u32,
        config: Option<&str>,
        version: &str,
        host: i64,
    ) -> &mut Instance {
        let id = self.next;
        self.next += 1;
        self.observed.instances.push(Instance {
            id: ResourceId(id),
            unit: unit.into(),
            index,
            config: config.map(str::to_owned),
            version: version.into(),
            is_parked: false,
            state: InstanceState::Running,
            health: Health::None,
            host: Some(ResourceId(host)),
            create_index: id,
            start_count: 1,
            up_since: None,
            exits: 0,
            exited_at: None,
            exit_code: None,
            restarts: Restarts::default(),
            failures: 0,
            failed_at: None,
        });
        self.observed.instances.last_mut().unwrap()
    }

    pub(super) fn instance(&mut self, id: i64) -> &mut Instance {
        self.observed.instances.iter_mut().find(|i| i.id.0 == id).unwrap()
    }

    /// Carries steps out. Every step may come twice.
    pub(super) fn apply(&mut self, steps: &[Step], copies: usize) {
        let round = self.next;
        for step in steps {
            for _ in 0..copies {
                self.apply_one(step, round);
            }
        }
    }

    fn apply_one(&mut self, step: &Step, round: i64) {
        match step {
            Step::Create {
                unit,
                index,
                config,
                version,
                host,
                ..
            } => {
                let unit = match unit {
                    UnitId::Known(uuid) => uuid.clone(),
                    UnitId::New(number) => format!("n{round}-{number}"),
                };
                // What stops on a lost host leaves its place to the next, as what is being removed does.
                let is_lost = |i: &Instance| self.observed.hosts.iter().any(|h| Some(h.id) == i.host && h.is_lost);
                let leaves = |i: &Instance| match i.state {
                    InstanceState::Removing => true,
                    InstanceState::Stopping => is_lost(i),
                    _ => false,
                };
                let is_same = |i: &Instance| i.unit == unit && i.config == *config && !i.is_parked && !leaves(i);
                if !self.observed.instances.iter().any(is_same) {
                    let made = self.add(&unit, *index, config.as_deref(), version, host.0);
                    made.state = InstanceState::Starting;
                    made.start_count = 0;
                }
            }
            Step::BeginBatch => self.observed.last_batch_at = Some(self.now),
            Step::NoteFailed { unit, .. } => drop(self.observed.trial.failed.insert(*unit)),
            Step::Start(id) => self.change(*id, |i| {
                if i.state == InstanceState::Stopped {
                    i.state = InstanceState::Starting;
                }
            }),
            Step::Stop(id) => self.change(*id, |i| {
                if matches!(i.state, InstanceState::Running | InstanceState::Starting) {
                    i.state = InstanceState::Stopping;
                }
            }),
            Step::Remove { id, .. } => self.change(*id, |i| i.state = InstanceState::Removing),
            Step::Park(id) => self.change(*id, |i| i.is_parked = true),
            Step::Unpark(id) => self.change(*id, |i| i.is_parked = false),
        }
    }

    fn change(&mut self, id: ResourceId, change: impl FnOnce(&mut Instance)) {
        change(
            self.observed
                .instances
                .iter_mut()
                .find(|i| i.id == id)
                .expect("a step names an instance that is there"),
        );
    }

    /// Everything under way takes a step; `picks` says of each instance whether it moves now.
    pub(super) fn tick(&mut self, mut picks: impl FnMut() -> bool) {
        let cut: Vec<ResourceId> = self
            .observed
            .hosts
            .iter()
            .filter(|h| h.is_disconnected && !h.is_gone || h.is_lost)
            .map(|h| h.id)
            .collect();
        let configs = self.desired.configs.clone();
        let (sick, now) = (self.sick.clone(), self.now);
        self.observed.instances.retain_mut(|i| {
            if i.host.is_some_and(|h| cut.contains(&h)) || !picks() {
                return true;
            }
            let is_checked = configs.iter().any(|c| c.name == i.config && c.health_checked);
            match i.state {
                InstanceState::Starting => {
                    i.state = InstanceState::Running;
                    i.start_count += 1;
                    i.up_since = Some(now);
                    i.health = if is_checked { Health::Initializing } else { Health::None };
                }
                InstanceState::Running if i.health == Health::Initializing && !sick.contains(&i.version) => {
                    i.health = Health::Healthy
                }
                InstanceState::Stopping => i.state = InstanceState::Stopped,
                InstanceState::Removing => return false,
                InstanceState::Running | InstanceState::Stopped | InstanceState::Broken => {}
            }
            true
        });
        for host in &mut self.observed.hosts {
            let live = self
                .observed
                .instances
                .iter()
                .filter(|i| i.host == Some(host.id) && i.state != InstanceState::Removing)
                .count();
            host.live_instances = u32::try_from(live).unwrap();
        }
    }

    /// Plans, carries out and ticks until nothing moves any more; the plans as text, one paragraph for each that has
    /// steps, and the last verdict.
    pub(super) fn story(&mut self) -> String {
        let mut text = String::new();
        for _ in 0..200 {
            let plan = self.plan();
            if !plan.steps.is_empty() {
                text += &plan.to_string();
                text += "\n";
            }
            let before = self.observed.clone();
            self.apply(&plan.steps, 1);
            self.tick(|| true);
            if self.observed == before {
                match plan.wake_after {
                    Some(wait) => self.now = self.now.plus(wait),
                    None => return text + &plan.verdict.to_string(),
                }
            }
        }
        panic!("no end in sight:\n{text}");
    }

    /// Brings the service up.
    pub(super) fn up(mut self) -> Self {
        assert!(self.story().ends_with("converged"));
        self
    }

    /// The instances, one word each, in order of creation: `7:web-1/v0@1` with `*` if it is parked and its state
    /// if it does not run.
    pub(super) fn picture(&self) -> String {
        let mut instances: Vec<&Instance> = self.observed.instances.iter().collect();
        instances.sort_by_key(|i| i.create_index);
        let words = instances.iter().map(|i| {
            let sidekick = i.config.as_ref().map_or(String::new(), |c| format!("-{c}"));
            let state = if i.state == InstanceState::Running {
                String::new()
            } else {
                format!(":{:?}", i.state)
            };
            let parked = if i.is_parked { "*" } else { "" };
            format!(
                "{}:web{sidekick}-{}/{}@{}{parked}{state}",
                i.id,
                i.index,
                i.version,
                i.host.map_or(0, |h| h.0)
            )
        });
        words.collect::<Vec<_>>().join(" ")
    }
}
