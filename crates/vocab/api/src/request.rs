//! One request to the API and its answer, as data: what HTTP carries between processes and what an
//! in-process client hands over directly.

use bytes::Bytes;
use km_base::Revision;

use crate::{Object, Resource, Status};

/// What a request asks for (the authorization verbs of the API).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// Read one object.
    Get,
    /// Read all objects that match.
    List,
    /// Follow changes.
    Watch,
    /// Make an object, or post to a subresource such as `binding`.
    Create,
    /// Replace an object.
    Update,
    /// Change parts of an object.
    Patch,
    /// Delete one object.
    Delete,
    /// Delete all objects that match.
    DeleteCollection,
}

impl Verb {
    /// Returns the verb as RBAC rules spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        }
    }
}

/// How a request's body is encoded, and for patches what kind of patch it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContentType {
    /// `application/json`.
    #[default]
    Json,
    /// `application/yaml`.
    Yaml,
    /// `application/vnd.kubernetes.protobuf`.
    Protobuf,
    /// `application/json-patch+json` (RFC 6902).
    JsonPatch,
    /// `application/merge-patch+json` (RFC 7386).
    MergePatch,
    /// `application/strategic-merge-patch+json`.
    StrategicMergePatch,
    /// `application/apply-patch+yaml` (server-side apply).
    ApplyPatch,
}

impl ContentType {
    /// Returns the media type.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
            Self::Protobuf => "application/vnd.kubernetes.protobuf",
            Self::JsonPatch => "application/json-patch+json",
            Self::MergePatch => "application/merge-patch+json",
            Self::StrategicMergePatch => "application/strategic-merge-patch+json",
            Self::ApplyPatch => "application/apply-patch+yaml",
        }
    }

    /// Reads a media type, ignoring its parameters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let media_type = text.split(';').next().unwrap_or_default().trim();
        [
            Self::Json,
            Self::Yaml,
            Self::Protobuf,
            Self::JsonPatch,
            Self::MergePatch,
            Self::StrategicMergePatch,
            Self::ApplyPatch,
        ]
        .into_iter()
        .find(|candidate| candidate.as_str() == media_type)
    }
}

/// The body of a request.
#[derive(Clone, Debug, Default)]
pub struct Body {
    /// Encoding of `bytes`.
    pub content_type: ContentType,
    /// Encoded body; empty when the request has none.
    pub bytes: Bytes,
}

impl Body {
    /// Makes a JSON body.
    #[must_use]
    pub fn json(bytes: impl Into<Bytes>) -> Self {
        Self { content_type: ContentType::Json, bytes: bytes.into() }
    }
}

/// What happens to the dependents of a deleted object (`propagationPolicy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// Dependents stay, without owner.
    Orphan,
    /// Dependents are deleted afterwards.
    Background,
    /// The object goes after its dependents.
    Foreground,
}

/// The options of a request: query parameters of every verb, and `DeleteOptions` once its body was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `labelSelector`, unparsed.
    pub label_selector: String,
    /// `fieldSelector`, unparsed.
    pub field_selector: String,
    /// `resourceVersion`, or empty.
    pub resource_version: String,
    /// `resourceVersionMatch`, or empty.
    pub resource_version_match: String,
    /// `limit`; 0 means all.
    pub limit: u64,
    /// `continue` token, or empty.
    pub continue_token: String,
    /// `timeoutSeconds` of a watch or list.
    pub timeout_seconds: Option<u64>,
    /// `allowWatchBookmarks`.
    pub allow_watch_bookmarks: bool,
    /// `sendInitialEvents` of a watch.
    pub send_initial_events: Option<bool>,
    /// `dryRun=All`.
    pub dry_run: bool,
    /// `fieldValidation`: `Strict`, `Warn`, `Ignore` or empty.
    pub field_validation: String,
    /// `fieldManager`, or empty.
    pub field_manager: String,
    /// `force` of server-side apply.
    pub force: bool,
    /// `gracePeriodSeconds` of a deletion.
    pub grace_period_seconds: Option<i64>,
    /// `propagationPolicy` of a deletion.
    pub propagation: Option<Propagation>,
    /// `preconditions.uid` of a deletion.
    pub precondition_uid: Option<String>,
    /// `preconditions.resourceVersion` of a deletion.
    pub precondition_resource_version: Option<String>,
}

/// One request for an object or a collection.
#[derive(Clone, Debug)]
pub struct Request {
    /// What is asked.
    pub verb: Verb,
    /// Of which resource.
    pub resource: &'static Resource,
    /// Namespace; empty for cluster-scoped resources and for all namespaces.
    pub namespace: String,
    /// Name; empty for collections.
    pub name: String,
    /// Subresource, e.g. `status`; empty for the object itself.
    pub subresource: String,
    /// Options.
    pub options: Options,
    /// Body.
    pub body: Body,
}

impl Request {
    /// Makes a request without options or body.
    #[must_use]
    pub fn new(verb: Verb, resource: &'static Resource, namespace: &str, name: &str) -> Self {
        Self {
            verb,
            resource,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            subresource: String::new(),
            options: Options::default(),
            body: Body::default(),
        }
    }

    /// Addresses a subresource.
    #[must_use]
    pub fn subresource(mut self, subresource: &str) -> Self {
        subresource.clone_into(&mut self.subresource);
        self
    }

    /// Adds a body.
    #[must_use]
    pub fn body(mut self, content_type: ContentType, bytes: impl Into<Bytes>) -> Self {
        self.body = Body { content_type, bytes: bytes.into() };
        self
    }
}

/// A collection as a list request returns it.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// The revision at which the list is exact; a watch from here misses nothing.
    pub revision: Revision,
    /// The objects, ordered by namespace and name.
    pub items: Vec<Object>,
    /// Token for the next chunk, or empty.
    pub continue_token: String,
    /// How many more objects there are, if known.
    pub remaining: Option<u64>,
}

/// What the API answers to everything but a watch.
#[derive(Clone, Debug)]
pub enum Response {
    /// An object that was read, changed or is being deleted.
    Object(Object),
    /// An object that was created (201).
    Created(Object),
    /// A collection.
    List(List),
    /// Success without an object, e.g. after a deletion.
    Status(Status),
}
