//! The artifact server: what agents and executors fetch, and what people look at.
//!
//! Plain HTTP: the Mesos fetcher knows no CA of ours. Nothing here is secret, and nothing can be changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode, request};
use km_net::body::{self, Body};
use km_net::serve::Answer;
use km_net::{Service, TaskSet};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;
use tokio::sync::{OnceCell, mpsc, oneshot};
use tracing::warn;

use crate::debug::{Query, Snapshot};
use crate::images::Images;

/// Bytes read at a time, and how many such pieces wait for a slow reader.
const PIECE_BYTES: usize = 256 << 10;
const PIECES_MAX: usize = 4;

/// The server's parts; the owner answers what it alone knows.
pub(crate) struct Artifacts {
    shared: Arc<Shared>,
}

struct Shared {
    binary: PathBuf,
    images: Option<Arc<Images>>,
    queries: mpsc::Sender<Query>,
    tasks: TaskSet,
    binary_sha256: OnceCell<String>,
}

impl Artifacts {
    pub(crate) fn new(binary: PathBuf, images: Option<PathBuf>, queries: mpsc::Sender<Query>, tasks: TaskSet) -> Self {
        let images = images.map(|folder| Arc::new(Images::new(folder)));
        Self { shared: Arc::new(Shared { binary, images, queries, tasks, binary_sha256: OnceCell::new() }) }
    }
}

impl Service for Artifacts {
    fn call(&self, request: Request<Body>) -> Answer {
        let shared = Arc::clone(&self.shared);
        let (head, _) = request.into_parts();
        Box::pin(async move { shared.answer(&head).await })
    }
}

impl Shared {
    async fn answer(&self, request: &request::Parts) -> Response<Body> {
        let head = request.method == Method::HEAD;
        if !head && request.method != Method::GET {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        }
        let path = request.uri.path();
        match path {
            "/healthz" => text(StatusCode::OK, "ok"),
            "/km" => self.file(&self.binary, head).await,
            "/km.sha256" => self.sha256().await,
            "/images/index.json" => self.image_index().await,
            "/metrics" => self.shown(Snapshot::metrics).await,
            "/debug/registry/tasks" if wants_json(request) => self.json(|s| serde_json::to_vec(&s.tasks)).await,
            "/debug/registry/tasks" => self.shown(Snapshot::tasks_text).await,
            "/debug/scheduler/podqueue" if wants_json(request) => self.json(|s| serde_json::to_vec(&s.waiting)).await,
            "/debug/scheduler/podqueue" => self.shown(Snapshot::queue_text).await,
            "/debug/status" => self.json(serde_json::to_vec).await,
            _ => match path.strip_prefix("/images/").and_then(|name| self.images.as_ref()?.path(name)) {
                Some(path) => self.file(&path, head).await,
                None => text(StatusCode::NOT_FOUND, "not found\n"),
            },
        }
    }

    async fn sha256(&self) -> Response<Body> {
        let binary = self.binary.clone();
        let digest = self
            .binary_sha256
            .get_or_try_init(|| async {
                let read = tokio::task::spawn_blocking(move || {
                    let mut hash = Sha256::new();
                    std::io::copy(&mut std::fs::File::open(binary)?, &mut hash)?;
                    Ok::<_, std::io::Error>(hash.finalize().iter().map(|b| format!("{b:02x}")).collect::<String>())
                });
                read.await.map_err(std::io::Error::other)?
            })
            .await;
        match digest {
            Ok(digest) => text(StatusCode::OK, format!("{digest}  km\n")),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        }
    }

    async fn image_index(&self) -> Response<Body> {
        let Some(images) = self.images.clone() else { return json_bytes(&b"[]"[..]) };
        match tokio::task::spawn_blocking(move || images.index()).await {
            Ok(index) => json_bytes(serde_json::to_vec(&index).unwrap_or_default()),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        }
    }

    async fn shown(&self, show: impl FnOnce(&Snapshot) -> String) -> Response<Body> {
        match self.snapshot().await {
            Some(snapshot) => text(StatusCode::OK, show(&snapshot)),
            None => text(StatusCode::SERVICE_UNAVAILABLE, "the framework is stopping\n"),
        }
    }

    async fn json(&self, show: impl FnOnce(&Snapshot) -> serde_json::Result<Vec<u8>>) -> Response<Body> {
        match self.snapshot().await.map(|snapshot| show(&snapshot)) {
            Some(Ok(bytes)) => json_bytes(bytes),
            Some(Err(error)) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
            None => text(StatusCode::SERVICE_UNAVAILABLE, "the framework is stopping\n"),
        }
    }

    async fn snapshot(&self) -> Option<Snapshot> {
        let (answer, answered) = oneshot::channel();
        self.queries.send(answer).await.ok()?;
        answered.await.ok()
    }

    async fn file(&self, path: &Path, head: bool) -> Response<Body> {
        let opened = async {
            let file = tokio::fs::File::open(path).await?;
            let length = file.metadata().await?.len();
            Ok::<_, std::io::Error>((file, length))
        };
        let (mut file, length) = match opened.await {
            Ok(opened) => opened,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return text(StatusCode::NOT_FOUND, "not found\n");
            }
            Err(error) => {
                warn!(path = %path.display(), %error, "failed to serve a file");
                return text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n"));
            }
        };
        let body = if head {
            body::empty()
        } else {
            let (sender, body) = body::channel(PIECES_MAX);
            // Ends with the file or with its reader, whichever comes first.
            self.tasks.spawn_contained("artifact transfer", async move {
                loop {
                    let mut piece = Vec::with_capacity(PIECE_BYTES);
                    match (&mut file).take(PIECE_BYTES as u64).read_to_end(&mut piece).await {
                        Ok(0) => return,
                        Ok(_) => {
                            if sender.send(Bytes::from(piece)).await.is_err() {
                                return;
                            }
                        }
                        Err(error) => return sender.fail(error.into()).await,
                    }
                }
            });
            body
        };
        let mut response = Response::new(body);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
        response
    }
}

fn wants_json(request: &request::Parts) -> bool {
    let accepts = |value: &HeaderValue| value.to_str().is_ok_and(|v| v.contains("application/json"));
    request.headers.get(ACCEPT).is_some_and(accepts)
}

fn text(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    let mut response = Response::new(body::full(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn json_bytes(bytes: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(body::full(bytes.into()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
