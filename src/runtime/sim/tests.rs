#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail by panic")]

use super::*;
use crate::model::launch::LaunchConfig;
use crate::model::port::PortSpec;
use crate::model::time::ManualClock;
use crate::runtime::NetworkAttachment;

fn spec(uuid: &str, image: &str, labels: &[(&str, &str)]) -> ContainerSpec {
    ContainerSpec {
        uuid: uuid.into(),
        name: format!("c-{uuid}"),
        labels: labels.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
        launch: LaunchConfig {
            image_uuid: Some(image.into()),
            ..LaunchConfig::default()
        },
        network: NetworkAttachment::Managed {
            network_id: "net".into(),
            ip: "10.42.0.7".into(),
            aliases: vec![],
            links: vec![],
            dns_search: vec![],
        },
        ports: vec![],
        volumes_from: vec![],
        volume_mounts: vec![],
        has_secrets: false,
        placed: vec![],
        files: vec![],
    }
}

fn sim() -> (Sim, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(Timestamp(1_700_000_000_000)));
    (Sim::new(clock.clone()), clock)
}

fn failed(text: &str) -> Error {
    Error::Failed(text.into())
}

#[tokio::test]
async fn a_container_lives_from_create_to_remove_and_each_call_may_be_repeated() {
    let (sim, _) = sim();
    let s = spec("a", "sim:web", &[]);
    let created = sim.create(&s).await.unwrap();
    assert_eq!(created.life, Life::Created);
    assert_eq!(sim.create(&s).await.unwrap(), created);
    let started = sim.start("a").await.unwrap();
    assert_eq!(
        (started.life, started.ip.as_deref()),
        (Life::Running, Some("10.42.0.7"))
    );
    assert_eq!(sim.start("a").await.unwrap(), started);
    for _ in 0..2 {
        sim.stop("a", Duration::ZERO).await.unwrap();
    }
    let stopped = sim.find("a").await.unwrap().unwrap();
    assert_eq!(
        (stopped.life, stopped.exit_code, stopped.ip),
        (Life::Exited, Some(0), None)
    );
    assert_ne!(sim.start("a").await.unwrap().started_at, started.started_at);
    for _ in 0..2 {
        sim.remove("a").await.unwrap();
    }
    assert_eq!(sim.observe().await.unwrap(), vec![]);
    assert_eq!(sim.start("a").await, Err(Error::Gone("No such container: a".into())));
    sim.stop("a", Duration::ZERO).await.unwrap();
    assert_eq!(sim.calls().first().map(String::as_str), Some("create c-a"));
    assert_eq!(sim.count("start"), 4);
}

#[tokio::test]
async fn each_step_fails_on_request_with_the_words_of_ranchers_simulator() {
    for (step, words) in [
        ("create", "Failing [compute.instance.create]"),
        ("start", "Failing [compute.instance.activate]"),
        ("stop", "Failing [compute.instance.deactivate]"),
        ("remove", "Failing [compute.instance.remove]"),
        ("pull", "Failing [storage.image.activate]"),
    ] {
        let (sim, _) = sim();
        let s = spec("a", "sim:web", &[("sim.fail", step), ("sim.fail.times", "1")]);
        let mut seen = Vec::new();
        for _ in 0..2 {
            seen.extend(sim.create(&s).await.err());
        }
        for _ in 0..2 {
            seen.extend(sim.start("a").await.err());
        }
        for _ in 0..2 {
            seen.extend(sim.stop("a", Duration::ZERO).await.err());
        }
        for _ in 0..2 {
            seen.extend(sim.remove("a").await.err());
        }
        assert_eq!(seen, vec![failed(words)], "{step}");
    }
}

#[tokio::test]
async fn the_image_fail_never_starts_and_its_pull_variant_never_comes() {
    let (sim, _) = sim();
    sim.create(&spec("a", "sim:fail", &[])).await.unwrap();
    for _ in 0..3 {
        assert_eq!(sim.start("a").await, Err(failed("Failing [compute.instance.activate]")));
    }
    let quiet = |_: String| {};
    assert_eq!(
        sim.pull("sim:fail:pull", PullPolicy::Always, None, &quiet).await,
        Err(failed("Failing [storage.image.activate]"))
    );
    assert_eq!(sim.pull("sim:fail", PullPolicy::Always, None, &quiet).await, Ok(()));
}

#[tokio::test]
async fn a_container_with_a_time_to_live_exits_with_its_code_and_an_event() {
    let (sim, clock) = sim();
    sim.create(&spec("a", "sim:exit:3:60000", &[])).await.unwrap();
    let mut events = sim.events();
    assert_eq!(events.next().await, Some(RuntimeEvent::Connected));
    sim.start("a").await.unwrap();
    clock.advance(Duration::from_secs(59));
    assert_eq!(sim.find("a").await.unwrap().unwrap().life, Life::Running);
    clock.advance(Duration::from_secs(1));
    sim.tick();
    let found = sim.find("a").await.unwrap().unwrap();
    assert_eq!((found.life, found.exit_code), (Life::Exited, Some(3)));
    let changed = RuntimeEvent::Changed { uuid: "a".into() };
    assert_eq!(
        (events.next().await, events.next().await),
        (Some(changed.clone()), Some(changed))
    );
}

#[tokio::test]
async fn on_a_running_clock_nobody_has_to_look() {
    let sim = Sim::new(Arc::new(crate::model::time::SystemClock));
    let mut events = sim.events();
    sim.create(&spec("a", "sim:web", &[("sim.exit", "1:1")])).await.unwrap();
    sim.start("a").await.unwrap();
    let mut changes = 0;
    while changes < 2 {
        changes += usize::from(matches!(events.next().await, Some(RuntimeEvent::Changed { .. })));
    }
    assert_eq!(sim.find("a").await.unwrap().unwrap().exit_code, Some(1));
}

#[tokio::test]
async fn a_slow_start_takes_its_time() {
    let (sim, _) = sim();
    sim.create(&spec("a", "sim:slow:30", &[])).await.unwrap();
    let before = std::time::Instant::now();
    sim.start("a").await.unwrap();
    assert!(before.elapsed() >= Duration::from_millis(30));
}

#[tokio::test]
async fn probes_follow_the_label_and_then_the_hand() {
    let (sim, _) = sim();
    let probe = |uuid: &str| Probe {
        uuid: uuid.into(),
        ip: None,
        port: 80,
        request_line: None,
        timeout: Duration::from_secs(1),
        beside: None,
        command: None,
    };
    sim.create(&spec("plain", "sim:web", &[])).await.unwrap();
    sim.create(&spec("bad", "sim:web", &[("sim.health", "unhealthy")]))
        .await
        .unwrap();
    assert!(
        matches!(sim.probe(&probe("plain")).await, ProbeResult::Down(_)),
        "not running"
    );
    sim.start("plain").await.unwrap();
    sim.start("bad").await.unwrap();
    assert_eq!(sim.probe(&probe("plain")).await, ProbeResult::Up);
    assert!(matches!(sim.probe(&probe("bad")).await, ProbeResult::Down(_)));
    sim.set_health("bad", Health::Healthy);
    assert_eq!(sim.probe(&probe("bad")).await, ProbeResult::Up);
    sim.set_health("plain", Health::Unreachable);
    assert!(matches!(sim.probe(&probe("plain")).await, ProbeResult::Unreachable(_)));
}

#[tokio::test]
async fn a_disconnected_engine_fails_every_call_and_announces_both_ends_of_the_gap() {
    let (sim, _) = sim();
    sim.create(&spec("a", "sim:web", &[])).await.unwrap();
    sim.start("a").await.unwrap();
    let mut events = sim.events();
    sim.set_disconnected(true);
    assert!(matches!(sim.ping().await, Err(Error::Unreachable(_))));
    assert!(matches!(sim.start("a").await, Err(Error::Unreachable(_))));
    assert!(sim.kill("a"));
    sim.set_disconnected(false);
    assert_eq!(events.next().await, Some(RuntimeEvent::Connected));
    assert!(matches!(events.next().await, Some(RuntimeEvent::Disconnected(_))));
    assert_eq!(events.next().await, Some(RuntimeEvent::Connected));
    assert_eq!(sim.find("a").await.unwrap().unwrap().exit_code, Some(137));
}

#[tokio::test]
async fn who_lags_behind_is_told_to_compare_everything() {
    let (sim, _) = sim();
    sim.create(&spec("a", "sim:web", &[])).await.unwrap();
    let mut events = sim.events();
    assert_eq!(events.next().await, Some(RuntimeEvent::Connected));
    for _ in 0..=EVENT_CAP / 2 {
        sim.start("a").await.unwrap();
        sim.stop("a", Duration::ZERO).await.unwrap();
    }
    assert_eq!(events.next().await, Some(RuntimeEvent::Connected), "some were lost");
    let changed = RuntimeEvent::Changed { uuid: "a".into() };
    assert_eq!(events.next().await, Some(changed), "and the rest follows");
}

#[tokio::test]
async fn without_a_log_calls_are_counted_and_not_kept() {
    let clock = Arc::new(ManualClock::new(Timestamp(1_700_000_000_000)));
    let sim = Sim::without_log(clock);
    sim.create(&spec("a", "sim:web", &[])).await.unwrap();
    sim.start("a").await.unwrap();
    assert_eq!((sim.calls(), sim.count("start")), (vec![], 1));
}

#[tokio::test]
async fn a_forgotten_container_comes_back_under_another_id() {
    let (sim, _) = sim();
    let s = spec("a", "sim:web", &[]);
    let first = sim.create(&s).await.unwrap();
    assert!(sim.forget("a") && !sim.forget("a"));
    assert_eq!(sim.find("a").await, Ok(None));
    assert_ne!(sim.create(&s).await.unwrap().external_id, first.external_id);
}

#[tokio::test]
async fn random_ports_are_drawn_in_order_and_avoid_strangers() {
    let (sim, _) = sim();
    let random = |private| PortSpec {
        ip: None,
        public: None,
        private,
        protocol: "tcp",
    };
    let mut s = spec("a", "sim:web", &[]);
    s.ports = vec![
        random(80),
        PortSpec {
            public: Some(8080),
            ..random(81)
        },
        random(82),
    ];
    sim.hold_port(49154);
    sim.create(&s).await.unwrap();
    let ports = |f: Found| f.ports.iter().map(|p| p.public).collect::<Vec<_>>();
    assert_eq!(ports(sim.start("a").await.unwrap()), [49153, 8080, 49155]);
    sim.stop("a", Duration::ZERO).await.unwrap();
    sim.hold_port(8080);
    assert!(matches!(sim.start("a").await, Err(Error::PortTaken(_))));
    sim.release_port(8080);
    assert_eq!(ports(sim.start("a").await.unwrap())[1], 8080);
}

#[tokio::test]
async fn a_strict_simulator_reports_clashes_as_docker_does() {
    let (sim, _) = sim();
    sim.set_strict(true);
    sim.create(&spec("a", "sim:web", &[])).await.unwrap();
    let mut same_name = spec("b", "sim:web", &[]);
    same_name.name = "c-a".into();
    assert!(matches!(sim.create(&same_name).await, Err(Error::NameTaken(_))));
    sim.start("a").await.unwrap();
    sim.create(&spec("b", "sim:web", &[])).await.unwrap();
    assert!(matches!(sim.start("b").await, Err(Error::AddressTaken(_))));
    sim.stop("a", Duration::ZERO).await.unwrap();
    sim.start("b").await.unwrap();
}

#[tokio::test]
async fn a_sidekick_needs_its_provider_to_run() {
    let (sim, _) = sim();
    let provider = sim.create(&spec("a", "sim:web", &[])).await.unwrap();
    let mut s = spec("b", "sim:web", &[]);
    s.network = NetworkAttachment::Container(provider.external_id.clone());
    sim.create(&s).await.unwrap();
    assert!(matches!(sim.start("b").await, Err(Error::Failed(m)) if m.contains("non running container")));
    sim.start("a").await.unwrap();
    assert_eq!(sim.start("b").await.unwrap().ip, None);
}

#[tokio::test]
async fn networks_and_volumes_are_there_once_and_leave_when_unused() {
    let (sim, _) = sim();
    let network = |project: &str| NetworkSpec {
        project_uuid: project.into(),
        name: "n".into(),
        candidates: vec!["10.42.0.0/24".into(), "10.42.1.0/24".into()],
    };
    let first = sim.ensure_network(&network("p")).await.unwrap();
    assert_eq!(sim.ensure_network(&network("p")).await.unwrap(), first);
    assert_eq!(sim.ensure_network(&network("q")).await.unwrap().subnet, "10.42.1.0/24");
    assert!(sim.ensure_network(&network("r")).await.is_err());
    let mut s = spec("a", "sim:web", &[]);
    s.network = NetworkAttachment::Managed {
        network_id: first.id,
        ip: "10.42.0.2".into(),
        aliases: vec![],
        links: vec![],
        dns_search: vec![],
    };
    s.launch.data_volumes = Some(vec!["/anon".into(), "/h:/c:ro".into(), "data:/d".into()]);
    let mounts = sim.create(&s).await.unwrap().mounts;
    assert_eq!(
        mounts.iter().map(|m| (m.path.as_str(), m.writable)).collect::<Vec<_>>(),
        [("/anon", true), ("/c", false), ("/d", true)]
    );
    sim.start("a").await.unwrap();
    assert!(sim.remove_network("p").await.is_err());
    assert!(sim.remove_volume("data").await.is_err());
    sim.remove("a").await.unwrap();
    for _ in 0..2 {
        sim.remove_network("p").await.unwrap();
        sim.remove_volume("data").await.unwrap();
    }
}

#[tokio::test]
async fn adopted_containers_run_on_and_can_be_restarted() {
    let (old, _) = sim();
    old.create(&spec("a", "sim:web", &[])).await.unwrap();
    let found = old.start("a").await.unwrap();
    let (sim, clock) = sim();
    clock.advance(Duration::from_secs(5));
    sim.adopt(vec![found.clone()]);
    sim.adopt(vec![Found {
        name: "other".into(),
        ..found.clone()
    }]);
    assert_eq!(sim.containers(), vec![found.clone()]);
    let listed = Found {
        started_at: String::new(),
        ..found.clone()
    };
    assert_eq!(
        sim.observe().await.unwrap(),
        vec![listed],
        "a list does not know the time of the start"
    );
    sim.stop("a", Duration::ZERO).await.unwrap();
    let again = sim.start("a").await.unwrap();
    assert_eq!((&again.ip, &again.external_id), (&found.ip, &found.external_id));
    assert_ne!(again.started_at, found.started_at);
}

#[tokio::test]
async fn thousands_of_containers_are_cheap() {
    const MANY: usize = 2000;
    let (sim, _) = sim();
    let rounds = || sim.shared.lock().state.rounds.get();
    for i in 0..MANY {
        let uuid = format!("u{i}");
        sim.create(&spec(&uuid, "sim:web", &[])).await.unwrap();
        sim.start(&uuid).await.unwrap();
        assert!(sim.find(&uuid).await.unwrap().is_some());
        sim.stop(&uuid, Duration::ZERO).await.unwrap();
        sim.start(&uuid).await.unwrap();
    }
    assert_eq!(rounds(), 0, "one container costs the same among thousands as alone");
    assert_eq!(sim.observe().await.unwrap().len(), MANY);
    assert_eq!(rounds(), 1);
    for i in 0..MANY {
        sim.remove(&format!("u{i}")).await.unwrap();
    }
    assert_eq!((rounds(), sim.observe().await.unwrap().len()), (1, 0));
}
