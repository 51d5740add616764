//! The schemas of a server, and what the command line says of them.

use std::path::Path;
use std::sync::Arc;

use super::say;
use crate::cli::SchemaCommand;
use crate::failure::Failure;
use crate::schema::{Problem, Registry, Role, Version, schema_json};

pub(super) fn load(overlay: Option<&Path>) -> Result<Registry, Failure> {
    Registry::load(overlay).map_err(|problems| do_not_fit(&problems))
}

/// The schemas of a server: whoever lays something over them is told what does not fit.
pub(super) fn to_serve(overlay: Option<&Path>) -> Result<Registry, Failure> {
    match overlay {
        None => Registry::built_in().map_err(|problems| do_not_fit(&problems)),
        overlay => load(overlay),
    }
}

/// The same for a server that starts: what its first caller most likely sees is worked out while the database is opened.
pub(super) fn to_start(overlay: Option<&Path>) -> Result<Arc<Registry>, Failure> {
    let registry = Arc::new(to_serve(overlay)?);
    let soon_asked = registry.clone();
    tokio::task::spawn_blocking(move || {
        soon_asked.view(Version::V2Beta, Role::Admin);
    });
    Ok(registry)
}

fn do_not_fit(problems: &[Problem]) -> Failure {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Failure::config(format!("the schemas do not fit together:\n  {}", lines.join("\n  ")))
}

pub(super) fn run(command: &SchemaCommand) -> Result<(), Failure> {
    match command {
        SchemaCommand::Check { schemas } => {
            let registry = load(schemas.as_deref())?;
            say(&format!("{} types fit together", registry.types.len()));
        }
        SchemaCommand::Print { schemas, version, name } => {
            let registry = load(schemas.as_deref())?;
            let version = Version::parse(version)
                .ok_or_else(|| Failure::config(format!("there is no version {version:?}: v1 or v2-beta")))?;
            let view = registry.view(version, Role::Owner);
            let wanted = |id: &str| name.as_deref().is_none_or(|n| n.eq_ignore_ascii_case(id));
            let mut found = false;
            for ty in view.types.values().filter(|t| wanted(&t.id)) {
                found = true;
                say(&schema_json(view, ty, &format!("/{}", version.as_str())));
            }
            if !found {
                return Err(Failure::config(format!(
                    "there is no type {:?}",
                    name.as_deref().unwrap_or_default()
                )));
            }
        }
    }
    Ok(())
}
