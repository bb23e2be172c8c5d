//! Reads which images a tar file holds: an OCI layout (ours, `skopeo`, `buildah`) or the output of `docker save`.
//!
//! Only names and digests; the layers are containerd's to unpack.

use std::io::Read;

use serde::Deserialize;

/// An image in a tar file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedImage {
    /// The name it will have; as it stands in the file, so possibly only a tag (`org.opencontainers.image.ref.name`).
    pub reference: String,
    /// The manifest's digest (OCI), or the config's file name (docker), which names it as well.
    pub digest: String,
}

/// A file that is not an image archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The tar is broken or cannot be read.
    #[error("failed to read image archive")]
    Read(#[source] std::io::Error),
    /// `index.json` or `manifest.json` is not what it should be.
    #[error("failed to parse {file} in image archive")]
    Parse {
        /// Which of the two.
        file: &'static str,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// Neither file is there.
    #[error("not an image archive: it has neither index.json (OCI layout) nor manifest.json (docker save)")]
    NotAnImage,
    /// The archive has images, none of them with a name.
    #[error("image archive names no image: pack it with a reference, such as localhost/app:1")]
    Nameless,
}

/// The most that an index may hold, so that a hostile file cannot fill the memory.
const INDEX_BYTES_MAX: u64 = 4 << 20;

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
}

/// Returns the images of a tar file in its order.
///
/// # Errors
/// [`ArchiveError`]; a file with images but without a name is refused, because nothing could refer to them.
pub fn references(archive: impl Read) -> Result<Vec<ArchivedImage>, ArchiveError> {
    let (mut index, mut docker) = (None, None);
    for entry in tar::Archive::new(archive).entries().map_err(ArchiveError::Read)? {
        let mut entry = entry.map_err(ArchiveError::Read)?;
        let path = entry.path().map_err(ArchiveError::Read)?.to_string_lossy().trim_start_matches("./").to_owned();
        match path.as_str() {
            "index.json" => index = Some(contents(&mut entry)?),
            "manifest.json" => docker = Some(contents(&mut entry)?),
            _ => {}
        }
    }
    // `docker save` of today writes both; its index.json then carries containerd's annotation as well.
    let images = match (index, docker) {
        (Some(index), docker) => {
            let named = from_index(&index)?;
            if named.is_empty()
                && let Some(docker) = docker
            {
                from_docker(&docker)?
            } else {
                named
            }
        }
        (None, Some(docker)) => from_docker(&docker)?,
        (None, None) => return Err(ArchiveError::NotAnImage),
    };
    if images.is_empty() { Err(ArchiveError::Nameless) } else { Ok(images) }
}

fn contents(entry: &mut impl Read) -> Result<Vec<u8>, ArchiveError> {
    let mut bytes = Vec::new();
    entry.take(INDEX_BYTES_MAX).read_to_end(&mut bytes).map_err(ArchiveError::Read)?;
    Ok(bytes)
}

fn from_index(bytes: &[u8]) -> Result<Vec<ArchivedImage>, ArchiveError> {
    let index: Index =
        serde_json::from_slice(bytes).map_err(|source| ArchiveError::Parse { file: "index.json", source })?;
    let image = |mut descriptor: Descriptor| {
        let name = descriptor
            .annotations
            .remove("io.containerd.image.name")
            .or_else(|| descriptor.annotations.remove("org.opencontainers.image.ref.name"))?;
        Some(ArchivedImage { reference: name, digest: descriptor.digest })
    };
    Ok(index.manifests.into_iter().filter_map(image).collect())
}

fn from_docker(bytes: &[u8]) -> Result<Vec<ArchivedImage>, ArchiveError> {
    let images: Vec<DockerImage> =
        serde_json::from_slice(bytes).map_err(|source| ArchiveError::Parse { file: "manifest.json", source })?;
    let named = |image: DockerImage| {
        let digest = image.config;
        let tags = image.repo_tags.unwrap_or_default().into_iter();
        tags.map(move |reference| ArchivedImage { reference, digest: digest.clone() }).collect::<Vec<_>>()
    };
    Ok(images.into_iter().flat_map(named).collect())
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(files: &[(&str, &str)], expected: Expect) {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, path, text.as_bytes()).unwrap();
        }
        let text = match references(builder.into_inner().unwrap().as_slice()) {
            Ok(images) => images
                .iter()
                .map(|image| format!("{} {}", image.reference, image.digest))
                .collect::<Vec<_>>()
                .join("\n"),
            Err(error) => error.to_string(),
        };
        expected.assert_eq(&text);
    }

    #[test]
    fn names_come_from_every_usual_place() {
        let containerd = r#"{"manifests":[{"digest":"sha256:aa","annotations":{"io.containerd.image.name":"docker.io/library/a:1","org.opencontainers.image.ref.name":"1"}}]}"#;
        check(&[("oci-layout", "{}"), ("index.json", containerd)], expect!["docker.io/library/a:1 sha256:aa"]);
        let skopeo =
            r#"{"manifests":[{"digest":"sha256:bb","annotations":{"org.opencontainers.image.ref.name":"b:2"}}]}"#;
        check(&[("./index.json", skopeo)], expect!["b:2 sha256:bb"]);
        let docker = r#"[{"Config":"cc.json","RepoTags":["c:3","c:latest"],"Layers":[]}]"#;
        check(&[("manifest.json", docker)], expect![["c:3 cc.json\nc:latest cc.json"]]);
        let nameless = r#"{"manifests":[{"digest":"sha256:dd"}]}"#;
        check(&[("index.json", nameless), ("manifest.json", docker)], expect![["c:3 cc.json\nc:latest cc.json"]]);
    }

    #[test]
    fn other_files_are_refused_with_a_reason() {
        check(
            &[("hello.txt", "x")],
            expect!["not an image archive: it has neither index.json (OCI layout) nor manifest.json (docker save)"],
        );
        check(&[("index.json", "{")], expect!["failed to parse index.json in image archive"]);
        check(&[("manifest.json", "{}")], expect!["failed to parse manifest.json in image archive"]);
        check(
            &[("manifest.json", r#"[{"Config":"c.json","RepoTags":null}]"#)],
            expect!["image archive names no image: pack it with a reference, such as localhost/app:1"],
        );
    }
}
