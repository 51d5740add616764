//! Lists and links: from the view's names to the store's queries.

use std::collections::{BTreeMap, HashMap};

use crate::engine::core::{Core, Filter, ListQuery, Page, Scope, is_kept_as_written};
use crate::engine::{access, accounts};
use crate::model::{Error, Resource, ResourceId, Result, State, Timestamp, WireId};
use crate::schema::{Column, FieldType, Link, Relation, Source, TypeView};
use crate::store::{Condition, Direction, ListSpec, Order, Scalar, SortKey, Tally, Target};

pub(crate) fn list(core: &Core, scope: &Scope, ty: &TypeView, query: &ListQuery) -> Result<Page> {
    let spec = spec_of(core, scope, ty, query)?;
    let mut page = page(core, ty, query, spec)?;
    // What a person prefers is looked for by the person, and the answer says so.
    if ty.def.root == "userPreference" && scope.project.is_none() {
        page.filters.push(Filter {
            field: "accountId".to_owned(),
            modifier: "eq".to_owned(),
            value: scope.user.id.to_string(),
        });
    }
    Ok(page)
}

/// Whose rows of which types a list is of.
fn spec_of(core: &Core, scope: &Scope, ty: &TypeView, query: &ListQuery) -> Result<ListSpec> {
    let mut spec = ListSpec {
        root: ty.def.root.clone(),
        kinds: if ty.is_root { Vec::new() } else { ty.kinds.clone() },
        account: scope.owner(),
        with_removed: query.with_removed,
        limit: i64::from(query.limit),
        marker: query.marker.clone(),
        ..ListSpec::default()
    };
    access::restrict_list(core, scope, ty, &mut spec)?;
    accounts::restrict_list(core, scope, ty, query, &mut spec)?;
    Ok(spec)
}

/// The rows at the end of a link as a list of their type: filtered, ordered and cut into pages like any other.
pub(crate) fn follow_list(
    core: &Core,
    scope: &Scope,
    near: ResourceId,
    link: &Link,
    far: &TypeView,
    query: &ListQuery,
) -> Result<Page> {
    let mut found = follow(core, scope, &[near], link)?;
    // What is purged has left its host.
    let is_purged = core.store.find(near)?.is_some_and(|row| row.state == State::PURGED);
    if is_purged && matches!(link.to, Relation::Listed { .. }) {
        found.clear();
    }
    let ids: Vec<String> = found.iter().map(|(_, row)| row.id.to_string()).collect();
    let is_it = if ids.is_empty() {
        Condition::Never
    } else {
        Condition::OneOf(Target::Column(Column::Id), ids)
    };
    let spec = ListSpec {
        root: far.def.root.clone(),
        limit: i64::from(query.limit),
        marker: query.marker.clone(),
        conditions: vec![is_it],
        ..ListSpec::default()
    };
    let mut page = page(core, far, query, spec)?;
    for row in &mut page.rows {
        *row = core.reveal_shared(scope, row.clone())?;
    }
    Ok(page)
}

/// How many rows of a list are alike in kind, stack, host, state and health.
pub(crate) fn tally(core: &Core, scope: &Scope, ty: &TypeView, query: &ListQuery) -> Result<Vec<Tally>> {
    let mut spec = spec_of(core, scope, ty, query)?;
    restrict(core, ty, query, &mut spec)?;
    core.store.tally(&spec)
}

/// A page of what `spec` describes, by the filters and the order of the query.
fn page(core: &Core, ty: &TypeView, query: &ListQuery, mut spec: ListSpec) -> Result<Page> {
    let echoed = restrict(core, ty, query, &mut spec)?;
    if let Some(sort) = &query.sort
        && let Some(key) = ty.def.fields.get(sort).and_then(|f| sort_key(sort, f.source))
    {
        spec.order = Order {
            key,
            descending: query.descending,
        };
    }
    let (mut rows, next) = core.store.list(&spec)?;
    if accounts::is_named_in_any_case(ty) {
        // The comparison that knows no case knows wildcards.
        let names = || query.filters.iter().filter(|f| f.field == "name" && f.modifier == "eq");
        rows.retain(|row| names().all(|f| f.value.eq_ignore_ascii_case(&row.name)));
    }
    Ok(Page {
        rows,
        next,
        filters: echoed,
    })
}

/// Puts the filters of the query into `spec`; gives them as the answer echoes them.
fn restrict(core: &Core, ty: &TypeView, query: &ListQuery, spec: &mut ListSpec) -> Result<Vec<Filter>> {
    let mut echoed: Vec<Filter> = Vec::new();
    for (nth, filter) in query.filters.iter().enumerate() {
        if query.filters.iter().take(nth).any(|earlier| earlier == filter) {
            continue;
        }
        if echoed.len() == MAX_FILTERS {
            return Err(Error::invalid("MaxLimitExceeded", "filters"));
        }
        let (conditions, echo) = conditions(core, ty, filter);
        // Removed rows are asked for by their own column.
        let asks_removed = filter.field == "removed" && filter.modifier != "null";
        spec.with_removed |= asks_removed;
        spec.conditions.extend(conditions);
        echoed.push(echo);
    }
    Ok(echoed)
}

/// Different filters of one list at most: each makes the statement deeper, and SQLite takes statements only so deep.
const MAX_FILTERS: usize = 200;

fn sort_key(name: &str, source: Source) -> Option<SortKey> {
    match source {
        Source::Column(Column::Id) => Some(SortKey::Id),
        Source::Column(column) => Some(SortKey::Column(column)),
        Source::Fields => Some(SortKey::Json(name.to_owned())),
        Source::Computed => None,
    }
}

/// A filter as the store's conditions, and as the answer echoes it.
fn conditions(core: &Core, ty: &TypeView, filter: &Filter) -> (Vec<Condition>, Filter) {
    let plain = filter.clone();
    let hidden = || (filter.field == "removeTime").then_some(Target::Column(Column::PurgeAfter));
    if let Some(condition) = accounts::own_condition(ty, filter) {
        return (vec![condition], plain);
    }
    let target = match ty.def.fields.get(&filter.field).map(|f| f.source) {
        Some(Source::Column(column)) => Some(Target::Column(column)),
        // What the reader does not see says nothing by what it lets through, either.
        Some(Source::Fields) if ty.fields.contains_key(&filter.field) => Some(Target::Json(filter.field.clone())),
        Some(Source::Fields | Source::Computed) => None,
        None => hidden(),
    };
    // A filter on what no row has is ignored, as the wire ignores filters it does not know.
    let Some(target) = target else {
        return (Vec::new(), plain);
    };
    let is_reference = matches!(ty.filters.get(&filter.field), Some(FieldType::Reference(_)));
    let echoed = || Filter {
        value: if is_reference {
            "-1".to_owned()
        } else {
            filter.value.clone()
        },
        ..plain.clone()
    };
    match filter.modifier.as_str() {
        "null" => return (vec![Condition::Null(target)], echoed()),
        "notnull" => return (vec![Condition::NotNull(target)], echoed()),
        _ => {}
    }
    compared(core, ty, filter, target)
}

/// A filter that compares: its value is read as its field's type has it.
fn compared(core: &Core, ty: &TypeView, filter: &Filter, target: Target) -> (Vec<Condition>, Filter) {
    let echo = |value: String| Filter {
        value,
        ..filter.clone()
    };
    let plain = filter.clone();
    let is_column = matches!(target, Target::Column(_));
    let ty_of = ty.filters.get(&filter.field).unwrap_or(&FieldType::String);
    let one = |value: Option<Scalar>| match value {
        Some(value) => vec![Condition::compare(target.clone(), &filter.modifier, value)],
        None => vec![Condition::Never],
    };
    match ty_of {
        FieldType::Reference(kind) => {
            let id = WireId::parse(&filter.value).map(|w| w.id);
            let stored = id.map(|id| {
                if is_column {
                    Scalar::Int(id.0)
                } else {
                    Scalar::Text(core.wire_id(kind, id))
                }
            });
            (
                one(stored),
                echo(id.map_or_else(|| "-1".to_owned(), |id| id.to_string())),
            )
        }
        // What an audit row is about is kept as the wire writes it, whatever the type of the field says.
        FieldType::Int if is_kept_as_written(&ty.def.id, &filter.field) => {
            (one(Some(Scalar::Text(filter.value.clone()))), plain)
        }
        FieldType::Int | FieldType::Float if filter.field == "id" => {
            let id = WireId::parse(&filter.value)
                .map(|w| w.id.0)
                .or_else(|| filter.value.parse().ok());
            (one(id.map(Scalar::Int)), plain)
        }
        FieldType::Int | FieldType::Float => (one(filter.value.trim().parse().ok().map(Scalar::Int)), plain),
        FieldType::Date => {
            let at = read_date(core, &filter.value);
            let stored = at.map(|at| {
                if is_column {
                    Scalar::Int(at.0)
                } else {
                    Scalar::Text(at.to_wire())
                }
            });
            (
                one(stored),
                echo(at.map_or_else(|| filter.value.clone(), Timestamp::to_wire)),
            )
        }
        FieldType::Boolean => {
            let is_true = matches!(filter.value.as_str(), "true" | "1");
            (one(Some(Scalar::Int(i64::from(is_true)))), plain)
        }
        // Quirk: names of projects, and of what they are made from, are found in whatever case (MySQL's own comparison).
        FieldType::String
            if filter.field == "name" && filter.modifier == "eq" && accounts::is_named_in_any_case(ty) =>
        {
            (
                vec![Condition::compare(target, "like", Scalar::Text(filter.value.clone()))],
                plain,
            )
        }
        FieldType::Enum if target == Target::Column(Column::State) => (state_conditions(ty, filter, &target), plain),
        FieldType::Enum if target == Target::Column(Column::Transitioning) => (Vec::new(), plain),
        _ => (one(Some(Scalar::Text(filter.value.clone()))), plain),
    }
}

/// A state that stands for several stored ones matches any of them.
fn state_conditions(ty: &TypeView, filter: &Filter, target: &Target) -> Vec<Condition> {
    let stored: Vec<&str> = ty.stored_states(&filter.value).collect();
    match (filter.modifier.as_str(), stored.as_slice()) {
        (_, []) => vec![Condition::Never],
        ("ne", all) => all
            .iter()
            .map(|s| Condition::compare(target.clone(), "ne", Scalar::Text((*s).to_owned())))
            .collect(),
        (_, [one]) => vec![Condition::compare(
            target.clone(),
            "eq",
            Scalar::Text((*one).to_owned()),
        )],
        (_, several) => vec![Condition::OneOf(
            target.clone(),
            several.iter().map(|s| (*s).to_owned()).collect(),
        )],
    }
}

fn read_date(core: &Core, text: &str) -> Option<Timestamp> {
    match text.trim() {
        "now" => Some(core.now()),
        text => Timestamp::parse(text).or_else(|| text.parse().ok().map(Timestamp)),
    }
}

pub(crate) fn follow(
    core: &Core,
    scope: &Scope,
    rows: &[ResourceId],
    link: &Link,
) -> Result<Vec<(ResourceId, Resource)>> {
    let pairs = match &link.to {
        Relation::One { field, .. } | Relation::Listed { field, .. } => one(core, rows, field)?,
        Relation::Many { kind, field } => many(core, rows, kind, field)?,
        Relation::Through { through, near, far, .. } => {
            let maps = live(
                core,
                core.store
                    .references(near, rows, Direction::To)?
                    .iter()
                    .map(|(m, _)| *m),
                through,
            )?;
            let ends: HashMap<ResourceId, ResourceId> = core
                .store
                .references(far, &maps, Direction::From)?
                .into_iter()
                .collect();
            let nears = core.store.references(near, &maps, Direction::From)?;
            nears
                .into_iter()
                .filter_map(|(map, near)| Some((near, *ends.get(&map)?)))
                .collect()
        }
        Relation::Computed | Relation::Handled => Vec::new(),
    };
    let ids: Vec<ResourceId> = pairs.iter().map(|(_, far)| *far).collect();
    let found: HashMap<ResourceId, Resource> = core.store.many(&ids)?.into_iter().map(|r| (r.id, r)).collect();
    let is_one = matches!(link.to, Relation::One { .. });
    let mut seen = Vec::with_capacity(pairs.len());
    for (near, far) in pairs {
        let Some(row) = found.get(&far).filter(|row| is_one || row.removed.is_none()) else {
            continue;
        };
        if core.sees(scope, row)? {
            seen.push((near, core.reveal(scope, row.clone())?));
        }
    }
    Ok(seen)
}

fn one(core: &Core, rows: &[ResourceId], field: &str) -> Result<Vec<(ResourceId, ResourceId)>> {
    let mut pairs = Vec::new();
    for row in core.store.many(rows)? {
        let many = core
            .type_of_row(&row)?
            .fields
            .get(field)
            .filter(|f| matches!(f.ty, FieldType::Array(_)));
        if many.is_some() {
            pairs.extend(core.store.references(field, &[row.id], Direction::From)?);
            continue;
        }
        let source = core.type_of_row(&row)?.fields.get(field).map(|f| f.source);
        let far = match source {
            Some(Source::Column(Column::AccountId)) => row.account_id,
            Some(Source::Column(Column::ParentId)) => row.parent_id,
            Some(Source::Column(Column::HostId)) => row.host_id,
            Some(Source::Fields) => crate::model::Fields::parse(&row.fields)?
                .text(field)
                .and_then(|w| WireId::parse(&w).map(|w| w.id)),
            _ => None,
        };
        pairs.extend(far.map(|far| (row.id, far)));
    }
    Ok(pairs)
}

fn many(core: &Core, rows: &[ResourceId], kind: &str, field: &str) -> Result<Vec<(ResourceId, ResourceId)>> {
    let ty = core.type_of(kind)?;
    match ty.fields.get(field).map(|f| f.source) {
        Some(Source::Column(Column::ParentId)) => core.store.child_ids(rows, &ty.root),
        Some(Source::Column(Column::HostId)) => Ok(core
            .store
            .on_hosts(rows, &ty.root)?
            .into_iter()
            .filter_map(|s| Some((s.host_id?, s.id)))
            .collect()),
        Some(Source::Column(Column::AccountId)) => {
            let mut pairs = Vec::new();
            for account in rows {
                pairs.extend(
                    core.store
                        .all(&ty.root, Some(*account))?
                        .into_iter()
                        .map(|r| (*account, r.id)),
                );
            }
            Ok(pairs)
        }
        Some(Source::Fields) => {
            let pairs = core.store.references(field, rows, Direction::To)?;
            let live: BTreeMap<ResourceId, ()> = live(core, pairs.iter().map(|(from, _)| *from), kind)?
                .into_iter()
                .map(|id| (id, ()))
                .collect();
            Ok(pairs
                .into_iter()
                .filter(|(from, _)| live.contains_key(from))
                .map(|(from, to)| (to, from))
                .collect())
        }
        _ => Ok(Vec::new()),
    }
}

/// Those of `ids` that are live rows of this kind or of one derived from it.
fn live(core: &Core, ids: impl Iterator<Item = ResourceId>, kind: &str) -> Result<Vec<ResourceId>> {
    let rows = core.store.many(&ids.collect::<Vec<_>>())?;
    Ok(rows
        .into_iter()
        .filter(|r| {
            r.removed.is_none() && (r.root == kind || core.type_of_row(r).is_ok_and(|ty| core.derives(&ty.id, kind)))
        })
        .map(|r| r.id)
        .collect())
}
