//! The backend for a Kubernetes API server on the network.
//!
//! kube's client does TLS, client certificates and connection keeping; objects stay bytes, because what the
//! reader needs of them is decided above.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt as _, StreamExt as _};
use http::header::{ACCEPT, CONTENT_TYPE};
use http_body_util::{BodyExt as _, BodyStream};
use km_api::{Event, EventType, List, Object, Request, Response, Status, Verb};
use km_base::{Revision, chain};
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::query::{delete_options, path_and_query};
use crate::{Backend, WatchStream};

/// Longest wait for a whole answer: as long as an API server works on a request. Without it a server whose machine is
/// gone would be waited for, and what waits for the answer with it, for ever: nothing comes any more to tell.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// A watch that brings nothing for so long is dead: API servers send a bookmark each minute.
const WATCH_SILENCE_MAX: Duration = Duration::from_secs(150);

/// How to reach an API server and as whom.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// URL, e.g. `https://127.0.0.1:6443`.
    pub url: String,
    /// PEM of the CA that signed the server's certificate.
    pub ca_pem: String,
    /// Client certificate and key, both PEM; absent: `token` or anonymous.
    pub certificate: Option<(String, String)>,
    /// Bearer token, e.g. a bootstrap token.
    pub token: Option<String>,
}

/// An endpoint that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The URL is not one.
    #[error("failed to read the API server's URL {url:?}")]
    Url {
        /// The text.
        url: String,
        /// Why.
        #[source]
        source: http::uri::InvalidUri,
    },
    /// The CA is not PEM.
    #[error("failed to read the API server's CA certificate: not PEM")]
    Ca,
    /// A kubeconfig cannot be used.
    #[error("failed to use the kubeconfig {}", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<kube::config::KubeconfigError>,
    },
    /// TLS refused the CA, the certificate or the key.
    #[error("failed to set up a connection to {url}")]
    Tls {
        /// The server.
        url: String,
        /// Why.
        #[source]
        source: Box<kube::Error>,
    },
}

/// A backend over HTTPS.
pub struct NetworkBackend {
    client: kube::Client,
    url: String,
    ca: Vec<Vec<u8>>,
}

impl NetworkBackend {
    /// Sets up a backend from a kubeconfig file's current context. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`EndpointError`] when the file or what it names cannot be used.
    pub async fn from_kubeconfig(path: &Path) -> Result<Self, EndpointError> {
        let failed = |source: kube::config::KubeconfigError| EndpointError::Kubeconfig {
            path: path.to_owned(),
            source: Box::new(source),
        };
        let kubeconfig = Kubeconfig::read_from(path).map_err(failed)?;
        let options = KubeConfigOptions::default();
        let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(failed)?;
        config.read_timeout = None;
        Self::connect(config)
    }

    /// Sets up a backend; connects on first use. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`EndpointError`] when URL, CA, certificate or key cannot be used.
    pub fn new(endpoint: &Endpoint) -> Result<Self, EndpointError> {
        let url = endpoint.url.parse().map_err(|source| EndpointError::Url { url: endpoint.url.clone(), source })?;
        let mut config = kube::Config::new(url);
        config.root_cert = Some(certificates(&endpoint.ca_pem).ok_or(EndpointError::Ca)?);
        // Watches are silent for as long as nothing changes; they end by the server's own timeout.
        config.read_timeout = None;
        let encode = |pem: &str| base64::engine::general_purpose::STANDARD.encode(pem);
        if let Some((certificate, key)) = &endpoint.certificate {
            config.auth_info.client_certificate_data = Some(encode(certificate));
            config.auth_info.client_key_data = Some(encode(key).into());
        }
        if let Some(token) = &endpoint.token {
            config.auth_info.token = Some(token.clone().into());
        }
        Self::connect(config)
    }

    /// Returns the server's URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the PEM of the CA certificates that the server is checked against.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        let encode = |der: &Vec<u8>| base64::engine::general_purpose::STANDARD.encode(der);
        let pem = |der: &Vec<u8>| format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", encode(der));
        self.ca.iter().map(pem).collect()
    }

    fn connect(config: kube::Config) -> Result<Self, EndpointError> {
        let url = config.cluster_url.to_string();
        let ca = config.root_cert.clone().unwrap_or_default();
        let client = kube::Client::try_from(config)
            .map_err(|source| EndpointError::Tls { url: url.clone(), source: Box::new(source) })?;
        Ok(Self { client, url, ca })
    }

    async fn send(&self, request: &Request) -> Result<http::Response<Body>, Status> {
        let method = match request.verb {
            Verb::Get | Verb::List | Verb::Watch => http::Method::GET,
            Verb::Create => http::Method::POST,
            Verb::Update => http::Method::PUT,
            Verb::Patch => http::Method::PATCH,
            Verb::Delete | Verb::DeleteCollection => http::Method::DELETE,
        };
        let (content_type, body) = if matches!(request.verb, Verb::Delete | Verb::DeleteCollection) {
            ("application/json", Bytes::from(delete_options(&request.options)))
        } else {
            (request.body.content_type.as_str(), request.body.bytes.clone())
        };
        let http_request = http::Request::builder()
            .method(method)
            .uri(path_and_query(request))
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, content_type)
            .body(Body::from(body))
            .map_err(|e| Status::bad_request(e.to_string()))?;
        let answer = self.client.send(http_request).await.map_err(|e| unreachable_server(&e))?;
        if answer.status().as_u16() < 400 {
            return Ok(answer);
        }
        let code = answer.status().as_u16();
        Err(Status::from_answer(code, &collect(answer).await?))
    }
}

impl Backend for NetworkBackend {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Response, Status>> {
        let exchange = async move {
            let answer = self.send(&request).await?;
            let created = answer.status() == http::StatusCode::CREATED;
            let bytes = collect(answer).await?;
            if request.verb == Verb::List {
                return parse_list(&bytes).map(Response::List);
            }
            let object = Object::parse(bytes.clone()).map_err(|e| malformed(&e))?;
            if object.meta().kind == "Status" {
                let status = serde_json::from_slice(&bytes).map_err(|e| malformed(&e))?;
                return Ok(Response::Status(status));
            }
            Ok(if created { Response::Created(object) } else { Response::Object(object) })
        };
        within(exchange).boxed()
    }

    fn watch(&self, request: Request) -> BoxFuture<'_, Result<WatchStream, Status>> {
        async move { Ok(events(within(self.send(&request)).await?.into_body())) }.boxed()
    }
}

async fn within<T>(exchange: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    let silent = |_| Status::unavailable(format!("the API server did not answer in {} s", ANSWER_WITHIN.as_secs()));
    tokio::time::timeout(ANSWER_WITHIN, exchange).await.map_err(silent)?
}

/// Cuts a watch's body into lines and each line into an event; ends with the body, the first bad line or a long silence.
fn events(body: Body) -> BoxStream<'static, Event> {
    let state = (BodyStream::new(body), BytesMut::new(), false);
    stream::unfold(state, |(mut body, mut buffer, failed)| async move {
        if failed {
            return None;
        }
        loop {
            if let Some(end) = buffer.iter().position(|b| *b == b'\n') {
                let line = buffer.split_to(end + 1).freeze();
                let event = parse_event(&line).unwrap_or_else(Event::Error);
                let failed = matches!(event, Event::Error(_));
                return Some((event, (body, buffer, failed)));
            }
            let frame = match tokio::time::timeout(WATCH_SILENCE_MAX, body.next()).await {
                Ok(frame) => frame?,
                Err(_) => {
                    let status = Status::unavailable("the watch fell silent");
                    return Some((Event::Error(status), (body, buffer, true)));
                }
            };
            match frame {
                Ok(frame) => buffer.extend_from_slice(frame.data_ref().map_or(&[][..], |d| d)),
                Err(error) => {
                    let status = Status::unavailable(format!("the watch broke off: {}", chain(&error)));
                    return Some((Event::Error(status), (body, buffer, true)));
                }
            }
        }
    })
    .boxed()
}

fn parse_event(line: &Bytes) -> Result<Event, Status> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        r#type: &'a str,
        #[serde(borrow)]
        object: &'a RawValue,
    }
    let wire: Wire<'_> = serde_json::from_slice(line).map_err(|e| malformed(&e))?;
    let object = line.slice_ref(wire.object.get().as_bytes());
    match EventType::parse(wire.r#type) {
        Some(kind) => Ok(Event::Object(kind, Object::parse(object).map_err(|e| malformed(&e))?)),
        None => Ok(Event::Error(Status::from_answer(500, &object))),
    }
}

fn parse_list(bytes: &Bytes) -> Result<List, Status> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(default)]
        metadata: ListMeta,
        #[serde(borrow, default)]
        items: Option<Vec<&'a RawValue>>,
    }
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct ListMeta {
        resource_version: String,
        r#continue: String,
        remaining_item_count: Option<u64>,
    }
    let wire: Wire<'_> = serde_json::from_slice(bytes).map_err(|e| malformed(&e))?;
    // Each item is copied, so that keeping one object does not keep the whole list.
    let items = wire
        .items
        .unwrap_or_default()
        .into_iter()
        .map(|raw| Object::parse(Bytes::copy_from_slice(raw.get().as_bytes())).map_err(|e| malformed(&e)))
        .collect::<Result<_, _>>()?;
    Ok(List {
        revision: Revision(wire.metadata.resource_version.parse().unwrap_or(0)),
        items,
        continue_token: wire.metadata.r#continue,
        remaining: wire.metadata.remaining_item_count,
    })
}

async fn collect(answer: http::Response<Body>) -> Result<Bytes, Status> {
    answer.into_body().collect().await.map(http_body_util::Collected::to_bytes).map_err(|e| unreachable_server(&e))
}

fn certificates(pem: &str) -> Option<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    let mut rest = pem;
    while let Some((_, after)) = rest.split_once("-----BEGIN CERTIFICATE-----") {
        let (body, after) = after.split_once("-----END CERTIFICATE-----")?;
        let text: String = body.split_whitespace().collect();
        all.push(base64::engine::general_purpose::STANDARD.decode(text).ok()?);
        rest = after;
    }
    (!all.is_empty()).then_some(all)
}

fn unreachable_server(error: &kube::Error) -> Status {
    Status::unavailable(format!("the API server does not answer: {}", chain(error)))
}

fn malformed(error: &dyn std::error::Error) -> Status {
    Status::internal(format_args!("the API server's answer cannot be read: {}", chain(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body_of(chunks: &[&'static str]) -> Body {
        let joined: String = chunks.concat();
        Body::from(joined.into_bytes())
    }

    #[tokio::test]
    async fn a_watch_body_is_cut_into_events_and_ends_at_an_error() {
        let body = body_of(&[
            r#"{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"5"}}}"#,
            "\n",
            r#"{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}"#,
            "\n",
            r#"{"type":"ADDED","object":{"metadata":{"name":"never"}}}"#,
            "\n",
        ]);
        let all: Vec<Event> = events(body).collect().await;
        assert_eq!(all.len(), 2);
        assert!(matches!(&all[0], Event::Object(EventType::Added, o) if o.meta().revision() == Revision(5)));
        assert!(matches!(&all[1], Event::Error(s) if s.code == 410));
    }

    #[test]
    fn lists_keep_their_revision_and_continue_token() {
        let body = br#"{"metadata":{"resourceVersion":"9","continue":"t","remainingItemCount":3},"items":[{"metadata":{"name":"a"}}]}"#;
        let list = parse_list(&Bytes::from_static(body)).unwrap();
        assert_eq!((list.revision, list.items.len(), list.remaining), (Revision(9), 1, Some(3)));
        assert_eq!(parse_list(&Bytes::from_static(br#"{"metadata":{},"items":null}"#)).unwrap().items.len(), 0);
    }

    #[test]
    fn a_ca_that_is_not_pem_is_refused() {
        assert!(certificates("nothing").is_none());
        let pem = "-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n";
        assert_eq!(certificates(&pem.repeat(2)).unwrap(), vec![vec![0, 1, 2]; 2]);
    }

    #[tokio::test]
    async fn a_watch_that_falls_silent_ends() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut config = kube::Config::new(url.parse().unwrap());
        // As with a server whose machine is gone: no timeout but ours.
        (config.connect_timeout, config.read_timeout) = (None, None);
        let backend = NetworkBackend::connect(config).unwrap();
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert!(stream.read(&mut [0; 4_096]).await.unwrap() > 0);
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
            std::future::pending::<()>().await;
        };
        let request = Request::new(Verb::Watch, &km_api::resource::CONFIG_MAPS, "d", "");
        let watch = async {
            let events = backend.watch(request).await.unwrap();
            tokio::time::pause();
            events.collect::<Vec<Event>>().await
        };
        let all = tokio::select! {
            all = watch => all,
            () = server => unreachable!("the server says nothing more"),
        };
        assert!(matches!(all.as_slice(), [Event::Error(status)] if status.retryable()), "{all:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_never_comes_is_not_waited_for() {
        let outcome = within::<()>(futures::future::pending()).await;
        assert!(outcome.is_err_and(|status| status.retryable()));
    }
}
