//! Requests as methods.

use std::sync::Arc;

use bytes::Bytes;
use km_api::{ContentType, List, Object, Options, Propagation, Request, Resource, Response, Status, Verb};

use crate::{Backend, WatchStream};

/// A client of the API; cloning shares the backend.
#[derive(Clone)]
pub struct Client {
    backend: Arc<dyn Backend>,
}

/// What a deletion asks for beyond the object's name.
#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    /// Delete only the object with this UID.
    pub uid: Option<String>,
    /// Seconds of grace; 0 deletes at once; `None` takes the object's own.
    pub grace_period_seconds: Option<i64>,
    /// What happens to dependents; `None` takes the resource's default.
    pub propagation: Option<Propagation>,
}

impl Client {
    /// Makes a client of `backend`.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend }
    }

    /// Reads one object.
    ///
    /// # Errors
    /// The server's [`Status`], or one made of a failed connection (503).
    pub async fn get(&self, resource: &'static Resource, namespace: &str, name: &str) -> Result<Object, Status> {
        object(self.call(Request::new(Verb::Get, resource, namespace, name)).await?)
    }

    /// Reads one object, `None` when there is none.
    ///
    /// # Errors
    /// As [`Client::get`], except that 404 is an answer.
    pub async fn find(
        &self,
        resource: &'static Resource,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Object>, Status> {
        match self.get(resource, namespace, name).await {
            Ok(object) => Ok(Some(object)),
            Err(status) if status.code == 404 => Ok(None),
            Err(status) => Err(status),
        }
    }

    /// Reads a collection; an empty `namespace` means all.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn list(&self, resource: &'static Resource, namespace: &str, options: Options) -> Result<List, Status> {
        let mut request = Request::new(Verb::List, resource, namespace, "");
        request.options = options;
        match self.call(request).await? {
            Response::List(list) => Ok(list),
            _ => Err(Status::internal("the server answered a list request with something else")),
        }
    }

    /// Starts a watch of a collection.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn watch(
        &self,
        resource: &'static Resource,
        namespace: &str,
        options: Options,
    ) -> Result<WatchStream, Status> {
        let mut request = Request::new(Verb::Watch, resource, namespace, "");
        request.options = options;
        self.backend.watch(request).await
    }

    /// Creates an object from JSON.
    ///
    /// # Errors
    /// As [`Client::get`]; 409 `AlreadyExists` when the name is taken.
    pub async fn create(
        &self,
        resource: &'static Resource,
        namespace: &str,
        body: impl Into<Bytes>,
    ) -> Result<Object, Status> {
        object(self.call(Request::new(Verb::Create, resource, namespace, "").body(ContentType::Json, body)).await?)
    }

    /// Posts JSON to a subresource such as `binding` or `token`; some answer with an object, some with a status.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn post(
        &self,
        resource: &'static Resource,
        namespace: &str,
        name: &str,
        subresource: &str,
        body: impl Into<Bytes>,
    ) -> Result<Response, Status> {
        let request = Request::new(Verb::Create, resource, namespace, name).subresource(subresource);
        self.call(request.body(ContentType::Json, body)).await
    }

    /// Replaces an object, or a subresource of it when `subresource` is not empty.
    ///
    /// # Errors
    /// As [`Client::get`]; 409 `Conflict` when the body's `resourceVersion` is stale.
    pub async fn update(
        &self,
        resource: &'static Resource,
        namespace: &str,
        name: &str,
        subresource: &str,
        body: impl Into<Bytes>,
    ) -> Result<Object, Status> {
        let request = Request::new(Verb::Update, resource, namespace, name).subresource(subresource);
        object(self.call(request.body(ContentType::Json, body)).await?)
    }

    /// Patches an object, or a subresource of it when `subresource` is not empty.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn patch(
        &self,
        resource: &'static Resource,
        namespace: &str,
        name: &str,
        subresource: &str,
        kind: ContentType,
        body: impl Into<Bytes>,
    ) -> Result<Object, Status> {
        let request = Request::new(Verb::Patch, resource, namespace, name).subresource(subresource);
        object(self.call(request.body(kind, body)).await?)
    }

    /// Deletes an object. The answer is the object while it lives on (grace, finalizers), else a status.
    ///
    /// # Errors
    /// As [`Client::get`]; 409 when the UID is another.
    pub async fn delete(
        &self,
        resource: &'static Resource,
        namespace: &str,
        name: &str,
        options: DeleteOptions,
    ) -> Result<Response, Status> {
        let mut request = Request::new(Verb::Delete, resource, namespace, name);
        request.options.precondition_uid = options.uid;
        request.options.grace_period_seconds = options.grace_period_seconds;
        request.options.propagation = options.propagation;
        self.call(request).await
    }

    /// Performs any request but a watch.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn call(&self, request: Request) -> Result<Response, Status> {
        self.backend.call(request).await
    }
}

fn object(response: Response) -> Result<Object, Status> {
    match response {
        Response::Object(object) | Response::Created(object) => Ok(object),
        Response::Status(status) if status.code >= 400 => Err(status),
        Response::Status(_) | Response::List(_) => {
            Err(Status::internal("the server answered with something that is not an object"))
        }
    }
}
