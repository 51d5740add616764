//! Places for servers. HAProxy has so many of them for each set of servers, and who is in which can change while it runs; it
//! begins anew only when they do not suffice.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::routes::{Backend, Routes};

/// Places come in such numbers, so that there are some to spare.
const STEP: usize = 8;

/// Who is in which place, by the name of the servers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slots(pub BTreeMap<String, Vec<Option<String>>>);

impl Slots {
    /// A place for everybody: who has one keeps it, others come to the first that are free. There are never fewer than before.
    #[must_use]
    pub fn fit(&self, routes: &Routes) -> Self {
        let each = routes.backends.iter().map(|(name, backend)| {
            let before = self.0.get(name).map(Vec::as_slice).unwrap_or_default();
            (name.clone(), seat(before, backend))
        });
        Self(each.collect())
    }
}

fn seat(before: &[Option<String>], backend: &Backend) -> Vec<Option<String>> {
    let movable = |id: &String| backend.servers.get(id).is_some_and(|s| !is_named(&s.target.address));
    let mut seats: Vec<Option<String>> = before.iter().map(|id| id.clone().filter(|id| movable(id))).collect();
    let mut new = backend
        .servers
        .keys()
        .filter(|id| movable(id) && !before.contains(&Some((*id).clone())));
    // One that is left rests for as long as there is another: old cookies mean it.
    let (empty, left): (Vec<usize>, Vec<usize>) = (0..seats.len())
        .filter(|n| seats.get(*n).is_some_and(Option::is_none))
        .partition(|n| before.get(*n).is_some_and(Option::is_none));
    for at in empty.into_iter().chain(left) {
        let Some(id) = new.next() else { break };
        if let Some(seat) = seats.get_mut(at) {
            *seat = Some(id.clone());
        }
    }
    seats.extend(new.map(|id| Some(id.clone())));
    let wanted = (seats.len() + 1).next_multiple_of(STEP);
    let enough = seats.len() >= STEP && seats.len() == before.len();
    if !enough {
        seats.resize(wanted, None);
    }
    seats
}

/// Whether it is known by a name, which somebody else has to be asked about: then it has a line of its own.
pub fn is_named(address: &str) -> bool {
    address.parse::<std::net::IpAddr>().is_err()
}
