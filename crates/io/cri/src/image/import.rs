//! Brings an image archive into containerd, in this one place.
//!
//! CRI has no import. containerd's own `ctr`, which every package of containerd ships, does it through containerd's
//! content and image services; its CRI plugin learns of the new image by an event, shortly after `ctr` has ended, so
//! the import is over only when CRI shows the image.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::cri::Cri;
use crate::error::CriError;
use crate::image::archive::{self, ArchiveError, ArchivedImage};

/// The containerd namespace that its CRI plugin looks into.
const CRI_NAMESPACE: &str = "k8s.io";
/// How long CRI may take to show an image that containerd has; the event normally takes milliseconds.
const SHOWN_WITHIN: Duration = Duration::from_secs(30);
/// How often to ask; CRI offers no event for images.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// Where an archive goes.
#[derive(Clone, Debug)]
pub struct ImportTarget {
    /// The `ctr` program.
    pub ctr: PathBuf,
    /// containerd's socket.
    pub socket: PathBuf,
}

/// An import that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be opened.
    #[error("failed to open image archive {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The file is no image archive.
    #[error("failed to read image archive {}", path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: ArchiveError,
    },
    /// `ctr` is missing (Debian package `containerd`) or cannot be run.
    #[error("failed to run {} (it comes with containerd)", ctr.display())]
    Run {
        /// The program.
        ctr: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// `ctr` refused the archive.
    #[error("containerd refused image archive {}: {message}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What `ctr` said.
        message: String,
    },
    /// CRI could not be asked.
    #[error("failed to look for imported image {reference}")]
    Look {
        /// The image.
        reference: String,
        /// Why not.
        #[source]
        source: CriError,
    },
    /// containerd took the archive but CRI never showed the image.
    #[error("imported image {reference} did not appear in CRI within {SHOWN_WITHIN:?}")]
    NotShown {
        /// The image.
        reference: String,
    },
}

/// Imports all images of an archive and returns them once CRI shows each.
///
/// # Errors
/// [`ImportError`]. Importing the same archive again is not an error.
pub async fn import(target: &ImportTarget, cri: &dyn Cri, path: &Path) -> Result<Vec<ArchivedImage>, ImportError> {
    let images = list(path).await?;
    let output = tokio::process::Command::new(&target.ctr)
        .arg("--address")
        .arg(&target.socket)
        .args(["--namespace", CRI_NAMESPACE, "images", "import"])
        .arg(path)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|source| ImportError::Run { ctr: target.ctr.clone(), source })?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(ImportError::Refused { path: path.to_owned(), message });
    }
    for image in &images {
        wait_until_shown(cri, &image.reference).await?;
    }
    Ok(images)
}

async fn list(path: &Path) -> Result<Vec<ArchivedImage>, ImportError> {
    let file = tokio::fs::File::open(path).await;
    let file = file.map_err(|source| ImportError::Open { path: path.to_owned(), source })?.into_std().await;
    let listed = tokio::task::spawn_blocking(move || archive::references(std::io::BufReader::new(file))).await;
    let listed = listed.unwrap_or_else(|panic| Err(ArchiveError::Read(std::io::Error::other(panic))));
    listed.map_err(|source| ImportError::Archive { path: path.to_owned(), source })
}

async fn wait_until_shown(cri: &dyn Cri, reference: &str) -> Result<(), ImportError> {
    let asking = async {
        loop {
            match cri.image_status(reference).await {
                Ok(Some(_)) => return Ok(()),
                Ok(None) => tokio::time::sleep(ASK_EVERY).await,
                Err(source) => return Err(ImportError::Look { reference: reference.to_owned(), source }),
            }
        }
    };
    match tokio::time::timeout(SHOWN_WITHIN, asking).await {
        Ok(answer) => answer,
        Err(_) => Err(ImportError::NotShown { reference: reference.to_owned() }),
    }
}
