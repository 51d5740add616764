//! Upgrade, rollback, finish, cancel and restart.

use super::*;

#[test]
fn an_upgrade_keeps_the_old_ones_stopped_until_it_is_finished() {
    let mut world = up(2).with(new_version);
    check_story(
        "upgrade",
        &mut world,
        "
         begin batch
         park 1
         stop 1
         working: Waiting for shop-web-1 to stop
         create shop-web-1 v1 in unit n1-1 on host 1
         working: Creating shop-web-1
         begin batch
         park 2
         stop 2
         working: Waiting for shop-web-2 to stop
         create shop-web-2 v1 in unit n1-2 on host 1
         working: Creating shop-web-2
         converged
         1:web-1/v0@1*:Stopped 2:web-2/v0@1*:Stopped 3:web-1/v1@1 4:web-2/v1@1",
    );
    let upgraded = world.clone();
    world.desired.goal = Goal::FinishUpgrade(ONE_BY_ONE);
    check_story(
        "finish",
        &mut world,
        "
         remove 1 (upgraded)
         remove 2 (upgraded)
         working: Removing shop-web-1
         converged
         3:web-1/v1@1 4:web-2/v1@1",
    );
    let mut world = upgraded.with(old_version);
    check_story(
        "rollback",
        &mut world,
        "
         begin batch
         park 3
         unpark 1
         stop 3
         working: Waiting for shop-web-1 to stop
         start 1
         working: Starting shop-web-1
         begin batch
         park 4
         unpark 2
         stop 4
         working: Waiting for shop-web-2 to stop
         start 2
         working: Starting shop-web-2
         remove 3 (upgraded)
         remove 4 (upgraded)
         working: Removing shop-web-1
         converged
         1:web-1/v0@1 2:web-2/v0@1",
    );
}

#[test]
fn the_interval_between_batches_is_waited_for() {
    let mut world = up(2).with(new_version);
    world.instance(1).version = "v1".into();
    world.observed.last_batch_at = Some(Timestamp(world.now.0 - 500));
    check_plan(
        "too early",
        &world,
        "
         wake after 1500 ms
         working: Upgrading 1 of 2",
    );
    world.observed.last_batch_at = Some(Timestamp(world.now.0 - 2000));
    check_plan(
        "in time",
        &world,
        "
         begin batch
         park 2
         stop 2
         working: Waiting for shop-web-2 to stop",
    );
}

#[test]
fn start_first_stops_the_old_one_when_the_new_one_is_healthy() {
    let mut world = World::new(Scale::Units(1))
        .with(|w| w.desired.configs[0].health_checked = true)
        .up()
        .with(new_version)
        .with(start_first);
    world.sick.push("v1".into());
    check_story(
        "waits for health",
        &mut world,
        "
         begin batch
         park 1
         create shop-web-1 v1 in unit n1-1 on host 1
         working: Upgrading 1 of 1
         working: Waiting for shop-web-1 to become healthy
         1:web-1/v0@1* 2:web-1/v1@1",
    );
    world.sick.clear();
    check_story(
        "goes on",
        &mut world,
        "
         stop 1
         working: Stopping shop-web-1
         converged
         1:web-1/v0@1*:Stopped 2:web-1/v1@1",
    );
}

#[test]
fn start_first_with_a_fixed_port_moves_or_stops_first() {
    let ported = |w: &mut World| w.desired.configs[0].host_ports = vec![PortSpec::parse("80:80").unwrap()];
    let mut world = World::new(Scale::Units(1))
        .with(ported)
        .up()
        .with(new_version)
        .with(start_first);
    let mut two = world.clone().with(|w| w.observed.hosts.push(host(2)));
    check_story(
        "the only host",
        &mut world,
        "
         begin batch
         park 1
         stop 1
         working: Waiting for shop-web-1 to stop
         create shop-web-1 v1 in unit n1-1 on host 1
         working: Creating shop-web-1
         converged
         1:web-1/v0@1*:Stopped 2:web-1/v1@1",
    );
    check_story(
        "another host",
        &mut two,
        "
         begin batch
         park 1
         create shop-web-1 v1 in unit n1-1 on host 2
         working: Upgrading 1 of 1
         stop 1
         working: Stopping shop-web-1
         converged
         1:web-1/v0@1*:Stopped 2:web-1/v1@2",
    );
}

#[test]
fn a_replacement_waits_for_the_port_of_the_old_one() {
    let ported = |w: &mut World| w.desired.configs[0].host_ports = vec![PortSpec::parse("80:80").unwrap()];
    let mut world = World::new(Scale::Units(1)).with(ported).up().with(new_version);
    check_story(
        "upgrade",
        &mut world,
        "
         begin batch
         park 1
         stop 1
         working: Waiting for shop-web-1 to stop
         create shop-web-1 v1 in unit n1-1 on host 1
         working: Creating shop-web-1
         converged
         1:web-1/v0@1*:Stopped 2:web-1/v1@1",
    );
    world = world.with(old_version);
    check_story(
        "rollback",
        &mut world,
        "
         begin batch
         park 2
         unpark 1
         stop 2
         working: Waiting for shop-web-1 to stop
         start 1
         working: Starting shop-web-1
         remove 2 (upgraded)
         working: Removing shop-web-1
         converged
         1:web-1/v0@1",
    );
}

#[test]
fn a_cancelled_upgrade_holds_and_can_go_either_way() {
    let mut world = up(2).with(new_version);
    for _ in 0..2 {
        let plan = world.plan();
        world.apply(&plan.steps, 1);
        world.tick(|| true);
    }
    world.desired.goal = Goal::Hold;
    check_story(
        "cancelled",
        &mut world,
        "
         converged
         1:web-1/v0@1*:Stopped 2:web-2/v0@1 3:web-1/v1@1",
    );
    check_story(
        "rolled back",
        &mut world.clone().with(old_version),
        "
         begin batch
         park 3
         unpark 1
         stop 3
         working: Waiting for shop-web-1 to stop
         start 1
         working: Starting shop-web-1
         remove 3 (upgraded)
         working: Removing shop-web-1
         converged
         1:web-1/v0@1 2:web-2/v0@1",
    );
    check_story(
        "continued",
        &mut world.with(new_version),
        "
         begin batch
         park 2
         stop 2
         working: Waiting for shop-web-2 to stop
         create shop-web-2 v1 in unit n1-2 on host 1
         working: Creating shop-web-2
         converged
         1:web-1/v0@1*:Stopped 2:web-2/v0@1*:Stopped 3:web-1/v1@1 4:web-2/v1@1",
    );
}

#[test]
fn a_new_version_that_never_becomes_healthy_stops_the_upgrade_and_can_be_rolled_back() {
    let mut world = World::new(Scale::Units(2))
        .with(|w| w.desired.configs[0].health_checked = true)
        .up()
        .with(new_version);
    world.sick.push("v1".into());
    check_story(
        "upgrade",
        &mut world,
        "
         begin batch
         park 1
         stop 1
         working: Waiting for shop-web-1 to stop
         create shop-web-1 v1 in unit n1-1 on host 1
         working: Creating shop-web-1
         working: Waiting for shop-web-1 to become healthy
         1:web-1/v0@1*:Stopped 2:web-2/v0@1 3:web-1/v1@1",
    );
    check_story(
        "rollback",
        &mut world.with(old_version),
        "
         begin batch
         park 3
         unpark 1
         stop 3
         working: Waiting for shop-web-1 to stop
         start 1
         working: Starting shop-web-1
         remove 3 (upgraded)
         working: Removing shop-web-1
         converged
         1:web-1/v0@1 2:web-2/v0@1",
    );
}

#[test]
fn an_upgrade_can_add_and_drop_sidekicks() {
    let mut world = World::new(Scale::Units(1)).with(with_sidekicks).up();
    let before = world.desired.configs.clone();
    world.desired.configs = vec![config(None), config(Some("proxy"))];
    world.desired.configs[0].version = "v1".into();
    world.desired.goal = Goal::Upgrade(ONE_BY_ONE);
    check_story(
        "upgrade",
        &mut world,
        "
         begin batch
         park 1
         park 2
         park 3
         stop 1
         stop 2
         stop 3
         create shop-web-proxy-1 v0 in unit n1-1 on host 1
         working: Waiting for shop-web-1 to stop
         create shop-web-1 v1 in unit n1-1 on host 1
         working: Creating shop-web-1
         converged
         1:web-1/v0@1*:Stopped 2:web-data-1/v0@1*:Stopped 3:web-log-1/v0@1*:Stopped 4:web-proxy-1/v0@1 5:web-1/v1@1",
    );
    world.desired.configs = before;
    world.desired.goal = Goal::Rollback(ONE_BY_ONE);
    check_story(
        "rollback",
        &mut world,
        "
         begin batch
         park 4
         park 5
         unpark 1
         unpark 2
         unpark 3
         stop 4
         stop 5
         start 2
         working: Waiting for shop-web-1 to stop
         start 1
         start 3
         working: Starting shop-web-1
         remove 4 (upgraded)
         remove 5 (upgraded)
         working: Removing shop-web-proxy-1
         converged
         1:web-1/v0@1 2:web-data-1/v0@1 3:web-log-1/v0@1",
    );
}

#[test]
fn only_the_upgraded_configuration_of_a_unit_is_replaced() {
    let mut world = World::new(Scale::Units(1))
        .with(|w| w.desired.configs.push(config(Some("log"))))
        .up()
        .with(new_version);
    world.desired.configs[0].version = "v0".into();
    check_story(
        "sidekick",
        &mut world,
        "
         begin batch
         park 2
         stop 2
         working: Waiting for shop-web-log-1 to stop
         create shop-web-log-1 v1 in unit n1-1 on host 1
         working: Creating shop-web-log-1
         converged
         1:web-1/v0@1 2:web-log-1/v0@1*:Stopped 3:web-log-1/v1@1",
    );
}

#[test]
fn an_inactive_service_is_upgraded_and_started() {
    let mut world = up(2);
    world.desired.goal = Goal::Stop;
    check_story(
        "deactivated",
        &mut world,
        "
         stop 1
         stop 2
         working: Stopping shop-web-1
         converged
         1:web-1/v0@1:Stopped 2:web-2/v0@1:Stopped",
    );
    let mut world = world.with(new_version);
    world.desired.goal = Goal::Upgrade(Batches { size: 2, ..ONE_BY_ONE });
    check_story(
        "upgraded",
        &mut world,
        "
         begin batch
         park 1
         create shop-web-1 v1 in unit n1-1 on host 1
         park 2
         create shop-web-2 v1 in unit n1-2 on host 1
         working: Upgrading 2 of 2
         converged
         1:web-1/v0@1*:Stopped 2:web-2/v0@1*:Stopped 3:web-1/v1@1 4:web-2/v1@1",
    );
}

#[test]
fn rollback_without_the_kept_ones_makes_new_ones() {
    let mut world = up(1).with(new_version);
    world.story();
    world.observed.instances.retain(|i| !i.is_parked);
    check_story(
        "rollback",
        &mut world.with(old_version),
        "
         begin batch
         park 2
         stop 2
         working: Waiting for shop-web-1 to stop
         create shop-web-1 v0 in unit n1-1 on host 1
         working: Creating shop-web-1
         remove 2 (upgraded)
         working: Removing shop-web-1
         converged
         3:web-1/v0@1",
    );
}

#[test]
fn a_restart_goes_through_the_units_in_batches() {
    let mut world = up(2);
    let start_counts = world.observed.instances.iter().map(|i| (i.id, i.start_count)).collect();
    world.desired.goal = Goal::Restart {
        batches: ONE_BY_ONE,
        start_counts,
    };
    check_story(
        "restart",
        &mut world,
        "
         begin batch
         stop 1
         working: Restarting 1 of 2
         start 1
         working: Starting shop-web-1
         begin batch
         stop 2
         working: Restarting 2 of 2
         start 2
         working: Starting shop-web-2
         converged
         1:web-1/v0@1 2:web-2/v0@1",
    );
}

#[test]
fn nothing_is_put_aside_that_cannot_be_replaced() {
    let mut world = up(1).with(new_version);
    world.desired.configs[0].requested_host = Some(ResourceId(7));
    check_plan(
        "no such host",
        &world,
        "stuck: Scheduling failed: No healthy hosts meet the resource constraints: the requested host",
    );
}

#[test]
fn scale_may_change_during_an_upgrade() {
    let mut world = up(2).with(new_version);
    let plan = world.plan();
    world.apply(&plan.steps, 1);
    world.tick(|| true);
    world.desired.scale = Scale::Units(3);
    check_plan(
        "the new unit has the new version",
        &world,
        "
         create shop-web-1 v1 in unit n1-1 on host 1
         create shop-web-3 v1 in new unit 3 on host 1
         working: Creating shop-web-1",
    );
    let plan = world.plan();
    let unit = plan.steps.iter().take(1).cloned().collect::<Vec<_>>();
    world.apply(&unit, 1);
    world.desired.scale = Scale::Units(1);
    check_story(
        "the last made goes, what is kept stays",
        &mut world,
        "
         remove 2 (surplus)
         working: Waiting for shop-web-1 to start
         converged
         1:web-1/v0@1*:Stopped 3:web-1/v1@1",
    );
}

#[test]
fn a_plan_for_more_units_than_there_is_memory_is_short() {
    let mut world = World::new(Scale::Units(u32::MAX));
    for round in 1..=3 {
        let plan = world.plan();
        assert_eq!(plan.steps.len(), 1000);
        assert!(matches!(plan.verdict, Verdict::Working(_)), "{:?}", plan.verdict);
        for index in (round - 1) * 1000 + 1..=round * 1000 {
            world.add(&format!("u{index}"), index, None, "v0", 1);
        }
    }
}

#[test]
fn a_plan_for_a_thousand_units_is_made_in_one_go() {
    let mut world = World::new(Scale::Units(1000));
    let plan = world.plan();
    assert_eq!(plan.steps.len(), 1000);
    for index in 1..=1000 {
        world.add(&format!("u{index}"), index, None, "v0", 1);
    }
    new_version(&mut world);
    world.desired.goal = Goal::Upgrade(Batches {
        size: 1000,
        ..ONE_BY_ONE
    });
    let plan = world.plan();
    assert_eq!(plan.steps.len(), 2001);
    world.apply(&plan.steps, 1);
    world.tick(|| true);
    assert_eq!(world.plan().steps.len(), 1000);
}
