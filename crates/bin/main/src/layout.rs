//! What is where in a data folder.

use std::path::{Path, PathBuf};

/// The paths below one data folder.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Makes the layout of a folder; a relative one is taken from the current folder, once.
    pub(crate) fn new(data_dir: &Path) -> std::io::Result<Self> {
        Ok(Self { root: std::path::absolute(data_dir)? })
    }

    /// The folder itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Certificates and keys.
    pub(crate) fn pki(&self) -> PathBuf {
        self.root.join("pki")
    }

    /// The store of API objects.
    pub(crate) fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    /// Images served to executors.
    pub(crate) fn images(&self) -> PathBuf {
        self.root.join("images")
    }

    /// Work folder of the embedded master.
    pub(crate) fn mesos_master(&self) -> PathBuf {
        self.root.join("mesos/master")
    }

    /// Work folder of the embedded agent.
    pub(crate) fn mesos_agent(&self) -> PathBuf {
        self.root.join("mesos/agent")
    }

    /// Secret of the embedded Mesos.
    pub(crate) fn mesos_secret(&self) -> PathBuf {
        self.root.join("mesos/secret")
    }

    /// The administrator's kubeconfig.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.root.join("admin.kubeconfig")
    }

    /// Log of a detached `km up`.
    pub(crate) fn log(&self) -> PathBuf {
        self.root.join("km.log")
    }

    /// The flags of the last `km up`, for commands that come after it.
    pub(crate) fn remembered(&self) -> PathBuf {
        self.root.join("up.json")
    }

    /// Lock of the running `km up`; holds its pid.
    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("km.lock")
    }

    /// Socket on which the running `km up` takes orders.
    pub(crate) fn control(&self) -> PathBuf {
        self.root.join("control.sock")
    }
}
