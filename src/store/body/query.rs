//! Lists: filters, order and pages over resource rows.
//!
//! A page continues after a key, not after an offset: `(key, id) > (?, ?)` costs the same at every depth. Names of
//! JSON fields come from the registry and are literals in the statement; values are always bound.

use std::collections::HashMap;
use std::sync::Arc;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Text;

use super::dialect::Conn;
use super::resource::rows::now;
use super::resource::{ListedRow, ResourceRow, many_on, rows as resource};
use super::statement::Fragment;
use super::{Condition, ListSpec, Order, Scalar, SortKey, Store, Target, audit, dialect};
use crate::model::{Error, Resource, ResourceId, Result};
use crate::schema::Column;
use crate::store::Marker;
use crate::store::cache::{Asked as AskedRow, Missing};
use crate::store::entries::AUDIT_LOG;
use crate::store::list::column_name;

/// The expression that is compared; never NULL, so that every row has a place.
fn order_sql(order: &Order, names: &Names) -> String {
    match &order.key {
        SortKey::Id => (names.column)(Column::Id).to_owned(),
        SortKey::Column(column) if is_nullable(*column) => dialect::or_else((names.column)(*column), "-1"),
        SortKey::Column(column) => (names.column)(*column).to_owned(),
        SortKey::Json(name) => match (names.field)(name) {
            (field, Nature::Json) => dialect::json_order(&field),
            (field, Nature::Text) => dialect::or_else(&field, "''"),
            (field, Nature::Number) => dialect::or_else(&field, "-1"),
        },
    }
}

/// What [`order_sql`] gives for a row.
fn key_of(order: &Order, names: &Names, row: &Resource) -> serde_json::Value {
    let id = |i: Option<ResourceId>| i.map_or(-1, |i| i.0).into();
    match &order.key {
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
            match ((names.field)(name).1, value.get(name)) {
                (Nature::Json, value) => dialect::json_key(value),
                (Nature::Text, None | Some(serde_json::Value::Null)) => "".into(),
                (Nature::Number, None | Some(serde_json::Value::Null)) => (-1).into(),
                (_, Some(value)) => value.clone(),
            }
        }
    }
}

fn nature(column: Column) -> Nature {
    match column {
        Column::Id | Column::Created => Nature::Number,
        nullable if is_nullable(nullable) => Nature::Number,
        _ => Nature::Text,
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
    pub field: fn(&str) -> (String, Nature),
}

/// What an expression is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Nature {
    /// A number of 64 bits.
    Number,
    /// Text.
    Text,
    /// A value in the JSON of a column.
    Json,
}

/// A field in the JSON of a column. The name is the registry's; what is left of it here is a name in any case.
pub(super) fn json_field(column: &str, name: &str) -> (String, Nature) {
    let name: String = name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
        .collect();
    (dialect::json_field(column, &name), Nature::Json)
}

/// The names in `resource`.
const NAMES: Names = Names {
    column: column_name,
    field: |name| json_field("fields", name),
};

/// A condition in text; whether it is one that many ask for.
fn fragment(names: &Names, condition: &Condition) -> (Fragment, bool) {
    let expression = |target: &Target| match target {
        Target::Column(column) => ((names.column)(*column).to_owned(), nature(*column)),
        Target::Json(name) => (names.field)(name),
    };
    let shown = |target: &Target| match expression(target) {
        (field, Nature::Json) => dialect::json_text(&field),
        (column, _) => column,
    };
    let empty = |target: &Target| match target {
        Target::Column(column) if nature(*column) == Nature::Text => " = ''",
        _ => " IS NULL",
    };
    let never = || Fragment::new(dialect::NEVER, Vec::new());
    let fragment = match condition {
        Condition::Never => never(),
        Condition::OneOf(target, texts) => {
            let (expression, nature) = expression(target);
            let (text, list) = dialect::is_one_of(&expression, nature, texts);
            Fragment::new(text, vec![Scalar::Text(list)])
        }
        Condition::Null(target) => Fragment::new(format!("{}{}", shown(target), empty(target)), Vec::new()),
        Condition::NotNull(target) => Fragment::new(format!("NOT ({}{})", shown(target), empty(target)), Vec::new()),
        Condition::Compare {
            target,
            modifier,
            value,
        } => match comparison(expression(target), modifier, value) {
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
            order: format!("{} {direction}, {id} {direction}", order_sql(&spec.order, names)),
            offset,
        }
    }
}

/// The SQL before a bound value, the value, and the SQL after it; `None` for a modifier that is none.
pub(super) fn comparison(
    (expression, nature): (String, Nature),
    modifier: &str,
    value: &Scalar,
) -> Option<(String, Scalar, &'static str)> {
    // No row holds it, and not every database compares with it.
    if matches!(value, Scalar::Text(text) if text.contains('\0')) {
        return None;
    }
    let (expression, value) = dialect::compared(&expression, nature, modifier, value);
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
    let value = match (&value, modifier) {
        (Scalar::Text(text), "prefix") => Scalar::Text(format!(
            "{}%",
            text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
        )),
        (Scalar::Text(text), "like" | "notlike") => Scalar::Text(text.replace('\\', "\\\\")),
        (_, _) => value,
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
        format!("({}, {place}) {than} (?, ?)", order_sql(order, names)),
        vec![key, Scalar::Int(id)],
    ))
}

impl Store {
    pub fn list(&self, spec: &ListSpec) -> Result<(Vec<Arc<Resource>>, Option<String>)> {
        let (mut rows, names) = match spec.root.as_str() {
            AUDIT_LOG => (
                self.list_audit(spec)?.into_iter().map(Arc::new).collect(),
                &audit::NAMES,
            ),
            _ => (self.list_resources(spec)?, &NAMES),
        };
        let has_more = i64::try_from(rows.len()).unwrap_or(i64::MAX) > spec.limit;
        if has_more {
            rows.pop();
        }
        let next = has_more
            .then(|| {
                rows.last()
                    .map(|row| Marker::write(&spec.order, &key_of(&spec.order, names, row), row.id))
            })
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

fn failed(source: diesel::result::Error) -> Error {
    super::failed("listing resources")(source)
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
