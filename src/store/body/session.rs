//! Logins that have not ended.

use diesel::prelude::*;

use super::{Session, Store, Tx, Wake, failed};
use crate::model::{ResourceId, Result, Timestamp};
use crate::store::tables::session;

/// More sessions of one account than this push out its oldest.
const MOST_OF_ACCOUNT: i64 = 1000;

type Columns = (i64, i64, i64);
const ALL: (session::id, session::account_id, session::expires_ms) =
    (session::id, session::account_id, session::expires_ms);

fn session((id, account, expires): Columns) -> Session {
    Session {
        id,
        account: ResourceId(account),
        expires: Timestamp(expires),
    }
}

impl Store {
    pub fn session(&self, digest: &str) -> Result<Option<Session>> {
        let query = session::table.filter(session::digest.eq(digest)).select(ALL);
        let row: Option<Columns> = query
            .get_result(&mut *self.reader()?)
            .optional()
            .map_err(failed("reading a session"))?;
        Ok(row.map(session))
    }

    pub fn find_session(&self, id: i64) -> Result<Option<Session>> {
        let query = session::table.find(id).select(ALL);
        let row: Option<Columns> = query
            .get_result(&mut *self.reader()?)
            .optional()
            .map_err(failed("reading a session"))?;
        Ok(row.map(session))
    }
}

impl Tx {
    pub fn insert_session(&mut self, digest: &str, account: ResourceId, expires: Timestamp) -> Result<Session> {
        let new = (
            session::digest.eq(digest),
            session::account_id.eq(account.0),
            session::created_ms.eq(self.now().0),
            session::expires_ms.eq(expires.0),
        );
        let id: i64 = diesel::insert_into(session::table)
            .values(new)
            .returning(session::id)
            .get_result(self.line.conn())
            .map_err(failed("beginning a session"))?;
        let surplus: Vec<i64> = session::table
            .filter(session::account_id.eq(account.0))
            .order(session::id.desc())
            .offset(MOST_OF_ACCOUNT)
            .limit(MOST_OF_ACCOUNT)
            .select(session::id)
            .load(self.line.conn())
            .map_err(failed("counting sessions"))?;
        if !surplus.is_empty() {
            diesel::delete(session::table.filter(session::id.eq_any(&surplus)))
                .execute(self.line.conn())
                .map_err(failed("ending sessions"))?;
            self.wake(Wake::Access);
        }
        Ok(Session { id, account, expires })
    }

    pub fn delete_all_sessions(&mut self, except: Option<i64>) -> Result<()> {
        diesel::delete(session::table.filter(session::id.ne(except.unwrap_or(0))))
            .execute(self.line.conn())
            .map_err(failed("ending all sessions"))?;
        self.wake(Wake::Access);
        Ok(())
    }

    pub fn delete_session(&mut self, id: i64) -> Result<()> {
        diesel::delete(session::table.find(id))
            .execute(self.line.conn())
            .map_err(failed("ending a session"))?;
        self.wake(Wake::Access);
        Ok(())
    }

    pub fn delete_sessions(&mut self, account: ResourceId, except: Option<i64>) -> Result<()> {
        diesel::delete(
            session::table
                .filter(session::account_id.eq(account.0))
                .filter(session::id.ne(except.unwrap_or(0))),
        )
        .execute(self.line.conn())
        .map_err(failed("ending the sessions of an account"))?;
        self.wake(Wake::Access);
        Ok(())
    }

    /// Deletes a chunk of sessions that have ended by themselves; tells how many.
    pub(super) fn sweep_sessions(&mut self, chunk: i64) -> Result<usize> {
        let now = self.now();
        let ended: Vec<i64> = session::table
            .filter(session::expires_ms.le(now.0))
            .limit(chunk)
            .select(session::id)
            .load(self.line.conn())
            .map_err(failed("looking for ended sessions"))?;
        diesel::delete(session::table.filter(session::id.eq_any(&ended)))
            .execute(self.line.conn())
            .map_err(failed("sweeping sessions"))
    }
}
