//! Name servers: one container for each project and engine, which is nobody's row. It answers names and metadata from a
//! table that it is fed.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::Result;
use crate::model::network_table::{Answer, Feed, Table};

/// What a name server answers from before it is fed. It is made when one is made: most are there.
#[derive(Clone)]
pub struct FirstTable(Arc<dyn Fn() -> Result<Table> + Send + Sync>);

impl FirstTable {
    /// A table that is made by this.
    pub fn new(make: impl Fn() -> Result<Table> + Send + Sync + 'static) -> Self {
        Self(Arc::new(make))
    }

    /// Makes it. Of a large project that takes a while.
    ///
    /// # Errors
    /// What it is made of cannot be read.
    pub fn make(&self) -> Result<Table> {
        (self.0)()
    }
}

impl fmt::Debug for FirstTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FirstTable")
    }
}

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
    pub table: FirstTable,
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
