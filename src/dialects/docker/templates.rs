//! Templates in a service of Docker's: what is known of the service is put in here, the rest by the engine for each container.

use std::cell::Cell;

use super::project::unbuilt;
use super::refusal::Outcome;
use super::spec::{ContainerSpec, Mode, ServiceSpec};
use crate::model::own_labels::{Word, filled, is_template};

/// A container's description with its templates in the engine's words; none if it has none.
///
/// # Errors
/// 501 with the field for what cannot be put in.
pub fn settled(container: &ContainerSpec, spec: &ServiceSpec) -> Outcome<Option<ContainerSpec>> {
    let mut own = container.clone();
    let mut is_changed = false;
    let mut settle = |field: &str, text: &mut String| -> Outcome<()> {
        if is_template(text) {
            *text = translated(field, text, spec)?;
            is_changed = true;
        }
        Ok(())
    };
    settle("Hostname", &mut own.hostname)?;
    for line in &mut own.env {
        if let Some((name, value)) = line.split_once('=') {
            if is_template(name) {
                return Err(unbuilt(
                    "ContainerSpec.Env",
                    "names of variables are no templates in this build",
                ));
            }
            let mut value = value.to_owned();
            settle("Env", &mut value)?;
            *line = format!("{name}={value}");
        }
    }
    for mount in &mut own.mounts {
        settle("Mounts", &mut mount.source)?;
        settle("Mounts", &mut mount.target)?;
        let options = mount.volume_options.iter();
        let of_driver = options.clone().filter_map(|options| options.driver_config.as_ref());
        let mut texts = options
            .flat_map(|options| options.labels.values())
            .chain(of_driver.flat_map(|driver| driver.options.values()));
        if texts.any(|text| is_template(text)) {
            return Err(unbuilt(
                "ContainerSpec.Mounts",
                "labels and drivers of volumes are no templates in this build",
            ));
        }
    }
    Ok(is_changed.then_some(own))
}

fn translated(field: &str, text: &str, spec: &ServiceSpec) -> Outcome<String> {
    let is_global = spec
        .mode
        .as_ref()
        .is_some_and(|mode: &Mode| mode.global.is_some() || mode.global_job.is_some());
    let is_known = Cell::new(true);
    let put_in = |word: Word| match word {
        Word::ServiceName => spec.name.clone(),
        Word::TaskName => {
            let place = if is_global { Word::NodeId } else { Word::TaskSlot };
            format!("{}.{}.{}", spec.name, place.written(), Word::TaskId.written())
        }
        // There are no slots where each node has one.
        Word::TaskSlot if is_global => "0".to_owned(),
        Word::StackName => {
            is_known.set(false);
            String::new()
        }
        other => other.written(),
    };
    let why = |part: &str| {
        unbuilt(
            &format!("ContainerSpec.{field}"),
            &format!("{part} is not part of this build"),
        )
    };
    match filled(text, &put_in) {
        Ok(text) if is_known.get() => Ok(text),
        Ok(_) => Err(why(&Word::StackName.written())),
        Err(part) => Err(why(&part)),
    }
}
