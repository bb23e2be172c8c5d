//! The server's certificates: a CA made on first start, and what it signs for the server itself.
//!
//! ```text
//!   <data-dir>/pki/ca.crt, ca.key      made once, ten years
//!   <data-dir>/pki/sa.key              signs service account tokens
//! ```
//!
//! The serving certificate and the client certificate for kubelets are made anew at every start, so that
//! they always carry today's addresses and never expire on a disk.

use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use km_base::Timestamp;
use km_net::pki::{Ca, Credential, PkiError, Validity, write_private, write_public};

const DAY: Duration = Duration::from_secs(24 * 3_600);
/// Lifetime of the CA: upstream kubeadm's ten years.
const CA_DAYS: u32 = 3_650;
/// Lifetime of what the CA signs for the server and the administrator: upstream kubeadm's one year.
const LEAF_DAYS: u32 = 365;
/// The user that the API server is to kubelets; km's kubelets allow it, no group does.
pub(crate) const KUBELET_CLIENT: &str = "kube-apiserver-kubelet-client";

/// Certificates cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Making one failed.
    #[error("failed to make the API server's certificates")]
    Make(#[from] PkiError),
    /// A file cannot be read, or the folder not be made.
    #[error("failed to read {path}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

/// Reads the CA in `dir`, or makes one.
///
/// # Errors
/// [`CertificateError`].
pub fn open_ca(dir: &Path, now: Timestamp) -> Result<Ca, CertificateError> {
    let read_error = |path: &Path| {
        let path = path.to_owned();
        move |source| CertificateError::Read { path, source }
    };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(read_error(dir))?;
    let (certificate, key) = (dir.join("ca.crt"), dir.join("ca.key"));
    // A certificate without its key is not replaced: every node and client trusts it.
    if certificate.exists() {
        let certificate_pem = std::fs::read_to_string(&certificate).map_err(read_error(&certificate))?;
        let key_pem = std::fs::read_to_string(&key).map_err(read_error(&key))?;
        return Ok(Ca::from_credential(&Credential { certificate_pem, key_pem })?);
    }
    let ca = Ca::generate("kubernetes", Validity::starting(now, DAY * CA_DAYS))?;
    let credential = ca.credential();
    write_private(&key, credential.key_pem.as_bytes())?;
    // Last: with it the pair is complete, and a crash before leaves one to be made again.
    write_public(&certificate, credential.certificate_pem.as_bytes())?;
    Ok(ca)
}

/// The names under which the server is reached.
#[derive(Clone, Debug)]
pub(crate) struct ServerNames<'a> {
    pub(crate) host_name: &'a str,
    pub(crate) advertise: IpAddr,
    pub(crate) service_ip: Ipv4Addr,
    pub(crate) cluster_domain: &'a str,
    pub(crate) others: &'a [String],
}

impl ServerNames<'_> {
    fn list(&self) -> Vec<String> {
        let mut names: Vec<String> =
            ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"].map(str::to_owned).into();
        names.push(format!("kubernetes.default.svc.{}", self.cluster_domain));
        names.push(Ipv4Addr::LOCALHOST.to_string());
        names.push(self.advertise.to_string());
        names.push(self.service_ip.to_string());
        if !self.host_name.is_empty() {
            names.push(self.host_name.to_owned());
        }
        names.extend(self.others.iter().cloned());
        names.sort();
        names.dedup();
        names
    }
}

/// Makes the certificate that clients see.
pub(crate) fn serving(ca: &Ca, names: &ServerNames<'_>, now: Timestamp) -> Result<Credential, CertificateError> {
    Ok(ca.issue_server("kube-apiserver", &names.list(), Validity::starting(now, DAY * LEAF_DAYS))?)
}

/// Makes the certificate that kubelets see.
pub(crate) fn kubelet_client(ca: &Ca, now: Timestamp) -> Result<Credential, CertificateError> {
    Ok(ca.issue_client(KUBELET_CLIENT, None, Validity::starting(now, DAY * LEAF_DAYS))?)
}

/// Makes a client certificate: for the administrator, or a component in another process.
///
/// # Errors
/// [`CertificateError`].
pub fn client(ca: &Ca, user: &str, group: Option<&str>, now: Timestamp) -> Result<Credential, CertificateError> {
    Ok(ca.issue_client(user, group, Validity::starting(now, DAY * LEAF_DAYS))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_is_made_once_and_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::from_secs(1_795_300_000);
        let made = open_ca(dir.path(), now).unwrap().certificate_pem().to_owned();
        assert_eq!(open_ca(dir.path(), now).unwrap().certificate_pem(), made);
        let (certificate, key) = (dir.path().join("ca.crt"), dir.path().join("ca.key"));
        std::fs::rename(&key, dir.path().join("elsewhere")).unwrap();
        assert!(matches!(open_ca(dir.path(), now), Err(CertificateError::Read { path, .. }) if path == key));
        assert_eq!(std::fs::read_to_string(certificate).unwrap(), made);
    }
}
