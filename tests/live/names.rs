//! Who answers to what name inside a container: the same by a name server, and by the engine's own aliases.

use serde_json::{Value, json};

use crate::support::{PATIENCE, World, launch, wait_until};

/// A service's fields: the web image that says who it is.
fn who(name: &str) -> Value {
    json!({ "launchConfig": who_config(name) })
}

fn who_config(name: &str) -> Value {
    let mut config = launch("web:1");
    config["environment"] = json!({ "WHO": name });
    config
}

/// Asks a name from inside a container until the expected one answers.
fn expect(world: &World, container: &str, name: &str, expected: &str) {
    wait_until(&format!("{name} to be {expected} inside {container}"), PATIENCE, || {
        let answer = world.docker.fetch(container, &format!("http://{name}/who"));
        if answer.as_deref() == Some(expected) {
            Ok(())
        } else {
            Err(answer)
        }
    });
}

/// With a name server, and with it turned off.
fn both_ways(test: impl Fn(&World)) {
    for services in ["on", "off"] {
        let Some(world) = World::start() else { return };
        world.set("network.services", services);
        test(&world);
    }
}

#[test]
fn services_find_each_other_by_name_and_stacks_do_not_mix() {
    both_ways(|world| {
        for stack in ["alpha", "beta"] {
            let resource = world.stack(stack);
            for service in ["db", "web"] {
                world.active_service(&resource, service, who(&format!("{service} of {stack}")));
            }
        }
        let cases = [
            ("alpha-web-1", "db", "db of alpha"),
            ("beta-web-1", "db", "db of beta"),
            ("alpha-web-1", "web", "web of alpha"),
            ("alpha-web-1", "db.beta", "db of beta"),
            ("beta-web-1", "db.alpha", "db of alpha"),
            ("beta-web-1", "db.alpha.rancher.internal", "db of alpha"),
        ];
        for (container, name, expected) in cases {
            expect(world, container, name, expected);
        }
        assert_eq!(
            world.docker.fetch("alpha-web-1", "http://cache/who"),
            None,
            "nobody has this name"
        );
    });
}

#[test]
fn a_link_gives_its_consumer_another_name_for_a_service() {
    both_ways(|world| {
        let near = world.stack("near");
        let far = world.stack("far");
        let db = world.active_service(&far, "db", who("db of far"));
        let web = world.service(&near, "web", who("web of near"));
        let other = world.service(&near, "other", who("other of near"));

        let input = json!({ "serviceLink": { "serviceId": db["id"], "name": "mysql" } });
        world.api.action(&web, "addservicelink", input);
        let web = world.activate(&web);
        world.activate(&other);
        assert_eq!(web["linkedServices"]["mysql"], db["id"], "{web:#}");
        expect(world, "near-web-1", "mysql", "db of far");
        assert_eq!(
            world.docker.fetch("near-other-1", "http://mysql/who"),
            None,
            "only the consumer has the name"
        );
    });
}

#[test]
fn a_link_within_a_stack_resolves_by_the_service_name() {
    both_ways(|world| {
        let stack = world.stack("linked");
        let db = world.active_service(&stack, "db", who("db of linked"));
        let web = world.service(&stack, "web", who("web of linked"));
        world.api.action(
            &web,
            "setservicelinks",
            json!({ "serviceLinks": [{ "serviceId": db["id"] }] }),
        );
        world.activate(&web);
        expect(world, "linked-web-1", "db", "db of linked");
    });
}

#[test]
fn a_sidekick_is_found_below_its_service() {
    both_ways(|world| {
        let stack = world.stack("paired");
        let mut sidekick = who_config("the sidekick");
        sidekick["name"] = json!("side");
        let mut more = who("the primary");
        more["secondaryLaunchConfigs"] = json!([sidekick]);
        world.active_service(&stack, "app", more);
        world.active_service(&stack, "peer", who("the peer"));
        world.wait_running("paired", &["paired-app-1", "paired-app-side-1", "paired-peer-1"]);
        let cases = [
            ("paired-peer-1", "side.app", "the sidekick"),
            ("paired-peer-1", "app", "the primary"),
            ("paired-app-1", "side", "the sidekick"),
            ("paired-app-side-1", "app", "the primary"),
        ];
        for (container, name, expected) in cases {
            expect(world, container, name, expected);
        }
    });
}

#[test]
fn a_name_follows_its_service_through_an_upgrade() {
    both_ways(|world| {
        let stack = world.stack("moving");
        world.active_service(&stack, "client", json!({ "launchConfig": launch("busybox:1") }));
        let service = world.active_service(&stack, "web", who("the old one"));
        expect(world, "moving-client-1", "web", "the old one");

        let input = json!({ "inServiceStrategy": {
        "batchSize": 1, "intervalMillis": 100, "launchConfig": who_config("the new one"),
    } });
        world.api.action(&service, "upgrade", input);
        world.api.wait_state(&service, "upgraded");
        // More than once: with two containers behind a name, either may answer.
        for _ in 0..10 {
            expect(world, "moving-client-1", "web", "the new one");
            let answer = world.docker.fetch("moving-client-1", "http://web/who");
            assert_eq!(answer.as_deref(), Some("the new one"));
        }
        world.api.action(&service, "rollback", json!({}));
        world.api.wait_state(&service, "active");
        expect(world, "moving-client-1", "web", "the old one");
    });
}

#[test]
fn a_sidekick_can_share_the_network_and_volumes_of_its_primary() {
    both_ways(|world| {
        let stack = world.stack("sharing");
        let mut primary = who_config("the primary");
        primary["dataVolumes"] = json!(["/shared"]);
        let mut sidekick = launch("busybox:1");
        sidekick["name"] = json!("side");
        sidekick["networkLaunchConfig"] = json!("app");
        sidekick["networkMode"] = json!("container");
        sidekick["dataVolumesFromLaunchConfigs"] = json!(["app"]);
        let more = json!({ "launchConfig": primary, "secondaryLaunchConfigs": [sidekick] });
        world.active_service(&stack, "app", more);
        world.wait_running("sharing", &["sharing-app-1", "sharing-app-side-1"]);
        expect(world, "sharing-app-side-1", "127.0.0.1", "the primary");
        world
            .docker
            .run(&["exec", "sharing-app-1", "sh", "-c", "echo here >/shared/note"]);
        assert_eq!(
            world.docker.run(&["exec", "sharing-app-side-1", "cat", "/shared/note"]),
            "here"
        );

        // The provider's end takes its dependants along, and both come back together.
        world.docker.run(&["kill", "sharing-app-1"]);
        wait_until("the sidekick to share the new namespace", PATIENCE, || {
            let answer = world.docker.fetch("sharing-app-side-1", "http://127.0.0.1/who");
            if answer.as_deref() == Some("the primary") {
                Ok(())
            } else {
                Err(answer)
            }
        });
    });
}
