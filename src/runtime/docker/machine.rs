//! What this machine says of itself, for an engine that runs on it: its address, and its processors.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};

/// Addresses that are for documentation only, and reached by the route to the world: nothing is sent to them.
const FAR: [(&str, &str); 2] = [("0.0.0.0:0", "203.0.113.1:9"), ("[::]:0", "[2001:db8::1]:9")];

/// The address by which others reach this machine: that of its route to the world, else any that is not loopback.
pub(super) fn own_address() -> Option<IpAddr> {
    let routed = FAR.into_iter().find_map(|(from, to)| {
        let socket = UdpSocket::bind(from).ok()?;
        socket.connect(to).ok()?;
        Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
    });
    routed.or_else(|| {
        let tree = std::fs::read_to_string("/proc/net/fib_trie").ok()?;
        local_addresses(&tree).find(|ip| !ip.is_loopback()).map(IpAddr::V4)
    })
}

/// The addresses that the kernel's own table calls local.
fn local_addresses(tree: &str) -> impl Iterator<Item = Ipv4Addr> {
    let after = tree.lines().skip(1);
    tree.lines().zip(after).filter_map(|(line, next)| {
        let address = line.trim().strip_prefix("|-- ")?.parse().ok()?;
        next.trim().starts_with("/32 host LOCAL").then_some(address)
    })
}

/// What processors the machine has.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Processors {
    /// The fastest now, in MHz.
    pub(super) mhz: Option<f64>,
    pub(super) model: Option<String>,
}

pub(super) fn processors() -> Processors {
    std::fs::read_to_string("/proc/cpuinfo").map_or_else(|_| Processors::default(), |text| read_processors(&text))
}

fn read_processors(text: &str) -> Processors {
    let values = |key: &'static str| {
        text.lines().filter_map(move |line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == key).then(|| value.trim())
        })
    };
    Processors {
        mhz: values("cpu MHz")
            .filter_map(|mhz| mhz.parse::<f64>().ok())
            .filter(|mhz| mhz.is_finite())
            .reduce(f64::max),
        model: values("model name").next().map(str::to_owned),
    }
}

/// A frequency as the API has it. What is no frequency is 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, and a frequency is far from both ends"
)]
pub(super) fn whole(mhz: f64) -> u32 {
    mhz.round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_addresses_are_read_from_the_kernels_table() {
        let tree = "Main:\n     |-- 0.0.0.0\n        /0 universe UNICAST\n           |-- 127.0.0.1\n              /32 host LOCAL\n           \
                    |-- 10.1.2.3\n              /32 host LOCAL\n        |-- 10.1.2.255\n           /32 link BROADCAST\n";
        assert_eq!(
            local_addresses(tree).collect::<Vec<_>>(),
            [Ipv4Addr::LOCALHOST, Ipv4Addr::new(10, 1, 2, 3)]
        );
    }

    #[test]
    fn the_fastest_processor_counts() {
        let text =
            "processor : 0\nmodel name\t: Some CPU @ 2\ncpu MHz\t\t: 1200.5\n\nprocessor : 1\ncpu MHz : 2100.0\n";
        let expected = Processors {
            mhz: Some(2_100.0),
            model: Some("Some CPU @ 2".into()),
        };
        assert_eq!(read_processors(text), expected);
        assert_eq!(read_processors("CPU part : 0xd0c\n"), Processors::default());
    }

    #[test]
    fn an_own_address_is_never_loopback() {
        assert!(own_address().is_none_or(|ip| !ip.is_loopback() && !ip.is_unspecified()));
    }
}
