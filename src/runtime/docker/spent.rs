//! What the machine of an engine elsewhere uses, as far as the engine can tell: what all containers on it use, together. Its
//! other programs are not in it.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bollard::query_parameters::{ListContainersOptionsBuilder, StatsOptionsBuilder};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::Mutex;

use super::stats::sample;
use super::{Inner, SHORT};
use crate::runtime::stats::{Cpu, CpuTimes, Disk, DiskBytes, DiskIo, Memory, Network, Sample, Traffic};
use crate::runtime::{Error, Result};

/// So many containers are asked at most, each second that somebody looks: a part of them would be no sum.
const MOST_SUMMED: usize = 200;
/// Questions to the engine at a time.
const AT_ONCE: usize = 8;
/// How long all of them may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was seen so far. Whoever asks while another does waits, so that an engine is asked by one at a time.
#[derive(Default)]
pub(super) struct Spent(Mutex<Tally>);

/// Sums that never fall: what a container used stays in them when it ends.
#[derive(Default)]
struct Tally {
    ended: Counters,
    last: HashMap<String, Counters>,
}

/// What a container used since it was started.
#[derive(Debug, Clone, Default, PartialEq)]
struct Counters {
    total: u64,
    user: u64,
    system: u64,
    traffic: Traffic,
    /// By the device's number.
    disks: BTreeMap<(u64, u64), DiskBytes>,
}

impl Counters {
    fn of(found: &Sample) -> Self {
        let disks = found.diskio.io_service_bytes.iter();
        Self {
            total: found.cpu.usage.total,
            user: found.cpu.usage.user,
            system: found.cpu.usage.system,
            traffic: found.network.all.clone(),
            disks: disks
                .map(|disk| ((disk.major, disk.minor), disk.stats.clone()))
                .collect(),
        }
    }

    fn add(&mut self, more: &Self) {
        self.total = self.total.saturating_add(more.total);
        self.user = self.user.saturating_add(more.user);
        self.system = self.system.saturating_add(more.system);
        self.traffic.add(&more.traffic);
        for (device, bytes) in &more.disks {
            let sum = self.disks.entry(*device).or_default();
            sum.read = sum.read.saturating_add(bytes.read);
            sum.write = sum.write.saturating_add(bytes.write);
        }
    }
}

impl Tally {
    /// Takes in what runs now, and says what all used, those that ended since the first look too.
    fn count(&mut self, now: HashMap<String, Counters>) -> Counters {
        for (id, before) in &self.last {
            // One that counts from the beginning was started again.
            if now.get(id).is_none_or(|now| now.total < before.total) {
                self.ended.add(before);
            }
        }
        let mut sum = self.ended.clone();
        now.values().for_each(|each| sum.add(each));
        self.last = now;
        sum
    }
}

/// What all containers of an engine use, and how much memory and how many processors its machine has.
pub(super) async fn by_containers(docker: &Inner) -> Result<Sample> {
    let late = |_| Error::Unreachable(format!("no answer within {} s", PATIENCE.as_secs()));
    let mut tally = tokio::time::timeout(PATIENCE, docker.spent.0.lock())
        .await
        .map_err(late)?;
    let (machine, found) = tokio::time::timeout(PATIENCE, ask(docker)).await.map_err(late)??;
    let used = found
        .values()
        .fold(0, |sum: u64, each| sum.saturating_add(each.memory.usage));
    let now = found.iter().map(|(id, each)| (id.clone(), Counters::of(each)));
    let sum = tally.count(now.collect());
    let disks = sum.disks.into_iter();
    Ok(Sample {
        timestamp: String::new(),
        cpu: Cpu {
            usage: CpuTimes::spread(sum.total, machine.processors, sum.user, sum.system),
        },
        memory: Memory {
            usage: used,
            limit: machine.memory,
        },
        // The interfaces are those of containers, and none of the machine's.
        network: Network {
            all: sum.traffic,
            interfaces: None,
        },
        diskio: DiskIo {
            io_service_bytes: disks
                .map(|((major, minor), stats)| Disk { major, minor, stats })
                .collect(),
        },
    })
}

struct Machine {
    memory: u64,
    processors: u64,
}

async fn ask(docker: &Inner) -> Result<(Machine, HashMap<String, Sample>)> {
    let info = docker.call(SHORT, docker.api()?.info()).await?;
    let machine = Machine {
        memory: info.mem_total.and_then(|all| all.try_into().ok()).unwrap_or_default(),
        processors: info.ncpu.and_then(|all| all.try_into().ok()).unwrap_or(1),
    };
    let running = ListContainersOptionsBuilder::default().all(false).build();
    let running = docker.call(SHORT, docker.api()?.list_containers(Some(running))).await?;
    if running.len() > MOST_SUMMED {
        return Err(Error::Failed(format!(
            "{} containers run there: what more than {MOST_SUMMED} use is not summed up",
            running.len()
        )));
    }
    let questions = running.into_iter().filter_map(|listed| {
        let mode = listed.host_config.and_then(|config| config.network_mode);
        // It would say the traffic of the one whose network it is on, and that says it, too.
        let is_guest = mode.is_some_and(|mode| mode.starts_with("container:"));
        Some(one(docker, listed.id?, is_guest))
    });
    let found = stream::iter(questions).buffer_unordered(AT_ONCE);
    let found: Vec<Option<(String, Sample)>> = found.try_collect().await?;
    Ok((machine, found.into_iter().flatten().collect()))
}

/// What a container uses; `None` if it ended meanwhile.
async fn one(docker: &Inner, id: String, is_guest: bool) -> Result<Option<(String, Sample)>> {
    let options = StatsOptionsBuilder::default().stream(false).one_shot(true).build();
    let mut looks = docker.api()?.stats(&id, Some(options));
    let first = async { looks.next().await.transpose() };
    match docker.call(SHORT, first).await {
        Ok(found) => Ok(found.map(|found| {
            let mut found = sample(&found);
            if is_guest {
                found.network = Network::default();
            }
            (id, found)
        })),
        Err(Error::Gone(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(total: u64, rx: u64, read: u64) -> Counters {
        Counters {
            total,
            user: total / 2,
            system: total / 2,
            traffic: Traffic {
                rx_bytes: rx,
                ..Traffic::default()
            },
            disks: BTreeMap::from([((8, 0), DiskBytes { read, write: 1 })]),
        }
    }

    fn now(all: &[(&str, Counters)]) -> HashMap<String, Counters> {
        all.iter().map(|(id, used)| ((*id).to_owned(), used.clone())).collect()
    }

    #[test]
    fn what_a_container_used_stays_counted_when_it_ends_or_starts_again() {
        let mut tally = Tally::default();
        let sum = tally.count(now(&[("a", used(10, 1, 5)), ("b", used(20, 2, 5))]));
        assert_eq!((sum.total, sum.traffic.rx_bytes, sum.disks[&(8, 0)].read), (30, 3, 10));
        let sum = tally.count(now(&[("b", used(24, 3, 5))]));
        assert_eq!((sum.total, sum.user, sum.traffic.rx_bytes), (34, 17, 4), "a has ended");
        let sum = tally.count(now(&[("b", used(2, 1, 0)), ("c", used(6, 0, 0))]));
        assert_eq!((sum.total, sum.traffic.rx_bytes), (10 + 24 + 2 + 6, 5), "b began anew");
        assert_eq!(tally.count(HashMap::new()).total, 42);
        assert_eq!(tally.count(HashMap::new()).total, 42, "once is enough");
    }
}
