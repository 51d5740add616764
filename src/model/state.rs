//! The states of machines, as words that the compiler knows.
//!
//! Which states there are is data (`schemas/processes/`); code that decides by one names it here, so that a misspelt
//! state does not compile.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// A state of a row's machine, by its name on the wire; [`State::NONE`] for types without a machine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct State(&'static str);

/// Names that no constant has: those of machines whose states no code asks for.
static OTHERS: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

macro_rules! states {
    ($($constant:ident = $name:literal,)*) => {
        impl State {
            $(
                #[doc = concat!("`", $name, "`")]
                pub const $constant: Self = Self($name);
            )*

            /// Those that have a constant.
            pub const NAMED: &'static [Self] = &[$(Self::$constant),*];

            /// The one of this name. Names come from the machines and from rows that went along them, so there are few.
            pub fn of(name: &str) -> Self {
                match name {
                    "" => Self::NONE,
                    $($name => Self::$constant,)*
                    other => Self::other(other),
                }
            }
        }
    };
}

states! {
    ACTIVATING = "activating",
    ACTIVE = "active",
    BOOTSTRAPPING = "bootstrapping",
    CANCELED_UPGRADE = "canceled-upgrade",
    CANCELED_ROLLBACK = "canceled-rollback",
    CANCELING_UPGRADE = "canceling-upgrade",
    CANCELING_ROLLBACK = "canceling-rollback",
    CREATED = "created",
    CREATING = "creating",
    DEACTIVATING = "deactivating",
    DETACHED = "detached",
    DISCONNECTED = "disconnected",
    DISCONNECTING = "disconnecting",
    ERROR = "error",
    ERRORING = "erroring",
    FINISHING_RECONNECT = "finishing-reconnect",
    FINISHING_UPGRADE = "finishing-upgrade",
    INACTIVE = "inactive",
    MIGRATING = "migrating",
    PROVISIONING = "provisioning",
    PURGED = "purged",
    PURGING = "purging",
    RECONNECTED = "reconnected",
    RECONNECTING = "reconnecting",
    REGISTERING = "registering",
    REMOVED = "removed",
    REMOVING = "removing",
    REQUESTED = "requested",
    RESTARTING = "restarting",
    ROLLING_BACK = "rolling-back",
    RUNNING = "running",
    STARTING = "starting",
    STOPPED = "stopped",
    STOPPING = "stopping",
    UPDATING_ACTIVE = "updating-active",
    UPDATING_INACTIVE = "updating-inactive",
    UPDATING_RUNNING = "updating-running",
    UPDATING_STOPPED = "updating-stopped",
    UPGRADED = "upgraded",
    UPGRADING = "upgrading",
}

impl State {
    /// No state: of a row whose type has no machine.
    pub const NONE: Self = Self("");

    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// Whether there is none.
    pub const fn is_none(self) -> bool {
        self.0.is_empty()
    }

    fn other(name: &str) -> Self {
        let mut others = OTHERS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = others.get(name) {
            return Self(known);
        }
        let kept: &'static str = Box::leak(name.into());
        others.insert(kept);
        Self(kept)
    }
}

impl Default for State {
    fn default() -> Self {
        Self::NONE
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_found_by_its_name_and_is_the_same_each_time() {
        for state in State::NAMED {
            assert_eq!(State::of(state.as_str()), *state);
        }
        assert_eq!(State::of("sleeping"), State::of("sleeping"));
        assert_ne!(State::of("sleeping"), State::of("active"));
        assert!(State::of("").is_none());
    }
}
