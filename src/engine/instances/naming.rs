//! How containers find each other: by the name server of their project, or by the engine's own aliases. Decided before a
//! container is made, as it cannot be changed afterwards, and noted with it.

use serde::{Deserialize, Serialize};

use crate::engine::core::{Core, NETWORK_SERVICES, Served, Serving};
use crate::model::Result;
use crate::model::launch::LaunchConfig;

use super::failing::{Hindrance, Step};

/// The end of all names.
const ZONE: &str = "rancher.internal";

/// By what a container is found, and finds others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum NamesBy {
    /// Aliases and links, which the engine answers for.
    Aliases,
    /// The project's name server, at this address.
    Server(String),
}

impl NamesBy {
    /// The address of the name server.
    pub(crate) fn server(&self) -> Option<&str> {
        match self {
            Self::Aliases => None,
            Self::Server(address) => Some(address),
        }
    }
}

impl Core {
    /// Whether name servers are to be used where they can run.
    pub(crate) fn wants_name_servers(&self) -> Result<bool> {
        let setting = self.setting(NETWORK_SERVICES)?;
        Ok(setting.and_then(|setting| setting.value).as_deref() == Some("on"))
    }

    /// By what a container is to be found that is made now. None where there is only one way. One that is to use a name
    /// server waits until that answers.
    pub(super) fn names_by(&self, served: Served) -> Step<Option<NamesBy>> {
        let runtime = self.runtime(served.host);
        if !runtime.is_some_and(|runtime| runtime.capabilities().network_services) {
            return Ok(None);
        }
        if !self.wants_name_servers()? {
            return Ok(Some(NamesBy::Aliases));
        }
        match self.name_servers.serving(served) {
            Some(Serving::At(address)) => Ok(Some(NamesBy::Server(address))),
            Some(Serving::Cannot(_)) => Ok(Some(NamesBy::Aliases)),
            Some(Serving::Wanted) | None => {
                self.name_servers.want(served);
                Err(Hindrance::NotYet("Waiting for the name server".into()))
            }
        }
    }
}

/// Whether a container on its host's own network is to find others by the name server, which does not know it.
pub(super) fn asks_on_host(launch: &LaunchConfig) -> bool {
    launch.network_mode.as_deref() == Some("host") && launch.has_label_true("io.rancher.container.dns")
}

/// The domains in which a container looks for names without a dot: of its service and its stack, if it has them.
pub(crate) fn domains(service_and_stack: Option<(&str, &str)>) -> Vec<String> {
    let Some((service, stack)) = service_and_stack else {
        return vec![ZONE.into()];
    };
    let (service, stack) = (service.to_lowercase(), stack.to_lowercase());
    vec![
        format!("{stack}.{ZONE}"),
        format!("{service}.{stack}.{ZONE}"),
        ZONE.into(),
    ]
}

/// The search list of a container that asks the name server: ours, and its owner's behind them, unless a label says
/// otherwise (cattle: `io.rancher.container.dns.priority`).
pub(crate) fn search_list(launch: &LaunchConfig, ours: &[String]) -> Vec<String> {
    let own = launch
        .dns_search
        .iter()
        .flatten()
        .filter(|domain| !ours.contains(*domain));
    let ours = ours.iter();
    match launch.label("io.rancher.container.dns.priority") {
        Some("None") => own.cloned().collect(),
        Some("service_last") => own.chain(ours).cloned().collect(),
        _ => ours.chain(own).cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_domains_come_first_unless_a_label_says_otherwise() {
        let ours = domains(Some(("Web", "App")));
        assert_eq!(
            ours,
            ["app.rancher.internal", "web.app.rancher.internal", "rancher.internal"]
        );
        assert_eq!(domains(None), ["rancher.internal"]);
        let launch = |priority: Option<&str>| LaunchConfig {
            labels: priority.map(|p| [("io.rancher.container.dns.priority".to_owned(), p.to_owned())].into()),
            dns_search: Some(vec!["own.example".into(), "rancher.internal".into()]),
            ..LaunchConfig::default()
        };
        let list = |priority| search_list(&launch(priority), &ours).join(" ");
        let all = ours.join(" ");
        assert_eq!(list(None), format!("{all} own.example"));
        assert_eq!(list(Some("service_last")), format!("own.example {all}"));
        assert_eq!(list(Some("None")), "own.example");
    }
}
