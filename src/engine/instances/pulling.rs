//! Making an image present, and saying how far that is.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::engine::core::{Core, fenced};
use crate::model::Resource;
use crate::model::launch::{LABEL_PULL_IMAGE, LaunchConfig, image_reference, is_sim_image};
use crate::runtime::{self, PullPolicy, Runtime};
use crate::store::{Changes, Process};

/// A pull that is over so soon says nothing: the image was there.
const QUICK_PULL_MS: i64 = 200;

impl Core {
    /// Makes the image present; progress becomes the message, once a second at most, and never of a pull that is over
    /// before anybody could read it.
    pub(super) async fn pull(
        &self,
        process: &Process,
        row: &Resource,
        launch: &LaunchConfig,
        runtime: &dyn Runtime,
    ) -> runtime::Result<()> {
        let image = image_reference(launch.image_uuid.as_deref().unwrap_or_default()).to_owned();
        let policy = if launch.label(LABEL_PULL_IMAGE) == Some("always") {
            PullPolicy::Always
        } else {
            PullPolicy::IfAbsent
        };
        let auth = self
            .registry_auth(row, &image)
            .map_err(|e| runtime::Error::Failed(e.to_string()))?;
        let last = AtomicI64::new(self.now().0 - 1_000 + QUICK_PULL_MS);
        let (sender, mut progress) = tokio::sync::mpsc::unbounded_channel::<String>();
        let clock = self.clock.clone();
        let report = move |sentence: String| {
            let now = clock.now().0;
            if now - last.load(Ordering::Relaxed) >= 1_000 {
                last.store(now, Ordering::Relaxed);
                // Nobody listens any more once the pull has ended.
                let _ = sender.send(sentence);
            }
        };
        let (process_id, row_id) = (process.id, row.id);
        // What is simulated is not built: any image is there.
        let is_real = !is_sim_image(launch.image_uuid.as_deref().unwrap_or_default());
        let built = launch.build.as_ref().filter(|_| is_real);
        let pulling = async {
            let result = match built {
                Some(build) => {
                    runtime
                        .build(&image, build, policy == PullPolicy::Always, &report)
                        .await
                }
                None => runtime.pull(&image, policy, auth.as_ref(), &report).await,
            };
            drop(report);
            result
        };
        let telling = async {
            while let Some(message) = progress.recv().await {
                let told = self
                    .write(move |tx| {
                        let Some(row) = fenced(tx, process_id, row_id)? else {
                            return Ok(());
                        };
                        tx.update_if(
                            &row,
                            &Changes {
                                message: Some(message),
                                ..Changes::default()
                            },
                        )?;
                        Ok(())
                    })
                    .await;
                if let Err(error) = told {
                    log::debug!("progress of {row_id} not written: {}", error.chain());
                }
            }
        };
        let (result, ()) = tokio::join!(pulling, telling);
        result
    }
}
