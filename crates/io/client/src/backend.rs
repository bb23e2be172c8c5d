//! The seam between a client and the API server it speaks to.

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use km_api::{Event, Request, Response, Status};

/// The events of one watch, until the server or the connection ends it.
pub type WatchStream = BoxStream<'static, Event>;

/// A way to an API server, acting as one identity.
///
/// Implemented by [`crate::NetworkBackend`] over HTTPS and by the API server for components in its process.
pub trait Backend: Send + Sync + 'static {
    /// Performs any request but a watch.
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Response, Status>>;

    /// Starts a watch (`request.verb` is [`km_api::Verb::Watch`]).
    fn watch(&self, request: Request) -> BoxFuture<'_, Result<WatchStream, Status>>;
}
