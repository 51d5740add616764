//! The rows by which servers that share a database know of each other, on a connection of their own.
//!
//! All times are the database's: the clocks of the servers need not agree.

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::result::Error as DbError;
use diesel::sql_types::{Bool, Nullable, Text};

use super::body;
use super::line::LOCK;
use super::place::{self, Conn, Failed, Place};
use crate::model::{Member, Timestamp};
use crate::store::OpenError;
use crate::store::seat::Seen;
use crate::store::tables::{lease, member, setting};

/// How long who leads need not say that it is there, in milliseconds.
const LEASE_MS: i64 = 5_000;
/// Who was not heard of for so long is forgotten, in milliseconds.
const FORGOTTEN_MS: i64 = 60_000;
/// The database's clock.
const NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";
/// One after the other: two that come to an empty database make its tables once.
const JOIN: &str = "SELECT pg_advisory_lock(hashtext('drover join'), hashtext(current_schema()))";
const JOINED: &str = "SELECT pg_advisory_unlock(hashtext('drover join'), hashtext(current_schema()))";
/// What is asked here is short, and whoever leads has no time to wait.
const QUICK: &str = "SET statement_timeout = '2s'; SET lock_timeout = '2s'";

/// The place of one server among them.
pub(in crate::store) struct Seat {
    place: Place,
    conn: Conn,
    uuid: String,
    address: String,
    version: String,
}

#[derive(QueryableByName)]
struct Lease {
    #[diesel(sql_type = Text)]
    holder: String,
    #[diesel(sql_type = Bool)]
    is_over: bool,
    #[diesel(sql_type = Bool)]
    is_free: bool,
}

impl Seat {
    pub fn take(place: Place, uuid: &str, address: &str, version: &str) -> Result<Self, OpenError> {
        let failed = |source| OpenError::open(&place, source);
        let mut conn = place.connect_writer().map_err(failed)?;
        conn.batch_execute(JOIN).map_err(|e| failed(Box::new(e)))?;
        if has_tables(&mut conn).map_err(|e| failed(Box::new(e)))? {
            // Those that are missing are made by whoever leads, and not while an older one does.
            body::check_known(&mut conn)?;
        } else {
            body::bring_up(&mut conn)?;
        }
        conn.batch_execute(JOINED).map_err(|e| failed(Box::new(e)))?;
        conn.batch_execute(QUICK).map_err(|e| failed(Box::new(e)))?;
        let (uuid, address, version) = (uuid.to_owned(), address.to_owned(), version.to_owned());
        let mut seat = Self {
            place,
            conn,
            uuid,
            address,
            version,
        };
        match seat.beat() {
            Ok(()) => Ok(seat),
            Err(error) => Err(OpenError::open(&seat.place, Box::new(error))),
        }
    }

    pub fn look(&mut self) -> Result<Seen, Failed> {
        self.connect_again()?;
        self.beat()?;
        let forgotten = format!("DELETE FROM member WHERE heartbeat_ms < {NOW} - {FORGOTTEN_MS}");
        diesel::sql_query(forgotten).execute(&mut self.conn)?;
        let rows: Vec<(i64, String, String, String, i64)> = member::table.order(member::id).load(&mut self.conn)?;
        let found: Lease = diesel::sql_query(format!(
            "SELECT holder, until_ms <= {NOW} AS is_over, until_ms = 0 AS is_free FROM lease"
        ))
        .get_result(&mut self.conn)?;
        let members = rows.into_iter().map(|(id, uuid, address, version, heartbeat)| Member {
            id,
            uuid,
            address,
            version,
            heartbeat: Timestamp(heartbeat),
        });
        Ok(Seen {
            members: members.collect(),
            holder: found.holder,
            is_over: found.is_over,
            is_free: found.is_free,
        })
    }

    pub fn succeed(&mut self, holder: &str) -> Result<bool, Failed> {
        self.connect_again()?;
        let text = format!(
            "UPDATE lease SET holder = $1, until_ms = {NOW} + {LEASE_MS} WHERE holder = $2 AND until_ms <= {NOW}"
        );
        let query = diesel::sql_query(text)
            .bind::<Text, _>(&self.uuid)
            .bind::<Text, _>(holder);
        Ok(query.execute(&mut self.conn)? == 1)
    }

    pub fn renew(&mut self) -> Result<bool, Failed> {
        self.connect_again()?;
        let text = format!("UPDATE lease SET until_ms = {NOW} + {LEASE_MS} WHERE holder = $1");
        let query = diesel::sql_query(text).bind::<Text, _>(&self.uuid);
        Ok(query.execute(&mut self.conn)? == 1)
    }

    pub fn leave(&mut self) -> Result<(), Failed> {
        self.connect_again()?;
        diesel::update(lease::table.filter(lease::holder.eq(&self.uuid)))
            .set(lease::until_ms.eq(0))
            .execute(&mut self.conn)?;
        diesel::delete(member::table.filter(member::uuid.eq(&self.uuid))).execute(&mut self.conn)?;
        Ok(())
    }

    pub fn setting(&mut self, name: &str) -> Result<Option<String>, Failed> {
        self.connect_again()?;
        let found = setting::table.find(name).select(setting::value);
        Ok(found.first(&mut self.conn).optional()?)
    }

    fn beat(&mut self) -> QueryResult<()> {
        let known = diesel::sql_query(format!("UPDATE member SET heartbeat_ms = {NOW} WHERE uuid = $1"))
            .bind::<Text, _>(&self.uuid)
            .execute(&mut self.conn)?;
        if known > 0 {
            return Ok(());
        }
        let text = format!("INSERT INTO member (uuid, address, version, heartbeat_ms) VALUES ($1, $2, $3, {NOW})");
        let query = diesel::sql_query(text)
            .bind::<Text, _>(&self.uuid)
            .bind::<Text, _>(&self.address)
            .bind::<Text, _>(&self.version);
        query.execute(&mut self.conn).map(drop)
    }

    fn connect_again(&mut self) -> Result<(), Failed> {
        if place::is_broken(&mut self.conn) {
            self.conn = self.place.connect_writer()?;
            self.conn.batch_execute(QUICK)?;
        }
        Ok(())
    }
}

/// Whether the database has what members need.
fn has_tables(conn: &mut Conn) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Nullable<Text>)]
        name: Option<String>,
    }
    let found: Found = diesel::sql_query("SELECT to_regclass('lease')::text AS name").get_result(conn)?;
    Ok(found.name.is_some())
}

/// Waits for what is being written, and makes sure that this member still leads: before it says that a new start began.
pub(super) fn check_turn(place: &Place, conn: &mut Conn) -> QueryResult<()> {
    diesel::sql_query(LOCK).execute(conn)?;
    let Some(uuid) = place.member() else { return Ok(()) };
    let held = lease::table.filter(lease::holder.eq(uuid)).for_share();
    let held: Option<String> = held.select(lease::holder).first(conn).optional()?;
    held.map(drop)
        .ok_or_else(|| DbError::QueryBuilderError("another server leads by now".into()))
}
