//! One body type for requests and responses, on the wire and in process; reading with a bound; streaming.

use std::convert::Infallible;
use std::error::Error;

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Body as _, Frame};
use tokio::sync::mpsc;

/// Why a body broke off.
pub type BodyError = Box<dyn Error + Send + Sync>;

/// The body of every request and response here.
pub type Body = UnsyncBoxBody<Bytes, BodyError>;

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadBodyError {
    /// There is more than the reader takes.
    #[error("the body is larger than {bytes_max} bytes")]
    TooLarge {
        /// The bound.
        bytes_max: usize,
    },
    /// The sender went away or the stream is malformed.
    #[error("failed to read the body")]
    Transport(#[source] BodyError),
}

/// Returns a body of these bytes.
#[must_use]
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// Returns a body of nothing.
#[must_use]
pub fn empty() -> Body {
    Empty::new().map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// Most bytes of a body that is too large which are read and dropped.
///
/// Over HTTP/2 a request whose body is let go before its answer is reset, and the client may never see the answer
/// (curl 7.88 does not); so the ordinary mistake gets one, and who sends without end is cut off.
const DRAINED_BYTES_MAX: u64 = 16 << 20;

/// Reads a whole body of at most `bytes_max` bytes. Of one that is larger, a bounded part of the rest is dropped first,
/// so that the sender is listening when it is refused.
///
/// # Errors
/// `TooLarge`, or `Transport` with the cause.
pub async fn read_limited(mut body: Body, bytes_max: usize) -> Result<Bytes, ReadBodyError> {
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(drained(body, bytes_max).await);
    }
    let mut whole = BytesMut::new();
    let mut only = None;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(ReadBodyError::Transport)?.into_data() else { continue };
        if only.as_ref().map_or(whole.len(), Bytes::len) + data.len() > bytes_max {
            drop((whole, only));
            return Err(drained(body, bytes_max).await);
        }
        // Most bodies come in one piece, which then is not copied.
        if whole.is_empty() && only.is_none() {
            only = Some(data);
        } else {
            whole.extend(only.take());
            whole.extend_from_slice(&data);
        }
    }
    Ok(only.unwrap_or_else(|| whole.freeze()))
}

async fn drained(mut body: Body, bytes_max: usize) -> ReadBodyError {
    let mut dropped = 0;
    while dropped < DRAINED_BYTES_MAX && body.size_hint().lower() <= DRAINED_BYTES_MAX {
        let Some(Ok(frame)) = body.frame().await else { break };
        dropped += frame.data_ref().map_or(0, |data| data.len() as u64);
    }
    ReadBodyError::TooLarge { bytes_max }
}

/// Returns a body that is fed piece by piece: a watch, a log that is followed. At most `pieces_max` wait in it.
///
/// # Panics
/// When `pieces_max` is zero.
#[must_use]
pub fn channel(pieces_max: usize) -> (BodySender, Body) {
    let (sender, mut pieces) = mpsc::channel::<Result<Bytes, BodyError>>(pieces_max);
    let frames = stream::poll_fn(move |cx| pieces.poll_recv(cx)).map(|piece| piece.map(Frame::data));
    (BodySender { pieces: sender }, StreamBody::new(frames).boxed_unsync())
}

/// The feeding end of [`channel`]. Dropping it ends the body in good order.
#[derive(Debug)]
pub struct BodySender {
    pieces: mpsc::Sender<Result<Bytes, BodyError>>,
}

/// The reader has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the reader of the stream has gone")]
pub struct ReaderGone;

impl BodySender {
    /// Sends a piece; waits while the reader is behind.
    ///
    /// # Errors
    /// [`ReaderGone`].
    pub async fn send(&self, piece: Bytes) -> Result<(), ReaderGone> {
        self.pieces.send(Ok(piece)).await.map_err(|_| ReaderGone)
    }

    /// Sends a piece if there is room; gives it back otherwise.
    ///
    /// # Errors
    /// The piece, when the reader is behind or gone ([`BodySender::is_closed`] tells which).
    pub fn try_send(&self, piece: Bytes) -> Result<(), Bytes> {
        // What was sent is `Ok`, so it comes back as `Ok`.
        self.pieces.try_send(Ok(piece)).map_err(|refused| refused.into_inner().unwrap_or_default())
    }

    /// Breaks the body off, so that the reader does not take it for complete.
    pub async fn fail(self, error: BodyError) {
        // A reader that has gone needs no telling.
        let _ = self.pieces.send(Err(error)).await;
    }

    /// Waits until the reader has gone: an idle stream's source can stop then.
    pub async fn closed(&self) {
        self.pieces.closed().await;
    }

    /// Returns whether the reader has gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.pieces.is_closed()
    }
}
