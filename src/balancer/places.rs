//! Where everything is in a balancer's container.

/// The folder of all that is here.
pub const HOME: &str = "/drover";

/// What HAProxy runs by.
pub const CONFIG: &str = "/drover/haproxy.cfg";

/// What is checked before it runs by it.
pub const NEXT: &str = "/drover/next.cfg";

/// Files with certificates and keys.
pub const CERTIFICATES: &str = "/drover/certificates";

/// The table and the places that the configuration was made of.
pub const STATE: &str = "/drover/state.json";

/// Where HAProxy's process that serves is asked and told.
pub const STATISTICS: &str = "/drover/statistics.sock";

/// Where the one is told that begins it anew.
pub const MASTER: &str = "/drover/master.sock";

/// Nobody, on all systems that have one.
pub const OWNER: u32 = 65534;

/// What a balancer's container runs.
pub const PROGRAM: &str = "haproxy";

/// With these words: a process that begins others, and can be told to begin a new one.
pub fn arguments() -> Vec<String> {
    let master = format!("{MASTER},mode,600");
    ["-W", "-db", "-S", &master, "-f", CONFIG].map(str::to_owned).to_vec()
}
