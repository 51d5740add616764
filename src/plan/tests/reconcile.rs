//! Bringing a service up, keeping it up, taking it down.

use super::*;

#[test]
fn scale_goes_up_by_the_lowest_free_index_and_down_by_the_last_made() {
    let mut world = World::new(Scale::Units(2));
    check_story(
        "first",
        &mut world,
        "
         create shop-web-1 v0 in new unit 1 on host 1
         create shop-web-2 v0 in new unit 2 on host 1
         working: Creating shop-web-1
         converged
         1:web-1/v0@1 2:web-2/v0@1",
    );
    world.desired.scale = Scale::Units(1);
    check_story(
        "down",
        &mut world,
        "
         remove 2 (surplus)
         working: Waiting for shop-web-2 to be removed
         converged
         1:web-1/v0@1",
    );
    world.desired.scale = Scale::Units(3);
    check_story(
        "up",
        &mut world,
        "
         create shop-web-2 v0 in new unit 2 on host 1
         create shop-web-3 v0 in new unit 3 on host 1
         working: Creating shop-web-2
         converged
         1:web-1/v0@1 3:web-2/v0@1 4:web-3/v0@1",
    );
    world.desired.scale = Scale::Units(0);
    check_story(
        "none",
        &mut world,
        "
         remove 4 (surplus)
         remove 3 (surplus)
         remove 1 (surplus)
         working: Waiting for shop-web-1 to be removed
         converged",
    );
}

#[test]
fn what_is_under_way_is_awaited_and_not_asked_for_twice() {
    let mut world = World::new(Scale::Units(1));
    let plan = world.plan();
    world.apply(&plan.steps, 1);
    check_plan("starting", &world, "working: Waiting for shop-web-1 to start");
    world.desired.goal = Goal::Stop;
    check_plan(
        "stopped while starting",
        &world,
        "
         stop 1
         working: Stopping shop-web-1",
    );
    world.instance(1).state = InstanceState::Stopping;
    check_plan("stopping", &world, "working: Waiting for shop-web-1 to stop");
    world.instance(1).state = InstanceState::Stopped;
    check_plan("stopped", &world, "converged");
    world.desired.goal = Goal::Remove;
    check_plan(
        "removed",
        &world,
        "
         remove 1 (removed)
         working: Removing shop-web-1",
    );
    world.instance(1).state = InstanceState::Removing;
    check_plan("removing", &world, "working: Waiting for shop-web-1 to be removed");
}

#[test]
fn a_broken_instance_is_removed_and_made_again_under_its_name() {
    let mut world = up(2).with(|w| w.instance(1).state = InstanceState::Broken);
    check_story(
        "broken",
        &mut world,
        "
         remove 1 (broken)
         working: Waiting for shop-web-1 to be removed
         create shop-web-1 v0 in new unit 1 on host 1
         working: Creating shop-web-1
         converged
         2:web-2/v0@1 3:web-1/v0@1",
    );
}

#[test]
fn a_stopped_instance_is_started_again_but_a_one_shot_is_not() {
    let mut world = up(1).with(|w| w.instance(1).state = InstanceState::Stopped);
    check_plan(
        "stopped",
        &world,
        "
         start 1
         working: Starting shop-web-1",
    );
    world.desired.configs[0].start_once = true;
    check_plan("ran once", &world, "converged");
    world.instance(1).start_count = 0;
    check_plan(
        "never ran",
        &world,
        "
         start 1
         working: Starting shop-web-1",
    );
}

#[test]
fn what_ended_by_itself_follows_its_rule() {
    let ended = |code: i64, count: u32| {
        up(1).with(|w| {
            let now = w.now;
            let one = w.instance(1);
            one.state = InstanceState::Stopped;
            (one.exited_at, one.exit_code, one.restarts.count) = (Some(now), Some(code), count);
        })
    };
    let failing = RestartRule {
        on_failure_only: true,
        delay: Some(Duration::from_secs(30)),
        most: Some(2),
        window: None,
    };
    let waits = "
         wake after 30000 ms
         working: Waiting for shop-web-1 to be started again";
    for (case, code, count, expected) in [
        ("ended well", 0, 0, "converged"),
        ("failed", 3, 1, waits),
        ("failed too often", 3, 2, "converged"),
    ] {
        let mut world = ended(code, count);
        world.desired.configs[0].restarts = failing;
        check_plan(case, &world, expected);
    }
    let mut world = ended(0, 0);
    world.instance(1).exited_at = None;
    world.desired.configs[0].restarts = failing;
    check_plan(
        "stopped by somebody",
        &world,
        "
         start 1
         working: Starting shop-web-1",
    );
}

#[test]
fn so_many_units_of_a_job_go_on_at_once_until_each_has_succeeded() {
    let mut world = World::new(Scale::Units(3));
    world.desired.configs[0].labels = labels(&[("io.drover.job", "true"), ("io.drover.job.max_concurrent", "2")]);
    world.desired.configs[0].restarts.on_failure_only = true;
    check_plan(
        "two of three",
        &world,
        "
         create shop-web-1 v0 in new unit 1 on host 1
         create shop-web-2 v0 in new unit 2 on host 1
         working: Creating shop-web-1",
    );
    world.add("u1", 1, None, "v0", 1);
    world.add("u2", 2, None, "v0", 1);
    check_plan("both run", &world, "working: Waiting for shop-web-1 to succeed");
    let end = |world: &mut World, id: i64, code: i64| {
        let now = world.now;
        let one = world.instance(id);
        (one.state, one.exited_at, one.exit_code) = (InstanceState::Stopped, Some(now), Some(code));
    };
    let ids: Vec<i64> = world.observed.instances.iter().map(|i| i.id.0).collect();
    end(&mut world, ids[0], 0);
    check_plan(
        "one has succeeded",
        &world,
        "
         create shop-web-3 v0 in new unit 3 on host 1
         working: Waiting for shop-web-2 to succeed",
    );
    end(&mut world, ids[1], 3);
    check_plan(
        "one has failed",
        &world,
        &format!(
            "
         start {}
         create shop-web-3 v0 in new unit 3 on host 1
         working: Starting shop-web-2",
            ids[1]
        ),
    );
}

#[test]
fn unhealthy_units_follow_the_strategy() {
    let ill = |strategy| {
        up(2).with(|w| {
            w.desired.health = strategy;
            w.instance(2).health = Health::Unhealthy;
        })
    };
    check_plan("none", &ill(HealthStrategy::None), "converged");
    check_plan(
        "recreate",
        &ill(HealthStrategy::Recreate),
        "
         remove 2 (unhealthy)
         working: Waiting for shop-web-2 to be removed",
    );
    check_plan(
        "quorum met",
        &ill(HealthStrategy::RecreateOnQuorum(1)),
        "
         remove 2 (unhealthy)
         working: Waiting for shop-web-2 to be removed",
    );
    check_plan("quorum not met", &ill(HealthStrategy::RecreateOnQuorum(2)), "converged");
}

#[test]
fn sidekicks_share_a_unit_and_follow_their_providers() {
    let mut world = World::new(Scale::Units(1)).with(with_sidekicks);
    world.observed.hosts.push(host(2));
    check_story(
        "created, providers first",
        &mut world,
        "
         create shop-web-1 v0 in new unit 1 on host 1
         create shop-web-data-1 v0 in new unit 1 on host 1
         create shop-web-log-1 v0 in new unit 1 on host 1
         working: Creating shop-web-1
         converged
         1:web-1/v0@1 2:web-data-1/v0@1 3:web-log-1/v0@1",
    );
    world.instance(1).state = InstanceState::Broken;
    check_story(
        "the primary breaks: its dependant goes too",
        &mut world,
        "
         remove 1 (broken)
         remove 3 (dependent)
         working: Waiting for shop-web-1 to be removed
         create shop-web-1 v0 in unit n1-1 on host 1
         create shop-web-log-1 v0 in unit n1-1 on host 1
         working: Creating shop-web-1
         converged
         2:web-data-1/v0@1 4:web-1/v0@1 5:web-log-1/v0@1",
    );
    for instance in &mut world.observed.instances {
        instance.state = InstanceState::Stopped;
    }
    check_plan(
        "started in order",
        &world,
        "
         start 4
         start 2
         start 5
         working: Starting shop-web-1",
    );
    world
        .observed
        .instances
        .iter_mut()
        .filter(|i| i.config.is_none())
        .for_each(|i| i.state = InstanceState::Starting);
    check_plan(
        "a dependant waits for its provider",
        &world,
        "
         start 2
         working: Waiting for shop-web-log-1 to start",
    );
}

#[test]
fn one_that_keeps_exiting_is_started_again_later_each_time() {
    let mut world = up(1);
    let now = world.now;
    for (exits, expected) in [
        (1, "start 1\nworking: Starting shop-web-1"),
        (
            2,
            "wake after 1000 ms\nworking: Waiting for shop-web-1 to be started again",
        ),
        (
            4,
            "wake after 4000 ms\nworking: Waiting for shop-web-1 to be started again",
        ),
        (
            90,
            "wake after 120000 ms\nworking: Waiting for shop-web-1 to be started again",
        ),
    ] {
        let instance = world.instance(1);
        (instance.state, instance.exits, instance.exited_at) = (InstanceState::Stopped, exits, Some(now));
        check_plan(&format!("after {exits} exits"), &world, expected);
    }
    world.instance(1).state = InstanceState::Running;
    for (seconds, expected) in [
        (3, "wake after 7000 ms\nworking: Waiting for shop-web-1 to stay up"),
        (10, "converged"),
    ] {
        world.instance(1).up_since = Some(Timestamp(now.0 - seconds * 1_000));
        check_plan(&format!("up for {seconds} s"), &world, expected);
    }
}

#[test]
fn one_that_cannot_be_started_is_made_again_later_each_time() {
    let mut world = up(1);
    let now = world.now;
    for (failures, expected) in [
        (1, "remove 1 (broken)\nworking: Waiting for shop-web-1 to be removed"),
        (
            2,
            "wake after 1000 ms\nworking: Waiting for shop-web-1 to be made again",
        ),
        (
            5,
            "wake after 8000 ms\nworking: Waiting for shop-web-1 to be made again",
        ),
        (
            90,
            "wake after 120000 ms\nworking: Waiting for shop-web-1 to be made again",
        ),
    ] {
        let instance = world.instance(1);
        (instance.state, instance.failures, instance.failed_at) = (InstanceState::Broken, failures, Some(now));
        check_plan(&format!("after {failures} failures"), &world, expected);
    }
    world.now = now.plus(Duration::from_secs(120));
    check_plan(
        "then",
        &world,
        "remove 1 (broken)\nworking: Waiting for shop-web-1 to be removed",
    );
    world.now = now;
    new_version(&mut world);
    check_plan(
        "what nobody wants any more does not wait",
        &world,
        "remove 1 (broken)\nworking: Waiting for shop-web-1 to be removed",
    );
}
