//! The wire form of a resource, made by copying prepared text around the row's own.
//!
//! What does not depend on the row is worked out once per type and view (a [`RowTemplate`]); a row then costs one pass of
//! copies. Decides nothing about what is legal: the caller says which actions are offered and which state is shown.

use std::ops::Range;

use crate::model::json::{push_escaped, push_string};
use crate::model::{Fields, Resource, ResourceId, Timestamp};

use super::row_template::{PlainColumn, RowTemplate, When};
use super::trim::push_trimmed;
use super::{Column, TypeView, View, layout};

pub use super::row_template::RowTemplateCell;

/// For whom and under which address resources are written.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The view of the request.
    pub view: &'a View,
    /// The row's type in that view.
    pub ty: &'a TypeView,
    /// What links begin with, without a slash at the end: `http://h/v2-beta/projects/1a5`.
    pub base: &'a str,
    /// `actions`, or `actionLinks` for the clients that want it so.
    pub actions_key: &'a str,
}

/// The wire form of a row's id: `1s` and 5 make `1s5`.
pub fn wire_id(prefix: &str, id: ResourceId) -> String {
    let mut text = String::with_capacity(prefix.len() + 20);
    push_wire_id(&mut text, prefix, id);
    text
}

/// What ids of this type begin with in this version: the type's prefix, but `1e` for a v1 environment.
pub fn id_prefix<'a>(view: &View, ty: &'a TypeView) -> &'a str {
    super::row_template::prefix_in(view.version, &ty.def)
}

/// The address of a row: `{base}/services/1s5`.
pub fn self_url(ctx: &Context<'_>, id: ResourceId) -> String {
    let mut url = format!("{}/{}/", ctx.base, ctx.ty.plural.to_ascii_lowercase());
    push_wire_id(&mut url, id_prefix(ctx.view, ctx.ty), id);
    url
}

/// Appends the whole JSON object of a row.
///
/// `shown_state` is the state this version reads; `derived` has the JSON text of computed fields (absent ones are their
/// empty value, usually null); `offered` names the actions that are legal now, in wire order.
pub fn resource(
    out: &mut String,
    ctx: &Context<'_>,
    row: &Resource,
    shown_state: &str,
    derived: &[(&str, String)],
    offered: &[&str],
) {
    let made;
    let template = match ctx.ty.template.get(ctx.view, ctx.ty) {
        Some(template) => template,
        None => {
            made = RowTemplate::new(ctx.view, ctx.ty);
            &made
        }
    };
    let repacked;
    let laid = match layout::lay(&ctx.ty.def, &row.fields, &row.cuts) {
        Some(laid) => laid,
        None => {
            repacked = repack(ctx.ty, row);
            layout::lay(&ctx.ty.def, &repacked.0, &repacked.1).unwrap_or_else(layout::Laid::nothing)
        }
    };
    let base_len = ctx.base.len() + template.path.len() + 40;
    out.reserve(laid.text.len() + 1024 + base_len * (template.links.len() + offered.len() + 1));

    out.push_str(&template.id_key);
    push_wire_id(out, &template.prefix, row.id);
    out.push_str(&template.type_and_self);
    let url = out.len();
    push_escaped(out, ctx.base);
    out.push_str(&template.path);
    push_wire_id(out, &template.prefix, row.id);
    let url = url..out.len();
    out.push('"');

    let own_set = template.set_references(&laid);
    push_links(out, ctx, template, row, derived, own_set, &url);
    out.push_str("},\"");
    out.push_str(ctx.actions_key);
    out.push_str("\":{");
    push_actions(out, offered, &url);
    out.push_str(&template.base_type);

    let transition = Transitioning::of(template, row, shown_state);
    for column in &template.columns {
        push_column(out, column, row, shown_state, &transition);
    }
    for field in &template.computed {
        // What schemas do not list is there where there is something to say.
        if field.is_unlisted && find(derived, &field.name).is_none() {
            continue;
        }
        out.push_str(&field.key);
        // Where there are no other rows, the original says null, never an empty list.
        let made = find(derived, &field.name).filter(|value| !matches!(*value, "[]" | "{}"));
        out.push_str(made.unwrap_or(&field.empty));
    }
    for (class, members) in laid.regions() {
        if !layout::is_shown(&ctx.ty.def, class, template.bit) {
            continue;
        }
        if ctx.ty.trims.is_empty() {
            out.push(',');
            out.push_str(members);
        } else {
            push_trimmed(out, members, &ctx.ty.trims);
        }
    }
    if let Some(column) = &template.last {
        push_column(out, column, row, shown_state, &transition);
    }
    out.push('}');
}

/// The links of a row but `self`, whose address is at `url` in `out`. `own_set` are the own references that are set.
fn push_links(
    out: &mut String,
    ctx: &Context<'_>,
    template: &RowTemplate,
    row: &Resource,
    derived: &[(&str, String)],
    own_set: u64,
    url: &Range<usize>,
) {
    for link in &template.links {
        match &link.when {
            When::Always => {}
            When::Column(column) if reference(row, *column).is_some() => {}
            When::Own(bit) if own_set & bit != 0 => {}
            When::Computed(name) if find(derived, name).is_some_and(|v| v != "null") => {}
            When::ColumnDirect { column, path, prefix } => {
                if let Some(id) = reference(row, *column) {
                    out.push_str(&link.key);
                    push_escaped(out, ctx.base);
                    out.push_str(path);
                    push_wire_id(out, prefix, id);
                    out.push('"');
                }
                continue;
            }
            When::Column(_) | When::Own(_) | When::Computed(_) => continue,
        }
        out.push_str(&link.key);
        out.extend_from_within(url.clone());
        out.push_str(&link.tail);
    }
}

/// The actions that are legal now; the row's address is at `url` in `out`.
fn push_actions(out: &mut String, offered: &[&str], url: &Range<usize>) {
    for (at, action) in offered.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        push_string(out, action);
        out.push_str(":\"");
        out.extend_from_within(url.clone());
        out.push_str("/?action=");
        push_escaped(out, action);
        out.push('"');
    }
}

/// What a row says of its way: the three `transitioning` fields.
struct Transitioning<'a> {
    word: &'static str,
    message: Option<&'a str>,
    progress: Option<i32>,
}

impl<'a> Transitioning<'a> {
    fn of(template: &RowTemplate, row: &'a Resource, state: &str) -> Self {
        let message = Some(row.message.as_str()).filter(|m| !m.is_empty());
        if template.transitioning.iter().any(|t| t == state) {
            Self {
                word: "\"yes\"",
                message: Some(message.unwrap_or("In Progress")),
                progress: row.progress,
            }
        } else if message.is_some() || state == "error" {
            Self {
                word: "\"error\"",
                message,
                progress: None,
            }
        } else {
            Self {
                word: "\"no\"",
                message: None,
                progress: None,
            }
        }
    }
}

fn push_column(out: &mut String, column: &PlainColumn, row: &Resource, state: &str, transition: &Transitioning<'_>) {
    out.push_str(&column.key);
    match column.column {
        Column::Id => {
            out.push('"');
            push_wire_id(out, &column.prefix, row.id);
            out.push('"');
        }
        Column::AccountId | Column::ParentId | Column::HostId => match reference(row, column.column) {
            Some(id) => {
                out.push('"');
                push_wire_id(out, &column.prefix, id);
                out.push('"');
            }
            None => out.push_str("null"),
        },
        // A v1 client knows a stack as an environment, its kind included.
        Column::Kind => match &column.renamed_kind {
            Some((from, to)) if *from == row.kind => push_string(out, to),
            _ => push_text(out, &row.kind),
        },
        Column::Uuid => push_text(out, &row.uuid),
        Column::Name => push_text(out, &row.name),
        Column::State => push_text(out, state),
        Column::Health => push_text(out, &row.health),
        Column::Created => push_date(out, column, Some(row.created)),
        Column::Removed => push_date(out, column, row.removed),
        Column::PurgeAfter => push_date(out, column, row.purge_after),
        Column::Transitioning => out.push_str(transition.word),
        Column::Message => push_text(out, transition.message.unwrap_or("")),
        Column::Progress => match transition.progress {
            Some(progress) => push_number(out, i64::from(progress)),
            None => out.push_str("null"),
        },
    }
}

fn reference(row: &Resource, column: Column) -> Option<ResourceId> {
    match column {
        Column::Id => Some(row.id),
        Column::AccountId => row.account_id,
        Column::ParentId => row.parent_id,
        Column::HostId => row.host_id,
        Column::Kind
        | Column::Uuid
        | Column::Name
        | Column::State
        | Column::Health
        | Column::Created
        | Column::Removed
        | Column::PurgeAfter
        | Column::Transitioning
        | Column::Message
        | Column::Progress => None,
    }
}

fn find<'a>(derived: &'a [(&str, String)], name: &str) -> Option<&'a str> {
    derived.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_str())
}

/// The text of a row as this build's layout has it. A row that cannot be read shows empty fields rather than none at all.
fn repack(ty: &TypeView, row: &Resource) -> (String, String) {
    let fields = Fields::parse(&row.fields).unwrap_or_else(|e| {
        log::error!("resource {} has unreadable fields: {e}", row.id);
        Fields::default()
    });
    layout::pack(&ty.def, &fields)
}

fn push_text(out: &mut String, text: &str) {
    if text.is_empty() {
        out.push_str("null");
    } else {
        push_string(out, text);
    }
}

fn push_wire_id(out: &mut String, prefix: &str, id: ResourceId) {
    out.push_str(prefix);
    push_number(out, id.0);
}

fn push_number(out: &mut String, number: i64) {
    if number < 0 {
        out.push('-');
    }
    push_digits(out, number.unsigned_abs(), 1);
}

/// The digits of `number`, at least `width` of them.
fn push_digits(out: &mut String, mut number: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut used = 0;
    for slot in digits.iter_mut().rev() {
        if number == 0 && used >= width {
            break;
        }
        *slot = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        used += 1;
    }
    if let Some(text) = digits
        .get(digits.len() - used..)
        .and_then(|d| std::str::from_utf8(d).ok())
    {
        out.push_str(text);
    }
}

/// A date as ISO text, followed by its sibling in milliseconds; both cut to seconds.
fn push_date(out: &mut String, column: &PlainColumn, at: Option<Timestamp>) {
    let Some(at) = at.map(Timestamp::floor_to_seconds) else {
        out.push_str("null");
        return;
    };
    out.push('"');
    push_iso(out, at);
    out.push('"');
    out.push_str(&column.sibling_key);
    push_number(out, at.0);
}

/// Much quicker than chrono's general formatter, which would be a third of a row's cost.
fn push_iso(out: &mut String, at: Timestamp) {
    // Days are counted from 0000-03-01, so that leap days end a year (Howard Hinnant's civil_from_days).
    let seconds = at.0.div_euclid(1000);
    let (days, second_of_day) = (seconds.div_euclid(86_400) + 719_468, seconds.rem_euclid(86_400));
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    if !(0..=9999).contains(&year) {
        out.push_str(&at.to_wire());
        return;
    }
    let parts = [
        (year, 4, "-"),
        (month, 2, "-"),
        (day, 2, "T"),
        (second_of_day / 3600, 2, ":"),
        (second_of_day / 60 % 60, 2, ":"),
        (second_of_day % 60, 2, "Z"),
    ];
    for (number, width, after) in parts {
        push_digits(out, number.unsigned_abs(), width);
        out.push_str(after);
    }
}

#[cfg(test)]
#[path = "render_tests.rs"]
mod tests;
