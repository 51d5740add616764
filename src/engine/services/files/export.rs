//! What a stack is, as files: the action `exportconfig`, and the links to the same.

use serde_json::{Map, Value, json};

use crate::compose::{self, Link, Volume};
use crate::engine::core::{Answer, Core, Input, publishes_for};
use crate::model::launch::parse_reference;
use crate::model::{Error, Fields, Resource, ResourceId, Result};

/// A stack as files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackFiles {
    /// `docker-compose.yml`
    pub docker: String,
    /// `rancher-compose.yml`
    pub rancher: String,
}

/// Answers `exportconfig`.
pub(crate) fn config_of(core: &Core, stack: &Resource, input: &Input) -> Result<Answer> {
    let ids = input
        .get("serviceIds")
        .and_then(Value::as_array)
        .filter(|ids| !ids.is_empty());
    let ids: Option<Vec<ResourceId>> =
        ids.map(|ids| ids.iter().filter_map(|id| parse_reference(id.as_str()?)).collect());
    let texts = files_of(core, stack, ids.as_deref())?;
    let fields = [
        ("dockerComposeConfig", texts.docker),
        ("rancherComposeConfig", texts.rancher),
    ];
    let fields = fields.map(|(name, text)| (name.to_owned(), json!(text)));
    Ok(Answer::Object("composeConfig", Map::from_iter(fields)))
}

/// The files of a stack, or of some of its services.
pub(crate) fn files_of(core: &Core, stack: &Resource, only: Option<&[ResourceId]>) -> Result<StackFiles> {
    let mut services = core.store.children(stack.id, "service")?;
    // What publishes ports of the mesh follows from the labels of another service.
    services.retain(|service| only.is_none_or(|only| only.contains(&service.id)) && publishes_for(service).is_none());
    let services: Vec<compose::Service> = services.iter().map(|row| core.as_written(row)).collect::<Result<_>>()?;
    let mut volumes = Vec::new();
    for row in core.store.children(stack.id, "volumeTemplate")? {
        let fields = Fields::parse(&row.fields)?;
        volumes.push(Volume {
            name: row.name,
            driver: fields.text("driver"),
            options: fields.texts("driverOpts")?,
            external: fields.read("external")?.unwrap_or(false),
            per_container: fields.read("perContainer")?.unwrap_or(false),
        });
    }
    volumes.sort_by(|a, b| a.name.cmp(&b.name));
    let compose::Texts { docker, rancher } = compose::write(&services, &volumes);
    Ok(StackFiles { docker, rancher })
}

impl Core {
    /// A service as a file has it: with names for ids.
    fn as_written(&self, row: &Resource) -> Result<compose::Service> {
        let mut fields: Input =
            serde_json::from_str(&row.fields).map_err(|e| Error::internal("reading the fields of a service", e))?;
        self.secrets_by_name(&mut fields)?;
        say_strategy(&mut fields);
        let mut links = Vec::new();
        for map in self.store.children(row.id, "serviceConsumeMap")? {
            // What a selector or a rule made is made again of that.
            if crate::engine::core::notes::<super::super::links::LinkNotes>(&map).follows() {
                continue;
            }
            let service = match self.linked_service(&map)? {
                Some(target) => Some(self.name_from(row, &target)?),
                None => Fields::parse(&map.fields)?.text("consumedService"),
            };
            links.extend(service.map(|service| Link {
                service,
                alias: map.name,
            }));
        }
        let balancing = fields.get("lbConfig").and_then(Value::as_object);
        let balancing = balancing.map(|config| self.by_names(row, config)).transpose()?;
        Ok(compose::Service {
            name: row.name.clone(),
            kind: row.kind.clone(),
            fields,
            links,
            balancing,
            pace: Map::new(),
        })
    }
}

/// The check that a balancer is given has no strategy, and what is read of a file has the usual one: it is written as that.
fn say_strategy(fields: &mut Input) {
    let config = fields.get_mut("launchConfig");
    let check = config.and_then(|config| config.get_mut("healthCheck")?.as_object_mut());
    if let Some(strategy) = check
        .and_then(|check| check.get_mut("strategy"))
        .filter(|s| s.is_null())
    {
        *strategy = json!("recreate");
    }
}
