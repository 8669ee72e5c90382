//! The archive: an OCI layout that `docker load` reads as well.
//!
//! A function of its inputs alone: no times, no owners, a fixed order. The layer is not compressed, so that its digest
//! does not depend on a compressor; registries and runtimes compress on their own.

use anyhow::Context as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Nobody, in distributions and in images without users.
const USER: &str = "65532:65532";

/// What an image holds, and how it is started.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    /// Name and tag.
    pub name: &'a str,
    /// What the program runs on.
    pub architecture: &'a str,
    /// Where the program lies.
    pub path: &'a str,
    /// The program.
    pub program: &'a [u8],
    /// Variables, `NAME=VALUE`.
    pub env: &'a [String],
    /// Ports that the program listens on.
    pub ports: &'a [u16],
}

/// An archive and the digest that runtimes show for its image.
#[derive(Debug)]
pub struct Archive {
    /// The archive.
    pub bytes: Vec<u8>,
    /// Of the manifest.
    pub digest: String,
}

/// Files of the archive, as they are put together.
struct Layout {
    tar: tar::Builder<Vec<u8>>,
}

impl Archive {
    /// The archive of an image.
    pub fn new(image: &Image<'_>) -> anyhow::Result<Self> {
        let mut layout = Layout {
            tar: tar::Builder::new(Vec::new()),
        };
        let layer = layer(image)?;
        let layer = layout.blob("application/vnd.oci.image.layer.v1.tar", &layer)?;
        let config = config(image, &layer).to_string();
        let config = layout.blob("application/vnd.oci.image.config.v1+json", config.as_bytes())?;
        let engine = json!([{
            "Config": blob_path(&config), "RepoTags": [image.name], "Layers": [blob_path(&layer)],
        }]);
        let manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config, "layers": [layer],
        });
        let mut manifest = layout.blob(
            "application/vnd.oci.image.manifest.v1+json",
            manifest.to_string().as_bytes(),
        )?;
        let digest = manifest["digest"].as_str().unwrap_or_default().to_owned();
        let tag = image.name.rsplit(':').next().unwrap_or_default();
        // containerd takes the name from the first, everybody else from the second.
        manifest["annotations"] =
            json!({ "io.containerd.image.name": image.name, "org.opencontainers.image.ref.name": tag });
        let index = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [manifest],
        });
        layout.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#, 0o644)?;
        layout.file("index.json", index.to_string().as_bytes(), 0o644)?;
        layout.file("manifest.json", engine.to_string().as_bytes(), 0o644)?;
        Ok(Self {
            bytes: layout.finish()?,
            digest,
        })
    }
}

/// The program, and the folders above it.
fn layer(image: &Image<'_>) -> anyhow::Result<Vec<u8>> {
    let mut layout = Layout {
        tar: tar::Builder::new(Vec::new()),
    };
    let path = image.path.trim_start_matches('/');
    for (end, _) in path.match_indices('/') {
        layout.folder(&path[..=end])?;
    }
    layout.file(path, image.program, 0o755)?;
    layout.finish()
}

fn config(image: &Image<'_>, layer: &Value) -> Value {
    let ports: serde_json::Map<_, _> = image
        .ports
        .iter()
        .map(|port| (format!("{port}/tcp"), json!({})))
        .collect();
    json!({
        "architecture": image.architecture,
        "os": "linux",
        "config": { "Entrypoint": [image.path], "User": USER, "Env": image.env, "ExposedPorts": ports },
        "rootfs": { "type": "layers", "diff_ids": [layer["digest"]] },
    })
}

fn blob_path(descriptor: &Value) -> String {
    let digest = descriptor["digest"].as_str().unwrap_or_default();
    format!("blobs/{}", digest.replace(':', "/"))
}

// === impl Layout ===

impl Layout {
    /// Adds a file under the digest of its content, and describes it.
    fn blob(&mut self, media_type: &str, content: &[u8]) -> anyhow::Result<Value> {
        use std::fmt::Write as _;
        let mut digest = "sha256:".to_owned();
        for byte in Sha256::digest(content) {
            write!(digest, "{byte:02x}")?;
        }
        let descriptor = json!({ "mediaType": media_type, "digest": digest, "size": content.len() });
        self.file(&blob_path(&descriptor), content, 0o644)?;
        Ok(descriptor)
    }

    fn file(&mut self, path: &str, content: &[u8], mode: u32) -> anyhow::Result<()> {
        self.entry(path, tar::EntryType::Regular, content, mode)
    }

    fn folder(&mut self, path: &str) -> anyhow::Result<()> {
        self.entry(path, tar::EntryType::Directory, &[], 0o755)
    }

    fn entry(&mut self, path: &str, kind: tar::EntryType, content: &[u8], mode: u32) -> anyhow::Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        self.tar
            .append_data(&mut header, path, content)
            .with_context(|| format!("can not pack {path}"))
    }

    fn finish(self) -> anyhow::Result<Vec<u8>> {
        self.tar.into_inner().context("can not end the archive")
    }
}

#[cfg(test)]
mod tests;
