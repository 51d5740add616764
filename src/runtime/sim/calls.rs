//! What was asked of a simulator, for tests that look.

use super::Sim;

impl Sim {
    /// The calls that ask for an effect, oldest first, such as `start web-1`; at most the last 10,000. None after
    /// [`Sim::without_log`].
    pub fn calls(&self) -> Vec<String> {
        self.shared.lock().log.iter().cloned().collect()
    }

    /// Empties [`Sim::calls`] and returns what was there.
    pub fn take_calls(&self) -> Vec<String> {
        self.shared.lock().log.drain(..).collect()
    }

    /// How often a method of [`Runtime`] was called, by name (`observe`, `start` …).
    pub fn count(&self, method: &str) -> u64 {
        self.shared.lock().counts.get(method).copied().unwrap_or(0)
    }
}
