//! What Docker's command line says of services that Rancher has no field for, in real containers.

use serde_json::json;

use crate::docker_api::client;
use crate::support::{PATIENCE, World, launch, wait_until};

const COMPOSE: &str = r#"
version: "3.7"
services:
  web:
    image: drover-test/busybox:1
    command: ["/start.sh"]
    read_only: true
    configs:
      - {source: site, target: /etc/site/site.conf, uid: "12", gid: "34", mode: 0440}
      - {source: start, target: /start.sh, mode: 0555}
    secrets:
      - {source: key, target: /etc/keys/key.pem, uid: "12", mode: 0400}
      - key
configs: {site: {file: ./site.conf}, start: {file: ./start.sh}}
secrets: {key: {file: ./key.txt}}
"#;

/// It ends where a file is not there from the first moment on.
const START: &str =
    "#!/bin/sh\ncat /etc/site/site.conf /etc/keys/key.pem || exit 9\ntrap 'exit 0' TERM\nwhile :; do sleep 1; done\n";

#[test]
fn configs_and_secrets_of_a_stack_are_files_anywhere() {
    let Some(mut world) = World::start() else { return };
    let client = client(&world);
    world.remember_stack("shop");
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("stack.yml", COMPOSE);
    write("site.conf", "listen here");
    write("start.sh", START);
    write("key.txt", "hush");
    let file = folder.path().join("stack.yml");
    client.run(&["stack", "deploy", "--compose-file", file.to_str().unwrap(), "shop"]);
    let found = world.wait_running("shop", &["shop-web-1"]).remove(0);
    let exec = |command: &[&str]| world.docker.run(&[&["exec", &found.id], command].concat());
    for (path, content, stat) in [
        ("/etc/site/site.conf", "listen here", "12 34 440"),
        ("/etc/keys/key.pem", "hush", "12 0 400"),
        ("/run/secrets/key", "hush", "0 0 444"),
        ("/start.sh", START.trim(), "0 0 555"),
    ] {
        assert_eq!(exec(&["cat", path]).trim(), content, "{path}");
        assert_eq!(exec(&["stat", "-c", "%u %g %a", path]).trim(), stat, "{path}");
        let written = world
            .docker
            .output(&["exec", &found.id, "sh", "-c", &format!("echo x > {path}")]);
        assert!(!written.status.success(), "nobody changes {path} there");
    }
    for told in [
        world.docker.run(&["inspect", &found.id]),
        world.docker.run(&["diff", &found.id]),
        world.log(),
    ] {
        assert!(!told.contains("hush") && !told.contains("listen here"), "{told}");
    }
    let volumes = world.api_at("v2-beta/projects/1a5").get("/volumes").to_string();
    assert!(
        !volumes.contains("drover-secrets") && !volumes.contains("/etc/site"),
        "{volumes}"
    );
    let used = client.output(&["config", "rm", "shop_site"]);
    let said = String::from_utf8_lossy(&used.stderr);
    assert!(
        said.contains("config 'shop_site' is in use by the following service: shop_web"),
        "{said}"
    );

    // A container that ended is started again with all of them, and so is one that went while the server was killed.
    let since = |id: &str| world.docker.inspect(id)["State"]["StartedAt"].clone();
    let first = since(&found.id);
    world.docker.run(&["kill", &found.id]);
    let restarted = |world: &World| {
        let now = world.docker.inspect(&found.id)["State"].clone();
        match now["Running"] == true && now["StartedAt"] != first {
            true => Ok(()),
            false => Err(now),
        }
    };
    wait_until("it runs again", PATIENCE, || restarted(&world));
    world.kill_server();
    world.docker.run(&["kill", &found.id]);
    world.restart_server();
    wait_until("it runs again after the server was away", PATIENCE, || {
        let state = world.docker.inspect(&found.id)["State"]["Running"].clone();
        (state == true).then_some(()).ok_or(state)
    });
    assert_eq!(
        world
            .docker
            .run(&["exec", &found.id, "cat", "/etc/site/site.conf"])
            .trim(),
        "listen here"
    );
    client.run(&["stack", "rm", "shop"]);
    wait_until("all is gone", PATIENCE, || {
        let label = "label=io.drover.secrets";
        let rest = world.docker.run(&["ps", "--all", "--quiet", "--filter", label])
            + &world.docker.run(&["volume", "ls", "--quiet", "--filter", label])
            + &client.run(&["config", "ls", "-q"]);
        rest.trim().is_empty().then_some(()).ok_or(rest)
    });
}

#[test]
fn containers_are_started_again_as_their_policy_says() {
    let Some(world) = World::start() else { return };
    let client = client(&world);
    world.remember_stack("default");
    let create = |name: &str, policy: &[&str], script: &str| {
        let begin = ["service", "create", "--detach", "--quiet", "--name", name];
        client.run(&[&begin, policy, &["drover-test/busybox:1", "sh", "-c", script]].concat());
    };
    let of = |condition: &'static str| {
        [
            "--restart-condition",
            condition,
            "--restart-max-attempts",
            "2",
            "--restart-delay",
            "1s",
        ]
    };
    create("failing", &of("on-failure"), "echo tried >> /tries; cat /tries; exit 3");
    create("ending", &of("on-failure"), "echo done");
    create("never", &of("none"), "exit 4");
    for (name, state, exit, begun) in [
        ("failing", "Failed", 3, 3),
        ("ending", "Complete", 0, 1),
        ("never", "Failed", 4, 1),
    ] {
        wait_until("it is over", PATIENCE, || {
            let said = client.run(&["service", "ps", "--format", "{{.DesiredState}} {{.CurrentState}}", name]);
            match said.starts_with(&format!("Shutdown {state}")) {
                true => Ok(()),
                false => Err(said),
            }
        });
        std::thread::sleep(std::time::Duration::from_secs(3));
        let found = world
            .docker
            .run(&["ps", "--all", "--quiet", "--filter", &format!("name=default-{name}-1")]);
        let state = world.docker.inspect(found.trim())["State"].clone();
        assert_eq!(
            (&state["Running"], &state["ExitCode"]),
            (&false.into(), &exit.into()),
            "{name}"
        );
        let lines = world.docker.run(&["logs", found.trim()]);
        if name == "failing" {
            assert_eq!(lines.matches("tried").count(), 1 + 2 + 3, "{begun} times: {lines}");
        }
    }
    client.run(&["service", "rm", "failing", "ending", "never"]);
}

#[test]
fn a_service_is_found_by_its_aliases_and_is_where_it_may_be() {
    let Some(world) = World::start() else { return };
    let client = client(&world);
    world.remember_stack("default");
    client.run(&["network", "create", "--driver", "overlay", "front"]);
    let create = |name: &str, more: &[&str]| {
        let begin = ["service", "create", "--detach", "--quiet", "--name", name];
        client.run(&[&begin, more, &["drover-test/busybox:1", "sleep", "100000"]].concat());
    };
    let architecture = client.run(&[
        "node",
        "inspect",
        "--format",
        "{{.Description.Platform.Architecture}}",
        "self",
    ]);
    let here = format!("node.platform.arch=={architecture}");
    create(
        "store",
        &[
            "--network",
            "name=front,alias=shelf",
            "--constraint",
            &here,
            "--replicas-max-per-node",
            "1",
        ],
    );
    create(
        "asker",
        &["--network", "front", "--placement-pref", "spread=node.labels.zone"],
    );
    create(
        "elsewhere",
        &[
            "--constraint",
            "node.platform.arch!=x86_64",
            "--constraint",
            "node.platform.arch!=aarch64",
        ],
    );
    let running = world.wait_running("default", &["default-asker-1", "default-store-1"]);
    let (asker, store) = (&running[0], &running[1]);
    let address = world.docker.inspect(&store.id)["NetworkSettings"]["Networks"].clone();
    let address = address
        .as_object()
        .and_then(|all| all.values().next())
        .expect("a network")["IPAddress"]
        .clone();
    let address = address.as_str().expect("an address").to_owned();
    for name in ["store", "shelf"] {
        wait_until("the name to be known", PATIENCE, || {
            let said = world.docker.output(&["exec", &asker.id, "nslookup", name]);
            let said = String::from_utf8_lossy(&said.stdout).into_owned();
            said.contains(&address).then_some(()).ok_or(said)
        });
    }
    let replicas = client.run(&[
        "service",
        "ls",
        "--filter",
        "name=elsewhere",
        "--format",
        "{{.Replicas}}",
    ]);
    assert_eq!(replicas, "0/1");
    client.run(&["service", "rm", "store", "asker", "elsewhere"]);
}

#[test]
fn volumes_are_made_by_their_drivers_and_variables_taken_out() {
    let Some(world) = World::start() else { return };
    let client = client(&world);
    world.remember_stack("default");
    let memory = "type=volume,source=drover-test-memory,target=/m,volume-driver=local,volume-opt=type=tmpfs,volume-opt=device=tmpfs";
    let plain = "type=volume,source=drover-test-plain,target=/etc,volume-nocopy";
    let bind = "type=bind,source=/tmp,target=/t,readonly,bind-propagation=private";
    let begin = [
        "service",
        "create",
        "--detach",
        "--quiet",
        "--name",
        "mounts",
        "--env",
        "DROVER_TEST_NOT_SET",
    ];
    let mounts = ["--mount", memory, "--mount", plain, "--mount", bind];
    client.run(&[&begin[..], &mounts, &["drover-test/busybox:1", "sleep", "100000"]].concat());
    let found = world.wait_running("default", &["default-mounts-1"]).remove(0);
    let exec = |command: &[&str]| world.docker.run(&[&["exec", &found.id], command].concat());
    assert!(
        exec(&["grep", " /m ", "/proc/mounts"]).contains("tmpfs"),
        "its driver made it"
    );
    let copied = exec(&["sh", "-c", "ls /etc/passwd || true"]);
    assert_eq!(copied.trim(), "", "nothing of the image was copied");
    let all = world.docker.inspect(&found.id)["Mounts"].clone();
    let tmp = all
        .as_array()
        .and_then(|all| all.iter().find(|one| one["Destination"] == "/t"))
        .expect("a bind");
    assert_eq!(
        (&tmp["RW"], &tmp["Propagation"]),
        (&false.into(), &"private".into()),
        "{all}"
    );
    assert!(!exec(&["env"]).contains("DROVER_TEST_NOT_SET"));
    client.run(&["service", "rm", "mounts"]);
    wait_until("nothing to be left", PATIENCE, || {
        match world.docker.containers("default") {
            left if left.is_empty() => Ok(()),
            left => Err(left),
        }
    });
    // What the engine itself would set can be left out, too.
    let stack = world.stack("bare");
    let mut config = launch("busybox:1");
    config["labels"] = json!({"io.drover.environment.unset": "HOSTNAME"});
    config["command"] = json!(["sleep", "100000"]);
    world.active_service(&stack, "one", json!({"launchConfig": config}));
    let found = world.wait_running("bare", &["bare-one-1"]).remove(0);
    let env = world.docker.run(&["exec", &found.id, "env"]);
    assert!(env.contains("PATH=") && !env.contains("HOSTNAME="), "{env}");
    world
        .docker
        .run(&["volume", "rm", "drover-test-memory", "drover-test-plain"]);
}

#[test]
fn jobs_run_until_they_have_succeeded() {
    let Some(world) = World::start() else { return };
    let client = client(&world);
    world.remember_stack("default");
    let job = [
        "service",
        "create",
        "--quiet",
        "--name",
        "job",
        "--mode",
        "replicated-job",
        "--max-concurrent",
        "2",
        "--replicas",
        "3",
    ];
    // Not detached: the command ends when the job has.
    client.run(&[&job[..], &["drover-test/busybox:1", "sh", "-c", "sleep 2; echo done"]].concat());
    let list = [
        "service",
        "ls",
        "--filter",
        "name=job",
        "--format",
        "{{.Mode}} {{.Replicas}}",
    ];
    assert_eq!(client.run(&list), "replicated job 0/2 (3/3 completed)");
    let tasks = client.run(&[
        "service",
        "ps",
        "--format",
        "{{.Name}} {{.DesiredState}} {{.CurrentState}}",
        "job",
    ]);
    assert_eq!(tasks.matches("Complete Complete").count(), 3, "{tasks}");
    let ids = |world: &World| {
        world
            .docker
            .run(&["ps", "--all", "--quiet", "--filter", "name=default-job-"])
    };
    let first = ids(&world);
    assert_eq!(first.lines().count(), 3);
    client.run(&["service", "update", "--quiet", "--force", "job"]);
    assert_eq!(client.run(&list), "replicated job 0/2 (3/3 completed)");
    let inspected = client.run(&[
        "service",
        "inspect",
        "--format",
        "{{.JobStatus.JobIteration.Index}}",
        "job",
    ]);
    assert_eq!(inspected, "1");
    wait_until("the first ones to go", PATIENCE, || {
        let now = ids(&world);
        let is_new = now.lines().count() == 3 && !now.lines().any(|id| first.contains(id));
        is_new.then_some(()).ok_or(now)
    });
    client.run(&[
        "service",
        "create",
        "--quiet",
        "--name",
        "each",
        "--mode",
        "global-job",
        "drover-test/busybox:1",
        "true",
    ]);
    let each = client.run(&[
        "service",
        "ls",
        "--filter",
        "name=each",
        "--format",
        "{{.Mode}} {{.Replicas}}",
    ]);
    assert_eq!(each, "global job 0/0 (1/1 completed)");
    client.run(&["service", "rm", "job", "each"]);
}

#[test]
fn templates_are_filled_in_real_containers() {
    let Some(world) = World::start() else { return };
    let client = client(&world);
    world.remember_stack("default");
    client.run(&[
        "service",
        "create",
        "--quiet",
        "--no-resolve-image",
        "--name",
        "tpl",
        "--replicas",
        "2",
        "--hostname",
        "{{.Service.Name}}-{{.Task.Slot}}",
        "--env",
        "WHERE={{.Node.Hostname}} {{.Task.Name}}",
        "--mount",
        "type=volume,source=tpl-{{.Task.Slot}},target=/d",
        "drover-test/busybox:1",
    ]);
    let node = client.run(&["node", "ls", "--format", "{{.Hostname}}"]);
    let tasks = client.run(&["service", "ps", "--no-trunc", "--format", "{{.ID}} {{.Name}}", "tpl"]);
    for found in world.wait_running("default", &["default-tpl-1", "default-tpl-2"]) {
        let slot = found.name.rsplit('-').next().unwrap();
        let exec = |command: &[&str]| world.docker.run(&[&["exec", &found.id], command].concat());
        assert_eq!(exec(&["hostname"]), format!("tpl-{slot}"));
        let task = tasks
            .lines()
            .find(|line| line.ends_with(&format!(" tpl.{slot}")))
            .unwrap();
        let id = task.split(' ').next().unwrap();
        assert_eq!(exec(&["sh", "-c", "echo $WHERE"]), format!("{node} tpl.{slot}.{id}"));
        let mount = &world.docker.inspect(&found.id)["Mounts"][0];
        assert_eq!(mount["Name"], format!("tpl-{slot}"), "{mount:#}");
    }
    client.run(&["service", "rm", "tpl"]);
    world.wait_gone("default");
    for slot in [1, 2] {
        world.docker.output(&["volume", "rm", &format!("tpl-{slot}")]);
    }
}
