//! What stands on the wire: codes, media types, bodies that are wrong.

use bytes::Bytes;
use http::{Request, Response};
use km_base::Timestamp;
use km_net::HttpClient;
use km_net::client::ClientIdentity;
use km_net::pki::Validity;
use km_net::tls::Alpn;
use serde_json::Value;

use crate::server::Server;

pub(crate) fn admin(server: &Server) -> HttpClient {
    let year = std::time::Duration::from_secs(365 * 24 * 3_600);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let validity = Validity::starting(Timestamp::from_secs(now.cast_signed()), year);
    let credential = server.ca.issue_client("admin", Some("system:masters"), validity).unwrap();
    let identity = ClientIdentity {
        ca_pem: Some(server.ca.certificate_pem().to_owned()),
        credential: Some(credential),
        bearer: None,
    };
    HttpClient::new(&identity, Alpn::Http2Or1, 5_000).unwrap()
}

async fn send(server: &Server, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response<Bytes> {
    let mut request = Request::builder().method(method).uri(format!("{}{path}", server.url));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(km_net::body::full(body.to_vec())).unwrap();
    admin(server).fetch(request, 20_000, 64 << 20).await.unwrap()
}

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const JSON: (&str, &str) = ("content-type", "application/json");

/// Method, path, headers, body; code and reason of the answer.
type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a [u8], u16, &'a str);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_requests_get_the_code_and_status_of_their_fault() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    let large = vec![b' '; (3 << 20) + 1];
    let cases: &[Case<'_>] = &[
        ("POST", MAPS, &[JSON], b"{", 400, "BadRequest"),
        ("POST", MAPS, &[JSON], b"[]", 400, "BadRequest"),
        ("POST", MAPS, &[("content-type", "application/yaml")], b"a: [", 400, "BadRequest"),
        ("POST", MAPS, &[("content-type", "application/vnd.kubernetes.protobuf")], b"k8s\0\xff\xff", 400, "BadRequest"),
        ("POST", MAPS, &[("content-type", "text/plain")], b"x", 415, "UnsupportedMediaType"),
        ("PATCH", &format!("{MAPS}/x"), &[JSON], b"{}", 415, "UnsupportedMediaType"),
        (
            "PATCH",
            &format!("{MAPS}/none"),
            &[("content-type", "application/apply-patch+yaml")],
            b"{}",
            415,
            "UnsupportedMediaType",
        ),
        ("POST", MAPS, &[JSON], &large, 413, "RequestEntityTooLarge"),
        ("GET", MAPS, &[("accept", "text/html")], b"", 406, "NotAcceptable"),
        ("GET", &format!("{MAPS}?limit=x"), &[], b"", 400, "BadRequest"),
        ("GET", &format!("{MAPS}?labelSelector=a%20in%20b"), &[], b"", 400, "BadRequest"),
        ("GET", &format!("{MAPS}?fieldSelector=data.x%3Dy"), &[], b"", 400, "BadRequest"),
        ("PUT", MAPS, &[JSON], b"{}", 405, "MethodNotAllowed"),
        ("GET", "/api/v1/namespaces/default/gadgets", &[], b"", 404, "NotFound"),
        ("GET", "/no/such/path", &[], b"", 404, "NotFound"),
        ("GET", &format!("{MAPS}?resourceVersion=999999999"), &[], b"", 504, "Timeout"),
    ];
    for (method, path, headers, body, code, reason) in cases {
        let answer = send(&server, method, path, headers, body).await;
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        assert_eq!(answer.status().as_u16(), *code, "{method} {path}: {text}");
        let status: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&status["kind"], &status["reason"]),
            (&"Status".into(), &(*reason).into()),
            "{method} {path}: {text}"
        );
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_is_answered_by_headers_alone() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    let answer = send(&server, "HEAD", MAPS, &[], b"").await;
    assert_eq!((answer.status().as_u16(), answer.body().len()), (200, 0));
    assert_ne!(answer.headers()["content-length"], "0", "the length of what a GET would bring");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_take_the_form_that_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    let body = br#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"data":{"a":"b"},"extra":1}"#;
    let created = send(&server, "POST", MAPS, &[JSON], body).await;
    assert_eq!(created.status().as_u16(), 201);
    assert_eq!(created.headers()["warning"], r#"299 - "unknown field \"extra\"""#);
    let again = send(&server, "POST", MAPS, &[JSON], body).await;
    assert_eq!(again.status().as_u16(), 409);
    let one = format!("{MAPS}/x");
    let yaml = send(&server, "GET", &one, &[("accept", "application/yaml")], b"").await;
    assert_eq!(yaml.headers()["content-type"], "application/yaml");
    assert!(String::from_utf8_lossy(yaml.body()).contains("kind: ConfigMap"));
    let table = ("accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json");
    let rows: Value = serde_json::from_slice(send(&server, "GET", MAPS, &[table], b"").await.body()).unwrap();
    assert_eq!((rows["kind"].as_str(), rows["rows"][0]["cells"][0].as_str()), (Some("Table"), Some("x")));
    let partial = ("accept", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json");
    let list: Value = serde_json::from_slice(send(&server, "GET", MAPS, &[partial], b"").await.body()).unwrap();
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert!(list["items"][0]["data"].is_null() && list["items"][0]["metadata"]["name"] == "x");
    let watched = send(&server, "GET", &format!("{MAPS}?watch=true&timeoutSeconds=1"), &[], b"").await;
    let line: Value = serde_json::from_slice(watched.body()).unwrap();
    assert_eq!((line["type"].as_str(), line["object"]["metadata"]["name"].as_str()), (Some("ADDED"), Some("x")));
    let openapi = send(&server, "GET", "/openapi/v3/api/v1", &[], b"").await;
    let tag = openapi.headers()["etag"].to_str().unwrap().to_owned();
    let cached = send(&server, "GET", "/openapi/v3/api/v1", &[("if-none-match", &tag)], b"").await;
    assert_eq!(cached.status().as_u16(), 304);
    server.stop().await;
}
