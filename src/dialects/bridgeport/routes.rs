//! All that there is to ask for: methods, paths, who may, and what bodies hold. Requests are led by this table, and the document of
//! the interface is written from it.

use super::fields::Field;
use super::things::Thing;

/// Who may ask for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Anybody, without credentials.
    Anybody,
    /// Whoever may look, for GET and HEAD; operators for everything else.
    Usual,
    /// Whoever is let in, to do something about themselves.
    Themselves,
    /// Administrators.
    Admins,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// To see all.
    List,
    /// To make one.
    Create,
    /// To see one.
    Read,
    /// To change one.
    Update,
    /// To remove one.
    Remove,
}

/// What a route leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Whether the server is there.
    Health,
    /// The document of the interface.
    OpenApi,
    /// The first person makes itself known.
    Register,
    /// A name and a password for a session.
    Login,
    /// Who asks.
    Me,
    /// Bearer tokens.
    Tokens(Deed),
    /// Projects.
    Environments(Deed),
    /// Hosts, and those that are expected.
    Servers(Deed),
    /// Registries with their credentials.
    Registries(Deed),
    /// Secrets.
    Secrets(Deed),
    /// Objects that are nothing but what is kept of them.
    Things(Thing, Deed),
    /// Templates of services.
    Services(Deed),
    /// How many services there are of each type.
    TypeCounts,
    /// A template and its deployment on a server at once, and what runs on a server.
    OnServer(Deed),
    /// A template on a server.
    Placements(Deed),
    /// A template is brought to all of its servers.
    Deploy,
    /// The same by name.
    DeployByName,
    /// A template is brought to one server.
    DeployOne,
    /// A container is started anew.
    Restart,
    /// How a container is.
    CheckHealth,
    /// What a container wrote.
    Logs,
    /// What was deployed, newest first.
    History,
    /// One of those.
    Deployment,
    /// The files that it went by.
    Artifacts,
    /// The template of compose files: shown, set, taken away.
    Template(Deed),
    /// What would be deployed.
    Preview,
    /// Who is told of deployments.
    Webhooks(Deed),
    /// What was sent to one of them.
    Deliveries,
    /// What this build does not have.
    Unbuilt(&'static str),
}

/// A method and a path, and what they lead to.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// `GET`
    pub method: &'static str,
    /// `/api/environments/{envId}`
    pub path: &'static str,
    /// What they lead to.
    pub what: What,
    /// Who may ask for it.
    pub who: Who,
    /// What the body holds.
    pub fields: &'static [Field],
    /// What it must not hold.
    pub read_only: &'static [&'static str],
    /// What it is for.
    pub summary: &'static str,
    /// The status of what went well.
    pub status: u16,
}

/// A route that whoever may look reads, and that operators change things by.
pub const fn route(method: &'static str, path: &'static str, what: What, summary: &'static str) -> Route {
    Route {
        method,
        path,
        what,
        who: Who::Usual,
        fields: &[],
        read_only: &[],
        summary,
        status: 200,
    }
}

impl Route {
    /// With a body.
    pub const fn with(self, fields: &'static [Field]) -> Self {
        Self { fields, ..self }
    }

    /// With fields that are read-only.
    pub const fn but(self, read_only: &'static [&'static str]) -> Self {
        Self { read_only, ..self }
    }

    /// With a status of its own.
    pub const fn answers(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// For others than the usual.
    pub const fn by(self, who: Who) -> Self {
        Self { who, ..self }
    }

    /// The names of what the path leaves open, and what a path has there; none if it is another path.
    pub fn params<'p>(&self, path: &[&'p str]) -> Option<Vec<(&'static str, &'p str)>> {
        let mut segments = self.path.split('/').skip(1);
        let mut given = path.iter();
        let mut params = Vec::new();
        loop {
            match (segments.next(), given.next()) {
                (None, None) => return Some(params),
                (Some(segment), Some(given)) => match segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')) {
                    Some(name) if !given.is_empty() => params.push((name, *given)),
                    None if segment == *given => {}
                    Some(_) | None => return None,
                },
                (Some(_), None) | (None, Some(_)) => return None,
            }
        }
    }
}
