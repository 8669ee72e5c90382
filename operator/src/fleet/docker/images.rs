//! Images: there, or pulled, once for all members that wait for one.

use std::collections::HashMap;

use bollard::models::{CreateImageInfo, ImageInspect};
use futures_util::StreamExt as _;
use tokio::sync::{Mutex, watch};

use super::{
    Error,
    container::{Image, Pull},
    engine::Engine,
};

/// How far a pull has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pulling {
    /// The image.
    pub image: String,
    /// Bytes that have arrived.
    pub done: u64,
    /// Bytes of the layers that are known so far.
    pub total: u64,
}

/// Pulls one image at a time.
#[derive(Debug)]
pub(super) struct Images {
    one_at_a_time: Mutex<()>,
    pulling: watch::Sender<Option<Pulling>>,
}

impl Images {
    /// Tells `pulling` how far it has come.
    pub fn new(pulling: watch::Sender<Option<Pulling>>) -> Self {
        Self {
            one_at_a_time: Mutex::default(),
            pulling,
        }
    }

    /// How far the pull that runs has come, for a message.
    pub fn progress(&self, image: &str) -> Option<String> {
        let pulling = self.pulling.borrow();
        let Pulling { done, total, .. } = pulling.as_ref().filter(|pulling| pulling.image == image)?;
        let percent = done.saturating_mul(100).checked_div(*total).unwrap_or(0);
        Some(format!("image {image} is being pulled: {percent} %"))
    }

    /// Returns when the engine has the image.
    pub async fn ensure(&self, engine: &Engine, image: &Image) -> Result<(), Error> {
        let found = match engine.image(&image.name).await {
            Ok(found) if image.pull != Pull::Always => found,
            Ok(_) => self.pull(engine, image, true).await?,
            Err(error) if !error.is_missing() => return Err(error),
            Err(_) if image.pull == Pull::Never => return Err(refused(image, "imagePullPolicy is Never")),
            Err(_) => self.pull(engine, image, false).await?,
        };
        if image.rootless && runs_as_root(&found) {
            return Err(Error::Root {
                image: image.name.clone(),
            });
        }
        Ok(())
    }

    async fn pull(&self, engine: &Engine, image: &Image, anew: bool) -> Result<ImageInspect, Error> {
        let _turn = self.one_at_a_time.lock().await;
        // It may have come while we waited for our turn.
        if !anew && let Ok(found) = engine.image(&image.name).await {
            return Ok(found);
        }
        tracing::info!(image = image.name, "image is pulled");
        let pulled = self.follow(engine, image).await;
        self.pulling.send_replace(None);
        pulled.map_err(|error| match error {
            away @ Error::Away { .. } => away,
            Error::Refused { why, .. } | Error::Conflict { why, .. } => refused(image, &why),
            Error::Missing { .. } => refused(image, "no registry has it"),
            other => other,
        })?;
        engine.image(&image.name).await
    }

    async fn follow(&self, engine: &Engine, image: &Image) -> Result<(), Error> {
        let mut layers = HashMap::new();
        let mut said = engine.pull(&image.name);
        while let Some(said) = said.next().await {
            count(&mut layers, &said?);
            let done = layers.values().map(|(done, _)| done).sum();
            let total = layers.values().map(|(_, total)| total).sum();
            self.pulling.send_replace(Some(Pulling {
                image: image.name.clone(),
                done,
                total,
            }));
        }
        Ok(())
    }
}

/// Bytes of each layer, as they are downloaded: those that are unpacked are counted already.
fn count(layers: &mut HashMap<String, (u64, u64)>, said: &CreateImageInfo) {
    let (Some(layer), Some(status)) = (&said.id, said.status.as_deref()) else {
        return;
    };
    let number = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok());
    match status {
        "Downloading" => {
            let detail = said.progress_detail.as_ref();
            let done = detail.and_then(|detail| number(detail.current));
            let total = detail.and_then(|detail| number(detail.total));
            if let (Some(done), Some(total)) = (done, total) {
                layers.insert(layer.clone(), (done, total));
            }
        }
        "Download complete" | "Pull complete" => {
            if let Some((done, total)) = layers.get_mut(layer) {
                *done = *total;
            }
        }
        _ => {}
    }
}

fn runs_as_root(image: &ImageInspect) -> bool {
    let user = image
        .config
        .as_ref()
        .and_then(|config| config.user.as_deref())
        .unwrap_or_default();
    matches!(user.split(':').next(), None | Some("" | "0" | "root"))
}

fn refused(image: &Image, why: &str) -> Error {
    Error::Image {
        image: image.name.clone(),
        why: why.trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::ProgressDetail;

    use super::*;

    #[test]
    fn bytes_count_once_however_often_a_layer_is_mentioned() {
        let mut layers = HashMap::new();
        let said = |layer: &str, status: &str, bytes: Option<(i64, i64)>| CreateImageInfo {
            id: Some(layer.to_owned()),
            status: Some(status.to_owned()),
            progress_detail: bytes.map(|(current, total)| ProgressDetail {
                current: Some(current),
                total: Some(total),
            }),
            ..CreateImageInfo::default()
        };
        for said in [
            said("a", "Pulling fs layer", None),
            said("a", "Downloading", Some((10, 100))),
            said("b", "Downloading", Some((5, 50))),
            said("a", "Download complete", None),
            said("a", "Extracting", Some((1, 100))),
        ] {
            count(&mut layers, &said);
        }
        assert_eq!(
            layers,
            HashMap::from([("a".to_owned(), (100, 100)), ("b".to_owned(), (5, 50))])
        );
    }
}
