//! The services that may be in the way of one: of most others a look at their rows tells that they are not, and they are not read.

use super::caller::{Caller, fields};
use super::record::Service;
use super::refusal::Outcome;
use super::services::is_shown;
use super::spec::ServiceSpec;

/// From this length on names are cut, and tell nothing.
const CUT: usize = 50;

/// Those that may be called as this one is to be, and those that may have one of its published ports.
pub async fn of(caller: &Caller, spec: &ServiceSpec) -> Outcome<Vec<Service>> {
    let stacks = caller.stacks().await?;
    let ports = spec.endpoint_spec.iter().flat_map(|endpoint| &endpoint.ports);
    let ports: Vec<String> = ports
        .filter(|port| port.published_port != 0)
        .map(|port| port.published_port.to_string())
        .collect();
    let mut found = Vec::new();
    for row in caller.lasting("service").await? {
        let has_port = ports.iter().any(|port| row.fields.contains(port.as_str()));
        if !has_port && !may_be_called(&row.name, &spec.name) {
            continue;
        }
        let own = fields(&row)?;
        if is_shown(&row, &own)? {
            found.push(Service::of(row, &own, &stacks)?);
        }
    }
    Ok(found)
}

/// Whether a service that the engine calls `native` may have this name in Docker's words: what the engine calls it is the end of
/// that, with hyphens where that has underscores, and a number behind it if the name was not free.
fn may_be_called(native: &str, name: &str) -> bool {
    let plain = |text: &str| text.to_ascii_lowercase().replace('_', "-");
    let (native, name) = (plain(native), plain(name));
    let numbered = native
        .rsplit_once('-')
        .filter(|(_, number)| number.bytes().all(|c| c.is_ascii_digit()));
    name.len() >= CUT || name.ends_with(&native) || numbered.is_some_and(|(base, _)| name.ends_with(base))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_end_of_what_docker_calls_a_service() {
        let long = "a".repeat(60);
        for (native, name, may) in [
            ("web", "web", true),
            ("Web", "shop_wEb", true),
            ("a-b", "a_b", true),
            ("web-2", "web", true),
            ("web-2", "web-2", true),
            ("web", "web2", false),
            ("other", "web", false),
            ("other", &long, true),
        ] {
            assert_eq!(may_be_called(native, name), may, "{native} {name}");
        }
    }
}
