//! Loading: files → shapes per version → the frozen registry.

use std::fmt;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::OnceLock;

use super::inherit::Shapes;
use super::load::Files;
use super::shown::Masks;
use super::types::Sources;
use super::{Registry, Version, freeze, inherit, lint, load};

/// Something in the schema files that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file, relative to the schema folder.
    pub file: String,
    /// What is wrong with it; reads on from the file's name.
    pub sentence: String,
}

impl Problem {
    /// A problem of `file`.
    pub fn new(file: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            sentence: sentence.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.file, self.sentence)
    }
}

impl Registry {
    /// Reads the built-in schemas and, over them, those of a folder with `types/` and `processes/`; checks and freezes
    /// them. Everything that does not fit is returned, sorted by file.
    ///
    /// # Errors
    /// All problems found, never an empty list.
    pub fn load(overlay: Option<&Path>) -> Result<Self, Vec<Problem>> {
        Self::read(overlay, true)
    }

    /// The built-in schemas as they are: a start does not wait for a check that the tests of this build have made.
    ///
    /// # Errors
    /// They do not even go together; never in a build that passed its tests.
    pub fn built_in() -> Result<Self, Vec<Problem>> {
        Self::read(None, false)
    }

    fn read(overlay: Option<&Path>, is_checked: bool) -> Result<Self, Vec<Problem>> {
        // The built-in ones do not change: whoever reads them again has what was read before.
        static CHECKED: OnceLock<Outcome> = OnceLock::new();
        static AS_THEY_ARE: OnceLock<Outcome> = OnceLock::new();
        let sources = match (overlay, is_checked) {
            (Some(_), _) => sources(overlay, is_checked),
            (None, true) => CHECKED.get_or_init(|| sources(None, true)).clone(),
            (None, false) => AS_THEY_ARE.get_or_init(|| sources(None, false)).clone(),
        };
        sources.map(Self::new)
    }
}

/// What the files say, or what does not fit in them.
type Outcome = Result<&'static Sources, Vec<Problem>>;

fn sources(overlay: Option<&Path>, is_checked: bool) -> Outcome {
    let (files, mut problems) = load::read(overlay);
    let shapes = all_shapes(&files, &mut problems);
    if problems.is_empty() {
        // A start waits for this: checking and freezing read the same shapes, and freezing cannot fail.
        let types = std::thread::scope(|scope| {
            if !is_checked {
                return freeze::types(&files, &shapes, &Masks::read(load::shown()));
            }
            scope.spawn(|| lint::check(&files, &shapes, &mut problems));
            freeze::types(&files, &shapes, &Masks::of(&files, &shapes))
        });
        if problems.is_empty() {
            return Ok(Box::leak(Box::new(Sources { files, shapes, types })));
        }
    }
    problems.sort_unstable();
    problems.dedup();
    Err(problems)
}

/// What types are in each version. A start waits for this, so the versions are worked out side by side.
fn all_shapes(files: &Files, problems: &mut Vec<Problem>) -> Vec<(Version, Shapes)> {
    let found = std::thread::scope(|scope| {
        let work = |version| {
            let mut problems = Vec::new();
            (version, inherit::shapes(files, version, &mut problems), problems)
        };
        let old = scope.spawn(move || work(Version::V1));
        let new = work(Version::V2Beta);
        [old.join().unwrap_or_else(|panic| resume_unwind(panic)), new]
    });
    let mut all = Vec::new();
    for (version, shapes, found) in found {
        problems.extend(found);
        all.push((version, shapes));
    }
    all
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

    use crate::schema::{Role, layout};

    use super::*;

    fn load() -> Registry {
        Registry::load(None).unwrap_or_else(|problems| {
            panic!(
                "{}",
                problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
            )
        })
    }

    /// Loads with the given files laid over the built-in ones.
    fn load_over(files: &[(&str, &str)]) -> Result<Registry, Vec<Problem>> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Registry::load(Some(dir.path()))
    }

    #[test]
    fn the_built_in_schemas_fit() {
        assert_eq!(load().views().count(), Version::ALL.len() * Role::ALL.len());
    }

    #[test]
    fn without_a_check_they_are_the_same() {
        let (checked, plain) = (load(), Registry::built_in().unwrap());
        assert!(checked.types.keys().eq(plain.types.keys()));
        for (one, other) in checked.types.values().zip(plain.types.values()) {
            assert_eq!(layout::layout_number(one), layout::layout_number(other), "{}", one.id);
        }
    }

    #[test]
    fn a_new_plain_type_is_one_file() {
        let widget = r#"{
            "id": "toolBox", "process": "default", "collection": ["GET", "POST"], "resource": ["GET", "PUT", "DELETE"],
            "fields": {"size": {"type": "int", "can": "cu", "filter": true}, "stackId": {"type": "reference[stack]", "can": "c", "source": "column:parentId"}},
            "actions": {"activate": {}, "deactivate": {}, "remove": {}},
            "links": {"stack": "stackId"}
        }"#;
        let registry = load_over(&[("types/toolBox.json", widget)]).unwrap();
        assert_eq!(registry.types["toolBox"].prefix, "1tb");
        for version in Version::ALL {
            let view = registry.view(version, Role::Project);
            let ty = view.find_by_path("TOOLBOXES").unwrap();
            assert_eq!(
                ty.links.iter().map(|l| l.name.as_str()).collect::<Vec<_>>(),
                ["account", "stack"]
            );
            assert!(
                ty.fields["state"]
                    .options
                    .as_ref()
                    .unwrap()
                    .contains(&"updating-active".to_owned())
            );
            assert_eq!(ty.filters.keys().filter(|n| n.as_str() == "size").count(), 1);
            assert!(ty.fields.contains_key("transitioningMessage") && ty.fields.contains_key("uuid"));
            assert!(!ty.fields.contains_key("removeTime"), "that is for admins");
            let admins = registry.view(version, Role::Admin);
            assert!(admins.types["toolBox"].fields.contains_key("removeTime"));
            assert!(registry.view(version, Role::Agent).find_by_path("toolBox").is_none());
            let superadmins = &registry.view(version, Role::Superadmin).types["toolBox"];
            assert!(superadmins.fields["uuid"].update && superadmins.collection_methods == ["GET", "POST"]);
            assert!(!registry.view(version, Role::Readonly).types["toolBox"].fields["size"].create);
        }
        assert_eq!(
            registry.view(Version::V1, Role::Project).types["toolBox"].fields["stackId"].ty_text,
            "reference[environment]"
        );
    }

    #[test]
    fn files_that_do_not_fit_are_refused_with_file_and_reason() {
        let cases = [
            (
                r#"{"id": "x", "colour": 1}"#,
                "types/x.json is not a schema file: unknown field `colour`",
            ),
            (
                r#"{"id": "x", "summary": {"sentence": ["{colour} now"]}}"#,
                "types/x.json sums up by colour, which is no field of it",
            ),
            (
                r#"{"id": "x", "process": "simple", "summary": {"related": ["friends"]}}"#,
                "types/x.json sums up by friends, which is no link of it",
            ),
            (r#"{"id": "y"}"#, "types/x.json has the id \"y\", which is not its name"),
            (
                r#"{"id": "x", "parent": "nothing"}"#,
                "types/x.json has the unknown parent \"nothing\"",
            ),
            (
                r#"{"id": "x", "parent": "x"}"#,
                "types/x.json has itself among its parents",
            ),
            (
                r#"{"id": "x", "process": "nothing"}"#,
                "types/x.json has the unknown process set \"nothing\"",
            ),
            (
                r#"{"id": "x", "common": ["all"]}"#,
                "types/x.json takes over \"all\", which common.json does not have",
            ),
            (
                r#"{"id": "x", "collection": ["PUT"]}"#,
                "types/x.json has the method \"PUT\"; known are GET, POST",
            ),
            (
                r#"{"id": "x", "fields": {"a": {"can": "c"}}}"#,
                "types/x.json has a field a without type",
            ),
            (
                r#"{"id": "x", "fields": {"a": {"type": "int", "can": "w"}}}"#,
                "types/x.json says a can 'w'; known are c, u and o",
            ),
            (
                r#"{"id": "x", "fields": {"a": {"type": "array[thing]"}}}"#,
                "types/x.json has a field a of the unknown type \"thing\"",
            ),
            (
                r#"{"id": "x", "fields": {"a": {"type": "json", "filter": true}}}"#,
                "types/x.json says a may be filtered, which its type does not allow",
            ),
            (
                r#"{"id": "x", "fields": {"a": {"type": "int", "source": "column:size"}}}"#,
                "types/x.json says a comes from \"column:size\"; known are column:<name> and computed",
            ),
            (
                r#"{"id": "x", "fields": {"a": {"type": "int", "min": 2, "max": 1}}}"#,
                "types/x.json has a field a whose smallest value is above its largest",
            ),
            (
                r#"{"id": "x", "actions": {"jump": {}}}"#,
                "types/x.json has an action jump without process or code, which is not unavailable either",
            ),
            (
                r#"{"id": "x", "actionsInCode": ["jump"]}"#,
                "types/x.json has code for jump, which is no action of it",
            ),
            (
                r#"{"id": "x", "process": "simple", "actions": {"remove": {}}, "actionsInCode": ["remove"]}"#,
                "types/x.json has code for the action remove, which is a process",
            ),
            (
                r#"{"id": "x", "actions": {"jump": {}}, "unavailable": {"actions": ["jump"]}, "actionsInCode": ["jump"]}"#,
                "types/x.json has code for the action jump, which is unavailable",
            ),
            (
                r#"{"id": "x", "unavailable": {"actions": ["jump"]}}"#,
                "types/x.json calls jump unavailable, which is no action of it",
            ),
            (
                r#"{"id": "x", "links": {"a": "aId"}}"#,
                "types/x.json has a link a by the unknown field aId",
            ),
            (
                r#"{"id": "x", "links": {"ports": "port.instanceId"}}"#,
                "types/x.json has a link ports by port.instanceId, which no reference to it answers",
            ),
            (
                r#"{"id": "x", "roles": {}}"#,
                "types/x.json is not a schema file: unknown field `roles`",
            ),
            (
                r#"{"id": "x", "plural": "services"}"#,
                "types/x.json and service are both called services in v1",
            ),
            (
                r#"{"id": "x", "process": "simple", "fields": {"state": {"options": ["active"]}}}"#,
                "types/x.json leaves the state activating out of the options of its state",
            ),
        ];
        for (text, expected) in cases {
            let problems = load_over(&[("types/x.json", text)]).expect_err(text);
            let found = problems.iter().any(|p| p.to_string().starts_with(expected));
            assert!(
                found,
                "{text}\n  should be refused with\n{expected}\n  and was with\n{problems:#?}"
            );
        }
    }

    #[test]
    fn a_new_type_below_another_is_granted_what_that_one_is() {
        let bench = r#"{"id": "benchService", "parent": "service", "collection": ["GET", "POST"], "resource": ["GET", "PUT"], "fields": {"tools": {"type": "int", "can": "cu"}}}"#;
        let registry = load_over(&[("types/benchService.json", bench)]).unwrap();
        for (role, scale, data) in [
            (Role::Project, true, false),
            (Role::Readonly, false, false),
            (Role::Admin, true, true),
        ] {
            let ty = &registry.view(Version::V2Beta, role).types["benchService"];
            let (tools, writes) = (&ty.fields["tools"], role != Role::Readonly);
            assert_eq!((tools.create, tools.update), (writes, writes), "{role:?}");
            assert_eq!(
                (ty.fields["scale"].create, ty.fields.contains_key("data")),
                (scale, data),
                "{role:?}"
            );
            assert_eq!(ty.collection_methods.contains(&"POST".to_owned()), writes, "{role:?}");
        }
        assert!(
            !registry
                .view(Version::V2Beta, Role::Token)
                .types
                .contains_key("benchService")
        );
    }

    #[test]
    fn grants_of_what_there_is_not_are_refused() {
        let cases = [
            (
                r#""types": {"nothing": {"may": "r"}}"#,
                "names the unknown type \"nothing\"",
            ),
            (
                r#""types": {"stack": {"fields": {"r": "colour"}}}"#,
                "names stack.colour, which there is not",
            ),
            (
                r#""types": {"stack": {"may": "x"}}"#,
                "gives \"x\" of stack; known letters are r, c, u, d and o",
            ),
            (
                r#""patterns": {"s*": "r"}"#,
                "has the pattern \"s*\", which is none of *, *.name, type.*, *.actions.* and type.actions.*",
            ),
            (r#""hidden": ["nothing"]"#, "hides the unknown type \"nothing\""),
        ];
        for (text, expected) in cases {
            let text = format!(r#"{{"about": "", {text}}}"#);
            let problems = load_over(&[("grants/mine.json", &text)]).expect_err(&text);
            assert!(
                problems
                    .iter()
                    .any(|p| p.to_string() == format!("grants/mine.json {expected}")),
                "{expected}: {problems:#?}"
            );
        }
    }

    #[test]
    fn machines_with_dead_ends_are_refused() {
        let cases = [
            (
                r#"{"about": "", "transitions": [{"process": "create", "from": ["requested"], "via": "a", "done": "b"}]}"#,
                "processes/m.json never leaves b for removed",
            ),
            (
                r#"{"about": "", "transitions": [{"process": "remove", "from": ["requested", "c"], "via": "a", "done": "removed"}]}"#,
                "processes/m.json never comes to the state c",
            ),
            (
                r#"{"about": "", "transitions": [], "then": {"create": "start"}}"#,
                "processes/m.json continues with create, which it does not have",
            ),
        ];
        for (text, expected) in cases {
            let problems = load_over(&[("processes/m.json", text)]).expect_err(text);
            assert!(
                problems.iter().any(|p| p.to_string() == expected),
                "{expected}: {problems:#?}"
            );
        }
    }

    #[test]
    fn an_overlay_that_is_not_there_is_a_problem() {
        let problems = Registry::load(Some(Path::new("/does/not/exist"))).expect_err("no such folder");
        assert!(problems[0].sentence.starts_with("cannot be read"), "{problems:?}");
    }

    #[test]
    fn v1_names_stacks_environments_and_shows_them_as_v2_beta_does() {
        let registry = load();
        let view = registry.view(Version::V1, Role::Owner);
        let stack = view.find_by_path("Environments").unwrap();
        assert!(view.find_by_path("stacks").is_none());
        assert_eq!(
            (stack.id.as_str(), stack.prefix.as_str(), stack.def.prefix.as_str()),
            ("environment", "1e", "1st")
        );
        assert_eq!(view.find_by_kind("stack").unwrap().id, "environment");

        let service = view.find_by_kind("service").unwrap();
        assert_eq!(service.served_as, Some(Version::V2Beta));
        assert_eq!(service.copies, [("environmentId".to_owned(), "stackId".to_owned())]);
        assert_eq!(service.fields["environmentId"].ty_text, "reference[environment]");
        assert!(!service.fields.contains_key("stackId") && service.input_fields().contains_key("stackId"));
        assert!(!service.input_fields()["environmentId"].required);
        for name in ["environmentId", "stackId", "instanceIds", "scale"] {
            assert!(service.shown.contains(&name.to_owned()), "{name}");
        }
        let links: Vec<_> = service.links.iter().map(|l| l.name.as_str()).collect();
        assert!(links.contains(&"environment") && !links.contains(&"stack"), "{links:?}");
        assert!(service.includeable_links.contains(&"serviceexposemaps".to_owned()));
    }

    #[test]
    fn a_view_shows_own_fields_by_the_classes_that_have_its_bit() {
        let registry = load();
        for view in registry.views() {
            for ty in view.types.values() {
                for (name, field) in &ty.def.fields {
                    if field.source == crate::schema::Source::Fields {
                        let seen_by = ty.def.classes[field.class];
                        // What is only written ("shown": false) is in a class that no view has.
                        let is_shown = ty.shown.contains(name) && seen_by != 0;
                        assert_eq!(seen_by & view.bit != 0, is_shown, "{}.{name} {:?}", ty.id, view.version);
                    }
                }
            }
        }
    }

    #[test]
    fn states_that_only_v1_has_are_shown_to_v2_beta_as_others() {
        let registry = load();
        let service = registry
            .view(Version::V2Beta, Role::Project)
            .find_by_kind("dnsService")
            .unwrap();
        assert_eq!(service.shown_state("canceled-rollback"), "canceled-upgrade");
        let mut stored: Vec<_> = service.stored_states("canceled-upgrade").collect();
        stored.sort_unstable();
        assert_eq!(stored, ["canceled-rollback", "canceled-upgrade"]);
        assert_eq!(service.stored_states("canceled-rollback").count(), 0);
    }

    #[test]
    fn a_type_that_a_version_does_not_have_is_shown_as_its_parent() {
        let registry = load();
        let v1 = registry.view(Version::V1, Role::Project);
        assert_eq!(v1.find_by_kind("networkDriverService").unwrap().id, "service");
        assert!(v1.find_by_kind("nic").is_none());
        let service = v1.find_by_kind("service").unwrap();
        assert!(service.kinds.contains(&"networkDriverService".to_owned()));
        assert!(!service.create_types.contains(&"networkDriverService".to_owned()));
    }
}
