//! What a simulated container was told to do wrong, read from its image and its labels.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::launch::{LaunchConfig, image_reference};

/// The name that the API knows a container by.
const LABEL_NAME: &str = "io.rancher.container.name";

/// A step that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum SimStep {
    Pull,
    Volume,
    Create,
    Start,
    Stop,
    Remove,
}

impl SimStep {
    const ALL: [Self; 6] = [
        Self::Pull,
        Self::Volume,
        Self::Create,
        Self::Start,
        Self::Stop,
        Self::Remove,
    ];

    fn parse(word: &str) -> Option<Self> {
        match word {
            "pull" => Some(Self::Pull),
            "volume" => Some(Self::Volume),
            "create" => Some(Self::Create),
            "start" => Some(Self::Start),
            "stop" => Some(Self::Stop),
            "remove" => Some(Self::Remove),
            _ => None,
        }
    }

    /// What Rancher's simulator calls the command.
    fn command(self) -> &'static str {
        match self {
            Self::Pull => "storage.image.activate",
            Self::Volume => "storage.volume.activate",
            Self::Create => "compute.instance.create",
            Self::Start => "compute.instance.activate",
            Self::Stop => "compute.instance.deactivate",
            Self::Remove => "compute.instance.remove",
        }
    }

    /// The words of Rancher's own simulator, which clients and tests know.
    pub(super) fn failure(self) -> String {
        format!("Failing [{}]", self.command())
    }
}

/// How probes of a container end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Health {
    /// They succeed.
    #[default]
    Healthy,
    /// They fail.
    Unhealthy,
    /// They cannot be made.
    Unreachable,
}

impl Health {
    fn parse(word: &str) -> Option<Self> {
        match word {
            "healthy" => Some(Self::Healthy),
            "unhealthy" => Some(Self::Unhealthy),
            "unreachable" => Some(Self::Unreachable),
            _ => None,
        }
    }
}

/// The knobs of one container or image. Words that mean nothing are ignored: a simulator must not be picky.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Knobs {
    pub(super) fail: Vec<SimStep>,
    /// Only the first so many attempts of a step fail; none is all of them.
    pub(super) fail_times: Option<u32>,
    pub(super) slow: Duration,
    pub(super) exit: Option<(i64, Duration)>,
    pub(super) health: Health,
    /// It vanishes right after its start.
    pub(super) forget: bool,
    /// It vanishes so long after its start.
    pub(super) vanish: Option<Duration>,
    /// Once it runs, the engine does not answer any more.
    pub(super) hang_up: bool,
    /// Once it runs, somebody else's container with this external id runs too.
    pub(super) another: Option<String>,
}

impl Knobs {
    /// The knobs that an image reference carries: `fail[:<step>[:<times>]]`, `slow:<ms>`, `exit:<code>:<ms>`.
    pub(super) fn of_image(image: &str) -> Self {
        let mut knobs = Self::default();
        let named = image.split('@').next().unwrap_or_default();
        let mut words = image_reference(named).split(':');
        match words.next() {
            Some("fail") => {
                let step = words.next();
                knobs.fail = match step {
                    None => vec![SimStep::Start],
                    Some(list) => steps(list),
                };
                knobs.fail_times = words.next().and_then(|n| n.parse().ok());
            }
            Some("slow") => knobs.slow = words.next().and_then(millis).unwrap_or_default(),
            Some("exit") => knobs.exit = exit(words.next(), words.next()),
            Some(_) | None => {}
        }
        knobs
    }

    /// The knobs of a container: those of its image, then Rancher's words, then its labels'.
    pub(super) fn of(launch: &LaunchConfig, labels: &BTreeMap<String, String>) -> Self {
        let mut knobs = Self::of_image(launch.image_uuid.as_deref().unwrap_or_default());
        let label = |key: &str| labels.get(key).map(String::as_str).or_else(|| launch.label(key));
        knobs.hear_rancher(launch, labels);
        if let Some(list) = label("sim.fail") {
            knobs.fail = steps(list);
        }
        if let Some(times) = label("sim.fail.times").and_then(|n| n.trim().parse().ok()) {
            knobs.fail_times = Some(times);
        }
        if let Some(slow) = label("sim.slow").and_then(millis) {
            knobs.slow = slow;
        }
        if let Some(text) = label("sim.exit") {
            let (code, ms) = text.split_once(':').map_or((text, None), |(code, ms)| (code, Some(ms)));
            knobs.exit = exit(Some(code), ms);
        }
        if let Some(health) = label("sim.health").and_then(Health::parse) {
            knobs.health = health;
        }
        knobs
    }

    /// The words of Rancher's simulator, which count wherever they stand: in the name, the environment, the command, the labels or
    /// `data` (cattle: `SimulatorFailedProcessor`, `SimulatorStartStopProcessor`, which search the whole event).
    fn hear_rancher(&mut self, launch: &LaunchConfig, labels: &BTreeMap<String, String>) {
        let Ok(text) = serde_json::to_string(&(launch, labels)) else {
            return;
        };
        let fails = |step: &SimStep| text.contains(&format!("{}::fail", step.command()));
        self.fail.extend(SimStep::ALL.into_iter().filter(fails));
        if !text.contains("sim") {
            return;
        }
        self.forget = text.contains("simForgetImmediately");
        self.hang_up = text.contains("simDisconnectAgent");
        self.vanish = after(&text, "simShutdownAfter\"").map(Duration::from_secs);
        let name = labels.get(LABEL_NAME).map_or("", String::as_str);
        self.another = name
            .split_once("simCreateAnother_")
            .map(|(_, id)| id.to_owned())
            .filter(|id| !id.is_empty());
    }

    /// Whether attempt number `attempt` (from 0) of this step fails.
    pub(super) fn fails(&self, step: SimStep, attempt: u32) -> bool {
        self.fail.contains(&step) && self.fail_times.is_none_or(|times| attempt < times)
    }
}

/// The number that follows a word as the next element of a list or as the value of a key.
fn after(text: &str, word: &str) -> Option<u64> {
    let (_, rest) = text.split_once(word)?;
    let digits = rest.trim_start_matches([',', ':', '"']);
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn steps(list: &str) -> Vec<SimStep> {
    list.split(',').filter_map(|word| SimStep::parse(word.trim())).collect()
}

fn millis(text: &str) -> Option<Duration> {
    text.trim().parse().ok().map(Duration::from_millis)
}

fn exit(code: Option<&str>, ms: Option<&str>) -> Option<(i64, Duration)> {
    let code = code?.trim().parse().ok()?;
    Some((code, ms.and_then(millis).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn images_carry_knobs() {
        let plain = Knobs::default();
        for (image, expected) in [
            ("sim:web", plain.clone()),
            ("sim:failure", plain.clone()),
            ("web", plain.clone()),
            (
                "sim:fail",
                Knobs {
                    fail: vec![SimStep::Start],
                    ..plain.clone()
                },
            ),
            (
                "sim:fail:pull",
                Knobs {
                    fail: vec![SimStep::Pull],
                    ..plain.clone()
                },
            ),
            (
                "sim:fail:start,stop:2",
                Knobs {
                    fail: vec![SimStep::Start, SimStep::Stop],
                    fail_times: Some(2),
                    ..plain.clone()
                },
            ),
            (
                "sim:slow:250",
                Knobs {
                    slow: Duration::from_millis(250),
                    ..plain.clone()
                },
            ),
            ("sim:slow:x", plain.clone()),
            (
                "sim:exit:3:40",
                Knobs {
                    exit: Some((3, Duration::from_millis(40))),
                    ..plain.clone()
                },
            ),
            (
                "sim:exit:3",
                Knobs {
                    exit: Some((3, Duration::ZERO)),
                    ..plain.clone()
                },
            ),
        ] {
            assert_eq!(Knobs::of_image(image), expected, "{image}");
        }
    }

    #[test]
    fn labels_win_over_the_image() {
        let launch = LaunchConfig {
            image_uuid: Some("sim:fail:stop".into()),
            ..LaunchConfig::default()
        };
        for (labels, expected) in [
            (
                &[("sim.fail", "create")][..],
                Knobs {
                    fail: vec![SimStep::Create],
                    ..Knobs::default()
                },
            ),
            (
                &[("sim.fail.times", "3")][..],
                Knobs {
                    fail: vec![SimStep::Stop],
                    fail_times: Some(3),
                    ..Knobs::default()
                },
            ),
            (
                &[("sim.health", "unhealthy")][..],
                Knobs {
                    fail: vec![SimStep::Stop],
                    health: Health::Unhealthy,
                    ..Knobs::default()
                },
            ),
            (
                &[("sim.exit", "7:20"), ("sim.fail", "")][..],
                Knobs {
                    exit: Some((7, Duration::from_millis(20))),
                    ..Knobs::default()
                },
            ),
        ] {
            let map = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            assert_eq!(Knobs::of(&launch, &map), expected, "{labels:?}");
        }
    }

    #[test]
    fn the_words_of_rancher_count_wherever_they_stand() {
        let plain = LaunchConfig {
            image_uuid: Some("sim:one".into()),
            ..LaunchConfig::default()
        };
        let read = |launch: Value| {
            Knobs::of(
                &serde_json::from_value(launch).expect("a launch configuration"),
                &BTreeMap::new(),
            )
        };
        let fails = |steps: &[SimStep]| Knobs {
            fail: steps.to_vec(),
            ..Knobs::default()
        };
        let vanishes = Knobs {
            vanish: Some(Duration::from_secs(5)),
            ..Knobs::default()
        };
        for (launch, expected) in [
            (
                json!({"data": {"compute.instance.activate::fail": true}}),
                fails(&[SimStep::Start]),
            ),
            (
                json!({"environment": {"A": "storage.image.activate::fail"}}),
                fails(&[SimStep::Pull]),
            ),
            (
                json!({"labels": {"storage.volume.activate::fail": "", "compute.instance.remove::fail": ""}}),
                fails(&[SimStep::Volume, SimStep::Remove]),
            ),
            (json!({"command": ["simShutdownAfter", "5"]}), vanishes.clone()),
            (json!({"environment": {"simShutdownAfter": "5"}}), vanishes.clone()),
            (json!({"data": {"simShutdownAfter": 5}}), vanishes),
            (
                json!({"data": {"simForgetImmediately": true}}),
                Knobs {
                    forget: true,
                    ..Knobs::default()
                },
            ),
            (
                json!({"environment": {"simDisconnectAgent": "1"}}),
                Knobs {
                    hang_up: true,
                    ..Knobs::default()
                },
            ),
        ] {
            assert_eq!(read(launch.clone()), expected, "{launch}");
        }
        let named = BTreeMap::from([(LABEL_NAME.to_owned(), "simCreateAnother_abc".to_owned())]);
        assert_eq!(
            Knobs::of(&plain, &named),
            Knobs {
                another: Some("abc".into()),
                ..Knobs::default()
            }
        );
    }
}
