//! What lists of accounts, projects, preferences and templates show, beside what every list does.

use crate::engine::core::{Core, Filter, ListQuery, Scope};
use crate::model::Result;
use crate::schema::{Column, TypeView};
use crate::store::{Condition, ListSpec, Scalar, Target};

/// Narrows a list to what the caller may see of these types.
pub(crate) fn restrict_list(
    core: &Core,
    scope: &Scope,
    ty: &TypeView,
    query: &ListQuery,
    spec: &mut ListSpec,
) -> Result<()> {
    match ty.def.root.as_str() {
        // What a person prefers is of nobody else's concern.
        "userPreference" => spec.account = Some(scope.user.id),
        // Everybody makes projects from the public ones, and from their own.
        "projectTemplate" => {
            spec.account = scope.owner().map(|_| scope.user.id);
            spec.with_shared = true;
        }
        "account" if ty.def.id == "project" => {
            spec.account = None;
            if let Some(projects) = core.listed_projects(scope, query.all)? {
                let ids: Vec<String> = projects.iter().map(ToString::to_string).collect();
                spec.conditions.push(if ids.is_empty() {
                    Condition::Never
                } else {
                    Condition::OneOf(Target::Column(Column::Id), ids)
                });
            }
        }
        "account" => {
            // A project does not belong to an account, it is one.
            spec.account = None;
            if let Some(id) = scope.owner() {
                spec.conditions
                    .push(Condition::compare(Target::Column(Column::Id), "eq", Scalar::Int(id.0)));
            }
        }
        _ => {}
    }
    Ok(())
}

/// What a filter means that has a meaning of its own here: a public template is one of nobody.
pub(crate) fn own_condition(ty: &TypeView, filter: &Filter) -> Option<Condition> {
    if ty.def.root != "projectTemplate" || filter.field != "isPublic" {
        return None;
    }
    let wants_public = matches!(filter.value.as_str(), "true" | "1") == (filter.modifier != "ne");
    let owner = Target::Column(Column::AccountId);
    Some(if wants_public {
        Condition::Null(owner)
    } else {
        Condition::NotNull(owner)
    })
}

/// Quirk: names of projects, and of what they are made from, are found in whatever case (MySQL's own comparison).
pub(crate) fn is_named_in_any_case(ty: &TypeView) -> bool {
    matches!(ty.def.id.as_str(), "project" | "projectTemplate")
}
