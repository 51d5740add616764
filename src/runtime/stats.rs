//! What a container, or a machine, uses at a moment, in cAdvisor's words: those that Rancher's clients read.

use futures_util::stream::BoxStream;
use serde::Serialize;

use super::Result;

/// One look. All but memory are sums since the container, or the machine, was started.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Sample {
    /// When it was taken (RFC 3339); empty where whoever looks knows.
    pub timestamp: String,
    /// Its processors.
    pub cpu: Cpu,
    /// Its memory.
    pub memory: Memory,
    /// Its network.
    pub network: Network,
    /// Its disks.
    pub diskio: DiskIo,
}

/// How much the processors worked.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Cpu {
    /// The times.
    pub usage: CpuTimes,
}

/// Nanoseconds of a processor.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct CpuTimes {
    /// All.
    pub total: u64,
    /// Of each processor; where only the sum is known, evenly spread, as clients count processors by it.
    pub per_cpu_usage: Vec<u64>,
    /// In programs.
    pub user: u64,
    /// In the kernel.
    pub system: u64,
}

impl CpuTimes {
    /// Times of which only the sum is known.
    pub fn spread(total: u64, processors: u64, user: u64, system: u64) -> Self {
        let share = total.checked_div(processors).unwrap_or_default();
        let processors = usize::try_from(processors).unwrap_or_default();
        Self {
            total,
            per_cpu_usage: vec![share; processors.min(MAX_PROCESSORS)],
            user,
            system,
        }
    }
}

/// No machine is said to have more.
const MAX_PROCESSORS: usize = 4096;

/// Bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Memory {
    /// In use.
    pub usage: u64,
    /// That may be used: the machine's, where nothing less is set.
    pub limit: u64,
}

/// What came and went.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Network {
    /// Over all interfaces.
    #[serde(flatten)]
    pub all: Traffic,
    /// Over each, where they are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interfaces: Option<Vec<Interface>>,
}

impl Network {
    /// The sums are those of the interfaces.
    pub fn of(mut interfaces: Vec<Interface>) -> Self {
        interfaces.sort_by(|a, b| a.name.cmp(&b.name));
        let mut all = Traffic::default();
        for each in &interfaces {
            all.add(&each.traffic);
        }
        Self {
            all,
            interfaces: Some(interfaces),
        }
    }
}

/// An interface of a container or a machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Interface {
    /// As the kernel calls it.
    pub name: String,
    /// What came and went over it.
    #[serde(flatten)]
    pub traffic: Traffic,
}

/// Bytes and packets, in and out.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Traffic {
    /// Bytes in.
    pub rx_bytes: u64,
    /// Packets in.
    pub rx_packets: u64,
    /// Packets in that were broken.
    pub rx_errors: u64,
    /// Packets in that nobody took.
    pub rx_dropped: u64,
    /// Bytes out.
    pub tx_bytes: u64,
    /// Packets out.
    pub tx_packets: u64,
    /// Packets out that could not be sent.
    pub tx_errors: u64,
    /// Packets out that were given up.
    pub tx_dropped: u64,
}

impl Traffic {
    /// Counts the other's in.
    pub(crate) fn add(&mut self, more: &Self) {
        let sums = [
            (&mut self.rx_bytes, more.rx_bytes),
            (&mut self.rx_packets, more.rx_packets),
            (&mut self.rx_errors, more.rx_errors),
            (&mut self.rx_dropped, more.rx_dropped),
            (&mut self.tx_bytes, more.tx_bytes),
            (&mut self.tx_packets, more.tx_packets),
            (&mut self.tx_errors, more.tx_errors),
            (&mut self.tx_dropped, more.tx_dropped),
        ];
        for (sum, more) in sums {
            *sum = sum.saturating_add(more);
        }
    }
}

/// What was read and written.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct DiskIo {
    /// On each device.
    pub io_service_bytes: Vec<Disk>,
}

/// A device.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Disk {
    /// Its number at the kernel, first part.
    pub major: u64,
    /// Its number at the kernel, second part.
    pub minor: u64,
    /// Bytes.
    pub stats: DiskBytes,
}

/// Bytes of a device.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DiskBytes {
    /// Read from it.
    pub read: u64,
    /// Written to it.
    pub write: u64,
}

/// What a container uses, about once a second until it ends.
pub type Samples = BoxStream<'static, Result<Sample>>;
