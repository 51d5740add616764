//! Health of a service and of a stack, rolled up (cattle: `ServiceUtil`, `StackUtil`).

use super::*;

/// One instance of a service, as far as the service's health goes. Parked ones are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// What its row says.
    pub state: InstanceState,
    /// Its `healthState`; none counts as healthy.
    pub health: Health,
    /// Whether it is to run only once.
    pub is_start_once: bool,
    /// How often it was started.
    pub start_count: i64,
    /// Whether its host is active; only global services ask.
    pub is_on_active_host: bool,
}

/// The `healthState` of a service: `healthy`, `unhealthy`, `degraded`, `initializing` or `started-once`.
///
/// `scale` is the minimum where there is a scale policy, and 0 units for kinds without containers; `configs` is how
/// many launch configurations a unit has.
pub fn service_health(scale: Scale, configs: usize, members: impl IntoIterator<Item = Member>) -> &'static str {
    let (mut started_once, mut running_well, mut initializing, mut on_active_hosts) =
        (0_usize, 0_usize, 0_usize, 0_usize);
    for member in members {
        if matches!(member.state, InstanceState::Broken | InstanceState::Removing) {
            continue;
        }
        on_active_hosts += usize::from(member.is_on_active_host);
        match (member.state, member.health) {
            (InstanceState::Running, Health::None | Health::Healthy) => running_well += 1,
            (InstanceState::Running, Health::Initializing) => initializing += 1,
            (InstanceState::Stopped | InstanceState::Stopping, _)
                if member.is_start_once && member.start_count >= 1 =>
            {
                started_once += 1
            }
            _ => {}
        }
    }
    let (expected, at_least) = match scale {
        Scale::Units(units) => (usize::try_from(units).unwrap_or(usize::MAX).saturating_mul(configs), 0),
        Scale::Global => (on_active_hosts, 1),
    };
    let healthy = running_well + started_once;
    if started_once > 0 && started_once >= expected {
        "started-once"
    } else if healthy >= expected && expected >= at_least {
        "healthy"
    } else if initializing > 0 {
        "initializing"
    } else if healthy > 0 {
        "degraded"
    } else {
        "unhealthy"
    }
}

/// The `healthState` of a stack from its not removed services: whether each is active-like, and its health. The
/// same words as for a service; a project rolls up its stacks the same way.
pub fn stack_health<'a>(services: impl IntoIterator<Item = (bool, &'a str)>) -> &'static str {
    let (mut all, mut healthy, mut started_once, mut initializing) = (0_usize, 0_usize, 0_usize, 0_usize);
    for (is_active_like, health) in services {
        all += 1;
        healthy += usize::from(is_active_like && matches!(health, "healthy" | "started-once"));
        started_once += usize::from(is_active_like && health == "started-once");
        initializing += usize::from(health == "initializing");
    }
    if all > 0 && started_once == all {
        "started-once"
    } else if healthy == all {
        "healthy"
    } else if initializing > 0 {
        "initializing"
    } else if healthy > 0 {
        "degraded"
    } else {
        "unhealthy"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(word: &str) -> Member {
        let plain = Member {
            state: InstanceState::Running,
            health: Health::None,
            is_start_once: false,
            start_count: 1,
            is_on_active_host: true,
        };
        match word {
            "up" => plain,
            "elsewhere" => Member {
                is_on_active_host: false,
                ..plain
            },
            "well" => Member {
                health: Health::Healthy,
                ..plain
            },
            "init" => Member {
                health: Health::Initializing,
                ..plain
            },
            "ill" => Member {
                health: Health::Unhealthy,
                ..plain
            },
            "broken" => Member {
                state: InstanceState::Broken,
                health: Health::Healthy,
                ..plain
            },
            "stopped" => Member {
                state: InstanceState::Stopped,
                ..plain
            },
            "once" => Member {
                state: InstanceState::Stopped,
                is_start_once: true,
                ..plain
            },
            "never" => Member {
                state: InstanceState::Stopped,
                is_start_once: true,
                start_count: 0,
                ..plain
            },
            other => unreachable!("no member {other}"),
        }
    }

    #[test]
    fn a_service_is_as_healthy_as_its_instances() {
        for (scale, configs, words, expected) in [
            (Scale::Units(2), 1, "up well", "healthy"),
            (Scale::Units(2), 1, "up init", "initializing"),
            (Scale::Units(2), 1, "up ill", "degraded"),
            (Scale::Units(2), 1, "up broken", "degraded"),
            (Scale::Units(2), 1, "ill broken", "unhealthy"),
            (Scale::Units(1), 2, "up", "degraded"),
            (Scale::Units(1), 2, "up up", "healthy"),
            (Scale::Units(1), 1, "stopped", "unhealthy"),
            (Scale::Units(1), 1, "", "unhealthy"),
            (Scale::Units(0), 1, "", "healthy"),
            (Scale::Units(5), 0, "", "healthy"),
            (Scale::Units(1), 1, "once", "started-once"),
            (Scale::Units(2), 1, "once up", "healthy"),
            (Scale::Units(1), 1, "never", "unhealthy"),
            (Scale::Global, 1, "up up", "healthy"),
            (Scale::Global, 1, "", "unhealthy"),
            (Scale::Global, 1, "elsewhere", "degraded"),
        ] {
            let members = words.split_whitespace().map(member);
            assert_eq!(
                service_health(scale, configs, members),
                expected,
                "{scale:?} x{configs}: {words}"
            );
        }
    }

    #[test]
    fn a_stack_is_as_healthy_as_its_services() {
        for (services, expected) in [
            (&[][..], "healthy"),
            (&[(true, "healthy"), (true, "started-once")], "healthy"),
            (&[(true, "started-once")], "started-once"),
            (&[(true, "healthy"), (false, "healthy")], "degraded"),
            (&[(true, "healthy"), (true, "initializing")], "initializing"),
            (&[(true, "degraded")], "unhealthy"),
            (&[(true, "degraded"), (true, "healthy")], "degraded"),
        ] {
            assert_eq!(stack_health(services.iter().copied()), expected, "{services:?}");
        }
    }
}
