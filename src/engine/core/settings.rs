//! Settings: what is known of them, and what is stored over that.
//!
//! Any name can be stored, for clients keep their own things here; docs/settings.md says which names do something.

use std::time::Duration;

use crate::model::{Error, ErrorKind, HostPolicy, Result};
use crate::schema::Role;

use super::request::{AuthType, Scope, Setting};
use super::state::Core;

/// One setting that the server or a known client reads.
struct Known {
    name: &'static str,
    /// Empty for none.
    default: &'static str,
    is_public: bool,
    form: Form,
}

/// What a value has to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    /// A whole number from 0 on.
    Count,
    /// An IP address, or nothing.
    Address,
    /// `true` or `false`.
    Switch,
    /// `on` or `off`.
    OnOff,
    /// What projects may do to their hosts, as JSON, or `null`.
    HostPolicy,
    /// Says what this server is: nobody sets it.
    Fixed,
}

const fn text(name: &'static str, default: &'static str) -> Known {
    Known {
        name,
        default,
        is_public: false,
        form: Form::Text,
    }
}

const fn public(name: &'static str, default: &'static str) -> Known {
    Known {
        name,
        default,
        is_public: true,
        form: Form::Text,
    }
}

const fn count(name: &'static str, default: &'static str) -> Known {
    Known {
        name,
        default,
        is_public: false,
        form: Form::Count,
    }
}

const fn fixed(name: &'static str, value: &'static str) -> Known {
    Known {
        name,
        default: value,
        is_public: true,
        form: Form::Fixed,
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

/// Whether containers find each other by a name server, where one can run: `on` or `off`.
pub(crate) const NETWORK_SERVICES: &str = "network.services";

pub(crate) const MEMBER_ROLES: &str = "project.set.member.roles";

/// Which roles may change what runs everything else; by default all that change anything else, but `restricted`.
pub(crate) const INFRASTRUCTURE_ROLES: &str = "modify.infrastructure.roles";

const WITH_INFRASTRUCTURE: &str =
    "admin,agent,agentRegister,environment,member,owner,project,projectadmin,register,service,superadmin,token";

/// Sorted by name. The public ones are Rancher's, as its user interface reads them (cattle: `settings.public`).
const SETTINGS: &[Known] = &[
    // There is no log of accesses, which is what this value says to clients that ask for it.
    Known {
        is_public: false,
        ..fixed("access.log", "/dev/null")
    },
    text("account.by.key.credential.types", "agentApiKey,apiKey,usernamePassword"),
    public("account.version", "2"),
    public("api.auth.jwt.token.expiry", "57600000"),
    text("api.auth.local.access.mode", "unrestricted"),
    text("api.auth.local.allowed.identities", ""),
    count(PASSWORD_LENGTH, "12"),
    public("api.auth.local.validate.description", ""),
    public("api.auth.provider.configured", "none"),
    text(
        "api.auth.realm",
        "Enter API access key and secret key as username and password",
    ),
    text("api.auth.restrict.concurrent.sessions", "false"),
    public("api.auth.shibboleth.redirect.whitelist", ""),
    public("api.host", ""),
    text("api.proxy.allow", "false"),
    public("api.security.enabled", "false"),
    count(MAX_PINGS, "8640"),
    count(PING_MILLIS, "5000"),
    public("api.ui.css.url", ""),
    public("api.ui.index", ""),
    public("api.ui.js.url", ""),
    count(AUDIT_ROWS, "1000000"),
    count(AUDIT_SECONDS, "2592000"),
    // Without one, it is the image that `api::registration` names.
    text("bootstrap.required.image", ""),
    // No catalogs; clients take this apart.
    public("catalog.url", r#"{"catalogs":{}}"#),
    public("cattle.version", ""),
    text("default.schedule.upgrade.delay.minutes", "1440"),
    text("docker.index.server", "index.docker.io"),
    text("docker.index.url", "https://index.docker.io"),
    public("docker.machine.version", ""),
    Known {
        form: Form::Address,
        ..text(HOST_ADDRESS, "")
    },
    // Written once, by the server itself; shown to nobody.
    fixed("drover.key.check", ""),
    fixed("drover.version", env!("CARGO_PKG_VERSION")),
    public(
        "engine.install.url",
        "https://releases.rancher.com/install-docker/19.03.sh",
    ),
    text("environment.services.port.range", "49153-65535"),
    count(EVENT_ROWS, "1000000"),
    count(EVENT_SECONDS, "1209600"),
    public("go.machine.service.version", ""),
    Known {
        form: Form::HostPolicy,
        ..text(HOST_POLICY, "{}")
    },
    // Written once for each database, by the server itself.
    text(INSTALL_UUID, ""),
    public("ipsec.service.enable.healthcheck", "false"),
    public("lb.instance.image", "haproxy:3.0"),
    text("lb.instance.image.uuid", "docker:haproxy:3.0"),
    count(REMOVED_SECONDS, "172800"),
    Known {
        form: Form::Switch,
        ..text(NONRANCHER, "true")
    },
    text(INFRASTRUCTURE_ROLES, WITH_INFRASTRUCTURE),
    Known {
        form: Form::OnOff,
        ..text(NETWORK_SERVICES, "on")
    },
    public("newest.docker.version", "v19.03.2"),
    count(PROCESS_SECONDS, "86400"),
    text("project.create.default", "true"),
    text(MEMBER_ROLES, "owner"),
    public("project.template.default.name", "Cattle"),
    public(
        "rancher.cli.darwin.url",
        "https://releases.rancher.com/cli/v0.6.14/rancher-darwin-amd64-v0.6.14.tar.gz",
    ),
    public(
        "rancher.cli.linux.url",
        "https://releases.rancher.com/cli/v0.6.14/rancher-linux-amd64-v0.6.14.tar.gz",
    ),
    public("rancher.cli.version", "v0.6.14"),
    public(
        "rancher.cli.windows.url",
        "https://releases.rancher.com/cli/v0.6.14/rancher-windows-386-v0.6.14.zip",
    ),
    public(
        "rancher.compose.darwin.url",
        "https://releases.rancher.com/compose/v0.12.5/rancher-compose-darwin-amd64-v0.12.5.tar.gz",
    ),
    public(
        "rancher.compose.linux.url",
        "https://releases.rancher.com/compose/v0.12.5/rancher-compose-linux-amd64-v0.12.5.tar.gz",
    ),
    public("rancher.compose.version", "v0.12.5"),
    public(
        "rancher.compose.windows.url",
        "https://releases.rancher.com/compose/v0.12.5/rancher-compose-windows-386-v0.12.5.zip",
    ),
    public("rancher.server.image", ""),
    // Taken from the settings once, at the start.
    fixed("rancher.server.version", "v1.6.30"),
    text("registration.token.period.millis", "315360000000"),
    text(REGISTRY_DEFAULT, ""),
    text(REGISTRY_WHITELIST, ""),
    count(SERVICE_LOG_SECONDS, "604800"),
    count(MAX_QUEUED, "100"),
    public(
        "supported.docker.range",
        "~v1.12.3 || ~v1.13.0 || ~v17.03.0 || ~v17.06.0 || ~v17.09.0 || ~v17.12.0 || ~v18.03.0 || ~v18.06.0 || ~v18.09.0 || ~v19.03.2",
    ),
    public("swarm.tls.port", ""),
    public("telemetry.opt", ""),
    public("ui.feedback.form", ""),
    public("ui.pl", "rancher"),
    public("ui.show.custom.host", "true"),
    public("ui.show.system", "default_hide"),
    public("vm.enabled", "false"),
];

fn known(name: &str) -> Option<&'static Known> {
    SETTINGS.iter().find(|known| known.name == name)
}

/// Whether a value is a secret: read by services, shown to nobody else.
pub(crate) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["password", "secret", "private.key"]
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
        (Some(Form::Address), Some(value)) if !value.is_empty() && value.parse::<std::net::IpAddr>().is_err() => {
            Err(Error::invalid("InvalidFormat", "value").with_message("an IP address is needed"))
        }
        (Some(Form::Switch), Some(value)) if !matches!(value, "true" | "false") => {
            Err(Error::invalid("InvalidOption", "value").with_message("true or false is needed"))
        }
        (Some(Form::OnOff), Some(value)) if !matches!(value, "on" | "off") => {
            Err(Error::invalid("InvalidOption", "value").with_message("on or off is needed"))
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
        Ok((stored.is_some() || known(name).is_some()).then(|| made(name, stored)))
    }

    /// A number that a setting says.
    pub(crate) fn setting_count(&self, name: &str) -> Result<u32> {
        let stored = self.store.setting(name)?.and_then(|value| value.trim().parse().ok());
        let default = || known(name).and_then(|known| known.default.parse().ok());
        stored
            .or_else(default)
            .ok_or_else(|| Error::bug(format!("{name} is no number")))
    }

    /// How long a removed row can still be read.
    pub(crate) fn keep_removed(&self) -> Duration {
        self.setting_count(REMOVED_SECONDS)
            .map_or(self.config.keep_removed, |seconds| Duration::from_secs(seconds.into()))
    }

    /// All settings that the caller sees, and that have a value or are stored.
    pub(crate) fn shown_settings(&self, scope: &Scope) -> Result<Vec<Setting>> {
        let mut stored: std::collections::BTreeMap<String, String> = self.store.settings()?.into_iter().collect();
        let mut all: Vec<Setting> = SETTINGS
            .iter()
            .map(|known| made(known.name, stored.remove(known.name)))
            .collect();
        all.extend(stored.into_iter().map(|(name, value)| made(&name, Some(value))));
        let is_all = sees_all(scope);
        all.retain(|setting| (is_all || setting.is_public) && (setting.in_db || setting.active_value.is_some()));
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all.into_iter().map(|setting| veiled(scope, setting)).collect())
    }

    /// One setting as the caller sees it. Who sees them all sees unknown names, too, without a value.
    pub(crate) fn shown_setting(&self, scope: &Scope, name: &str) -> Result<Option<Setting>> {
        let setting = self.setting(name)?.unwrap_or_else(|| Setting {
            name: name.to_owned(),
            ..Setting::default()
        });
        Ok(Some(setting)
            .filter(|s| s.is_public || sees_all(scope))
            .map(|s| veiled(scope, s)))
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

fn made(name: &str, stored: Option<String>) -> Setting {
    let known = known(name);
    let default = known.map(|k| k.default.to_owned()).filter(|d| !d.is_empty());
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
        is_public: known.is_some_and(|k| k.is_public),
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
        assert!(SETTINGS.is_sorted_by_key(|known| known.name));
        for known in SETTINGS {
            assert!(
                known.form != Form::Count || check(known.name, Some(known.default)).is_ok(),
                "{}",
                known.name
            );
            assert!(!is_secret(known.name), "{}", known.name);
        }
        assert!(
            check(AUDIT_ROWS, Some("-1")).is_err()
                && check(AUDIT_ROWS, Some("x")).is_err()
                && check("my.own", Some("x")).is_ok()
        );
        assert!(check("drover.version", None).is_err());
        assert!(is_secret("api.auth.ldap.service.account.password") && is_secret("api.github.client.secret"));
    }
}
