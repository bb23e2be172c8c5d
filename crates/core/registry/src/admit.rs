//! Admission: what may be written beyond what is well-formed. The plugins are rows of `strategy.rs`.
//!
//! Deliberately absent: webhooks, quotas, LimitRange and PriorityClass objects.

pub(crate) mod csr;
pub(crate) mod escalation;
pub(crate) mod node;
pub(crate) mod pod;
pub(crate) mod resources;
pub(crate) mod service;

use km_api::resource::NAMESPACES;
use km_api::{Cause, Status};
use serde_json::Value;

use crate::call::Call;
use crate::value::text;
use crate::view::{View, key};

/// What an admission plugin sees.
#[derive(Clone, Copy)]
pub(crate) struct Admission<'a> {
    pub(crate) view: &'a dyn View,
    pub(crate) call: &'a Call<'a>,
    /// The object before an update; `None` when it is being created.
    pub(crate) old: Option<&'a Value>,
}

/// Changes or refuses what is written.
pub(crate) type Plugin = fn(&Admission<'_>, &mut Value) -> Result<(), Status>;

impl Admission<'_> {
    pub(crate) fn is_create(&self) -> bool {
        self.old.is_none()
    }

    /// 403 about the object at hand.
    pub(crate) fn forbidden(&self, object: &Value, why: impl std::fmt::Display) -> Status {
        Status::forbidden(self.call.request.resource, text(object, "metadata.name"), why)
    }
}

/// Refuses new objects in namespaces that are not there or are being deleted (`NamespaceLifecycle`).
pub(crate) fn namespace(admission: &Admission<'_>, object: &Value) -> Result<(), Status> {
    let resource = admission.call.request.resource;
    if !resource.is_namespaced() {
        return Ok(());
    }
    let name = text(object, "metadata.namespace");
    let Some(namespace) = admission.view.get(&key(&NAMESPACES, "", name)) else {
        return Err(Status::not_found(&NAMESPACES, name));
    };
    if !namespace.meta().is_terminating() {
        return Ok(());
    }
    let why = format!("unable to create new content in namespace {name} because it is being terminated");
    let mut status = admission.forbidden(object, why);
    if let Some(details) = &mut status.details {
        details.causes.push(Cause {
            reason: "NamespaceTerminating".into(),
            message: format!("namespace {name} is being terminated"),
            field: "metadata.namespace".into(),
        });
    }
    Err(status)
}
