//! The kubelet endpoints: logs, exec, attach, port-forward, for the API server alone.
//!
//! Logs are read from the files here. For the streaming ones the runtime hands out a URL, and the upgraded
//! connection is tunnelled to it: WebSocket and SPDY pass through as bytes.

mod query;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, HOST, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use km_base::{ObjectKey, Timestamp, Uid, chain};
use km_cri::logs::{LogOptions, LogReader, Stream};
use km_cri::pb;
use km_kinds::Codec as _;
use km_net::body::{self, Body};
use km_net::pki::Credential;
use km_net::{PeerCertificate, ServeConfig, Shutdown, TaskSet, serve_tls, tls};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tracing::{debug, warn};

use crate::context::{Context, now};
use crate::owner::{Found, Message};
use crate::relist::log_path;
use crate::server::query::Query;

/// The user that the API server is to its nodes.
const API_SERVER: &str = "kube-apiserver-kubelet-client";
/// Wait between attempts to listen; the port is the executor's by Mesos's offer, but may be held for a moment.
const LISTEN_EVERY: Duration = Duration::from_secs(1);
/// How often a followed container is looked at, to know that its log is complete.
const ENDED_EVERY: Duration = Duration::from_millis(300);
/// Pieces of a log that may wait for a slow reader.
const LOG_PIECES_MAX: usize = 16;
/// The protocol of remote commands that containerd 1.6 does not know, and the one before it.
const V5: &str = "v5.channel.k8s.io";
const V4: &str = "v4.channel.k8s.io";
const WEBSOCKET_PROTOCOL: &str = "sec-websocket-protocol";

/// An answer that is an error: code and text.
struct Failure(StatusCode, String);

/// Serves until shutdown.
pub(crate) async fn serve(ctx: Arc<Context>, serving: Credential, tasks: TaskSet) {
    let shutdown = tasks.shutdown();
    let tls = match tls::server_config(&serving, Some(&ctx.data.api_server_ca)) {
        Ok(tls) => tls,
        Err(error) => return warn!(error = %chain(&error), "the kubelet endpoints cannot be served"),
    };
    let Some(listener) = listen(&ctx, &shutdown).await else { return };
    let endpoints = Arc::new(Endpoints { ctx, tasks });
    let service = move |request: Request<Body>| {
        let endpoints = Arc::clone(&endpoints);
        async move { endpoints.answer(request).await }
    };
    serve_tls(listener, tls, Arc::new(service), ServeConfig::usual(), shutdown).await;
}

async fn listen(ctx: &Context, shutdown: &Shutdown) -> Option<TcpListener> {
    let address = (ctx.data.node_ip.as_str(), ctx.data.kubelet_port);
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return Some(listener),
            Err(error) => warn!(?address, %error, "failed to listen for the kubelet endpoints"),
        }
        tokio::select! {
            () = tokio::time::sleep(LISTEN_EVERY) => {}
            () = shutdown.begun() => return None,
        }
    }
}

struct Endpoints {
    ctx: Arc<Context>,
    tasks: TaskSet,
}

impl Endpoints {
    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let outcome = match authorize(&request) {
            Ok(()) => self.route(request).await,
            Err(failure) => Err(failure),
        };
        outcome.unwrap_or_else(|Failure(code, text)| plain(code, text))
    }

    async fn route(&self, request: Request<Body>) -> Result<Response<Body>, Failure> {
        let path = request.uri().path().to_owned();
        let query = Query::parse(request.uri().query().unwrap_or_default());
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        match parts.as_slice() {
            ["healthz"] => Ok(plain(StatusCode::OK, "ok".into())),
            ["metrics"] => self.metrics().await,
            ["pods"] => self.pods().await,
            ["containerLogs", namespace, pod, container] => {
                self.logs(&ObjectKey::namespaced(*namespace, *pod), container, &query).await
            }
            ["exec", namespace, pod, container] => {
                let id = self.running(&ObjectKey::namespaced(*namespace, *pod), container).await?;
                let exec = pb::ExecRequest {
                    container_id: id,
                    cmd: query.all("command"),
                    tty: query.is("tty"),
                    stdin: query.is("input"),
                    stdout: query.is("output"),
                    // A terminal has one output (CRI refuses both).
                    stderr: query.is("error") && !query.is("tty"),
                };
                let url = self.ctx.runtime.cri.exec(exec).await.map_err(runtime_failed)?;
                self.tunnel(url, request, !query.is("input")).await
            }
            ["attach", namespace, pod, container] => {
                let id = self.running(&ObjectKey::namespaced(*namespace, *pod), container).await?;
                let attach = pb::AttachRequest {
                    container_id: id,
                    stdin: query.is("input"),
                    tty: query.is("tty"),
                    stdout: query.is("output"),
                    stderr: query.is("error") && !query.is("tty"),
                };
                let url = self.ctx.runtime.cri.attach(attach).await.map_err(runtime_failed)?;
                self.tunnel(url, request, !query.is("input")).await
            }
            ["portForward", namespace, pod] => {
                let found = self.find(&ObjectKey::namespaced(*namespace, *pod), "").await?;
                let sandbox = found.sandbox.ok_or_else(|| not_found(format!("pod {pod:?} is not running")))?;
                let forward = pb::PortForwardRequest { pod_sandbox_id: sandbox, port: Vec::new() };
                let url = self.ctx.runtime.cri.port_forward(forward).await.map_err(runtime_failed)?;
                self.tunnel(url, request, false).await
            }
            _ => Err(not_found("404 page not found".into())),
        }
    }

    async fn find(&self, key: &ObjectKey, container: &str) -> Result<Found, Failure> {
        look(&self.ctx, key, container).await.ok_or_else(|| not_found(format!("pod {:?} not found", key.name)))
    }

    /// Returns the id of a container that runs.
    async fn running(&self, key: &ObjectKey, container: &str) -> Result<String, Failure> {
        let found = self.find(key, container).await?;
        match found.container {
            Some((id, true)) => Ok(id),
            _ => Err(not_found(format!("container not found ({container:?})"))),
        }
    }

    async fn pods(&self) -> Result<Response<Body>, Failure> {
        let (reply, pods) = oneshot::channel();
        self.ctx.messages.send(Message::List { reply }).await.map_err(|_| ending())?;
        let pods = pods.await.map_err(|_| ending())?;
        let mut text = br#"{"kind":"PodList","apiVersion":"v1","metadata":{},"items":["#.to_vec();
        for (at, pod) in pods.iter().enumerate() {
            if at > 0 {
                text.push(b',');
            }
            text.extend(pod.encode());
        }
        text.extend(b"]}");
        let mut response = Response::new(body::full(text));
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
        Ok(response)
    }

    async fn metrics(&self) -> Result<Response<Body>, Failure> {
        let (reply, pods) = oneshot::channel();
        self.ctx.messages.send(Message::List { reply }).await.map_err(|_| ending())?;
        let pods = pods.await.map_err(|_| ending())?;
        let tasks = self.tasks.len();
        let text = format!(
            "# TYPE km_executor_pods gauge\nkm_executor_pods {}\n# TYPE km_executor_tasks gauge\nkm_executor_tasks {tasks}\n# EOF\n",
            pods.len()
        );
        Ok(plain(StatusCode::OK, text))
    }

    async fn logs(&self, key: &ObjectKey, container: &str, query: &Query) -> Result<Response<Body>, Failure> {
        let found = self.find(key, container).await?;
        let name = &key.name;
        if !found.known {
            return Err(not_found(format!("container {container:?} not found in pod {name:?}")));
        }
        let waiting = || {
            let text = format!("container {container:?} in pod {name:?} is waiting to start: ContainerCreating");
            Failure(StatusCode::BAD_REQUEST, text)
        };
        let newest = found.attempt.ok_or_else(waiting)?;
        let attempt = if query.is("previous") {
            let previous = || format!("previous terminated container {container:?} in pod {name:?} not found");
            newest.checked_sub(1).ok_or_else(|| Failure(StatusCode::BAD_REQUEST, previous()))?
        } else {
            newest
        };
        let follow = query.is("follow") && !query.is("previous");
        let options = log_options(query, follow)?;
        let path = log_path(&self.ctx.dirs, key, &found.uid, container, attempt);
        let (ended, is_ended) = watch::channel(!follow);
        let reader = open(&path, options, is_ended).await.ok_or_else(waiting)?;
        if follow {
            let watcher =
                watch_end(Arc::clone(&self.ctx), key.clone(), container.to_owned(), found.uid, attempt, ended);
            self.tasks.spawn_contained("watch a followed container", watcher);
        }
        let (sender, text) = body::channel(LOG_PIECES_MAX);
        self.tasks.spawn_contained("send a log", send_log(reader, sender, self.tasks.shutdown()));
        let mut response = Response::new(text);
        response.headers_mut().insert("content-type", HeaderValue::from_static("text/plain"));
        Ok(response)
    }

    /// Connects the caller's upgraded connection with the runtime's.
    async fn tunnel(
        &self,
        url: String,
        mut request: Request<Body>,
        output_only: bool,
    ) -> Result<Response<Body>, Failure> {
        let caller = hyper::upgrade::on(&mut request);
        let (mut head, _) = request.into_parts();
        head.headers.remove(HOST);
        let lowered = output_only && lower_protocol(&mut head.headers);
        let mut outgoing = Request::builder().method(head.method).uri(url);
        if let Some(headers) = outgoing.headers_mut() {
            *headers = head.headers;
        }
        let outgoing = outgoing.body(body::empty()).map_err(|error| internal(error.to_string()))?;
        let mut response = self.ctx.http.send(outgoing).await.map_err(|error| internal(chain(&error).to_string()))?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            response.headers_mut().remove(CONNECTION);
            return Ok(response);
        }
        let runtime = hyper::upgrade::on(&mut response);
        self.tasks.spawn_contained("tunnel to the runtime", async move {
            match futures::future::try_join(caller, runtime).await {
                Ok((caller, runtime)) => {
                    let (mut caller, mut runtime) = (TokioIo::new(caller), TokioIo::new(runtime));
                    if let Err(error) = tokio::io::copy_bidirectional(&mut caller, &mut runtime).await {
                        debug!(%error, "a tunnel to the runtime broke");
                    }
                }
                Err(error) => debug!(error = %chain(&error), "a connection was not upgraded"),
            }
        });
        let (mut head, _) = response.into_parts();
        if lowered {
            head.headers.insert(WEBSOCKET_PROTOCOL, HeaderValue::from_static(V5));
        }
        Ok(Response::from_parts(head, body::empty()))
    }
}

/// Rewrites an offer of v5 alone to v4: what v5 adds is closing standard input, so without input they are the same.
///
/// With input the offer passes as it is; a runtime that refuses it makes kubectl fall back to SPDY, which can close.
fn lower_protocol(headers: &mut HeaderMap) -> bool {
    let offered: Vec<&str> = headers
        .get_all(WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    let only_v5 = headers.contains_key(UPGRADE) && offered == [V5];
    if only_v5 {
        headers.insert(WEBSOCKET_PROTOCOL, HeaderValue::from_static(V4));
    }
    only_v5
}

fn authorize(request: &Request<Body>) -> Result<(), Failure> {
    match request.extensions().get::<PeerCertificate>() {
        None => Err(Failure(StatusCode::UNAUTHORIZED, "Unauthorized".into())),
        Some(peer) if peer.common_name == API_SERVER => Ok(()),
        Some(peer) => {
            let text = format!("Forbidden (user={}, resource=nodes, subresource=proxy)", peer.common_name);
            Err(Failure(StatusCode::FORBIDDEN, text))
        }
    }
}

async fn look(ctx: &Context, key: &ObjectKey, container: &str) -> Option<Found> {
    let (reply, found) = oneshot::channel();
    let message = Message::Find { key: key.clone(), container: container.to_owned(), reply };
    ctx.messages.send(message).await.ok()?;
    found.await.ok()?
}

fn log_options(query: &Query, follow: bool) -> Result<LogOptions, Failure> {
    let number = |name: &str| match query.first(name) {
        None => Ok(None),
        Some(text) => text
            .parse::<u64>()
            .map(Some)
            .map_err(|_| Failure(StatusCode::BAD_REQUEST, format!("invalid value of {name}: {text:?}"))),
    };
    let since = match (number("sinceSeconds")?, query.first("sinceTime")) {
        (Some(seconds), _) => Some(now().saturating_sub(Duration::from_secs(seconds))),
        (None, Some(text)) => {
            Some(Timestamp::parse(text).map_err(|error| Failure(StatusCode::BAD_REQUEST, error.to_string()))?)
        }
        (None, None) => None,
    };
    let stream = match query.first("stream") {
        Some("Stdout") => Some(Stream::Stdout),
        Some("Stderr") => Some(Stream::Stderr),
        _ => None,
    };
    Ok(LogOptions {
        tail_lines: number("tailLines")?,
        since,
        limit_bytes: number("limitBytes")?,
        timestamps: query.is("timestamps"),
        stream,
        follow,
    })
}

/// Opens a log; the runtime makes the file when the container starts, which may be this moment.
async fn open(path: &Path, options: LogOptions, ended: watch::Receiver<bool>) -> Option<LogReader> {
    match LogReader::open(path, options, ended).await {
        Ok(reader) => Some(reader),
        Err(error) => {
            debug!(error = %chain(&error), "no log");
            None
        }
    }
}

/// Says when a followed run is over.
async fn watch_end(
    ctx: Arc<Context>,
    key: ObjectKey,
    container: String,
    uid: Uid,
    attempt: u32,
    ended: watch::Sender<bool>,
) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(ENDED_EVERY) => {}
            () = ended.closed() => return,
        }
        let found = look(&ctx, &key, &container).await;
        let runs = found.is_some_and(|found| {
            let runs = found.container.is_some_and(|(_, runs)| runs);
            found.uid == uid && found.attempt == Some(attempt) && runs
        });
        if !runs {
            ended.send_replace(true);
            return;
        }
    }
}

async fn send_log(mut reader: LogReader, sender: body::BodySender, shutdown: Shutdown) {
    loop {
        let piece = tokio::select! {
            piece = reader.next() => piece,
            () = shutdown.begun() => return,
        };
        match piece {
            Ok(Some(bytes)) => {
                if sender.send(bytes).await.is_err() {
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => return sender.fail(Box::new(error)).await,
        }
    }
}

fn plain(code: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(body::full(text));
    *response.status_mut() = code;
    response.headers_mut().insert("content-type", HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn not_found(text: String) -> Failure {
    Failure(StatusCode::NOT_FOUND, text)
}

fn internal(text: String) -> Failure {
    Failure(StatusCode::INTERNAL_SERVER_ERROR, text)
}

fn ending() -> Failure {
    Failure(StatusCode::SERVICE_UNAVAILABLE, "the executor is ending".into())
}

fn runtime_failed(error: km_cri::CriError) -> Failure {
    internal(chain(&error).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_offer_of_v5_alone_is_lowered() {
        for (offer, lowered) in [(V5, true), (V4, false), ("v5.channel.k8s.io, v4.channel.k8s.io", false)] {
            let mut headers = HeaderMap::new();
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(WEBSOCKET_PROTOCOL, offer.parse().unwrap());
            assert_eq!(lower_protocol(&mut headers), lowered, "{offer}");
            let left = headers[WEBSOCKET_PROTOCOL].to_str().unwrap();
            assert_eq!(left, if lowered { V4 } else { offer });
        }
    }

    #[test]
    fn only_the_api_server_is_let_in() {
        let request = |name: Option<&str>| {
            let mut request = Request::new(body::empty());
            if let Some(name) = name {
                let peer = PeerCertificate { common_name: name.into(), organizations: vec!["system:masters".into()] };
                request.extensions_mut().insert(peer);
            }
            authorize(&request).err().map(|Failure(code, _)| code.as_u16())
        };
        assert_eq!(request(None), Some(401));
        assert_eq!(request(Some("system:node:other")), Some(403));
        assert_eq!(request(Some(API_SERVER)), None);
    }
}
