//! What is noted of a container that ended by itself, and of one that starts after that.

use crate::model::launch::LABEL_START_ONCE;
use crate::model::own_labels::RestartRule;
use crate::model::{Resource, Timestamp};
use crate::plan;

use super::container_rows::{InstanceNotes, launch_of};

impl InstanceNotes {
    /// It ended by itself: one more time, if it was soon after its start.
    pub(crate) fn note_exit(&mut self, code: Option<i64>, now: Timestamp) {
        let is_short = self.up_since.is_some_and(|up| now.since(up) < plan::STEADY);
        self.exits = if is_short { self.exits.saturating_add(1) } else { 0 };
        self.exited_at = Some(now);
        self.exit_code = code;
    }

    /// It starts: once more, where that is counted and it ended by itself before.
    pub(crate) fn note_start(&mut self, rule: &RestartRule, now: Timestamp) {
        let ended = self.exited_at.filter(|at| self.up_since.is_none_or(|up| *at >= up));
        if rule.most.is_some() && ended.is_some() {
            rule.note(&mut self.restarts, now);
        }
        self.up_since = Some(now);
    }

    /// It ended by itself, and that is all there is to it.
    pub(crate) fn note_end(&mut self, code: Option<i64>, now: Timestamp) {
        self.exits = 0;
        self.exited_at = Some(now);
        self.exit_code = code;
    }

    /// How it keeps ending, for people; nothing if it does not.
    pub(crate) fn exits_in_words(&self) -> Option<String> {
        let code = match self.exit_code {
            Some(code) => format!("exited with code {code}"),
            None => "exited".to_owned(),
        };
        match self.exits {
            0 => None,
            1 => Some(code),
            times => Some(format!("{code}, {times} times in a row")),
        }
    }
}

/// Whether a container of a service that ended by itself is left as it is.
pub(crate) fn is_left(row: &Resource, note: &InstanceNotes) -> bool {
    let Ok(launch) = launch_of(row) else { return false };
    let rule = RestartRule::checked(launch.labels.as_ref());
    let ended = note.exited_at;
    launch.has_label_true(LABEL_START_ONCE) || ended.is_some_and(|at| rule.leaves(note.exit_code, at, &note.restarts))
}
