//! Labels by which a launch configuration asks for what Rancher has no field for: `io.drover.…`.

use std::collections::BTreeMap;
use std::time::Duration;

mod aliases;
mod files;
mod jobs;
mod mesh;
mod placement;
mod restarts;
mod rollbacks;
mod surroundings;
mod templates;
mod watches;

pub use aliases::{ALIASES, aliases, check_aliases};
pub use files::{CONFIG, ConfigFile, config_files, wants_configs};
pub use jobs::{JOB, JobRule, MAX_CONCURRENT};
pub use mesh::{MESH_PORTS, MeshPort, check_mesh, mesh_ports, parse_mesh_ports, write_mesh_ports};
pub use placement::{HOST, MAX_PER_HOST, PlacementRule, SPREAD};
pub use restarts::{CONDITION, DELAY, MAX_ATTEMPTS, MOST_IN_WINDOW, RestartRule, Restarts, WINDOW};
pub use rollbacks::{
    ORDER, PARALLELISM, ROLLBACK_DELAY, ROLLBACK_FAILURE_ACTION, ROLLBACK_MAX_FAILURE_RATIO, ROLLBACK_MONITOR,
    RollbackPace,
};
pub use surroundings::{UNSET, VOLUME, VolumeMaker, check_surroundings, unset, volume_maker, volume_makers};
pub use templates::{
    TEMPLATES, TemplateIds, Word, check_templates, filled, is_template, plain_part, refuse_templates, template_ids,
};
use watches::Named;
pub use watches::{FailureAction, Watch};

use super::launch::{LABEL_START_ONCE, LaunchConfig};
use super::schedule::Schedule;
use super::{Error, Result};

/// What an upgrade does when too many new containers fail: `continue`, `pause`, `rollback`.
pub const FAILURE_ACTION: &str = "io.drover.upgrade.failure_action";
/// How long a new container has to stay up (and be healthy) before it counts as good: `10s`.
pub const MONITOR: &str = "io.drover.upgrade.monitor";
/// Which share of the new containers may fail: 0 to 1.
pub const MAX_FAILURE_RATIO: &str = "io.drover.upgrade.max_failure_ratio";
/// So many containers are upgraded first; then the upgrade waits.
pub const CANARY: &str = "io.drover.upgrade.canary";

/// `healthy`: containers start only when the services that theirs is linked to are healthy.
pub const DEPENDS_ON: &str = "io.drover.depends_on";

/// `*/5 * * * *`: when the containers of a service that run once are started anew, in UTC.
pub const SCHEDULE: &str = "io.drover.schedule";

/// What is run in a container to know how it is.
pub const HEALTH_COMMAND: &str = "io.drover.health.command";
/// The longest such command, in bytes.
pub const LONGEST_COMMAND: usize = 4_096;
/// From the begin of one to the begin of the next, where no health check says otherwise.
pub const COMMAND_INTERVAL_MS: i64 = 10_000;
/// How long one may take, where no health check says otherwise.
pub const COMMAND_TIMEOUT_MS: i64 = 5_000;
/// So many failures in a row make a container unhealthy, where no health check says otherwise.
pub const COMMAND_FAILURES: i64 = 3;

/// What all labels about upgrades begin with.
const UPGRADE: &str = "io.drover.upgrade.";
/// What all labels about health begin with.
const HEALTH: &str = "io.drover.health.";
/// Of a launch configuration, where these labels stand.
const FIELD: &str = "launchConfig.labels";

/// How long new containers are watched where a failure has consequences and no other time is given.
pub const DEFAULT_MONITOR: Duration = Duration::from_secs(5);
/// The longest time for which new containers can be watched.
pub const LONGEST_MONITOR: Duration = Duration::from_secs(3_600);
/// The most containers that can be asked for as a canary: a service has no more.
pub const MOST_CANARIES: u32 = 10_000;

/// What the labels of a primary launch configuration say of upgrades to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UpgradePolicy {
    /// How new containers are watched.
    pub watch: Watch,
    /// So many are upgraded first; 0 for no such stop.
    pub canary: u32,
}

impl UpgradePolicy {
    /// Reads the labels. 422 that names the label if one says nothing that can be done.
    pub fn of(labels: &BTreeMap<String, String>) -> Result<Self> {
        let known = [FAILURE_ACTION, MONITOR, MAX_FAILURE_RATIO, CANARY];
        only_known(labels, UPGRADE, &known)?;
        let names = Named {
            action: FAILURE_ACTION,
            monitor: MONITOR,
            ratio: MAX_FAILURE_RATIO,
        };
        let watch = Watch::of(labels, &names, &[FailureAction::Pause, FailureAction::Rollback])?;
        let label = |name: &str| labels.get(name).map(|value| value.trim());
        let canary = label(CANARY).map(|text| {
            let count = text.parse().ok().filter(|n| (1..=MOST_CANARIES).contains(n));
            count.ok_or_else(|| bad(CANARY, "is a number of containers, from 1 to 10000"))
        });
        Ok(Self {
            watch,
            canary: canary.transpose()?.unwrap_or_default(),
        })
    }
}

/// Whether labels say that what the service is linked to has to be healthy first.
pub fn depends_on_healthy(labels: &BTreeMap<String, String>) -> bool {
    labels.contains_key(DEPENDS_ON)
}

/// The command by which a container's health is checked.
pub fn health_command(labels: &BTreeMap<String, String>) -> Option<&str> {
    let command = labels.get(HEALTH_COMMAND)?.trim();
    (1..=LONGEST_COMMAND).contains(&command.len()).then_some(command)
}

/// Checks what a launch configuration of whatever place says of its health. 422 that names the label.
pub fn check_health_command(launch: &LaunchConfig) -> Result<()> {
    let labels = launch.labels.clone().unwrap_or_default();
    only_known(&labels, HEALTH, &[HEALTH_COMMAND])?;
    if !labels.contains_key(HEALTH_COMMAND) {
        return Ok(());
    }
    if health_command(&labels).is_none_or(|command| command.contains('\0')) {
        return Err(bad(HEALTH_COMMAND, "is a command for a shell, of at most 4096 bytes"));
    }
    let line = launch
        .health_check
        .as_ref()
        .and_then(|check| check.request_line.as_deref());
    match line.is_some_and(|line| !line.trim().is_empty()) {
        true => Err(bad(
            HEALTH_COMMAND,
            "does not go with a requestLine: one of them is asked",
        )),
        false => Ok(()),
    }
}

/// When the containers of a service are started anew.
pub fn schedule_of(labels: &BTreeMap<String, String>) -> Option<Schedule> {
    Schedule::parse(labels.get(SCHEDULE)?)
}

fn check_schedule(labels: &BTreeMap<String, String>) -> Result<()> {
    if !labels.contains_key(SCHEDULE) {
        return Ok(());
    }
    if schedule_of(labels).is_none() {
        return Err(bad(
            SCHEDULE,
            "is minute, hour, day of the month, month and day of the week, as in */5 * * * *, for a time that comes",
        ));
    }
    let runs_once = |value: &String| value.eq_ignore_ascii_case("true");
    match labels.get(LABEL_START_ONCE).is_some_and(runs_once) {
        true => Ok(()),
        false => Err(bad(
            SCHEDULE,
            "is for containers that run once: io.rancher.container.start_once=true",
        )),
    }
}

/// Checks the labels of a primary launch configuration. 422 that names the label if one says nothing that can be done.
pub fn check_primary(labels: &BTreeMap<String, String>) -> Result<()> {
    UpgradePolicy::of(labels)?;
    RollbackPace::of(labels)?;
    PlacementRule::of(labels)?;
    JobRule::of(labels)?;
    check_schedule(labels)?;
    match labels.get(DEPENDS_ON).map(|value| value.trim()) {
        None | Some("healthy") => Ok(()),
        Some(_) => Err(bad(DEPENDS_ON, "is healthy, or left out")),
    }
}

/// The labels of a service are those of its primary: a sidekick that says more than its primary says nothing.
pub fn check_sidekick(labels: &BTreeMap<String, String>) -> Result<()> {
    match labels.keys().find(|key| {
        key.starts_with(UPGRADE)
            || key.starts_with(rollbacks::ROLLBACK)
            || key.starts_with(placement::SCHEDULER)
            || key.starts_with(JOB)
            || key.starts_with(mesh::MESH)
            || [DEPENDS_ON, SCHEDULE].contains(&key.as_str())
    }) {
        Some(label) => Err(bad(label, "belongs to the primary launch configuration")),
        None => Ok(()),
    }
}

/// Refuses a label that begins so and is none of these.
fn only_known(labels: &BTreeMap<String, String>, prefix: &str, known: &[&str]) -> Result<()> {
    let mut given = labels.keys().filter(|key| key.starts_with(prefix));
    match given.find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(other) => Err(bad(other, "there is no such label")),
    }
}

/// An error about a label.
fn bad(label: &str, why: &str) -> Error {
    Error::invalid("InvalidOption", FIELD).with_message(format!("label {label}: {why}"))
}

/// `500ms`, `10s`, `2m`, `1h`: a whole number and a unit.
fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "a failed test may panic")]

    use super::*;
    use crate::model::launch::HealthCheck;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let text = |text: &&str| (*text).to_owned();
        pairs
            .iter()
            .map(|(key, value)| (format!("{UPGRADE}{key}"), text(value)))
            .collect()
    }

    #[test]
    fn a_command_says_how_a_container_is() {
        let launch = |value: &str, line: Option<&str>| LaunchConfig {
            labels: Some(BTreeMap::from([(HEALTH_COMMAND.to_owned(), value.to_owned())])),
            health_check: line.map(|line| HealthCheck {
                port: Some(80),
                interval: Some(700),
                request_line: Some(line.to_owned()),
                ..HealthCheck::default()
            }),
            ..LaunchConfig::default()
        };
        let plain = launch(" test -f /well ", None).check().expect("a check");
        assert_eq!(plain.command.as_deref(), Some("test -f /well"));
        assert_eq!(
            [
                plain.interval,
                plain.response_timeout,
                plain.healthy_threshold,
                plain.unhealthy_threshold
            ],
            [Some(10_000), Some(5_000), Some(1), Some(3)]
        );
        let paced = launch("true", Some("")).check().expect("a check");
        assert_eq!((paced.interval, paced.response_timeout), (Some(700), Some(5_000)));
        let longest = "x".repeat(LONGEST_COMMAND);
        for (value, line, is_good) in [
            ("true", None, true),
            ("true", Some(" "), true),
            (longest.as_str(), None, true),
            ("true", Some("GET / HTTP/1.0"), false),
            (" ", None, false),
            ("a\0b", None, false),
            (format!("{longest}x").as_str(), None, false),
        ] {
            assert_eq!(check_health_command(&launch(value, line)).is_ok(), is_good, "{line:?}");
        }
        let labels = BTreeMap::from([("io.drover.health.comand".to_owned(), "true".to_owned())]);
        let misspelt = LaunchConfig {
            labels: Some(labels),
            ..LaunchConfig::default()
        };
        assert!(check_health_command(&misspelt).is_err() && misspelt.check().is_none());
    }

    #[test]
    fn labels_say_how_upgrades_are_watched() {
        let plain = UpgradePolicy::of(&labels(&[])).expect("no labels");
        assert_eq!(plain, UpgradePolicy::default());
        let rollback = UpgradePolicy::of(&labels(&[("failure_action", "rollback")])).expect("one label");
        assert_eq!(rollback.watch.monitor, DEFAULT_MONITOR);
        let all = [
            ("failure_action", "pause"),
            ("monitor", "2m"),
            ("max_failure_ratio", "0.25"),
            ("canary", "3"),
        ];
        let all = UpgradePolicy::of(&labels(&all)).expect("all labels");
        let expected = UpgradePolicy {
            watch: Watch {
                failure_action: FailureAction::Pause,
                monitor: Duration::from_secs(120),
                max_failed_ppm: 250_000,
            },
            canary: 3,
        };
        assert_eq!(all, expected);
        for (text, ppm) in [
            ("0", 0),
            ("1", 1_000_000),
            ("1.0", 1_000_000),
            (".5", 500_000),
            ("0.000001", 1),
        ] {
            let policy = UpgradePolicy::of(&labels(&[("failure_action", "pause"), ("max_failure_ratio", text)]));
            assert_eq!(policy.expect(text).watch.max_failed_ppm, ppm, "{text}");
        }
    }

    #[test]
    fn what_a_label_cannot_mean_is_refused_by_its_name() {
        for (label, value) in [
            ("failure_action", "stop"),
            ("failure_action", ""),
            ("monitor", "10"),
            ("monitor", "-1s"),
            ("monitor", "2h"),
            ("monitor", "99999999999999999999s"),
            ("max_failure_ratio", "1.1"),
            ("max_failure_ratio", "."),
            ("max_failure_ratio", "1e-3"),
            ("max_failure_ratio", "0.1234567"),
            ("canary", "0"),
            ("canary", "some"),
            ("canary", "10001"),
            ("canaries", "1"),
        ] {
            let mut pairs = vec![(label, value)];
            if label == "max_failure_ratio" {
                pairs.push(("failure_action", "rollback"));
            }
            let error = UpgradePolicy::of(&labels(&pairs)).expect_err(value);
            let said = error.external.unwrap_or_default();
            assert!(said.contains(&format!("{UPGRADE}{label}:")), "{label} {value}: {said}");
            assert_eq!(error.field.as_deref(), Some(FIELD));
        }
        assert!(
            UpgradePolicy::of(&labels(&[("max_failure_ratio", "0.5")])).is_err(),
            "a ratio of what goes on anyway"
        );
        assert!(check_sidekick(&labels(&[("canary", "1")])).is_err());
    }

    #[test]
    fn what_is_depended_on_has_to_be_healthy_or_nothing() {
        for (value, is_good) in [("healthy", true), ("started", false), ("", false), ("Healthy", false)] {
            let labels = BTreeMap::from([(DEPENDS_ON.to_owned(), value.to_owned())]);
            assert_eq!(check_primary(&labels).is_ok(), is_good, "{value}");
            assert!(check_sidekick(&labels).is_err());
        }
    }
}
