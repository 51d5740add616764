//! Whether a server may act: alone always, as one of several only while it leads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The right of one of several servers to act, which it has to renew. What was begun under it may end after it; nothing is begun.
/// A server that stood still for a while finds that it has ended, however long that was.
#[derive(Debug, Clone, Default)]
pub struct Lease(Option<Arc<Until>>);

#[derive(Debug)]
struct Until {
    began: Instant,
    /// Milliseconds from then on for which it is good.
    good_for: AtomicU64,
}

impl Lease {
    /// Of a server that shares nothing: it never ends.
    pub const fn unlimited() -> Self {
        Self(None)
    }

    /// Of one of several, who does not lead yet.
    pub fn ended() -> Self {
        Self(Some(Arc::new(Until {
            began: Instant::now(),
            good_for: AtomicU64::new(0),
        })))
    }

    /// Whether something may be begun now.
    pub fn holds(&self) -> bool {
        let Some(until) = &self.0 else { return true };
        until.passed(Instant::now()) < until.good_for.load(Ordering::Acquire)
    }

    /// It was renewed: asked for at `asked`, for so long.
    pub fn renew(&self, asked: Instant, duration: Duration) {
        if let Some(until) = &self.0 {
            let good_for = until.passed(asked) + millis(duration);
            until.good_for.store(good_for, Ordering::Release);
        }
    }

    /// It is another server's.
    pub fn end(&self) {
        if let Some(until) = &self.0 {
            until.good_for.store(0, Ordering::Release);
        }
    }
}

impl Until {
    fn passed(&self, now: Instant) -> u64 {
        millis(now.saturating_duration_since(self.began))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_good_from_when_it_was_asked_for_until_it_ends() {
        let lease = Lease::ended();
        assert!(!lease.holds());
        let now = Instant::now();
        lease.renew(now, Duration::from_secs(60));
        assert!(lease.holds() && lease.clone().holds());
        lease.renew(now, Duration::ZERO);
        assert!(!lease.holds(), "what was asked for long ago has ended already");
        lease.renew(now, Duration::from_secs(60));
        lease.end();
        assert!(!lease.holds());
    }

    #[test]
    fn a_server_that_shares_nothing_may_always_act() {
        let lease = Lease::unlimited();
        lease.end();
        assert!(lease.holds());
    }
}
