//! Writes as requests, and what their answers mean.

use futures::StreamExt as _;
use futures::stream;
use km_api::resource::NAMESPACES;
use km_api::{ContentType, Object, Reason, Request, Resource, Response, Status, Verb};
use km_base::{ObjectKey, Uid};
use km_client::Client;
use km_controllers::Write;

/// Writes of one plan that are under way at a time.
const WRITES_AT_ONCE: usize = 16;

/// What one write led to.
#[derive(Debug)]
pub enum Written {
    /// The object as it is now.
    Object(&'static Resource, Object),
    /// The object is gone.
    Gone(&'static Resource, ObjectKey, Uid),
    /// Nothing that the listers need to know at once.
    Nothing,
}

/// The write that was tried, and what came of it.
#[derive(Debug)]
pub struct Attempt {
    /// The write.
    pub write: Write,
    /// What it led to.
    pub result: Result<Written, Status>,
}

/// Performs every write of a plan; one that fails does not stop the others.
pub(crate) async fn perform(client: &Client, writes: Vec<Write>) -> Vec<Attempt> {
    stream::iter(writes)
        .map(|write| async move {
            let answer = client.call(request(&write)).await;
            attempt(write, answer)
        })
        .buffered(WRITES_AT_ONCE)
        .collect()
        .await
}

/// Returns the request that a write is.
#[must_use]
pub fn request(write: &Write) -> Request {
    match write {
        Write::Create { resource, namespace, object } => {
            let mut object = object.clone();
            object["apiVersion"] = resource.api_version().into();
            object["kind"] = resource.kind.into();
            Request::new(Verb::Create, resource, namespace, "").body(ContentType::Json, object.to_string())
        }
        Write::Patch { resource, key, subresource, patch } => {
            let request = Request::new(Verb::Patch, resource, &key.namespace, &key.name).subresource(subresource);
            request.body(ContentType::MergePatch, patch.to_string())
        }
        Write::Delete { resource, key, uid, propagation, grace_period_seconds } => {
            let mut request = Request::new(Verb::Delete, resource, &key.namespace, &key.name);
            request.options.precondition_uid = Some(uid.0.clone());
            request.options.propagation = *propagation;
            request.options.grace_period_seconds = *grace_period_seconds;
            request
        }
        Write::DeleteAll { resource, namespace } => Request::new(Verb::DeleteCollection, resource, namespace, ""),
        Write::Finalize { namespace, finalizers } => {
            let body = serde_json::json!({
                "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace},
                "spec": {"finalizers": finalizers},
            });
            let request = Request::new(Verb::Update, &NAMESPACES, "", namespace).subresource("finalize");
            request.body(ContentType::Json, body.to_string())
        }
    }
}

/// Reads the answer to [`request`].
#[must_use]
pub fn attempt(write: Write, answer: Result<Response, Status>) -> Attempt {
    let result = match answer {
        Ok(Response::Status(status)) if status.code >= 400 => refused(&write, status),
        Ok(response) => written(&write, response),
        Err(status) => refused(&write, status),
    };
    Attempt { write, result }
}

fn written(write: &Write, response: Response) -> Result<Written, Status> {
    match (write, response) {
        (
            Write::Create { resource, .. } | Write::Patch { resource, .. },
            Response::Object(object) | Response::Created(object),
        ) => Ok(Written::Object(resource, object)),
        (Write::Create { .. } | Write::Patch { .. }, _) => {
            Err(Status::internal("the server answered with something that is not an object"))
        }
        (Write::Delete { resource, .. }, Response::Object(object) | Response::Created(object))
            if object.meta().is_terminating() =>
        {
            Ok(Written::Object(resource, object))
        }
        (Write::Delete { resource, key, uid, .. }, _) => Ok(Written::Gone(resource, key.clone(), uid.clone())),
        (Write::DeleteAll { .. } | Write::Finalize { .. }, _) => Ok(Written::Nothing),
    }
}

fn refused(write: &Write, status: Status) -> Result<Written, Status> {
    let harmless = match write {
        // Somebody, perhaps we before a restart, was first; the informer will tell.
        Write::Create { .. } => status.is(Reason::AlreadyExists),
        Write::Patch { .. } | Write::Finalize { .. } => status.code == 404,
        // Gone already, or another object has the name now.
        Write::Delete { .. } => status.code == 404 || status.is(Reason::Conflict),
        Write::DeleteAll { .. } => false,
    };
    if harmless { Ok(Written::Nothing) } else { Err(status) }
}
