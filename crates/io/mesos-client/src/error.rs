//! What can go wrong between us and Mesos.

use std::time::Duration;

use km_mesos::recordio::RecordError;

use crate::AddressError;

/// A call or session that failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address cannot be used.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// No connection, or it broke.
    #[error("failed to reach Mesos at {peer}")]
    Connect {
        /// Who was asked.
        peer: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Mesos answered with a failure.
    #[error("Mesos at {peer} refused {call}: {code} {message}")]
    Refused {
        /// Who was asked.
        peer: String,
        /// The call's type.
        call: String,
        /// HTTP status code.
        code: u16,
        /// Body of the answer.
        message: String,
    },
    /// Redirected too often, or to nowhere.
    #[error("no leading Mesos master: {message}")]
    NoLeader {
        /// What was seen.
        message: String,
    },
    /// Nothing came for longer than the heartbeat interval allows.
    #[error("nothing heard from Mesos at {peer} for {} s", silence.as_secs())]
    Heartbeat {
        /// Who is silent.
        peer: String,
        /// For how long.
        silence: Duration,
    },
    /// The event stream cannot be read any further.
    #[error("failed to read the event stream of {peer}")]
    Stream {
        /// Who sent it.
        peer: String,
        /// Why.
        #[source]
        source: RecordError,
    },
    /// A message is not what the protocol says.
    #[error("failed to decode a message from {peer}")]
    Decode {
        /// Who sent it.
        peer: String,
        /// Why.
        #[source]
        source: prost::DecodeError,
    },
}

impl ClientError {
    /// Tells whether trying again later may help. A refusal (4xx) repeats; Mesos answers 503 while it recovers
    /// or elects a leader.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Address(_) => false,
            Self::Refused { code, .. } => *code >= 500,
            Self::Connect { .. }
            | Self::NoLeader { .. }
            | Self::Heartbeat { .. }
            | Self::Stream { .. }
            | Self::Decode { .. } => true,
        }
    }
}
