//! One of several servers that share a database: heard of there, and at times the one that leads.
//!
//! Who leads is in one row of the database, and ends by its clock unless it is renewed. The lease is only who may begin: what one that
//! led before still writes is refused by the epoch of the start after it.

#![cfg_attr(
    not(feature = "postgres"),
    allow(unused_variables, dead_code, reason = "nobody can take a seat")
)]

#[cfg(feature = "postgres")]
use super::postgres;
use super::{Database, OpenError};
use crate::model::Member;

/// What a look at the others found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// All that are heard of, this one too.
    pub members: Vec<Member>,
    /// The uuid of the one that leads, or led last; empty if none ever did.
    pub holder: String,
    /// Whether the time that it has is over.
    pub is_over: bool,
    /// Whether it left, so that nobody need wait for it.
    pub is_free: bool,
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// The place of this server among those that share a database. Its calls block.
pub struct Seat(Kind);

enum Kind {
    #[cfg(feature = "postgres")]
    Postgres(Box<postgres::Seat>),
    #[cfg(not(feature = "postgres"))]
    None(std::convert::Infallible),
}

macro_rules! on {
    ($seat:expr, $name:ident($($arg:expr),*)) => {
        match &mut $seat.0 {
            #[cfg(feature = "postgres")]
            Kind::Postgres(seat) => seat.$name($($arg),*),
            #[cfg(not(feature = "postgres"))]
            Kind::None(never) => match *never {},
        }
    };
}

impl Seat {
    /// Takes a place: from now on the others hear of it as long as it looks at them.
    ///
    /// # Errors
    /// The database cannot be shared, cannot be reached, is used by a server that shares with nobody, or is newer than this binary.
    pub fn take(database: &Database, uuid: &str, address: &str, version: &str) -> Result<Self, OpenError> {
        match database {
            #[cfg(feature = "postgres")]
            Database::Postgres(url) => {
                let place = postgres::Place::of(url)?.for_member(Some(uuid));
                let seat = postgres::Seat::take(place, uuid, address, version)?;
                Ok(Self(Kind::Postgres(Box::new(seat))))
            }
            Database::File(_) => Err(OpenError::open(database, Box::new(super::opening::Unshared))),
        }
    }

    /// Says that it is there, and looks who else is.
    ///
    /// # Errors
    /// The database does not answer; the next call tries to connect again.
    pub fn look(&mut self) -> Result<Seen, Failed> {
        on!(self, look())
    }

    /// Leads from now on, after this one whose time is over; whether it does.
    ///
    /// # Errors
    /// The database does not answer.
    pub fn succeed(&mut self, holder: &str) -> Result<bool, Failed> {
        on!(self, succeed(holder))
    }

    /// Goes on leading; whether it does: not if another one leads.
    ///
    /// # Errors
    /// The database does not answer.
    pub fn renew(&mut self) -> Result<bool, Failed> {
        on!(self, renew())
    }

    /// Leaves: if it led, whoever comes next need not wait.
    ///
    /// # Errors
    /// The database does not answer: it is noticed when its time is over.
    pub fn leave(&mut self) -> Result<(), Failed> {
        on!(self, leave())
    }

    /// A stored setting.
    ///
    /// # Errors
    /// The database does not answer.
    pub fn setting(&mut self, name: &str) -> Result<Option<String>, Failed> {
        on!(self, setting(name))
    }
}
