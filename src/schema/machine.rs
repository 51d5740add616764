//! State machines: which process may start in which state, and where it leads.

use crate::model::State;

/// The states and processes of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The name of the set (`service`, `default`, `instance` …).
    pub name: String,
    /// In the order of the file.
    pub transitions: Vec<Transition>,
    /// The process that `create` (and, for some, `activate`) leads on to without being asked: process → next process.
    pub then: Vec<(String, String)>,
}

/// One edge: a process that starts in some states, passes one and ends in another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The process (`upgrade`); also the action's name.
    pub process: String,
    /// The states it may start in.
    pub from: Vec<State>,
    /// The state while it runs.
    pub via: State,
    /// The state when it is done.
    pub done: State,
    /// The versions whose clients may ask for it; empty is all.
    pub versions: Vec<super::Version>,
    /// It starts no process of its own but wakes the one that runs (a scale change during an upgrade).
    pub joins: bool,
    /// States from which the engine may lead the same way anew, though nobody may ask for it there.
    pub anew: Vec<State>,
}

impl Machine {
    /// The edge that `process` takes from `state`; `None` if it may not start there.
    pub fn start(&self, process: &str, state: State) -> Option<&Transition> {
        self.transitions
            .iter()
            .find(|t| t.process == process && t.from.contains(&state))
    }

    /// The state in which `process` is led anew from `state`, if it may be.
    pub fn anew(&self, process: &str, state: State) -> Option<State> {
        self.transitions
            .iter()
            .find(|t| t.process == process && t.anew.contains(&state))
            .map(|t| t.via)
    }

    /// The edge on which `process` is while in `via`.
    pub fn running(&self, process: &str, via: State) -> Option<&Transition> {
        self.transitions.iter().find(|t| t.process == process && t.via == via)
    }

    /// Whether a process may end in `done`, wherever it starts.
    pub fn may_end(&self, process: &str, done: State) -> bool {
        self.transitions.iter().any(|t| t.process == process && t.done == done)
    }

    /// Whether a row in `state` is on its way somewhere.
    pub fn is_transitioning(&self, state: State) -> bool {
        state == State::REQUESTED || self.transitions.iter().any(|t| t.via == state)
    }

    /// Whether there is such a process at all.
    pub fn has_process(&self, process: &str) -> bool {
        self.transitions.iter().any(|t| t.process == process)
    }

    /// What follows the end of `process` by itself.
    pub fn next(&self, process: &str) -> Option<&str> {
        self.then.iter().find(|(p, _)| p == process).map(|(_, n)| n.as_str())
    }

    /// Whether a client of `version` may ask for `process` in `state`.
    pub fn offers(&self, process: &str, state: State, version: super::Version) -> bool {
        self.transitions.iter().any(|t| {
            t.process == process && (t.versions.is_empty() || t.versions.contains(&version)) && t.from.contains(&state)
        })
    }
}
