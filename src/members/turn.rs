//! Whose turn it is to lead: a thread that keeps this server's place among the others, so that nothing else it does is in the way.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::model::{Lease, Members};
use crate::store::{Seat, Seen};

/// Between two looks at the others, and two renewals.
const EVERY: Duration = Duration::from_millis(500);
/// How long a renewal is trusted here: less than the database does, as the answer took a while.
const GOOD_FOR: Duration = Duration::from_secs(4);

/// How this server stands to the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The one at this address leads; none where nobody does.
    Following(Option<String>),
    /// This one leads.
    Leading,
    /// It led, and another one does now.
    Lost,
}

/// The place of this server among those that share its database.
pub struct Turn {
    uuid: String,
    standing: watch::Receiver<Standing>,
    lease: Lease,
    members: Members,
    stop: mpsc::Sender<()>,
    thread: Option<JoinHandle<()>>,
}

struct Keeping {
    seat: Seat,
    standing: watch::Sender<Standing>,
    lease: Lease,
    members: Members,
    /// Whose time was over at the last look.
    over: Option<String>,
    is_away: bool,
}

impl Turn {
    /// Keeps this place, which is of the member with this uuid.
    ///
    /// # Errors
    /// There is no thread for it.
    pub fn keep(seat: Seat, uuid: String) -> std::io::Result<Self> {
        let (told, standing) = watch::channel(Standing::Following(None));
        let (stop, stopped) = mpsc::channel();
        let (lease, members) = (Lease::ended(), Members::default());
        let keeping = Keeping {
            seat,
            standing: told,
            lease: lease.clone(),
            members: members.clone(),
            over: None,
            is_away: false,
        };
        let thread = std::thread::Builder::new()
            .name("members".into())
            .spawn(move || keeping.run(&stopped))?;
        Ok(Self {
            uuid,
            standing,
            lease,
            members,
            stop,
            thread: Some(thread),
        })
    }

    /// The member that this server is.
    pub fn uuid(&self) -> &str {
        &self.uuid
    }

    /// How this server stands to the others, as it changes.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }

    /// Whether it may act.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// All servers that share the database.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// Leaves the others, who need not wait then. Blocks.
    pub fn leave(&mut self) {
        let _ = self.stop.send(());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the thread of the members panicked");
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Keeping {
    fn run(mut self, stopped: &mpsc::Receiver<()>) {
        loop {
            let leads = match *self.standing.borrow() {
                Standing::Leading => true,
                Standing::Following(_) => false,
                Standing::Lost => break,
            };
            let done = if leads { self.lead_on() } else { self.look() };
            match done {
                Ok(()) if self.is_away => {
                    log::info!("the other servers are heard of again");
                    self.is_away = false;
                }
                Err(error) if !self.is_away => {
                    log::warn!("the other servers are not heard of: {error}");
                    self.is_away = true;
                }
                Ok(()) | Err(_) => {}
            }
            if !matches!(stopped.recv_timeout(EVERY), Err(RecvTimeoutError::Timeout)) {
                break;
            }
        }
        self.lease.end();
        if let Err(error) = self.seat.leave() {
            log::debug!("leaving: {error}");
        }
    }

    fn lead_on(&mut self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let asked = Instant::now();
        if self.seat.renew()? {
            self.lease.renew(asked, GOOD_FOR);
        } else {
            self.lease.end();
            self.standing.send_replace(Standing::Lost);
            return Ok(());
        }
        self.members.set(self.seat.look()?.members);
        Ok(())
    }

    fn look(&mut self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let asked = Instant::now();
        let seen = self.seat.look()?;
        let may_succeed = self.may_succeed(&seen);
        if may_succeed && self.seat.succeed(&seen.holder)? {
            self.lease.renew(asked, GOOD_FOR);
            self.members.set(seen.members);
            self.standing.send_replace(Standing::Leading);
            return Ok(());
        }
        let leader = seen.members.iter().find(|member| member.uuid == seen.holder);
        let leader = leader.filter(|_| !seen.is_over).map(|member| member.address.clone());
        self.standing.send_if_modified(|standing| {
            let now = Standing::Following(leader);
            let has_changed = *standing != now;
            *standing = now;
            has_changed
        });
        self.members.set(seen.members);
        Ok(())
    }

    /// One that stays away for a second look is given up: where the database was away, the one that led goes first.
    fn may_succeed(&mut self, seen: &Seen) -> bool {
        if seen.is_free {
            return true;
        }
        let over = seen.is_over.then(|| seen.holder.clone());
        let is_second = over.is_some() && over == self.over;
        self.over = over;
        is_second
    }
}
