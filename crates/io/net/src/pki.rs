//! Certificates: a CA of our own, server and client certificates, signing requests, and who a certificate names.
//!
//! All keys are ECDSA P-256. Times come in; serial numbers and keys are random (aws-lc-rs).
//!
//! Kubernetes reads a client certificate as a user: common name is the user name, each organisation a group.
//! It deliberately does not decide which requests may be signed: that is core/registry's.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use km_base::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Name;

/// A certificate (or chain, leaf first) and its private key.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// PEM.
    pub certificate_pem: String,
    /// PEM, PKCS #8.
    pub key_pem: String,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key never reaches a log.
        f.debug_struct("Credential").field("certificate_pem", &self.certificate_pem).finish_non_exhaustive()
    }
}

/// Whom a verified client certificate names; an extension of requests that came with one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerCertificate {
    /// The user's name.
    pub common_name: String,
    /// The user's groups, in the certificate's order.
    pub organizations: Vec<String>,
}

/// What a signing request asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateRequest {
    /// Subject.
    pub subject: PeerCertificate,
    /// Alternative names: DNS.
    pub dns_names: Vec<String>,
    /// Alternative names: IP.
    pub ip_addresses: Vec<IpAddr>,
    /// Alternative names: e-mail addresses.
    pub email_addresses: Vec<String>,
    /// Alternative names: URIs.
    pub uris: Vec<String>,
}

/// What a certificate may be used for; the Kubernetes usages that km signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// `digital signature`.
    DigitalSignature,
    /// `key encipherment`.
    KeyEncipherment,
    /// `server auth`.
    ServerAuth,
    /// `client auth`.
    ClientAuth,
}

/// From when to when a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// First instant.
    pub not_before: Timestamp,
    /// Last instant.
    pub not_after: Timestamp,
}

impl Validity {
    /// From five minutes before `now` (clocks differ) until `lifetime` after it.
    #[must_use]
    pub fn starting(now: Timestamp, lifetime: Duration) -> Self {
        let lifetime = i64::try_from(lifetime.as_micros()).unwrap_or(i64::MAX);
        let not_after = Timestamp::from_micros(now.as_micros().saturating_add(lifetime));
        Self { not_before: now.saturating_sub(Duration::from_secs(300)), not_after }
    }
}

/// Why a certificate was not made or not understood.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// Making or signing failed.
    #[error("failed to make {what}")]
    Make {
        /// What was being made.
        what: &'static str,
        /// The cause.
        #[source]
        source: rcgen::Error,
    },
    /// Not PEM, not the right kind of PEM, or not X.509 inside.
    #[error("{what} is not readable: {reason}")]
    Parse {
        /// What was being read.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The request's signature is not its key's.
    #[error("the signing request's signature is not by its own key")]
    Signature,
    /// rcgen keeps one organisation in a subject; dropping the others unseen would drop groups.
    #[error("a subject with {count} organisations cannot be signed, at most one")]
    Organizations {
        /// How many.
        count: usize,
    },
    /// A file was not written.
    #[error("failed to write {path}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

/// A certificate authority.
pub struct Ca {
    certificate_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    /// Makes a new one.
    ///
    /// # Errors
    /// `Make`.
    pub fn generate(common_name: &str, validity: Validity) -> Result<Self, PkiError> {
        let making = |source| PkiError::Make { what: "the CA", source };
        let key = KeyPair::generate().map_err(making)?;
        let mut params = params(common_name, None, &[], validity).map_err(making)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        let certificate_pem = params.self_signed(&key).map_err(making)?.pem();
        Ok(Self { certificate_pem, issuer: Issuer::new(params, key) })
    }

    /// Takes up one that was made before.
    ///
    /// # Errors
    /// `Make`, when certificate or key are unreadable.
    pub fn from_credential(credential: &Credential) -> Result<Self, PkiError> {
        let reading = |source| PkiError::Make { what: "the CA of its files", source };
        let key = KeyPair::from_pem(&credential.key_pem).map_err(reading)?;
        let issuer = Issuer::from_ca_cert_pem(&credential.certificate_pem, key).map_err(reading)?;
        Ok(Self { certificate_pem: credential.certificate_pem.clone(), issuer })
    }

    /// Returns the certificate, for all who are to trust it.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Returns certificate and key, to be kept.
    #[must_use]
    pub fn credential(&self) -> Credential {
        Credential { certificate_pem: self.certificate_pem.clone(), key_pem: self.issuer.key().serialize_pem() }
    }

    /// Makes a server's credential. `names` are DNS names and IP addresses.
    ///
    /// # Errors
    /// `Make`, such as for a name that is neither.
    pub fn issue_server(
        &self,
        common_name: &str,
        names: &[String],
        validity: Validity,
    ) -> Result<Credential, PkiError> {
        let making = |source| PkiError::Make { what: "a server certificate", source };
        let params = params(common_name, None, names, validity).map_err(making)?;
        self.issue(params, &[Usage::ServerAuth], making)
    }

    /// Makes a client's credential: the user `common_name`, of the group `organization`.
    ///
    /// # Errors
    /// `Make`.
    pub fn issue_client(
        &self,
        common_name: &str,
        organization: Option<&str>,
        validity: Validity,
    ) -> Result<Credential, PkiError> {
        let making = |source| PkiError::Make { what: "a client certificate", source };
        let params = params(common_name, organization, &[], validity).map_err(making)?;
        self.issue(params, &[Usage::ClientAuth], making)
    }

    fn issue(
        &self,
        mut params: CertificateParams,
        usages: &[Usage],
        making: impl Fn(rcgen::Error) -> PkiError,
    ) -> Result<Credential, PkiError> {
        use_for(&mut params, usages);
        use_for(&mut params, &[Usage::DigitalSignature, Usage::KeyEncipherment]);
        let key = KeyPair::generate().map_err(&making)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(&making)?;
        Ok(Credential { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }

    /// Signs a request: its subject and alternative names, for `usages`; whatever else it asks for (to be a
    /// CA, other usages) is not granted. Returns the certificate as PEM.
    ///
    /// # Errors
    /// Those of [`parse_request`]; `Organizations`; `Make`.
    pub fn sign_request(&self, request_pem: &str, usages: &[Usage], validity: Validity) -> Result<String, PkiError> {
        let count = parse_request(request_pem)?.subject.organizations.len();
        if count > 1 {
            return Err(PkiError::Organizations { count });
        }
        let making = |source| PkiError::Make { what: "a certificate as requested", source };
        let der = request_der(request_pem)?;
        let mut request = CertificateSigningRequestParams::from_der(&der.as_slice().into()).map_err(making)?;
        let params = &mut request.params;
        set_validity(params, validity);
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages.clear();
        params.extended_key_usages.clear();
        use_for(params, usages);
        Ok(request.signed_by(&self.issuer).map_err(making)?.pem())
    }
}

/// Makes a key and a request for a certificate; returns the request as PEM, and the key.
///
/// # Errors
/// `Make`.
pub fn make_request(
    common_name: &str,
    organization: Option<&str>,
    names: &[String],
) -> Result<(String, String), PkiError> {
    let making = |source| PkiError::Make { what: "a signing request", source };
    let key = KeyPair::generate().map_err(making)?;
    let mut params = CertificateParams::new(names.to_vec()).map_err(making)?;
    params.distinguished_name = subject(common_name, organization);
    let request = params.serialize_request(&key).map_err(making)?;
    Ok((request.pem().map_err(making)?, key.serialize_pem()))
}

/// Reads a signing request and checks that its own key signed it.
///
/// # Errors
/// `Parse`, saying what is wrong; `Signature`.
pub fn parse_request(request_pem: &str) -> Result<CertificateRequest, PkiError> {
    let der = request_der(request_pem)?;
    let unreadable = |reason: String| PkiError::Parse { what: "the signing request", reason };
    let (_, request) = X509CertificationRequest::from_der(&der).map_err(|e| unreadable(e.to_string()))?;
    request.verify_signature().map_err(|_| PkiError::Signature)?;
    let subject = named(&request.certification_request_info.subject).map_err(unreadable)?;
    let mut parsed = CertificateRequest { subject, ..CertificateRequest::default() };
    for extension in request.requested_extensions().into_iter().flatten() {
        if let ParsedExtension::SubjectAlternativeName(names) = extension {
            for name in &names.general_names {
                add_name(&mut parsed, name).map_err(unreadable)?;
            }
        }
    }
    Ok(parsed)
}

fn request_der(request_pem: &str) -> Result<Vec<u8>, PkiError> {
    let unreadable = |reason: &str| PkiError::Parse { what: "the signing request", reason: reason.into() };
    let (_, pem) =
        x509_parser::pem::parse_x509_pem(request_pem.as_bytes()).map_err(|_| unreadable("not a PEM block"))?;
    // k8s 1.33 pkg/apis/certificates/v1/helpers.go, ParseCSR takes this label only.
    if pem.label != "CERTIFICATE REQUEST" {
        return Err(unreadable("PEM block type must be CERTIFICATE REQUEST"));
    }
    Ok(pem.contents)
}

fn add_name(parsed: &mut CertificateRequest, name: &GeneralName<'_>) -> Result<(), String> {
    match name {
        GeneralName::DNSName(name) => parsed.dns_names.push((*name).into()),
        GeneralName::RFC822Name(address) => parsed.email_addresses.push((*address).into()),
        GeneralName::URI(uri) => parsed.uris.push((*uri).into()),
        GeneralName::IPAddress(bytes) => parsed.ip_addresses.push(ip(bytes).ok_or("an IP address has a wrong length")?),
        other => return Err(format!("alternative names of this kind are not taken: {other}")),
    }
    Ok(())
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let four: Result<[u8; 4], _> = bytes.try_into();
    let sixteen: Result<[u8; 16], _> = bytes.try_into();
    four.map(IpAddr::from).or(sixteen.map(IpAddr::from)).ok()
}

/// Reads whom a certificate (DER) names. It does not verify it: TLS has.
///
/// # Errors
/// `Parse`.
pub fn peer_of(certificate: &[u8]) -> Result<PeerCertificate, PkiError> {
    let unreadable = |reason: String| PkiError::Parse { what: "the certificate", reason };
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|e| unreadable(e.to_string()))?;
    named(parsed.subject()).map_err(unreadable)
}

/// Returns when the first certificate of a PEM text ends, for renewal.
///
/// # Errors
/// `Parse`.
pub fn not_after(certificate_pem: &str) -> Result<Timestamp, PkiError> {
    let unreadable = |reason: String| PkiError::Parse { what: "the certificate", reason };
    let (_, pem) =
        x509_parser::pem::parse_x509_pem(certificate_pem.as_bytes()).map_err(|e| unreadable(e.to_string()))?;
    let certificate = pem.parse_x509().map_err(|e| unreadable(e.to_string()))?;
    Ok(Timestamp::from_secs(certificate.validity().not_after.timestamp()))
}

fn named(name: &X509Name<'_>) -> Result<PeerCertificate, String> {
    let text = |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| {
        attribute.as_str().map(str::to_owned).map_err(|_| "a name in the subject is not text".to_owned())
    };
    let common_name = name.iter_common_name().last().map(text).transpose()?.unwrap_or_default();
    let organizations = name.iter_organization().map(text).collect::<Result<_, _>>()?;
    Ok(PeerCertificate { common_name, organizations })
}

/// Writes a file that is there whole or not at all, readable by its owner only: keys, tokens, kubeconfigs.
///
/// # Errors
/// `Write`.
pub fn write_private(path: &Path, contents: &[u8]) -> Result<(), PkiError> {
    write_aside(path, contents, 0o600).map_err(|source| PkiError::Write { path: path.to_owned(), source })
}

/// Writes a file that is there whole or not at all, readable by all: certificates.
///
/// # Errors
/// `Write`.
pub fn write_public(path: &Path, contents: &[u8]) -> Result<(), PkiError> {
    write_aside(path, contents, 0o644).map_err(|source| PkiError::Write { path: path.to_owned(), source })
}

fn write_aside(path: &Path, contents: &[u8], mode: u32) -> std::io::Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".{}.tmp", std::process::id()));
    let aside = PathBuf::from(aside);
    // One that a killed process with this id left may have another mode.
    match std::fs::remove_file(&aside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&aside)?;
    let written = file.write_all(contents).and_then(|()| file.sync_all()).and_then(|()| std::fs::rename(&aside, path));
    if written.is_err() {
        // It may hold half a key, and be what fills the disk.
        let _ = std::fs::remove_file(&aside);
    }
    written?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir)?.sync_all()
}

fn params(
    common_name: &str,
    organization: Option<&str>,
    names: &[String],
    validity: Validity,
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names.to_vec())?;
    params.distinguished_name = subject(common_name, organization);
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params, validity);
    Ok(params)
}

fn subject(common_name: &str, organization: Option<&str>) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    if let Some(organization) = organization {
        subject.push(DnType::OrganizationName, organization);
    }
    subject.push(DnType::CommonName, common_name);
    subject
}

fn set_validity(params: &mut CertificateParams, validity: Validity) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let at = |time: Timestamp| epoch + Duration::from_secs(u64::try_from(time.as_secs()).unwrap_or_default());
    params.not_before = at(validity.not_before);
    params.not_after = at(validity.not_after);
}

fn use_for(params: &mut CertificateParams, usages: &[Usage]) {
    for usage in usages {
        match usage {
            Usage::DigitalSignature => params.key_usages.push(KeyUsagePurpose::DigitalSignature),
            Usage::KeyEncipherment => params.key_usages.push(KeyUsagePurpose::KeyEncipherment),
            Usage::ServerAuth => params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth),
            Usage::ClientAuth => params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth),
        }
    }
}
