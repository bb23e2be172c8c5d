//! Open executor streams.

use std::collections::BTreeMap;

use km_core_mesos::agent::StreamId;
use km_core_mesos::wire::Encoding;
use km_mesos::{executor, recordio};
use km_net::body::BodySender;

/// Records that may wait for an executor: some thousand LAUNCHes at once.
pub(crate) const STREAM_RECORDS_MAX: usize = 8_192;

#[derive(Debug, Default)]
pub(crate) struct Streams(BTreeMap<StreamId, (Encoding, BodySender)>);

impl Streams {
    pub(crate) fn open(&mut self, id: StreamId, encoding: Encoding, sender: BodySender) {
        self.0.insert(id, (encoding, sender));
    }

    pub(crate) fn close(&mut self, id: &StreamId) {
        self.0.remove(id);
    }

    /// Sends an event; `false` when the reader is gone or too far behind.
    #[must_use]
    pub(crate) fn send(&mut self, id: &StreamId, event: &executor::Event) -> bool {
        let Some((encoding, sender)) = self.0.get_mut(id) else { return true };
        sender.try_send(recordio::encode(&encoding.encode(event))).is_ok()
    }

    /// Sends to all; returns whose reader is gone or too far behind.
    pub(crate) fn send_all(&mut self, event: &executor::Event) -> Vec<StreamId> {
        let ids: Vec<StreamId> = self.0.keys().cloned().collect();
        ids.into_iter().filter(|id| !self.send(id, event)).collect()
    }

    /// Returns streams whose reader has gone.
    pub(crate) fn abandoned(&self) -> Vec<StreamId> {
        self.0.iter().filter(|(_, (_, sender))| sender.is_closed()).map(|(id, _)| id.clone()).collect()
    }
}
