//! Every key of a service that is known, and what becomes of it. docs/compose.md has the same table.

use Treatment::{Config, Ignored, Refused, Service, Special};

use super::forms::Form::{self, Bytes, Count, Flag, Hosts, Json, List, Pairs, Seconds, Text, Tmpfs, Ulimits, Words};

/// The file that a key stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum File {
    /// `docker-compose.yml`
    Docker,
    /// `rancher-compose.yml`; what stands there may stand in the other as well.
    Rancher,
}

/// What becomes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treatment {
    /// A field of the launch configuration.
    Config(&'static str, Form),
    /// A field of the service itself.
    Service(&'static str, Form),
    /// Read and written by code of its own; what it comes to.
    Special(&'static str),
    /// Without effect, with a warning; why.
    Ignored(&'static str),
    /// The file is refused; why.
    Refused(&'static str),
}

/// A key of a service.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// Where.
    pub file: File,
    /// What becomes of it.
    pub treatment: Treatment,
}

const fn docker(name: &'static str, treatment: Treatment) -> Key {
    Key {
        name,
        file: File::Docker,
        treatment,
    }
}

const fn rancher(name: &'static str, treatment: Treatment) -> Key {
    Key {
        name,
        file: File::Rancher,
        treatment,
    }
}

const NO_SWARM: &str = "says something to a swarm only";
const NO_FILES: &str = "the server has no files of yours";
const NO_MACHINES: &str = "virtual machines are not part of this build";
const ONE_NETWORK: &str = "all containers of a project are on one network";

/// All of them, by name.
pub const KEYS: &[Key] = &[
    docker("blkio_config", Special("blkioWeight, blkioDeviceOptions")),
    docker("blkio_weight", Config("blkioWeight", Count)),
    docker("blkio_weight_device", Special("blkioDeviceOptions")),
    docker("build", Special("build")),
    docker("cap_add", Config("capAdd", List)),
    docker("cap_drop", Config("capDrop", List)),
    docker("cgroup_parent", Config("cgroupParent", Text)),
    docker("command", Config("command", Words)),
    docker("configs", Refused(NO_FILES)),
    docker("container_name", Ignored("containers are named after their service")),
    docker("cpu_count", Config("cpuCount", Count)),
    docker("cpu_percent", Config("cpuPercent", Count)),
    docker("cpu_period", Config("cpuPeriod", Count)),
    docker("cpu_quota", Config("cpuQuota", Count)),
    docker("cpu_rt_period", Refused("not part of this build")),
    docker("cpu_rt_runtime", Refused("not part of this build")),
    docker("cpu_shares", Config("cpuShares", Count)),
    docker("cpus", Special("cpuQuota, cpuPeriod")),
    docker("cpuset", Config("cpuSet", Text)),
    docker("credential_spec", Refused(NO_FILES)),
    docker("depends_on", Ignored("the order of services follows their links")),
    docker(
        "deploy",
        Special("scale, memory, memoryReservation, cpuQuota, milliCpuReservation, labels"),
    ),
    docker("device_read_bps", Special("blkioDeviceOptions")),
    docker("device_read_iops", Special("blkioDeviceOptions")),
    docker("device_write_bps", Special("blkioDeviceOptions")),
    docker("device_write_iops", Special("blkioDeviceOptions")),
    docker("devices", Config("devices", List)),
    docker("dns", Config("dns", List)),
    docker("dns_opt", Config("dnsOpt", List)),
    docker("dns_search", Config("dnsSearch", List)),
    docker("dockerfile", Refused("images are not built here")),
    docker("domainname", Config("domainName", Text)),
    docker("entrypoint", Config("entryPoint", Words)),
    docker("env_file", Refused(NO_FILES)),
    docker("environment", Special("environment")),
    docker("expose", Config("expose", List)),
    docker("extends", Refused(NO_FILES)),
    docker("external_links", Special("links to services of other stacks")),
    docker("extra_hosts", Config("extraHosts", Hosts)),
    docker("group_add", Config("groupAdd", List)),
    docker(
        "healthcheck",
        Special("healthCmd, healthInterval, healthTimeout, healthRetries"),
    ),
    docker("hostname", Config("hostname", Text)),
    docker("image", Special("imageUuid, the kind of service")),
    docker("init", Config("runInit", Flag)),
    docker("ipc", Config("ipcMode", Text)),
    docker("isolation", Config("isolation", Text)),
    docker("kernel_memory", Refused("not part of this build")),
    docker("labels", Special("labels, sidekicks, selectors")),
    docker("links", Special("links to services of the stack")),
    docker("log_driver", Special("logConfig")),
    docker("log_opt", Special("logConfig")),
    docker("logging", Special("logConfig")),
    docker("mac_address", Refused("not part of this build")),
    docker("mem_limit", Config("memory", Bytes)),
    docker("mem_reservation", Config("memoryReservation", Bytes)),
    docker("mem_swappiness", Config("memorySwappiness", Count)),
    docker("memswap_limit", Config("memorySwap", Bytes)),
    docker("net", Special("networkMode, networkLaunchConfig")),
    docker("network_mode", Special("networkMode, networkLaunchConfig")),
    docker("networks", Ignored(ONE_NETWORK)),
    docker("oom_kill_disable", Config("oomKillDisable", Flag)),
    docker("oom_score_adj", Config("oomScoreAdj", Count)),
    docker("pid", Config("pidMode", Text)),
    docker("pids_limit", Config("pidsLimit", Count)),
    docker("platform", Ignored("the hosts' own is taken")),
    docker("ports", Special("ports")),
    docker("privileged", Config("privileged", Flag)),
    docker("profiles", Ignored("every service of a file is made")),
    docker(
        "pull_policy",
        Ignored("the label io.rancher.container.pull_image says it"),
    ),
    docker("read_only", Config("readOnly", Flag)),
    docker(
        "restart",
        Ignored("a service keeps its containers running; the label io.rancher.container.start_once says otherwise"),
    ),
    docker("runtime", Refused("not part of this build")),
    docker("secrets", Special("secrets of the project, by their names")),
    docker("security_opt", Config("securityOpt", List)),
    docker("shm_size", Config("shmSize", Bytes)),
    docker("stdin_open", Config("stdinOpen", Flag)),
    docker("stop_grace_period", Config("stopTimeout", Seconds)),
    docker("stop_signal", Config("stopSignal", Text)),
    docker("storage_opt", Config("storageOpt", Pairs)),
    docker("sysctls", Config("sysctls", Pairs)),
    docker("tmpfs", Config("tmpfs", Tmpfs)),
    docker("tty", Config("tty", Flag)),
    docker("ulimits", Config("ulimits", Ulimits)),
    docker("user", Config("user", Text)),
    docker("userns_mode", Config("usernsMode", Text)),
    docker("uts", Config("uts", Text)),
    docker("volume_driver", Config("volumeDriver", Text)),
    docker("volumes", Special("dataVolumes, tmpfs")),
    docker("volumes_from", Special("dataVolumesFromLaunchConfigs")),
    docker("working_dir", Config("workingDir", Text)),
    rancher("certs", Special("lbConfig.certificateIds")),
    rancher("default_cert", Special("lbConfig.defaultCertificateId")),
    rancher("disks", Refused(NO_MACHINES)),
    rancher("drain_timeout_ms", Config("drainTimeoutMs", Count)),
    rancher("external_ips", Special("externalIpAddresses")),
    rancher("health_check", Special("healthCheck")),
    rancher("hostname", Special("hostname of an external service")),
    rancher("lb_config", Special("lbConfig")),
    rancher("load_balancer_config", Special("lbConfig")),
    rancher("memory", Refused(NO_MACHINES)),
    rancher("metadata", Service("metadata", Json)),
    rancher("milli_cpu_reservation", Config("milliCpuReservation", Count)),
    rancher(
        "network_driver",
        Refused("services of drivers are made by request only"),
    ),
    rancher("retain_ip", Service("retainIp", Flag)),
    rancher("scale", Service("scale", Count)),
    rancher("scale_policy", Special("scalePolicy")),
    rancher("service_schemas", Ignored("nothing reads it")),
    rancher("start_on_create", Service("startOnCreate", Flag)),
    rancher(
        "storage_driver",
        Refused("services of drivers are made by request only"),
    ),
    rancher("type", Special("the kind of service, where the image does not say it")),
    rancher(
        "upgrade_strategy",
        Special("how the service is upgraded with its stack"),
    ),
    rancher("userdata", Refused(NO_MACHINES)),
    rancher("vcpu", Refused(NO_MACHINES)),
];

/// The keys below `deploy` that mean nothing here.
pub const DEPLOY_IGNORED: &[&str] = &[
    "endpoint_mode",
    "placement",
    "restart_policy",
    "rollback_config",
    "update_config",
];

/// Why they mean nothing.
pub const DEPLOY_REASON: &str = NO_SWARM;

/// The fields of a launch configuration that keys with code of their own say.
const SPECIAL_FIELDS: &[&str] = &[
    "blkioDeviceOptions",
    "build",
    "dataVolumes",
    "dataVolumesFromLaunchConfigs",
    "environment",
    "healthCheck",
    "healthCmd",
    "healthInterval",
    "healthRetries",
    "healthTimeout",
    "imageUuid",
    "labels",
    "logConfig",
    "networkLaunchConfig",
    "networkMode",
    "ports",
    "secrets",
];

/// Whether files say anything of a field of a launch configuration.
pub fn is_config_field(field: &str) -> bool {
    let by_key = |key: &Key| matches!(key.treatment, Config(of, _) if of == field);
    SPECIAL_FIELDS.contains(&field) || KEYS.iter().any(by_key)
}

/// The key of this name in a file.
pub fn find(file: File, name: &str) -> Option<&'static Key> {
    let known = |of: File| KEYS.iter().find(|key| key.file == of && key.name == name);
    match file {
        File::Docker => known(File::Docker).or_else(|| known(File::Rancher)),
        File::Rancher => known(File::Rancher),
    }
}
