//! Places that run out: so many for one client, so many in all. Whoever finds none is turned away, and nobody else notices.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Places of one kind.
#[derive(Debug)]
pub struct Places {
    each: usize,
    all: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_client: HashMap<IpAddr, usize>,
}

/// A place that is taken, until it is dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    client: IpAddr,
}

impl Places {
    /// At most `each` for one client, and `all` together.
    pub fn new(each: usize, all: usize) -> Arc<Self> {
        Arc::new(Self {
            each,
            all,
            taken: Mutex::default(),
        })
    }

    /// A place for a client; none if there is none left.
    pub fn take(self: &Arc<Self>, client: IpAddr) -> Option<Place> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.all >= self.all {
            return None;
        }
        let own = taken.by_client.entry(client).or_default();
        if *own >= self.each {
            return None;
        }
        *own += 1;
        taken.all += 1;
        Some(Place {
            places: self.clone(),
            client,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all = taken.all.saturating_sub(1);
        if let Some(own) = taken.by_client.get_mut(&self.client) {
            *own -= 1;
            if *own == 0 {
                taken.by_client.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_cannot_take_the_places_of_all() {
        let places = Places::new(2, 3);
        let (a, b) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let held: Vec<_> = (0..5).filter_map(|_| places.take(a)).collect();
        assert_eq!(held.len(), 2);
        let other = places.take(b);
        assert!(other.is_some() && places.take(b).is_none());
        drop(held);
        assert!(places.take(b).is_some());
        drop(other);
        let taken = places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(taken.all == 0 && taken.by_client.is_empty());
    }
}
