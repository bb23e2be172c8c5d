//! Turns the bytes of an object into its type and back.

use k8s_openapi::api;

/// Bytes that are not a well-formed object of the expected kind.
#[derive(Debug, thiserror::Error)]
#[error("failed to decode {kind}")]
pub struct DecodeError {
    /// The kind that was expected.
    pub kind: &'static str,
    #[source]
    source: serde_json::Error,
}

/// A kind that can be read from and written to JSON.
///
/// Implemented here for every kind in use, so that users stay free of generic decoding code.
pub trait Codec: Sized {
    /// Decodes `bytes`; fields that the kind does not know are dropped.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are not JSON of this kind.
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError>;

    /// Encodes the object as JSON.
    fn encode(&self) -> Vec<u8>;
}

macro_rules! codecs {
    ($($kind:ty),* $(,)?) => {$(
        impl Codec for $kind {
            fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
                serde_json::from_slice(bytes).map_err(|source| DecodeError {
                    kind: <$kind as k8s_openapi::Resource>::KIND,
                    source,
                })
            }

            fn encode(&self) -> Vec<u8> {
                serde_json::to_vec(self).expect("k8s-openapi kinds hold only JSON values with text keys")
            }
        }
    )*};
}

codecs! {
    api::apps::v1::Deployment,
    api::apps::v1::ReplicaSet,
    api::authentication::v1::TokenRequest,
    api::certificates::v1::CertificateSigningRequest,
    api::coordination::v1::Lease,
    api::core::v1::Binding,
    api::core::v1::ConfigMap,
    api::core::v1::Endpoints,
    api::core::v1::Event,
    api::core::v1::Namespace,
    api::core::v1::Node,
    api::core::v1::Pod,
    api::core::v1::ReplicationController,
    api::core::v1::Secret,
    api::core::v1::Service,
    api::core::v1::ServiceAccount,
    api::discovery::v1::EndpointSlice,
    api::rbac::v1::ClusterRole,
    api::rbac::v1::ClusterRoleBinding,
    api::rbac::v1::Role,
    api::rbac::v1::RoleBinding,
}
