//! How an engine is reached that was named while the server runs.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Result, Runtime};

/// Where an engine is, and what proves who asks.
#[derive(Clone)]
pub struct EngineAddress {
    /// `unix:///path`, `tcp://host:port` or `https://host:port`.
    pub url: String,
    /// For TLS.
    pub tls: Option<TlsTexts>,
}

/// What both ends of a TLS connection are known by, as PEM. It is never printed: the key is in it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsTexts {
    /// Who signed the engine's certificate.
    pub ca: String,
    /// The server's own certificate.
    pub cert: String,
    /// Its key.
    pub key: String,
}

/// Makes what drives the engine at an address for the server with this uuid. Nothing is asked of the engine yet.
pub type ConnectEngine = dyn Fn(&EngineAddress, &str) -> Result<Arc<dyn Runtime>> + Send + Sync;
