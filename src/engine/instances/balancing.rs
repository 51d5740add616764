//! Containers that are balancers: what they run, and what they have before they start.

use crate::balancer::{config, places};
use crate::model::launch::{LaunchConfig, is_sim_image};
use crate::runtime::FileSpec;

/// By which a program without rights may listen on any port of its own network.
const FIRST_PORT: &str = "net.ipv4.ip_unprivileged_port_start";

/// The end that lets requests end.
const SOFT_STOP: &str = "SIGUSR1";

/// What is run, and as whom, is said here; `check_balancer` in `services` refuses a user's own words about it.
pub(super) fn as_balancer(launch: &mut LaunchConfig) {
    if is_sim_image(launch.image_uuid.as_deref().unwrap_or_default()) {
        return;
    }
    launch.entry_point = Some(vec![places::PROGRAM.into()]);
    launch.command = Some(places::arguments());
    launch.user = Some(format!("{0}:{0}", places::OWNER));
    launch.stop_signal.get_or_insert_with(|| SOFT_STOP.into());
    if matches!(launch.network_mode.as_deref(), Some("managed" | "bridge")) {
        let sysctls = launch.sysctls.get_or_insert_default();
        sysctls.entry(FIRST_PORT.into()).or_insert_with(|| "0".into());
    }
}

/// It listens nowhere until it is told where.
pub(super) fn beginning() -> FileSpec {
    FileSpec {
        path: places::CONFIG.into(),
        owner: places::OWNER,
        text: config::beginning(),
    }
}
