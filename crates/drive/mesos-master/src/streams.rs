//! Open event streams: encoding a message once for each encoding in use, and letting slow readers go.

use std::collections::BTreeMap;

use bytes::Bytes;
use km_core_mesos::master::StreamId;
use km_core_mesos::wire::Encoding;
use km_mesos::recordio;
use km_net::body::BodySender;

/// Records that may wait for a reader. At 3,000 status updates a second this is five seconds of a stalled scheduler.
pub(crate) const STREAM_RECORDS_MAX: usize = 16_384;

#[derive(Debug)]
pub(crate) struct OpenStream {
    pub(crate) encoding: Encoding,
    pub(crate) sender: BodySender,
    pub(crate) is_operator: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Streams(BTreeMap<StreamId, OpenStream>);

impl Streams {
    pub(crate) fn open(&mut self, id: StreamId, stream: OpenStream) {
        self.0.insert(id, stream);
    }

    pub(crate) fn close(&mut self, id: &StreamId) {
        self.0.remove(id);
    }

    /// Sends to one stream; `false` when its reader is gone or too far behind.
    #[must_use]
    pub(crate) fn send<M: prost::Message + serde::Serialize>(&mut self, id: &StreamId, message: &M) -> bool {
        let Some(stream) = self.0.get_mut(id) else { return true };
        let record = recordio::encode(&stream.encoding.encode(message));
        stream.sender.try_send(record).is_ok()
    }

    /// Sends to all operators; returns whose reader is gone or too far behind.
    pub(crate) fn send_operators<M: prost::Message + serde::Serialize>(&mut self, message: &M) -> Vec<StreamId> {
        let mut encoded: [Option<Bytes>; 2] = [None, None];
        let mut lost = Vec::new();
        for (id, stream) in self.0.iter_mut().filter(|(_, stream)| stream.is_operator) {
            let slot = match stream.encoding {
                Encoding::Json => &mut encoded[0],
                Encoding::Protobuf => &mut encoded[1],
            };
            let record = slot.get_or_insert_with(|| recordio::encode(&stream.encoding.encode(message))).clone();
            if stream.sender.try_send(record).is_err() {
                lost.push(id.clone());
            }
        }
        lost
    }

    /// Returns streams whose reader has gone.
    pub(crate) fn abandoned(&self) -> Vec<StreamId> {
        self.0.iter().filter(|(_, stream)| stream.sender.is_closed()).map(|(id, _)| id.clone()).collect()
    }
}
