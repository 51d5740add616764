//! Balancers of a simulated engine: containers that balance nothing. If tests ask for it, one takes in what it is fed, and shows it.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::{Shared, Sim, SimWorld};
use crate::model::balancer_table::{Answer, Feed, Standing, Table};
use crate::runtime::{BalancerFeed, Error, Life, Result};

/// The balancers of a simulated engine.
#[derive(Default)]
pub(super) struct Balancers {
    pub(super) are_possible: bool,
    tables: BTreeMap<String, Table>,
    /// What each says that it cannot do.
    complaint: Option<String>,
    /// How many connections each server has that is on its way out.
    connections: u64,
    /// They do not answer.
    are_deaf: bool,
}

impl Sim {
    /// Lets its balancers be fed, as those of a Docker Engine are.
    pub fn allow_balancers(&self) {
        self.shared.lock().balancers.are_possible = true;
    }

    /// What a balancer goes by, by its container's uuid.
    pub fn balancer_table(&self, uuid: &str) -> Option<Table> {
        self.shared.lock().balancers.tables.get(uuid).cloned()
    }

    /// From now on balancers say that they cannot go by what they are told, for this reason; or can again.
    pub fn complain_of_balancers(&self, why: Option<&str>) {
        self.shared.lock().balancers.complaint = why.map(str::to_owned);
    }

    /// From now on servers on their way out have so many connections.
    pub fn set_draining_connections(&self, count: u64) {
        self.shared.lock().balancers.connections = count;
    }

    /// From now on balancers do not answer; or do again.
    pub fn deafen_balancers(&self, are_deaf: bool) {
        self.shared.lock().balancers.are_deaf = are_deaf;
    }
}

pub(super) fn open(shared: &Arc<Shared>, world: &SimWorld, uuid: &str) -> Result<Box<dyn BalancerFeed>> {
    let is_up = |world: &SimWorld| {
        let all = world.state.all();
        all.iter()
            .any(|found| found.uuid == uuid && found.life == Life::Running)
    };
    if world.balancers.are_deaf || !is_up(world) {
        return Err(Error::Gone("the balancer does not run".to_owned()));
    }
    Ok(Box::new(Way {
        shared: Arc::clone(shared),
        uuid: uuid.to_owned(),
    }))
}

struct Way {
    shared: Arc<Shared>,
    uuid: String,
}

#[async_trait]
impl BalancerFeed for Way {
    async fn send(&mut self, news: &Feed) -> Result<Answer> {
        let mut world = self.shared.lock();
        if world.is_silent() || world.balancers.are_deaf {
            return Err(Error::Unreachable("the way to the balancer is cut".to_owned()));
        }
        let balancers = &mut world.balancers;
        if let Feed::Table(table) = news {
            balancers.tables.insert(self.uuid.clone(), Table::clone(table));
        }
        let table = balancers.tables.get(&self.uuid).cloned().unwrap_or_default();
        let rules = table.listeners.iter().flat_map(|listener| &listener.rules);
        let leaving = rules
            .flat_map(|rule| &rule.targets)
            .filter(|(_, target)| target.is_draining);
        Ok(Answer::Stands(Standing {
            number: table.number,
            complaint: balancers.complaint.clone(),
            draining: leaving.map(|(id, _)| (id.clone(), balancers.connections)).collect(),
        }))
    }
}
