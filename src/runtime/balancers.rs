//! Balancers: containers that have a row, like any other, and a program beside their own that keeps them as they are to be.

use async_trait::async_trait;

use super::Result;
use crate::model::balancer_table::{Answer, Feed};

/// A file that is in a container before it starts for the first time; its folder, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSpec {
    /// Absolute.
    pub path: String,
    /// User and group of both.
    pub owner: u32,
    /// What is in it.
    pub text: String,
}

/// A way to a balancer that stays open. Closed when it is dropped.
#[async_trait]
pub trait BalancerFeed: Send {
    /// Sends what is new and takes the answer.
    ///
    /// # Errors
    /// The way is broken, or nothing came back: open another one.
    async fn send(&mut self, news: &Feed) -> Result<Answer>;
}
