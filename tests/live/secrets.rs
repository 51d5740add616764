//! Secrets in real containers: files in memory, seen by nobody but the container.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::support::{PATIENCE, World, launch, wait_until};

const PLAIN: &str = "correct horse battery staple";

#[test]
fn secrets_are_files_in_memory_that_only_their_container_sees() {
    let Some(mut world) = World::start() else { return };
    let api = world.api_at("v2-beta/projects/1a5");
    let body = json!({"name": "phrase", "value": STANDARD.encode(PLAIN)});
    let secret = api.post("/secrets", body);
    let secret = api.wait_state(&secret, "active");
    let stack = world.stack("vault");
    let mut config = launch("busybox:1");
    // It ends where the secret is not there from the first moment on.
    config["command"] = json!([
        "sh",
        "-c",
        "cat /run/secrets/staple > /dev/null || exit 9; trap 'exit 0' TERM; while :; do sleep 1; done"
    ]);
    config["secrets"] = json!([{"secretId": secret["id"], "name": "staple", "uid": "12", "gid": "34", "mode": "0440"}]);
    config["restartPolicy"] = json!({"name": "always"});
    let service = world.active_service(&stack, "keeper", json!({"launchConfig": config}));
    let found = world.wait_running("vault", &["vault-keeper-1"]).remove(0);
    let exec = |command: &[&str]| world.docker.run(&[&["exec", &found.id], command].concat());
    assert_eq!(exec(&["cat", "/run/secrets/staple"]), PLAIN);
    assert_eq!(
        exec(&["stat", "-c", "%u %g %a", "/run/secrets/staple"]).trim(),
        "12 34 440"
    );
    assert!(
        exec(&["grep", "/run/secrets", "/proc/mounts"]).contains("tmpfs"),
        "it is memory"
    );
    let written = world
        .docker
        .output(&["exec", &found.id, "sh", "-c", "echo x > /run/secrets/staple"]);
    assert!(!written.status.success(), "nobody changes it there");
    for told in [
        world.docker.run(&["inspect", &found.id]),
        world.docker.run(&["diff", &found.id]),
        world.log(),
    ] {
        assert!(
            !told.contains("horse") && !told.contains(&STANDARD.encode(PLAIN)),
            "{told}"
        );
    }
    // No volume of it among the rows.
    let volumes = api.get("/volumes").to_string();
    assert!(!volumes.contains("drover-secrets"), "{volumes}");

    // The engine itself starts it anew: they are there again at once, or it would end with 9.
    world.docker.run(&["restart", "--time", "1", &found.id]);
    assert_eq!(world.docker.inspect(&found.id)["State"]["Running"], true);
    assert_eq!(
        world.docker.run(&["exec", &found.id, "cat", "/run/secrets/staple"]),
        PLAIN
    );

    // Whoever holds them is killed while the server is away: the comparison brings them back.
    world.kill_server();
    let holders = world
        .docker
        .run(&["ps", "--quiet", "--filter", "label=io.drover.secrets"]);
    assert_eq!(holders.lines().count(), 1, "{holders}");
    world.docker.run(&["rm", "--force", holders.trim()]);
    world.restart_server();
    wait_until("the secrets are held again", PATIENCE, || {
        let holders = world
            .docker
            .run(&["ps", "--quiet", "--filter", "label=io.drover.secrets"]);
        (holders.lines().count() == 1).then_some(()).ok_or(holders)
    });
    assert_eq!(
        world.docker.run(&["exec", &found.id, "cat", "/run/secrets/staple"]),
        PLAIN
    );

    // Nothing stays behind.
    world.api.delete(&service);
    wait_until("all is gone", PATIENCE, || {
        let rest = world
            .docker
            .run(&["ps", "--all", "--quiet", "--filter", "label=io.drover.secrets"])
            + &world
                .docker
                .run(&["volume", "ls", "--quiet", "--filter", "label=io.drover.secrets"]);
        rest.trim().is_empty().then_some(()).ok_or(rest)
    });
}
