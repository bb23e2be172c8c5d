//! The operator APIs of master and agent (Mesos v1 operator API, `POST /api/v1`).

use bytes::Bytes;
use http_body_util::BodyExt as _;
use km_mesos::{agent, master};
use prost::Message;

use crate::transport::{Answer, Post, Transport};
use crate::{ClientError, Credential, MasterAddress};

const PATH: &str = "/api/v1";

/// Asks masters and agents about themselves.
#[derive(Clone)]
pub struct OperatorClient {
    transport: Transport,
    masters: MasterAddress,
}

impl OperatorClient {
    /// Makes a client of the cluster's masters; agents are named per call.
    #[must_use]
    pub fn new(masters: MasterAddress, credential: Option<&Credential>) -> Self {
        Self { transport: Transport::new(credential), masters }
    }

    /// Calls the leading master, asking each known one in turn.
    ///
    /// # Errors
    /// The last master's [`ClientError`]; 403 where the operator API is forbidden to this principal.
    pub async fn master(&self, call: &master::Call) -> Result<master::Response, ClientError> {
        let name = format!("{:?}", call.r#type());
        let body = Bytes::from(call.encode_to_vec());
        let mut last = ClientError::NoLeader { message: format!("no master of {} was asked", self.masters) };
        for host in self.masters.hosts() {
            let post = Post { path: PATH, call: &name, body: body.clone(), stream_id: None };
            match self.transport.post(host, &post).await {
                Ok(answer) => return message(answer).await,
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Calls the agent at `host:port`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn agent(&self, agent: &str, call: &agent::Call) -> Result<agent::Response, ClientError> {
        let name = format!("{:?}", call.r#type());
        let post = Post { path: PATH, call: &name, body: call.encode_to_vec().into(), stream_id: None };
        message(self.transport.post(agent, &post).await?).await
    }
}

async fn message<M: Message + Default>(answer: Answer) -> Result<M, ClientError> {
    let Answer { peer, body, .. } = answer;
    let bytes = body
        .collect()
        .await
        .map_err(|source| ClientError::Connect { peer: peer.clone(), source: Box::new(source) })?
        .to_bytes();
    M::decode(bytes).map_err(|source| ClientError::Decode { peer, source })
}
