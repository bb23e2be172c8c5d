//! TLS configurations: who we are, whom we trust. Certificates come as PEM; the provider is aws-lc-rs.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::pki::Credential;

/// Why a TLS configuration cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Not PEM, or not what the label says.
    #[error("failed to read {what}")]
    Pem {
        /// Which input.
        what: &'static str,
        /// The cause.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// A PEM text without a certificate in it.
    #[error("{what} holds no certificate")]
    NoCertificate {
        /// Which input.
        what: &'static str,
    },
    /// The pieces do not fit: a key of another certificate, a certificate that is not a CA.
    #[error("failed to use {what}")]
    Unusable {
        /// Which input.
        what: &'static str,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// HTTP versions offered by ALPN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alpn {
    /// HTTP/2, else HTTP/1.1.
    Http2Or1,
    /// HTTP/1.1 only: connections that are to be upgraded (exec, port-forward).
    Http1,
}

/// Makes a server's configuration, with HTTP/2 and HTTP/1.1. With `client_ca`, clients may show a
/// certificate: one it signed is handed to the service, another ends the handshake, none is fine.
///
/// # Errors
/// `Pem`, `NoCertificate`, `Unusable`, naming the input.
pub fn server_config(credential: &Credential, client_ca: Option<&str>) -> Result<Arc<ServerConfig>, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|e| unusable("the TLS versions", e))?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let roots = Arc::new(roots(ca, "the client CA")?);
            let verifier =
                WebPkiClientVerifier::builder_with_provider(roots, provider()).allow_unauthenticated().build();
            builder.with_client_cert_verifier(verifier.map_err(|e| unusable("the client CA", e))?)
        }
    };
    let (chain, key) = identity(credential)?;
    let mut config = builder.with_single_cert(chain, key).map_err(|e| unusable("the server certificate", e))?;
    config.alpn_protocols = protocols(Alpn::Http2Or1);
    Ok(Arc::new(config))
}

/// Makes a client's configuration that trusts `ca` and nothing else, and shows `credential` if there is one.
///
/// # Errors
/// `Pem`, `NoCertificate`, `Unusable`, naming the input.
pub fn client_config(ca: &str, credential: Option<&Credential>, alpn: Alpn) -> Result<Arc<ClientConfig>, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|e| unusable("the TLS versions", e))?
        .with_root_certificates(roots(ca, "the server CA")?);
    let mut config = match credential {
        None => builder.with_no_client_auth(),
        Some(credential) => {
            let (chain, key) = identity(credential)?;
            builder.with_client_auth_cert(chain, key).map_err(|e| unusable("the client certificate", e))?
        }
    };
    config.alpn_protocols = protocols(alpn);
    Ok(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn protocols(alpn: Alpn) -> Vec<Vec<u8>> {
    match alpn {
        Alpn::Http2Or1 => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        Alpn::Http1 => vec![b"http/1.1".to_vec()],
    }
}

fn roots(pem: &str, what: &'static str) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem, what)? {
        roots.add(certificate).map_err(|e| unusable(what, e))?;
    }
    Ok(roots)
}

fn certificates(pem: &str, what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let found = found.map_err(|source| TlsError::Pem { what, source })?;
    if found.is_empty() { Err(TlsError::NoCertificate { what }) } else { Ok(found) }
}

fn identity(credential: &Credential) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let chain = certificates(&credential.certificate_pem, "the certificate")?;
    let key = PrivateKeyDer::from_pem_slice(credential.key_pem.as_bytes())
        .map_err(|source| TlsError::Pem { what: "the private key", source })?;
    Ok((chain, key))
}

fn unusable(what: &'static str, source: impl std::error::Error + Send + Sync + 'static) -> TlsError {
    TlsError::Unusable { what, source: Box::new(source) }
}

/// Begins TLS as a client who does not look at the server's certificate: for probes, which ask whether something serves,
/// not who. What is sent or read there must not be a secret.
///
/// # Errors
/// When `host` is neither a name nor an address, or the handshake fails.
pub async fn connect_unverified(stream: TcpStream, host: &str) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)?;
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(std::io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider())))
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// Takes every certificate, but checks that the server holds its key: the handshake cannot do without.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// A client configuration for plain HTTP, where a connector wants one all the same.
pub(crate) fn trusting_nobody() -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|e| unusable("the TLS versions", e))?;
    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}
