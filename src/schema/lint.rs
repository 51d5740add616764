//! What the schema files must keep to, beyond what reading them already demands.

use std::collections::{BTreeMap, BTreeSet};

use super::file::{FilterPatch, ProcessFile, TypeFile};
use super::freeze::{below, is_visible, named_type, plural};
use super::inherit::{Shapes, TypeShape, line, process_set, shown_states};
use super::load::Files;
use super::notation::Notation;
use super::summary;
use super::{FieldType, Problem, Version};

/// Named by an action of v1, and seen by nobody.
const ELSEWHERE: &[&str] = &["ipPool"];

/// Finds everything that does not fit.
pub(super) fn check(files: &Files, shapes: &[(Version, Shapes)], problems: &mut Vec<Problem>) {
    for (name, file) in &files.processes {
        check_machine(name, file, problems);
    }
    for file in files.types.values() {
        check_type(files, file, problems);
        check_summary(file, shapes, problems);
        for (version, shapes) in shapes {
            if let Some(shape) = shapes.get(&file.id) {
                let mut lint = Lint {
                    files,
                    shapes,
                    version: *version,
                    file,
                    shape,
                    problems,
                };
                lint.fields();
                lint.actions();
                lint.links();
            }
        }
    }
    check_paths(files, problems);
    let below = below(files);
    let has_member = |id: &str, member: &str, is_action: bool| {
        // A grant may name what only types below have.
        let below = below.get(id).into_iter().flatten();
        let all = below.flat_map(|below| shapes.iter().filter_map(move |(_, shapes)| shapes.get(&below.id)));
        all.into_iter().any(|shape| match is_action {
            true => shape.actions.contains_key(member),
            false => shape.fields.contains_key(member),
        })
    };
    super::grant_file::check(files, has_member, problems);
}

/// A summary names what the type has in some version.
fn check_summary(file: &TypeFile, shapes: &[(Version, Shapes)], problems: &mut Vec<Problem>) {
    let Some(summary) = &file.summary else { return };
    let own = || shapes.iter().filter_map(|(_, shapes)| shapes.get(&file.id));
    let fields: Vec<&str> = own().flat_map(|s| s.fields.keys().map(String::as_str)).collect();
    let links: Vec<&str> = own().flat_map(|s| s.links.keys().map(String::as_str)).collect();
    let actions: Vec<&str> = own().flat_map(|s| s.actions.keys().map(String::as_str)).collect();
    summary::check(&file.id, summary, [&fields, &links, &actions], problems);
}

fn check_type(files: &Files, file: &TypeFile, problems: &mut Vec<Problem>) {
    let mut say = |sentence: String| problems.push(Problem::new(format!("types/{}.json", file.id), sentence));
    if let Some(set) = process_set(files, &file.id).filter(|set| !files.processes.contains_key(*set)) {
        say(format!("has the unknown process set {set:?}"));
    }
    let methods = [
        (&file.collection, ["GET", "POST"].as_slice()),
        (&file.resource, &["GET", "PUT", "DELETE"]),
    ];
    for (given, known) in methods {
        for method in given.iter().flatten().filter(|m| !known.contains(&m.as_str())) {
            say(format!("has the method {method:?}; known are {}", known.join(", ")));
        }
    }
}

/// Every state that is passed can be reached, and leads to `removed`.
fn check_machine(name: &str, file: &ProcessFile, problems: &mut Vec<Problem>) {
    let mut say = |sentence: String| problems.push(Problem::new(format!("processes/{name}.json"), sentence));
    // A process that starts nowhere only names its states.
    let started = || file.transitions.iter().filter(|t| !t.from.is_empty());
    let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in started() {
        for from in &line.from {
            edges.entry(from).or_default().insert(&line.via);
        }
        edges.entry(&line.via).or_default().insert(&line.done);
    }
    let reach = |start: &str| {
        let mut seen = BTreeSet::new();
        let mut open = vec![start.to_owned()];
        while let Some(state) = open.pop() {
            let next = edges.get(state.as_str()).into_iter().flatten().map(|s| (*s).to_owned());
            open.extend(next.filter(|s| !seen.contains(s)).collect::<Vec<_>>());
            seen.insert(state);
        }
        seen
    };
    let reachable = reach("requested");
    let gone = reach("removed");
    let states: BTreeSet<&str> = started()
        .flat_map(|t| {
            t.from
                .iter()
                .map(String::as_str)
                .chain([t.via.as_str(), t.done.as_str()])
        })
        .collect();
    for state in states {
        if !reachable.contains(state) {
            say(format!("never comes to the state {state}"));
        }
        if !gone.contains(state) && !reach(state).contains("removed") {
            say(format!("never leaves {state} for removed"));
        }
    }
    for state in file.transitions.iter().flat_map(|t| &t.anew) {
        if !reachable.contains(state.as_str()) {
            say(format!("leads anew from {state}, to which it never comes"));
        }
    }
    for (process, next) in &file.then {
        for process in [process, next] {
            if !file.transitions.iter().any(|t| t.process == *process) {
                say(format!("continues with {process}, which it does not have"));
            }
        }
    }
}

/// No two types of a version may be asked for by the same word.
fn check_paths(files: &Files, problems: &mut Vec<Problem>) {
    for version in Version::ALL {
        let mut taken: BTreeMap<String, &str> = BTreeMap::new();
        for file in files.types.values().filter(|f| is_visible(f, version)) {
            let names = files.versions.get(&version).map(|v| &v.names);
            let name = names.and_then(|n| n.get(&file.id)).unwrap_or(&file.id);
            let plural = file.plural.clone().unwrap_or_else(|| plural(name));
            for path in [name.to_ascii_lowercase(), plural.to_ascii_lowercase()] {
                if let Some(other) = taken.insert(path.clone(), &file.id).filter(|other| *other != file.id) {
                    let sentence = format!("and {other} are both called {path} in {}", version.as_str());
                    problems.push(Problem::new(format!("types/{}.json", file.id), sentence));
                }
            }
        }
    }
}

/// One type in one version.
struct Lint<'a> {
    files: &'a Files,
    shapes: &'a Shapes,
    version: Version,
    file: &'a TypeFile,
    shape: &'a TypeShape,
    problems: &'a mut Vec<Problem>,
}

impl Lint<'_> {
    fn say(&mut self, sentence: String) {
        self.problems
            .push(Problem::new(format!("types/{}.json", self.file.id), sentence));
    }

    fn is_known(&self, id: &str) -> bool {
        self.files.types.contains_key(id) || ELSEWHERE.contains(&id)
    }

    fn fields(&mut self) {
        for (name, draft) in &self.shape.fields {
            let field = &draft.field;
            if let Some(ty) = named_type(&field.ty).filter(|ty| !self.is_known(ty)) {
                self.say(format!("has a field {name} of the unknown type {ty:?}"));
            }
            let filter = match &draft.filter {
                FilterPatch::No => None,
                FilterPatch::AsField => Some(field.ty.clone()),
                FilterPatch::As(ty) => Some(FieldType::parse(ty)),
            };
            if filter.is_some_and(|ty| ty.modifiers().is_empty()) {
                self.say(format!("says {name} may be filtered, which its type does not allow"));
            }
            if matches!((field.min, field.max), (Some(min), Some(max)) if min > max) {
                self.say(format!("has a field {name} whose smallest value is above its largest"));
            }
            if matches!((field.min_length, field.max_length), (Some(min), Some(max)) if min > max) {
                self.say(format!(
                    "has a field {name} whose shortest text is longer than its longest"
                ));
            }
        }
        for (name, ty) in &self.shape.filters {
            if FieldType::parse(ty).modifiers().is_empty() {
                self.say(format!("filters {name} as the unknown {ty:?}"));
            }
        }
        let set = process_set(self.files, &self.file.id);
        let options = self.shape.fields.get("state").and_then(|d| d.field.options.clone());
        if let (Some(set), Some(options)) = (set, options) {
            for state in shown_states(self.files, set, self.version) {
                if !options.contains(&state) {
                    self.say(format!("leaves the state {state} out of the options of its state"));
                }
            }
        }
    }

    fn actions(&mut self) {
        let line = line(self.files, &self.file.id);
        let machine = process_set(self.files, &self.file.id).and_then(|set| self.files.processes.get(set));
        for (name, action) in &self.shape.actions {
            for ty in [&action.input, &action.output].into_iter().flatten() {
                if !self.is_known(ty) {
                    self.say(format!("has an action {name} with the unknown type {ty:?}"));
                }
            }
            let has_process = machine.is_some_and(|m| m.transitions.iter().any(|t| t.process == *name));
            let is_unavailable = line.iter().any(|file| file.unavailable.actions.contains(name));
            let is_in_code = line.iter().any(|file| file.actions_in_code.contains(name));
            if !has_process && !is_unavailable && !is_in_code && !self.file.embedded {
                self.say(format!(
                    "has an action {name} without process or code, which is not unavailable either"
                ));
            }
            if is_in_code && has_process {
                self.say(format!("has code for the action {name}, which is a process"));
            }
            if is_in_code && is_unavailable {
                self.say(format!("has code for the action {name}, which is unavailable"));
            }
        }
        for name in &self.file.actions_in_code {
            if !self.shapes_have_action(name) {
                self.say(format!("has code for {name}, which is no action of it"));
            }
        }
        for name in &self.file.unavailable.actions {
            if !self.shapes_have_action(name) {
                self.say(format!("calls {name} unavailable, which is no action of it"));
            }
        }
    }

    /// In this version or, for what only another version has, by the file.
    fn shapes_have_action(&self, name: &str) -> bool {
        let in_part = |part: &super::file::TypePart| part.actions.contains_key(name);
        self.shape.actions.contains_key(name)
            || self.file.actions.contains_key(name)
            || self.file.versions.values().any(in_part)
    }

    fn links(&mut self) {
        for (name, text) in &self.shape.links {
            let complaint = match Notation::parse(text) {
                Notation::Computed | Notation::Handled | Notation::Types => None,
                // Inherited links whose field a child does not have are simply not shown.
                Notation::One { .. } => None,
                Notation::Listed { field } => (!self.shape.fields.contains_key(field)).then_some(field),
                Notation::Many { kind, field } => (!self.refers(kind, field)).then_some(text.as_str()),
                Notation::Through { map, near, far } => {
                    let known = self.refers(map, near) && self.has_field(map, far);
                    (!known).then_some(text.as_str())
                }
            };
            if let Some(what) = complaint {
                self.say(format!("has a link {name} by {what}, which no reference to it answers"));
            }
        }
        let own = self
            .file
            .links
            .iter()
            .filter_map(|(name, text)| Some((name, text.as_deref()?)));
        for (name, text) in own {
            if let Notation::One { field } = Notation::parse(text) {
                let in_files = self
                    .files
                    .types
                    .get(&self.file.id)
                    .is_some_and(|f| f.fields.contains_key(field));
                if !in_files && !self.shape.fields.contains_key(field) {
                    self.say(format!("has a link {name} by the unknown field {field}"));
                }
            }
        }
    }

    fn has_field(&self, kind: &str, field: &str) -> bool {
        let in_some_version = |f: &TypeFile| f.fields.contains_key(field) || self.has_in_shape(kind, field);
        self.files.types.get(kind).is_some_and(in_some_version)
    }

    fn has_in_shape(&self, kind: &str, field: &str) -> bool {
        self.shapes
            .get(kind)
            .is_some_and(|shape| shape.fields.contains_key(field))
    }

    /// Whether `kind.field` refers to this type, or to one above or below it.
    fn refers(&self, kind: &str, field: &str) -> bool {
        if !self.has_field(kind, field) {
            return false;
        }
        let draft = self.shapes.get(kind).and_then(|shape| shape.fields.get(field));
        let Some(target) = draft.and_then(|d| named_type(&d.field.ty)) else {
            // The field is another version's: what it refers to is checked there.
            return true;
        };
        let related = |a: &str, b: &str| line(self.files, a).iter().any(|f| f.id == b);
        related(&self.file.id, target) || related(target, &self.file.id)
    }
}
