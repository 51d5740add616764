//! Links: which of them a role can follow, and where they lead.

use std::sync::Arc;

use super::file::TypeFile;
use super::freeze::{Eyes, Unfrozen, named_type, plural};
use super::grant::TypeRights;
use super::inherit::TypeShape;
use super::notation::Notation;
use super::{Link, Relation, Type};

impl<'a> Unfrozen<'a> {
    /// The links that lead somewhere for a role, sorted by name.
    pub(super) fn links(&self, shape: &TypeShape, eyes: &Eyes<'_>, rights: &TypeRights<'_>, def: &Type) -> Vec<Link> {
        let mut links: Vec<Link> = Vec::new();
        for (name, text) in &shape.links {
            let relations = self.relations(name, text, shape, eyes, rights, def);
            links.extend(relations.into_iter().map(|(name, to)| Link { name, to }));
        }
        links.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        links
    }

    /// Where one link of a shape leads; the link of all types is many.
    fn relations(
        &self,
        name: &str,
        text: &str,
        shape: &TypeShape,
        eyes: &Eyes<'_>,
        rights: &TypeRights<'_>,
        def: &Type,
    ) -> Vec<(String, Relation)> {
        let version = eyes.version;
        let visible = |kind: &str| eyes.sees(kind);
        let far = |shape: Option<&Arc<TypeShape>>, field: &str| {
            shape
                .and_then(|s| s.fields.get(field))
                .and_then(|d| named_type(&d.field.ty).map(str::to_owned))
        };
        let mut found = Vec::new();
        let mut add = |name: &str, to| found.push((name.to_owned(), to));
        match Notation::parse(text) {
            // By code, but only to what the role sees.
            Notation::Computed => match self.listed_as(name) {
                Some(far) if !visible(far) => {}
                _ => add(name, Relation::Computed),
            },
            Notation::Types => {
                for plural in self.listed_types(eyes) {
                    if !shape.links.contains_key(&plural) {
                        add(&plural, Relation::Computed);
                    }
                }
            }
            Notation::One { field } => {
                let shown = rights.fields.contains_key(field);
                let kind = shape.fields.get(field).and_then(|d| named_type(&d.field.ty));
                if let Some(kind) = kind.filter(|_| shown) {
                    let (field, kind) = (field.to_owned(), kind.to_owned());
                    add(name, Relation::One { field, kind });
                }
            }
            Notation::Listed { field } => {
                let kind = def.fields.get(field).and_then(|f| named_type(&f.ty));
                if let Some(kind) = kind.filter(|kind| visible(kind)) {
                    let (field, kind) = (field.to_owned(), kind.to_owned());
                    add(name, Relation::Listed { field, kind });
                }
            }
            Notation::Many { kind, field } => {
                if visible(kind) {
                    let (field, kind) = (field.to_owned(), kind.to_owned());
                    add(name, Relation::Many { kind, field });
                }
            }
            Notation::Through { map, near, far: end } => {
                if let Some(kind) = far(self.shape(version, map), end).filter(|kind| visible(kind)) {
                    let (through, near, far) = (map.to_owned(), near.to_owned(), end.to_owned());
                    add(
                        name,
                        Relation::Through {
                            kind,
                            through,
                            near,
                            far,
                        },
                    );
                }
            }
        }
        found
    }

    /// The collections that a role can list, by their plurals. A stream is no list.
    fn listed_types(&self, eyes: &Eyes<'_>) -> Vec<String> {
        let inside = eyes.inside.as_ref().unwrap_or(&eyes.rights);
        let is_listed = |file: &&TypeFile| {
            let rights = inside.get(file.id.as_str());
            file.id != "subscribe" && rights.is_some_and(|r| r.collection.iter().any(|m| m == "GET"))
        };
        let listed = self.files.types.values().filter(is_listed);
        listed
            .map(|file| {
                let id = self.name(eyes.version, &file.id);
                file.plural.clone().unwrap_or_else(|| plural(id))
            })
            .collect()
    }

    /// The type whose plural is `name`.
    fn listed_as(&self, name: &str) -> Option<&'a str> {
        let is_named = |file: &&TypeFile| {
            file.plural
                .as_deref()
                .map_or_else(|| plural(&file.id) == name, |plural| plural == name)
        };
        self.files.types.values().find(is_named).map(|file| file.id.as_str())
    }
}
