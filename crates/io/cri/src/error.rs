//! What can go wrong between us and a container runtime.

use std::path::PathBuf;

use tonic::Code;

/// A failed conversation with the container runtime.
#[derive(Debug, thiserror::Error)]
pub enum CriError {
    /// The endpoint is neither `unix:///path` nor an absolute path.
    #[error("container runtime endpoint {endpoint:?} is not a unix socket (want unix:///path or /path)")]
    BadEndpoint {
        /// What was given.
        endpoint: String,
    },
    /// Nobody listens on the socket.
    #[error("failed to connect to the container runtime at {}", socket.display())]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// Why not.
        #[source]
        source: tonic::transport::Error,
    },
    /// The runtime answered with an error, or the connection broke under the call.
    ///
    /// The text is the one that Go's gRPC prints, because events and container statuses show it to people
    /// and tools who know it from a kubelet.
    #[error("rpc error: code = {} desc = {message}", go_code(*code))]
    Rpc {
        /// Which call, by its CRI name.
        operation: &'static str,
        /// The gRPC code.
        code: Code,
        /// The runtime's own words.
        message: String,
    },
    /// The runtime left out a part of an answer that CRI demands.
    #[error("container runtime answered {operation} without {field}")]
    Incomplete {
        /// Which call, by its CRI name.
        operation: &'static str,
        /// The missing field.
        field: &'static str,
    },
}

/// Result of a call to the container runtime.
pub type Result<T, E = CriError> = std::result::Result<T, E>;

impl CriError {
    /// Returns whether the same call may succeed later with nothing changed by us.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::BadEndpoint { .. } => false,
            Self::Connect { .. } | Self::Incomplete { .. } => true,
            // containerd wraps most of its failures in Unknown, transient ones among them.
            Self::Rpc { code, .. } => match code {
                Code::Ok
                | Code::InvalidArgument
                | Code::NotFound
                | Code::AlreadyExists
                | Code::PermissionDenied
                | Code::FailedPrecondition
                | Code::OutOfRange
                | Code::Unimplemented
                | Code::DataLoss
                | Code::Unauthenticated => false,
                Code::Cancelled
                | Code::Unknown
                | Code::DeadlineExceeded
                | Code::ResourceExhausted
                | Code::Aborted
                | Code::Internal
                | Code::Unavailable => true,
            },
        }
    }

    /// Returns whether the runtime says that the sandbox, container or image does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Rpc { code: Code::NotFound, .. })
    }

    /// Returns whether the call ran out of its time (for ExecSync: also when the command did).
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Rpc { code: Code::DeadlineExceeded, .. })
    }

    /// Returns whether the runtime itself is gone: nobody listens, or the connection broke.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Rpc { code: Code::Unavailable, .. })
    }
}

/// Names a gRPC code as Go's `codes.Code.String()` does.
fn go_code(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}
