//! Accept loops: TLS or plain, HTTP/1.1 and HTTP/2, upgrades, limits, and draining on shutdown.
//!
//! Each connection is a task. The service gets the request with [`Peer`] and, where TLS verified one,
//! [`PeerCertificate`] as extensions; `hyper::upgrade::on(&mut request)` works.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{debug, warn};

use crate::body::Body;
use crate::pki::{self, PeerCertificate};
use crate::task::{Shutdown, TaskSet};

/// Wait after an accept that failed for want of file descriptors, so that the loop does not spin.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// Streams per HTTP/2 connection: as k8s 1.33's --http2-max-streams-per-connection, whose default is 1000.
const STREAMS_MAX: u32 = 1_000;

/// Limits of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServeConfig {
    /// Time for the TLS handshake, for the first request, and for each HTTP/1.1 request's headers.
    pub header_timeout_ms: u64,
    /// Connections served at once; more wait in the listen queue.
    pub connections_max: usize,
    /// Interval and patience of HTTP/2 pings, which find dead clients.
    pub keep_alive_ms: u64,
    /// Time for requests in flight to end on shutdown, before their connections are dropped.
    pub drain_ms: u64,
}

impl ServeConfig {
    /// The usual values.
    #[must_use]
    pub fn usual() -> Self {
        // 10,000 connections: 5,000 agents' watches and as many callers, within a usual file limit of 20,000.
        Self { header_timeout_ms: 30_000, connections_max: 10_000, keep_alive_ms: 30_000, drain_ms: 5_000 }
    }
}

/// Where a request's connection came from; an extension of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// A pending answer.
pub type Answer = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// What answers requests; it cannot fail, an error is a response. Any closure of that shape is one.
pub trait Service: Send + Sync + 'static {
    /// Answers one request.
    fn call(&self, request: Request<Body>) -> Answer;
}

impl<F, R> Service for F
where
    F: Fn(Request<Body>) -> R + Send + Sync + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    fn call(&self, request: Request<Body>) -> Answer {
        Box::pin(self(request))
    }
}

/// Serves HTTPS until shutdown begins and the connections have drained.
pub async fn serve_tls(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    service: Arc<dyn Service>,
    config: ServeConfig,
    shutdown: Shutdown,
) {
    accept(listener, Some(TlsAcceptor::from(tls)), service, config, shutdown).await;
}

/// Serves HTTP until shutdown begins and the connections have drained.
pub async fn serve_plain(listener: TcpListener, service: Arc<dyn Service>, config: ServeConfig, shutdown: Shutdown) {
    accept(listener, None, service, config, shutdown).await;
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    service: Arc<dyn Service>,
    config: ServeConfig,
    shutdown: Shutdown,
) {
    let shutdown = shutdown.child();
    let connections = TaskSet::new(shutdown.clone());
    let room = Arc::new(Semaphore::new(config.connections_max));
    let drain = Duration::from_millis(config.drain_ms);
    let server =
        Arc::new(Server { tls, service, config, shutdown: shutdown.clone(), connections: connections.clone() });
    loop {
        let next = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            next = next => next,
            () = shutdown.begun() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let server = Arc::clone(&server);
                connections.spawn_contained(format!("connection of {peer}"), async move {
                    server.connection(stream, peer).await;
                    drop(permit);
                });
            }
            Err(error) => {
                warn!(%error, "failed to accept a connection");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
    // New callers are refused at once, not left in the listen queue.
    drop(listener);
    if let Err(error) = connections.finish(drain).await {
        debug!(%error, "connections were cut");
    }
}

/// What Go's servers answer to who forgot the s of https.
const PLAIN_HTTP_ANSWER: &[u8] = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

/// Begins TLS; `None` when the client began with HTTP, and was told.
async fn handshake(acceptor: &TlsAcceptor, mut stream: TcpStream) -> io::Result<Option<TlsStream<TcpStream>>> {
    let mut first = [0];
    // A TLS record begins with its type, 22 for a handshake (RFC 8446, 5.1), a request with its method.
    if stream.peek(&mut first).await? == 0 || !first[0].is_ascii_uppercase() {
        return acceptor.accept(stream).await.map(Some);
    }
    // What is left unread would reset the connection before the answer is read.
    let _request = stream.read(&mut [0; 4096]).await?;
    stream.write_all(PLAIN_HTTP_ANSWER).await?;
    stream.shutdown().await?;
    Ok(None)
}

struct Server {
    tls: Option<TlsAcceptor>,
    service: Arc<dyn Service>,
    config: ServeConfig,
    shutdown: Shutdown,
    connections: TaskSet,
}

/// Runs the streams of HTTP/2 connections.
#[derive(Clone)]
struct Streams(TaskSet);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, stream: F) {
        self.0.spawn_contained("HTTP/2 stream", stream);
    }
}

impl Server {
    async fn connection(&self, stream: TcpStream, peer: SocketAddr) {
        // Answers are written whole; waiting for more bytes only delays them.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%peer, %error, "connection is gone");
            return;
        }
        let Some(acceptor) = &self.tls else {
            return self.http(stream, peer, None).await;
        };
        match timeout(self.header_timeout(), handshake(acceptor, stream)).await {
            Err(_) => debug!(%peer, "TLS handshake took too long"),
            Ok(Err(error)) => debug!(%peer, %error, "TLS handshake failed"),
            Ok(Ok(None)) => debug!(%peer, "spoke HTTP where TLS is spoken"),
            Ok(Ok(Some(stream))) => {
                let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                match leaf.map(|leaf| pki::peer_of(leaf)).transpose() {
                    Ok(certificate) => self.http(stream, peer, certificate).await,
                    Err(error) => debug!(%peer, error = %km_base::chain(&error), "client certificate is unreadable"),
                }
            }
        }
    }

    async fn http<I>(&self, stream: I, peer: SocketAddr, certificate: Option<PeerCertificate>)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let asked = Arc::new(AtomicBool::new(false));
        let service = {
            let (service, asked) = (Arc::clone(&self.service), Arc::clone(&asked));
            hyper::service::service_fn(move |request: Request<Incoming>| {
                asked.store(true, Ordering::Relaxed);
                let mut request = request.map(|body| body.map_err(Into::into).boxed_unsync());
                request.extensions_mut().insert(Peer(peer));
                if let Some(certificate) = &certificate {
                    request.extensions_mut().insert(certificate.clone());
                }
                let answer = service.call(request);
                async move { Ok::<_, Infallible>(answer.await) }
            })
        };
        let builder = self.builder();
        let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
        let mut first = pin!(tokio::time::sleep(self.header_timeout()));
        let (mut waits_for_first, mut draining) = (true, false);
        let outcome = loop {
            tokio::select! {
                outcome = connection.as_mut() => break outcome,
                () = self.shutdown.begun(), if !draining => {
                    draining = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = first.as_mut(), if waits_for_first => {
                    waits_for_first = false;
                    if !asked.load(Ordering::Relaxed) {
                        return debug!(%peer, "connection sent no request in time");
                    }
                }
            }
        };
        if let Err(error) = outcome {
            debug!(%peer, %error, "connection ended");
        }
    }

    fn builder(&self) -> auto::Builder<Streams> {
        let keep_alive = Duration::from_millis(self.config.keep_alive_ms);
        let mut builder = auto::Builder::new(Streams(self.connections.clone()));
        builder.http1().timer(TokioTimer::new()).header_read_timeout(self.header_timeout());
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .keep_alive_interval(keep_alive)
            .keep_alive_timeout(keep_alive);
        builder
    }

    fn header_timeout(&self) -> Duration {
        Duration::from_millis(self.config.header_timeout_ms)
    }
}
