//! From a complete specification to the body of `POST /containers/create`. Pure: no engine, no clock.
//!
//! `spec/tests.rs` is the table of fields.

use std::collections::{BTreeMap, HashMap, HashSet};

use bollard::models::{
    ContainerCreateBody, DeviceMapping, EndpointIpamConfig, EndpointSettings, HealthConfig, HostConfig,
    HostConfigIsolationEnum, HostConfigLogConfig, NetworkingConfig, PortBinding, PortMap, ResourcesBlkioWeightDevice,
    ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum, ThrottleDevice,
};

use super::{LABEL_SERVER, image, secrets};
use crate::model::launch::{self, BlkioDeviceOption, LaunchConfig};
use crate::model::own_labels;
use crate::runtime::{ContainerSpec, NetworkAttachment};

/// The unit of Docker's own health check.
const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// The request body for a container.
///
/// Values are passed as given even where this engine will refuse them: its words are better than ours. Left out are
/// `kernelMemory`, `diskQuota` and `lxcConf`, which the engine's API no longer has, and what decides where and when
/// rather than how (`milliCpuReservation`, `requestedHostId`, `startOnCreate`, `count`, `healthCheck` …).
pub fn create_body(spec: &ContainerSpec, server_uuid: &str) -> ContainerCreateBody {
    let launch = &spec.launch;
    let mut labels: HashMap<String, String> = to_map(&spec.labels);
    labels.insert(LABEL_SERVER.to_owned(), server_uuid.to_owned());
    let joined = matches!(spec.network, NetworkAttachment::Container(_));
    let volumes = Volumes::of(spec);
    ContainerCreateBody {
        image: launch.image_uuid.as_deref().map(image::reference),
        cmd: launch.command.clone(),
        entrypoint: launch.entry_point.clone(),
        env: environment(launch),
        working_dir: launch.working_dir.clone(),
        user: launch.user.clone(),
        hostname: hostname(spec),
        domainname: launch.domain_name.clone(),
        tty: launch.tty,
        open_stdin: launch.stdin_open,
        attach_stdin: Some(false),
        stdin_once: Some(false),
        labels: Some(labels),
        exposed_ports: if joined { None } else { exposed_ports(spec) },
        volumes: volumes.anonymous,
        stop_signal: launch.stop_signal.clone(),
        stop_timeout: launch.stop_timeout,
        healthcheck: healthcheck(launch),
        host_config: Some(HostConfig {
            binds: volumes.binds,
            mounts: spec
                .has_secrets
                .then(|| vec![secrets::mount(&spec.uuid, server_uuid, true)]),
            ..host_config(spec)
        }),
        networking_config: networking(spec),
        ..ContainerCreateBody::default()
    }
}

/// What is set; and, without a value, what the image sets and is taken out again.
fn environment(launch: &LaunchConfig) -> Option<Vec<String>> {
    let set = launch.environment.as_ref();
    let is_set = |name: &&str| set.is_some_and(|set| set.contains_key(*name));
    let unset = launch.labels.iter().flat_map(own_labels::unset);
    let unset: Vec<String> = unset.filter(|name| !is_set(name)).map(str::to_owned).collect();
    if set.is_none() && unset.is_empty() {
        return None;
    }
    let set = set.into_iter().flatten().map(|(name, value)| format!("{name}={value}"));
    Some(set.chain(unset).collect())
}

fn host_config(spec: &ContainerSpec) -> HostConfig {
    let launch = &spec.launch;
    // The engine refuses these for a container in another's namespace; the other one's apply.
    let joined = matches!(spec.network, NetworkAttachment::Container(_));
    let blkio = launch.blkio_device_options.as_ref();
    HostConfig {
        port_bindings: if joined { None } else { port_bindings(spec) },
        publish_all_ports: if joined { None } else { launch.publish_all_ports },
        volumes_from: (!spec.volumes_from.is_empty()).then(|| spec.volumes_from.clone()),
        volume_driver: launch.volume_driver.clone(),
        memory: launch.memory,
        memory_swap: launch.memory_swap,
        memory_reservation: launch.memory_reservation,
        memory_swappiness: launch.memory_swappiness,
        cpu_shares: launch.cpu_shares,
        cpuset_cpus: launch.cpu_set.clone(),
        cpuset_mems: launch.cpu_set_mems.clone(),
        cpu_period: launch.cpu_period,
        cpu_quota: launch.cpu_quota,
        cpu_realtime_period: launch.cpu_realtime_period,
        cpu_realtime_runtime: launch.cpu_realtime_runtime,
        cpu_count: launch.cpu_count,
        cpu_percent: launch.cpu_percent,
        io_maximum_bandwidth: launch.io_maximum_bandwidth,
        io_maximum_iops: launch.io_maximum_iops,
        // A number that does not fit becomes one that the engine refuses, with its own words about the range.
        blkio_weight: launch.blkio_weight.map(|w| u16::try_from(w).unwrap_or(u16::MAX)),
        blkio_weight_device: blkio.and_then(weights),
        blkio_device_read_iops: blkio.and_then(|b| rates(b, |o| o.read_iops)),
        blkio_device_write_iops: blkio.and_then(|b| rates(b, |o| o.write_iops)),
        blkio_device_read_bps: blkio.and_then(|b| rates(b, |o| o.read_bps)),
        blkio_device_write_bps: blkio.and_then(|b| rates(b, |o| o.write_bps)),
        cap_add: launch.cap_add.clone(),
        cap_drop: launch.cap_drop.clone(),
        privileged: launch.privileged,
        devices: launch
            .devices
            .as_ref()
            .map(|d| d.iter().map(|text| device(text)).collect()),
        dns: if joined { None } else { launch.dns.clone() },
        dns_search: dns_search(spec),
        dns_options: if joined { None } else { launch.dns_opt.clone() },
        extra_hosts: if joined { None } else { launch.extra_hosts.clone() },
        security_opt: launch.security_opt.clone(),
        readonly_rootfs: launch.read_only,
        pid_mode: launch.pid_mode.clone(),
        ipc_mode: launch.ipc_mode.clone(),
        uts_mode: launch.uts.clone(),
        userns_mode: launch.userns_mode.clone(),
        log_config: launch.log_config.as_ref().and_then(log_config),
        restart_policy: launch.restart_policy.as_ref().and_then(restart_policy),
        network_mode: Some(network_mode(&spec.network)),
        links: bridge_links(&spec.network),
        cgroup_parent: launch.cgroup_parent.clone(),
        group_add: launch.group_add.clone(),
        isolation: launch.isolation.as_deref().and_then(isolation),
        oom_kill_disable: launch.oom_kill_disable,
        oom_score_adj: launch.oom_score_adj,
        pids_limit: launch.pids_limit,
        shm_size: launch.shm_size,
        storage_opt: launch.storage_opt.as_ref().map(to_map),
        sysctls: launch.sysctls.as_ref().map(to_map),
        tmpfs: launch.tmpfs.as_ref().map(to_map),
        ulimits: launch.ulimits.as_ref().map(|u| u.iter().map(ulimit).collect()),
        // Only if it is asked for: the engine may have been told to give every container one.
        init: launch.run_init.filter(|is_asked| *is_asked),
        ..HostConfig::default()
    }
}

fn to_map(map: &BTreeMap<String, String>) -> HashMap<String, String> {
    map.iter().map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// The name asked for, if any: else the engine's own, the short form of its id. None where the engine would refuse one.
fn hostname(spec: &ContainerSpec) -> Option<String> {
    let shares_another = matches!(spec.network, NetworkAttachment::Host | NetworkAttachment::Container(_));
    if shares_another || spec.launch.uts.as_deref() == Some("host") {
        return None;
    }
    spec.launch.hostname.clone().filter(|h| !h.is_empty())
}

fn exposed_ports(spec: &ContainerSpec) -> Option<Vec<String>> {
    let published = spec.ports.iter().map(|p| format!("{}/{}", p.private, p.protocol));
    let exposed = spec.launch.expose.iter().flatten().map(|e| {
        let e = e.trim().to_ascii_lowercase();
        if e.contains('/') { e } else { format!("{e}/tcp") }
    });
    let mut seen = HashSet::new();
    let all: Vec<String> = published.chain(exposed).filter(|p| seen.insert(p.clone())).collect();
    (!all.is_empty()).then_some(all)
}

fn port_bindings(spec: &ContainerSpec) -> Option<PortMap> {
    let mut bindings = PortMap::new();
    for port in &spec.ports {
        let binding = PortBinding {
            host_ip: port.ip.as_deref().map(|ip| ip.trim_matches(['[', ']']).to_owned()),
            // Empty: the engine draws one.
            host_port: Some(port.public.map(|p| p.to_string()).unwrap_or_default()),
        };
        bindings
            .entry(format!("{}/{}", port.private, port.protocol))
            .or_default()
            .get_or_insert_default()
            .push(binding);
    }
    (!bindings.is_empty()).then_some(bindings)
}

/// What `dataVolumes` and the mounts of volume resources come to.
struct Volumes {
    anonymous: Option<Vec<String>>,
    binds: Option<Vec<String>>,
}

impl Volumes {
    fn of(spec: &ContainerSpec) -> Self {
        let mut taken: HashSet<&str> = spec.volume_mounts.iter().map(|(_, path)| path.as_str()).collect();
        let mut binds: Vec<String> = spec
            .volume_mounts
            .iter()
            .map(|(name, path)| format!("{name}:{path}"))
            .collect();
        let mut anonymous = Vec::new();
        for text in spec.launch.data_volumes.iter().flatten() {
            let mut parts = text.split(':');
            let first = parts.next().unwrap_or_default();
            let path = parts.next();
            // Rancher repeats the mounts of volume resources in `dataVolumes`; the engine refuses a path given twice.
            if !taken.insert(path.unwrap_or(first)) {
                continue;
            }
            if path.is_some() {
                binds.push(text.clone())
            } else {
                anonymous.push(text.clone())
            }
        }
        Self {
            anonymous: (!anonymous.is_empty()).then_some(anonymous),
            binds: (!binds.is_empty()).then_some(binds),
        }
    }
}

/// `/host[:/container[:rwm]]`; `/host:rwm` too, as Docker's own command line takes it.
fn device(text: &str) -> DeviceMapping {
    let mut parts = text.split(':');
    let host = parts.next().unwrap_or_default();
    let (inside, permissions) = match (parts.next(), parts.next()) {
        (None, _) => (host, "rwm"),
        (Some(mode), None) if !mode.starts_with('/') => (host, mode),
        (Some(inside), permissions) => (inside, permissions.unwrap_or("rwm")),
    };
    DeviceMapping {
        path_on_host: Some(host.to_owned()),
        path_in_container: Some(inside.to_owned()),
        cgroup_permissions: Some(permissions.to_owned()),
    }
}

fn rates(
    options: &BTreeMap<String, BlkioDeviceOption>,
    of: impl Fn(&BlkioDeviceOption) -> Option<i64>,
) -> Option<Vec<ThrottleDevice>> {
    let rates: Vec<ThrottleDevice> = options
        .iter()
        .filter_map(|(path, o)| {
            of(o).map(|rate| ThrottleDevice {
                path: Some(path.clone()),
                rate: Some(rate),
            })
        })
        .collect();
    (!rates.is_empty()).then_some(rates)
}

fn weights(options: &BTreeMap<String, BlkioDeviceOption>) -> Option<Vec<ResourcesBlkioWeightDevice>> {
    let weigh = |(path, o): (&String, &BlkioDeviceOption)| {
        let weight = o.weight.map(|w| usize::try_from(w).unwrap_or(usize::from(u16::MAX)))?;
        Some(ResourcesBlkioWeightDevice {
            path: Some(path.clone()),
            weight: Some(weight),
        })
    };
    let weights: Vec<_> = options.iter().filter_map(weigh).collect();
    (!weights.is_empty()).then_some(weights)
}

/// A limit given once is both; the engine refuses a hard one below the soft one.
fn ulimit(limit: &launch::Ulimit) -> ResourcesUlimits {
    ResourcesUlimits {
        name: limit.name.clone(),
        soft: limit.soft.or(limit.hard),
        hard: limit.hard.or(limit.soft),
    }
}

fn log_config(config: &launch::LogConfig) -> Option<HostConfigLogConfig> {
    let driver = config.driver.clone().filter(|d| !d.is_empty());
    if driver.is_none() && config.config.as_ref().is_none_or(BTreeMap::is_empty) {
        return None;
    }
    Some(HostConfigLogConfig {
        typ: driver,
        config: Some(config.config.as_ref().map(to_map).unwrap_or_default()),
    })
}

fn restart_policy(policy: &launch::RestartPolicy) -> Option<RestartPolicy> {
    let name = match policy.name.as_deref()? {
        "no" => RestartPolicyNameEnum::NO,
        "always" => RestartPolicyNameEnum::ALWAYS,
        "unless-stopped" => RestartPolicyNameEnum::UNLESS_STOPPED,
        "on-failure" => RestartPolicyNameEnum::ON_FAILURE,
        _ => return None,
    };
    // The engine refuses a count with any other policy; Rancher's clients send a 0 with all of them.
    let counted = name == RestartPolicyNameEnum::ON_FAILURE;
    Some(RestartPolicy {
        name: Some(name),
        maximum_retry_count: policy.maximum_retry_count.filter(|_| counted),
    })
}

fn isolation(word: &str) -> Option<HostConfigIsolationEnum> {
    match word {
        "default" => Some(HostConfigIsolationEnum::DEFAULT),
        "process" => Some(HostConfigIsolationEnum::PROCESS),
        "hyperv" => Some(HostConfigIsolationEnum::HYPERV),
        _ => None,
    }
}

fn healthcheck(launch: &LaunchConfig) -> Option<HealthConfig> {
    let given = launch.health_cmd.is_some()
        || launch.health_interval.is_some()
        || launch.health_timeout.is_some()
        || launch.health_retries.is_some();
    let nanos = |seconds: i64| seconds.saturating_mul(NANOS_PER_SECOND);
    given.then(|| HealthConfig {
        test: launch.health_cmd.as_ref().map(|c| health_test(c)),
        interval: launch.health_interval.map(nanos),
        timeout: launch.health_timeout.map(nanos),
        retries: launch.health_retries,
        ..HealthConfig::default()
    })
}

/// The engine wants to be told how to run it: a lone text is for a shell, several words are a command.
fn health_test(command: &[String]) -> Vec<String> {
    let kind = match command {
        [] => return Vec::new(),
        [first, ..] if matches!(first.as_str(), "NONE" | "CMD" | "CMD-SHELL") => return command.to_vec(),
        [_] => "CMD-SHELL",
        [_, ..] => "CMD",
    };
    std::iter::once(kind.to_owned())
        .chain(command.iter().cloned())
        .collect()
}

fn network_mode(network: &NetworkAttachment) -> String {
    match network {
        NetworkAttachment::Managed { network_id, .. } => network_id.clone(),
        NetworkAttachment::Bridge { .. } => "bridge".to_owned(),
        NetworkAttachment::Host => "host".to_owned(),
        NetworkAttachment::None => "none".to_owned(),
        NetworkAttachment::Container(id) => format!("container:{id}"),
    }
}

fn bridge_links(network: &NetworkAttachment) -> Option<Vec<String>> {
    match network {
        NetworkAttachment::Bridge { links } if !links.is_empty() => Some(links.iter().map(link).collect()),
        NetworkAttachment::Bridge { .. }
        | NetworkAttachment::Managed { .. }
        | NetworkAttachment::Host
        | NetworkAttachment::None
        | NetworkAttachment::Container(_) => None,
    }
}

fn link((target, alias): &(String, String)) -> String {
    format!("{target}:{alias}")
}

fn dns_search(spec: &ContainerSpec) -> Option<Vec<String>> {
    let given: &[String] = match &spec.network {
        NetworkAttachment::Managed { dns_search, .. } => dns_search,
        NetworkAttachment::Container(_) => return None,
        NetworkAttachment::Bridge { .. } | NetworkAttachment::Host | NetworkAttachment::None => &[],
    };
    // The container's own come first.
    let mut all: Vec<String> = Vec::new();
    for domain in spec.launch.dns_search.iter().flatten().chain(given) {
        if !all.contains(domain) {
            all.push(domain.clone());
        }
    }
    (!all.is_empty()).then_some(all)
}

fn networking(spec: &ContainerSpec) -> Option<NetworkingConfig> {
    let NetworkAttachment::Managed {
        network_id,
        ip,
        aliases,
        links,
        ..
    } = &spec.network
    else {
        return None;
    };
    let own = spec.launch.net_alias.iter().flatten();
    let aliases: Vec<String> = aliases.iter().chain(own).cloned().collect();
    let given = |text: &str| Some(text.to_owned()).filter(|t| !t.is_empty());
    let endpoint = EndpointSettings {
        ipam_config: Some(EndpointIpamConfig {
            ipv4_address: given(ip),
            ipv6_address: spec.launch.ip6.as_deref().and_then(given),
            link_local_ips: None,
        }),
        aliases: Some(aliases),
        links: (!links.is_empty()).then(|| links.iter().map(link).collect()),
        ..EndpointSettings::default()
    };
    Some(NetworkingConfig {
        endpoints_config: Some(HashMap::from([(network_id.clone(), endpoint)])),
    })
}

#[cfg(test)]
mod tests;
