//! What a type is in one version, once everything that it inherits is put together.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::file::{ActionPatch, FieldPatch, FieldPatches, FilterPatch, TypeFile};
use super::load::Files;
use super::{Action, Column, Field, FieldType, Problem, Source, Version};

/// A type in one version, in canonical names.
#[derive(Debug, Clone, Default)]
pub(super) struct TypeShape {
    pub fields: BTreeMap<String, Arc<FieldDraft>>,
    /// What may be filtered although no field of this name is.
    pub filters: BTreeMap<String, String>,
    pub actions: BTreeMap<String, Action>,
    /// Name → where it leads, in the notation of the files.
    pub links: BTreeMap<String, String>,
    pub collection: Vec<String>,
    pub resource: Vec<String>,
}

/// A field, with what a view does not say of it.
#[derive(Debug, Clone)]
pub(super) struct FieldDraft {
    pub field: Field,
    pub hidden: bool,
    /// Whether rows show it; else it is only in schemas.
    pub shown: bool,
    pub filter: FilterPatch,
}

/// The shapes of all types in one version, by canonical id.
pub(super) type Shapes = BTreeMap<String, Arc<TypeShape>>;

/// Puts together all types of a version, whether or not the version shows them.
pub(super) fn shapes(files: &Files, version: Version, problems: &mut Vec<Problem>) -> Shapes {
    let mut done = Shapes::new();
    for file in files.types.values() {
        shape(files, file, version, &mut done, problems, 0);
    }
    done
}

/// The line of a type: itself, its parent, and so on to the root. Ends where a parent is unknown.
pub(super) fn line<'a>(files: &'a Files, id: &'a str) -> Vec<&'a TypeFile> {
    let mut line: Vec<&TypeFile> = Vec::new();
    let mut next = files.types.get(id);
    while let Some(file) = next {
        if line.iter().any(|seen| seen.id == file.id) {
            break;
        }
        line.push(file);
        next = file.parent.as_ref().and_then(|parent| files.types.get(parent));
    }
    line
}

/// The name of a type's process set, its own or an inherited one.
pub(super) fn process_set<'a>(files: &'a Files, id: &'a str) -> Option<&'a str> {
    line(files, id).into_iter().find_map(|file| file.process.as_deref())
}

/// The states that a machine can show in a version, sorted.
pub(super) fn shown_states(files: &Files, set: &str, version: Version) -> Vec<String> {
    let renamed = files.versions.get(&version).and_then(|v| v.states.get(set));
    let shown = |state: &str| {
        renamed
            .and_then(|r| r.get(state))
            .cloned()
            .unwrap_or_else(|| state.to_owned())
    };
    let mut states = vec!["requested".to_owned()];
    if let Some(file) = files.processes.get(set) {
        for line in file
            .transitions
            .iter()
            .filter(|t| t.versions.is_empty() || t.versions.contains(&version))
        {
            states.push(shown(&line.via));
            states.push(shown(&line.done));
        }
    }
    states.sort_unstable();
    states.dedup();
    states
}

fn shape(
    files: &Files,
    file: &TypeFile,
    version: Version,
    done: &mut Shapes,
    problems: &mut Vec<Problem>,
    depth: usize,
) -> Arc<TypeShape> {
    if let Some(shape) = done.get(&file.id) {
        return Arc::clone(shape);
    }
    let path = format!("types/{}.json", file.id);
    let mut shape = match &file.parent {
        // Deeper than any sane line of parents: a circle.
        Some(_) if depth > 16 => {
            problems.push(Problem::new(path.clone(), "has itself among its parents"));
            TypeShape::default()
        }
        Some(parent) => match files.types.get(parent) {
            Some(parent) => TypeShape::clone(&self::shape(files, parent, version, done, problems, depth + 1)),
            None => {
                problems.push(Problem::new(path.clone(), format!("has the unknown parent {parent:?}")));
                TypeShape::default()
            }
        },
        None => common(files, file, version, &path, problems),
    };
    let part = file.versions.get(&version);
    if let Some(methods) = part.and_then(|p| p.collection.as_ref()).or(file.collection.as_ref()) {
        shape.collection.clone_from(methods);
    }
    if let Some(methods) = part.and_then(|p| p.resource.as_ref()).or(file.resource.as_ref()) {
        shape.resource.clone_from(methods);
    }
    apply_fields(&mut shape, &path, &file.fields, version, problems);
    replace(&mut shape.filters, &file.filters);
    replace(&mut shape.links, &file.links);
    apply_actions(&mut shape, &file.id, &file.actions, version);
    if let Some(part) = part {
        apply_fields(&mut shape, &path, &part.fields, version, problems);
        replace(&mut shape.filters, &part.filters);
        replace(&mut shape.links, &part.links);
        apply_actions(&mut shape, &file.id, &part.actions, version);
    }
    fill_states(files, file, version, &mut shape);
    let shape = Arc::new(shape);
    done.insert(file.id.clone(), Arc::clone(&shape));
    shape
}

/// What a type without parent starts from.
fn common(files: &Files, file: &TypeFile, version: Version, path: &str, problems: &mut Vec<Problem>) -> TypeShape {
    let ordinary = ["row".to_owned(), "state".to_owned()];
    let names: &[String] = match (&file.common, &file.process) {
        (Some(names), _) => names,
        (None, Some(_)) => &ordinary,
        (None, None) => &[],
    };
    let mut shape = TypeShape::default();
    for name in names {
        match files.common.get(name) {
            Some(part) => {
                apply_fields(&mut shape, "common.json", &part.fields, version, problems);
                replace(&mut shape.filters, &part.filters);
                replace(&mut shape.links, &part.links);
            }
            None => problems.push(Problem::new(
                path,
                format!("takes over {name:?}, which common.json does not have"),
            )),
        }
    }
    shape
}

/// The options of `state` are what the machine can show, where the file does not list them.
fn fill_states(files: &Files, file: &TypeFile, version: Version, shape: &mut TypeShape) {
    let Some(set) = process_set(files, &file.id) else {
        return;
    };
    // A child's list is its parent's: only the type that names the set makes it.
    if file.process.is_none() {
        return;
    }
    if let Some(state) = shape
        .fields
        .get_mut("state")
        .filter(|state| state.field.options.is_none())
    {
        Arc::make_mut(state).field.options = Some(shown_states(files, set, version));
    }
}

fn apply_fields(
    shape: &mut TypeShape,
    file: &str,
    fields: &FieldPatches,
    version: Version,
    problems: &mut Vec<Problem>,
) {
    for (name, patch) in fields {
        match patch {
            Some(patch) if patch.only.is_none_or(|v| v == version) => {
                let draft = shape
                    .fields
                    .entry(name.clone())
                    .or_insert_with(|| Arc::new(FieldDraft::empty()));
                merge(Arc::make_mut(draft), file, name, patch, problems);
                if draft.field.ty_text.is_empty() {
                    problems.push(Problem::new(file, format!("has a field {name} without type")));
                }
            }
            Some(_) | None => drop(shape.fields.remove(name)),
        }
    }
}

fn apply_actions(shape: &mut TypeShape, id: &str, actions: &BTreeMap<String, Option<ActionPatch>>, version: Version) {
    for (name, patch) in actions {
        match patch {
            Some(patch) if patch.only.is_none_or(|v| v == version) => {
                let action = shape.actions.entry(name.clone()).or_insert_with(|| Action {
                    input: None,
                    output: Some(id.to_owned()),
                });
                if let Some(input) = &patch.input {
                    action.input.clone_from(input);
                }
                if let Some(output) = &patch.output {
                    action.output.clone_from(output);
                }
            }
            Some(_) | None => drop(shape.actions.remove(name)),
        }
    }
}

fn replace(into: &mut BTreeMap<String, String>, changes: &BTreeMap<String, Option<String>>) {
    for (name, change) in changes {
        match change {
            Some(text) => drop(into.insert(name.clone(), text.clone())),
            None => drop(into.remove(name)),
        }
    }
}

/// What is written replaces, attribute by attribute.
fn merge(draft: &mut FieldDraft, file: &str, name: &str, patch: &FieldPatch, problems: &mut Vec<Problem>) {
    fn set<T: Clone>(into: &mut T, value: &Option<T>) {
        if let Some(value) = value {
            into.clone_from(value);
        }
    }
    let field = &mut draft.field;
    if let Some(ty) = &patch.ty {
        field.ty = FieldType::parse(ty);
        field.ty_text.clone_from(ty);
    }
    if let Some(can) = &patch.can {
        if let Some(letter) = can.chars().find(|c| !"cuo".contains(*c)) {
            problems.push(Problem::new(
                file,
                format!("says {name} can {letter:?}; known are c, u and o"),
            ));
        }
        field.create = can.contains('c');
        field.update = can.contains('u');
        field.read_on_create_only = can.contains('o');
    }
    set(&mut field.required, &patch.required);
    set(&mut field.nullable, &patch.nullable);
    set(&mut field.unique, &patch.unique);
    set(&mut field.default, &patch.default);
    set(&mut field.min, &patch.min);
    set(&mut field.max, &patch.max);
    set(&mut field.min_length, &patch.min_length);
    set(&mut field.max_length, &patch.max_length);
    set(&mut field.options, &patch.options);
    set(&mut field.valid_chars, &patch.valid_chars);
    set(&mut field.invalid_chars, &patch.invalid_chars);
    set(&mut field.description, &patch.description);
    set(&mut field.schedule_update, &patch.schedule_update);
    set(&mut field.unavailable, &patch.unavailable);
    set(&mut field.kept, &patch.kept);
    set(&mut field.unlisted, &patch.unlisted);
    set(&mut draft.filter, &patch.filter);
    set(&mut draft.hidden, &patch.hidden);
    set(&mut draft.shown, &patch.shown);
    if let Some(source) = &patch.source {
        match parse_source(source.as_deref()) {
            Some(source) => field.source = source,
            None => problems.push(Problem::new(
                file,
                format!(
                    "says {name} comes from {:?}; known are column:<name> and computed",
                    source.as_deref().unwrap_or("")
                ),
            )),
        }
    }
}

fn parse_source(text: Option<&str>) -> Option<Source> {
    let column = match text {
        None => return Some(Source::Fields),
        Some("computed") => return Some(Source::Computed),
        Some(text) => text.strip_prefix("column:")?,
    };
    Some(Source::Column(match column {
        "id" => Column::Id,
        "kind" => Column::Kind,
        "accountId" => Column::AccountId,
        "parentId" => Column::ParentId,
        "hostId" => Column::HostId,
        "uuid" => Column::Uuid,
        "name" => Column::Name,
        "state" => Column::State,
        "health" => Column::Health,
        "created" => Column::Created,
        "removed" => Column::Removed,
        "purgeAfter" => Column::PurgeAfter,
        "transitioning" => Column::Transitioning,
        "message" => Column::Message,
        "progress" => Column::Progress,
        _ => return None,
    }))
}

impl FieldDraft {
    fn empty() -> Self {
        Self {
            // Without the text a draft has no type yet; the lint refuses one that stays so.
            field: Field {
                ty_text: String::new(),
                ..Field::new("json")
            },
            hidden: false,
            shown: true,
            filter: FilterPatch::No,
        }
    }
}
