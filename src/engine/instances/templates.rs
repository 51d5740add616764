//! What stands in two braces in the texts of a launch configuration, put in for one container.

use std::collections::BTreeMap;

use crate::model::launch::LaunchConfig;
use crate::model::own_labels::{TemplateIds, Word, filled, is_template, plain_part, template_ids};
use crate::model::{Fields, Resource, ResourceId, Result};
use crate::schema::render::wire_id;
use crate::store::Tx;

use super::container_rows::{InstanceTypes, Wanted};

/// Of a host that says nothing of its processors.
const UNKNOWN: &str = "unknown";

/// The fields of a new container whose texts are not as its launch configuration has them; none if it has no templates.
pub(super) fn fields_of(
    tx: &mut Tx<'_>,
    types: &InstanceTypes,
    wanted: &Wanted<'_>,
    container: &Resource,
) -> Result<Option<Fields>> {
    let labels = wanted.launch.labels.as_ref();
    let Some(ids) = labels.and_then(template_ids).filter(|_| has_some(wanted.launch)) else {
        return Ok(None);
    };
    let host = tx.get(wanted.host)?;
    let own = Fields::parse(&host.fields)?;
    let info: serde_json::Value = own.read("info")?.unwrap_or_default();
    let architecture = info.pointer("/osInfo/architecture").and_then(|text| text.as_str());
    let id = |prefix: &str, id: ResourceId| match ids {
        TemplateIds::Rancher => wire_id(prefix, id),
        TemplateIds::Docker => types.docker_ids.of(id),
    };
    let hostname = own.text("hostname").filter(|name| !name.is_empty());
    let value = |word: Word| match word {
        Word::ServiceId => id(&types.service_prefix, wanted.service.id),
        Word::ServiceName => wanted.service.name.clone(),
        Word::StackName => wanted.stack.name.clone(),
        Word::NodeId => id(&types.host_prefix, host.id),
        Word::NodeHostname => hostname.clone().unwrap_or_else(|| host.name.clone()),
        Word::NodeOs => "linux".to_owned(),
        Word::NodeArchitecture => architecture.unwrap_or(UNKNOWN).to_owned(),
        Word::TaskId => id(&types.instance_prefix, container.id),
        Word::TaskName => container.name.clone(),
        Word::TaskSlot => wanted.index.to_string(),
    };
    // Each was checked when it came in.
    let text = |text: &String| filled(text, &value).unwrap_or_else(|_| text.clone());
    let mut fields = Fields::parse(&container.fields)?;
    // What the container's name decides is no template.
    let hostname = fields.text("hostname").filter(|name| is_template(name));
    if let Some(hostname) = &hostname {
        fields.set("hostname", &text(hostname))?;
    }
    if let Some(all) = &wanted.launch.environment {
        let all: BTreeMap<&String, String> = all.iter().map(|(name, value)| (name, text(value))).collect();
        fields.set("environment", &all)?;
    }
    if let Some(all) = &wanted.launch.data_volumes {
        // What is put into a path, or into the name of a volume, leads nowhere else.
        let plain = |word: Word| plain_part(&value(word));
        let all = all
            .iter()
            .map(|volume| filled(volume, &plain).unwrap_or_else(|_| volume.clone()));
        fields.set("dataVolumes", &all.collect::<Vec<_>>())?;
    }
    Ok(Some(fields))
}

/// Whether a launch configuration has templates.
fn has_some(launch: &LaunchConfig) -> bool {
    let texts = launch
        .hostname
        .iter()
        .chain(launch.environment.iter().flat_map(|all| all.values()));
    texts
        .chain(launch.data_volumes.iter().flatten())
        .any(|text| is_template(text))
}
