//! The Docker runtime against a real engine: `DROVER_TEST_DOCKER` is its address, such as `unix:///run/docker.sock`.
//!
//! Without it the tests skip, unless `DROVER_TEST_LIVE=1` requires them. Every test is a server of its own to the engine,
//! and removes what it made.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::query_parameters::{CreateImageOptionsBuilder, InspectContainerOptions, KillContainerOptions};
use drover::model::port::PortSpec;
use drover::runtime::docker::{Docker, LABEL_UUID, Owner};
use drover::runtime::{
    ContainerSpec, Error, Found, Life, NetworkAttachment, NetworkFound, NetworkSpec, Probe, ProbeResult, PullPolicy,
    Runtime, RuntimeEvent,
};
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

const IMAGE: &str = "drover-test/busybox:live";
const APPLETS: [&str; 12] = [
    "sh", "sleep", "nslookup", "cat", "hostname", "httpd", "id", "true", "echo", "touch", "wget", "ls",
];
const AT_ONCE: Duration = Duration::ZERO;
const SOON: Duration = Duration::from_secs(1);

/// An engine as one server sees it, and as a stranger does.
#[derive(Clone)]
struct Engine {
    url: String,
    docker: Arc<Docker>,
    stranger: bollard::Docker,
    server: String,
    project: String,
}

impl Engine {
    /// None, with the reason printed, where there is no engine to test with.
    async fn find() -> Option<Self> {
        let Ok(url) = std::env::var("DROVER_TEST_DOCKER") else {
            assert!(
                std::env::var("DROVER_TEST_LIVE").as_deref() != Ok("1"),
                "DROVER_TEST_LIVE=1 needs DROVER_TEST_DOCKER"
            );
            eprintln!("skipped: DROVER_TEST_DOCKER names no engine");
            return None;
        };
        let server = uuid::Uuid::new_v4().to_string();
        let path = url.strip_prefix("unix://").unwrap_or(&url);
        let stranger =
            bollard::Docker::connect_with_unix(path, 60, bollard::API_DEFAULT_VERSION).expect("the engine's socket");
        let docker = Arc::new(Docker::connect(&url, None, Owner::alone(&server)).expect("an address"));
        let engine = Self {
            url,
            docker,
            stranger,
            project: uuid::Uuid::new_v4().to_string(),
            server,
        };
        engine.import_image().await;
        Some(engine)
    }

    /// A busybox of this machine's own, so that no registry is needed.
    async fn import_image(&self) {
        if self.stranger.inspect_image(IMAGE).await.is_ok() {
            return;
        }
        let root = tempfile::tempdir().unwrap();
        let bin = root.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        let source = ["/bin/busybox", "/usr/bin/busybox"]
            .into_iter()
            .find(|p| std::path::Path::new(p).is_file());
        std::fs::copy(source.expect("busybox-static is installed"), bin.join("busybox")).unwrap();
        for applet in APPLETS {
            std::os::unix::fs::symlink("busybox", bin.join(applet)).unwrap();
        }
        let tar = Command::new("tar")
            .arg("-C")
            .arg(root.path())
            .args(["-c", "."])
            .output()
            .unwrap();
        let (repo, tag) = IMAGE.split_once(':').unwrap();
        let options = CreateImageOptionsBuilder::default()
            .from_src("-")
            .repo(repo)
            .tag(tag)
            .build();
        let body = bollard::body_full(tar.stdout.into());
        let answers: Vec<_> = self
            .stranger
            .create_image(Some(options), Some(body), None)
            .collect()
            .await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    }

    async fn network(&self) -> NetworkFound {
        let spec = NetworkSpec {
            project_uuid: self.project.clone(),
            name: format!("drover-{}", &self.project[..8]),
            candidates: (0..60).map(|n| format!("10.193.{n}.0/24")).collect(),
        };
        self.docker.ensure_network(&spec).await.unwrap()
    }

    fn spec(&self, name: &str, network: NetworkAttachment, launch: Value) -> ContainerSpec {
        let mut all = json!({"imageUuid": format!("docker:{IMAGE}"), "command": ["sleep", "600"]});
        for (key, value) in launch.as_object().unwrap() {
            all[key] = value.clone();
        }
        let uuid = uuid::Uuid::new_v4().to_string();
        ContainerSpec {
            labels: BTreeMap::from([(LABEL_UUID.to_owned(), uuid.clone())]),
            uuid,
            name: format!("{name}-{}", &self.server[..8]),
            launch: serde_json::from_value(all).unwrap(),
            network,
            ports: vec![],
            volumes_from: vec![],
            volume_mounts: vec![],
            has_secrets: false,
            placed: vec![],
            files: vec![],
        }
    }

    async fn run(&self, spec: &ContainerSpec) -> Found {
        self.docker.create(spec).await.unwrap();
        self.docker.start(&spec.uuid).await.unwrap()
    }

    async fn inspect(&self, found: &Found) -> Value {
        serde_json::to_value(
            self.stranger
                .inspect_container(&found.external_id, None::<InspectContainerOptions>)
                .await
                .unwrap(),
        )
        .unwrap()
    }

    /// What a command prints inside a container.
    async fn exec(&self, found: &Found, command: &[&str]) -> String {
        let options = CreateExecOptions {
            cmd: Some(command.to_vec()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..Default::default()
        };
        let exec = self.stranger.create_exec(&found.external_id, options).await.unwrap();
        let StartExecResults::Attached { output, .. } = self.stranger.start_exec(&exec.id, None).await.unwrap() else {
            panic!("detached")
        };
        output
            .map(|line| line.unwrap().to_string())
            .collect::<Vec<_>>()
            .await
            .concat()
    }

    async fn clean(&self) {
        let found = self.docker.observe().await.unwrap();
        for found in found.iter().filter(|found| found.native.is_none()) {
            self.docker.remove(&found.uuid).await.unwrap();
        }
        self.docker.remove_network(&self.project).await.unwrap();
    }
}

async fn with_engine<F: Future<Output = ()>>(body: impl FnOnce(Engine) -> F) {
    let Some(engine) = Engine::find().await else { return };
    let outcome = AssertUnwindSafe(body(engine.clone())).catch_unwind().await;
    engine.clean().await;
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}

fn managed(network: &NetworkFound, last: u8, aliases: &[&str], links: &[(&str, &str)]) -> NetworkAttachment {
    NetworkAttachment::Managed {
        network_id: network.id.clone(),
        ip: network.subnet.replace("0/24", &last.to_string()),
        aliases: aliases.iter().map(|a| (*a).to_owned()).collect(),
        links: links
            .iter()
            .map(|(target, alias)| ((*target).to_owned(), (*alias).to_owned()))
            .collect(),
        dns_search: vec!["shop.rancher.internal".to_owned()],
    }
}

/// Objects may have more keys than expected; everything else must be equal.
fn check(actual: &Value, expected: &Value, path: &str) {
    match expected {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                check(actual.get(key).unwrap_or(&Value::Null), value, &format!("{path}/{key}"));
            }
        }
        _ => assert_eq!(actual, expected, "at {path}"),
    }
}

#[tokio::test]
async fn a_container_lives_from_create_to_remove_and_every_call_may_be_repeated() {
    with_engine(|engine| async move {
        let network = engine.network().await;
        assert_eq!(engine.network().await, network);
        let mut spec = engine.spec(
            "life",
            managed(&network, 7, &[], &[]),
            json!({"dataVolumes": ["/anon"]}),
        );
        spec.ports = vec![PortSpec::parse("80").unwrap()];
        let docker = &engine.docker;

        let created = docker.create(&spec).await.unwrap();
        assert_eq!(
            (created.life, created.started_at.as_str(), &created.name),
            (Life::Created, "", &spec.name)
        );
        assert_eq!(docker.create(&spec).await.unwrap(), created);

        let started = docker.start(&spec.uuid).await.unwrap();
        assert_eq!(
            (started.life, started.ip.clone()),
            (Life::Running, Some(network.subnet.replace("0/24", "7")))
        );
        assert_eq!((started.ports.len(), started.ports[0].private), (1, 80));
        assert_eq!(docker.start(&spec.uuid).await.unwrap(), started);
        assert_eq!(docker.find(&spec.uuid).await.unwrap().as_ref(), Some(&started));
        let mut listed = Found {
            started_at: String::new(),
            ..started.clone()
        };
        listed.mounts[0].source.clear();
        listed.exposed.clear();
        // What other tests run by hand may be there, too.
        let ours = || async {
            let mut all = docker.observe().await.unwrap();
            all.retain(|found| found.native.is_none());
            all
        };
        assert_eq!(ours().await, vec![listed], "what a list does not tell is empty");

        for _ in 0..2 {
            docker.stop(&spec.uuid, AT_ONCE).await.unwrap();
        }
        let stopped = docker.find(&spec.uuid).await.unwrap().unwrap();
        assert_eq!(
            (stopped.life, stopped.exit_code, stopped.ip.clone(), stopped.ports.len()),
            (Life::Exited, Some(137), None, 0)
        );
        assert_eq!(ours().await[0].exit_code, Some(137));

        let again = docker.start(&spec.uuid).await.unwrap();
        assert_eq!((&again.ip, &again.external_id), (&started.ip, &started.external_id));
        assert_ne!(again.started_at, started.started_at);

        let volume = again.mounts[0].volume.clone().unwrap();
        for _ in 0..2 {
            docker.remove(&spec.uuid).await.unwrap();
        }
        assert_eq!(docker.find(&spec.uuid).await.unwrap(), None);
        assert!(
            engine.stranger.inspect_volume(&volume).await.is_ok(),
            "volumes are let go by name only"
        );
        for _ in 0..2 {
            docker.remove_volume(&volume).await.unwrap();
        }
        assert!(engine.stranger.inspect_volume(&volume).await.is_err());
        docker.stop(&spec.uuid, AT_ONCE).await.unwrap();
        assert!(matches!(docker.start(&spec.uuid).await, Err(Error::Gone(_))));
        for _ in 0..2 {
            docker.remove_network(&engine.project).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn calls_at_the_same_time_end_as_one() {
    with_engine(|engine| async move {
        let spec = engine.spec("race", NetworkAttachment::None, json!({}));
        let (docker, uuid) = (&engine.docker, &spec.uuid);
        let (a, b) = tokio::join!(docker.create(&spec), docker.create(&spec));
        assert_eq!(a.unwrap().external_id, b.unwrap().external_id);
        let (a, b) = tokio::join!(docker.start(uuid), docker.start(uuid));
        assert_eq!(a.unwrap(), b.unwrap());
        let (a, b) = tokio::join!(docker.stop(uuid, AT_ONCE), docker.stop(uuid, AT_ONCE));
        assert_eq!((a, b), (Ok(()), Ok(())));
        let (a, b) = tokio::join!(docker.remove(uuid), docker.remove(uuid));
        assert_eq!((a, b), (Ok(()), Ok(())));
        let (a, b) = tokio::join!(engine.network(), engine.network());
        assert_eq!(a, b);
    })
    .await;
}

#[tokio::test]
async fn aliases_are_for_all_and_links_for_one() {
    with_engine(|engine| async move {
        let network = engine.network().await;
        let web = engine
            .run(&engine.spec(
                "web",
                managed(&network, 7, &["web.shop", "web.shop.rancher.internal"], &[]),
                json!({}),
            ))
            .await;
        let consumer = engine
            .run(&engine.spec(
                "app",
                managed(&network, 8, &["app.shop"], &[("web.shop", "www")]),
                json!({}),
            ))
            .await;
        let address = web.ip.clone().unwrap();
        for (asker, name, known) in [
            (&consumer, "web.shop.", true),
            (&consumer, "web.shop.rancher.internal.", true),
            (&consumer, "www.", true),
            (&web, "app.shop.", true),
            (&web, "www.", false),
            (&consumer, "db.shop.", false),
        ] {
            let answer = engine.exec(asker, &["nslookup", name]).await;
            let resolved = answer.contains(&address) || answer.contains(&network.subnet.replace("0/24", "8"));
            assert_eq!(resolved, known, "{name}: {answer}");
        }
        let resolv = engine.exec(&web, &["cat", "/etc/resolv.conf"]).await;
        assert!(resolv.contains("search shop.rancher.internal"), "{resolv}");
    })
    .await;
}

#[tokio::test]
async fn a_launch_configuration_is_what_the_container_got() {
    with_engine(|engine| async move {
        let network = engine.network().await;
        let volume = format!("drover-test-{}", &engine.server[..8]);
        for _ in 0..2 {
            engine.docker.ensure_volume(&volume, "local", &BTreeMap::new()).await.unwrap();
        }
        let mut launch = json!({
            "command": ["-c", "exec sleep 600"], "entryPoint": ["sh"], "environment": {"K": "v=1"}, "workingDir": "/tmp", "user": "0:0",
            "hostname": "box", "domainName": "example.org", "tty": true, "stdinOpen": true, "expose": ["81", "53/udp"],
            "dataVolumes": ["/anon", "/tmp:/host:ro", format!("{volume}:/repeated")],
        });
        let resources = json!({
            "memory": 33_554_432, "memorySwap": 67_108_864, "memoryReservation": 16_777_216, "cpuShares": 512, "cpuSet": "0",
            "cpuPeriod": 50_000, "cpuQuota": 25_000, "capAdd": ["NET_ADMIN"], "capDrop": ["MKNOD"], "devices": ["/dev/null:/dev/nil:r"],
            "dns": ["9.9.9.9"], "dnsSearch": ["own.example"], "dnsOpt": ["ndots:2"], "extraHosts": ["friend:1.2.3.4"],
            "securityOpt": ["no-new-privileges"], "readOnly": true, "ipcMode": "private",
            "logConfig": {"driver": "json-file", "config": {"max-size": "1m"}}, "restartPolicy": {"name": "on-failure", "maximumRetryCount": 2},
            "groupAdd": ["100"], "oomScoreAdj": 100, "pidsLimit": 64, "shmSize": 1_048_576, "sysctls": {"net.core.somaxconn": "77"},
            "tmpfs": {"/scratch": "size=1m"}, "ulimits": [{"name": "nofile", "soft": 100, "hard": 200}], "runInit": true,
            "stopSignal": "SIGUSR1", "stopTimeout": 3, "healthCmd": ["true"], "healthInterval": 30, "healthTimeout": 2, "healthRetries": 4,
            "netAlias": ["extra"],
        });
        launch.as_object_mut().unwrap().extend(resources.as_object().unwrap().clone());
        let mut spec = engine.spec("full", managed(&network, 7, &["full.shop"], &[]), launch);
        spec.ports = vec![PortSpec::parse("127.0.0.1::80").unwrap()];
        spec.volume_mounts = vec![(volume.clone(), "/repeated".into())];
        let found = engine.run(&spec).await;
        let inspected = engine.inspect(&found).await;
        check(
            &inspected,
            &json!({
                "Config": {"Cmd": ["-c", "exec sleep 600"], "Entrypoint": ["sh"], "WorkingDir": "/tmp", "User": "0:0", "Hostname": "box",
                    "Domainname": "example.org", "Tty": true, "OpenStdin": true, "Image": IMAGE, "StopSignal": "SIGUSR1", "StopTimeout": 3,
                    "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 30_000_000_000_i64, "Timeout": 2_000_000_000, "Retries": 4},
                    "ExposedPorts": {"80/tcp": {}, "81/tcp": {}, "53/udp": {}},
                    "Labels": {"io.drover.server": engine.server, "io.rancher.container.uuid": spec.uuid}},
                "HostConfig": {"Memory": 33_554_432, "MemorySwap": 67_108_864, "MemoryReservation": 16_777_216, "CpuShares": 512, "CpusetCpus": "0",
                    "CpuPeriod": 50_000, "CpuQuota": 25_000, "CapAdd": ["NET_ADMIN"], "CapDrop": ["MKNOD"],
                    "Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/nil", "CgroupPermissions": "r"}],
                    "Dns": ["9.9.9.9"], "DnsSearch": ["own.example", "shop.rancher.internal"], "DnsOptions": ["ndots:2"],
                    "ExtraHosts": ["friend:1.2.3.4"], "SecurityOpt": ["no-new-privileges"], "ReadonlyRootfs": true, "IpcMode": "private",
                    "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
                    "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2}, "GroupAdd": ["100"], "OomScoreAdj": 100, "PidsLimit": 64,
                    "ShmSize": 1_048_576, "Sysctls": {"net.core.somaxconn": "77"}, "Tmpfs": {"/scratch": "size=1m"},
                    "Ulimits": [{"Name": "nofile", "Soft": 100, "Hard": 200}], "Init": true, "NetworkMode": network.id},
            }),
            "inspect",
        );
        assert!(inspected["Config"]["Env"].as_array().unwrap().contains(&json!("K=v=1")));
        assert_eq!(found.ports.len(), 1);
        let mounts: Vec<(&str, bool)> = found.mounts.iter().map(|m| (m.path.as_str(), m.writable)).collect();
        assert_eq!(mounts, [("/anon", true), ("/host", false), ("/repeated", true)]);
        assert_eq!(engine.exec(&found, &["hostname"]).await.trim(), "box");
        assert!(engine.docker.remove_volume(&volume).await.is_err(), "a volume in use stays");
        engine.docker.remove(&spec.uuid).await.unwrap();
        for _ in 0..2 {
            engine.docker.remove_volume(&volume).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_sidekick_shares_its_providers_network_and_needs_it() {
    with_engine(|engine| async move {
        let network = engine.network().await;
        let provider_spec = engine.spec("main", managed(&network, 7, &[], &[]), json!({}));
        let provider = engine.run(&provider_spec).await;
        // What the engine refuses in such a container is left out of the request.
        let launch = json!({"hostname": "x", "expose": ["80"], "dns": ["9.9.9.9"], "extraHosts": ["a:1.2.3.4"], "publishAllPorts": true});
        let sidekick_spec = engine.spec("side", NetworkAttachment::Container(provider.external_id.clone()), launch);
        let sidekick = engine.run(&sidekick_spec).await;
        assert_eq!(sidekick.ip, None);
        let hosts = engine.exec(&sidekick, &["cat", "/etc/hosts"]).await;
        assert!(hosts.contains(provider.ip.as_deref().unwrap()), "{hosts}");
        engine.docker.stop(&sidekick_spec.uuid, AT_ONCE).await.unwrap();
        engine.docker.remove(&provider_spec.uuid).await.unwrap();
        let refused = engine.docker.start(&sidekick_spec.uuid).await;
        assert!(matches!(&refused, Err(Error::Failed(m)) if m.contains("No such container")), "{refused:?}");
    })
    .await;
}

#[tokio::test]
async fn what_a_stranger_has_is_told_by_kind() {
    with_engine(|engine| async move {
        let network = engine.network().await;
        let other = Docker::connect(&engine.url, None, Owner::alone("a-stranger")).unwrap();
        let mut theirs = engine.spec("taken", managed(&network, 9, &[], &[]), json!({}));
        theirs.ports = vec![PortSpec::parse("28765:80").unwrap()];
        other.create(&theirs).await.unwrap();
        other.start(&theirs.uuid).await.unwrap();
        assert_eq!(
            engine.docker.find(&theirs.uuid).await.unwrap(),
            None,
            "another server's container is not ours"
        );

        let mut ours = engine.spec("taken", managed(&network, 7, &[], &[]), json!({}));
        let by_name = engine.docker.create(&ours).await;
        ours.name.push('x');
        ours.ports = theirs.ports.clone();
        engine.docker.create(&ours).await.unwrap();
        let by_port = engine.docker.start(&ours.uuid).await;
        let after_port = engine.docker.find(&ours.uuid).await.unwrap().map(|f| f.life);
        let clash = engine.spec("clash", managed(&network, 9, &[], &[]), json!({}));
        engine.docker.create(&clash).await.unwrap();
        let by_address = engine.docker.start(&clash.uuid).await;
        other.remove(&theirs.uuid).await.unwrap();

        assert!(
            matches!(&by_name, Err(Error::NameTaken(m)) if m.contains("already in use")),
            "{by_name:?}"
        );
        assert!(
            matches!(&by_port, Err(Error::PortTaken(m)) if m.contains("port is already allocated")),
            "{by_port:?}"
        );
        assert_eq!(
            after_port,
            Some(Life::Created),
            "a failed start leaves a created container"
        );
        assert!(matches!(&by_address, Err(Error::AddressTaken(_))), "{by_address:?}");
        engine.docker.start(&ours.uuid).await.unwrap();
        engine.docker.start(&clash.uuid).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn failures_come_in_the_engines_words() {
    with_engine(|engine| async move {
        let sentences = std::sync::Mutex::new(Vec::new());
        let progress = |text: String| sentences.lock().unwrap().push(text);
        let docker = &engine.docker;
        assert_eq!(
            docker
                .pull(&format!("docker:{IMAGE}"), PullPolicy::IfAbsent, None, &progress)
                .await,
            Ok(())
        );
        assert!(sentences.lock().unwrap().is_empty(), "what is there is not pulled");
        let pulled = docker
            .pull("127.0.0.1:1/nope", PullPolicy::IfAbsent, None, &progress)
            .await;
        assert!(
            matches!(&pulled, Err(Error::Failed(m)) if m.contains("connection refused")),
            "{pulled:?}"
        );
        assert_eq!(*sentences.lock().unwrap(), ["Pulling 127.0.0.1:1/nope:latest"]);

        let no_image = engine.spec("image", NetworkAttachment::None, json!({"imageUuid": "docker:nope:1"}));
        let created = docker.create(&no_image).await;
        assert_eq!(created, Err(Error::Gone("No such image: nope:1".into())));
        let bad = engine.spec("command", NetworkAttachment::None, json!({"command": ["/no/such"]}));
        docker.create(&bad).await.unwrap();
        let started = docker.start(&bad.uuid).await;
        assert!(
            matches!(&started, Err(Error::Failed(m)) if m.contains("/no/such")),
            "{started:?}"
        );
        let little = engine.spec("memory", NetworkAttachment::None, json!({"memory": 1024}));
        let created = docker.create(&little).await;
        assert!(
            matches!(&created, Err(Error::Failed(m)) if m.contains("Minimum memory limit")),
            "{created:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn an_overlapping_subnet_is_passed_over() {
    with_engine(|engine| async move {
        let first = engine.network().await;
        let project_uuid = uuid::Uuid::new_v4().to_string();
        let mut spec = NetworkSpec {
            project_uuid: project_uuid.clone(),
            name: "drover-second".into(),
            candidates: vec![first.subnet.clone()],
        };
        let refused = engine.docker.ensure_network(&spec).await;
        assert!(
            matches!(&refused, Err(Error::Failed(m)) if m.contains("Pool overlaps")),
            "{refused:?}"
        );
        spec.candidates.push("10.194.9.0/24".into());
        let second = engine.docker.ensure_network(&spec).await.unwrap();
        engine.docker.remove_network(&project_uuid).await.unwrap();
        assert_eq!(second.subnet, "10.194.9.0/24");
    })
    .await;
}

/// The next event of that sort; fails if it takes longer than a second.
async fn soon(events: &mut BoxStream<'static, RuntimeEvent>, wanted: &RuntimeEvent, why: &str) {
    let seen = tokio::time::timeout(SOON, async { while events.next().await.as_ref() != Some(wanted) {} }).await;
    assert!(seen.is_ok(), "no event within a second of {why}");
}

#[tokio::test]
async fn what_happens_is_heard_within_a_second() {
    with_engine(|engine| async move {
        let mut events = engine.docker.events();
        let spec = engine.spec("heard", NetworkAttachment::None, json!({}));
        let changed = RuntimeEvent::Changed {
            uuid: spec.uuid.clone(),
        };
        assert_eq!(events.next().await, Some(RuntimeEvent::Connected));
        // Between the first word and the first reading: must not be missed.
        let found = engine.run(&spec).await;
        soon(&mut events, &changed, "a start").await;
        engine
            .stranger
            .kill_container(&found.external_id, None::<KillContainerOptions>)
            .await
            .unwrap();
        soon(&mut events, &changed, "a kill").await;
        engine.docker.start(&spec.uuid).await.unwrap();
        soon(&mut events, &changed, "a second start").await;
        engine.docker.stop(&spec.uuid, AT_ONCE).await.unwrap();
        soon(&mut events, &changed, "a stop").await;
        while tokio::time::timeout(Duration::from_millis(200), events.next())
            .await
            .is_ok()
        {}
        engine.docker.remove(&spec.uuid).await.unwrap();
        soon(&mut events, &changed, "a removal").await;
    })
    .await;
}

/// Stands before the engine's socket and, while frozen, leaves every connection silent, as a stopped engine does.
async fn freezable(engine: String, listener: UnixListener, frozen: watch::Receiver<bool>) {
    let mut open = Vec::new();
    while let Ok((mut ours, _)) = listener.accept().await {
        let (engine, mut frozen) = (engine.clone(), frozen.clone());
        open.push(tokio::spawn(async move {
            let mut theirs = UnixStream::connect(engine).await.unwrap();
            let silent = tokio::select! {
                biased;
                _ = frozen.wait_for(|frozen| *frozen) => true,
                _ = tokio::io::copy_bidirectional(&mut ours, &mut theirs) => false,
            };
            if silent {
                std::future::pending::<()>().await;
            }
        }));
    }
}

#[tokio::test]
async fn a_silent_engine_is_noticed_and_its_return_too() {
    with_engine(|engine| async move {
        let place = tempfile::tempdir().unwrap();
        let socket = place.path().join("d.sock");
        let (frozen, is_frozen) = watch::channel(false);
        let path = engine.url.strip_prefix("unix://").unwrap_or(&engine.url).to_owned();
        let proxy = tokio::spawn(freezable(path, UnixListener::bind(&socket).unwrap(), is_frozen));
        let docker = Docker::connect(
            &format!("unix://{}", socket.display()),
            None,
            Owner::alone(&engine.server),
        )
        .unwrap();
        let spec = engine.spec("silent", NetworkAttachment::None, json!({}));
        engine.run(&spec).await;

        let mut events = docker.events();
        assert_eq!(events.next().await, Some(RuntimeEvent::Connected));
        let early = tokio::time::timeout(Duration::from_millis(500), events.next()).await;
        assert!(early.is_err(), "nothing has happened: {early:?}");
        frozen.send(true).unwrap();
        let limit = Duration::from_secs(15);
        let away = tokio::time::timeout(limit, events.next()).await;
        assert!(matches!(away, Ok(Some(RuntimeEvent::Disconnected(_)))), "{away:?}");
        assert!(matches!(Runtime::ping(&docker).await, Err(Error::Unreachable(_))));
        engine.docker.stop(&spec.uuid, AT_ONCE).await.unwrap();
        frozen.send(false).unwrap();
        assert_eq!(
            tokio::time::timeout(limit, events.next()).await,
            Ok(Some(RuntimeEvent::Connected))
        );
        soon(
            &mut events,
            &RuntimeEvent::Changed {
                uuid: spec.uuid.clone(),
            },
            "the return, about the stop in between",
        )
        .await;
        proxy.abort();
    })
    .await;
}

#[tokio::test]
async fn probes_reach_a_container_on_this_machine() {
    with_engine(|engine| async move {
        let network = engine.network().await;
        let gateway = network.subnet.replace("0/24", "1");
        if std::net::TcpListener::bind((gateway.as_str(), 0)).is_err() {
            eprintln!(
                "skipped: the engine has a network namespace of its own, so its bridges cannot be reached from here"
            );
            return;
        }
        let spec = engine.spec(
            "probe",
            managed(&network, 7, &[], &[]),
            json!({"command": ["httpd", "-f", "-p", "80", "-h", "/bin"]}),
        );
        let found = engine.run(&spec).await;
        let probe = |port, line: Option<&str>| Probe {
            uuid: spec.uuid.clone(),
            ip: found.ip.clone(),
            port,
            request_line: line.map(str::to_owned),
            timeout: Duration::from_secs(2),
            beside: None,
            command: None,
        };
        let first = Probe {
            timeout: Duration::from_secs(5),
            ..probe(80, None)
        };
        // The program inside may need a moment before it listens.
        while engine.docker.probe(&first).await != ProbeResult::Up {
            tokio::task::yield_now().await;
        }
        assert_eq!(
            engine.docker.probe(&probe(80, Some("GET /busybox HTTP/1.0"))).await,
            ProbeResult::Up
        );
        let missing = engine.docker.probe(&probe(80, Some("GET /missing HTTP/1.0"))).await;
        assert!(
            matches!(&missing, ProbeResult::Down(m) if m.contains("404")),
            "{missing:?}"
        );
        assert!(matches!(
            engine.docker.probe(&probe(81, None)).await,
            ProbeResult::Down(_)
        ));
    })
    .await;
}

#[tokio::test]
async fn an_engine_describes_itself() {
    with_engine(|engine| async move {
        let info = engine.docker.describe().await.unwrap();
        assert!(
            !info.version.is_empty() && !info.name.is_empty() && info.cores > 0 && info.memory_bytes > 0,
            "{info:?}"
        );
        assert_eq!(engine.docker.kind(), "docker");
    })
    .await;
}

#[tokio::test]
async fn links_of_the_default_bridge_name_another_container() {
    with_engine(|engine| async move {
        let target = engine
            .run(&engine.spec("target", NetworkAttachment::Bridge { links: vec![] }, json!({})))
            .await;
        let links = vec![(target.external_id.clone(), "db".to_owned())];
        let consumer = engine
            .run(&engine.spec("bridged", NetworkAttachment::Bridge { links }, json!({})))
            .await;
        let hosts = engine.exec(&consumer, &["cat", "/etc/hosts"]).await;
        assert!(
            hosts
                .lines()
                .any(|l| l.starts_with(target.ip.as_deref().unwrap()) && l.contains("db")),
            "{hosts}"
        );
        let names: HashMap<String, String> = engine
            .docker
            .observe()
            .await
            .unwrap()
            .into_iter()
            .map(|f| (f.external_id, f.name))
            .collect();
        assert_eq!(
            names.get(&target.external_id),
            Some(&target.name),
            "a link does not hide the name"
        );
    })
    .await;
}
