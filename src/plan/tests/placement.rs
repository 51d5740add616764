//! Which host a unit gets.

use super::*;

#[test]
fn a_global_service_has_one_unit_on_each_eligible_host() {
    let mut world = World::new(Scale::Global).with(|w| w.observed.hosts = vec![host(1), host(2), host(3)]);
    world.observed.hosts[1].labels = labels(&[("ssd", "true")]).into();
    world.observed.hosts[2].labels = labels(&[("SSD", "True")]).into();
    world.desired.configs[0].labels = labels(&[("io.rancher.scheduler.affinity:host_label", "ssd=true")]);
    check_story(
        "two of three",
        &mut world,
        "
         create shop-web-1 v0 in new unit 1 on host 2
         create shop-web-2 v0 in new unit 2 on host 3
         working: Creating shop-web-1
         converged
         1:web-1/v0@2 2:web-2/v0@3",
    );
    world.observed.hosts[2].labels = Arc::default();
    world.add("dup", 9, None, "v0", 2);
    check_story(
        "no longer eligible is left alone, duplicates go",
        &mut world,
        "
         remove 3 (surplus)
         working: Waiting for shop-web-9 to be removed
         converged
         1:web-1/v0@2 2:web-2/v0@3",
    );
    world.observed.hosts[2].is_gone = true;
    check_story(
        "a lost host",
        &mut world,
        "
         remove 2 (broken)
         working: Removing shop-web-2
         converged
         1:web-1/v0@2",
    );
}

#[test]
fn units_go_where_the_fewest_instances_are() {
    let mut world = World::new(Scale::Units(4)).with(|w| w.observed.hosts = vec![host(3), host(1), host(2)]);
    world.observed.hosts[1].live_instances = 2;
    world.observed.hosts[2].is_active = false;
    check_plan(
        "spread",
        &world,
        "
         create shop-web-1 v0 in new unit 1 on host 3
         create shop-web-2 v0 in new unit 2 on host 3
         create shop-web-3 v0 in new unit 3 on host 1
         create shop-web-4 v0 in new unit 4 on host 3
         working: Creating shop-web-1",
    );
}

#[test]
fn no_host_gets_more_units_than_its_share() {
    let mut world = World::new(Scale::Units(3)).with(|w| w.observed.hosts = vec![host(1), host(2)]);
    world.observed.hosts[1].live_instances = 9;
    world.desired.configs[0].labels = labels(&[("io.drover.scheduler.max_per_host", "1")]);
    let needs = "Scheduling failed: No healthy hosts meet the resource constraints: at most 1 on a host";
    check_plan(
        "one on each",
        &world,
        &format!(
            "
         create shop-web-1 v0 in new unit 1 on host 1
         create shop-web-2 v0 in new unit 2 on host 2
         working: {needs}"
        ),
    );
    world.desired.scale = Scale::Units(2);
    check_story(
        "whoever is there stands in nobody's way",
        &mut world,
        "
         create shop-web-1 v0 in new unit 1 on host 1
         create shop-web-2 v0 in new unit 2 on host 2
         working: Creating shop-web-1
         converged
         1:web-1/v0@1 2:web-2/v0@2",
    );
}

#[test]
fn units_are_spread_over_the_values_of_labels() {
    let mut world = World::new(Scale::Units(5)).with(|w| w.observed.hosts = (1..=4).map(host).collect());
    for (at, zone) in ["a", "a", "a"].into_iter().enumerate() {
        world.observed.hosts[at].labels = labels(&[("zone", zone)]).into();
    }
    // Whoever has no such label is a place of its own.
    world.observed.hosts[3].live_instances = 9;
    world.desired.configs[0].labels = labels(&[("io.drover.scheduler.spread", "Zone")]);
    check_plan(
        "half and half",
        &world,
        "
         create shop-web-1 v0 in new unit 1 on host 1
         create shop-web-2 v0 in new unit 2 on host 4
         create shop-web-3 v0 in new unit 3 on host 2
         create shop-web-4 v0 in new unit 4 on host 4
         create shop-web-5 v0 in new unit 5 on host 3
         working: Creating shop-web-1",
    );
}

#[test]
fn affinity_rules_choose_hosts() {
    let near = |label: &str, value: &str| {
        let mut world = World::new(Scale::Units(1)).with(|w| w.observed.hosts = vec![host(1), host(2), host(3)]);
        world.observed.hosts[1].labels = labels(&[("zone", "b")]).into();
        world.observed.hosts[1].live_instances = 5;
        let service = labels(&[("io.rancher.stack_service.name", "shop/db/backup")]);
        world.observed.hosts[2].neighbours.push(Neighbour {
            name: "shop-db-1".into(),
            labels: service,
        });
        world.observed.hosts[2].live_instances = 5;
        world.desired.configs[0].labels = labels(&[(&format!("io.rancher.scheduler.affinity:{label}"), value)]);
        let plan = world.plan();
        match plan.steps.as_slice() {
            [Step::Create { host, .. }] => host.to_string(),
            _ => plan.verdict.to_string(),
        }
    };
    let none = "stuck: Scheduling failed: No healthy hosts meet the resource constraints:";
    for (label, value, expected) in [
        ("host_label", "zone=b", "2"),
        ("host_label", "Zone=B", "2"),
        ("host_label", "zone=c", &format!("{none} host label zone=c")),
        ("host_label_soft", "zone=b", "2"),
        ("host_label_soft", "zone=b,zone=c", "2"),
        ("host_label_soft", "zone=c", "1"),
        ("host_label_ne", "zone=b", "1"),
        ("container", "${stack_name}-db-1", "3"),
        ("container_ne", "shop-db-1", "1"),
        ("container_label", "io.rancher.stack_service.name=db", "3"),
        ("container_label", "io.rancher.stack_service.name=${stack_name}/db", "3"),
        (
            "container_label",
            "io.rancher.stack_service.name=${stack_name}/${service_name}",
            &format!("{none} container label io.rancher.stack_service.name=shop/web"),
        ),
        (
            "container_label_soft",
            "io.rancher.stack_service.name=shop/${service_name}",
            "1",
        ),
        ("container_label_soft_ne", "io.rancher.stack_service.name=shop/web", "1"),
    ] {
        assert_eq!(near(label, value), expected, "{label} {value}");
    }
}

#[test]
fn a_service_can_keep_its_units_apart() {
    let mut world = World::new(Scale::Units(3)).with(|w| w.observed.hosts = vec![host(1), host(2)]);
    let rule = "io.rancher.stack_service.name=${stack_name}/${service_name}";
    world.desired.configs[0].labels = labels(&[("io.rancher.scheduler.affinity:container_label_ne", rule)]);
    check_story("hard", &mut world, "
         create shop-web-1 v0 in new unit 1 on host 1
         create shop-web-2 v0 in new unit 2 on host 2
         working: Scheduling failed: No healthy hosts meet the resource constraints: no container label io.rancher.stack_service.name=shop/web
         stuck: Scheduling failed: No healthy hosts meet the resource constraints: no container label io.rancher.stack_service.name=shop/web
         1:web-1/v0@1 2:web-2/v0@2");
    new_version(&mut world);
    world.desired.scale = Scale::Units(2);
    check_story(
        "the unit itself is no hindrance",
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
         create shop-web-2 v1 in unit n1-2 on host 2
         working: Creating shop-web-2
         converged
         1:web-1/v0@1*:Stopped 2:web-2/v0@2*:Stopped 3:web-1/v1@1 4:web-2/v1@2",
    );
}

#[test]
fn a_published_port_is_had_once_on_each_host() {
    let mut world = World::new(Scale::Units(3)).with(|w| w.observed.hosts = vec![host(1), host(2), host(3)]);
    world.desired.configs[0].host_ports = vec![PortSpec::parse("80:80").unwrap()];
    world.observed.hosts[1].bound_ports = vec![PortSpec::parse("127.0.0.1:80:8080").unwrap()];
    world.observed.hosts[2].bound_ports = vec![PortSpec::parse("80:80/udp").unwrap()];
    check_story(
        "two of three",
        &mut world,
        "
         create shop-web-1 v0 in new unit 1 on host 1
         create shop-web-2 v0 in new unit 2 on host 3
         working: Scheduling failed: No healthy hosts meet the resource constraints: port 80:80/tcp
         stuck: Scheduling failed: No healthy hosts meet the resource constraints: port 80:80/tcp
         1:web-1/v0@1 2:web-2/v0@3",
    );
}

#[test]
fn reservations_are_kept() {
    let mut world = World::new(Scale::Units(3)).with(|w| w.desired.configs[0].memory_reservation = 100);
    world.observed.hosts[0].free_memory = Some(250);
    check_plan(
        "room for two",
        &world,
        "
         create shop-web-1 v0 in new unit 1 on host 1
         create shop-web-2 v0 in new unit 2 on host 1
         working: Scheduling failed: No healthy hosts meet the resource constraints: 100 bytes of memory",
    );
}

#[test]
fn simulated_images_and_docker_images_do_not_mix() {
    let mut world = World::new(Scale::Units(1));
    world.desired.configs[0].is_sim = true;
    check_plan(
        "no simulated host",
        &world,
        "stuck: Scheduling failed: no simulated host is active",
    );
    world.observed.hosts[0].is_sim = true;
    check_plan(
        "a simulated host",
        &world,
        "
         create shop-web-1 v0 in new unit 1 on host 1
         working: Creating shop-web-1",
    );
    world.desired.configs[0].is_sim = false;
    check_plan(
        "no docker host",
        &world,
        "stuck: Scheduling failed: no Docker host is active",
    );
    world.observed.hosts[0].is_active = false;
    check_plan("no host at all", &world, "converged");
}

#[test]
fn a_requested_host_is_taken_even_if_inactive() {
    let mut world = World::new(Scale::Units(1)).with(|w| w.observed.hosts = vec![host(1), host(2)]);
    world.desired.configs[0].requested_host = Some(ResourceId(2));
    world.observed.hosts[1].is_active = false;
    check_plan(
        "inactive",
        &world,
        "
         create shop-web-1 v0 in new unit 1 on host 2
         working: Creating shop-web-1",
    );
    world.observed.hosts[1].is_gone = true;
    check_plan(
        "gone",
        &world,
        "stuck: Scheduling failed: No healthy hosts meet the resource constraints: the requested host",
    );
}

#[test]
fn a_disconnected_host_is_waited_for_and_a_removed_one_is_not() {
    let mut world = up(2).with(|w| w.observed.hosts.push(host(2)));
    world.observed.hosts[0].is_disconnected = true;
    check_plan("disconnected", &world, "converged");
    check_plan(
        "upgrade while disconnected",
        &world.clone().with(new_version),
        "working: Waiting for host 1 to reconnect",
    );
    let none = World::new(Scale::Units(1)).with(|w| w.observed.hosts[0].is_disconnected = true);
    check_plan("nowhere else to go", &none, "working: Waiting for host 1 to reconnect");
    let global = World::new(Scale::Global).with(|w| {
        w.observed.hosts = vec![host(1), host(2)];
        w.observed.hosts[1].is_disconnected = true;
    });
    check_plan(
        "one on each, and one is away",
        &global,
        "
         create shop-web-1 v0 in new unit 1 on host 1
         working: Waiting for host 2 to reconnect",
    );
    let port = none.clone().with(|w| {
        w.observed.hosts.push(host(2));
        w.desired.configs[0].labels = labels(&[("io.rancher.scheduler.affinity:host_label", "a=b")]);
        w.observed.hosts[0].labels = labels(&[("a", "b")]).into();
    });
    check_plan(
        "only the one that is away will do",
        &port,
        "working: Waiting for host 1 to reconnect",
    );
    world.observed.hosts[0].is_gone = true;
    check_story(
        "removed",
        &mut world,
        "
         remove 1 (broken)
         remove 2 (broken)
         working: Waiting for shop-web-1 to be removed
         create shop-web-1 v0 in new unit 1 on host 2
         create shop-web-2 v0 in new unit 2 on host 2
         working: Creating shop-web-1
         converged
         3:web-1/v0@2 4:web-2/v0@2",
    );
}

#[test]
fn a_unit_comes_back_to_the_host_that_has_something_of_it() {
    let home = |change: fn(&mut World)| {
        let mut world = World::new(Scale::Units(2)).with(|w| w.observed.hosts = vec![host(1), host(2)]);
        world.observed.hosts[1].live_instances = 5;
        world.observed.homes = BTreeMap::from([(2, ResourceId(2))]);
        change(&mut world);
        let plan = world.plan();
        let hosts = plan.steps.iter().map(|step| match step {
            Step::Create { host, .. } => host.to_string(),
            other => panic!("{other:?}"),
        });
        format!("{} {}", hosts.collect::<Vec<_>>().join(","), plan.verdict)
    };
    assert_eq!(home(|_| {}), "1,2 working: Creating shop-web-1");
    // Taken out of service, or gone: it begins anew elsewhere.
    assert_eq!(
        home(|w| w.observed.hosts[1].is_active = false),
        "1,1 working: Creating shop-web-1"
    );
    assert_eq!(
        home(|w| w.observed.hosts[1].is_gone = true),
        "1,1 working: Creating shop-web-1"
    );
    // Away for a while: what it has is waited for.
    assert_eq!(
        home(|w| w.observed.hosts[1].is_disconnected = true),
        "1 working: Waiting for host 2 to reconnect"
    );
    // What else it needs decides as ever.
    assert_eq!(
        home(|w| {
            w.desired.configs[0].memory_reservation = 10;
            w.observed.hosts[1].free_memory = Some(5);
        }),
        "1,1 working: Creating shop-web-1"
    );
}

#[test]
fn what_was_on_a_lost_host_comes_elsewhere_under_names_of_its_own() {
    let mut world = up(2).with(|w| w.observed.hosts.push(host(2)));
    let lost = &mut world.observed.hosts[0];
    (lost.is_active, lost.is_gone, lost.is_lost) = (false, true, true);
    assert_eq!(
        world.story(),
        "remove 1 (broken)\nremove 2 (broken)\ncreate shop-web-3 v0 in new unit 3 on host 2\n\
         create shop-web-4 v0 in new unit 4 on host 2\nworking: Removing shop-web-1\n\nconverged"
    );
    // What was asked to go is not asked again, however long it takes.
    world.observed.instances.iter_mut().for_each(|instance| {
        if instance.state == InstanceState::Removing {
            instance.state = InstanceState::Stopping;
        }
    });
    check_plan("while it is lost", &world, "converged");
}
