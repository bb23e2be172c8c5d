//! Certificates name whom they should, requests are checked, keys are private.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use km_base::Timestamp;
use km_net::PeerCertificate;
use km_net::pki::{self, Ca, PkiError, Usage, Validity};
use x509_parser::prelude::{FromDer, X509Certificate};

const DAY: Duration = Duration::from_secs(86_400);

fn validity() -> Validity {
    Validity::starting(Timestamp::from_secs(1_800_000_000), DAY)
}

fn ca() -> Ca {
    Ca::generate("km", validity()).expect("ca")
}

fn peer(pem: &str) -> PeerCertificate {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).expect("pem");
    pki::peer_of(&pem.contents).expect("certificate")
}

#[test]
fn a_client_certificate_names_user_and_group() {
    let admin = ca().issue_client("kubernetes-admin", Some("system:masters"), validity()).expect("issue");
    let want = PeerCertificate { common_name: "kubernetes-admin".into(), organizations: vec!["system:masters".into()] };
    assert_eq!(peer(&admin.certificate_pem), want);
    assert_eq!(pki::not_after(&admin.certificate_pem).expect("time"), validity().not_after);
    assert!(!format!("{admin:?}").contains("PRIVATE"));
}

#[test]
fn a_request_is_read_and_signed_for_the_granted_usages_only() {
    let names = ["node-1".to_owned(), "10.0.0.1".to_owned()];
    let (request, _key) = pki::make_request("system:node:node-1", Some("system:nodes"), &names).expect("request");
    let parsed = pki::parse_request(&request).expect("parse");
    assert_eq!(parsed.subject.common_name, "system:node:node-1");
    assert_eq!(parsed.subject.organizations, ["system:nodes"]);
    assert_eq!((parsed.dns_names, parsed.ip_addresses), (vec!["node-1".into()], vec![[10, 0, 0, 1].into()]));
    let ca = Ca::from_credential(&ca().credential()).expect("kept");
    let signed = ca.sign_request(&request, &[Usage::DigitalSignature, Usage::ClientAuth], validity()).expect("sign");
    assert_eq!(peer(&signed), parsed.subject);
    let (_, pem) = x509_parser::pem::parse_x509_pem(signed.as_bytes()).expect("pem");
    let (_, certificate) = X509Certificate::from_der(&pem.contents).expect("certificate");
    let usage = certificate.extended_key_usage().expect("one").expect("there").value;
    assert!(usage.client_auth && !usage.server_auth && !certificate.is_ca());
    assert!(certificate.issuer().to_string().contains("CN=km"));
}

#[test]
fn what_is_no_request_is_refused_with_a_reason() {
    let reason = |text: &str| pki::parse_request(text).expect_err("no request").to_string();
    assert!(reason("hello").contains("not a PEM block"));
    assert!(reason(ca().certificate_pem()).contains("must be CERTIFICATE REQUEST"));
    let (request, _) = pki::make_request("system:node:a", None, &[]).expect("request");
    assert!(pki::parse_request(&request).expect("whole").subject.organizations.is_empty());
    let (_, pem) = x509_parser::pem::parse_x509_pem(request.as_bytes()).expect("pem");
    let at = pem.contents.windows(13).position(|bytes| bytes == b"system:node:a").expect("the subject");
    let mut forged = pem.contents;
    forged[at + 12] = b'b';
    let forged = repack(&forged);
    assert!(matches!(pki::parse_request(&forged), Err(PkiError::Signature)));
    assert!(matches!(ca().sign_request(&forged, &[Usage::ClientAuth], validity()), Err(PkiError::Signature)));
}

/// DER to PEM, by hand.
fn repack(der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in der.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = char::from(ALPHABET[(bits >> (18 - 6 * place)) as usize & 63]);
            text.push(if place <= group.len() { digit } else { '=' });
        }
    }
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n", lines.join("\n"))
}

#[test]
fn private_files_are_for_their_owner_and_replace_whole() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("admin.kubeconfig");
    pki::write_private(&path, b"first, longer").expect("write");
    pki::write_private(&path, b"second").expect("write");
    assert_eq!(std::fs::read(&path).expect("read"), b"second");
    assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(dir.path()).expect("dir").count(), 1);
    let nowhere = dir.path().join("absent/key");
    let error = pki::write_private(&nowhere, b"x").expect_err("no folder");
    assert!(error.to_string().contains("absent/key"));
}
