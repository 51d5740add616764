#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail by panic")]

use serde_json::{Value, json};

use super::*;
use crate::model::port::PortSpec;

fn managed() -> NetworkAttachment {
    NetworkAttachment::Managed {
        network_id: "net1".into(),
        ip: "10.42.0.7".into(),
        aliases: vec!["web.shop".into()],
        links: vec![("db.shop".into(), "mysql".into())],
        dns_search: vec!["shop.rancher.internal".into()],
    }
}

fn spec(launch: Value, network: NetworkAttachment) -> ContainerSpec {
    ContainerSpec {
        uuid: "u1".into(),
        name: "shop-web-1".into(),
        labels: BTreeMap::from([("a".into(), "b".into())]),
        launch: serde_json::from_value(launch).expect("a launch configuration"),
        network,
        ports: vec![],
        volumes_from: vec![],
        volume_mounts: vec![],
        has_secrets: false,
        placed: vec![],
        files: vec![],
    }
}

fn body(spec: &ContainerSpec) -> Value {
    serde_json::to_value(create_body(spec, "server-1")).unwrap()
}

/// Objects may have more keys than expected; everything else must be equal. Null expects absence.
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

fn check_launch(launch: Value, expected: &Value) {
    let path = launch.to_string();
    check(&body(&spec(launch, managed())), expected, &path);
}

#[test]
fn each_field_of_a_container_reaches_its_place() {
    for (launch, expected) in [
        (json!({"imageUuid": "docker:nginx:1.9"}), json!({"Image": "nginx:1.9"})),
        (json!({"imageUuid": "nginx"}), json!({"Image": "nginx:latest"})),
        (json!({"command": ["a", "b c"]}), json!({"Cmd": ["a", "b c"]})),
        (
            json!({"environment": {"A": "1"}, "labels": {"io.drover.environment.unset": "PATH, A"}}),
            json!({"Env": ["A=1", "PATH"]}),
        ),
        (json!({"entryPoint": ["/e", "x"]}), json!({"Entrypoint": ["/e", "x"]})),
        (
            json!({"environment": {"K": "v", "EMPTY": "", "E": "a=b"}}),
            json!({"Env": ["E=a=b", "EMPTY=", "K=v"]}),
        ),
        (json!({"workingDir": "/w"}), json!({"WorkingDir": "/w"})),
        (json!({"user": "1:2"}), json!({"User": "1:2"})),
        (json!({"hostname": "h"}), json!({"Hostname": "h"})),
        (json!({}), json!({"Hostname": null})),
        (
            json!({"uts": "host"}),
            json!({"Hostname": null, "HostConfig": {"UTSMode": "host"}}),
        ),
        (json!({"domainName": "d.e"}), json!({"Domainname": "d.e"})),
        (json!({"tty": true}), json!({"Tty": true})),
        (
            json!({"stdinOpen": true}),
            json!({"OpenStdin": true, "AttachStdin": false, "StdinOnce": false}),
        ),
        (
            json!({"labels": {"not": "these"}}),
            json!({"Labels": {"a": "b", "io.drover.server": "server-1", "not": null}}),
        ),
        (
            json!({"expose": ["80", "53/UDP", "80/tcp"]}),
            json!({"ExposedPorts": {"80/tcp": {}, "53/udp": {}}}),
        ),
        (json!({"stopSignal": "SIGUSR1"}), json!({"StopSignal": "SIGUSR1"})),
        (json!({"stopTimeout": 7}), json!({"StopTimeout": 7})),
        (
            json!({"healthCmd": ["curl -f x"], "healthInterval": 3, "healthTimeout": 2, "healthRetries": 5}),
            json!({"Healthcheck": {"Test": ["CMD-SHELL", "curl -f x"], "Interval": 3_000_000_000_i64, "Timeout": 2_000_000_000, "Retries": 5}}),
        ),
        (
            json!({"healthCmd": ["curl", "x"]}),
            json!({"Healthcheck": {"Test": ["CMD", "curl", "x"], "Interval": null}}),
        ),
        (
            json!({"healthCmd": ["NONE"]}),
            json!({"Healthcheck": {"Test": ["NONE"]}}),
        ),
        (
            json!({"healthRetries": 2}),
            json!({"Healthcheck": {"Test": null, "Retries": 2}}),
        ),
        (json!({}), json!({"Healthcheck": null})),
    ] {
        check_launch(launch, &expected);
    }
}

#[test]
fn each_field_of_the_host_configuration_reaches_its_place() {
    for (launch, expected) in [
        (json!({"publishAllPorts": true}), json!({"PublishAllPorts": true})),
        (json!({"volumeDriver": "nfs"}), json!({"VolumeDriver": "nfs"})),
        (json!({"memory": 8_388_608}), json!({"Memory": 8_388_608})),
        (json!({"memorySwap": -1}), json!({"MemorySwap": -1})),
        (
            json!({"memoryReservation": 4_194_304}),
            json!({"MemoryReservation": 4_194_304}),
        ),
        (json!({"memorySwappiness": 60}), json!({"MemorySwappiness": 60})),
        (json!({"cpuShares": 512}), json!({"CpuShares": 512})),
        (json!({"cpuSet": "0-1"}), json!({"CpusetCpus": "0-1"})),
        (json!({"cpuSetMems": "0"}), json!({"CpusetMems": "0"})),
        (json!({"cpuPeriod": 100_000}), json!({"CpuPeriod": 100_000})),
        (json!({"cpuQuota": 50_000}), json!({"CpuQuota": 50_000})),
        (json!({"cpuRealtimePeriod": 1}), json!({"CpuRealtimePeriod": 1})),
        (json!({"cpuRealtimeRuntime": 2}), json!({"CpuRealtimeRuntime": 2})),
        (json!({"cpuCount": 2}), json!({"CpuCount": 2})),
        (json!({"cpuPercent": 50}), json!({"CpuPercent": 50})),
        (json!({"ioMaximumBandwidth": 9}), json!({"IOMaximumBandwidth": 9})),
        (json!({"ioMaximumIOps": 8}), json!({"IOMaximumIOps": 8})),
        (json!({"isolation": "hyperv"}), json!({"Isolation": "hyperv"})),
        (json!({"capAdd": ["NET_ADMIN"]}), json!({"CapAdd": ["NET_ADMIN"]})),
        (json!({"capDrop": ["ALL"]}), json!({"CapDrop": ["ALL"]})),
        (json!({"privileged": true}), json!({"Privileged": true})),
        (
            json!({"devices": ["/dev/a", "/dev/a:/dev/b", "/dev/a:/dev/b:r", "/dev/a:rw"]}),
            json!({"Devices": [
                {"PathOnHost": "/dev/a", "PathInContainer": "/dev/a", "CgroupPermissions": "rwm"},
                {"PathOnHost": "/dev/a", "PathInContainer": "/dev/b", "CgroupPermissions": "rwm"},
                {"PathOnHost": "/dev/a", "PathInContainer": "/dev/b", "CgroupPermissions": "r"},
                {"PathOnHost": "/dev/a", "PathInContainer": "/dev/a", "CgroupPermissions": "rw"}]}),
        ),
        (json!({"dns": ["8.8.8.8"]}), json!({"Dns": ["8.8.8.8"]})),
        (
            json!({"dnsSearch": ["a.b", "shop.rancher.internal"]}),
            json!({"DnsSearch": ["a.b", "shop.rancher.internal"]}),
        ),
        (json!({"dnsOpt": ["ndots:1"]}), json!({"DnsOptions": ["ndots:1"]})),
        (
            json!({"extraHosts": ["h:1.2.3.4"]}),
            json!({"ExtraHosts": ["h:1.2.3.4"]}),
        ),
        (
            json!({"securityOpt": ["label=disable"]}),
            json!({"SecurityOpt": ["label=disable"]}),
        ),
        (json!({"readOnly": true}), json!({"ReadonlyRootfs": true})),
        (json!({"pidMode": "host"}), json!({"PidMode": "host"})),
        (json!({"ipcMode": "host"}), json!({"IpcMode": "host"})),
        (json!({"uts": "host"}), json!({"UTSMode": "host"})),
        (json!({"usernsMode": "host"}), json!({"UsernsMode": "host"})),
        (
            json!({"logConfig": {"driver": "json-file", "config": {"max-size": "1m"}}}),
            json!({"LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}}}),
        ),
        (
            json!({"logConfig": {"driver": "syslog"}}),
            json!({"LogConfig": {"Type": "syslog", "Config": {}}}),
        ),
        (
            json!({"logConfig": {"driver": "", "config": {}}}),
            json!({"LogConfig": null}),
        ),
        (
            json!({"restartPolicy": {"name": "always", "maximumRetryCount": 0}}),
            json!({"RestartPolicy": {"Name": "always", "MaximumRetryCount": null}}),
        ),
        (
            json!({"restartPolicy": {"name": "on-failure", "maximumRetryCount": 3}}),
            json!({"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}}),
        ),
        (
            json!({"restartPolicy": {"name": "no"}}),
            json!({"RestartPolicy": {"Name": "no"}}),
        ),
        (json!({}), json!({"RestartPolicy": null})),
        (json!({"cgroupParent": "/p"}), json!({"CgroupParent": "/p"})),
        (json!({"groupAdd": ["audio"]}), json!({"GroupAdd": ["audio"]})),
        (json!({"oomKillDisable": true}), json!({"OomKillDisable": true})),
        (json!({"oomScoreAdj": 100}), json!({"OomScoreAdj": 100})),
        (json!({"pidsLimit": 50}), json!({"PidsLimit": 50})),
        (json!({"shmSize": 1_048_576}), json!({"ShmSize": 1_048_576})),
        (
            json!({"storageOpt": {"size": "1G"}}),
            json!({"StorageOpt": {"size": "1G"}}),
        ),
        (
            json!({"sysctls": {"net.core.somaxconn": "10"}}),
            json!({"Sysctls": {"net.core.somaxconn": "10"}}),
        ),
        (json!({"tmpfs": {"/t": "size=1m"}}), json!({"Tmpfs": {"/t": "size=1m"}})),
        (
            json!({"ulimits": [{"name": "nofile", "soft": 10, "hard": 20}, {"name": "nproc", "soft": 5}]}),
            json!({"Ulimits": [{"Name": "nofile", "Soft": 10, "Hard": 20}, {"Name": "nproc", "Soft": 5, "Hard": 5}]}),
        ),
        (json!({"runInit": true}), json!({"Init": true})),
        (json!({"runInit": false}), json!({"Init": null})),
        (json!({"blkioWeight": 300}), json!({"BlkioWeight": 300})),
        (json!({"blkioWeight": 99_999_999}), json!({"BlkioWeight": 65535})),
        (
            json!({"blkioDeviceOptions": {"/dev/sda": {"readIops": 1, "writeIops": 2, "readBps": 3, "writeBps": 4, "weight": 5}, "/dev/sdb": {"readBps": 6}}}),
            json!({
                "BlkioDeviceReadIOps": [{"Path": "/dev/sda", "Rate": 1}],
                "BlkioDeviceWriteIOps": [{"Path": "/dev/sda", "Rate": 2}],
                "BlkioDeviceReadBps": [{"Path": "/dev/sda", "Rate": 3}, {"Path": "/dev/sdb", "Rate": 6}],
                "BlkioDeviceWriteBps": [{"Path": "/dev/sda", "Rate": 4}],
                "BlkioWeightDevice": [{"Path": "/dev/sda", "Weight": 5}]}),
        ),
        (
            json!({"dataVolumes": ["/h:/c:ro", "data:/d", "/e:/f"]}),
            json!({"Binds": ["/h:/c:ro", "data:/d", "/e:/f"]}),
        ),
    ] {
        check_launch(launch, &json!({"HostConfig": expected}));
    }
}

#[test]
fn volumes_go_where_the_engine_wants_them_and_no_path_twice() {
    let mut s = spec(
        json!({"dataVolumes": ["/anon", "/anon", "old:/db", "/h:/c:ro"]}),
        managed(),
    );
    s.volume_mounts = vec![("new".into(), "/db".into())];
    s.volumes_from = vec!["id1".into()];
    check(
        &body(&s),
        &json!({"Volumes": {"/anon": {}}, "HostConfig": {"Binds": ["new:/db", "/h:/c:ro"], "VolumesFrom": ["id1"]}}),
        "volumes",
    );
}

#[test]
fn ports_are_bound_and_exposed() {
    let port = |text: &str| PortSpec::parse(text).unwrap();
    let mut s = spec(json!({"expose": ["90"]}), managed());
    s.ports = vec![
        port("8080:80"),
        port("1.2.3.4:8081:80"),
        port("[::1]:8082:80"),
        port("53/udp"),
    ];
    check(
        &body(&s),
        &json!({
            "ExposedPorts": {"80/tcp": {}, "53/udp": {}, "90/tcp": {}},
            "HostConfig": {"PortBindings": {
                "80/tcp": [{"HostPort": "8080"}, {"HostIp": "1.2.3.4", "HostPort": "8081"}, {"HostIp": "::1", "HostPort": "8082"}],
                "53/udp": [{"HostPort": ""}]}}}),
        "ports",
    );
}

#[test]
fn each_attachment_has_its_own_form() {
    let launch = json!({"hostname": "h", "expose": ["80"], "dns": ["1.1.1.1"], "dnsSearch": ["x.y"], "dnsOpt": ["a"],
        "extraHosts": ["h:1.2.3.4"], "publishAllPorts": true, "netAlias": ["extra"], "ip6": "fd00::7"});
    let port = PortSpec::parse("8080:80").unwrap();
    for (network, expected) in [
        (
            managed(),
            json!({"Hostname": "h",
                "HostConfig": {"NetworkMode": "net1", "Links": null, "DnsSearch": ["x.y", "shop.rancher.internal"]},
                "NetworkingConfig": {"EndpointsConfig": {"net1": {
                    "IPAMConfig": {"IPv4Address": "10.42.0.7", "IPv6Address": "fd00::7"},
                    "Aliases": ["web.shop", "extra"], "Links": ["db.shop:mysql"]}}}}),
        ),
        (
            NetworkAttachment::Bridge {
                links: vec![("id1".into(), "db".into())],
            },
            json!({"Hostname": "h", "NetworkingConfig": null, "HostConfig": {"NetworkMode": "bridge", "Links": ["id1:db"], "DnsSearch": ["x.y"]}}),
        ),
        (
            NetworkAttachment::Bridge { links: vec![] },
            json!({"HostConfig": {"Links": null}}),
        ),
        (
            NetworkAttachment::Host,
            json!({"Hostname": null, "NetworkingConfig": null, "HostConfig": {"NetworkMode": "host", "Dns": ["1.1.1.1"]}}),
        ),
        (
            NetworkAttachment::None,
            json!({"Hostname": "h", "HostConfig": {"NetworkMode": "none"}}),
        ),
        (
            NetworkAttachment::Container("id9".into()),
            json!({"Hostname": null, "ExposedPorts": null, "NetworkingConfig": null, "HostConfig": {
                "NetworkMode": "container:id9", "PortBindings": null, "PublishAllPorts": null, "Dns": null, "DnsSearch": null,
                "DnsOptions": null, "ExtraHosts": null, "Links": null}}),
        ),
    ] {
        let mut s = spec(launch.clone(), network.clone());
        s.ports = vec![port.clone()];
        check(&body(&s), &expected, &format!("{network:?}"));
    }
}
