//! Properties that hold for every plan, tried on worlds made of random bytes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails should say where"
)]

use std::collections::{BTreeSet, HashSet};

use proptest::prelude::*;

use super::world::{World, config, host};
use super::*;

/// Reads choices off random bytes; zeros when they are used up, so that failing cases shrink to plain ones.
#[derive(Debug, Clone)]
struct Choices<'a>(std::slice::Iter<'a, u8>);

impl<'a> Choices<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self(bytes.iter())
    }

    /// Less than `n`.
    fn below(&mut self, n: u8) -> u8 {
        self.0.next().copied().unwrap_or(0) % n
    }

    /// About once in `n` times.
    fn once_in(&mut self, n: u8) -> bool {
        self.below(n) == n - 1
    }
}

/// A coin that never runs out.
#[derive(Debug, Clone)]
struct Coin(u64);

impl Coin {
    fn toss(&mut self) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 & 1 == 0
    }
}

type Bytes = [u8; 48];

fn cases() -> ProptestConfig {
    ProptestConfig {
        cases: 10_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// A service: scale, sidekicks and what they share, ports, health checks, strategy.
fn service(choices: &mut Choices<'_>) -> World {
    let scale = if choices.once_in(6) {
        Scale::Global
    } else {
        Scale::Units(u32::from(choices.below(4)))
    };
    let mut world = World::new(scale);
    world.observed.hosts = (1..=1 + i64::from(choices.below(3))).map(host).collect();
    let primary = &mut world.desired.configs[0];
    primary.health_checked = choices.once_in(2);
    if choices.once_in(4) {
        primary.host_ports = vec![PortSpec {
            ip: None,
            public: Some(80),
            private: 80,
            protocol: "tcp",
        }];
    }
    let relation = choices.below(5);
    if relation > 0 {
        let mut log = config(Some("log"));
        match relation {
            1 => log.network_from = Some(None),
            2 => world.desired.configs[0].volumes_from = vec![Some("log".into())],
            3 => log.start_once = true,
            _ => {}
        }
        world.desired.configs.push(log);
    }
    world.desired.health = match choices.below(3) {
        0 => HealthStrategy::Recreate,
        1 => HealthStrategy::None,
        _ => HealthStrategy::RecreateOnQuorum(1),
    };
    world.desired.moves = match choices.below(6) {
        4 => Moves::StartFirst,
        5 => Moves::StopFirst,
        _ => Moves::Stay,
    };
    world
}

fn batches(choices: &mut Choices<'_>) -> Batches {
    Batches {
        size: 1 + u32::from(choices.below(3)),
        interval: Duration::from_secs(2),
        start_first: choices.once_in(2),
        guard: Guard::NONE,
    }
}

fn goal(choices: &mut Choices<'_>, world: &World) -> Goal {
    let batches = batches(choices);
    match choices.below(8) {
        0 => Goal::Run,
        1 => Goal::Upgrade(batches),
        2 => Goal::Rollback(batches),
        3 => Goal::FinishUpgrade(batches),
        4 => {
            let start_counts = world.observed.instances.iter().map(|i| (i.id, i.start_count)).collect();
            Goal::Restart { batches, start_counts }
        }
        5 => Goal::Stop,
        6 => Goal::Remove,
        _ => Goal::Hold,
    }
}

/// A mess: any instances in any state, on hosts in any state.
fn mess(bytes: &[u8]) -> World {
    let mut choices = Choices::new(bytes);
    let mut world = service(&mut choices);
    for host in &mut world.observed.hosts {
        match choices.below(8) {
            5 => host.is_active = false,
            6 => (host.is_active, host.is_disconnected) = (choices.once_in(2), true),
            7 => (host.is_active, host.is_gone, host.is_lost) = (false, true, choices.once_in(2)),
            _ => {}
        }
    }
    for _ in 0..choices.below(6) {
        let unit = choices.below(3);
        let name = [None, Some("log"), Some("old")][usize::from(choices.below(3))];
        let version = ["v0", "v1"][usize::from(choices.below(2))];
        let host = i64::from(unit % 3) + 1;
        let is_parked = choices.once_in(3);
        let state = match choices.below(9) {
            0..=3 => InstanceState::Running,
            4 => InstanceState::Starting,
            5 => InstanceState::Stopping,
            6 => InstanceState::Stopped,
            7 => InstanceState::Broken,
            _ => InstanceState::Removing,
        };
        let health =
            [Health::None, Health::Healthy, Health::Initializing, Health::Unhealthy][usize::from(choices.below(4))];
        let uuid = format!("u{unit}");
        // The engine never has two managed ones of a kind in a unit.
        let is_double = |i: &Instance| i.unit == uuid && i.config.as_deref() == name && !i.is_parked;
        let is_parked = is_parked || world.observed.instances.iter().any(is_double);
        let (failures, now) = (u32::from(choices.below(5)), world.now);
        let made = world.add(&uuid, u32::from(unit) + 1, name, version, host);
        (made.is_parked, made.state, made.health) = (is_parked, state, health);
        if state == InstanceState::Broken {
            (made.failures, made.failed_at) = (failures, Some(now));
        }
    }
    world.desired.goal = goal(&mut choices, &world);
    if !matches!(
        world.desired.goal,
        Goal::Upgrade(_) | Goal::Rollback(_) | Goal::FinishUpgrade(_)
    ) {
        // No other goal is reached before what is parked was stopped.
        world
            .observed
            .instances
            .iter_mut()
            .filter(|i| i.is_parked)
            .for_each(|i| i.state = i.state.max(InstanceState::Stopped));
    }
    world
}

/// What a service comes down to. From a mess, more than one end is right: a unit that is gone for a moment may get a
/// lower index, or leave its place to one that would have been too much.
fn shape(world: &World) -> Vec<Option<String>> {
    let is_there = |i: &Instance| !i.is_parked && i.state != InstanceState::Removing;
    let is_wanted = |i: &&Instance| is_there(i) && world.desired.configs.iter().any(|c| c.name == i.config);
    let mut all: Vec<_> = world
        .observed
        .instances
        .iter()
        .filter(is_wanted)
        .map(|i| i.config.clone())
        .collect();
    all.sort();
    all
}

/// Lets time pass after a plan: work goes on, or a batch interval ends. False if nothing is left to happen.
fn pass(world: &mut World, plan: &Plan, picks: impl FnMut() -> bool) -> bool {
    let before = world.observed.instances.clone();
    world.tick(picks);
    if !plan.steps.is_empty() || world.observed.instances != before {
        return true;
    }
    let Some(wait) = plan.wake_after else { return false };
    world.now = world.now.plus(wait);
    true
}

/// Runs to the end, and says with what verdict.
fn settle(world: &mut World) -> Verdict {
    for _ in 0..120 {
        let plan = world.plan();
        world.apply(&plan.steps, 1);
        if !pass(world, &plan, || true) {
            return plan.verdict;
        }
    }
    panic!("no end in sight: {}\n{}", world.picture(), world.plan());
}

/// What a single plan must be like.
fn check(world: &World, plan: &Plan) {
    let by_id: BTreeMap<ResourceId, &Instance> = world.observed.instances.iter().map(|i| (i.id, i)).collect();
    // A converged world gives an empty plan.
    if plan.verdict == Verdict::Converged {
        assert!(
            plan.steps.is_empty() && plan.wake_after.is_none(),
            "converged, and yet: {plan}"
        );
    }
    let mut slots: HashSet<(UnitId, &Option<String>)> = HashSet::new();
    let mut new_units: BTreeMap<&UnitId, (u32, ResourceId)> = BTreeMap::new();
    let is_ending = matches!(
        world.desired.goal,
        Goal::FinishUpgrade(_) | Goal::Rollback(_) | Goal::Remove
    );
    for step in &plan.steps {
        match step {
            // Nothing parked is removed before finish, unless it is broken.
            Step::Remove { id, why } => {
                let instance = by_id[id];
                assert!(instance.state != InstanceState::Removing, "removed twice: {plan}");
                assert!(!instance.is_parked || is_ending || *why == Why::Broken, "{plan}");
                assert!(
                    *why != Why::Unhealthy
                        || world
                            .observed
                            .instances
                            .iter()
                            .any(|i| i.unit == instance.unit && i.health == Health::Unhealthy)
                );
            }
            Step::Create {
                unit,
                index,
                config,
                host,
                name,
                ..
            } => {
                assert!(slots.insert((unit.clone(), config)), "made twice: {plan}");
                assert_eq!(*name, instance_name("shop", "web", config.as_deref(), *index, '-'));
                let taken = |i: &&Instance| {
                    i.index == *index && !i.is_parked && i.config == *config && i.state != InstanceState::Removing
                };
                if let UnitId::New(_) = unit {
                    assert_eq!(
                        new_units.entry(unit).or_insert((*index, *host)),
                        &(*index, *host),
                        "a unit is in one place: {plan}"
                    );
                    assert!(
                        !world.observed.instances.iter().any(|i| taken(&i)),
                        "index taken: {plan}"
                    );
                }
            }
            Step::Start(id) => assert_eq!(by_id[id].state, InstanceState::Stopped, "{plan}"),
            Step::Stop(id) => assert!(
                matches!(by_id[id].state, InstanceState::Running | InstanceState::Starting),
                "{plan}"
            ),
            Step::Park(id) => assert!(!by_id[id].is_parked, "{plan}"),
            Step::Unpark(id) => assert!(by_id[id].is_parked, "{plan}"),
            Step::BeginBatch | Step::NoteFailed { .. } => {}
        }
    }
    let indexes: BTreeSet<u32> = new_units.values().map(|(index, _)| *index).collect();
    assert_eq!(indexes.len(), new_units.len(), "indexes are unique: {plan}");
    check_goal(world, plan);
    check_stop_first(world, plan);
}

/// Unless told to start first, nothing is made or started in a place whose last holder is not seen to be down.
fn check_stop_first(world: &World, plan: &Plan) {
    let (Goal::Upgrade(batches) | Goal::Rollback(batches) | Goal::FinishUpgrade(batches)) = &world.desired.goal else {
        return;
    };
    if batches.start_first {
        return;
    }
    let is_reachable = |i: &Instance| {
        let host = world.observed.hosts.iter().find(|h| Some(h.id) == i.host);
        host.is_some_and(|h| !h.is_gone && !h.is_disconnected)
    };
    let is_down = |i: &Instance| matches!(i.state, InstanceState::Stopped | InstanceState::Broken);
    for step in &plan.steps {
        let (own, unit, config) = match step {
            Step::Create {
                unit: UnitId::Known(unit),
                config,
                ..
            } => (None, unit, config),
            Step::Start(id) => {
                let instance = world.observed.instances.iter().find(|i| i.id == *id).unwrap();
                (Some(*id), &instance.unit, &instance.config)
            }
            _ => continue,
        };
        let holder =
            world.observed.instances.iter().find(|i| {
                Some(i.id) != own && i.unit == *unit && i.config == *config && !is_down(i) && is_reachable(i)
            });
        assert!(
            holder.is_none(),
            "{} still has the place: {}\n{plan}",
            holder.unwrap().id,
            world.picture()
        );
    }
}

/// Cancelled places nothing; scale 0 or removed only removes; stopping only stops.
fn check_goal(world: &World, plan: &Plan) {
    let is_removal = |s: &Step| matches!(s, Step::Remove { .. });
    match (&world.desired.goal, world.desired.scale) {
        (Goal::Hold, _) => assert!(plan.steps.is_empty(), "{plan}"),
        (Goal::Remove, _) | (Goal::Run, Scale::Units(0)) => assert!(plan.steps.iter().all(is_removal), "{plan}"),
        (Goal::Stop, _) => assert!(plan.steps.iter().all(|s| matches!(s, Step::Stop(_))), "{plan}"),
        (_, Scale::Units(0)) => assert!(
            plan.steps.iter().all(|s| is_removal(s) || matches!(s, Step::Stop(_))),
            "{plan}"
        ),
        _ => {}
    }
}

/// What a converged world must look like.
fn check_end(world: &World, is_tidy: bool) {
    // What stops on a host that is lost goes with it.
    let is_lost = |i: &Instance| {
        world
            .observed
            .hosts
            .iter()
            .any(|host| Some(host.id) == i.host && host.is_lost)
    };
    let leaves = |i: &Instance| match i.state {
        InstanceState::Removing => true,
        InstanceState::Stopping => is_lost(i),
        _ => false,
    };
    let live: Vec<&Instance> = world
        .observed
        .instances
        .iter()
        .filter(|i| !i.is_parked && !leaves(i))
        .collect();
    let is_reachable = |i: &Instance| {
        i.host.is_none_or(|h| {
            world
                .observed
                .hosts
                .iter()
                .any(|host| host.id == h && !host.is_disconnected)
        })
    };
    match world.desired.goal {
        Goal::Hold => return,
        Goal::Remove => return assert!(world.observed.instances.is_empty()),
        Goal::Stop => {
            return assert!(!live.iter().any(|i| matches!(
                i.state,
                InstanceState::Running | InstanceState::Starting | InstanceState::Stopping
            )));
        }
        Goal::FinishUpgrade(_) | Goal::Rollback(_) => {
            assert!(
                !world.observed.instances.iter().any(|i| i.is_parked && !leaves(i)),
                "something is still parked: {}",
                world.picture()
            );
        }
        Goal::Run | Goal::Upgrade(_) | Goal::Restart { .. } => {}
    }
    let Scale::Units(wanted) = world.desired.scale else {
        return;
    };
    let units: BTreeSet<&String> = live.iter().map(|i| &i.unit).collect();
    let has_hosts = world.observed.hosts.iter().any(|h| h.is_active && !h.is_gone);
    assert!(
        units.len() == wanted as usize || (!has_hosts && units.len() < wanted as usize),
        "{wanted} units: {}",
        world.picture()
    );
    let ported = |i: &&&Instance| {
        world
            .desired
            .configs
            .iter()
            .any(|c| c.name == i.config && !c.host_ports.is_empty())
    };
    let mut owners = HashSet::new();
    assert!(
        live.iter().filter(ported).all(|i| owners.insert(i.host)) || !is_tidy,
        "a port is had twice: {}",
        world.picture()
    );
    for instance in live.iter().filter(|i| is_reachable(i)) {
        let Some(config) = world.desired.configs.iter().find(|c| c.name == instance.config) else {
            continue;
        };
        let has_run = config.start_once && instance.state == InstanceState::Stopped;
        // A bad instance is never counted as good.
        assert!(
            instance.state == InstanceState::Running || has_run,
            "{}",
            world.picture()
        );
        if let Goal::Upgrade(_) | Goal::FinishUpgrade(_) | Goal::Rollback(_) = world.desired.goal {
            assert_eq!(config.version, instance.version, "{}", world.picture());
        }
        if let (Goal::Upgrade(_), true) = (&world.desired.goal, config.health_checked) {
            assert!(
                matches!(instance.health, Health::None | Health::Healthy) || has_run,
                "{}",
                world.picture()
            );
        }
    }
}

/// Disconnected hosts come back, so that nothing is left to wait for.
fn reconnect(world: &mut World) {
    for host in &mut world.observed.hosts {
        (host.is_active, host.is_disconnected) = (host.is_active || host.is_disconnected, false);
        host.is_lost = false;
    }
}

proptest! {
    #![proptest_config(cases())]

    /// Properties 1, 2, 5, 6, 7, 11, 12.
    #[test]
    fn any_mess_converges_by_good_plans(bytes in any::<Bytes>()) {
        let mut world = mess(&bytes);
        // Some messes have a port twice from the start, and it is not ours to choose.
        let is_tidy = world.observed.instances.is_empty();
        let (mut rounds, mut is_reconnected) = (0, false);
        loop {
            let plan = world.plan();
            check(&world, &plan);
            world.apply(&plan.steps, 1);
            rounds += 1;
            prop_assert!(rounds < 120, "no end in sight: {}\n{plan}", world.picture());
            if pass(&mut world, &plan, || true) {
                continue;
            }
            match plan.verdict {
                Verdict::Converged => check_end(&world, is_tidy),
                Verdict::Stuck(_) => {}
                Verdict::Held(sentence) | Verdict::GivenUp(sentence) => prop_assert!(false, "unguarded, and yet: {sentence}"),
                Verdict::Working(_) if !is_reconnected => {
                    is_reconnected = true;
                    reconnect(&mut world);
                    continue;
                }
                // An unhealthy one that is not to be replaced holds an upgrade up until somebody decides.
                Verdict::Working(sentence) => prop_assert!(world.observed.instances.iter().any(|i| i.health == Health::Unhealthy), "waits for nothing: {sentence}\n{}\n{:?}", world.picture(), (&world.desired, &world.observed.hosts)),
            }
            break;
        }
    }

    /// Property 8.
    #[test]
    fn the_order_of_rows_does_not_matter(bytes in any::<Bytes>(), turn in 0_usize..6) {
        let world = mess(&bytes);
        let mut other = world.clone();
        let at = turn.min(other.observed.instances.len());
        other.observed.instances.rotate_left(at);
        other.observed.instances.reverse();
        other.observed.hosts.reverse();
        prop_assert_eq!(world.plan(), other.plan());
    }

    /// Properties 9 and 10.
    #[test]
    fn steps_can_be_cut_short_and_repeated(bytes in any::<Bytes>(), cut in 0_usize..8) {
        let mut whole = mess(&bytes);
        // Which of two units is too much may depend on one that is cut off; the end would still be a right one.
        whole.observed.hosts.iter_mut().for_each(|h| (h.is_active, h.is_gone, h.is_disconnected, h.is_lost) = (true, false, false, false));
        // An unhealthy one holds up an upgrade for ever, or is out of it, as the batch has it.
        whole.observed.instances.iter_mut().filter(|i| i.health == Health::Unhealthy).for_each(|i| i.health = Health::None);
        let mut part = whole.clone();
        let plan = whole.plan();
        let (mut once, mut twice) = (whole.clone(), whole.clone());
        once.apply(&plan.steps, 1);
        twice.apply(&plan.steps, 2);
        prop_assert_eq!(&once.observed, &twice.observed);
        let start = format!("{:?} {} {:?}\n{plan}", whole.desired.goal, whole.picture(), whole.desired);
        let verdict = settle(&mut whole);
        part.apply(&plan.steps[..cut.min(plan.steps.len())], 1);
        let other = settle(&mut part);
        prop_assert_eq!(std::mem::discriminant(&verdict), std::mem::discriminant(&other), "{}\n{} or {}", start, whole.picture(), part.picture());
        if verdict == Verdict::Converged {
            check_end(&whole, false);
            check_end(&part, false);
            prop_assert_eq!(shape(&whole), shape(&part), "{}\n{} or {}", start, whole.picture(), part.picture());
        }
    }

    /// Properties 3, 4 and 9, and that a rollback brings the same instances back.
    #[test]
    fn an_upgrade_keeps_the_service_up(bytes in any::<Bytes>(), seed in 1_u64..) {
        let mut choices = Choices::new(&bytes);
        let mut world = service(&mut choices);
        world.desired.configs.iter_mut().for_each(|c| c.start_once = false);
        if !matches!(settle(&mut world), Verdict::Converged) {
            return Ok(());
        }
        let mut before: Vec<ResourceId> = world.observed.instances.iter().map(|i| i.id).collect();
        let units = units(&world, |_| true);
        let batches = batches(&mut choices);
        let with_ports = !world.desired.configs[0].host_ports.is_empty();
        let spare = if batches.start_first && !with_ports { 0 } else { batches.size as usize };
        world.desired.configs.iter_mut().for_each(|c| c.version = "v1".into());
        world.desired.goal = Goal::Upgrade(batches);
        let mut coin = Coin(seed);
        let ends = usize::from(choices.below(24));
        for round in 0..400 {
            let plan = world.plan();
            check(&world, &plan);
            let carried_out = if choices.once_in(4) { usize::from(choices.below(4)) } else { usize::MAX };
            world.apply(&plan.steps[..carried_out.min(plan.steps.len())], 1);
            let available = available(&world);
            prop_assert!(available + spare >= units, "{available} of {units} are up: {}", world.picture());
            let live = live_generations(&world);
            prop_assert!(live <= units + batches.size as usize, "{live} for {units} are there: {}", world.picture());
            if round == ends {
                break;
            }
            // Once all rest, nothing but the batch interval can go on.
            if !pass(&mut world, &plan, || coin.toss()) && plan.verdict == Verdict::Converged {
                break;
            }
        }
        world.desired.configs.iter_mut().for_each(|c| c.version = "v0".into());
        world.desired.goal = Goal::Rollback(batches);
        prop_assert_eq!(settle(&mut world), Verdict::Converged);
        check_end(&world, true);
        let mut after: Vec<ResourceId> = world.observed.instances.iter().map(|i| i.id).collect();
        before.sort();
        after.sort();
        prop_assert_eq!(before, after, "{}", world.picture());
    }

    /// Units move one at a time, whoever is slow: so many serve as before, or one fewer, and at the end each host has its share.
    #[test]
    fn units_that_move_keep_the_service_up(bytes in any::<Bytes>(), seed in 1_u64.., is_in_place in any::<bool>(), units_wanted in 1_u32..8, first in 1_i64..3, more in 1_i64..4) {
        let mut world = World::new(Scale::Units(units_wanted)).with(|w| w.observed.hosts = (1..=first).map(host).collect());
        let mut choices = Choices::new(&bytes);
        world.desired.configs[0].health_checked = choices.once_in(2);
        prop_assert_eq!(settle(&mut world), Verdict::Converged);
        world.observed.hosts.extend((first + 1..=first + more).map(host));
        world.desired.moves = if is_in_place { Moves::StopFirst } else { Moves::StartFirst };
        let (units, mut coin) = (units_wanted as usize, Coin(seed));
        for _ in 0..600 {
            let plan = world.plan();
            check(&world, &plan);
            let carried_out = if choices.once_in(4) { usize::from(choices.below(2)) } else { usize::MAX };
            world.apply(&plan.steps[..carried_out.min(plan.steps.len())], 1);
            let there = available(&world);
            prop_assert!(there + usize::from(is_in_place) >= units, "{there} of {units} are up: {}", world.picture());
            let live = live_generations(&world);
            prop_assert!(live <= units + usize::from(!is_in_place), "{live} for {units} are there: {}", world.picture());
            if !pass(&mut world, &plan, || coin.toss()) && plan.verdict == Verdict::Converged {
                break;
            }
        }
        prop_assert_eq!(world.plan().verdict, Verdict::Converged);
        check_end(&world, true);
        let on = |host: &Host| world.observed.instances.iter().filter(|i| i.host == Some(host.id)).count();
        let shares: Vec<usize> = world.observed.hosts.iter().map(on).collect();
        let (most, fewest) = (shares.iter().max().unwrap(), shares.iter().min().unwrap());
        prop_assert!(most - fewest <= 1, "{shares:?}: {}", world.picture());
    }

    /// A canary stops where it is to, whatever the batch; let go, it comes to the end of any other upgrade.
    #[test]
    fn a_canary_is_never_passed_before_it_is_let_go(bytes in any::<Bytes>(), seed in 1_u64.., canary in 1_u32..5) {
        let mut choices = Choices::new(&bytes);
        let mut world = service(&mut choices);
        world.desired.configs.iter_mut().for_each(|c| c.start_once = false);
        if settle(&mut world) != Verdict::Converged {
            return Ok(());
        }
        let all = units(&world, |_| true);
        let guard = Guard { canary, ..Guard::NONE };
        world.desired.configs.iter_mut().for_each(|c| c.version = "v1".into());
        world.desired.goal = Goal::Upgrade(Batches { guard, ..batches(&mut choices) });
        let mut coin = Coin(seed);
        let stop = all.min(canary as usize);
        for _ in 0..400 {
            let plan = world.plan();
            check(&world, &plan);
            world.apply(&plan.steps, 1);
            let new = units(&world, |i| i.version == "v1");
            prop_assert!(new <= stop, "{new} of {all} are new: {}", world.picture());
            if !pass(&mut world, &plan, || coin.toss()) && matches!(plan.verdict, Verdict::Held(_) | Verdict::Converged) {
                break;
            }
        }
        prop_assert_eq!(units(&world, |i| i.version == "v1"), stop);
        let is_held = matches!(world.plan().verdict, Verdict::Held(_));
        prop_assert_eq!(is_held, stop < all, "{}", world.plan());
        world.observed.trial.is_released = true;
        prop_assert_eq!(settle(&mut world), Verdict::Converged);
        check_end(&world, true);
    }

    /// A version that cannot start is given up, and what was there before comes back.
    #[test]
    fn a_version_that_fails_is_given_up_and_the_old_one_comes_back(bytes in any::<Bytes>(), seed in 1_u64..) {
        let mut choices = Choices::new(&bytes);
        let mut world = service(&mut choices);
        world.desired.configs.iter_mut().for_each(|c| c.start_once = false);
        if settle(&mut world) != Verdict::Converged || world.observed.instances.is_empty() {
            return Ok(());
        }
        let mut before: Vec<ResourceId> = world.observed.instances.iter().map(|i| i.id).collect();
        world.observed.trial.from = world.observed.instances.iter().map(|i| i.create_index).max().unwrap_or(0);
        let guard = Guard { on_failure: OnFailure::RollBack, ..Guard::NONE };
        let batches = Batches { guard, ..batches(&mut choices) };
        world.desired.configs.iter_mut().for_each(|c| c.version = "v1".into());
        world.desired.goal = Goal::Upgrade(batches);
        let mut coin = Coin(seed);
        let mut is_given_up = false;
        for _ in 0..400 {
            let plan = world.plan();
            check(&world, &plan);
            is_given_up = matches!(plan.verdict, Verdict::GivenUp(_));
            if is_given_up {
                prop_assert!(plan.steps.is_empty(), "{}", plan);
                break;
            }
            world.apply(&plan.steps, 1);
            pass(&mut world, &plan, || coin.toss());
            let is_new = |i: &&mut Instance| i.version == "v1" && i.state == InstanceState::Running;
            world.observed.instances.iter_mut().filter(is_new).for_each(|i| i.state = InstanceState::Broken);
        }
        prop_assert!(is_given_up, "{}", world.picture());
        world.desired.configs.iter_mut().for_each(|c| c.version = "v0".into());
        world.desired.goal = Goal::Rollback(batches);
        prop_assert_eq!(settle(&mut world), Verdict::Converged);
        let mut after: Vec<ResourceId> = world.observed.instances.iter().map(|i| i.id).collect();
        before.sort();
        after.sort();
        prop_assert_eq!(before, after, "{}", world.picture());
    }
}

/// How many units have an instance like this.
fn units(world: &World, is_such: impl Fn(&Instance) -> bool) -> usize {
    world
        .observed
        .instances
        .iter()
        .filter(|i| is_such(i))
        .map(|i| &i.unit)
        .collect::<BTreeSet<_>>()
        .len()
}

/// How many units serve, with the old or the new of each configuration.
fn available(world: &World) -> usize {
    let serves = |unit: &str| {
        world.desired.configs.iter().all(|c| {
            world.observed.instances.iter().any(|i| {
                let is_well = matches!(i.health, Health::None | Health::Healthy);
                i.unit == unit && i.config == c.name && i.state == InstanceState::Running && is_well
            })
        })
    };
    let all: BTreeSet<&str> = world.observed.instances.iter().map(|i| i.unit.as_str()).collect();
    all.into_iter().filter(|unit| serves(unit)).count()
}

/// How many generations of units are not down.
fn live_generations(world: &World) -> usize {
    let is_up = |i: &&Instance| !matches!(i.state, InstanceState::Stopped | InstanceState::Removing);
    world
        .observed
        .instances
        .iter()
        .filter(is_up)
        .map(|i| (&i.unit, &i.version))
        .collect::<BTreeSet<_>>()
        .len()
}

/// Drawn by chance once: what stops on a host that is lost was in the way of the one that comes in its place.
#[test]
fn what_stops_on_a_lost_host_is_not_waited_for_for_ever() {
    let mut world = mess(&[
        0, 109, 29, 0, 0, 41, 0, 0, 62, 0, 23, 157, 8, 153, 79, 189, 0, 81, 59, 0, 0, 103, 0, 0, 0, 0, 0, 0, 7, 0, 0,
        0, 0, 0, 0, 0, 0, 89, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ]);
    let is_lost = world.observed.hosts.iter().any(|host| host.is_lost);
    assert!(
        is_lost,
        "what was drawn means something else by now: {}",
        world.picture()
    );
    for _ in 0..120 {
        let plan = world.plan();
        world.apply(&plan.steps, 1);
        if !pass(&mut world, &plan, || true) {
            assert_eq!(plan.verdict, Verdict::Converged, "{}", world.picture());
            return;
        }
    }
    panic!("no end in sight: {}", world.picture());
}
