//! Labels that say what becomes of a service's container that ended by itself: `io.drover.restart.…`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{JobRule, bad, only_known, parse_duration};
use crate::model::launch::LABEL_START_ONCE;
use crate::model::{Result, Timestamp};

/// What all of them begin with.
const RESTART: &str = "io.drover.restart.";
/// After which ends it is started again: `any`, `on-failure`.
pub const CONDITION: &str = "io.drover.restart.condition";
/// How long after its end: `5s`.
pub const DELAY: &str = "io.drover.restart.delay";
/// How often.
pub const MAX_ATTEMPTS: &str = "io.drover.restart.max_attempts";
/// Which restarts count as attempts: those of the last `2m` before an end.
pub const WINDOW: &str = "io.drover.restart.window";
/// The most attempts that are counted within a time: each of them is remembered.
pub const MOST_IN_WINDOW: u32 = 100;

/// What becomes of a container that ended by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RestartRule {
    /// Whether one that ended well stays as it is.
    pub on_failure_only: bool,
    /// How long after its end it is started again; none is at once, and ever later if it keeps ending.
    pub delay: Option<Duration>,
    /// So often; none is without end.
    pub most: Option<u32>,
    /// How long restarts count; none is for good.
    pub window: Option<Duration>,
}

/// How often a container was started again after it had ended by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Restarts {
    /// In all.
    pub count: u32,
    /// When, the latest of them, where they count for a time only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<Timestamp>,
}

impl Restarts {
    /// Whether there was none.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl RestartRule {
    /// What labels say that were checked before.
    pub fn checked(labels: Option<&BTreeMap<String, String>>) -> Self {
        labels.and_then(|labels| Self::of(labels).ok()).unwrap_or_default()
    }

    /// Reads the labels.
    ///
    /// # Errors
    /// 422 that names the label if one says nothing that can be done.
    pub fn of(labels: &BTreeMap<String, String>) -> Result<Self> {
        let known = [CONDITION, DELAY, MAX_ATTEMPTS, WINDOW];
        let is_job = JobRule::checked(labels).is_job;
        let Some(first) = labels.keys().find(|key| key.starts_with(RESTART)) else {
            return Ok(Self {
                on_failure_only: is_job,
                ..Self::default()
            });
        };
        let runs_once = |value: &String| value.eq_ignore_ascii_case("true");
        if labels.get(LABEL_START_ONCE).is_some_and(runs_once) {
            return Err(bad(first, "is not for containers that run once"));
        }
        only_known(labels, RESTART, &known)?;
        let label = |name: &str| labels.get(name).map(|value| value.trim());
        let time = |name: &str| {
            let time = |text| parse_duration(text).filter(|time| !time.is_zero());
            let why = || bad(name, "is a time such as 500ms, 10s or 2m");
            label(name).map(|text| time(text).ok_or_else(why)).transpose()
        };
        let on_failure_only = match label(CONDITION) {
            None => is_job,
            Some("any") => false,
            Some("on-failure") => true,
            Some(_) => {
                return Err(bad(
                    CONDITION,
                    "is any or on-failure; io.rancher.container.start_once is for none",
                ));
            }
        };
        let count = |text: &str| text.parse().ok().filter(|n: &u32| *n > 0);
        let most = label(MAX_ATTEMPTS)
            .map(|text| count(text).ok_or_else(|| bad(MAX_ATTEMPTS, "is a number of restarts, at least 1")))
            .transpose()?;
        let window = time(WINDOW)?;
        if window.is_some() && most.is_none_or(|most| most > MOST_IN_WINDOW) {
            return Err(bad(WINDOW, "goes with io.drover.restart.max_attempts of at most 100"));
        }
        Ok(Self {
            on_failure_only,
            delay: time(DELAY)?,
            most,
            window,
        })
    }

    /// Whether a container that ended so, at that time and after so many restarts, stays as it is.
    pub fn leaves(&self, code: Option<i64>, ended_at: Timestamp, restarts: &Restarts) -> bool {
        let counted = match self.window {
            None => restarts.count,
            Some(window) => {
                let counts = |at: &&Timestamp| ended_at.since(**at) <= window;
                u32::try_from(restarts.at.iter().filter(counts).count()).unwrap_or(u32::MAX)
            }
        };
        self.on_failure_only && code == Some(0) || self.most.is_some_and(|most| counted >= most)
    }

    /// One restart more.
    pub fn note(&self, restarts: &mut Restarts, now: Timestamp) {
        restarts.count = restarts.count.saturating_add(1);
        let (Some(_), Some(most)) = (self.window, self.most) else {
            return;
        };
        restarts.at.push(now);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        restarts.at.drain(..restarts.at.len().saturating_sub(most));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    fn rule(pairs: &[(&str, &str)]) -> Result<RestartRule> {
        let pairs = pairs
            .iter()
            .map(|(key, value)| (format!("{RESTART}{key}"), (*value).to_owned()));
        RestartRule::of(&pairs.collect())
    }

    #[test]
    fn a_rule_says_which_ends_are_final() {
        let plain = rule(&[]).unwrap();
        assert_eq!(plain, RestartRule::default());
        let failing = rule(&[("condition", "on-failure"), ("delay", "2m"), ("max_attempts", "2")]).unwrap();
        assert_eq!(failing.delay, Some(Duration::from_secs(120)));
        let (mut restarts, now) = (Restarts::default(), Timestamp(1_000_000));
        assert!(failing.leaves(Some(0), now, &restarts) && !failing.leaves(Some(1), now, &restarts));
        assert!(!failing.leaves(None, now, &restarts), "nobody knows that it went well");
        failing.note(&mut restarts, now);
        assert!(!failing.leaves(Some(1), now, &restarts));
        failing.note(&mut restarts, now);
        assert!(failing.leaves(Some(1), now, &restarts) && restarts.at.is_empty());
    }

    #[test]
    fn within_a_window_only_its_restarts_count() {
        let rule = rule(&[("max_attempts", "2"), ("window", "10s")]).unwrap();
        let mut restarts = Restarts::default();
        for second in [0, 6, 8] {
            rule.note(&mut restarts, Timestamp(second * 1_000));
        }
        assert_eq!(restarts.at.len(), 2, "as many as are counted");
        assert!(rule.leaves(Some(1), Timestamp(9_000), &restarts));
        assert!(rule.leaves(Some(1), Timestamp(16_000), &restarts));
        assert!(!rule.leaves(Some(1), Timestamp(16_001), &restarts));
    }

    #[test]
    fn what_says_nothing_is_refused() {
        for pairs in [
            &[("condition", "none")][..],
            &[("conditions", "any")],
            &[("delay", "5")],
            &[("delay", "0s")],
            &[("max_attempts", "0")],
            &[("max_attempts", "-1")],
            &[("window", "10s")],
            &[("window", "10s"), ("max_attempts", "101")],
        ] {
            let said = rule(pairs).unwrap_err().external.unwrap_or_default();
            assert!(said.contains(&format!("{RESTART}{}:", pairs[0].0)), "{pairs:?}: {said}");
        }
        let once = [(DELAY, "5s"), (LABEL_START_ONCE, "True")];
        let once = once.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert!(RestartRule::of(&once.into_iter().collect()).is_err());
    }
}
