//! What containers and the machine use: from the engine's own stream, and from this machine's kernel.

use bollard::models::{ContainerBlkioStatEntry, ContainerNetworkStats, ContainerStatsResponse};
use bollard::query_parameters::StatsOptionsBuilder;
use futures_util::StreamExt;
use procfs::{Current, CurrentSI};

use super::failure::failure;
use super::streams::external_id;
use super::{Address, Inner, spent};
use crate::runtime::stats::{
    Cpu, CpuTimes, Disk, DiskBytes, DiskIo, Interface, Memory, Network, Sample, Samples, Traffic,
};
use crate::runtime::{Error, Result};

/// Bytes of a sector, in which the kernel counts whatever the disk has.
const SECTOR: u64 = 512;

pub(super) async fn stats(docker: &Inner, uuid: &str) -> Result<Samples> {
    let id = external_id(docker, uuid).await?;
    let options = StatsOptionsBuilder::default().stream(true).build();
    let stream = docker.api()?.stats(&id, Some(options));
    Ok(stream
        .map(|each| each.map(|found| sample(&found)).map_err(|error| failure(&error)))
        .boxed())
}

pub(super) fn sample(found: &ContainerStatsResponse) -> Sample {
    let cpu = found.cpu_stats.as_ref();
    let usage = cpu.and_then(|cpu| cpu.cpu_usage.as_ref());
    let total = usage.and_then(|usage| usage.total_usage).unwrap_or_default();
    let user = usage.and_then(|usage| usage.usage_in_usermode).unwrap_or_default();
    let system = usage.and_then(|usage| usage.usage_in_kernelmode).unwrap_or_default();
    let online = cpu.and_then(|cpu| cpu.online_cpus).unwrap_or(1);
    let mut times = CpuTimes::spread(total, online.into(), user, system);
    // Version 2 of control groups does not tell processors apart.
    if let Some(each) = usage
        .and_then(|usage| usage.percpu_usage.clone())
        .filter(|all| !all.is_empty())
    {
        times.per_cpu_usage = each;
    }
    let memory = found.memory_stats.as_ref();
    let interfaces = found.networks.iter().flatten().map(|(name, found)| Interface {
        name: name.clone(),
        traffic: traffic(found),
    });
    let disks = found
        .blkio_stats
        .as_ref()
        .and_then(|io| io.io_service_bytes_recursive.as_deref());
    Sample {
        timestamp: found.read.clone().unwrap_or_default(),
        cpu: Cpu { usage: times },
        memory: Memory {
            usage: memory.and_then(|memory| memory.usage).unwrap_or_default(),
            limit: memory.and_then(|memory| memory.limit).unwrap_or_default(),
        },
        network: Network::of(interfaces.collect()),
        diskio: DiskIo {
            io_service_bytes: disks_of(disks.unwrap_or_default()),
        },
    }
}

fn traffic(found: &ContainerNetworkStats) -> Traffic {
    Traffic {
        rx_bytes: found.rx_bytes.unwrap_or_default(),
        rx_packets: found.rx_packets.unwrap_or_default(),
        rx_errors: found.rx_errors.unwrap_or_default(),
        rx_dropped: found.rx_dropped.unwrap_or_default(),
        tx_bytes: found.tx_bytes.unwrap_or_default(),
        tx_packets: found.tx_packets.unwrap_or_default(),
        tx_errors: found.tx_errors.unwrap_or_default(),
        tx_dropped: found.tx_dropped.unwrap_or_default(),
    }
}

/// The engine has a line for each device and direction.
fn disks_of(entries: &[ContainerBlkioStatEntry]) -> Vec<Disk> {
    let mut disks: Vec<Disk> = Vec::new();
    for entry in entries {
        let (major, minor) = (entry.major.unwrap_or_default(), entry.minor.unwrap_or_default());
        let value = entry.value.unwrap_or_default();
        let op = entry.op.as_deref().unwrap_or_default();
        let (read, write) = match op.to_ascii_lowercase().as_str() {
            "read" => (value, 0),
            "write" => (0, value),
            _ => continue,
        };
        match disks.iter_mut().find(|disk| (disk.major, disk.minor) == (major, minor)) {
            Some(disk) => {
                disk.stats.read += read;
                disk.stats.write += write;
            }
            None => disks.push(Disk {
                major,
                minor,
                stats: DiskBytes { read, write },
            }),
        }
    }
    disks
}

/// What the machine uses: the one that this program runs on can be asked itself, of another its engine tells what containers use.
pub(super) async fn machine(docker: &Inner) -> Result<Sample> {
    match docker.address {
        Address::Unix(_) => this_machine().map_err(|error| Error::Failed(format!("reading /proc: {error}"))),
        Address::Tcp(_) | Address::Tls { .. } | Address::Tunnel { .. } => spent::by_containers(docker).await,
    }
}

fn this_machine() -> procfs::ProcResult<Sample> {
    let kernel = procfs::KernelStats::current()?;
    let tick = 1_000_000_000 / procfs::ticks_per_second().max(1);
    let busy = |cpu: &procfs::CpuTime| {
        (
            cpu.user + cpu.nice,
            cpu.system + cpu.irq.unwrap_or(0) + cpu.softirq.unwrap_or(0),
        )
    };
    let (user, system) = busy(&kernel.total);
    let each = kernel
        .cpu_time
        .iter()
        .map(busy)
        .map(|(user, system)| (user + system) * tick);
    let memory = procfs::Meminfo::current()?;
    let free = memory.mem_available.unwrap_or(memory.mem_free);
    let interfaces = procfs::net::dev_status()?
        .into_values()
        .filter(|found| found.name != "lo");
    let disks = procfs::diskstats()?
        .into_iter()
        .filter(|disk| is_whole_disk(&disk.name));
    Ok(Sample {
        timestamp: String::new(),
        cpu: Cpu {
            usage: CpuTimes {
                total: (user + system) * tick,
                per_cpu_usage: each.collect(),
                user: user * tick,
                system: system * tick,
            },
        },
        memory: Memory {
            usage: memory.mem_total.saturating_sub(free),
            limit: memory.mem_total,
        },
        network: Network::of(interfaces.map(interface).collect()),
        diskio: DiskIo {
            io_service_bytes: disks.map(|disk| disk_of(&disk)).collect(),
        },
    })
}

fn interface(found: procfs::net::DeviceStatus) -> Interface {
    Interface {
        traffic: Traffic {
            rx_bytes: found.recv_bytes,
            rx_packets: found.recv_packets,
            rx_errors: found.recv_errs,
            rx_dropped: found.recv_drop,
            tx_bytes: found.sent_bytes,
            tx_packets: found.sent_packets,
            tx_errors: found.sent_errs,
            tx_dropped: found.sent_drop,
        },
        name: found.name,
    }
}

fn disk_of(found: &procfs::DiskStat) -> Disk {
    Disk {
        major: u64::try_from(found.major).unwrap_or_default(),
        minor: u64::try_from(found.minor).unwrap_or_default(),
        stats: DiskBytes {
            read: found.sectors_read * SECTOR,
            write: found.sectors_written * SECTOR,
        },
    }
}

/// Parts of disks, and what lies on others, would count twice.
fn is_whole_disk(name: &str) -> bool {
    std::path::Path::new("/sys/block").join(name).join("device").exists()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    #[test]
    fn what_an_engine_says_is_put_in_cadvisors_words() {
        let found: ContainerStatsResponse = serde_json::from_value(serde_json::json!({
            "cpu_stats": {"cpu_usage": {"total_usage": 900, "usage_in_usermode": 600, "usage_in_kernelmode": 300}, "online_cpus": 3},
            "memory_stats": {"usage": 4096, "limit": 8192},
            "networks": {"eth1": {"rx_bytes": 1, "tx_bytes": 2}, "eth0": {"rx_bytes": 10, "tx_bytes": 20}},
            "blkio_stats": {"io_service_bytes_recursive": [
                {"major": 8, "minor": 0, "op": "read", "value": 5}, {"major": 8, "minor": 0, "op": "Write", "value": 7},
                {"major": 8, "minor": 0, "op": "Total", "value": 12}, {"major": 8, "minor": 16, "op": "Read", "value": 1},
            ]},
        }))
        .unwrap();
        let said = serde_json::to_value(sample(&found)).unwrap();
        assert_eq!(
            said["cpu"],
            serde_json::json!({"usage": {"total": 900, "per_cpu_usage": [300, 300, 300], "user": 600, "system": 300}})
        );
        assert_eq!(said["memory"], serde_json::json!({"usage": 4096, "limit": 8192}));
        assert_eq!(
            (
                &said["network"]["rx_bytes"],
                &said["network"]["interfaces"][0]["name"],
                &said["network"]["interfaces"][1]["tx_bytes"]
            ),
            (&11.into(), &"eth0".into(), &2.into())
        );
        assert_eq!(
            said["diskio"]["io_service_bytes"],
            serde_json::json!([
                {"major": 8, "minor": 0, "stats": {"Read": 5, "Write": 7}},
                {"major": 8, "minor": 16, "stats": {"Read": 1, "Write": 0}},
            ])
        );
    }

    #[test]
    fn this_machine_tells_what_it_uses() {
        let first = this_machine().unwrap();
        assert!(first.cpu.usage.total > 0 && !first.cpu.usage.per_cpu_usage.is_empty());
        assert!(first.memory.usage > 0 && first.memory.usage < first.memory.limit);
    }
}
