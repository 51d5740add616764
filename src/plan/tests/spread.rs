//! Units that move until each host has its share.

use super::*;

/// So many units on the first host, and other hosts that came later.
fn crowded(scale: u32, hosts: i64, moves: Moves) -> World {
    up(scale).with(|w| {
        w.observed.hosts.extend((2..=hosts).map(host));
        w.desired.moves = moves;
    })
}

#[test]
fn a_successor_serves_before_a_unit_goes() {
    let mut world = crowded(3, 2, Moves::StartFirst).with(|w| w.desired.configs[0].health_checked = true);
    check_story(
        "one of three",
        &mut world,
        "
         create shop-web-4 v0 in new unit 4 on host 2
         working: Creating shop-web-4
         remove 3 (surplus)
         working: Waiting for shop-web-3 to be removed
         converged
         1:web-1/v0@1 2:web-2/v0@1 4:web-4/v0@2",
    );
    check_plan("nothing more", &world, "converged");
}

#[test]
fn what_only_one_can_have_is_given_up_first() {
    let mut world = crowded(2, 2, Moves::StopFirst);
    check_story(
        "in its place",
        &mut world,
        "
         remove 2 (surplus)
         working: Waiting for shop-web-2 to be removed
         create shop-web-2 v0 in new unit 2 on host 2
         working: Creating shop-web-2
         converged
         1:web-1/v0@1 3:web-2/v0@2",
    );
}

#[test]
fn units_move_one_at_a_time_and_only_where_they_may() {
    let mut world = crowded(4, 3, Moves::StartFirst);
    world.observed.hosts[1].labels = BTreeMap::from([("disk".into(), "ssd".into())]).into();
    world.observed.hosts[0].labels = world.observed.hosts[1].labels.clone();
    let rule = ("io.rancher.scheduler.affinity:host_label".into(), "disk=ssd".into());
    world.desired.configs[0].labels = BTreeMap::from([rule]);
    check_story(
        "two of four",
        &mut world,
        "
         create shop-web-5 v0 in new unit 5 on host 2
         working: Creating shop-web-5
         remove 4 (surplus)
         working: Waiting for shop-web-4 to be removed
         create shop-web-4 v0 in new unit 4 on host 2
         working: Creating shop-web-4
         remove 3 (surplus)
         working: Waiting for shop-web-3 to be removed
         converged
         1:web-1/v0@1 2:web-2/v0@1 5:web-5/v0@2 6:web-4/v0@2",
    );
}

#[test]
fn what_is_not_asked_to_move_stays() {
    check_plan("stays", &crowded(4, 2, Moves::Stay), "converged");
    let stopped = crowded(2, 2, Moves::StartFirst).with(|w| w.desired.goal = Goal::Hold);
    check_plan("held", &stopped, "converged");
    // A difference of one is none.
    check_plan("even", &crowded(1, 2, Moves::StartFirst), "converged");
}

#[test]
fn nothing_moves_while_something_is_ill() {
    let mut world = crowded(3, 2, Moves::StartFirst).with(|w| w.desired.health = HealthStrategy::None);
    world.desired.configs[0].health_checked = true;
    world.instance(1).health = Health::Unhealthy;
    check_plan("waits", &world, "working: Waiting for shop-web-1 to become healthy");
    world.instance(1).health = Health::Healthy;
    let plan = world.plan();
    world.apply(&plan.steps, 1);
    world.tick(|| true);
    // The successor runs, and is not healthy yet.
    check_plan(
        "its successor is awaited",
        &world,
        "working: Waiting for shop-web-4 to become healthy",
    );
}
