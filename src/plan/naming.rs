//! Names and indexes of containers.

use std::collections::BTreeSet;

/// The name of a container: `<stack>-<service>[-<sidekick>]-<index>` with the service's divider.
pub fn instance_name(stack: &str, service: &str, sidekick: Option<&str>, index: u32, divider: char) -> String {
    match sidekick {
        None => format!("{stack}{divider}{service}{divider}{index}"),
        Some(sidekick) => format!("{stack}{divider}{service}{divider}{sidekick}{divider}{index}"),
    }
}

/// The indexes that are not `used`, lowest first, from 1.
pub(super) fn free_indexes(used: &BTreeSet<u32>) -> impl Iterator<Item = u32> + '_ {
    (1..=u32::MAX).filter(|index| !used.contains(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_the_sidekick_before_the_index() {
        assert_eq!(instance_name("shop", "web", None, 3, '-'), "shop-web-3");
        assert_eq!(instance_name("shop", "web", Some("log"), 3, '-'), "shop-web-log-3");
        assert_eq!(instance_name("shop", "web", Some("log"), 3, '_'), "shop_web_log_3");
    }

    #[test]
    fn the_lowest_free_index_comes_first() {
        let used = BTreeSet::from([1, 2, 4]);
        assert_eq!(free_indexes(&used).take(3).collect::<Vec<_>>(), [3, 5, 6]);
    }
}
