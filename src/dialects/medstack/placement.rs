//! Where containers may be: swarm's constraints as rules about labels of hosts, which are the engine's.

use super::refusal::{Form, Outcome, Refusal};
use crate::dialects::words::{architecture, host_label};
use crate::model::own_labels::HOST;

/// The label of hosts that are managers; where none has it, the oldest is one.
pub const MANAGER: &str = "medstack.manager";

/// What constraints say of hosts, as two lists: what they have to have, and what they must not have.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rules {
    /// `label=value`
    pub with: Vec<String>,
    /// `label=value`
    pub without: Vec<String>,
}

/// What other rows are called.
pub trait Hosts {
    /// The host with an id, as rules about hosts call it.
    fn node(&self, id: &str) -> Option<String>;
    /// The rule by which managers are told.
    fn manager(&self) -> String;
}

/// Reads constraints.
///
/// # Errors
/// 400 for one that says nothing that can be done.
pub fn rules(constraints: &[String], hosts: &dyn Hosts) -> Outcome<Rules> {
    let mut rules = Rules::default();
    for text in constraints {
        let wrong = |why: &str| Refusal::field(Form::Prefixed, "placement_constraints", &format!("{text:?} {why}"));
        let parts = text.split_once("==").map(|(key, value)| (key, true, value));
        let parts = parts.or_else(|| text.split_once("!=").map(|(key, value)| (key, false, value)));
        let (key, is_same, value) = parts.ok_or_else(|| wrong("must have == or != in it"))?;
        let (key, value) = (key.trim(), value.trim());
        if value.is_empty() || value.contains([',', '=']) {
            return Err(wrong("must have a value without commas and equals signs"));
        }
        let of_host = |name: &str, value: &str| format!("{HOST}{name}={value}");
        let (is_same, rule) = match (key, value) {
            // Whom nobody is called so waits for one, as in a swarm.
            ("node.id", id) => (is_same, of_host("id", &hosts.node(id).unwrap_or_else(|| id.to_owned()))),
            ("node.hostname", name) => (is_same, of_host("name", name)),
            ("node.role", "manager") => (is_same, hosts.manager()),
            ("node.role", "worker") => (!is_same, hosts.manager()),
            ("node.role", _) => return Err(wrong("must name manager or worker")),
            ("node.platform.os", "linux") if is_same => continue,
            ("node.platform.os", os) => (is_same, of_host("os", os)),
            ("node.platform.arch", arch) => (is_same, of_host("arch", architecture(arch))),
            (key, value) => match label(key) {
                Some(label) => (is_same, format!("{label}={value}")),
                None => return Err(wrong("is about nothing that is known of a node")),
            },
        };
        if is_same { &mut rules.with } else { &mut rules.without }.push(rule);
    }
    Ok(rules)
}

/// The label of hosts that a constraint is about; rules are told apart by commas.
fn label(key: &str) -> Option<&str> {
    host_label(key).filter(|label| !label.contains(','))
}

/// What a rule about hosts is in swarm's words; nothing for one that differs from server to server.
pub fn constraint(rule: &str, is_same: bool) -> Option<String> {
    let (label, value) = rule.split_once('=')?;
    let sign = if is_same { "==" } else { "!=" };
    let key = match label.strip_prefix(HOST) {
        Some("id") => return None,
        Some("name") => "node.hostname".to_owned(),
        Some(of @ ("os" | "arch")) => format!("node.platform.{of}"),
        Some(_) => return None,
        None if label == MANAGER && value == "true" => {
            let role = if is_same { "manager" } else { "worker" };
            return Some(format!("node.role == {role}"));
        }
        None => format!("node.labels.{label}"),
    };
    Some(format!("{key} {sign} {value}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    struct One;

    impl Hosts for One {
        fn node(&self, id: &str) -> Option<String> {
            (id == "node_1").then(|| "1h7".to_owned())
        }

        fn manager(&self) -> String {
            format!("{HOST}id=1h7")
        }
    }

    #[test]
    fn constraints_are_rules_about_labels_of_hosts() {
        let read = |text: &str| rules(&[text.to_owned()], &One);
        let host = |rule: &str| format!("{HOST}{rule}");
        for (text, with, without) in [
            ("node.labels.size != small", vec![], vec!["size=small".to_owned()]),
            ("node.labels.a.b==c", vec!["a.b=c".to_owned()], vec![]),
            ("node.id == node_1", vec![host("id=1h7")], vec![]),
            ("node.id==other", vec![host("id=other")], vec![]),
            ("node.hostname == one", vec![host("name=one")], vec![]),
            ("node.role == manager", vec![host("id=1h7")], vec![]),
            ("node.role == worker", vec![], vec![host("id=1h7")]),
            ("node.role != worker", vec![host("id=1h7")], vec![]),
            ("node.platform.os == linux", vec![], vec![]),
            ("node.platform.arch == amd64", vec![host("arch=x86_64")], vec![]),
        ] {
            assert_eq!(read(text).unwrap(), Rules { with, without }, "{text}");
        }
        for bad in [
            "",
            "node.labels.a",
            "node.labels.== b",
            "node.role == boss",
            "cpu == 4",
            "node.labels.a == b,c",
        ] {
            let said = read(bad).unwrap_err().body;
            assert_eq!(said["param"], "placement_constraints", "{bad}");
        }
    }
}
