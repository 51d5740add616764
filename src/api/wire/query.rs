//! The parameters of a list: filters, order, page, include.
//!
//! What is not understood is ignored, as the wire has it: an unknown field or modifier filters nothing.

use super::request::Query;
use crate::engine::{Filter, ListQuery};
use crate::schema::{Link, TypeView, Version};

/// Rows per page if the client does not say.
pub const DEFAULT_LIMIT: u32 = 100;
/// Rows per page at most; also what zero and negative limits mean.
pub const MAX_LIMIT: u32 = 3000;

/// Reads the parameters of a list of `ty`.
pub fn list(version: Version, ty: &TypeView, query: &Query<'_>) -> ListQuery {
    let sort = query
        .first("sort")
        .and_then(|name| filterable(version, ty, name))
        .filter(|name| ty.fields.contains_key(*name));
    ListQuery {
        all: query.first("all").is_some_and(|all| all.eq_ignore_ascii_case("true")),
        filters: query
            .pairs()
            .filter_map(|(name, value)| filter(version, ty, name, value))
            .collect(),
        descending: sort.is_some()
            && query
                .first("order")
                .is_some_and(|o| o.trim().eq_ignore_ascii_case("desc")),
        sort: sort.map(str::to_owned),
        limit: limit(query.first("limit")),
        marker: query.first("marker").map(str::to_owned),
        with_removed: query.has("_removed"),
    }
}

/// The link whose rows come along; only the first `include` counts.
pub fn include<'t>(ty: &'t TypeView, query: &Query<'_>) -> Option<&'t Link> {
    include_named(ty, query.first("include")?)
}

/// The link of this name, in any case, if its rows may come along.
pub fn include_named<'t>(ty: &'t TypeView, wanted: &str) -> Option<&'t Link> {
    let is_includeable = |link: &&Link| ty.includeable_links.iter().any(|l| l.eq_ignore_ascii_case(&link.name));
    ty.links
        .iter()
        .find(|l| l.name.eq_ignore_ascii_case(wanted))
        .filter(is_includeable)
}

/// One parameter as a condition, if it is one.
fn filter(version: Version, ty: &TypeView, name: &str, value: &str) -> Option<Filter> {
    let condition = |field: &str, modifier: &str| {
        let field = filterable(version, ty, field)?;
        let known = ty.filters.get(field)?.modifiers();
        let modifier = *known.iter().find(|m| **m == modifier)?;
        Some(Filter {
            field: field.to_owned(),
            modifier: modifier.to_owned(),
            value: value.to_owned(),
        })
    };
    condition(name, "eq").or_else(|| {
        name.rsplit_once('_')
            .and_then(|(field, modifier)| condition(field, modifier))
    })
}

/// The name under which the view filters by `name`.
fn filterable<'t>(version: Version, ty: &'t TypeView, name: &str) -> Option<&'t str> {
    let find = |name: &str| ty.filters.get_key_value(name).map(|(k, _)| k.as_str());
    // v1 calls the stack of a service its environment, and takes either name.
    let other = match (version, name) {
        (Version::V1, "environmentId") => Some("stackId"),
        (Version::V1, "stackId") => Some("environmentId"),
        (Version::V1 | Version::V2Beta, _) => None,
    };
    find(name).or_else(|| other.and_then(find))
}

fn limit(text: Option<&str>) -> u32 {
    match text.map(|t| t.trim().parse::<i64>()) {
        Some(Ok(n)) if n > 0 => u32::try_from(n).unwrap_or(MAX_LIMIT).min(MAX_LIMIT),
        Some(Ok(_)) => MAX_LIMIT,
        Some(Err(_)) | None => DEFAULT_LIMIT,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

    use super::*;
    use crate::api::wire::fixture;
    use crate::schema::{FieldType, Relation};

    fn line(version: Version, query: &str) -> String {
        let ty = fixture::type_view("service", |ty| {
            for (name, field) in [
                ("name", FieldType::String),
                ("state", FieldType::Enum),
                ("scale", FieldType::Int),
                ("removed", FieldType::Date),
                ("stackId", FieldType::Reference("stack".into())),
                ("secret_key", FieldType::String),
            ] {
                fixture::add_field(ty, name, field.clone());
                ty.filters.insert(name.to_owned(), field);
            }
            ty.filters.insert("hidden".into(), FieldType::String);
        });
        let list = list(version, &ty, &Query::parse(query));
        let filters: Vec<_> = list
            .filters
            .iter()
            .map(|f| format!("{} {} {}", f.field, f.modifier, f.value))
            .collect();
        let order = if list.descending { "desc" } else { "asc" };
        format!(
            "{} | {} {order} | {} {:?} {}",
            filters.join(", "),
            list.sort.as_deref().unwrap_or("-"),
            list.limit,
            list.marker,
            list.with_removed
        )
    }

    #[test]
    fn list_parameters_are_read_leniently() {
        let cases = [
            ("", " | - asc | 100 None false"),
            ("name=web", "name eq web | - asc | 100 None false"),
            (
                "name_eq=web&scale_gt=2",
                "name eq web, scale gt 2 | - asc | 100 None false",
            ),
            ("name=a&name=b", "name eq a, name eq b | - asc | 100 None false"),
            (
                "state_ne=a&state_ne=b",
                "state ne a, state ne b | - asc | 100 None false",
            ),
            ("removed_null=%3Cnil%3E", "removed null <nil> | - asc | 100 None false"),
            (
                "secret_key=a&secret_key_like=b",
                "secret_key eq a, secret_key like b | - asc | 100 None false",
            ),
            ("hidden=x&sort=hidden", "hidden eq x | - asc | 100 None false"),
            (
                "nope=1&name_nope=1&state_like=x&_=1&all=true&system=false&x_y_z=1&name_=2",
                " | - asc | 100 None false",
            ),
            ("sort=name&order=DESC", " | name desc | 100 None false"),
            ("sort=name&order=sideways", " | name asc | 100 None false"),
            ("sort=nope&order=desc", " | - asc | 100 None false"),
            ("limit=5&marker=m5&_removed", " | - asc | 5 Some(\"m5\") true"),
            ("limit=0", " | - asc | 3000 None false"),
            ("limit=-2", " | - asc | 3000 None false"),
            ("limit=99999999999", " | - asc | 3000 None false"),
            ("limit=99999999999999999999999", " | - asc | 100 None false"),
            ("limit=many", " | - asc | 100 None false"),
        ];
        for (query, expected) in cases {
            assert_eq!(line(Version::V2Beta, query), expected, "{query}");
        }
    }

    #[test]
    fn v1_filters_by_environment() {
        assert_eq!(
            line(Version::V1, "environmentId=1e5&sort=environmentId"),
            "stackId eq 1e5 | stackId asc | 100 None false"
        );
        assert_eq!(line(Version::V2Beta, "environmentId=1e5"), " | - asc | 100 None false");
    }

    #[test]
    fn only_the_first_include_counts_in_any_case() {
        let link = |name: &str| Link {
            name: name.into(),
            to: Relation::Computed,
        };
        let ty = fixture::type_view("host", |ty| {
            ty.links = vec![link("account"), link("serviceEvents"), link("stats")];
            ty.includeable_links = vec!["account".into(), "serviceEvents".into()];
        });
        let included = |query| include(&ty, &Query::parse(query)).map(|l| l.name.as_str());
        assert_eq!(included("include=serviceevents&include=account"), Some("serviceEvents"));
        assert_eq!(included("include=stats"), None);
        assert_eq!(included("include=nope&include=account"), None);
        assert_eq!(included("include="), None);
    }
}
