//! Reads the events of a subscription.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use km_mesos::recordio::{Decoder, RECORD_BYTES_MAX};
use prost::Message;

use crate::ClientError;

/// Heartbeats that may be missed before the peer counts as gone: one may be late, two in a row are not.
const MISSED_HEARTBEATS_MAX: u32 = 3;

/// A body of RecordIO, cut into messages.
pub(crate) struct EventStream {
    peer: String,
    body: Incoming,
    decoder: Decoder,
    ready: VecDeque<Bytes>,
    heartbeat: Option<Duration>,
}

impl EventStream {
    pub(crate) fn new(peer: String, body: Incoming) -> Self {
        Self { peer, body, decoder: Decoder::new(RECORD_BYTES_MAX), ready: VecDeque::new(), heartbeat: None }
    }

    /// Sets how often the peer promised to be heard; silence of three times that is an error.
    pub(crate) fn expect_heartbeats(&mut self, interval: Duration) {
        self.heartbeat = Some(interval);
    }

    /// Waits for the next message; `None` when the peer ended the stream between two messages.
    ///
    /// Cancel safe: what was read stays here.
    pub(crate) async fn next<M: Message + Default>(&mut self) -> Result<Option<M>, ClientError> {
        loop {
            if let Some(record) = self.ready.pop_front() {
                let message =
                    M::decode(record).map_err(|source| ClientError::Decode { peer: self.peer.clone(), source })?;
                return Ok(Some(message));
            }
            let frame = match self.heartbeat {
                None => self.body.frame().await,
                Some(interval) => {
                    let silence = interval * MISSED_HEARTBEATS_MAX;
                    tokio::time::timeout(silence, self.body.frame())
                        .await
                        .map_err(|_| ClientError::Heartbeat { peer: self.peer.clone(), silence })?
                }
            };
            match frame {
                None => return Ok(None),
                Some(Err(source)) => {
                    return Err(ClientError::Connect { peer: self.peer.clone(), source: Box::new(source) });
                }
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    let records = self
                        .decoder
                        .push(&data)
                        .map_err(|source| ClientError::Stream { peer: self.peer.clone(), source })?;
                    self.ready.extend(records);
                }
            }
        }
    }
}
