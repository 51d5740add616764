//! Upgrades that are watched over: failures, how long new ones stay up, and the stop after a canary.

use super::*;

/// An upgrade of `shop/web` from v0 to v1 that is guarded so.
fn guarded(scale: u32, size: u32, guard: Guard) -> World {
    let mut world = up(scale).with(new_version);
    world.observed.trial.from = i64::from(scale);
    world.desired.goal = Goal::Upgrade(Batches {
        size,
        guard,
        ..ONE_BY_ONE
    });
    world
}

fn watched(on_failure: OnFailure, tolerated_ppm: u32) -> Guard {
    Guard {
        on_failure,
        monitor: Duration::from_secs(5),
        tolerated_ppm,
        canary: 0,
    }
}

/// Plans and moves on until an instance of v1 runs; then it exits.
fn first_one_exits(world: &mut World) {
    for _ in 0..20 {
        if let Some(new) = world
            .observed
            .instances
            .iter()
            .position(|i| i.version == "v1" && i.up_since.is_some())
        {
            let now = world.now;
            let new = &mut world.observed.instances[new];
            (new.state, new.exits, new.exited_at) = (InstanceState::Stopped, 1, Some(now));
            return;
        }
        let plan = world.plan();
        world.apply(&plan.steps, 1);
        world.tick(|| true);
    }
    panic!("nothing new came up: {}", world.picture());
}

#[test]
fn an_upgrade_that_fails_is_given_up_when_it_is_told_to() {
    let mut world = guarded(3, 1, watched(OnFailure::RollBack, 0));
    first_one_exits(&mut world);
    check_plan(
        "given up",
        &world,
        "given up: Upgrade rolled back: 1 of 3 failed: shop-web-1",
    );
    let mut back = world.with(old_version);
    back.story();
    assert_eq!(back.picture(), "1:web-1/v0@1 2:web-2/v0@1 3:web-3/v0@1");
}

#[test]
fn an_upgrade_that_fails_is_paused_when_it_is_told_to() {
    let mut world = guarded(3, 1, watched(OnFailure::Pause, 0));
    first_one_exits(&mut world);
    check_plan(
        "what failed is tried again, and nothing else is touched",
        &world,
        "
         note that 4 failed in unit 1
         start 4
         held: Upgrade paused: 1 of 3 failed: shop-web-1",
    );
    let story = world.story();
    assert!(
        story.ends_with("held: Upgrade paused: 1 of 3 failed: shop-web-1"),
        "{story}"
    );
    assert_eq!(
        world.picture(),
        "1:web-1/v0@1*:Stopped 2:web-2/v0@1 3:web-3/v0@1 4:web-1/v1@1",
        "although it runs now"
    );
    // Told to go on, only what fails from now on counts.
    world.observed.trial.failed.clear();
    (world.instance(4).exits, world.observed.trial.is_released) = (0, true);
    assert!(world.story().ends_with("converged"));
}

#[test]
fn as_many_as_are_tolerated_may_fail() {
    for (tolerated_ppm, end) in [
        (333_333, "given up: Upgrade rolled back: 1 of 3 failed: shop-web-1"),
        (333_334, "converged"),
    ] {
        let mut world = guarded(3, 1, watched(OnFailure::RollBack, tolerated_ppm));
        first_one_exits(&mut world);
        let story = world.story();
        assert!(story.ends_with(end), "{tolerated_ppm}: {story}");
    }
}

#[test]
fn each_way_to_fail_counts() {
    type Fail = fn(&mut Instance, Timestamp);
    let ways: [(&str, bool, Fail); 7] = [
        ("cannot be started", true, |i, _| i.state = InstanceState::Broken),
        ("is ill", true, |i, _| i.health = Health::Unhealthy),
        ("keeps exiting, and runs again", true, |i, now| {
            (i.exits, i.up_since) = (1, Some(now))
        }),
        ("exits within the time", true, |i, now| {
            (i.state, i.exited_at) = (InstanceState::Stopped, Some(now))
        }),
        ("exits after it", false, |i, now| {
            i.up_since = Some(Timestamp(now.0 - 20_000));
            (i.state, i.exited_at) = (InstanceState::Stopped, Some(now));
        }),
        ("is stopped by somebody", false, |i, _| i.state = InstanceState::Stopped),
        ("was there before", false, |i, _| {
            (i.create_index, i.state) = (1, InstanceState::Broken)
        }),
    ];
    for (what, counts, fail) in ways {
        let mut world = guarded(2, 1, watched(OnFailure::RollBack, 0));
        world.desired.configs[0].health_checked = true;
        world.instance(1).version = "v1".into();
        let now = world.now;
        let first = world.instance(1);
        (first.create_index, first.up_since) = (3, Some(now));
        fail(first, now);
        let is_given_up = matches!(world.plan().verdict, Verdict::GivenUp(_));
        assert_eq!(is_given_up, counts, "{what}: {}", world.plan());
    }
}

#[test]
fn a_new_one_has_to_stay_up_before_the_next_batch() {
    let mut world = guarded(2, 1, watched(OnFailure::Continue, 0));
    world.instance(1).version = "v1".into();
    let now = world.now;
    (world.instance(1).create_index, world.instance(1).up_since) = (3, Some(Timestamp(now.0 - 4_000)));
    check_plan(
        "on trial",
        &world,
        "
         wake after 1000 ms
         working: Waiting for shop-web-1 to stay up",
    );
    world.now = Timestamp(now.0 + 1_000);
    assert!(world.plan().steps.contains(&Step::BeginBatch), "{}", world.plan());
}

#[test]
fn a_canary_is_made_and_then_nothing_until_it_is_let_go() {
    let guard = Guard {
        canary: 2,
        ..Guard::NONE
    };
    let mut world = guarded(5, 4, guard);
    let held = "held: 2 of 5 upgraded, waiting for cancelupgrade and continueupgrade, or rollback";
    let story = world.story();
    assert!(story.ends_with(held), "{story}");
    let new = |world: &World| world.observed.instances.iter().filter(|i| i.version == "v1").count();
    assert_eq!(new(&world), 2, "{}", world.picture());
    let mut back = world.clone().with(old_version);
    back.story();
    assert_eq!(back.picture(), up(5).picture());
    world.observed.trial.is_released = true;
    assert!(world.story().ends_with("converged"));
    assert_eq!(new(&world), 5);
}

#[test]
fn a_rollback_that_fails_is_paused_when_it_is_told_to() {
    let mut world = up(3).with(new_version);
    assert!(world.story().ends_with("converged"));
    world = world.with(old_version);
    world.observed.trial = Trial {
        from: 6,
        since: Some(world.now),
        ..Trial::default()
    };
    // The first that comes back cannot be started.
    while world.instance(1).is_parked {
        let plan = world.plan();
        world.apply(&plan.steps, 1);
        world.tick(|| true);
        world.now = world.now.plus(Duration::from_secs(1));
    }
    let now = world.now;
    let first = world.instance(1);
    (first.state, first.failed_at, first.failures) = (InstanceState::Stopped, Some(now), 1);
    for (on_failure, tolerated_ppm, end) in [
        (OnFailure::Pause, 0, "held: Rollback paused: 1 of 3 failed: shop-web-1"),
        (OnFailure::Pause, 400_000, "converged"),
        (OnFailure::Continue, 0, "converged"),
    ] {
        let mut world = world.clone();
        world.desired.goal = Goal::Rollback(Batches {
            guard: watched(on_failure, tolerated_ppm),
            ..ONE_BY_ONE
        });
        let story = world.story();
        assert!(story.ends_with(end), "{story}");
        let kept = match end {
            "converged" => "1:web-1/v0@1 2:web-2/v0@1 3:web-3/v0@1",
            _ => "1:web-1/v0@1 2:web-2/v0@1* 3:web-3/v0@1* 4:web-1/v1@1* 5:web-2/v1@1 6:web-3/v1@1",
        };
        assert_eq!(world.picture().replace(":Stopped", ""), kept);
    }
}
