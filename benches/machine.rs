//! What the kernel says about a process, and starting servers on a core of their own.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The kernel counts processor time in hundredths of a second on every Linux that this runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// The core of the server that is measured; the loader has [`LOADER_CORE`].
const SERVER_CORE: &str = "0";
const LOADER_CORE: &str = "1";

/// A server of ours that runs as a process.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

/// Whether a server has a core of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Cores {
    One,
    All,
}

impl Server {
    /// Starts a program; `{address}` in its arguments is where it is to listen. Waits until it accepts connections.
    pub fn start(program: &Path, arguments: &[&str], cores: Cores) -> Self {
        let mut server = Self::spawn(program, arguments, cores);
        let started = Instant::now();
        while TcpStream::connect(server.address).is_err() {
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "{} does not listen",
                program.display()
            );
            assert!(
                server.child.try_wait().ok().flatten().is_none(),
                "{} ended at once",
                program.display()
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        server
    }

    /// Starts a program and does not wait.
    pub fn spawn(program: &Path, arguments: &[&str], cores: Cores) -> Self {
        let address = free_address();
        let arguments: Vec<String> = arguments
            .iter()
            .map(|a| a.replace("{address}", &address.to_string()))
            .collect();
        let mut command = match cores == Cores::One && has_taskset() {
            true => {
                let mut command = Command::new("taskset");
                command.args(["-c", SERVER_CORE]).arg(program);
                command
            }
            false => Command::new(program),
        };
        command
            .args(arguments)
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let child = command
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {}: {e}", program.display()));
        Self { child, address }
    }

    /// Processor time used so far, in seconds, user and system.
    pub fn cpu(&self) -> f64 {
        cpu(self.child.id())
    }

    /// Processor time that the threads of now have used so far, in seconds: to the nanosecond, where [`Server::cpu`] counts
    /// hundredths. What a thread used that has ended is not in it.
    pub fn cpu_of_threads(&self) -> f64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("the server runs");
        let of_thread = |folder: std::path::PathBuf| {
            let text = fs::read_to_string(folder.join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<f64>().ok()
        };
        let nanoseconds = tasks.flatten().filter_map(|task| of_thread(task.path()));
        nanoseconds.sum::<f64>() / 1e9
    }

    /// Bytes written to disks so far.
    pub fn written(&self) -> u64 {
        self.number("io", "write_bytes:")
    }

    /// Memory that is the process's own (no file pages), in MiB.
    pub fn own_memory(&self) -> f64 {
        self.number("status", "RssAnon:") as f64 / 1024.0
    }

    fn number(&self, file: &str, key: &str) -> u64 {
        number(self.child.id(), file, key)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let told = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        let started = Instant::now();
        while told.is_ok() && started.elapsed() < Duration::from_secs(20) {
            if self.child.try_wait().ok().flatten().is_some() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processor time that a process used so far, in seconds, user and system.
pub fn cpu(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("it runs");
    // The name, in parentheses, may contain anything; what follows are numbers.
    let numbers: Vec<&str> = stat
        .rsplit(')')
        .next()
        .expect("a name in parentheses")
        .split_whitespace()
        .collect();
    let ticks = |at: usize| numbers[at].parse::<f64>().expect("a number of ticks");
    (ticks(11) + ticks(12)) / TICKS_PER_SECOND
}

/// A number that the kernel says of a process.
pub fn number(process: u32, file: &str, key: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/{file}")).expect("it runs");
    let line = text.lines().find(|l| l.starts_with(key)).expect("a line of the kernel");
    line.split_whitespace()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .expect("a number")
}

pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .expect("a free port")
}

fn has_taskset() -> bool {
    Command::new("taskset")
        .arg("-V")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success())
}

/// Keeps this process, the loader, off the server's core.
pub fn pin_loader() {
    let pid = std::process::id().to_string();
    let _ = Command::new("taskset")
        .args(["-a", "-c", "-p", LOADER_CORE, &pid])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

/// Lets this process run everywhere again, and what it starts.
pub fn unpin_loader() {
    let pid = std::process::id().to_string();
    let _ = Command::new("taskset")
        .args(["-a", "-c", "-p", "0-1023", &pid])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

/// The load averages, as the kernel writes them.
pub fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// How often this disk can make 4 KiB durable: `(per second, median in microseconds)`.
pub fn sync_rate(folder: &Path) -> (f64, f64) {
    use std::os::unix::fs::FileExt as _;
    let path = folder.join("sync");
    let file = fs::File::create(&path).expect("a writable folder");
    let mut took = Vec::new();
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(1) {
        let one = Instant::now();
        file.write_all_at(&[7; 4096], took.len() as u64 % 256 * 4096)
            .expect("a writable file");
        file.sync_data().expect("a disk that syncs");
        took.push(one.elapsed().as_secs_f64() * 1e6);
    }
    let rate = took.len() as f64 / started.elapsed().as_secs_f64();
    let _ = fs::remove_file(path);
    (rate, median(&mut took))
}

/// The one in the middle.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
