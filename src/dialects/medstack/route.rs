//! Paths, and the methods that each has.

use super::refusal::{Outcome, Refusal};

/// What a path leads to. The ids in it were not looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route<'p> {
    /// `/companies/current`
    Company,
    /// Below `/companies/{company_id}`: the company, and what is asked for.
    Of(&'p str, Below<'p>),
    /// Below `/companies/{company_id}/clusters/{cluster_id}`.
    In(&'p str, &'p str, Inside<'p>),
}

/// What a company has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Below<'p> {
    /// `/clusters`
    Clusters,
    /// `/webhooks/outgoing`
    Webhooks,
    /// `/webhooks/outgoing/{id}`
    Webhook(&'p str),
    /// `/webhooks/outgoing/{id}/test`
    Test(&'p str),
}

/// What a cluster has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inside<'p> {
    /// The cluster itself.
    Cluster,
    /// `/node-sizes`
    NodeSizes,
    /// `/nodes`
    Nodes,
    /// `/nodes/{id}`
    Node(&'p str),
    /// `/nodes/{id}/reboot`
    Reboot(&'p str),
    /// `/services`
    Services,
    /// `/services/{id}`
    Service(&'p str),
    /// `/services/{id}/refresh_image`
    Refresh(&'p str),
    /// `/secrets`
    Secrets,
    /// `/secrets/{id}`
    Secret(&'p str),
    /// `/configs`
    Configs,
    /// `/configs/{id}`
    Config(&'p str),
    /// `/volumes`
    Volumes,
    /// `/volumes/{id}`
    Volume(&'p str),
    /// `/tasks`
    Tasks,
}

/// Reads the segments of a path.
///
/// # Errors
/// 404 for a path that there is not.
pub fn parse<'p>(segments: &[&'p str]) -> Outcome<Route<'p>> {
    let (company, rest) = match segments {
        ["companies", "current"] => return Ok(Route::Company),
        ["companies", company, rest @ ..] => (*company, rest),
        _ => return Err(Refusal::nowhere()),
    };
    let of = |below| Ok(Route::Of(company, below));
    let (cluster, rest) = match rest {
        ["clusters"] => return of(Below::Clusters),
        ["webhooks", "outgoing"] => return of(Below::Webhooks),
        ["webhooks", "outgoing", id] => return of(Below::Webhook(id)),
        ["webhooks", "outgoing", id, "test"] => return of(Below::Test(id)),
        ["clusters", cluster, rest @ ..] => (*cluster, rest),
        _ => return Err(Refusal::nowhere()),
    };
    let inside = match rest {
        [] => Inside::Cluster,
        ["node-sizes"] => Inside::NodeSizes,
        ["nodes"] => Inside::Nodes,
        ["nodes", id] => Inside::Node(id),
        ["nodes", id, "reboot"] => Inside::Reboot(id),
        ["services"] => Inside::Services,
        ["services", id] => Inside::Service(id),
        ["services", id, "refresh_image"] => Inside::Refresh(id),
        ["secrets"] => Inside::Secrets,
        ["secrets", id] => Inside::Secret(id),
        ["configs"] => Inside::Configs,
        ["configs", id] => Inside::Config(id),
        ["volumes"] => Inside::Volumes,
        ["volumes", id] => Inside::Volume(id),
        ["tasks"] => Inside::Tasks,
        _ => return Err(Refusal::nowhere()),
    };
    Ok(Route::In(company, cluster, inside))
}

impl Route<'_> {
    /// The methods that it has.
    pub fn methods(&self) -> &'static [&'static str] {
        use {Below as B, Inside as I};
        match self {
            Self::Company | Self::Of(_, B::Clusters) | Self::In(_, _, I::Cluster | I::NodeSizes | I::Tasks) => &["GET"],
            Self::Of(_, B::Test(_)) | Self::In(_, _, I::Reboot(_) | I::Refresh(_)) => &["POST"],
            Self::Of(_, B::Webhooks) => &["GET", "POST"],
            Self::Of(_, B::Webhook(_)) => &["GET", "PUT", "DELETE"],
            Self::In(_, _, I::Nodes | I::Services | I::Secrets | I::Configs | I::Volumes) => &["GET", "POST"],
            Self::In(_, _, I::Node(_)) => &["GET", "PATCH", "DELETE"],
            Self::In(_, _, I::Service(_)) => &["GET", "PUT", "PATCH", "DELETE"],
            Self::In(_, _, I::Config(_)) => &["GET", "DELETE"],
            Self::In(_, _, I::Secret(_) | I::Volume(_)) => &["DELETE"],
        }
    }

    /// Whether a body may be as long as a secret or a config.
    pub fn is_long(&self) -> bool {
        matches!(self, Self::In(_, _, Inside::Secrets | Inside::Configs))
    }
}
