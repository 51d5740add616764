//! The audit log: appended to by [`Tx::record`], and swept at its old end.
//!
//! Who reads it gets a [`Resource`] like any other: its rows have numbers of the same sequence, and are found, listed,
//! filtered and sorted by the same names.

use std::collections::{BTreeMap, HashSet};

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Text;
use serde_json::value::RawValue;

use super::bodies::{Bodies, Unpacker, pack_alone};
use super::dialect::{self, Conn, Db};
use super::query::{Asked, Names, Nature, json_field};
use super::resource::{delete_rows, rows as resource};
use super::statement::{Bound, fixed};
use super::{AuditEntry, ListSpec, SortKey, Store, Tx};
use crate::model::{Error, Fields, Resource, ResourceId, Result, State, Timestamp};
use crate::schema::Column;
use crate::store::entries::AUDIT_LOG as ROOT;
use crate::store::known::known;
use crate::store::tables::audit;

/// Rows of an older build that are moved in one transaction.
const MOVED: i64 = 500;

/// How what lists go by is named here.
pub(super) const NAMES: Names = Names { column, field };

fn column(column: Column) -> &'static str {
    match column {
        Column::Id => "id",
        Column::AccountId => "account_id",
        Column::Created => "created_ms",
        Column::Removed => "removed_ms",
        Column::PurgeAfter => "purge_after_ms",
        Column::Kind => "CAST('auditLog' AS TEXT)",
        // What such a row never has is empty, or NULL, as it is in other rows.
        Column::Uuid | Column::Name | Column::State | Column::Transitioning | Column::Health | Column::Message => {
            "CAST('' AS TEXT)"
        }
        Column::ParentId | Column::HostId | Column::Progress => "CAST(NULL AS BIGINT)",
    }
}

fn field(name: &str) -> (String, Nature) {
    let (column, nature) = match name {
        "authType" => ("auth_type", Nature::Text),
        "authenticatedAsAccountId" => ("user_id", Nature::Text),
        "authenticatedAsIdentityId" => ("identity_id", Nature::Text),
        "clientIp" => ("client_ip", Nature::Text),
        "eventType" => ("event_type", Nature::Text),
        "resourceId" => ("resource_id", Nature::Text),
        "resourceType" => ("resource_type", Nature::Text),
        "responseCode" => ("response_code", Nature::Number),
        "runtime" => ("runtime_ms", Nature::Number),
        other => return json_field("more", other),
    };
    (column.to_owned(), nature)
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = audit, check_for_backend(Db))]
struct AuditRow {
    id: i64,
    account_id: Option<i64>,
    created_ms: i64,
    auth_type: String,
    user_id: String,
    identity_id: String,
    client_ip: String,
    event_type: String,
    resource_type: String,
    resource_id: Option<String>,
    response_code: i32,
    runtime_ms: i64,
    packing: i64,
    bodies: Vec<u8>,
    more: Option<String>,
    removed_ms: Option<i64>,
    purge_after_ms: Option<i64>,
}

impl AuditRow {
    fn into_resource(self, conn: &mut Conn, unpacker: &Unpacker) -> Result<Resource> {
        let Bodies { request, response } = unpacker.unpack(conn, self.packing, &self.bodies)?;
        let mut fields = self
            .more
            .as_deref()
            .map_or_else(|| Ok(Fields::default()), Fields::parse)?;
        fields.set("authType", &self.auth_type)?;
        fields.set("authenticatedAsAccountId", &self.user_id)?;
        fields.set("authenticatedAsIdentityId", &self.identity_id)?;
        fields.set("clientIp", &self.client_ip)?;
        fields.set("eventType", &self.event_type)?;
        fields.set("requestObject", &request)?;
        fields.set("resourceId", &self.resource_id)?;
        fields.set("resourceType", &self.resource_type)?;
        fields.set("responseCode", &self.response_code)?;
        fields.set("responseObject", &response)?;
        fields.set("runtime", &self.runtime_ms)?;
        Ok(Resource {
            id: ResourceId(self.id),
            root: ROOT.to_owned(),
            kind: ROOT.to_owned(),
            account_id: self.account_id.map(ResourceId),
            parent_id: None,
            host_id: None,
            uuid: String::new(),
            name: String::new(),
            state: self.removed_ms.map_or_else(|| State::of(""), |_| State::REMOVED),
            health: String::new(),
            message: String::new(),
            progress: None,
            version: 1,
            created: Timestamp(self.created_ms),
            removed: self.removed_ms.map(Timestamp),
            purge_after: self.purge_after_ms.map(Timestamp),
            fields: serde_json::to_string(&fields.0).map_err(|e| Error::internal("writing fields", e))?,
            // Of no layout: who shows the row lays its fields out.
            cuts: String::new(),
            internal: "{}".to_owned(),
        })
    }
}

fn failed(source: diesel::result::Error) -> Error {
    super::failed("reading the audit log")(source)
}

/// A row of the log by its number.
pub(super) fn find(conn: &mut Conn, unpacker: &Unpacker, id: ResourceId) -> Result<Option<Resource>> {
    let row: Option<AuditRow> = audit::table
        .find(id.0)
        .select(AuditRow::as_select())
        .get_result(conn)
        .optional()
        .map_err(failed)?;
    row.map(|row| row.into_resource(conn, unpacker)).transpose()
}

/// Puts those of `ids` that are rows of the log among the rows that were found elsewhere, in order of id.
pub(super) fn add_found(
    conn: &mut Conn,
    unpacker: &Unpacker,
    ids: &[ResourceId],
    mut rows: Vec<Resource>,
) -> Result<Vec<Resource>> {
    if rows.len() >= ids.len() {
        return Ok(rows);
    }
    let found: HashSet<ResourceId> = rows.iter().map(|row| row.id).collect();
    let mut others: Vec<ResourceId> = ids.iter().filter(|id| !found.contains(id)).copied().collect();
    others.sort_unstable();
    others.dedup();
    for id in others {
        rows.extend(find(conn, unpacker, id)?);
    }
    rows.sort_unstable_by_key(|row| row.id);
    Ok(rows)
}

impl Store {
    /// See [`Store::list`]; the page and one row more, if there is one.
    pub(super) fn list_audit(&self, spec: &ListSpec) -> Result<Vec<Resource>> {
        let mut query = audit::table.select(AuditRow::as_select()).into_boxed();
        if let Some(account) = spec.account {
            query = query.filter(audit::account_id.eq(account.0));
        }
        if !spec.with_removed {
            query = query.filter(audit::removed_ms.is_null());
        }
        let asked = Asked::of(spec, &NAMES);
        if let Some(condition) = asked.condition {
            query = query.filter(condition);
        }
        query = match (&spec.order.key, spec.order.descending) {
            (SortKey::Id, false) => query.order(audit::id.asc()),
            (SortKey::Id, true) => query.order(audit::id.desc()),
            _ => query.order(sql::<Text>(&asked.order)),
        };
        if asked.offset > 0 {
            query = query.offset(asked.offset);
        }
        let mut conn = self.reader()?;
        let rows: Vec<AuditRow> = query
            .limit(spec.limit.saturating_add(1))
            .load(&mut conn)
            .map_err(failed)?;
        rows.into_iter()
            .map(|row| row.into_resource(&mut conn, &self.unpacker))
            .collect()
    }

    pub fn last_audit_beyond(&self, kept: u32) -> Result<ResourceId> {
        let mut conn = self.reader()?;
        let rows: i64 = audit::table.count().get_result(&mut conn).map_err(failed)?;
        let excess = rows - i64::from(kept);
        if excess <= 0 {
            return Ok(ResourceId(0));
        }
        let last: Option<i64> = audit::table
            .order(audit::id)
            .offset(excess - 1)
            .limit(1)
            .select(audit::id)
            .get_result(&mut conn)
            .optional()
            .map_err(failed)?;
        Ok(ResourceId(last.unwrap_or(0)))
    }
}

impl Tx {
    pub fn record(&mut self, entry: &AuditEntry<'_>) -> Result<()> {
        let failed = super::failed("writing the audit log");
        let layout = self.layout.clone();
        let packed = self
            .packer
            .pack(&mut self.line, || layout.sample(), (entry.request, entry.response))?;
        let id = self.next_audit_number().map_err(failed)?;
        known!(
            Record = "INSERT INTO audit (id, account_id, created_ms, auth_type, user_id, identity_id, client_ip, event_type, \
                resource_type, resource_id, response_code, runtime_ms, packing, bodies) \
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        );
        let values = [
            Bound::Int(id),
            Bound::Int(entry.account.0),
            Bound::Int(self.now().floor_to_seconds().0),
            Bound::Text(entry.auth_type),
            Bound::Text(entry.user),
            Bound::Text(entry.identity),
            Bound::Text(entry.client_ip),
            Bound::Text(entry.event_type),
            Bound::Text(entry.resource_type),
            Bound::MaybeText(entry.resource_id),
            Bound::Int(entry.response_code.into()),
            Bound::Int(entry.runtime_ms),
            Bound::Int(packed.packing),
            Bound::Bytes(&packed.bytes),
        ];
        self.line.put(fixed(Record, values)).map_err(failed)?;
        self.count_row();
        Ok(())
    }

    /// Changes a row: what only those can who may write anything.
    pub(super) fn change_audit(
        &mut self,
        row: &Resource,
        fields: Option<&Fields>,
        gone: [Option<Timestamp>; 2],
    ) -> Result<()> {
        let failed = super::failed("changing the audit log");
        if let Some(fields) = fields {
            let new = Columns::of(fields)?;
            let layout = self.layout.clone();
            let packed = self.packer.pack(
                &mut self.line,
                || layout.sample(),
                (new.request.as_deref(), new.response.as_deref()),
            )?;
            diesel::update(audit::table.find(row.id.0))
                .set((
                    new.values(),
                    audit::packing.eq(packed.packing),
                    audit::bodies.eq(packed.bytes),
                ))
                .execute(self.line.conn())
                .map_err(failed)?;
        }
        if let [Some(removed), purge_after] = gone {
            diesel::update(audit::table.find(row.id.0))
                .set((
                    audit::removed_ms.eq(removed.floor_to_seconds().0),
                    audit::purge_after_ms.eq(purge_after.map(|at| at.0)),
                ))
                .execute(self.line.conn())
                .map_err(failed)?;
        }
        Ok(())
    }

    /// Deletes at most `chunk` of the oldest rows, if they are from before `before` or no newer than `up_to`, and as many of
    /// those that were removed; how many.
    pub(super) fn sweep_audit(&mut self, before: Timestamp, up_to: ResourceId, chunk: i64) -> Result<usize> {
        let failed = super::failed("sweeping the audit log");
        let removed: Vec<i64> = audit::table
            .filter(audit::purge_after_ms.le(self.now().0))
            .limit(chunk)
            .select(audit::id)
            .load(self.line.conn())
            .map_err(failed)?;
        let removed = diesel::delete(audit::table.filter(audit::id.eq_any(removed)))
            .execute(self.line.conn())
            .map_err(failed)?;
        let oldest: Vec<(i64, i64)> = audit::table
            .order(audit::id)
            .limit(chunk)
            .select((audit::id, audit::created_ms))
            .load(self.line.conn())
            .map_err(failed)?;
        // They were written in the order of their numbers: what follows one that stays stays, too.
        let goes = |(id, created): &&(i64, i64)| *created < before.0 || *id <= up_to.0;
        let Some((last, _)) = oldest.iter().take_while(goes).last() else {
            return Ok(removed);
        };
        let old = diesel::delete(audit::table.filter(audit::id.le(*last)))
            .execute(self.line.conn())
            .map_err(failed)?;
        Ok(removed + old)
    }
}

/// The fields of a row as its columns have them.
struct Columns {
    auth_type: String,
    user: String,
    identity: String,
    client_ip: String,
    event_type: String,
    resource_type: String,
    resource_id: Option<String>,
    response_code: i32,
    runtime_ms: i64,
    request: Option<String>,
    response: Option<String>,
    more: Option<String>,
}

/// Fields that have columns.
const KNOWN: [&str; 11] = [
    "authType",
    "authenticatedAsAccountId",
    "authenticatedAsIdentityId",
    "clientIp",
    "eventType",
    "requestObject",
    "resourceId",
    "resourceType",
    "responseCode",
    "responseObject",
    "runtime",
];

impl Columns {
    fn of(fields: &Fields) -> Result<Self> {
        let text = |name: &str| fields.text(name).unwrap_or_default();
        let number = |name: &str| {
            fields
                .get(name)
                .and_then(|text| text.trim_matches('"').parse::<i64>().ok())
        };
        let others = fields.0.iter().filter(|(name, value)| {
            let is_known = KNOWN.contains(&name.as_str());
            !is_known && value.get() != "null"
        });
        let others: BTreeMap<&String, &RawValue> = others.map(|(name, value)| (name, &**value)).collect();
        let more = serde_json::to_string(&others).map_err(|e| Error::internal("writing fields", e))?;
        Ok(Self {
            auth_type: text("authType"),
            user: text("authenticatedAsAccountId"),
            identity: text("authenticatedAsIdentityId"),
            client_ip: text("clientIp"),
            event_type: text("eventType"),
            resource_type: text("resourceType"),
            resource_id: fields.text("resourceId"),
            response_code: number("responseCode")
                .and_then(|n| n.try_into().ok())
                .unwrap_or_default(),
            runtime_ms: number("runtime").unwrap_or_default(),
            request: fields.text("requestObject"),
            response: fields.text("responseObject"),
            more: (!others.is_empty()).then_some(more),
        })
    }

    fn values(&self) -> ColumnValues<'_> {
        ColumnValues {
            auth_type: &self.auth_type,
            user_id: &self.user,
            identity_id: &self.identity,
            client_ip: &self.client_ip,
            event_type: &self.event_type,
            resource_type: &self.resource_type,
            resource_id: self.resource_id.as_deref(),
            response_code: self.response_code,
            runtime_ms: self.runtime_ms,
            more: self.more.as_deref(),
        }
    }
}

/// What a row says, but for its bodies.
#[derive(Insertable, AsChangeset)]
#[diesel(table_name = audit, treat_none_as_null = true)]
struct ColumnValues<'a> {
    auth_type: &'a str,
    user_id: &'a str,
    identity_id: &'a str,
    client_ip: &'a str,
    event_type: &'a str,
    resource_type: &'a str,
    resource_id: Option<&'a str>,
    response_code: i32,
    runtime_ms: i64,
    more: Option<&'a str>,
}

/// Moves the rows that an older build wrote among the resources: some thousand a second, once, before anything is served.
/// Whoever is killed meanwhile goes on with the rest at the next start.
pub(super) fn move_old(conn: &mut Conn) -> Result<usize> {
    let mut moved = 0;
    loop {
        let mut why = None;
        let portion = dialect::transaction(conn, |conn| {
            move_portion(conn).map_err(|error| {
                why = Some(error);
                diesel::result::Error::RollbackTransaction
            })
        });
        match portion {
            Ok(0) => return Ok(moved),
            Ok(portion) => moved += portion,
            Err(error) => return Err(why.unwrap_or_else(|| Error::internal("moving the audit log", error))),
        }
    }
}

fn move_portion(conn: &mut Conn) -> Result<usize> {
    type Old = (i64, Option<i64>, i64, String);
    let failed = super::failed("moving the audit log");
    let old: Vec<Old> = resource::all()
        .filter(resource::root.eq(ROOT))
        .filter(resource::removed_ms.is_null())
        .order(resource::id)
        .limit(MOVED)
        .select((
            resource::id,
            resource::account_id,
            resource::created_ms,
            resource::fields,
        ))
        .load(conn)
        .map_err(failed)?;
    for (id, account, created, fields) in &old {
        let row = Columns::of(&Fields::parse(fields)?)?;
        let packed = pack_alone(row.request.as_deref(), row.response.as_deref())?;
        diesel::insert_into(audit::table)
            .values((
                audit::id.eq(id),
                audit::account_id.eq(account),
                audit::created_ms.eq(created),
                row.values(),
                audit::packing.eq(packed.packing),
                audit::bodies.eq(packed.bytes),
            ))
            .execute(conn)
            .map_err(failed)?;
    }
    let ids: Vec<i64> = old.iter().map(|(id, ..)| *id).collect();
    delete_rows(conn, &ids).map_err(failed)?;
    Ok(ids.len())
}
