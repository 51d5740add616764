//! What simulated containers and their machine use: nothing, once a second.

use std::time::Duration;

use futures_util::{StreamExt, stream};

use super::Sim;
use super::streams::gone;
use crate::runtime::Result;
use crate::runtime::stats::{Memory, Network, Sample, Samples};

/// Between two looks, as Docker has it.
const BEAT: Duration = Duration::from_secs(1);

impl Sim {
    pub(super) fn stats_of(&self, uuid: &str) -> Result<Samples> {
        let world = self.enter("stats", Some(uuid))?;
        world.state.get(uuid).ok_or_else(|| gone(uuid))?;
        drop(world);
        let looks = stream::unfold(tokio::time::interval(BEAT), |mut beats| async move {
            beats.tick().await;
            Some((Ok(idle()), beats))
        });
        Ok(looks.take_until(self.ends::<()>(uuid.to_owned())).boxed())
    }
}

/// Of a machine that does nothing.
pub(super) fn idle() -> Sample {
    Sample {
        memory: Memory {
            usage: 0,
            limit: super::MEMORY_BYTES.unsigned_abs(),
        },
        network: Network::of(Vec::new()),
        ..Sample::default()
    }
}
