//! The kubelet endpoints: logs, exec, attach, port-forward, for the API server alone.

use std::sync::Arc;

use km_net::Shutdown;
use km_net::pki::Credential;

use crate::context::Context;

/// Serves until shutdown.
pub(crate) async fn serve(_ctx: Arc<Context>, _serving: Credential, shutdown: Shutdown) {
    shutdown.begun().await;
}
