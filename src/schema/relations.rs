//! Links: which of them a role can follow, and where they lead.

use super::file::TypeFile;
use super::freeze::{Eyes, Unfrozen, named_type, plural};
use super::grant::TypeRights;
use super::inherit::TypeShape;
use super::notation::Notation;
use super::{Link, Relation, Role, Type};
use std::collections::HashMap;

impl<'a> Unfrozen<'a> {
    /// The links that lead somewhere for a role, sorted by name.
    pub(super) fn links(&self, shape: &TypeShape, eyes: &Eyes<'_>, rights: &TypeRights<'_>, def: &Type) -> Vec<Link> {
        let version = eyes.version;
        let mut links: Vec<Link> = Vec::new();
        for (name, text) in &shape.links {
            let mut add = |name: &str, to| {
                links.push(Link {
                    name: name.to_owned(),
                    to,
                })
            };
            match Notation::parse(text) {
                Notation::Types => {
                    let inside = eyes.inside();
                    let is_listed =
                        |f: &&TypeFile| inside.get(f.id.as_str()).is_some_and(|r| r.collection.contains(&"GET"));
                    // A stream is no list; the original leads to it all the same where a project's own key asks.
                    let is_told = |f: &&TypeFile| f.id != "subscribe" || eyes.role == Role::Project;
                    for file in self.files.types.values().filter(is_listed).filter(is_told) {
                        let id = self.name(version, &file.id);
                        let plural = file.plural.clone().unwrap_or_else(|| plural(id));
                        if !shape.links.contains_key(&plural) {
                            add(&plural, Relation::Computed);
                        }
                    }
                }
                // By code, but only to what the role sees.
                Notation::Computed => match self.listed_as(name) {
                    Some(far) if !eyes.sees(far) => {}
                    _ => add(name, Relation::Computed),
                },
                Notation::Handled => add(name, Relation::Handled),
                stored => {
                    if let Some(to) = self.relation(&stored, shape, eyes, rights, def) {
                        add(name, to);
                    }
                }
            }
        }
        links.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        links
    }

    /// Where a link that rows themselves name leads, if the role can follow it.
    fn relation(
        &self,
        notation: &Notation<'_>,
        shape: &TypeShape,
        eyes: &Eyes<'_>,
        rights: &TypeRights<'_>,
        def: &Type,
    ) -> Option<Relation> {
        let visible = |kind: &&str| eyes.sees(kind);
        match *notation {
            Notation::Types | Notation::Computed | Notation::Handled => None,
            Notation::One { field } => {
                let kind = shape.fields.get(field).and_then(|d| named_type(&d.field.ty));
                kind.filter(|_| rights.fields.has(field)).map(|kind| Relation::One {
                    field: field.to_owned(),
                    kind: kind.to_owned(),
                })
            }
            Notation::Listed { field } => {
                let kind = def.fields.get(field).and_then(|f| named_type(&f.ty));
                kind.filter(visible).map(|kind| Relation::Listed {
                    field: field.to_owned(),
                    kind: kind.to_owned(),
                })
            }
            Notation::Many { kind, field } => Some(kind).filter(visible).map(|kind| Relation::Many {
                kind: kind.to_owned(),
                field: field.to_owned(),
            }),
            Notation::Through { map, near, far } => {
                let end = self.shape(eyes.version, map).and_then(|shape| shape.fields.get(far));
                let kind = end.and_then(|draft| named_type(&draft.field.ty));
                kind.filter(visible).map(|kind| Relation::Through {
                    kind: kind.to_owned(),
                    through: map.to_owned(),
                    near: near.to_owned(),
                    far: far.to_owned(),
                })
            }
        }
    }

    /// The type whose plural is `name`.
    fn listed_as(&self, name: &str) -> Option<&'a str> {
        let listed = self.listed.get_or_init(|| {
            let mut listed = HashMap::new();
            for file in self.files.types.values() {
                let plural = file.plural.clone().unwrap_or_else(|| plural(&file.id));
                listed.entry(plural).or_insert(file.id.as_str());
            }
            listed
        });
        listed.get(name).copied()
    }
}
