//! How Mesos's HTTP endpoints read and write calls: media types, encodings, credentials, and the texts of refusals.
//!
//! Pure, and shared by the two drivers, which own the sockets. Texts and statuses are Apache Mesos's (1.11
//! src/master/http.cpp, src/slave/http.cpp, src/common/http.cpp), since clients show them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use km_mesos::Credential;
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Media type of Mesos JSON.
pub const JSON: &str = "application/json";
/// Media type of protobuf.
pub const PROTOBUF: &str = "application/x-protobuf";

/// How messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Mesos JSON.
    Json,
    /// Protobuf.
    Protobuf,
}

/// An answer that refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// Body, as plain text.
    pub text: String,
}

impl Refusal {
    fn new(status: u16, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }
}

impl Encoding {
    /// Returns the media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => JSON,
            Self::Protobuf => PROTOBUF,
        }
    }

    /// Chooses how to answer; JSON where both will do.
    ///
    /// # Errors
    /// 406 when the client takes neither.
    pub fn accepted(accept: Option<&str>) -> Result<Self, Refusal> {
        let Some(accept) = accept else { return Ok(Self::Json) };
        let kinds = || accept.split(',').map(|part| part.split(';').next().unwrap_or_default().trim());
        let takes = |kind: &str| kinds().any(|part| part == kind || part == "*/*" || part == "application/*");
        if takes(JSON) {
            Ok(Self::Json)
        } else if takes(PROTOBUF) {
            Ok(Self::Protobuf)
        } else {
            Err(Refusal::new(406, "Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'"))
        }
    }

    /// Writes a message.
    pub fn encode<M: Message + Serialize>(self, message: &M) -> Bytes {
        match self {
            Self::Json => serde_json::to_vec(message).map(Bytes::from).unwrap_or_default(),
            Self::Protobuf => Bytes::from(message.encode_to_vec()),
        }
    }
}

/// Reads a call.
///
/// # Errors
/// 400 or 415, in Mesos's words.
pub fn read_call<M: Message + Default + DeserializeOwned>(
    content_type: Option<&str>,
    body: &[u8],
) -> Result<M, Refusal> {
    match content_type {
        None => Err(Refusal::new(400, "Expecting 'Content-Type' to be present")),
        Some(JSON) => serde_json::from_slice(body).map_err(|error| json_refusal(body, &error)),
        Some(PROTOBUF) => M::decode(body).map_err(|_| Refusal::new(400, "Failed to parse body into Call protobuf")),
        Some(_) => Err(Refusal::new(415, format!("Expecting 'Content-Type' of {JSON} or {PROTOBUF}"))),
    }
}

fn json_refusal(body: &[u8], error: &serde_json::Error) -> Refusal {
    if !error.is_data() {
        return Refusal::new(
            400,
            format!("Failed to parse body into JSON: syntax error at line {} near: ", error.line().max(1)),
        );
    }
    let is_object = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    if !is_object {
        return Refusal::new(400, "Failed to convert JSON into Call protobuf: Expecting a JSON object");
    }
    Refusal::new(400, format!("Failed to convert JSON into Call protobuf: {error}"))
}

/// Returns who sent this `Authorization` header (HTTP basic); `None` when it is nobody known.
pub fn principal(authorization: Option<&str>, credentials: &[Credential]) -> Option<String> {
    let encoded = authorization?.strip_prefix("Basic ")?;
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (name, secret) = decoded.split_once(':')?;
    let known = credentials.iter().find(|credential| credential.principal == name)?;
    is_equal(known.secret().as_bytes(), secret.as_bytes()).then(|| name.to_owned())
}

/// Compares in a time that depends on the lengths only.
pub fn is_equal(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |found, (left, right)| found | (left ^ right)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use km_mesos::scheduler::Call;

    fn refused(content_type: Option<&str>, body: &[u8]) -> (u16, String) {
        let refusal = read_call::<Call>(content_type, body).expect_err("refused");
        (refusal.status, refusal.text)
    }

    #[test]
    fn refusals_use_the_words_of_mesos() {
        let line = "Failed to parse body into JSON: syntax error at line 1 near: ";
        assert_eq!(refused(Some(JSON), b""), (400, line.to_owned()));
        assert_eq!(refused(Some(JSON), b"{\"type\": \"REVIVE\""), (400, line.to_owned()));
        assert_eq!(
            refused(Some(JSON), b"[1,2]"),
            (400, "Failed to convert JSON into Call protobuf: Expecting a JSON object".to_owned())
        );
        assert_eq!(
            refused(Some(PROTOBUF), b"\xff\xff\xff"),
            (400, "Failed to parse body into Call protobuf".to_owned())
        );
        assert_eq!(refused(None, b"{}").0, 400);
        assert_eq!(refused(Some("application/json; charset=utf-8"), b"{}").0, 415);
        assert_eq!(Encoding::accepted(Some("text/html")).expect_err("refused").status, 406);
        assert_eq!(Encoding::accepted(Some("text/html, */*")), Ok(Encoding::Json));
        assert_eq!(Encoding::accepted(Some(PROTOBUF)), Ok(Encoding::Protobuf));
    }

    #[test]
    fn only_the_right_secret_names_a_principal() {
        let known = [Credential { principal: "km".to_owned(), secret: Some("s:x".to_owned()) }];
        let header = |text: &str| format!("Basic {}", STANDARD.encode(text));
        assert_eq!(principal(Some(&header("km:s:x")), &known), Some("km".to_owned()));
        for wrong in [header("km:s:y"), header("km"), header("other:s:x"), "Bearer x".to_owned(), "Basic !".to_owned()]
        {
            assert_eq!(principal(Some(&wrong), &known), None, "{wrong}");
        }
        assert_eq!(principal(None, &known), None);
    }
}
