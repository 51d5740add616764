//! Name servers: one container for each project and engine, which is nobody's row. It answers names and metadata from a
//! table that it is fed.

use async_trait::async_trait;

use super::Result;
use crate::model::network_table::{Answer, Feed, Table};

/// What a project's name server is to be.
#[derive(Debug, Clone)]
pub struct NameServerSpec {
    /// The project's uuid: the label by which it is found again.
    pub project_uuid: String,
    /// What people find it by, with more behind it.
    pub name: String,
    /// The engine's id of the project's network.
    pub network_id: String,
    /// Its address there, which its clients are told when they are made.
    pub address: String,
    /// What it answers from before it is fed.
    pub table: Table,
}

/// A name server as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameServerFound {
    /// The project.
    pub project_uuid: String,
    /// Its address, if it was given one.
    pub address: Option<String>,
}

/// A way to a name server that stays open. Closed when it is dropped.
#[async_trait]
pub trait NameFeed: Send {
    /// Sends what is new and takes the answer.
    ///
    /// # Errors
    /// The way is broken, or nothing came back: open another one.
    async fn send(&mut self, news: &Feed) -> Result<Answer>;
    /// Whether nothing will come by it any more.
    fn is_broken(&self) -> bool;
}
