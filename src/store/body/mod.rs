//! What is asked of a database and written to it, in diesel's words and in text.
//!
//! Compiled once for each kind of database: [`dialect`] is that of the one it is compiled for, and nothing here knows which.
//! What leaves the store is of types that are there once; see the module above.

use super::dialect;
use crate::model::{Error, ErrorKind};
use crate::store::writer::unreachable;
use crate::store::{
    AuditEntry, ChangeEvent, Changes, Condition, CredentialSecret, Direction, LayoutOf, ListSpec, MigrateError,
    NewProcess, NewResource, Order, Priority, Process, ProcessField, ProcessOn, ProcessSpec, Scalar, SchemaState,
    Selected, Session, Slim, SortKey, SweepLimits, Swept, Tally, Target, Wake, Whereabouts, Within, WriteFault, exit,
};

mod aside;
mod audit;
mod bodies;
mod commits;
mod conn;
mod credential;
mod migrate;
mod moving;
mod numbers;
mod one_of;
mod outbox;
mod process;
mod query;
mod resource;
mod session;
mod setting;
mod statement;
mod sweep;
mod tally;
mod tx;

/// What is said of a failure of the database while `what` was done.
fn failed(what: &'static str) -> impl Fn(diesel::result::Error) -> Error + Copy {
    move |source| {
        let (is_away, is_no_text) = (dialect::is_away(&source), dialect::is_no_text(&source));
        let error = Error::internal(what, source);
        let known = match (is_away, is_no_text) {
            (true, _) => unreachable(),
            (false, true) => Error::new(ErrorKind::BadRequest).with_code("InvalidCharacters"),
            (false, false) => return error,
        };
        Error {
            cause: error.cause,
            ..known
        }
    }
}

pub(in crate::store) use conn::Store;
#[allow(unused_imports, reason = "for databases that several servers share")]
pub(in crate::store) use conn::bring_up;
#[allow(unused_imports, reason = "for databases that several servers share")]
pub(in crate::store) use migrate::check_known;
#[cfg(test)]
pub(in crate::store) use migrate::migrate;
pub(in crate::store) use moving::Side;
pub(in crate::store) use query::Nature;
#[cfg(test)]
#[allow(unused_imports, reason = "which plans are made is looked at in one database")]
pub(in crate::store) use resource::{ResourceRow, selecting};
#[allow(unused_imports, reason = "one kind of database puts all such texts together")]
pub(in crate::store) use statement::fixed;
pub(in crate::store) use statement::{Bound, Fixed, Statement};
pub(in crate::store) use tx::Tx;
