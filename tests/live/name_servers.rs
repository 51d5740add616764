//! Names that live, and metadata: asked from inside containers, of the name server that the server made and feeds.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{PATIENCE, World, ids, launch, wait_until};

/// In this time a change is answered, once it is committed. The rule says a tenth of a second; the machine may be slow.
const SOON: Duration = Duration::from_secs(1);

fn who(name: &str) -> Value {
    let mut config = launch("web:1");
    config["environment"] = json!({ "WHO": name });
    json!({ "launchConfig": config })
}

fn client() -> Value {
    json!({ "launchConfig": launch("busybox:1") })
}

/// The addresses that a name has inside a container, sorted; empty if it has none.
fn addresses(world: &World, container: &str, name: &str) -> Vec<String> {
    let output = world
        .docker
        .output(&["exec", container, "timeout", "5", "nslookup", name]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text.lines().filter_map(|line| line.strip_prefix("Address:"));
    let mut all: Vec<String> = lines
        .map(|address| address.trim().to_owned())
        .filter(|address| !address.contains(":53"))
        .collect();
    all.sort();
    all.dedup();
    all
}

/// The addresses of running containers of a stack.
fn own_addresses(world: &World, stack: &str, names: &[&str]) -> Vec<String> {
    let all = world.docker.containers(stack);
    let mut found: Vec<String> = names
        .iter()
        .map(|name| {
            let container = all.iter().find(|c| c.name == *name).expect("it is there");
            let networks = world.docker.inspect(&container.id)["NetworkSettings"]["Networks"].clone();
            let mut networks = networks.as_object().expect("networks").values();
            networks.next().expect("one")["IPAddress"].as_str().unwrap().to_owned()
        })
        .collect();
    found.sort();
    found
}

fn wait_addresses(world: &World, container: &str, name: &str, expected: &[String], patience: Duration) {
    wait_until(&format!("{name} to be {expected:?} in {container}"), patience, || {
        let found = addresses(world, container, name);
        if found == expected { Ok(()) } else { Err(found) }
    });
}

/// The name server of the world's project, running or not.
fn name_servers(world: &World) -> Vec<String> {
    let listed = world.docker.run(&[
        "ps",
        "--all",
        "--quiet",
        "--no-trunc",
        "--filter",
        "label=io.drover.names",
    ]);
    listed.lines().map(str::to_owned).collect()
}

fn link_to(service: &Value, name: &str) -> Value {
    json!({ "serviceLink": { "serviceId": service["id"], "name": name } })
}

#[test]
fn a_link_set_on_a_running_service_answers_at_once_for_its_containers_alone() {
    let Some(world) = World::start() else { return };
    let (near, far) = (world.stack("near"), world.stack("far"));
    let db = world.active_service(&far, "db", who("db of far"));
    let other_db = world.active_service(&far, "other", who("other of far"));
    let web = world.active_service(&near, "web", client());
    let peer = world.active_service(&near, "peer", client());
    let before = ids(&world.docker.containers("near"));
    let db_address = own_addresses(&world, "far", &["far-db-1"]);
    let other_address = own_addresses(&world, "far", &["far-other-1"]);
    assert_eq!(addresses(&world, "near-web-1", "mysql"), [""; 0]);

    world.api.action(&web, "addservicelink", link_to(&db, "mysql"));
    wait_addresses(&world, "near-web-1", "mysql", &db_address, SOON);
    world.api.action(&peer, "addservicelink", link_to(&other_db, "mysql"));
    wait_addresses(&world, "near-peer-1", "mysql", &other_address, SOON);
    assert_eq!(addresses(&world, "near-web-1", "mysql"), db_address, "each has its own");
    assert_eq!(
        world.docker.fetch("near-web-1", "http://mysql/who").as_deref(),
        Some("db of far")
    );
    world.api.action(&web, "removeservicelink", link_to(&db, "mysql"));
    wait_addresses(&world, "near-web-1", "mysql", &[], SOON);
    assert_eq!(addresses(&world, "near-peer-1", "mysql"), other_address);
    assert_eq!(ids(&world.docker.containers("near")), before, "nothing was made anew");
    // What Docker knows of a container would win over the name server.
    let found = world.docker.inspect("near-web-1");
    let networks = found["NetworkSettings"]["Networks"].as_object().unwrap();
    let known: Vec<&Value> = networks
        .values()
        .flat_map(|n| n["Aliases"].as_array())
        .flatten()
        .collect();
    assert_eq!(known, [&found["Config"]["Hostname"]], "{known:?}");
    assert_eq!(found["HostConfig"]["Dns"].as_array().map(Vec::len), Some(1));
}

#[test]
fn an_alias_gives_what_it_stands_for_and_external_services_have_their_addresses() {
    let Some(world) = World::start() else { return };
    let stack = world.stack("wide");
    let one = world.active_service(&stack, "one", who("one"));
    let two = world.active_service(&stack, "two", who("two"));
    world.active_service(&stack, "client", client());
    let alias = json!({ "name": "both", "stackId": stack["id"], "startOnCreate": true });
    let alias = world.api.post("/dnsServices", alias);
    let alias = world.api.wait_state(&alias, "active");
    let links = json!({ "serviceLinks": [{ "serviceId": one["id"] }, { "serviceId": two["id"] }] });
    world.api.action(&alias, "setservicelinks", links);
    let both = own_addresses(&world, "wide", &["wide-one-1", "wide-two-1"]);
    wait_addresses(&world, "wide-client-1", "both", &both, SOON);

    let outside = json!({ "name": "outside", "stackId": stack["id"], "startOnCreate": true,
        "externalIpAddresses": ["192.0.2.7", "192.0.2.8"] });
    world.api.post("/externalServices", outside);
    wait_addresses(
        &world,
        "wide-client-1",
        "outside",
        &["192.0.2.7".into(), "192.0.2.8".into()],
        PATIENCE,
    );
    // A name that the engine knows, as there is no world to ask here.
    let named = json!({ "name": "named", "stackId": stack["id"], "startOnCreate": true, "hostname": "wide-one-1" });
    world.api.post("/externalServices", named);
    let one_address = own_addresses(&world, "wide", &["wide-one-1"]);
    wait_addresses(&world, "wide-client-1", "named.wide", &one_address, PATIENCE);
    let said = world.docker.run(&["exec", "wide-client-1", "nslookup", "named.wide"]);
    assert!(said.contains("canonical name = wide-one-1"), "{said}");
}

#[test]
fn an_ill_container_loses_its_name_and_gets_it_back() {
    let Some(world) = World::start() else { return };
    let stack = world.stack("clinic");
    let mut config = launch("web:1");
    config["healthCheck"] = json!({ "port": 80, "requestLine": "GET /health HTTP/1.0", "interval": 500,
        "responseTimeout": 500, "healthyThreshold": 1, "unhealthyThreshold": 1, "strategy": "none" });
    world.active_service(&stack, "web", json!({ "scale": 2, "launchConfig": config }));
    world.active_service(&stack, "client", client());
    let all = own_addresses(&world, "clinic", &["clinic-web-1", "clinic-web-2"]);
    let well = own_addresses(&world, "clinic", &["clinic-web-2"]);
    wait_addresses(&world, "clinic-client-1", "web", &all, PATIENCE);
    let is = |health: &str| {
        wait_until(&format!("it to be {health}"), PATIENCE, || {
            let found = world.api.get("/containers?name=clinic-web-1");
            if found["data"][0]["healthState"] == health {
                Ok(())
            } else {
                Err(found)
            }
        });
    };
    world
        .docker
        .run(&["exec", "clinic-web-1", "mv", "/www/health", "/www/ill"]);
    is("unhealthy");
    wait_addresses(&world, "clinic-client-1", "web", &well, SOON);
    world
        .docker
        .run(&["exec", "clinic-web-1", "mv", "/www/ill", "/www/health"]);
    is("healthy");
    wait_addresses(&world, "clinic-client-1", "web", &all, SOON);
}

#[test]
fn names_outlive_the_server_and_the_name_server_comes_back() {
    let Some(mut world) = World::start() else { return };
    let stack = world.stack("tough");
    world.active_service(&stack, "db", who("db"));
    world.active_service(&stack, "client", client());
    let db = own_addresses(&world, "tough", &["tough-db-1"]);
    wait_addresses(&world, "tough-client-1", "db", &db, PATIENCE);
    let first = name_servers(&world);
    assert_eq!(first.len(), 1, "one for the project");
    let found = world.docker.inspect(&first[0]);
    assert_eq!(
        (&found["Config"]["User"], &found["HostConfig"]["ReadonlyRootfs"]),
        (&json!("65534:65534"), &json!(true))
    );
    assert_eq!(found["HostConfig"]["CapDrop"], json!(["ALL"]));
    // Nobody takes it for a container of the project, nor for one that was run by hand.
    let rows = world.api.get("/containers?limit=1000");
    assert_eq!(rows["data"].as_array().map(Vec::len), Some(2), "{rows:#}");

    world.kill_server();
    assert_eq!(addresses(&world, "tough-client-1", "db"), db, "the server is dead");
    world.docker.run(&["restart", &first[0]]);
    wait_addresses(&world, "tough-client-1", "db", &db, PATIENCE);
    wait_until("what fed it to be gone", PATIENCE, || {
        let running = world.docker.run(&["top", &first[0]]);
        if running.contains("netd feed") {
            Err(running)
        } else {
            Ok(())
        }
    });
    world.restart_server();
    world.wait_host();
    assert_eq!(name_servers(&world), first, "it is taken over");
    let cache = world.active_service(&stack, "cache", who("cache"));
    let cached = own_addresses(&world, "tough", &["tough-cache-1"]);
    wait_addresses(&world, "tough-client-1", "cache", &cached, SOON);

    // Killed by hand: Docker itself would leave it so.
    world.docker.run(&["kill", &first[0]]);
    wait_addresses(&world, "tough-client-1", "db", &db, PATIENCE);
    assert_eq!(name_servers(&world), first);
    world.docker.run(&["rm", "--force", "--volumes", &first[0]]);
    wait_addresses(&world, "tough-client-1", "db", &db, PATIENCE);
    let second = name_servers(&world);
    assert!(second.len() == 1 && second != first);
    world.api.action(&cache, "deactivate", json!({}));
    world.api.wait_state(&cache, "inactive");
    // Of those that do not run one address is given, as in the original.
    world.api.delete(&cache);
    wait_addresses(&world, "tough-client-1", "cache", &[], PATIENCE);
}

#[test]
fn a_network_that_is_pruned_is_made_again_with_its_name_server() {
    let Some(world) = World::start() else { return };
    let stack = world.stack("pruned");
    world.active_service(&stack, "db", who("db"));
    world.active_service(&stack, "client", client());
    let network = world.docker.inspect("pruned-client-1")["HostConfig"]["NetworkMode"].clone();
    let mut all = name_servers(&world);
    all.extend(["pruned-db-1", "pruned-client-1"].map(str::to_owned));
    let arguments: Vec<&str> = ["rm", "--force"]
        .into_iter()
        .chain(all.iter().map(String::as_str))
        .collect();
    world.docker.output(&arguments);
    world.docker.output(&["network", "rm", network.as_str().unwrap()]);
    wait_until("both to run and to find each other", PATIENCE, || {
        let answer = world.docker.fetch("pruned-client-1", "http://db/who");
        if answer.as_deref() == Some("db") {
            Ok(())
        } else {
            Err(answer)
        }
    });
    assert_eq!(name_servers(&world).len(), 1);
}

#[test]
fn another_server_on_the_engine_is_blind_to_a_projects_names() {
    let Some(world) = World::start() else { return };
    let Some(other) = World::start() else { return };
    let (stack, strange) = (world.stack("mine"), other.stack("theirs"));
    world.active_service(&stack, "db", who("db"));
    world.active_service(&stack, "client", client());
    other.active_service(&strange, "client", client());
    let server = world.docker.inspect("mine-client-1")["HostConfig"]["Dns"][0].clone();
    let server = server.as_str().unwrap();
    let db = own_addresses(&world, "mine", &["mine-db-1"]);
    wait_addresses(&world, "mine-client-1", "db.mine", &db, PATIENCE);
    assert_eq!(addresses(&world, "theirs-client-1", "db.mine"), [""; 0]);
    let asked = ["exec", "theirs-client-1", "timeout", "5", "nslookup", "db.mine", server];
    assert!(!world.docker.output(&asked).status.success(), "bridges are apart");
}

#[test]
fn an_upgrade_of_the_program_replaces_the_name_server() {
    let Some(mut world) = World::start() else { return };
    let stack = world.stack("newer");
    world.active_service(&stack, "db", who("db"));
    world.active_service(&stack, "client", client());
    let db = own_addresses(&world, "newer", &["newer-db-1"]);
    wait_addresses(&world, "newer-client-1", "db", &db, PATIENCE);
    let image = |id: &str| world.docker.inspect(id)["Config"]["Image"].as_str().unwrap().to_owned();
    let old = name_servers(&world).remove(0);
    let old_image = image(&old);
    let version = |id: &str| world.docker.run(&["exec", id, "/drover-netd", "--version"]);
    assert!(version(&old).starts_with("drover-netd "), "the small program");
    // The same program with a byte more is another one, and beside it there is nothing.
    let folder = tempfile::tempdir().unwrap();
    let newer = folder.path().join("drover");
    let mut bytes = std::fs::read(env!("CARGO_BIN_EXE_drover")).unwrap();
    bytes.push(0);
    std::fs::write(&newer, bytes).unwrap();
    std::fs::set_permissions(&newer, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    world.stop_server();
    world.use_program(&newer);
    world.restart_server();
    let new = wait_until("the name server to be replaced", PATIENCE, || {
        let all = name_servers(&world);
        match all.as_slice() {
            [one] if *one != old => Ok(one.clone()),
            _ => Err(all),
        }
    });
    let image = world.docker.inspect(&new)["Config"]["Image"].clone();
    assert_ne!(image, json!(old_image));
    let version = world.docker.run(&["exec", &new, "/drover-netd", "--version"]);
    assert!(version.starts_with("drover 0."), "{version}");
    wait_addresses(&world, "newer-client-1", "db", &db, PATIENCE);
    wait_until("the old image to be gone", PATIENCE, || {
        let images = world
            .docker
            .run(&["images", "--format", "{{.Repository}}:{{.Tag}}", "drover-net"]);
        if images.contains(&old_image) {
            Err(images)
        } else {
            Ok(())
        }
    });
}

#[test]
fn containers_read_metadata_about_themselves_and_wait_for_changes() {
    const KEY: (&str, &str) = ("reads-all", "a-secret-of-who-reads-all");
    let flag = format!("superadmin={}:{}", KEY.0, KEY.1);
    let Some(world) = World::begin(None, &["--bootstrap-key", &flag]) else {
        return;
    };
    world.wait_host();
    let stack = world.stack("meta");
    let mut more = client();
    more["metadata"] = json!({ "answer": "42" });
    let service = world.active_service(&stack, "reader", more);
    let fetch = |path: &str| {
        world
            .docker
            .fetch("meta-reader-1", &format!("http://rancher-metadata/latest/{path}"))
    };
    wait_until("its own name", PATIENCE, || match fetch("self/container/name") {
        Some(name) if name == "meta-reader-1" => Ok(()),
        other => Err(other),
    });
    assert_eq!(fetch("services/reader/metadata/answer").as_deref(), Some("42"));
    assert_eq!(fetch("self/service/name").as_deref(), Some("reader"));
    assert_eq!(fetch("self/stack/name").as_deref(), Some("meta"));
    // Its hardware address is what the engine says, there and in its row.
    let networks = world.docker.inspect("meta-reader-1")["NetworkSettings"]["Networks"].clone();
    let mac = networks.as_object().unwrap().values().next().unwrap()["MacAddress"].clone();
    assert_eq!(fetch("self/container/primary_mac_address").as_deref(), mac.as_str());
    // Rancher shows these rows to nobody but the superadmin.
    let client = reqwest::blocking::Client::builder().no_proxy().build().unwrap();
    let nics = client
        .get(world.url("v2-beta/nics?limit=1000"))
        .basic_auth(KEY.0, Some(KEY.1));
    let nics: Value = nics.send().unwrap().json().unwrap();
    let nics: Vec<&Value> = nics["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|nic| &nic["macAddress"])
        .collect();
    assert_eq!(nics, [&mac]);

    let waiting = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let url = "http://rancher-metadata/latest/services/reader/metadata/answer?wait=true&value=42&maxWait=30";
            let said = world
                .docker
                .output(&["exec", "meta-reader-1", "wget", "-q", "-O", "-", url]);
            (String::from_utf8_lossy(&said.stdout).trim().to_owned(), Instant::now())
        });
        wait_until("the question to be there", PATIENCE, || {
            let running = world.docker.run(&["top", "meta-reader-1"]);
            if running.contains("wget") { Ok(()) } else { Err(running) }
        });
        world.api.put(&service, json!({ "metadata": { "answer": "43" } }));
        let committed = Instant::now();
        let (answer, told) = waiting.join().unwrap();
        (answer, told.duration_since(committed))
    });
    assert_eq!(waiting.0, "43");
    println!("told after {:?}", waiting.1);
    assert!(waiting.1 < SOON, "{waiting:?}");
}

#[test]
fn a_client_with_the_c_library_finds_services_as_others_do() {
    let Some(world) = World::start() else { return };
    // The system's own `getent`, with what it needs.
    let script = "set -e; files=\"$(command -v getent) $(command -v sleep)\"; \
        libraries=\"$(for f in $files; do ldd $f; done | grep -o '/[^ ]*' | sort -u)\"; \
        tar -C / --dereference -c $files $libraries | docker import - drover-test/glibc:1";
    let made = std::process::Command::new("sh").args(["-c", script]).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let stack = world.stack("glibc");
    world.active_service(&stack, "db", who("db"));
    let mut config = launch("glibc:1");
    config["command"] = json!(["sleep", "600"]);
    config["dnsSearch"] = json!(["own.example"]);
    world.active_service(&stack, "client", json!({ "launchConfig": config }));
    let db = own_addresses(&world, "glibc", &["glibc-db-1"]);
    for name in ["db", "db.glibc", "db.glibc.rancher.internal", "glibc-db-1"] {
        wait_until(&format!("{name} to be found"), PATIENCE, || {
            let said = world
                .docker
                .output(&["exec", "glibc-client-1", "getent", "ahostsv4", name]);
            let said = String::from_utf8_lossy(&said.stdout).into_owned();
            if said.starts_with(&db[0]) { Ok(()) } else { Err(said) }
        });
    }
    let search = world.docker.inspect("glibc-client-1")["HostConfig"]["DnsSearch"].clone();
    assert_eq!(
        search,
        json!([
            "glibc.rancher.internal",
            "client.glibc.rancher.internal",
            "rancher.internal",
            "own.example"
        ])
    );
}

#[test]
fn a_container_on_the_hosts_network_finds_services_if_it_asks_to() {
    let Some(world) = World::start() else { return };
    let stack = world.stack("onhost");
    world.active_service(&stack, "db", who("db"));
    let mut config = launch("busybox:1");
    config["networkMode"] = json!("host");
    config["labels"] = json!({ "io.rancher.container.dns": "true" });
    world.active_service(&stack, "asks", json!({ "launchConfig": config }));
    config["labels"] = json!({});
    world.active_service(&stack, "does-not", json!({ "launchConfig": config }));
    let db = own_addresses(&world, "onhost", &["onhost-db-1"]);
    wait_addresses(&world, "onhost-asks-1", "db.onhost", &db, PATIENCE);
    assert_eq!(addresses(&world, "onhost-does-not-1", "db.onhost"), [""; 0]);
}

#[test]
fn several_links_to_one_service_are_several_names() {
    let Some(world) = World::start() else { return };
    let stack = world.stack("twice");
    let db = world.active_service(&stack, "db", who("db"));
    let web = world.active_service(&stack, "web", client());
    let address = own_addresses(&world, "twice", &["twice-db-1"]);
    let link = |name: &str| json!({ "serviceId": db["id"], "name": name });
    let links = |names: &[&str]| json!({ "serviceLinks": names.iter().map(|name| link(name)).collect::<Vec<_>>() });
    world.api.action(&web, "setservicelinks", links(&["reader", "writer"]));
    for name in ["reader", "writer", "reader.twice", "db"] {
        wait_addresses(&world, "twice-web-1", name, &address, PATIENCE);
    }
    world.api.action(&web, "setservicelinks", links(&["writer"]));
    wait_addresses(&world, "twice-web-1", "reader", &[], SOON);
    assert_eq!(addresses(&world, "twice-web-1", "writer"), address);
}

/// As docs/metadata.md says, for programs that have Rancher's own address built in.
#[test]
fn a_rule_of_the_machine_leads_the_old_address_to_the_name_server() {
    let Some(world) = World::start() else { return };
    let stack = world.stack("old");
    world.active_service(&stack, "db", who("db"));
    world.active_service(&stack, "client", client());
    let fetch = || {
        world
            .docker
            .fetch("old-client-1", "http://169.254.169.250/latest/self/container/name")
    };
    assert_eq!(fetch(), None, "nobody has it");
    let server = world.docker.inspect(&name_servers(&world)[0]);
    let network = server["Config"]["Labels"]["io.drover.names.network"].as_str().unwrap();
    let network = world.docker.run(&[
        "network",
        "inspect",
        "--format",
        "{{(index .IPAM.Config 0).Subnet}}",
        network,
    ]);
    let address = server["Config"]["Labels"]["io.drover.names.address"].as_str().unwrap();
    let rule = [
        "-s",
        network.trim(),
        "-d",
        "169.254.169.250",
        "-j",
        "DNAT",
        "--to-destination",
        address,
    ];
    let iptables = |how: &str| {
        let made = std::process::Command::new("iptables")
            .args(["-w", "-t", "nat", how, "PREROUTING"])
            .args(rule)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
    };
    iptables("-I");
    wait_until("its own name", PATIENCE, || match fetch() {
        Some(name) if name == "old-client-1" => Ok(()),
        other => Err(other),
    });
    let db = own_addresses(&world, "old", &["old-db-1"]);
    let said = world.docker.output(&[
        "exec",
        "old-client-1",
        "timeout",
        "5",
        "nslookup",
        "db",
        "169.254.169.250",
    ]);
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains(&db[0]), "{said}");
    iptables("-D");
}

#[test]
fn three_who_wait_for_a_change_are_all_told() {
    let Some(world) = World::start() else { return };
    let stack = world.stack("many");
    let mut more = client();
    more["scale"] = json!(3);
    more["metadata"] = json!({ "answer": "42" });
    let service = world.active_service(&stack, "reader", more);
    let names = ["many-reader-1", "many-reader-2", "many-reader-3"];
    let url = "http://rancher-metadata/latest/self/service/metadata/answer";
    for name in names {
        wait_until("what is there", PATIENCE, || match world.docker.fetch(name, url) {
            Some(answer) if answer == "42" => Ok(()),
            other => Err(other),
        });
    }
    let waiting = format!("{url}?wait=true&value=42&maxWait=60");
    std::thread::scope(|scope| {
        let waiters = names.map(|name| {
            let (docker, waiting) = (&world.docker, &waiting);
            scope.spawn(move || {
                let said = docker.output(&["exec", name, "wget", "-q", "-O", "-", waiting]);
                (String::from_utf8_lossy(&said.stdout).trim().to_owned(), Instant::now())
            })
        });
        wait_until("all to ask", PATIENCE, || {
            let asking = names
                .iter()
                .filter(|name| world.docker.run(&["top", name]).contains("wget"));
            match asking.count() {
                3 => Ok(()),
                other => Err(other),
            }
        });
        world.api.put(&service, json!({ "metadata": { "answer": "43" } }));
        let committed = Instant::now();
        for waiter in waiters {
            let (answer, told) = waiter.join().unwrap();
            assert_eq!(answer, "43");
            assert!(told.duration_since(committed) < SOON);
        }
    });
}
