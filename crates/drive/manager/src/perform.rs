//! Writes as requests, and what their answers mean.

use futures::StreamExt as _;
use futures::stream;
use km_api::resource::{NAMESPACES, find_kind};
use km_api::{ContentType, Object, Reason, Request, Resource, Response, Status, Verb};
use km_base::{ObjectKey, Uid};
use km_client::Client;
use km_controllers::{Write, garbage};

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

/// Performs the writes of garbage collection. Before a deletion the owners are asked for: the informer of their kind
/// may be behind that of their dependent's, and an owner that was just made is not one that is gone.
/// k8s pkg/controller/garbagecollector, attemptToDeleteItem.
pub(crate) async fn collect(client: &Client, writes: Vec<Write>) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    for write in writes {
        let refused = match &write {
            Write::Delete { resource, key, .. } => is_kept(client, resource, key).await.and_then(|kept| {
                let why = "an owner is there that the informers have not told of";
                if kept { Err(Status::conflict(resource, &key.name, why)) } else { Ok(()) }
            }),
            _ => Ok(()),
        };
        match refused {
            // Looked at again after a while.
            Err(status) => attempts.push(Attempt { write, result: Err(status) }),
            Ok(()) => attempts.extend(perform(client, vec![write]).await),
        }
    }
    attempts
}

/// Tells whether an owner of the object exists and does not itself wait for the object to go.
async fn is_kept(client: &Client, resource: &'static Resource, key: &ObjectKey) -> Result<bool, Status> {
    let Some(object) = client.find(resource, &key.namespace, &key.name).await? else { return Ok(false) };
    for owner in &object.meta().owner_references {
        let Some(of) = find_kind(&owner.api_version, &owner.kind) else { return Ok(true) };
        let namespace = if of.is_namespaced() { key.namespace.as_str() } else { "" };
        let Some(found) = client.find(of, namespace, &owner.name).await? else { continue };
        let meta = found.meta();
        let waits = meta.is_terminating() && meta.finalizers.iter().any(|f| f == garbage::FOREGROUND);
        if meta.uid == owner.uid && !waits {
            return Ok(true);
        }
    }
    Ok(false)
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use futures::FutureExt as _;
    use futures::future::BoxFuture;
    use km_api::resource::PODS;
    use km_client::{Backend, WatchStream};

    use super::*;

    /// A server with a pod, and perhaps the set that owns it.
    struct Live {
        owner: Option<&'static str>,
        deleted: Mutex<u32>,
    }

    impl Backend for Live {
        fn call(&self, request: Request) -> BoxFuture<'_, Result<Response, Status>> {
            let object = |json: String| Ok(Response::Object(Object::parse(json.into_bytes()).unwrap()));
            let answer = match (request.verb, request.resource) {
                (Verb::Get, r) if *r == PODS => object(
                    r#"{"metadata":{"name":"p","namespace":"d","ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"rs","uid":"o"}]}}"#.to_owned(),
                ),
                (Verb::Get, r) => match self.owner {
                    Some(uid) => object(format!(r#"{{"metadata":{{"name":"rs","namespace":"d","uid":"{uid}"}}}}"#)),
                    None => Err(Status::not_found(r, "rs")),
                },
                (_, r) => {
                    *self.deleted.lock().unwrap() += 1;
                    Ok(Response::Status(Status::deleted(r, "p", "u")))
                }
            };
            async move { answer }.boxed()
        }

        fn watch(&self, _: Request) -> BoxFuture<'_, Result<WatchStream, Status>> {
            async { Err(Status::unavailable("no watches")) }.boxed()
        }
    }

    #[tokio::test]
    async fn nothing_is_collected_that_has_an_owner_the_informers_do_not_know_yet() {
        for (owner, deleted) in [(Some("o"), 0), (Some("another"), 1), (None, 1)] {
            let live = Arc::new(Live { owner, deleted: Mutex::new(0) });
            let write = Write::Delete {
                resource: &PODS,
                key: ObjectKey::namespaced("d", "p"),
                uid: Uid("u".into()),
                propagation: None,
                grace_period_seconds: None,
            };
            let backend: Arc<dyn Backend> = Arc::<Live>::clone(&live);
            let attempts = collect(&Client::new(backend), vec![write]).await;
            assert_eq!(attempts[0].result.is_ok(), deleted == 1, "{owner:?}");
            assert_eq!(*live.deleted.lock().unwrap(), deleted, "{owner:?}");
        }
    }
}
