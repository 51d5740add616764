//! Settings: what is known of them, and what is stored over that.
//!
//! Any name can be stored, for clients keep their own things here; docs/settings.md says which names do something.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::Duration;

use crate::model::{Error, ErrorKind, HostPolicy, Result};
use crate::schema::Role;

use super::request::{AuthType, Scope, Setting};
use super::state::Core;

/// One setting of the table.
struct Known {
    name: &'static str,
    form: Form,
    default: Option<&'static str>,
}

/// What a value has to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    /// A whole number from 0 on.
    Count,
    /// A whole number of seconds; less than 0 is never.
    Seconds,
    /// An IP address, or nothing.
    Address,
    /// `true` or `false`.
    Switch,
    /// `on` or `off`.
    OnOff,
    /// `enforce` or `off`.
    EnforceOff,
    /// What projects may do to their hosts, as JSON, or `null`.
    HostPolicy,
    /// Says what this server is: nobody sets it.
    Fixed,
    /// Any text, for clients: nothing in this server goes by it.
    Client,
    /// One of the original's that has no effect here: any text.
    Idle,
    /// The same, and the original's default would say something of this server that is not so.
    Foreign,
}

impl Known {
    /// One line of the table; none of a comment.
    fn parse(line: &'static str) -> Option<Self> {
        let mut columns = line.splitn(3, '\t');
        let (name, form) = (columns.next()?, columns.next()?);
        let form = match form {
            "text" => Form::Text,
            "count" => Form::Count,
            "seconds" => Form::Seconds,
            "address" => Form::Address,
            "switch" => Form::Switch,
            "onOff" => Form::OnOff,
            "enforceOff" => Form::EnforceOff,
            "hostPolicy" => Form::HostPolicy,
            "fixed" => Form::Fixed,
            "client" => Form::Client,
            "idle" => Form::Idle,
            "foreign" => Form::Foreign,
            _ => return None,
        };
        let default = match (name, columns.next()) {
            ("drover.version", _) => Some(env!("CARGO_PKG_VERSION")),
            (_, Some("\"\"")) => Some(""),
            (_, default) => default,
        };
        Some(Self { name, form, default })
    }
}

pub(crate) const AUDIT_SECONDS: &str = "audit_log.purge.after.seconds";

pub(crate) const AUDIT_ROWS: &str = "audit_log.keep.rows";

pub(crate) const EVENT_SECONDS: &str = "events.purge.after.seconds";

pub(crate) const EVENT_ROWS: &str = "events.keep.rows";

pub(crate) const PROCESS_SECONDS: &str = "process_instance.purge.after.seconds";

pub(crate) const REMOVED_SECONDS: &str = "main_tables.purge.after.seconds";

pub(crate) const SERVICE_LOG_SECONDS: &str = "service_log.purge.after.seconds";

/// The time between two pings of a subscription.
pub const PING_MILLIS: &str = "api.sub.ping.interval.millis";

/// After so many pings a subscription ends.
pub const MAX_PINGS: &str = "api.sub.max.pings";

/// So many events may wait for a subscriber that does not read.
pub const MAX_QUEUED: &str = "subscribe.max.queued.messages";

/// The public ports of a project that says nothing, when nobody chooses one (cattle: `environment.services.port.range`).
pub(crate) const DEFAULT_PORTS: (u16, u16) = (49_153, 65_535);

/// Whether containers that were made by hand get rows.
pub(crate) const NONRANCHER: &str = "manage.nonrancher.containers";

/// By which address others reach this machine; empty: the one that is found.
pub(crate) const HOST_ADDRESS: &str = "drover.host.address";

/// Whether owners get the sockets of their hosts' engines: `on` or `off`.
pub(crate) const DOCKER_SOCKET: &str = "drover.docker.socket";

/// So many characters a password has at least.
pub(crate) const PASSWORD_LENGTH: &str = "api.auth.local.min.length";

/// What the containers of new projects may do to their hosts.
pub(crate) const HOST_POLICY: &str = "host.policy";

/// Tells installations apart.
pub(crate) const INSTALL_UUID: &str = "install.uuid";

/// The registry of images that name none, instead of Docker's own.
pub(crate) const REGISTRY_DEFAULT: &str = "registry.default";

/// The only registries that images may come from, separated by commas.
pub(crate) const REGISTRY_WHITELIST: &str = "registry.whitelist";

/// Whether webhooks may be sent without TLS.
pub(crate) const WEBHOOKS_HTTP: &str = "webhooks.allow.http";

/// Whether webhooks may be sent to this machine and into private networks.
pub(crate) const WEBHOOKS_PRIVATE: &str = "webhooks.allow.private";

/// Whether containers find each other by a name server, where one can run: `on` or `off`.
pub(crate) const NETWORK_SERVICES: &str = "network.services";

pub(crate) const MEMBER_ROLES: &str = "project.set.member.roles";

/// Which roles may change what runs everything else; by default all that change anything else, but `restricted`.
pub(crate) const INFRASTRUCTURE_ROLES: &str = "modify.infrastructure.roles";

/// The settings whose values everybody may read, by name (cattle: `settings.public`).
const PUBLIC: &str = "settings.public";

/// All that are known by name, sorted; the file says its own form.
const TABLE: &str = include_str!("../../../schemas/settings.tsv");

/// A default that names others, which name others: no deeper than this.
const NESTED: usize = 4;

fn settings() -> &'static [Known] {
    static SETTINGS: LazyLock<Vec<Known>> = LazyLock::new(|| TABLE.lines().filter_map(Known::parse).collect());
    &SETTINGS
}

fn known(name: &str) -> Option<&'static Known> {
    let all = settings();
    let at = all.binary_search_by(|known| known.name.cmp(name)).ok()?;
    all.get(at)
}

/// A default with what it names of other settings put in; what is no setting stays as it stands.
fn expanded(text: &str, value_of: &dyn Fn(&str) -> Option<String>, depth: usize) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, (name, after))) = rest
        .split_once("${")
        .and_then(|(before, tail)| Some((before, tail.split_once('}')?)))
    {
        out.push_str(before);
        match value_of(name).filter(|_| depth > 0) {
            Some(value) => out.push_str(&expanded(&value, value_of, depth.saturating_sub(1))),
            None => {
                out.push_str("${");
                out.push_str(name);
                out.push('}');
            }
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Whether a value is a secret: read by services, shown to nobody else.
pub(crate) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["password", "secret", "private.key", "index.pass"]
        .iter()
        .any(|word| name.contains(word))
}

/// Whether the caller sees more than the public settings.
fn sees_all(scope: &Scope) -> bool {
    scope.auth == AuthType::Admin
        || matches!(
            scope.role,
            Role::Superadmin | Role::Service | Role::Admin | Role::ReadAdmin
        )
}

/// 422 for a value that its setting cannot have.
fn check(name: &str, value: Option<&str>) -> Result<()> {
    match (known(name).map(|known| known.form), value) {
        (Some(Form::Fixed), _) => Err(Error::new(ErrorKind::MethodNotAllowed)
            .with_message("this setting says what the server is; it cannot be set")),
        (Some(Form::Count), Some(value)) if value.trim().parse::<u32>().is_err() => {
            Err(Error::invalid("InvalidFormat", "value").with_message("a whole number is needed"))
        }
        (Some(Form::Seconds), Some(value)) if value.trim().parse::<i32>().is_err() => {
            Err(Error::invalid("InvalidFormat", "value").with_message("a whole number is needed"))
        }
        (Some(Form::Address), Some(value)) if !value.is_empty() && value.parse::<std::net::IpAddr>().is_err() => {
            Err(Error::invalid("InvalidFormat", "value").with_message("an IP address is needed"))
        }
        (Some(Form::Switch), Some(value)) if !matches!(value, "true" | "false") => {
            Err(Error::invalid("InvalidOption", "value").with_message("true or false is needed"))
        }
        (Some(Form::OnOff), Some(value)) if !matches!(value, "on" | "off") => {
            Err(Error::invalid("InvalidOption", "value").with_message("on or off is needed"))
        }
        (Some(Form::EnforceOff), Some(value)) if !matches!(value, "enforce" | "off") => {
            Err(Error::invalid("InvalidOption", "value").with_message("enforce or off is needed"))
        }
        (Some(Form::HostPolicy), Some(value)) => match HostPolicy::parse(value) {
            Ok(_) => Ok(()),
            Err(e) => Err(Error::invalid("InvalidFormat", "value")
                .with_message(format!("the JSON of a hostPolicy is needed, or null: {e}"))),
        },
        _ => Ok(()),
    }
}

impl Core {
    /// 403 if others can reach the server and nobody said that it may be open to them.
    pub(crate) fn check_may_be_open(&self) -> Result<()> {
        if self.config.may_be_open {
            return Ok(());
        }
        let why =
            "other machines can reach this server: access control stays on unless it is started with --open-access";
        Err(Error::new(ErrorKind::Forbidden).with_message(why))
    }

    /// A setting as the server itself reads it; `None` if there is no such thing.
    pub(crate) fn setting(&self, name: &str) -> Result<Option<Setting>> {
        let stored = self.store.setting(name)?;
        let value_of = |other: &str| self.store.setting(other).ok().flatten().or_else(|| default_of(other));
        Ok((stored.is_some() || known(name).is_some()).then(|| made(name, stored, &value_of)))
    }

    /// A number that a setting says.
    pub(crate) fn setting_count(&self, name: &str) -> Result<u32> {
        let stored = self.store.setting(name)?.and_then(|value| value.trim().parse().ok());
        let default = || known(name)?.default?.parse().ok();
        stored
            .or_else(default)
            .ok_or_else(|| Error::bug(format!("{name} is no number")))
    }

    /// A number of seconds that a setting says; less than 0 is never.
    pub(crate) fn setting_seconds(&self, name: &str) -> Result<i64> {
        let value = self.setting(name)?.and_then(|setting| setting.active_value);
        let seconds = value.and_then(|value| value.trim().parse().ok());
        seconds.ok_or_else(|| Error::bug(format!("{name} is no number")))
    }

    /// How long a removed row can still be read.
    pub(crate) fn keep_removed(&self) -> Duration {
        self.setting_count(REMOVED_SECONDS)
            .map_or(self.config.keep_removed, |seconds| Duration::from_secs(seconds.into()))
    }

    /// The names of the settings that everybody may read.
    fn public_names(&self) -> Result<BTreeSet<String>> {
        let names = self.setting(PUBLIC)?.and_then(|setting| setting.active_value);
        Ok(names
            .unwrap_or_default()
            .split(',')
            .map(|name| name.trim().to_owned())
            .collect())
    }

    /// All settings that the caller sees: those that have a value or are stored; who sees all sees the original's, too, that have none here.
    pub(crate) fn shown_settings(&self, scope: &Scope) -> Result<Vec<Setting>> {
        let stored: BTreeMap<String, String> = self.store.settings()?.into_iter().collect();
        let public = self.public_names()?;
        let is_all = sees_all(scope);
        let value_of = |name: &str| stored.get(name).cloned().or_else(|| default_of(name));
        let names = settings().iter().map(|known| known.name);
        let names: BTreeSet<&str> = names.chain(stored.keys().map(String::as_str)).collect();
        let shown = names.into_iter().filter_map(|name| {
            let is_public = public.contains(name);
            if !is_all && !is_public {
                return None;
            }
            let setting = Setting {
                is_public,
                ..made(name, stored.get(name).cloned(), &value_of)
            };
            let is_foreign = || known(name).is_some_and(|known| known.form == Form::Foreign);
            (setting.active_value.is_some() || setting.in_db || is_foreign()).then(|| veiled(scope, setting))
        });
        Ok(shown.collect())
    }

    /// One setting as the caller sees it. Who sees them all sees unknown names, too, without a value.
    pub(crate) fn shown_setting(&self, scope: &Scope, name: &str) -> Result<Option<Setting>> {
        let is_public = self.public_names()?.contains(name);
        if !is_public && !sees_all(scope) {
            return Ok(None);
        }
        let setting = self.setting(name)?.unwrap_or_else(|| Setting {
            name: name.to_owned(),
            ..Setting::default()
        });
        Ok(Some(veiled(scope, Setting { is_public, ..setting })))
    }

    /// Stores a value, or goes back to the default. In effect at once.
    pub(crate) async fn write_setting(&self, scope: &Scope, name: &str, value: Option<String>) -> Result<Setting> {
        check(name, value.as_deref())?;
        if name == "api.security.enabled" && !value.as_deref().is_some_and(|v| v.eq_ignore_ascii_case("true")) {
            self.check_may_be_open()?;
        }
        let stored = name.to_owned();
        self.write_for(scope, move |tx| match value {
            Some(value) => tx.set_setting(&stored, &value),
            None => tx.delete_setting(&stored),
        })
        .await?;
        self.shown_setting(scope, name)?.ok_or_else(Error::not_found)
    }
}

fn default_of(name: &str) -> Option<String> {
    known(name)?.default.map(str::to_owned)
}

fn made(name: &str, stored: Option<String>, value_of: &dyn Fn(&str) -> Option<String>) -> Setting {
    let known = known(name);
    let default = known
        .and_then(|known| known.default)
        .map(|default| expanded(default, value_of, NESTED));
    // What the server is cannot be stored; what an earlier version stored does not count.
    let stored = stored.filter(|_| known.is_none_or(|k| k.form != Form::Fixed));
    Setting {
        name: name.to_owned(),
        active_value: stored.clone().or_else(|| default.clone()),
        source: Some(
            if stored.is_some() {
                "Database"
            } else {
                "Code Packaged Defaults"
            }
            .to_owned(),
        ),
        in_db: stored.is_some(),
        is_public: false,
        value: stored.or(default),
    }
}

/// Secrets are for services only.
fn veiled(scope: &Scope, setting: Setting) -> Setting {
    match is_secret(&setting.name) && scope.role != Role::Service {
        true => Setting {
            value: None,
            active_value: None,
            ..setting
        },
        false => setting,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_sorted_and_numbers_are_numbers() {
        assert!(settings().is_sorted_by_key(|known| known.name));
        let lines = TABLE.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(lines, settings().len(), "a line of schemas/settings.tsv is none");
        for known in settings() {
            let is_right = |default: &str| known.form == Form::Fixed || check(known.name, Some(default)).is_ok();
            assert!(known.default.is_none_or(is_right), "{}", known.name);
            // Who may not see it must not learn it from the table either.
            assert!(
                !is_secret(known.name) || known.default.is_none_or(str::is_empty),
                "{}",
                known.name
            );
        }
        let value_of = |name: &str| match name {
            "a" => Some("1${b}".to_owned()),
            "b" => Some("2".to_owned()),
            "loop" => Some("${loop}".to_owned()),
            _ => None,
        };
        assert_eq!(expanded("x${a}y${c}${", &value_of, NESTED), "x12y${c}${");
        assert_eq!(expanded("${loop}", &value_of, NESTED), "${loop}");
        assert!(
            check(AUDIT_ROWS, Some("-1")).is_err()
                && check(AUDIT_ROWS, Some("x")).is_err()
                && check("my.own", Some("x")).is_ok()
        );
        assert!(check("drover.version", None).is_err());
        assert!(is_secret("api.auth.ldap.service.account.password") && is_secret("api.github.client.secret"));
    }
}
