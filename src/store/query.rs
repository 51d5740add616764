//! Lists: filters, order and pages over resource rows.
//!
//! A page continues after a key, not after an offset: `(key, id) > (?, ?)` costs the same at every depth. Names of
//! JSON fields come from the registry and are literals in the statement; values are always bound.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Text;

use super::cache::{Asked as AskedRow, Missing};
use super::dialect::Conn;
use super::resource::rows::now;
use super::resource::{ListedRow, ResourceRow, many_on, rows as resource};
use super::statement::Fragment;
use super::{Store, audit, dialect};
use crate::model::{Error, Resource, ResourceId, Result};
use crate::schema::Column;

/// Offsets deeper than this are answered with the first page: a marker of our own costs nothing at any depth.
const MAX_OFFSET: i64 = 10_000;

/// What a list is to contain.
#[derive(Debug, Clone, Default)]
pub struct ListSpec {
    /// The root type.
    pub root: String,
    /// Only these types; empty is all of the root.
    pub kinds: Vec<String>,
    /// Only this account's; none is all.
    pub account: Option<ResourceId>,
    /// With `account`: and those of nobody, which are everybody's.
    pub with_shared: bool,
    /// Only live rows, unless set.
    pub with_removed: bool,
    /// All must hold.
    pub conditions: Vec<Condition>,
    /// The order.
    pub order: Order,
    /// Rows per page.
    pub limit: i64,
    /// The client's marker.
    pub marker: Option<String>,
}

/// The order of a list; ties are broken by id in the same direction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    /// What decides.
    pub key: SortKey,
    /// Descending.
    pub descending: bool,
}

/// What a list is sorted by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SortKey {
    /// The id.
    #[default]
    Id,
    /// A column.
    Column(Column),
    /// A field in the row's JSON; the name is the registry's.
    Json(String),
}

/// What a condition looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A column.
    Column(Column),
    /// A field in the row's JSON; the name is the registry's.
    Json(String),
}

/// A value, as the database compares it.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// Text, dates in JSON and references in JSON.
    Text(String),
    /// Numbers, times and references in columns, booleans.
    Int(i64),
}

/// One condition of a list.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// `modifier` is one of `eq ne lt lte gt gte prefix like notlike`.
    Compare {
        /// What is compared.
        target: Target,
        /// How.
        modifier: String,
        /// With what.
        value: Scalar,
    },
    /// The value is one of these texts.
    OneOf(Target, Vec<String>),
    /// The value is absent.
    Null(Target),
    /// The value is there.
    NotNull(Target),
    /// Matches nothing: a value that cannot be.
    Never,
}

impl Condition {
    /// A comparison; for the modifiers see [`Condition::Compare`].
    pub fn compare(target: Target, modifier: &str, value: Scalar) -> Self {
        Self::Compare {
            target,
            modifier: modifier.to_owned(),
            value,
        }
    }
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq)]
pub enum Marker {
    /// After this row in the order.
    After {
        /// The row's key.
        key: serde_json::Value,
        /// The row.
        id: i64,
    },
    /// After so many rows: the form older clients make up.
    Offset(i64),
}

impl Marker {
    /// Reads a marker that fits this order; anything else is the first page.
    fn parse(text: &str, order: &Order) -> Option<Self> {
        let rest = text.strip_prefix('m')?;
        if let Some(token) = rest.strip_prefix('k') {
            let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
            let (version, sort, key, id): (u8, String, serde_json::Value, i64) = serde_json::from_slice(&bytes).ok()?;
            return (version == 1 && sort == order.name()).then_some(Self::After { key, id });
        }
        rest.parse()
            .ok()
            .filter(|n| (1..=MAX_OFFSET).contains(n))
            .map(Self::Offset)
    }

    fn write(order: &Order, row: &Resource) -> String {
        let token = serde_json::json!([1, order.name(), order.key_of(row), row.id.0]).to_string();
        format!("mk{}", URL_SAFE_NO_PAD.encode(token))
    }
}

impl Order {
    fn name(&self) -> String {
        let key = match &self.key {
            SortKey::Id => "id".to_owned(),
            SortKey::Column(column) => format!("c.{}", column_sql(*column)),
            SortKey::Json(name) => format!("j.{name}"),
        };
        format!("{key}{}", if self.descending { "-" } else { "" })
    }

    /// The expression that is compared; never NULL, so that every row has a place.
    fn sql(&self, names: &Names) -> String {
        match &self.key {
            SortKey::Id => (names.column)(Column::Id).to_owned(),
            SortKey::Column(column) if is_nullable(*column) => dialect::or_else((names.column)(*column), "-1"),
            SortKey::Column(column) => (names.column)(*column).to_owned(),
            SortKey::Json(name) => dialect::or_else(&(names.field)(name), "''"),
        }
    }

    /// What [`Order::sql`] gives for a row.
    fn key_of(&self, row: &Resource) -> serde_json::Value {
        let id = |i: Option<ResourceId>| i.map_or(-1, |i| i.0).into();
        match &self.key {
            SortKey::Id => row.id.0.into(),
            SortKey::Column(column) => match column {
                Column::Id => row.id.0.into(),
                Column::Kind => row.kind.as_str().into(),
                Column::AccountId => id(row.account_id),
                Column::ParentId => id(row.parent_id),
                Column::HostId => id(row.host_id),
                Column::Uuid => row.uuid.as_str().into(),
                Column::Name => row.name.as_str().into(),
                Column::State | Column::Transitioning => row.state.as_str().into(),
                Column::Health => row.health.as_str().into(),
                Column::Message => row.message.as_str().into(),
                Column::Progress => row.progress.map_or(-1, i64::from).into(),
                Column::Created => row.created.0.into(),
                Column::Removed => row.removed.map_or(-1, |t| t.0).into(),
                Column::PurgeAfter => row.purge_after.map_or(-1, |t| t.0).into(),
            },
            SortKey::Json(name) => {
                let value: serde_json::Map<String, serde_json::Value> =
                    serde_json::from_str(&row.fields).unwrap_or_default();
                match value.get(name) {
                    None | Some(serde_json::Value::Null) => "".into(),
                    Some(serde_json::Value::Bool(b)) => i64::from(*b).into(),
                    Some(other) => other.clone(),
                }
            }
        }
    }
}

fn column_sql(column: Column) -> &'static str {
    match column {
        Column::Id => "id",
        Column::Kind => "kind",
        Column::AccountId => "account_id",
        Column::ParentId => "parent_id",
        Column::HostId => "host_id",
        Column::Uuid => "uuid",
        Column::Name => "name",
        Column::State | Column::Transitioning => "state",
        Column::Health => "health",
        Column::Message => "message",
        Column::Progress => "progress",
        Column::Created => "created_ms",
        Column::Removed => "removed_ms",
        Column::PurgeAfter => "purge_after_ms",
    }
}

/// Columns where absence is NULL; in the others it is the empty text.
fn is_nullable(column: Column) -> bool {
    matches!(
        column,
        Column::AccountId | Column::ParentId | Column::HostId | Column::Progress | Column::Removed | Column::PurgeAfter
    )
}

/// How a table names what lists go by: its columns, and the fields of its rows.
pub(super) struct Names {
    pub column: fn(Column) -> &'static str,
    pub field: fn(&str) -> String,
}

/// The names in `resource`.
const NAMES: Names = Names {
    column: column_sql,
    field: |name| dialect::json_field("fields", name),
};

/// A condition in text; whether it is one that many ask for.
fn fragment(names: &Names, condition: &Condition) -> (Fragment, bool) {
    let expression = |target: &Target| match target {
        Target::Column(column) => (names.column)(*column).to_owned(),
        Target::Json(name) => (names.field)(name),
    };
    let empty = |target: &Target| match target {
        Target::Column(column) if !is_nullable(*column) => " = ''",
        _ => " IS NULL",
    };
    let never = || Fragment::new(dialect::NEVER, Vec::new());
    let fragment = match condition {
        Condition::Never => never(),
        Condition::OneOf(target, texts) => {
            let (text, list) = dialect::is_one_of(&expression(target), texts);
            Fragment::new(text, vec![Scalar::Text(list)])
        }
        Condition::Null(target) => Fragment::new(format!("{}{}", expression(target), empty(target)), Vec::new()),
        Condition::NotNull(target) => {
            Fragment::new(format!("NOT ({}{})", expression(target), empty(target)), Vec::new())
        }
        Condition::Compare {
            target,
            modifier,
            value,
        } => match comparison(&expression(target), modifier, value) {
            None => never(),
            Some((begin, value, tail)) => {
                let is_plain = modifier == "eq" && matches!(target, Target::Column(_));
                return (Fragment::new(format!("{begin}?{tail}"), vec![value]), is_plain);
            }
        },
    };
    (fragment, false)
}

/// What a list asks of its table, beside whose rows and which types.
pub(super) struct Asked {
    /// What must hold; none if nothing must.
    pub condition: Option<Fragment>,
    /// The order, in text.
    pub order: String,
    /// So many rows come before the page.
    pub offset: i64,
}

impl Asked {
    pub(super) fn of(spec: &ListSpec, names: &Names) -> Self {
        let (mut fragments, plain): (Vec<_>, Vec<_>) = spec.conditions.iter().map(|c| fragment(names, c)).unzip();
        // A client can ask for more combinations than are worth keeping prepared.
        let is_common = plain.len() <= 1 && plain.iter().all(|p| *p) && spec.order.key == SortKey::Id;
        let mut offset = 0;
        match spec.marker.as_deref().and_then(|m| Marker::parse(m, &spec.order)) {
            Some(Marker::After { key, id }) => fragments.extend(after(names, &spec.order, &key, id)),
            Some(Marker::Offset(rows)) => offset = rows,
            None => {}
        }
        let all = Fragment::all(fragments).map(|all| if is_common { all.common() } else { all });
        let direction = if spec.order.descending { "DESC" } else { "ASC" };
        let id = (names.column)(Column::Id);
        Self {
            condition: all,
            order: format!("{} {direction}, {id} {direction}", spec.order.sql(names)),
            offset,
        }
    }
}

/// The SQL before a bound value, the value, and the SQL after it; `None` for a modifier that is none.
pub(super) fn comparison(expression: &str, modifier: &str, value: &Scalar) -> Option<(String, Scalar, &'static str)> {
    let (operator, tail) = match modifier {
        "eq" => ("=", ""),
        "ne" => ("<>", ""),
        "lt" => ("<", ""),
        "lte" => ("<=", ""),
        "gt" => (">", ""),
        "gte" => (">=", ""),
        "prefix" | "like" => dialect::MATCHES,
        "notlike" => dialect::MATCHES_NOT,
        _ => return None,
    };
    let value = match (value, modifier) {
        (Scalar::Text(text), "prefix") => Scalar::Text(format!(
            "{}%",
            text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
        )),
        (Scalar::Text(text), "like" | "notlike") => Scalar::Text(text.replace('\\', "\\\\")),
        (value, _) => value.clone(),
    };
    Some((format!("{expression} {operator} "), value, tail))
}

/// What comes behind a row in the order.
fn after(names: &Names, order: &Order, key: &serde_json::Value, id: i64) -> Option<Fragment> {
    let than = if order.descending { "<" } else { ">" };
    let place = (names.column)(Column::Id);
    if order.key == SortKey::Id {
        return Some(Fragment::new(format!("{place} {than} ?"), vec![Scalar::Int(id)]));
    }
    let key = match key {
        serde_json::Value::Number(number) => Scalar::Int(number.as_i64().unwrap_or(-1)),
        serde_json::Value::String(text) => Scalar::Text(text.clone()),
        _ => return None,
    };
    Some(Fragment::new(
        format!("({}, {place}) {than} (?, ?)", order.sql(names)),
        vec![key, Scalar::Int(id)],
    ))
}

impl Store {
    /// One page and the marker of the next. The rows may come without the engine's notes.
    pub fn list(&self, spec: &ListSpec) -> Result<(Vec<Arc<Resource>>, Option<String>)> {
        let mut rows = match spec.root.as_str() {
            audit::ROOT => self.list_audit(spec)?.into_iter().map(Arc::new).collect(),
            _ => self.list_resources(spec)?,
        };
        let has_more = i64::try_from(rows.len()).unwrap_or(i64::MAX) > spec.limit;
        if has_more {
            rows.pop();
        }
        let next = has_more
            .then(|| rows.last().map(|row| Marker::write(&spec.order, row)))
            .flatten();
        Ok((rows, next))
    }

    /// Which rows they are is asked of the database; what is kept of them is not read again.
    fn list_resources(&self, spec: &ListSpec) -> Result<Vec<Arc<Resource>>> {
        let mut reader = self.reader()?;
        let wanted: Vec<(i64, i64)> = resources(spec)
            .select((resource::id, now::version))
            .load(&mut *reader)
            .map_err(failed)?;
        let (mut rows, mut missing) = (HashMap::with_capacity(wanted.len()), HashMap::new());
        for (id, version) in &wanted {
            match self.cache.ask(ResourceId(*id), Some(*version)) {
                AskedRow::Kept(row) => drop(rows.insert(*id, row)),
                AskedRow::Missing(place) => drop(missing.insert(*id, place)),
            }
        }
        if missing.len() * 2 > wanted.len() {
            return self.read_list(spec, &mut reader, &missing);
        }
        let ids: Vec<ResourceId> = missing.keys().map(|id| ResourceId(*id)).collect();
        for row in many_on(&mut reader, &ids)?.into_iter().map(Arc::new) {
            if let Some(place) = missing.get(&row.id.0) {
                self.cache.offer(&row, *place);
            }
            rows.insert(row.id.0, row);
        }
        let in_order = wanted
            .iter()
            .map(|(id, version)| rows.remove(id).filter(|row| row.version == *version));
        match in_order.collect::<Option<Vec<_>>>() {
            Some(rows) => Ok(rows),
            // One has changed meanwhile: all are to be those of one moment.
            None => self.read_list(spec, &mut reader, &missing),
        }
    }

    /// The same by one statement. What was asked for before is kept.
    fn read_list(
        &self,
        spec: &ListSpec,
        reader: &mut Conn,
        missing: &HashMap<i64, Missing>,
    ) -> Result<Vec<Arc<Resource>>> {
        if !missing.values().any(|place| place.is_wanted) {
            let rows: Vec<ListedRow> = resources(spec)
                .select(ListedRow::as_select())
                .load(reader)
                .map_err(failed)?;
            let whole = |row: ListedRow| Arc::new(row.into_resource(&spec.root));
            return Ok(rows.into_iter().map(whole).collect());
        }
        let rows: Vec<ResourceRow> = resources(spec)
            .select(ResourceRow::as_select())
            .load(reader)
            .map_err(failed)?;
        let rows: Vec<Arc<Resource>> = rows.into_iter().map(|row| Arc::new(Resource::from(row))).collect();
        for row in &rows {
            if let Some(place) = missing.get(&row.id.0) {
                self.cache.offer(row, *place);
            }
        }
        Ok(rows)
    }
}

fn failed(error: diesel::result::Error) -> Error {
    Error::internal("listing resources", error)
}

/// What a list asks of its table.
pub(super) fn resources(spec: &ListSpec) -> resource::Boxed<'_> {
    let mut query: resource::Boxed<'_> = resource::whole()
        .filter(resource::root.eq(spec.root.clone()))
        .into_boxed();
    if !spec.with_removed {
        query = query.filter(resource::removed_ms.is_null());
    }
    if let Some(account) = spec.account {
        query = match spec.with_shared {
            true => query.filter(resource::account_id.eq(account.0).or(resource::account_id.is_null())),
            false => query.filter(resource::account_id.eq(account.0)),
        };
    }
    match spec.kinds.as_slice() {
        [] => {}
        [only] => query = query.filter(resource::kind.eq(only.clone())),
        several => query = query.filter(resource::kind.eq_any(several.to_vec())),
    }
    let asked = Asked::of(spec, &NAMES);
    if let Some(condition) = asked.condition {
        query = query.filter(condition);
    }
    query = match (&spec.order.key, spec.order.descending) {
        (SortKey::Id, false) => query.order(resource::id.asc()),
        (SortKey::Id, true) => query.order(resource::id.desc()),
        _ => query.order(sql::<Text>(&asked.order)),
    };
    if asked.offset > 0 {
        query = query.offset(asked.offset);
    }
    query.limit(spec.limit.saturating_add(1))
}
