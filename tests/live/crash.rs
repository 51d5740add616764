//! A server killed at a bad moment and started again ends where an undisturbed one would.

use serde_json::json;

use crate::support::{Container, PATIENCE, World, ids, launch, wait_until};

/// Waits until at least so many containers with this image run.
fn wait_for(world: &World, stack: &str, image: &str, at_least: usize) {
    wait_until(&format!("{at_least} of {image}"), PATIENCE, || {
        let all = world.docker.containers(stack);
        let running = all.iter().filter(|c| c.running && c.image == image).count();
        if running >= at_least { Ok(()) } else { Err(all) }
    });
}

#[test]
fn a_server_killed_while_it_starts_containers_ends_with_the_right_number() {
    let Some(mut world) = World::start() else { return };
    for (stack, seen) in [("early", 0), ("later", 2)] {
        let resource = world.stack(stack);
        let service = world.service(&resource, "web", json!({ "scale": 4, "launchConfig": launch("web:1") }));
        world.api.action(&service, "activate", json!({}));
        wait_for(&world, stack, "drover-test/web:1", seen);
        world.kill_server();
        world.restart_server();
        world.api.wait_state(&service, "active");
        let expected: Vec<String> = (1..=4).map(|n| format!("{stack}-web-{n}")).collect();
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        world.wait_running(stack, &expected);
        assert_eq!(world.docker.containers(stack).len(), 4, "none left over");
    }
}

#[test]
fn a_server_killed_during_an_upgrade_finishes_it_without_orphans() {
    let Some(mut world) = World::start() else { return };
    for (stack, seen) in [("killed-first", 0), ("killed-then", 1), ("killed-last", 3)] {
        let resource = world.stack(stack);
        let service = world.active_service(&resource, "web", json!({ "scale": 4, "launchConfig": launch("web:1") }));
        let before = world.docker.containers(stack);
        let input = json!({ "inServiceStrategy": {
            "batchSize": 1, "intervalMillis": 200, "launchConfig": launch("web:2"),
        } });
        world.api.action(&service, "upgrade", input);
        wait_for(&world, stack, "drover-test/web:2", seen);
        world.kill_server();
        world.restart_server();

        world.api.wait_state(&service, "upgraded");
        let all = world.docker.containers_of_same_server(&before[0]);
        let (new, old): (Vec<Container>, Vec<Container>) =
            all.into_iter().partition(|c| c.image == "drover-test/web:2");
        assert_eq!(ids(&old), ids(&before), "the old ones are all kept, and no others");
        assert!(old.iter().all(|c| !c.running), "{old:#?}");
        assert_eq!(new.len(), 4, "{new:#?}");
        assert!(new.iter().all(|c| c.running), "{new:#?}");

        // Leaves a clean count for the next turn.
        world.api.delete(&service);
        world.wait_gone(stack);
    }
}

#[test]
fn a_server_killed_during_a_removal_removes_the_rest() {
    let Some(mut world) = World::start() else { return };
    let stack = world.stack("going");
    let service = world.active_service(&stack, "web", json!({ "scale": 3, "launchConfig": launch("web:1") }));
    world.api.delete(&service);
    world.kill_server();
    world.restart_server();
    world.api.wait_state(&service, "removed");
    world.wait_gone("going");
}
