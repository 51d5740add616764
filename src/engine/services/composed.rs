//! A compose file of one service, read for an interface that asks what its launch configuration is.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::compose::{self, Texts};
use crate::model::{Error, ErrorKind, Result};

/// What a compose file says.
#[derive(Debug, Clone, PartialEq)]
pub struct Composed {
    /// The launch configuration of its service.
    pub launch: Map<String, Value>,
    /// What stands there and has no effect, in sentences.
    pub warnings: Vec<String>,
}

/// The service of this name in a compose file that has no other.
///
/// # Errors
/// 422 for what is wrong with the file or is not part of this build: more services, links, volumes of their own; 404 for a file without that service.
pub fn read_compose(text: &str, name: &str, values: &BTreeMap<String, String>) -> Result<Composed> {
    let wrong = |why: String| {
        Error::new(ErrorKind::Invalid)
            .with_code("InvalidFormat")
            .with_message(why)
    };
    let texts = Texts {
        docker: text.to_owned(),
        rancher: String::new(),
    };
    let document = compose::read(name, &texts, values).map_err(|problem| wrong(problem.to_string()))?;
    let has_volumes = document.volumes.iter().any(|volume| !volume.external);
    let mut services = document.services;
    let Some(at) = services.iter().position(|service| service.name == name) else {
        return Err(Error::not_found().with_message(format!("the file has no service {name}")));
    };
    let service = services.swap_remove(at);
    let unbuilt = [
        (!services.is_empty(), "more than one service in a file"),
        (has_volumes, "volumes that a file makes"),
        (!service.links.is_empty(), "links"),
        (service.kind != "service" || service.balancing.is_some(), "a balancer"),
        (
            service
                .fields
                .get("secondaryLaunchConfigs")
                .and_then(Value::as_array)
                .is_some_and(|list| !list.is_empty()),
            "sidekicks",
        ),
    ];
    if let Some((_, what)) = unbuilt.iter().find(|(is_there, _)| *is_there) {
        return Err(Error::not_implemented(format!("{what}: not part of this build")));
    }
    let launch = service.fields.get("launchConfig").and_then(Value::as_object).cloned();
    Ok(Composed {
        launch: launch.unwrap_or_default(),
        warnings: document.warnings.iter().map(ToString::to_string).collect(),
    })
}
