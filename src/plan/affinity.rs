//! Affinity labels: `io.rancher.scheduler.affinity:<field>[_soft][_ne]` with a comma separated list of values.
//!
//! Keys and values compare without regard to case (cattle: `AffinityConstraintDefinition`).

use super::*;

const PREFIX: &str = "io.rancher.scheduler.affinity:";
const STACK_SERVICE: &str = "io.rancher.stack_service.name";
const PROJECT_SERVICE: &str = "io.rancher.project_service.name";

/// What a rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// The labels of the host.
    HostLabel,
    /// The labels of the containers on the host.
    ContainerLabel,
    /// The names of the containers on the host.
    Container,
}

/// One value of one affinity label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) field: Subject,
    /// A label's key, or a container's name; lower case.
    key: String,
    /// A label's value, lower case; none: any.
    value: Option<String>,
    /// Must (or should) not match.
    pub(super) is_negated: bool,
    /// May be dropped.
    pub(super) is_soft: bool,
}

impl Rule {
    /// Whether these labels have the key and value.
    pub(super) fn matches_labels<'l>(&self, mut labels: impl Iterator<Item = (&'l str, &'l str)>) -> bool {
        labels.any(|(key, value)| {
            key.eq_ignore_ascii_case(&self.key)
                && self
                    .value
                    .as_deref()
                    .is_none_or(|wanted| value.eq_ignore_ascii_case(wanted) || self.is_sidekick_of(value, wanted))
        })
    }

    /// Whether this container is one the rule speaks of. Host rules speak of none.
    pub(super) fn matches_container<'l>(&self, name: &str, labels: impl Iterator<Item = (&'l str, &'l str)>) -> bool {
        match self.field {
            Subject::HostLabel => false,
            Subject::ContainerLabel => self.matches_labels(labels),
            Subject::Container => name.eq_ignore_ascii_case(&self.key),
        }
    }

    /// A rule that names a service means its sidekicks too: they carry `stack/service/sidekick`.
    fn is_sidekick_of(&self, value: &str, wanted: &str) -> bool {
        (self.key == STACK_SERVICE || self.key == PROJECT_SERVICE)
            && value
                .get(..wanted.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(wanted))
            && value.get(wanted.len()..).is_some_and(|tail| tail.starts_with('/'))
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let field = match self.field {
            Subject::HostLabel => "host label",
            Subject::ContainerLabel => "container label",
            Subject::Container => "container",
        };
        let not = if self.is_negated { "no " } else { "" };
        write!(f, "{not}{field} {}", self.key)?;
        self.value.as_ref().map_or(Ok(()), |value| write!(f, "={value}"))
    }
}

/// The rules of all configurations of the unit, hard ones first; a unit is placed as one.
pub(super) fn rules(desired: &Desired) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for config in &desired.configs {
        for (label, values) in &config.labels {
            let Some((field, is_soft, is_negated)) = read_key(label) else {
                continue;
            };
            for value in values.split(',').map(str::trim).filter(|v| !v.is_empty()) {
                let rule = read_value(desired, field, is_soft, is_negated, value);
                if !rules.contains(&rule) {
                    rules.push(rule);
                }
            }
        }
    }
    rules.sort_by_key(|r| r.is_soft);
    rules
}

fn read_key(label: &str) -> Option<(Subject, bool, bool)> {
    let label = label.to_ascii_lowercase();
    let rest = label.strip_prefix(PREFIX)?;
    let (rest, is_negated) = rest.strip_suffix("_ne").map_or((rest, false), |r| (r, true));
    let (rest, is_soft) = rest.strip_suffix("_soft").map_or((rest, false), |r| (r, true));
    let field = match rest {
        "host_label" => Subject::HostLabel,
        "container_label" => Subject::ContainerLabel,
        "container" => Subject::Container,
        _ => return None,
    };
    Some((field, is_soft, is_negated))
}

fn read_value(desired: &Desired, field: Subject, is_soft: bool, is_negated: bool, value: &str) -> Rule {
    // `project` is what a stack was called before 1.1.
    let value = value
        .replace("${stack_name}", &desired.stack)
        .replace("${project_name}", &desired.stack)
        .replace("${service_name}", &desired.service)
        .to_ascii_lowercase();
    let (key, value) = match (field, value.split_once('=')) {
        (Subject::Container, _) | (_, None) => (value, None),
        (_, Some((key, wanted))) => {
            let (key, wanted) = (key.trim(), wanted.trim());
            let is_service = key == STACK_SERVICE || key == PROJECT_SERVICE;
            let lacks_stack = is_service && !wanted.contains('/');
            let wanted = if lacks_stack {
                format!("{}/{wanted}", desired.stack.to_ascii_lowercase())
            } else {
                wanted.to_owned()
            };
            (key.to_owned(), Some(wanted))
        }
    };
    Rule {
        field,
        key,
        value,
        is_negated,
        is_soft,
    }
}

/// Whether a rule speaks of the unit with this index of the service itself.
pub(super) fn matches_own_unit(rule: &Rule, desired: &Desired, index: u32) -> bool {
    desired.configs.iter().any(|config| {
        let service = match &config.name {
            None => format!("{}/{}", desired.stack, desired.service),
            Some(sidekick) => format!("{}/{}/{sidekick}", desired.stack, desired.service),
        };
        let written = [
            ("io.rancher.stack.name", desired.stack.as_str()),
            ("io.rancher.project.name", desired.stack.as_str()),
            (STACK_SERVICE, service.as_str()),
            (PROJECT_SERVICE, service.as_str()),
        ];
        let labels = config
            .labels
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .chain(written);
        let name = instance_name(
            &desired.stack,
            &desired.service,
            config.name.as_deref(),
            index,
            desired.divider,
        );
        rule.matches_container(&name, labels)
    })
}
