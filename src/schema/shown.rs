//! Which views show which fields.
//!
//! Rows keep their fields in the order of this, so each start needs it for all types, roles and versions. Working it out is a good
//! part of a start; for the built-in schemas it is done before, and stands in `schemas/shown.txt`, which a test holds to be true.

use std::collections::{BTreeSet, HashMap};

use super::freeze::Unfrozen;
use super::grant::FieldRights;
use super::inherit::Shapes;
use super::load::Files;
use super::types::view_index;
use super::{Role, Version};

/// What the views have of a field.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mask {
    /// The bits of those that show it.
    pub shown: u32,
    /// Whether some role may write it, besides the one that may write everything.
    pub is_written: bool,
}

/// Of all types, by canonical id.
#[derive(Debug, Default)]
pub(super) struct Masks<'a>(HashMap<&'a str, Vec<(&'a str, Mask)>>);

/// How the text says that a field is written.
const WRITTEN: char = '+';

impl<'a> Masks<'a> {
    /// Works them out.
    pub(super) fn of(files: &'a Files, shapes: &'a [(Version, Shapes)]) -> Self {
        let mut masks = Self::empty(shapes);
        let world = Unfrozen::new(files, shapes);
        let of_versions = Version::ALL.map(|version| (version, world.grants(version).of_all_roles()));
        let rights = |version: Version, role| {
            let of_version = of_versions.iter().find(|(v, _)| *v == version);
            of_version.and_then(|(_, roles)| roles.get(&role))
        };
        for version in Version::ALL {
            let served = files.versions.get(&version).and_then(|v| v.served.as_ref());
            for role in Role::ALL {
                let by = (1 << view_index(version, role), role);
                for (id, own) in rights(version, role).into_iter().flatten() {
                    let serving = served
                        .filter(|s| s.types.iter().any(|t| t == id))
                        .and_then(|s| rights(s.version, role)?.get(id));
                    let Some(of_type) = masks.0.get_mut(id) else { continue };
                    mark(of_type, &own.fields, by);
                    if let Some(serving) = serving {
                        mark(of_type, &serving.fields, by);
                    }
                }
            }
        }
        masks
    }

    /// All fields of all types, in whatever version, shown in no view yet.
    fn empty(shapes: &'a [(Version, Shapes)]) -> Self {
        let mut names: HashMap<&str, BTreeSet<&str>> = HashMap::new();
        for (id, shape) in shapes.iter().flat_map(|(_, shapes)| shapes) {
            let fields = shape.fields.keys().map(String::as_str);
            names.entry(id).or_default().extend(fields);
        }
        let fields = |names: BTreeSet<&'a str>| names.into_iter().map(|name| (name, Mask::default())).collect();
        Self(names.into_iter().map(|(id, names)| (id, fields(names))).collect())
    }

    /// As [`Masks::text`] wrote them. What is not in the text is shown nowhere.
    pub(super) fn read(text: &'a str) -> Self {
        let mut masks = Self::default();
        for line in text.lines() {
            let mut words = line.split(' ');
            let (Some(id), Some(mask)) = (words.next(), words.next()) else {
                continue;
            };
            let shown = u32::from_str_radix(mask.trim_end_matches(WRITTEN), 16).unwrap_or_default();
            let is_written = mask.ends_with(WRITTEN);
            let of_type = masks.0.entry(id).or_default();
            of_type.extend(words.map(|name| (name, Mask { shown, is_written })));
        }
        for of_type in masks.0.values_mut() {
            of_type.sort_unstable_by_key(|(name, _)| *name);
        }
        masks
    }

    /// A line for the fields of a type that are shown alike: the type, which views show them in hexadecimal, with `+` if they are
    /// written, and their names.
    #[cfg(test)]
    fn text(&self) -> String {
        use std::collections::BTreeMap;
        use std::fmt::Write as _;

        let mut text = String::new();
        for (id, fields) in BTreeMap::from_iter(&self.0) {
            let mut alike: BTreeMap<Mask, Vec<&str>> = BTreeMap::new();
            for (name, mask) in fields {
                alike.entry(*mask).or_default().push(name);
            }
            for (Mask { shown, is_written }, names) in alike {
                let written = if is_written { "+" } else { "" };
                let _ = writeln!(text, "{id} {shown:x}{written} {}", names.join(" "));
            }
        }
        text
    }

    /// The fields of a type in the order of their names.
    pub(super) fn of_type(&self, id: &str) -> &[(&'a str, Mask)] {
        self.0.get(id).map_or(&[], Vec::as_slice)
    }
}

/// Notes that a view shows these fields, which are all among those of `masks`.
fn mark(masks: &mut [(&str, Mask)], fields: &FieldRights<'_>, (bit, role): (u32, Role)) {
    let mut masks = masks.iter_mut();
    for (name, letters) in fields.iter() {
        // Both are in the order of the names.
        let Some((_, mask)) = masks.find(|(at, _)| *at == name) else {
            return;
        };
        mask.shown |= bit;
        mask.is_written |= role != Role::Superadmin && (letters.has('c') || letters.has('u'));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;
    use crate::schema::{inherit, load, testkit};

    #[test]
    fn what_was_worked_out_before_is_what_the_schemas_say() {
        let (files, mut problems) = load::read(None);
        let shapes: Vec<_> = Version::ALL
            .into_iter()
            .map(|version| (version, inherit::shapes(&files, version, &mut problems)))
            .collect();
        let text = Masks::of(&files, &shapes).text();
        testkit::check_golden(&format!("schemas/{}", load::SHOWN), &text);
        assert!(Masks::read(&text).text() == text, "it is not read as it was written");
    }
}
