//! The kinds of service, and what sets them apart.

/// A kind of service, by the name of its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceKind {
    /// `service`
    Service,
    /// `loadBalancerService`
    LoadBalancer,
    /// `dnsService`: another name for other services.
    Dns,
    /// `externalService`: something outside, by addresses or by a host name.
    External,
    /// All others (`kubernetesService`, the services of drivers …): they run containers as a service does.
    Other,
}

impl ServiceKind {
    /// The kind of a row.
    pub fn of(kind: &str) -> Self {
        match kind {
            "service" => Self::Service,
            "loadBalancerService" => Self::LoadBalancer,
            "dnsService" => Self::Dns,
            "externalService" => Self::External,
            _ => Self::Other,
        }
    }

    /// Whether it has containers, or could.
    pub fn has_containers(self) -> bool {
        !matches!(self, Self::Dns | Self::External)
    }

    /// Whether its health follows from its containers.
    pub fn computes_health(self) -> bool {
        matches!(self, Self::Service | Self::LoadBalancer)
    }

    /// Whether it cannot be made or upgraded without saying what runs.
    pub fn needs_image(self) -> bool {
        self == Self::Service
    }

    /// Whether a PUT leaves its launch configurations alone: they change by upgrades only.
    pub fn upgrades_only(self) -> bool {
        self == Self::Service
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_for_other_things_have_no_containers() {
        let has = [
            "service",
            "loadBalancerService",
            "dnsService",
            "externalService",
            "kubernetesService",
        ]
        .map(|kind| ServiceKind::of(kind).has_containers());
        assert_eq!(has, [true, true, false, false, true]);
    }
}
