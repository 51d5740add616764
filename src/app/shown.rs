//! The certificate that is shown now: when its files change, the next handshake shows what they hold then.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificates::Files;

/// The files are looked at so often at most.
const REST: Duration = Duration::from_secs(1);

/// A certificate that follows its files, if it has any.
#[derive(Debug)]
pub struct Shown {
    files: Option<Files>,
    now: Mutex<Now>,
}

#[derive(Debug)]
struct Now {
    key: Arc<CertifiedKey>,
    stamp: Option<[(SystemTime, u64); 2]>,
    looked: Instant,
}

impl Shown {
    /// This one, until its files hold another.
    pub fn new(key: CertifiedKey, files: Option<Files>) -> Self {
        let now = Now {
            key: Arc::new(key),
            stamp: files.as_ref().and_then(Files::stamp),
            looked: Instant::now(),
        };
        Self {
            files,
            now: Mutex::new(now),
        }
    }

    /// The one to show. What cannot be used is said once, and the last good one stays.
    fn current(&self) -> Arc<CertifiedKey> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(files) = &self.files
            && now.looked.elapsed() >= REST
        {
            now.looked = Instant::now();
            let stamp = files.stamp();
            if stamp.is_some() && stamp != now.stamp {
                now.stamp = stamp;
                match files.read().and_then(|pair| pair.certified()) {
                    Ok(key) => {
                        log::info!("the certificate was read again");
                        now.key = Arc::new(key);
                    }
                    Err(failure) => log::warn!("the certificate stays as it was: {failure}"),
                }
            }
        }
        now.key.clone()
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}
