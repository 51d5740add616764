//! Golden texts: what is planned, step by step.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails should say where"
)]

use super::world::{ONE_BY_ONE, World, config, host};
use super::*;

mod guard;
mod placement;
mod reconcile;
mod spread;
mod upgrade;

#[track_caller]
fn same(name: &str, found: &str, expected: &str) {
    let lines = |text: &str| {
        text.lines()
            .map(str::trim)
            .filter(|l| !l.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_eq!(lines(found), lines(expected), "{name}\n--- found ---\n{found}\n---");
}

/// One plan.
#[track_caller]
fn check_plan(name: &str, world: &World, expected: &str) {
    same(name, &world.plan().to_string(), expected);
}

/// All plans with steps until nothing moves, then what is there.
#[track_caller]
fn check_story(name: &str, world: &mut World, expected: &str) {
    let story = world.story();
    same(name, &format!("{story}\n{}", world.picture()), expected);
}

fn up(scale: u32) -> World {
    World::new(Scale::Units(scale)).up()
}

fn new_version(world: &mut World) {
    for config in &mut world.desired.configs {
        config.version = "v1".into();
    }
    world.desired.goal = Goal::Upgrade(ONE_BY_ONE);
}

fn old_version(world: &mut World) {
    for config in &mut world.desired.configs {
        config.version = "v0".into();
    }
    world.desired.goal = Goal::Rollback(ONE_BY_ONE);
}

fn start_first(world: &mut World) {
    world.desired.goal = Goal::Upgrade(Batches {
        start_first: true,
        ..ONE_BY_ONE
    });
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn with_sidekicks(world: &mut World) {
    let mut log = config(Some("log"));
    log.network_from = Some(None);
    log.volumes_from = vec![Some("data".into())];
    world.desired.configs = vec![config(None), log, config(Some("data"))];
}
