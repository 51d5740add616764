//! What labels say of new containers that fail: for how long they are watched, how many may fail, and what is done if more do.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{DEFAULT_MONITOR, LONGEST_MONITOR, bad, parse_duration};
use crate::model::Result;

/// What is done when new containers fail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FailureAction {
    /// They are tried again, for as long as it takes.
    #[default]
    Continue,
    /// It goes no further.
    Pause,
    /// The service goes back to what it was.
    Rollback,
}

impl FailureAction {
    /// Its word in labels.
    fn word(self) -> &'static str {
        match self {
            Self::Continue => "continue",
            Self::Pause => "pause",
            Self::Rollback => "rollback",
        }
    }
}

/// How new containers are watched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Watch {
    /// What is done when too many fail.
    pub failure_action: FailureAction,
    /// How long each is watched.
    pub monitor: Duration,
    /// Which share may fail, in millionths.
    pub max_failed_ppm: u32,
}

/// The labels that say so: of what is done, of the time, of the share.
pub(super) struct Named {
    pub(super) action: &'static str,
    pub(super) monitor: &'static str,
    pub(super) ratio: &'static str,
}

impl Watch {
    /// Reads labels of these names; what is done is one of `actions`, or `continue`.
    ///
    /// # Errors
    /// 422 that names the label if one says nothing that can be done.
    pub(super) fn of(labels: &BTreeMap<String, String>, names: &Named, actions: &[FailureAction]) -> Result<Self> {
        let label = |name: &str| labels.get(name).map(|value| value.trim());
        let words: Vec<&str> = actions.iter().map(|action| action.word()).collect();
        let given = label(names.action).unwrap_or(FailureAction::Continue.word());
        let mut known = actions.iter().copied().chain([FailureAction::Continue]);
        let failure_action = known.find(|action| action.word() == given).ok_or_else(|| {
            let why = format!("is one of continue, {}", words.join(", "));
            bad(names.action, &why)
        })?;
        let monitor = label(names.monitor).map(|text| {
            let time = parse_duration(text).filter(|time| *time <= LONGEST_MONITOR);
            time.ok_or_else(|| bad(names.monitor, "is a time such as 500ms, 10s or 2m, and at most 1h"))
        });
        let ratio = label(names.ratio).map(|text| {
            let why = "is a number from 0 to 1, with at most six decimal places";
            parse_ppm(text).ok_or_else(|| bad(names.ratio, why))
        });
        if failure_action == FailureAction::Continue && ratio.is_some() {
            let why = format!("counts only with {} {}", names.action, words.join(" or "));
            return Err(bad(names.ratio, &why));
        }
        let watched = match failure_action {
            FailureAction::Continue => Duration::ZERO,
            FailureAction::Pause | FailureAction::Rollback => DEFAULT_MONITOR,
        };
        Ok(Self {
            failure_action,
            monitor: monitor.transpose()?.unwrap_or(watched),
            max_failed_ppm: ratio.transpose()?.unwrap_or_default(),
        })
    }
}

/// A number from 0 to 1 in millionths, without a detour over floating point numbers.
fn parse_ppm(text: &str) -> Option<u32> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |digits: &str| digits.chars().all(|c| c.is_ascii_digit());
    if (whole.is_empty() && part.is_empty())
        || whole.len() > 1
        || part.len() > 6
        || !is_number(whole)
        || !is_number(part)
    {
        return None;
    }
    let whole: u32 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let part: u32 = format!("{part:0<6}").parse().ok()?;
    let ppm = whole.checked_mul(1_000_000)?.checked_add(part)?;
    (ppm <= 1_000_000).then_some(ppm)
}
