//! The envelope of a collection, written around the text of its rows.

use crate::api::wire::call::Call;
use crate::api::wire::query;
use crate::api::wire::request::Query;
use crate::engine::{Filter, ListQuery, Page};
use crate::http::json::{push_comma, push_escaped, push_key, push_lower, push_option, push_str};
use crate::model::Result;
use crate::schema::{FieldType, TypeView, View};

/// What stands before the rows.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// The type that was asked for, not those of the rows.
    pub resource_type: &'a str,
    /// The URL of the request, without its query.
    pub url: &'a str,
    /// Where the sub-types of the type are created; none if it has none.
    pub create_types: Option<(&'a View, &'a TypeView)>,
    /// What links begin with.
    pub root: &'a str,
    /// `actions` or `actionLinks`.
    pub actions_key: &'a str,
}

/// What stands behind the rows of a list that has pages.
#[derive(Debug, Clone, Copy)]
pub struct Paging<'a> {
    /// The type that was asked for.
    pub ty: &'a TypeView,
    /// The request's parameters as they came.
    pub query: &'a Query<'a>,
    /// And as they were understood.
    pub list: &'a ListQuery,
    /// The marker of the next page.
    pub next: Option<&'a str>,
    /// The conditions as the engine understood them.
    pub filters: &'a [Filter],
    /// The field and value that new elements begin with.
    pub preset: Option<(&'a str, &'a str)>,
}

/// Writes a collection up to and with the bracket of its rows.
pub fn open(out: &mut String, head: &Head<'_>) {
    out.push_str(r#"{"type":"collection","resourceType":"#);
    push_str(out, head.resource_type);
    out.push_str(r#","links":{"self":"#);
    push_str(out, head.url);
    out.push_str(r#"},"createTypes":{"#);
    if let Some((view, ty)) = head.create_types {
        for sub in ty.create_types.iter().filter_map(|name| view.types.get(name)) {
            push_comma(out);
            push_key(out, &sub.id);
            out.push('"');
            push_escaped(out, head.root);
            out.push('/');
            push_lower(out, &sub.plural);
            out.push('"');
        }
    }
    out.push_str("},");
    push_key(out, head.actions_key);
    out.push_str(r#"{},"data":["#);
}

/// The same for a type of no schema of the caller's, which makes none by itself.
pub fn open_plain(out: &mut String, call: &Call<'_>, ty: &str) {
    let head = Head {
        resource_type: ty,
        url: &call.url(),
        create_types: None,
        root: &call.base.root,
        actions_key: call.actions_key,
    };
    open(out, &head);
}

/// Ends a collection that comes whole. `create_default` is the field and value that new elements begin with.
pub fn close(out: &mut String, create_default: Option<(&str, &str)>) {
    out.push_str(r#"],"sortLinks":{},"pagination":null,"sort":null,"filters":{},"createDefaults":{"#);
    push_preset(out, create_default);
    out.push_str("}}");
}

/// Ends a collection that comes whole, and tells all the same by what it could be sorted and filtered.
pub fn close_whole(out: &mut String, url: &str, ty: &TypeView, query: &Query<'_>, filters: &[Filter]) {
    out.push_str(r#"],"sortLinks":{"#);
    push_sort_links(out, url, ty, query);
    out.push_str(r#"},"pagination":null,"sort":null,"filters":{"#);
    push_filters(out, ty, filters);
    out.push_str(r#"},"createDefaults":{}}"#);
}

fn push_sort_links(out: &mut String, url: &str, ty: &TypeView, query: &Query<'_>) {
    let kept = query.without(&["sort", "order", "marker"]);
    // All that may be filtered, also what is not shown: sorting by that does nothing, and says nothing of it.
    let mut before = String::with_capacity(url.len() + kept.len() + 8);
    push_escaped(&mut before, url);
    push_escaped(&mut before, &kept);
    before.push_str("sort=");
    for name in &ty.told {
        push_comma(out);
        push_key(out, name);
        out.push('"');
        out.push_str(&before);
        out.push_str(name);
        out.push('"');
    }
}

fn push_filters(out: &mut String, ty: &TypeView, filters: &[Filter]) {
    let copy_of = |field: &str| ty.copies.iter().find(|(from, _)| from == field).map(|(_, to)| to);
    for name in &ty.told {
        push_comma(out);
        push_key(out, name);
        let is_date = ty.filters.get(name) == Some(&FieldType::Date);
        let own = filters
            .iter()
            .filter(|f| f.field == *name || copy_of(&f.field) == Some(name));
        push_conditions(out, own, is_date);
    }
}

/// Ends one page of a list at `url`.
pub fn close_page(out: &mut String, url: &str, paging: &Paging<'_>) {
    out.push_str(r#"],"sortLinks":{"#);
    push_sort_links(out, url, paging.ty, paging.query);
    out.push_str(r#"},"pagination":{"first":null,"previous":null,"next":"#);
    match paging.next {
        Some(marker) => {
            let marker: String = url::form_urlencoded::byte_serialize(marker.as_bytes()).collect();
            push_url(out, url, &paging.query.without(&["marker"]), &["marker=", &marker]);
        }
        None => out.push_str("null"),
    }
    out.push_str(r#","limit":"#);
    out.push_str(&paging.list.limit.to_string());
    out.push_str(r#","total":null,"partial":"#);
    out.push_str(if paging.next.is_some() { "true" } else { "false" });
    out.push_str(r#"},"sort":"#);
    push_sort(out, url, paging);
    out.push_str(r#","filters":{"#);
    push_filters(out, paging.ty, paging.filters);
    out.push_str(r#"},"createDefaults":{"#);
    push_preset(out, paging.preset);
    out.push_str("}}");
}

fn push_preset(out: &mut String, preset: Option<(&str, &str)>) {
    if let Some((field, value)) = preset {
        push_key(out, field);
        push_str(out, value);
    }
}

fn push_sort(out: &mut String, url: &str, paging: &Paging<'_>) {
    let Some(name) = paging.list.sort.as_deref() else {
        out.push_str("null");
        return;
    };
    let (order, reverse) = if paging.list.descending {
        ("desc", "asc")
    } else {
        ("asc", "desc")
    };
    out.push_str(r#"{"name":"#);
    push_str(out, name);
    out.push_str(r#","order":"#);
    push_str(out, order);
    out.push_str(r#","reverse":"#);
    push_url(
        out,
        url,
        &paging.query.without(&["order", "marker"]),
        &["order=", reverse],
    );
    out.push('}');
}

/// What is no date is null where a date is compared.
fn push_conditions<'f>(out: &mut String, conditions: impl Iterator<Item = &'f Filter>, is_date: bool) {
    let start = out.len();
    for condition in conditions {
        out.push(if out.len() == start { '[' } else { ',' });
        out.push_str(r#"{"value":"#);
        let value = Some(condition.value.as_str()).filter(|value| !is_date || !value.is_empty());
        push_option(out, value);
        out.push_str(r#","modifier":"#);
        push_str(out, &condition.modifier);
        out.push('}');
    }
    out.push_str(if out.len() == start { "null" } else { "]" });
}

fn push_url(out: &mut String, url: &str, query: &str, rest: &[&str]) {
    out.push('"');
    push_escaped(out, url);
    push_escaped(out, query);
    for part in rest {
        push_escaped(out, part);
    }
    out.push('"');
}

/// All rows of a list that is always whole: so many pages as it takes.
pub fn whole(mut query: ListQuery, list: impl Fn(&ListQuery) -> Result<Page>) -> Result<Page> {
    let mut page = list(&query)?;
    while let Some(marker) = page.next.take() {
        query.marker = Some(marker);
        let more = list(&query)?;
        page.rows.extend(more.rows);
        page.next = more.next;
    }
    Ok(page)
}

/// The parameters of the first page of a list that is always whole.
pub fn everything() -> ListQuery {
    ListQuery {
        limit: query::MAX_LIMIT,
        ..ListQuery::default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

    use super::*;
    use crate::api::wire::fixture;
    use crate::schema::{FieldType, Version};

    #[test]
    fn a_page_has_the_keys_of_the_wire_in_order() {
        let ty = fixture::type_view("service", |ty| {
            for name in ["name", "state"] {
                fixture::add_field(ty, name, FieldType::String);
                ty.filters.insert(name.into(), FieldType::String);
            }
            ty.filters.insert("hidden".into(), FieldType::String);
        });
        let query = Query::parse("limit=2&marker=m2&sort=name&name=w%22b&x=\"");
        let list = query::list(Version::V2Beta, &ty, &query);
        let mut out = String::new();
        let url = "http://h/v2-beta/services";
        open(
            &mut out,
            &Head {
                resource_type: "service",
                url,
                create_types: None,
                root: "http://h/v2-beta",
                actions_key: "actions",
            },
        );
        out.push_str(r#"{"id":"1s1"}"#);
        close_page(
            &mut out,
            url,
            &Paging {
                ty: &ty,
                query: &query,
                list: &list,
                next: Some("m 4&"),
                filters: &list.filters,
                preset: None,
            },
        );
        let expected = concat!(
            r#"{"type":"collection","resourceType":"service","links":{"self":"http://h/v2-beta/services"},"createTypes":{},"actions":{},"#,
            r#""data":[{"id":"1s1"}],"#,
            r#""sortLinks":{"hidden":"http://h/v2-beta/services?limit=2&name=w%22b&x=\"&sort=hidden","#,
            r#""name":"http://h/v2-beta/services?limit=2&name=w%22b&x=\"&sort=name","#,
            r#""state":"http://h/v2-beta/services?limit=2&name=w%22b&x=\"&sort=state"},"#,
            r#""pagination":{"first":null,"previous":null,"#,
            r#""next":"http://h/v2-beta/services?limit=2&sort=name&name=w%22b&x=\"&marker=m+4%26","limit":2,"total":null,"partial":true},"#,
            r#""sort":{"name":"name","order":"asc","reverse":"http://h/v2-beta/services?limit=2&sort=name&name=w%22b&x=\"&order=desc"},"#,
            r#""filters":{"hidden":null,"name":[{"value":"w\"b","modifier":"eq"}],"state":null},"createDefaults":{}}"#,
        );
        assert_eq!(out, expected);
        serde_json::from_str::<serde_json::Value>(&out).unwrap();
    }

    #[test]
    fn a_whole_list_is_read_to_its_last_page() {
        let asked = std::cell::RefCell::new(Vec::new());
        let page = |query: &ListQuery| {
            let marker = query.marker.clone().unwrap_or_default();
            let next = (marker != "mm").then(|| format!("{marker}m"));
            asked.borrow_mut().push((marker, query.limit, query.filters.len()));
            Ok(Page {
                next,
                ..Page::default()
            })
        };
        let name = Filter {
            field: "name".into(),
            modifier: "eq".into(),
            value: "a".into(),
        };
        let query = ListQuery {
            filters: vec![name],
            ..everything()
        };
        assert!(whole(query, page).unwrap().next.is_none());
        let each = |marker: &str| (marker.to_owned(), query::MAX_LIMIT, 1);
        assert_eq!(asked.into_inner(), [each(""), each("m"), each("mm")]);
    }

    #[test]
    fn a_whole_collection_has_no_pages() {
        let mut out = String::new();
        open(
            &mut out,
            &Head {
                resource_type: "service",
                url: "u",
                create_types: None,
                root: "",
                actions_key: "actionLinks",
            },
        );
        close(&mut out, Some(("stackId", "1st3")));
        let expected = concat!(
            r#"{"type":"collection","resourceType":"service","links":{"self":"u"},"createTypes":{},"actionLinks":{},"data":[],"#,
            r#""sortLinks":{},"pagination":null,"sort":null,"filters":{},"createDefaults":{"stackId":"1st3"}}"#,
        );
        assert_eq!(out, expected);
    }
}
