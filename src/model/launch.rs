//! A launch configuration: what a container is to be, in the API's own words.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::{ResourceId, SecretReference, own_labels};

/// A `launchConfig`, or the configurable part of a container; read from stored field text.
///
/// Only what the engine and the runtimes act on is here. References are wire ids (`1i5`). Unknown keys are ignored.
#[expect(
    missing_docs,
    reason = "the fields carry the API's own names; the schema documents them"
)]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LaunchConfig {
    /// Sidekick name; none for the primary.
    pub name: Option<String>,
    /// `docker:nginx:1.9`, `sim:web`; without a kind only `rancher/none`.
    pub image_uuid: Option<String>,
    /// Stamped at each upgrade of this configuration; equality decides whether a container is new.
    pub version: Option<String>,
    pub command: Option<Vec<String>>,
    pub entry_point: Option<Vec<String>>,
    #[serde(deserialize_with = "texts")]
    pub environment: Option<BTreeMap<String, String>>,
    pub working_dir: Option<String>,
    pub user: Option<String>,
    pub hostname: Option<String>,
    pub domain_name: Option<String>,
    pub tty: Option<bool>,
    pub stdin_open: Option<bool>,
    #[serde(deserialize_with = "texts")]
    pub labels: Option<BTreeMap<String, String>>,
    pub ports: Option<Vec<String>>,
    pub expose: Option<Vec<String>>,
    pub publish_all_ports: Option<bool>,
    pub data_volumes: Option<Vec<String>>,
    /// Wire ids of containers.
    pub data_volumes_from: Option<Vec<String>>,
    pub data_volumes_from_launch_configs: Option<Vec<String>>,
    /// Path in the container → wire id of a volume.
    pub data_volume_mounts: Option<BTreeMap<String, String>>,
    pub volume_driver: Option<String>,
    pub secrets: Option<Vec<SecretReference>>,
    /// Bytes.
    pub memory: Option<i64>,
    /// Bytes in all; −1 is unlimited.
    pub memory_swap: Option<i64>,
    /// Bytes.
    pub memory_reservation: Option<i64>,
    pub memory_swappiness: Option<i64>,
    pub kernel_memory: Option<i64>,
    pub milli_cpu_reservation: Option<i64>,
    pub cpu_shares: Option<i64>,
    pub cpu_set: Option<String>,
    pub cpu_set_mems: Option<String>,
    pub cpu_period: Option<i64>,
    pub cpu_quota: Option<i64>,
    pub cpu_realtime_period: Option<i64>,
    pub cpu_realtime_runtime: Option<i64>,
    pub cpu_count: Option<i64>,
    pub cpu_percent: Option<i64>,
    pub cap_add: Option<Vec<String>>,
    pub cap_drop: Option<Vec<String>>,
    pub privileged: Option<bool>,
    pub devices: Option<Vec<String>>,
    pub dns: Option<Vec<String>>,
    pub dns_search: Option<Vec<String>>,
    pub dns_opt: Option<Vec<String>>,
    pub extra_hosts: Option<Vec<String>>,
    pub security_opt: Option<Vec<String>>,
    pub read_only: Option<bool>,
    pub pid_mode: Option<String>,
    pub ipc_mode: Option<String>,
    pub uts: Option<String>,
    pub userns_mode: Option<String>,
    pub log_config: Option<LogConfig>,
    pub restart_policy: Option<RestartPolicy>,
    /// `managed` (default), `bridge`, `host`, `none`, `container`; null: no network at all.
    pub network_mode: Option<String>,
    /// Wire id.
    pub network_container_id: Option<String>,
    pub network_launch_config: Option<String>,
    /// Wire ids.
    pub network_ids: Option<Vec<String>>,
    /// Alias → wire id of an instance.
    pub instance_links: Option<BTreeMap<String, String>>,
    /// Wire id.
    pub requested_host_id: Option<String>,
    /// The address to have on the managed network, if it is free.
    pub requested_ip_address: Option<String>,
    /// Wire id.
    pub registry_credential_id: Option<String>,
    pub build: Option<Build>,
    pub start_on_create: Option<bool>,
    pub health_check: Option<HealthCheck>,
    pub count: Option<i64>,
    /// How long connections through balancers may take to end before it is stopped.
    pub drain_timeout_ms: Option<i64>,
    pub blkio_weight: Option<i64>,
    pub blkio_device_options: Option<BTreeMap<String, BlkioDeviceOption>>,
    pub cgroup_parent: Option<String>,
    pub group_add: Option<Vec<String>>,
    pub isolation: Option<String>,
    pub oom_kill_disable: Option<bool>,
    pub oom_score_adj: Option<i64>,
    pub pids_limit: Option<i64>,
    /// Bytes.
    pub shm_size: Option<i64>,
    #[serde(deserialize_with = "texts")]
    pub storage_opt: Option<BTreeMap<String, String>>,
    #[serde(deserialize_with = "texts")]
    pub sysctls: Option<BTreeMap<String, String>>,
    #[serde(deserialize_with = "texts")]
    pub tmpfs: Option<BTreeMap<String, String>>,
    pub ulimits: Option<Vec<Ulimit>>,
    pub run_init: Option<bool>,
    pub stop_signal: Option<String>,
    /// Seconds.
    pub stop_timeout: Option<i64>,
    /// Docker's own health check.
    pub health_cmd: Option<Vec<String>>,
    /// Seconds (1.6's agent multiplies to nanoseconds).
    pub health_interval: Option<i64>,
    /// Seconds.
    pub health_timeout: Option<i64>,
    pub health_retries: Option<i64>,
    pub net_alias: Option<Vec<String>>,
    /// As `requested_ip_address`, which comes first.
    pub ip: Option<String>,
    pub ip6: Option<String>,
    pub io_maximum_bandwidth: Option<i64>,
    #[serde(rename = "ioMaximumIOps")]
    pub io_maximum_iops: Option<i64>,
    pub disk_quota: Option<i64>,
    pub instance_triggered_stop: Option<String>,
    /// Notes of administrators, some of them read by the simulator.
    pub data: Option<serde_json::Map<String, serde_json::Value>>,
}

/// `logConfig`.
#[expect(missing_docs, reason = "the fields carry the API's own names")]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogConfig {
    pub driver: Option<String>,
    #[serde(deserialize_with = "texts")]
    pub config: Option<BTreeMap<String, String>>,
}

/// `restartPolicy`.
#[expect(missing_docs, reason = "the fields carry the API's own names")]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RestartPolicy {
    pub name: Option<String>,
    pub maximum_retry_count: Option<i64>,
}

/// `dockerBuild`.
#[expect(missing_docs, reason = "the fields carry the API's own names")]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Build {
    pub context: Option<String>,
    pub dockerfile: Option<String>,
    pub remote: Option<String>,
    pub nocache: Option<bool>,
    pub rm: Option<bool>,
    pub forcerm: Option<bool>,
    pub tag: Option<String>,
}

/// How the addresses begin of which engines build images.
const REMOTES: [&str; 4] = ["http://", "https://", "git://", "github.com/"];
/// The longest address, and the longest name of a Dockerfile, in bytes.
const LONGEST_REMOTE: usize = 2_048;

/// Whether an engine can be asked to build of this.
pub fn is_remote(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_graphic();
    text.len() <= LONGEST_REMOTE
        && text.chars().all(is_plain)
        && REMOTES
            .iter()
            .any(|begin| text.strip_prefix(begin).is_some_and(|rest| !rest.is_empty()))
}

/// Whether a Dockerfile can be called so in what is built.
pub fn is_dockerfile(text: &str) -> bool {
    let is_inside = |part: &str| part != "..";
    !text.is_empty()
        && text.len() <= LONGEST_REMOTE
        && !text.starts_with('/')
        && !text.contains(|c: char| c.is_control())
        && text.split('/').all(is_inside)
}

/// `ulimit`.
#[expect(missing_docs, reason = "the fields carry the API's own names")]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ulimit {
    pub name: Option<String>,
    pub soft: Option<i64>,
    pub hard: Option<i64>,
}

/// `blkioDeviceOption`.
#[expect(missing_docs, reason = "the fields carry the API's own names")]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BlkioDeviceOption {
    pub read_iops: Option<i64>,
    pub write_iops: Option<i64>,
    pub read_bps: Option<i64>,
    pub write_bps: Option<i64>,
    pub weight: Option<i64>,
}

/// `instanceHealthCheck`: Rancher's own check, made by Drover.
#[expect(missing_docs, reason = "the fields carry the API's own names")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HealthCheck {
    pub name: Option<String>,
    pub port: Option<u16>,
    /// Empty is a TCP connect; else an HTTP request line such as `GET /ping HTTP/1.0`.
    pub request_line: Option<String>,
    /// Milliseconds.
    pub interval: Option<i64>,
    /// Milliseconds.
    pub response_timeout: Option<i64>,
    pub healthy_threshold: Option<i64>,
    pub unhealthy_threshold: Option<i64>,
    /// Milliseconds.
    pub initializing_timeout: Option<i64>,
    /// Milliseconds.
    pub reinitializing_timeout: Option<i64>,
    /// `none`, `recreate`, `recreateOnQuorum`.
    pub strategy: Option<String>,
    pub recreate_on_quorum_strategy_config: Option<Quorum>,
    /// What is run in the container, in place of asking a port. It comes by a label.
    #[serde(skip)]
    pub command: Option<String>,
}

/// `recreateOnQuorumStrategyConfig`.
#[expect(missing_docs, reason = "the fields carry the API's own names")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Quorum {
    pub quorum: Option<i64>,
}

/// Labels that the host of a container has to have: `name=value`, and more of them after commas.
pub const LABEL_HOST: &str = "io.rancher.scheduler.affinity:host_label";
/// Labels that it must not have.
pub const LABEL_HOST_NE: &str = "io.rancher.scheduler.affinity:host_label_ne";
/// The label that makes a service run one unit per host.
pub const LABEL_GLOBAL: &str = "io.rancher.scheduler.global";
/// The label that names the address that a container would like to have.
pub const LABEL_REQUESTED_IP: &str = "io.rancher.container.requested_ip";
/// The label of a container that runs once and stays stopped.
pub const LABEL_START_ONCE: &str = "io.rancher.container.start_once";
/// `always`: pull before each start.
pub const LABEL_PULL_IMAGE: &str = "io.rancher.container.pull_image";

impl LaunchConfig {
    /// How its health is checked: by the command that a label names, at the pace of `healthCheck` if there is one, else by
    /// the port of `healthCheck`.
    pub fn check(&self) -> Option<HealthCheck> {
        let given = self.health_check.clone();
        let Some(command) = self.labels.as_ref().and_then(own_labels::health_command) else {
            return given.filter(|check| check.port.is_some());
        };
        let given = given.unwrap_or_default();
        Some(HealthCheck {
            command: Some(command.to_owned()),
            interval: given.interval.or(Some(own_labels::COMMAND_INTERVAL_MS)),
            response_timeout: given.response_timeout.or(Some(own_labels::COMMAND_TIMEOUT_MS)),
            healthy_threshold: given.healthy_threshold.or(Some(1)),
            unhealthy_threshold: given.unhealthy_threshold.or(Some(own_labels::COMMAND_FAILURES)),
            ..given
        })
    }

    /// A label's value.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.as_ref().and_then(|l| l.get(key)).map(String::as_str)
    }

    /// Whether a boolean label says `true`.
    pub fn has_label_true(&self, key: &str) -> bool {
        self.label(key).is_some_and(|v| v.eq_ignore_ascii_case("true"))
    }

    /// Whether an image is named.
    // Quirk: `rancher/none` is none, and `docker:rancher/none` is one that is named (recorded: `valid_service`).
    pub fn names_image(&self) -> bool {
        self.image_uuid
            .as_deref()
            .is_some_and(|image| !image.trim().is_empty() && !image.eq_ignore_ascii_case("rancher/none"))
    }

    /// Whether there is an image at all: `rancher/none` and nothing mean none.
    pub fn has_image(&self) -> bool {
        self.image_uuid
            .as_deref()
            .is_some_and(|i| !i.trim().is_empty() && !is_none_image(i))
    }
}

/// `rancher/none` in any case, with or without prefix.
pub fn is_none_image(image_uuid: &str) -> bool {
    let plain = image_uuid.strip_prefix("docker:").unwrap_or(image_uuid);
    plain.eq_ignore_ascii_case("rancher/none")
}

/// Whether an image belongs to the simulator.
pub fn is_sim_image(image_uuid: &str) -> bool {
    image_uuid.starts_with("sim:")
}

/// The reference without the `docker:` or `sim:` prefix.
pub fn image_reference(image_uuid: &str) -> &str {
    image_uuid
        .strip_prefix("docker:")
        .or_else(|| image_uuid.strip_prefix("sim:"))
        .unwrap_or(image_uuid)
}

/// A map of texts, in which a null counts as an empty text: clients give one for a variable or a label without a value.
pub fn texts<'de, D: Deserializer<'de>>(from: D) -> Result<Option<BTreeMap<String, String>>, D::Error> {
    let map: Option<BTreeMap<String, Option<String>>> = Option::deserialize(from)?;
    Ok(map.map(|map| {
        map.into_iter()
            .map(|(name, value)| (name, value.unwrap_or_default()))
            .collect()
    }))
}

/// A reference as a number, however its letters look.
pub fn parse_reference(wire: &str) -> Option<ResourceId> {
    super::WireId::parse(wire).map(|w| w.id)
}
