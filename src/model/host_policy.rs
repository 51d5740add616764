//! What the containers of a project may do to their hosts: a list of allowances. What is not allowed is not.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::launch::LaunchConfig;
use super::own_labels::volume_makers;

/// A `hostPolicy`. Without any allowance containers have what an engine gives everybody, and nothing of the host's.
#[expect(
    missing_docs,
    reason = "the fields carry the API's own names; the schema documents them"
)]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct HostPolicy {
    #[serde(rename = "type", skip_serializing)]
    pub kind: Option<String>,
    #[serde(deserialize_with = "flag")]
    pub privileged: bool,
    #[serde(deserialize_with = "flag")]
    pub pid_host: bool,
    #[serde(deserialize_with = "flag")]
    pub ipc_host: bool,
    #[serde(deserialize_with = "flag")]
    pub network_host: bool,
    #[serde(deserialize_with = "flag")]
    pub uts_host: bool,
    #[serde(deserialize_with = "flag")]
    pub userns_host: bool,
    #[serde(deserialize_with = "flag")]
    pub cgroup_parent: bool,
    #[serde(deserialize_with = "flag")]
    pub isolation: bool,
    #[serde(deserialize_with = "flag")]
    pub oom: bool,
    #[serde(deserialize_with = "flag")]
    pub docker_sock: bool,
    #[serde(deserialize_with = "flag")]
    pub native_containers: bool,
    /// Paths; each stands for what lies below it, too.
    pub devices: Option<Vec<String>>,
    /// Paths like those; with `:ro` for mounts that are read only.
    pub binds: Option<Vec<String>>,
    /// Names; a star at the end stands for any rest. So are those below.
    pub cap_add: Option<Vec<String>>,
    pub sysctls: Option<Vec<String>>,
    pub ulimits: Option<Vec<String>>,
    pub security_opt: Option<Vec<String>>,
    pub log_drivers: Option<Vec<String>>,
    pub volume_drivers: Option<Vec<String>>,
}

/// A null is no.
fn flag<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    Option::deserialize(from).map(|given: Option<bool>| given.unwrap_or_default())
}

/// What an engine gives every container: asking for it again gives nothing more.
const USUAL_CAPABILITIES: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Log drivers that write to the engine's own files only, or nowhere.
const USUAL_LOGS: [&str; 4] = ["", "json-file", "local", "none"];

/// IPC modes that share nothing with others.
const OWN_IPC: [&str; 4] = ["", "none", "private", "shareable"];

/// Where engines listen: who can write there runs what it likes.
const SOCKETS: [&str; 6] = [
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/var/run/containerd/containerd.sock",
    "/run/podman/podman.sock",
    "/var/run/podman/podman.sock",
];

impl HostPolicy {
    /// Reads what a setting says; none allows everything.
    ///
    /// # Errors
    /// It is not the JSON of one, or `null`.
    pub fn parse(text: &str) -> Result<Option<Self>, serde_json::Error> {
        // A list would be read as the fields in their order.
        match serde_json::from_str(text)? {
            serde_json::Value::Null => Ok(None),
            serde_json::Value::Object(policy) => serde_json::from_value(policy.into()).map(Some),
            _ => Err(serde::de::Error::custom("neither an object nor null")),
        }
    }

    /// The first field of a launch configuration that asks for more than is allowed. What it refers to is not looked at.
    pub fn refused(&self, launch: &LaunchConfig) -> Option<&'static str> {
        let is_text = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
        let ipc = launch.ipc_mode.as_deref().unwrap_or_default();
        let isolation = launch.isolation.as_deref().unwrap_or_default();
        let switches = [
            // The engine reads what is built from wherever it is told, with nobody's rights but its own.
            ("build", launch.build.is_some(), false),
            ("privileged", launch.privileged == Some(true), self.privileged),
            ("pidMode", is_text(&launch.pid_mode), self.pid_host),
            ("ipcMode", !OWN_IPC.contains(&ipc), self.ipc_host),
            (
                "networkMode",
                launch.network_mode.as_deref() == Some("host"),
                self.network_host,
            ),
            ("uts", is_text(&launch.uts), self.uts_host),
            ("usernsMode", is_text(&launch.userns_mode), self.userns_host),
            ("cgroupParent", is_text(&launch.cgroup_parent), self.cgroup_parent),
            ("isolation", !matches!(isolation, "" | "default"), self.isolation),
            ("oomKillDisable", launch.oom_kill_disable == Some(true), self.oom),
            ("oomScoreAdj", launch.oom_score_adj.is_some_and(|by| by < 0), self.oom),
        ];
        let switched = switches.iter().find(|(_, asks, may)| *asks && !may);
        switched.map(|(field, ..)| *field).or_else(|| self.refused_list(launch))
    }

    fn refused_list(&self, launch: &LaunchConfig) -> Option<&'static str> {
        let all = |list: &Option<Vec<String>>, may: &dyn Fn(&str) -> bool| list.iter().flatten().all(|text| may(text));
        let keys = |map: &Option<BTreeMap<String, String>>, may: &dyn Fn(&str) -> bool| {
            map.iter().flatten().all(|(name, _)| may(name))
        };
        let driver = |text: &Option<String>| text.clone().unwrap_or_default();
        let log = launch
            .log_config
            .as_ref()
            .map(|log| driver(&log.driver))
            .unwrap_or_default();
        let volumes = driver(&launch.volume_driver);
        let limits = launch.ulimits.iter().flatten();
        let mut limits = limits.filter_map(|limit| limit.name.as_deref());
        let checks = [
            ("devices", all(&launch.devices, &|text| self.allows_device(text))),
            ("capAdd", all(&launch.cap_add, &|name| self.allows_capability(name))),
            (
                "dataVolumes",
                all(&launch.data_volumes, &|text| self.allows_volume(text)),
            ),
            ("sysctls", keys(&launch.sysctls, &|name| names(&self.sysctls, name))),
            ("ulimits", limits.all(|name| names(&self.ulimits, name))),
            (
                "securityOpt",
                all(&launch.security_opt, &|text| self.allows_security(text)),
            ),
            (
                "logConfig",
                USUAL_LOGS.contains(&log.as_str()) || names(&self.log_drivers, &log),
            ),
            ("volumeDriver", self.allows_driver(&volumes, false)),
            ("labels", self.allows_makers(launch)),
        ];
        checks.iter().find(|(_, may)| !may).map(|(field, _)| *field)
    }

    /// Whether volumes may be made as labels say.
    fn allows_makers(&self, launch: &LaunchConfig) -> bool {
        let mut makers = launch.labels.iter().flat_map(volume_makers);
        makers.all(|maker| {
            let driver = if maker.driver.is_empty() {
                "local"
            } else {
                &maker.driver
            };
            self.allows_driver(driver, !maker.options.is_empty())
        })
    }

    fn allows_device(&self, text: &str) -> bool {
        let path = clean(text.split(':').next().unwrap_or_default());
        path.is_some_and(|path| self.devices.iter().flatten().any(|entry| covers(entry, &path)))
    }

    fn allows_capability(&self, name: &str) -> bool {
        USUAL_CAPABILITIES.contains(&name) || names(&self.cap_add, name)
    }

    fn allows_security(&self, text: &str) -> bool {
        let gives_up = matches!(
            text,
            "no-new-privileges" | "no-new-privileges:true" | "no-new-privileges=true"
        );
        gives_up || names(&self.security_opt, text)
    }

    /// Whether a volume of this driver may be used; with `options`, whether it may be given some: by them a driver can mount
    /// whatever the host has.
    pub fn allows_driver(&self, driver: &str, has_options: bool) -> bool {
        matches!(driver, "" | "local") && !has_options || names(&self.volume_drivers, driver)
    }

    /// Whether an entry of `dataVolumes` may be had: a path alone, a volume by its name, or what is bound from the host.
    pub fn allows_volume(&self, text: &str) -> bool {
        let mut parts = text.split(':');
        let source = parts.next().unwrap_or_default();
        let Some(inside) = parts.next() else { return true };
        let mode = parts.next();
        // A letter before a path is a drive, not a volume.
        let is_drive = source.len() == 1 && (inside.starts_with('\\') || mode.is_some());
        let mode = mode.unwrap_or_default();
        !is_path(source) && !is_drive || self.allows_bind(source, mode.split(',').any(|word| word == "ro"))
    }

    /// Whether a volume may have this name: an engine takes a path for what is to be bound.
    pub fn allows_volume_name(&self, name: &str) -> bool {
        !is_path(name) || self.allows_bind(name, false)
    }

    fn allows_bind(&self, source: &str, is_read_only: bool) -> bool {
        let Some(path) = clean(source) else { return false };
        if SOCKETS.contains(&path.as_str()) {
            return self.docker_sock;
        }
        // What is put into a template may be the name of a socket: then all that lies beside it counts.
        let reached = match path.split_once("{{") {
            Some((before, _)) => before
                .rsplit_once('/')
                .map_or("/", |(folder, _)| if folder.is_empty() { "/" } else { folder }),
            None => path.as_str(),
        };
        let holds_sockets = SOCKETS.iter().any(|socket| covers(reached, socket));
        let allows = |entry: &String| match entry.strip_suffix(":ro") {
            Some(entry) => is_read_only && covers(entry, &path),
            None => covers(entry, &path),
        };
        (self.docker_sock || !holds_sockets) && self.binds.iter().flatten().any(allows)
    }
}

/// Whether an engine would not take it for a volume's name.
fn is_path(source: &str) -> bool {
    source.contains(['/', '\\']) || source.starts_with(['.', '~'])
}

/// A path without detours; none if it does not begin at the root, or goes up.
fn clean(path: &str) -> Option<String> {
    let inside = path.strip_prefix('/')?;
    let parts: Vec<&str> = inside.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    (!parts.contains(&"..")).then(|| format!("/{}", parts.join("/")))
}

/// Whether a path is an entry, or lies below it.
fn covers(entry: &str, path: &str) -> bool {
    clean(entry).is_some_and(|entry| {
        entry == "/"
            || path
                .strip_prefix(&entry)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// Whether a list has a name.
fn names(list: &Option<Vec<String>>, name: &str) -> bool {
    list.iter().flatten().any(|entry| match entry.strip_suffix('*') {
        Some(begin) => name.starts_with(begin),
        None => entry == name,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

    use serde_json::{Value, json};

    use super::*;

    fn refused(policy: Value, launch: Value) -> Option<&'static str> {
        let policy: HostPolicy = serde_json::from_value(policy).expect("a policy");
        policy.refused(&serde_json::from_value(launch).expect("a launch configuration"))
    }

    /// `(field, value that reaches the host, policy that allows it)`
    #[test]
    fn each_way_to_the_host_is_refused_unless_it_is_allowed() {
        for (field, value, allowed) in [
            ("privileged", json!(true), json!({"privileged": true})),
            ("pidMode", json!("host"), json!({"pidHost": true})),
            ("ipcMode", json!("host"), json!({"ipcHost": true})),
            ("ipcMode", json!("container:x"), json!({"ipcHost": true})),
            ("networkMode", json!("host"), json!({"networkHost": true})),
            ("uts", json!("host"), json!({"utsHost": true})),
            ("usernsMode", json!("host"), json!({"usernsHost": true})),
            ("cgroupParent", json!("/"), json!({"cgroupParent": true})),
            ("isolation", json!("process"), json!({"isolation": true})),
            ("oomKillDisable", json!(true), json!({"oom": true})),
            ("oomScoreAdj", json!(-1), json!({"oom": true})),
            (
                "devices",
                json!(["/dev/sda:/dev/x:rwm"]),
                json!({"devices": ["/dev/sda"]}),
            ),
            ("devices", json!(["/dev/dri/card0"]), json!({"devices": ["/dev/dri"]})),
            ("capAdd", json!(["KILL", "SYS_ADMIN"]), json!({"capAdd": ["SYS_*"]})),
            (
                "dataVolumes",
                json!(["/x", "v:/x", "/etc:/x"]),
                json!({"binds": ["/etc/"]}),
            ),
            (
                "dataVolumes",
                json!(["/srv/a/b:/x:z,ro"]),
                json!({"binds": ["/srv/a:ro"]}),
            ),
            (
                "dataVolumes",
                json!(["//var//run/./docker.sock:/x"]),
                json!({"dockerSock": true}),
            ),
            (
                "dataVolumes",
                json!(["/var/run:/x"]),
                json!({"dockerSock": true, "binds": ["/"]}),
            ),
            (
                "sysctls",
                json!({"net.core.somaxconn": "1"}),
                json!({"sysctls": ["net.*"]}),
            ),
            (
                "ulimits",
                json!([{"name": "nofile", "soft": 1}]),
                json!({"ulimits": ["nofile"]}),
            ),
            (
                "securityOpt",
                json!(["seccomp=unconfined"]),
                json!({"securityOpt": ["seccomp=unconfined"]}),
            ),
            (
                "logConfig",
                json!({"driver": "syslog"}),
                json!({"logDrivers": ["syslog"]}),
            ),
            ("volumeDriver", json!("nfs"), json!({"volumeDrivers": ["nfs"]})),
            (
                "labels",
                json!({"io.drover.volume.data": r#"{"options": {"type": "none", "o": "bind", "device": "/"}}"#}),
                json!({"volumeDrivers": ["local"]}),
            ),
        ] {
            let launch = json!({field: value});
            assert_eq!(refused(json!({}), launch.clone()), Some(field), "{launch}");
            assert_eq!(refused(allowed.clone(), launch.clone()), None, "{launch} by {allowed}");
        }
    }

    #[test]
    fn what_does_not_reach_the_host_needs_no_allowance() {
        let launch = json!({"privileged": false, "ipcMode": "private", "networkMode": "container", "isolation": "default",
            "oomScoreAdj": 100, "capAdd": ["CHOWN", "NET_BIND_SERVICE"], "capDrop": ["ALL"], "dataVolumes": ["/x", "vol:/y:ro"],
            "securityOpt": ["no-new-privileges"], "logConfig": {"driver": "json-file"}, "volumeDriver": "local",
            "pidMode": "", "devices": [], "sysctls": {}, "readOnly": true, "memory": 1 << 30, "ports": ["80:80"]});
        assert_eq!(refused(json!({}), launch), None);
    }

    #[test]
    fn an_allowance_is_not_stretched() {
        for (policy, launch) in [
            (json!({"binds": ["/srv"]}), json!({"dataVolumes": ["/srv2:/x"]})),
            (json!({"binds": ["/srv"]}), json!({"dataVolumes": ["/srv/../etc:/x"]})),
            (json!({"binds": ["/srv:ro"]}), json!({"dataVolumes": ["/srv:/x"]})),
            (json!({"binds": ["/"]}), json!({"dataVolumes": ["/:/x"]})),
            (json!({"binds": ["/"]}), json!({"dataVolumes": ["/run/docker.sock:/x"]})),
            (json!({"binds": [""]}), json!({"dataVolumes": ["/etc:/x"]})),
            (json!({"binds": ["/srv"]}), json!({"dataVolumes": ["c:\\x:/x"]})),
            (json!({"binds": ["/srv"]}), json!({"dataVolumes": ["./srv:/x"]})),
            (
                json!({"devices": ["/dev/dri"]}),
                json!({"devices": ["/dev/dri/../sda"]}),
            ),
            (json!({"capAdd": ["SYS_TIME"]}), json!({"capAdd": ["ALL"]})),
            (json!({"privileged": null}), json!({"privileged": true})),
        ] {
            assert!(
                refused(policy.clone(), launch.clone()).is_some(),
                "{launch} by {policy}"
            );
        }
    }

    #[test]
    fn a_setting_is_a_policy_or_null() {
        assert_eq!(HostPolicy::parse("null").ok(), Some(None));
        assert_eq!(HostPolicy::parse("{}").ok(), Some(Some(HostPolicy::default())));
        for wrong in ["", "[]", r#"{"privilegd": true}"#, r#"{"binds": "/"}"#] {
            assert!(HostPolicy::parse(wrong).is_err(), "{wrong}");
        }
        let none = HostPolicy::default();
        assert!(none.allows_driver("", false) && none.allows_driver("local", false));
        assert!(!none.allows_driver("local", true) && !none.allows_volume_name("/") && none.allows_volume_name("v"));
    }
}
