//! API objects as immutable bytes with their metadata parsed once.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use km_base::{ObjectKey, Revision, Timestamp, Uid};
use km_kinds::{Codec, DecodeError};
use serde::Deserialize;

/// An API object: its JSON encoding (shared, never copied) and its metadata.
///
/// Cloning costs two reference counts.
#[derive(Clone, Debug)]
pub struct Object {
    bytes: Bytes,
    meta: Arc<Meta>,
}

/// The parts of an object that every kind has.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    /// `apiVersion`, e.g. `apps/v1`; empty inside lists of some servers.
    #[serde(skip)]
    pub api_version: String,
    /// `kind`.
    #[serde(skip)]
    pub kind: String,
    /// Namespace, or empty.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Prefix from which the server made the name, or empty.
    pub generate_name: String,
    /// UID, set by the server.
    pub uid: Uid,
    /// `resourceVersion` as the server wrote it; opaque to clients, see [`Meta::revision`].
    pub resource_version: String,
    /// Counts changes of the desired state.
    pub generation: i64,
    /// When the server created the object.
    pub creation_timestamp: Option<Timestamp>,
    /// When deletion was asked for; the object lives on until its finalizers and grace period are done.
    pub deletion_timestamp: Option<Timestamp>,
    /// Seconds granted for deletion.
    pub deletion_grace_period_seconds: Option<i64>,
    /// Labels.
    #[serde(deserialize_with = "null_as_default")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(deserialize_with = "null_as_default")]
    pub annotations: BTreeMap<String, String>,
    /// Finalizers that hold up deletion.
    #[serde(deserialize_with = "null_as_default")]
    pub finalizers: Vec<String>,
    /// Owners, for garbage collection.
    #[serde(deserialize_with = "null_as_default")]
    pub owner_references: Vec<OwnerReference>,
}

/// A reference from an object to one that owns it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference {
    /// `apiVersion` of the owner.
    pub api_version: String,
    /// Kind of the owner.
    pub kind: String,
    /// Name of the owner, in the same namespace or cluster-scoped.
    pub name: String,
    /// UID of the owner.
    pub uid: Uid,
    /// Whether this owner is the managing controller.
    pub controller: Option<bool>,
    /// Whether foreground deletion of the owner waits for this object.
    pub block_owner_deletion: Option<bool>,
}

/// Bytes that are not an API object.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the metadata of an object")]
pub struct ObjectError(#[source] serde_json::Error);

impl Object {
    /// Reads the metadata of `bytes`, which must be one JSON object.
    ///
    /// # Errors
    /// [`ObjectError`] when the bytes are not JSON or `metadata` has the wrong shape.
    pub fn parse(bytes: impl Into<Bytes>) -> Result<Self, ObjectError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Head {
            #[serde(default)]
            api_version: String,
            #[serde(default)]
            kind: String,
            #[serde(default)]
            metadata: Meta,
        }
        let bytes = bytes.into();
        let head: Head = serde_json::from_slice(&bytes).map_err(ObjectError)?;
        let meta = Meta { api_version: head.api_version, kind: head.kind, ..head.metadata };
        Ok(Self { bytes, meta: Arc::new(meta) })
    }

    /// Returns the JSON encoding.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Returns the metadata.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Returns the metadata as a shared pointer, for caches that keep it and drop the bytes.
    #[must_use]
    pub fn shared_meta(&self) -> Arc<Meta> {
        Arc::clone(&self.meta)
    }

    /// Returns namespace and name.
    #[must_use]
    pub fn key(&self) -> ObjectKey {
        self.meta.key()
    }

    /// Decodes the object as a typed kind.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are not of that kind.
    pub fn decode<K: Codec>(&self) -> Result<K, DecodeError> {
        K::decode(&self.bytes)
    }

    /// Decodes the object as a JSON value.
    ///
    /// # Panics
    /// Never: the bytes were JSON when the object was made.
    #[must_use]
    pub fn to_value(&self) -> serde_json::Value {
        serde_json::from_slice(&self.bytes).expect("an Object holds JSON, checked when it was parsed")
    }
}

impl Meta {
    /// Returns namespace and name.
    #[must_use]
    pub fn key(&self) -> ObjectKey {
        ObjectKey { namespace: self.namespace.clone(), name: self.name.clone() }
    }

    /// Returns the resource version as a revision; 0 when absent or not km's.
    #[must_use]
    pub fn revision(&self) -> Revision {
        Revision(self.resource_version.parse().unwrap_or(0))
    }

    /// Tells whether deletion was asked for.
    #[must_use]
    pub fn is_terminating(&self) -> bool {
        self.deletion_timestamp.is_some()
    }

    /// Returns the owner that manages this object, if any.
    #[must_use]
    pub fn controller(&self) -> Option<&OwnerReference> {
        self.owner_references.iter().find(|o| o.controller == Some(true))
    }
}

fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_read_and_bytes_are_kept() {
        let json = br#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web","namespace":"default","uid":"u1",
            "resourceVersion":"42","labels":null,"annotations":{"a":"b"},"creationTimestamp":"2026-11-21T10:00:00Z",
            "ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"rs","uid":"u0","controller":true}]},
            "spec":{"containers":[]}}"#;
        let object = Object::parse(&json[..]).unwrap();
        assert_eq!(object.key().to_string(), "default/web");
        assert_eq!(object.meta().revision(), Revision(42));
        assert_eq!(object.meta().controller().unwrap().name, "rs");
        assert_eq!(object.bytes(), &json[..]);
        assert!(Object::parse(&b"[1]"[..]).is_err());
    }
}
