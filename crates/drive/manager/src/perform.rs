//! Performs plans.

use futures::StreamExt as _;
use futures::stream;
use km_api::{ContentType, Object, Reason, Request, Resource, Response, Status, Verb};
use km_base::{ObjectKey, Uid};
use km_client::{Client, DeleteOptions};
use km_controllers::{Plan, Write};

/// Writes of one plan that are under way at a time.
const WRITES_AT_ONCE: usize = 16;

/// What one write led to.
pub(crate) enum Written {
    /// The object as it is now.
    Object(&'static Resource, Object),
    /// The object is gone.
    Gone(&'static Resource, ObjectKey, Uid),
    /// Nothing that the listers need to know at once.
    Nothing,
}

/// The write that was tried, and what came of it.
pub(crate) struct Attempt {
    pub(crate) write: Write,
    pub(crate) result: Result<Written, Status>,
}

/// Performs every write of a plan; one that fails does not stop the others.
pub(crate) async fn perform(client: &Client, plan: Plan) -> Vec<Attempt> {
    stream::iter(plan.writes)
        .map(|write| async move {
            let result = one(client, &write).await;
            Attempt { write, result }
        })
        .buffered(WRITES_AT_ONCE)
        .collect()
        .await
}

async fn one(client: &Client, write: &Write) -> Result<Written, Status> {
    match write {
        Write::Create { resource, namespace, object } => {
            let mut object = object.clone();
            object["apiVersion"] = resource.api_version().into();
            object["kind"] = resource.kind.into();
            match client.create(resource, namespace, object.to_string().into_bytes()).await {
                Ok(object) => Ok(Written::Object(resource, object)),
                // Somebody, perhaps we before a restart, was first; the informer will tell.
                Err(status) if status.is(Reason::AlreadyExists) => Ok(Written::Nothing),
                Err(status) => Err(status),
            }
        }
        Write::Patch { resource, key, subresource, patch } => {
            let body = patch.to_string().into_bytes();
            let patched = client.patch(resource, &key.namespace, &key.name, subresource, ContentType::MergePatch, body);
            match patched.await {
                Ok(object) => Ok(Written::Object(resource, object)),
                Err(status) if status.code == 404 => Ok(Written::Nothing),
                Err(status) => Err(status),
            }
        }
        Write::Delete { resource, key, uid, propagation, grace_period_seconds } => {
            let options = DeleteOptions {
                uid: Some(uid.0.clone()),
                propagation: *propagation,
                grace_period_seconds: *grace_period_seconds,
            };
            match client.delete(resource, &key.namespace, &key.name, options).await {
                Ok(Response::Object(object) | Response::Created(object)) if object.meta().is_terminating() => {
                    Ok(Written::Object(resource, object))
                }
                Ok(_) => Ok(Written::Gone(resource, key.clone(), uid.clone())),
                // Gone already, or another object has the name now.
                Err(status) if status.code == 404 || status.is(Reason::Conflict) => Ok(Written::Nothing),
                Err(status) => Err(status),
            }
        }
        Write::DeleteAll { resource, namespace } => {
            client.call(Request::new(Verb::DeleteCollection, resource, namespace, "")).await.map(|_| Written::Nothing)
        }
        Write::Finalize { namespace, finalizers } => finalize(client, namespace, finalizers).await,
    }
}

async fn finalize(client: &Client, namespace: &str, finalizers: &[String]) -> Result<Written, Status> {
    let resource = &km_api::resource::NAMESPACES;
    let body = serde_json::json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}, "spec": {"finalizers": finalizers},
    });
    let request = Request::new(Verb::Update, resource, "", namespace).subresource("finalize");
    match client.call(request.body(ContentType::Json, body.to_string().into_bytes())).await {
        Ok(_) => Ok(Written::Nothing),
        Err(status) if status.code == 404 => Ok(Written::Nothing),
        Err(status) => Err(status),
    }
}
