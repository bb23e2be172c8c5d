//! Quota configuration, used by the master operator API.

// JUSTIFICATION: fields are named, typed and numbered as in Mesos 1.11 include/mesos/v1; their meaning is documented there.
#![allow(missing_docs)]

/// `QuotaConfig`
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct QuotaConfig {
    #[prost(string, required, tag = "1")]
    pub role: String,
    #[prost(btree_map = "string, message", tag = "2")]
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub guarantees: std::collections::BTreeMap<String, crate::value::Scalar>,
    #[prost(btree_map = "string, message", tag = "3")]
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub limits: std::collections::BTreeMap<String, crate::value::Scalar>,
}
