//! Writes an OCI image layout as one tar file: the same input gives the same bytes, so the same digest.
//!
//! OCI image-spec 1.1 (image-layout.md, manifest.md, config.md). Layers are plain tar: compressing would make the
//! digest depend on a compressor's version, and the file never crosses a network.

use std::collections::BTreeMap;

use serde_json::json;

use crate::image::{architecture, sha256_hex};

/// What an entry of a layer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A regular file with these bytes.
    File(Vec<u8>),
    /// A symbolic link to this target.
    Link(String),
    /// A directory.
    Directory,
}

/// One entry of a layer, owned by root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Path inside the image, without a leading slash.
    pub path: String,
    /// Permission bits, `0o755`.
    pub mode: u32,
    /// What it is.
    pub content: Content,
}

/// What the image runs, and as whom: the part of an OCI config that we use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// `Entrypoint`.
    pub entrypoint: Vec<String>,
    /// `Cmd`.
    pub cmd: Vec<String>,
    /// `Env`, each `NAME=value`.
    pub env: Vec<String>,
    /// `WorkingDir`; empty means `/`.
    pub working_dir: String,
    /// `User`; empty means root.
    pub user: String,
    /// `ExposedPorts`, each `8080/tcp`.
    pub exposed_ports: Vec<String>,
}

/// An image to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSpec {
    /// Full references it will be known by: `localhost/pause:3.10`. A bare name such as `demo` would not be found
    /// again, because container runtimes expand it to `docker.io/library/demo:latest`.
    pub references: Vec<String>,
    /// Layers, lowest first.
    pub layers: Vec<Vec<Entry>>,
    /// How it runs.
    pub config: ImageConfig,
}

/// An entry that no tar can hold.
#[derive(Debug, thiserror::Error)]
#[error("failed to pack image entry {path:?}")]
pub struct PackError {
    path: String,
    #[source]
    source: std::io::Error,
}

/// Returns the image as the bytes of a tar file that `ctr image import`, `docker load` and `skopeo` read.
///
/// # Errors
/// [`PackError`] when a path does not fit into a tar.
pub fn pack(image: &ImageSpec) -> Result<Vec<u8>, PackError> {
    let layers = image.layers.iter().map(|entries| tar_bytes(entries)).collect::<Result<Vec<_>, _>>()?;
    let mut blobs = BTreeMap::new();
    let layer_descriptors: Vec<_> =
        layers.into_iter().map(|layer| add_blob(&mut blobs, "application/vnd.oci.image.layer.v1.tar", layer)).collect();
    let config = config_json(&image.config, &layer_descriptors);
    let config = add_blob(&mut blobs, "application/vnd.oci.image.config.v1+json", config);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config,
        "layers": layer_descriptors,
    });
    let manifest =
        add_blob(&mut blobs, "application/vnd.oci.image.manifest.v1+json", manifest.to_string().into_bytes());
    let manifests: Vec<_> = image.references.iter().map(|reference| named(&manifest, reference)).collect();
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": manifests,
    });

    let mut entries = vec![
        file("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
        file("index.json".to_owned(), index.to_string().into_bytes()),
    ];
    entries.extend(blobs.into_iter().map(|(digest, bytes)| file(format!("blobs/sha256/{digest}"), bytes)));
    tar_bytes(&entries)
}

fn file(path: String, bytes: Vec<u8>) -> Entry {
    Entry { path, mode: 0o644, content: Content::File(bytes) }
}

/// Puts a blob under its digest and returns its descriptor.
fn add_blob(blobs: &mut BTreeMap<String, Vec<u8>>, media_type: &str, bytes: Vec<u8>) -> serde_json::Value {
    let digest = sha256_hex(&bytes);
    let descriptor = json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes.len() });
    blobs.insert(digest, bytes);
    descriptor
}

fn config_json(config: &ImageConfig, layers: &[serde_json::Value]) -> Vec<u8> {
    // A layer is its own uncompressed tar, so its blob digest is its diff id.
    let diff_ids: Vec<_> = layers.iter().map(|layer| layer["digest"].clone()).collect();
    let ports: serde_json::Map<_, _> = config.exposed_ports.iter().map(|port| (port.clone(), json!({}))).collect();
    let history: Vec<_> = layers.iter().map(|_| json!({ "created_by": "km image pack" })).collect();
    json!({
        "architecture": architecture(),
        "os": "linux",
        "config": {
            "Entrypoint": config.entrypoint,
            "Cmd": config.cmd,
            "Env": config.env,
            "WorkingDir": config.working_dir,
            "User": config.user,
            "ExposedPorts": ports,
        },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
        "history": history,
    })
    .to_string()
    .into_bytes()
}

/// Adds to a manifest's descriptor what containerd (`io.containerd.image.name`) and others look for.
fn named(manifest: &serde_json::Value, reference: &str) -> serde_json::Value {
    let tag = reference.rsplit_once(':').map_or("latest", |(_, tag)| tag);
    let mut descriptor = manifest.clone();
    descriptor["platform"] = json!({ "architecture": architecture(), "os": "linux" });
    descriptor["annotations"] =
        json!({ "io.containerd.image.name": reference, "org.opencontainers.image.ref.name": tag });
    descriptor
}

fn tar_bytes(entries: &[Entry]) -> Result<Vec<u8>, PackError> {
    let mut builder = tar::Builder::new(Vec::new());
    for entry in entries {
        append(&mut builder, entry).map_err(|source| PackError { path: entry.path.clone(), source })?;
    }
    builder.into_inner().map_err(|source| PackError { path: String::new(), source })
}

fn append(builder: &mut tar::Builder<Vec<u8>>, entry: &Entry) -> std::io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(entry.mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(0);
    match &entry.content {
        Content::File(bytes) => {
            header.set_entry_type(tar::EntryType::Regular);
            header.set_size(bytes.len() as u64);
            builder.append_data(&mut header, &entry.path, bytes.as_slice())
        }
        Content::Link(target) => {
            header.set_entry_type(tar::EntryType::Symlink);
            builder.append_link(&mut header, &entry.path, target)
        }
        Content::Directory => {
            header.set_entry_type(tar::EntryType::Directory);
            builder.append_data(&mut header, &entry.path, std::io::empty())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::archive;

    fn demo() -> ImageSpec {
        let entries = vec![
            Entry { path: "tmp".to_owned(), mode: 0o1777, content: Content::Directory },
            Entry { path: "demo".to_owned(), mode: 0o755, content: Content::File(b"program".to_vec()) },
            Entry { path: "sh".to_owned(), mode: 0o777, content: Content::Link("demo".to_owned()) },
        ];
        ImageSpec {
            references: vec!["localhost/demo:1".to_owned(), "localhost/demo:latest".to_owned()],
            layers: vec![entries],
            config: ImageConfig { entrypoint: vec!["/demo".to_owned()], ..ImageConfig::default() },
        }
    }

    #[test]
    fn same_image_packs_to_same_bytes() {
        assert_eq!(pack(&demo()).unwrap(), pack(&demo()).unwrap());
    }

    #[test]
    fn every_blob_lies_under_its_digest() {
        let packed = pack(&demo()).unwrap();
        let mut blobs = 0;
        for entry in tar::Archive::new(packed.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
            if let Some(digest) = path.strip_prefix("blobs/sha256/") {
                assert_eq!(digest, sha256_hex(&bytes));
                blobs += 1;
            }
        }
        assert_eq!(blobs, 3, "layer, config and manifest");
    }

    #[test]
    fn packed_image_is_listed_under_all_its_names() {
        let packed = pack(&demo()).unwrap();
        let names = archive::references(packed.as_slice()).unwrap();
        let names: Vec<_> = names.into_iter().map(|image| image.reference).collect();
        assert_eq!(names, ["localhost/demo:1", "localhost/demo:latest"]);
    }
}
