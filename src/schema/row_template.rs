//! What rendering a type in a view needs and no row changes: keys, link tails, prefixes; made once, on first use.

use std::sync::OnceLock;

use crate::model::{Fields, State};

use super::{Column, FieldType, Link, Relation, Source, Type, TypeView, Version, View, layout};

/// Where a type's view keeps its template.
#[derive(Debug, Default)]
pub struct RowTemplateCell(OnceLock<RowTemplate>);

impl RowTemplateCell {
    /// The template, made if there is none; `None` if it was made for another view (views that share a type by accident).
    pub(super) fn get(&self, view: &View, ty: &TypeView) -> Option<&RowTemplate> {
        let template = self.0.get_or_init(|| RowTemplate::new(view, ty));
        (template.bit == view.bit && template.version == view.version).then_some(template)
    }
}

/// The prepared text of one type in one view.
#[derive(Debug)]
pub(super) struct RowTemplate {
    pub bit: u32,
    version: Version,
    /// `{"id":"`
    pub id_key: String,
    /// `1s`
    pub prefix: String,
    /// `","type":"service","links":{"self":"`
    pub type_and_self: String,
    /// `/services/`
    pub path: String,
    /// In wire order, `self` aside.
    pub links: Vec<LinkTemplate>,
    /// `},"baseType":"service"`
    pub base_type: String,
    /// Fields from columns: name, state, then by name.
    pub columns: Vec<PlainColumn>,
    /// Fields made from other rows.
    pub computed: Vec<Computed>,
    /// v1's `environmentId` of services, behind everything else.
    pub last: Option<PlainColumn>,
    /// The states in which a row is on its way.
    pub transitioning: Vec<String>,
    /// The single references at the start of each shown class, as long as a link may need them.
    references: Vec<(usize, Vec<OwnReference>)>,
}

#[derive(Debug)]
pub(super) struct LinkTemplate {
    /// `,"account":"`
    pub key: String,
    /// `/account"`
    pub tail: String,
    pub when: When,
}

/// On what a link depends.
#[derive(Debug)]
pub(super) enum When {
    /// Nothing.
    Always,
    /// A reference column.
    Column(Column),
    /// A reference column; the link leads straight to the other row instead of below this one.
    ColumnDirect {
        column: Column,
        path: String,
        prefix: String,
    },
    /// An own reference: its bit in what [`RowTemplate::set_references`] answers.
    Own(u64),
    /// A computed reference.
    Computed(String),
}

#[derive(Debug)]
pub(super) struct PlainColumn {
    /// `,"accountId":`
    pub key: String,
    /// `,"createdTS":`
    pub sibling_key: String,
    pub column: Column,
    /// Of the ids it shows.
    pub prefix: String,
    /// A kind that this version calls by another name.
    pub renamed_kind: Option<(String, String)>,
}

#[derive(Debug)]
pub(super) struct Computed {
    pub name: String,
    /// `,"instanceIds":`
    pub key: String,
    pub empty: String,
    pub is_unlisted: bool,
}

#[derive(Debug)]
struct OwnReference {
    name: String,
    /// Zero if no link asks.
    bit: u64,
}

impl RowTemplate {
    pub(super) fn new(view: &View, ty: &TypeView) -> Self {
        let has_environment = view.version == Version::V1 && is_v1_service(&ty.def);
        let mut columns: Vec<(&str, PlainColumn)> = Vec::new();
        let mut computed = Vec::new();
        for (name, field) in &ty.fields {
            match field.source {
                Source::Column(Column::Transitioning | Column::Message | Column::Progress)
                    if ty.def.machine.is_none() => {}
                Source::Column(Column::Id) if name == "id" => {}
                Source::Column(Column::ParentId) if has_environment => {}
                // A field of this name says nothing beside the type that every resource begins with.
                _ if name == "type" => {}
                Source::Column(column) => columns.push((name, plain_column(view, ty, name, column, &field.ty))),
                Source::Computed => computed.push(Computed {
                    name: name.clone(),
                    key: key(name),
                    empty: empty_of(ty, name),
                    is_unlisted: field.unlisted,
                }),
                Source::Fields => {}
            }
        }
        if has_environment {
            let stack = FieldType::Reference("stack".to_owned());
            columns.push(("stackId", plain_column(view, ty, "stackId", Column::ParentId, &stack)));
        }
        columns.sort_by_key(|(name, _)| (*name != "name", *name != "state", *name));
        let (links, references) = link_templates(view, ty, has_environment);
        Self {
            bit: view.bit,
            version: view.version,
            id_key: "{\"id\":\"".to_owned(),
            prefix: prefix_in(view.version, &ty.def).to_owned(),
            type_and_self: format!("\",\"type\":\"{}\",\"links\":{{\"self\":\"", ty.id),
            path: format!("/{}/", ty.plural.to_ascii_lowercase()),
            links,
            base_type: format!("}},\"baseType\":\"{}\"", ty.base_type),
            columns: columns.into_iter().map(|(_, column)| column).collect(),
            computed,
            last: has_environment.then(|| PlainColumn {
                key: key("environmentId"),
                sibling_key: String::new(),
                column: Column::ParentId,
                prefix: "1e".to_owned(),
                renamed_kind: None,
            }),
            transitioning: transitioning_states(&ty.def),
            references,
        }
    }

    /// Which own references of a row are set: the bits of those that links ask for.
    pub(super) fn set_references(&self, laid: &layout::Laid<'_>) -> u64 {
        let mut set = 0;
        if self.references.is_empty() {
            return set;
        }
        let mut wanted = self.references.iter().peekable();
        for (class, members) in laid.regions() {
            while wanted.next_if(|(c, _)| *c < class).is_some() {}
            let Some((_, references)) = wanted.next_if(|(c, _)| *c == class) else {
                continue;
            };
            match glance(references, members) {
                Some(bits) => set |= bits,
                None => return self.set_references_slowly(laid.text),
            }
        }
        set
    }

    fn set_references_slowly(&self, text: &str) -> u64 {
        let fields = Fields::parse(text).unwrap_or_default();
        let is_set = |name: &str| fields.get(name).is_some_and(|v| v != "null");
        self.references
            .iter()
            .flat_map(|(_, all)| all)
            .filter(|r| is_set(&r.name))
            .fold(0, |set, r| set | r.bit)
    }
}

/// Reads the references that stand first in a class. `None` where the text is not as the layout writes it.
fn glance(references: &[OwnReference], members: &str) -> Option<u64> {
    let (mut rest, mut set) = (members, 0);
    for reference in references {
        let value = rest
            .strip_prefix('"')?
            .strip_prefix(reference.name.as_str())?
            .strip_prefix("\":")?;
        rest = match value.strip_prefix("null") {
            Some(after) => after,
            None => {
                set |= reference.bit;
                let (id, after) = value.strip_prefix('"')?.split_once('"')?;
                if id.ends_with('\\') {
                    return None;
                }
                after
            }
        };
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    Some(set)
}

/// A type's prefix in a version.
pub(super) fn prefix_in(version: Version, ty: &Type) -> &str {
    if version == Version::V1 && ty.id == "stack" {
        "1e"
    } else {
        &ty.prefix
    }
}

/// The kinds that v1 shows with an `environmentId` and a link to it (cattle: `CompatibilityOutputFilter`). Driver services
/// are not among them, for v1 has no such types and shows them as services.
fn is_v1_service(ty: &Type) -> bool {
    let kinds = [
        "service",
        "dnsService",
        "externalService",
        "loadBalancerService",
        "kubernetesService",
        "composeService",
    ];
    kinds.contains(&ty.id.as_str())
}

fn plain_column(view: &View, ty: &TypeView, name: &str, column: Column, field_type: &FieldType) -> PlainColumn {
    let is_v1_stack = view.version == Version::V1 && ty.def.id == "stack";
    PlainColumn {
        key: key(name),
        sibling_key: format!(",\"{name}TS\":"),
        column,
        prefix: match column {
            Column::AccountId | Column::ParentId | Column::HostId => reference_prefix(view, name, column, field_type),
            _ => prefix_in(view.version, &ty.def).to_owned(),
        },
        renamed_kind: (is_v1_stack && column == Column::Kind).then(|| ("stack".to_owned(), ty.id.clone())),
    }
}

/// The prefix of the ids in a reference column. Falls back on the column where the view hides the far type.
fn reference_prefix(view: &View, name: &str, column: Column, ty: &FieldType) -> String {
    let far = match ty {
        FieldType::Reference(kind) => view.find_by_kind(kind).or_else(|| view.types.get(kind)),
        _ => None,
    };
    match far {
        Some(far) if far.def.id == "stack" && name == "environmentId" => prefix_in(view.version, &far.def).to_owned(),
        Some(far) => far.def.prefix.clone(),
        None => match (ty, column) {
            (_, Column::AccountId) => "1a".to_owned(),
            (_, Column::HostId) => "1h".to_owned(),
            (FieldType::Reference(kind), _) if !kind.is_empty() => prefix_by_name(kind),
            _ => "1st".to_owned(),
        },
    }
}

/// Rancher's rule for the prefix of a root type: its first letter and its capitals (cattle: `TypeIdFormatter`).
fn prefix_by_name(kind: &str) -> String {
    match kind {
        "stack" => "1st".to_owned(),
        "secret" => "1se".to_owned(),
        "environment" => "1e".to_owned(),
        "container" | "virtualMachine" => "1i".to_owned(),
        _ => {
            let capitals = kind.chars().skip(1).filter(|c| !c.is_ascii_lowercase());
            let short: String = kind.chars().take(1).chain(capitals).collect();
            format!("1{}", short.to_ascii_lowercase())
        }
    }
}

fn link_templates(
    view: &View,
    ty: &TypeView,
    has_environment: bool,
) -> (Vec<LinkTemplate>, Vec<(usize, Vec<OwnReference>)>) {
    let mut wanted: Vec<(String, u64)> = Vec::new();
    let mut links: Vec<(String, LinkTemplate)> = Vec::new();
    for link in ty.links.iter().filter(|l| l.name != "self") {
        let is_stack = has_environment && (leads_to_stack(ty, link) || link.name == "environment");
        let when = if is_stack {
            None
        } else {
            when(view, ty, link, &mut wanted)
        };
        if let Some(when) = when {
            links.push((link.name.clone(), link_template(&link.name, when)));
        }
    }
    if has_environment {
        let when = When::ColumnDirect {
            column: Column::ParentId,
            path: "/environments/".to_owned(),
            prefix: "1e".to_owned(),
        };
        links.push(("environment".to_owned(), link_template("environment", when)));
    }
    links.sort_by(|a, b| a.0.cmp(&b.0));
    (
        links.into_iter().map(|(_, link)| link).collect(),
        references(&ty.def, view.bit, &wanted),
    )
}

fn link_template(name: &str, when: When) -> LinkTemplate {
    LinkTemplate {
        key: format!(",\"{name}\":\""),
        tail: format!("/{}\"", name.to_ascii_lowercase()),
        when,
    }
}

fn leads_to_stack(ty: &TypeView, link: &Link) -> bool {
    matches!(&link.to, Relation::One { field, .. } if source_of(ty, field) == Some(Source::Column(Column::ParentId)))
}

fn source_of(ty: &TypeView, field: &str) -> Option<Source> {
    ty.def
        .fields
        .get(field)
        .map(|f| f.source)
        .or_else(|| ty.fields.get(field).map(|f| f.source))
}

/// On what a link depends; `None` if the view hides the reference it follows.
fn when(view: &View, ty: &TypeView, link: &Link, wanted: &mut Vec<(String, u64)>) -> Option<When> {
    let Relation::One { field, .. } = &link.to else {
        return Some(When::Always);
    };
    match source_of(ty, field)? {
        Source::Column(column) => ty
            .fields
            .values()
            .any(|f| f.source == Source::Column(column))
            .then_some(When::Column(column)),
        Source::Computed => ty.fields.contains_key(field).then(|| When::Computed(field.clone())),
        Source::Fields => {
            let stored = ty.def.fields.get(field)?;
            if !matches!(stored.ty, FieldType::Reference(_)) || !layout::is_shown(&ty.def, stored.class, view.bit) {
                return None;
            }
            if let Some((_, bit)) = wanted.iter().find(|(name, _)| name == field) {
                return Some(When::Own(*bit));
            }
            let bit = 1_u64.checked_shl(u32::try_from(wanted.len()).ok()?)?;
            wanted.push((field.clone(), bit));
            Some(When::Own(bit))
        }
    }
}

/// The references to glance at, by class: all up to the last one that a link asks for.
fn references(ty: &Type, view_bit: u32, wanted: &[(String, u64)]) -> Vec<(usize, Vec<OwnReference>)> {
    let mut classes: Vec<(usize, Vec<OwnReference>)> = Vec::new();
    for field in ty
        .own_layout()
        .order
        .iter()
        .filter(|f| f.is_reference && layout::is_shown(ty, f.class, view_bit))
    {
        let bit = wanted
            .iter()
            .find(|(name, _)| *name == field.name)
            .map_or(0, |(_, bit)| *bit);
        let reference = OwnReference {
            name: field.name.clone(),
            bit,
        };
        match classes.last_mut().filter(|(class, _)| *class == field.class) {
            Some((_, references)) => references.push(reference),
            None => classes.push((field.class, vec![reference])),
        }
    }
    for (_, references) in &mut classes {
        let needed = references.iter().rposition(|r| r.bit != 0).map_or(0, |last| last + 1);
        references.truncate(needed);
    }
    classes.retain(|(_, references)| !references.is_empty());
    classes
}

fn transitioning_states(ty: &Type) -> Vec<String> {
    let Some(machine) = &ty.machine else { return Vec::new() };
    let passed = machine.transitions.iter().map(|t| t.via);
    let mut states: Vec<_> = passed.chain([State::REQUESTED]).collect();
    states.sort();
    states.dedup();
    states.retain(|state| machine.is_transitioning(*state));
    states.into_iter().map(|state| state.as_str().to_owned()).collect()
}

fn empty_of(ty: &TypeView, name: &str) -> String {
    let stored = ty
        .def
        .fields
        .get(name)
        .map(|f| f.empty.as_str())
        .filter(|e| !e.is_empty());
    stored.unwrap_or("null").to_owned()
}

fn key(name: &str) -> String {
    format!(",\"{name}\":")
}
