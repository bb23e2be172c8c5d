//! The table of kinds: one row says all that the write path must know of a kind.
//!
//! Defaults are rows of `vocab/schema`; columns are rows of `table.rs`. Source of the facts: upstream v1.37
//! `pkg/registry/*/strategy.go`.

use km_api::resource::{self as r};
use km_api::{Resource, Status};
use serde_json::{Value, json};

use crate::admit::{self, Admission};
use crate::call::Durability;
use crate::field::Errors;
use crate::names::NameRule;
use crate::validate::{config, core, networking, pod, rbac, workload};
use crate::value::{default, remove, set};

/// What the write path knows of one kind.
#[derive(Debug)]
pub struct Strategy {
    /// The resource.
    pub resource: &'static Resource,
    /// Rule for names.
    pub(crate) names: NameRule,
    /// Whether `status` belongs to the status subresource and is dropped elsewhere.
    pub(crate) status: bool,
    /// Whether a new object keeps the status that the client sent: nodes register with theirs.
    pub(crate) status_at_creation: bool,
    /// Whether `metadata.generation` counts changes of the desired state.
    pub(crate) generation: bool,
    /// What the server sets in a new object, after the client's status was dropped and before defaults.
    pub(crate) prepare: fn(&mut Value),
    /// Admission: may change or refuse what is written.
    pub(crate) admit: &'static [admit::Plugin],
    /// Validates an object.
    pub(crate) validate: fn(&Value, &mut Errors),
    /// Validates a change of the object itself (old, new).
    pub(crate) validate_update: fn(&Value, &Value, &mut Errors),
    /// Whether an update of an absent object creates it.
    pub(crate) create_on_update: bool,
    /// Whether an update must name the resource version.
    pub(crate) versioned_update: bool,
    /// Whether a deletion answers with the deleted object rather than a `Status`.
    pub(crate) returns_deleted: bool,
    /// Paths that field selectors may name, besides name and namespace.
    pub(crate) fields: &'static [&'static str],
    /// How durable writes are.
    pub(crate) durability: Durability,
}

/// The row that others differ from.
const PLAIN: Strategy = Strategy {
    resource: &r::CONFIG_MAPS,
    names: NameRule::Subdomain,
    status: false,
    status_at_creation: false,
    generation: false,
    prepare: nothing,
    admit: &[],
    validate: fine,
    validate_update: same,
    create_on_update: false,
    versioned_update: false,
    returns_deleted: false,
    fields: &[],
    durability: Durability::Synced,
};

const EVENT_FIELDS: &[&str] = &[
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];

/// Every stored kind.
static ROWS: &[Strategy] = &[
    Strategy {
        resource: &r::NAMESPACES,
        names: NameRule::Label,
        status: true,
        prepare: namespace,
        fields: &["status.phase", "name"],
        ..PLAIN
    },
    Strategy {
        resource: &r::NODES,
        status: true,
        status_at_creation: true,
        admit: &[admit::node::restrict_node],
        validate: core::node,
        validate_update: core::node_update,
        fields: &["spec.unschedulable"],
        ..PLAIN
    },
    Strategy {
        resource: &r::PODS,
        status: true,
        generation: true,
        prepare: pod_prepare,
        admit: &[
            admit::node::restrict_pod,
            admit::pod::service_account,
            admit::pod::tolerations,
            admit::pod::priority,
            admit::resources::default_resources,
        ],
        validate: pod::validate,
        validate_update: pod::validate_update,
        returns_deleted: true,
        fields: &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
        ..PLAIN
    },
    Strategy {
        resource: &r::REPLICATION_CONTROLLERS,
        status: true,
        generation: true,
        prepare: zero_replicas,
        validate: workload::replication_controller,
        fields: &["status.replicas"],
        ..PLAIN
    },
    Strategy {
        resource: &r::SERVICES,
        names: NameRule::Label1035,
        status: true,
        prepare: service,
        admit: &[admit::service::allocate],
        validate: networking::service,
        validate_update: networking::service_update,
        create_on_update: true,
        returns_deleted: true,
        fields: &["spec.clusterIP", "spec.type"],
        ..PLAIN
    },
    Strategy { resource: &r::ENDPOINTS, validate: networking::endpoints, create_on_update: true, ..PLAIN },
    Strategy {
        resource: &r::CONFIG_MAPS,
        validate: config::config_map,
        validate_update: config::config_map_update,
        ..PLAIN
    },
    Strategy {
        resource: &r::SECRETS,
        admit: &[config::string_data],
        validate: config::secret,
        validate_update: config::secret_update,
        fields: &["type"],
        ..PLAIN
    },
    Strategy { resource: &r::SERVICE_ACCOUNTS, returns_deleted: true, ..PLAIN },
    Strategy {
        resource: &r::EVENTS,
        validate: core::event,
        create_on_update: true,
        fields: EVENT_FIELDS,
        durability: Durability::Relaxed,
        ..PLAIN
    },
    Strategy {
        resource: &r::EVENTS_V1,
        validate: core::event,
        create_on_update: true,
        fields: &["regarding.kind", "regarding.namespace", "regarding.name", "regarding.uid", "reason", "type"],
        durability: Durability::Relaxed,
        ..PLAIN
    },
    Strategy {
        resource: &r::DEPLOYMENTS,
        status: true,
        generation: true,
        validate: workload::deployment,
        validate_update: workload::selector_update,
        ..PLAIN
    },
    Strategy {
        resource: &r::REPLICA_SETS,
        status: true,
        generation: true,
        prepare: zero_replicas,
        validate: workload::replica_set,
        validate_update: workload::selector_update,
        fields: &["status.replicas"],
        ..PLAIN
    },
    Strategy {
        resource: &r::ENDPOINT_SLICES,
        generation: true,
        validate: networking::endpoint_slice,
        validate_update: networking::endpoint_slice_update,
        ..PLAIN
    },
    Strategy {
        resource: &r::LEASES,
        admit: &[admit::node::restrict_lease],
        validate: core::lease,
        create_on_update: true,
        versioned_update: true,
        durability: Durability::Relaxed,
        ..PLAIN
    },
    Strategy {
        resource: &r::ROLES,
        names: NameRule::PathSegment,
        admit: &[admit::escalation::role],
        validate: rbac::role,
        create_on_update: true,
        ..PLAIN
    },
    Strategy {
        resource: &r::ROLE_BINDINGS,
        names: NameRule::PathSegment,
        admit: &[admit::escalation::binding],
        validate: rbac::binding,
        validate_update: rbac::binding_update,
        create_on_update: true,
        ..PLAIN
    },
    Strategy {
        resource: &r::CLUSTER_ROLES,
        names: NameRule::PathSegment,
        admit: &[admit::escalation::role],
        validate: rbac::role,
        create_on_update: true,
        ..PLAIN
    },
    Strategy {
        resource: &r::CLUSTER_ROLE_BINDINGS,
        names: NameRule::PathSegment,
        admit: &[admit::escalation::binding],
        validate: rbac::binding,
        validate_update: rbac::binding_update,
        create_on_update: true,
        ..PLAIN
    },
    Strategy {
        resource: &r::CERTIFICATE_SIGNING_REQUESTS,
        status: true,
        admit: &[admit::csr::requester],
        validate: core::csr,
        validate_update: core::csr_update,
        fields: &["spec.signerName"],
        ..PLAIN
    },
];

/// Returns the row of a resource; virtual kinds have none.
#[must_use]
pub fn of(resource: &Resource) -> Option<&'static Strategy> {
    ROWS.iter().find(|row| row.resource == resource)
}

impl Strategy {
    /// Runs the row's admission plugins.
    pub(crate) fn admit(&self, admission: &Admission<'_>, object: &mut Value) -> Result<(), Status> {
        self.admit.iter().try_for_each(|plugin| plugin(admission, object))
    }
}

fn nothing(_: &mut Value) {}

fn fine(_: &Value, _: &mut Errors) {}

fn same(_: &Value, _: &Value, _: &mut Errors) {}

fn namespace(object: &mut Value) {
    set(object, "status.phase", "Active");
    let has = crate::value::texts(object, "spec.finalizers").contains(&"kubernetes");
    if !has {
        let spec = crate::value::object_mut(object, "spec");
        let finalizers = spec.entry("finalizers").or_insert_with(|| json!([]));
        if let Some(items) = finalizers.as_array_mut() {
            items.push(json!("kubernetes"));
        }
    }
}

fn pod_prepare(object: &mut Value) {
    set(object, "status.phase", "Pending");
    set(object, "status.qosClass", pod::qos_class(object));
    if object.get("spec").is_some() {
        remove(object, "spec.ephemeralContainers");
    }
}

fn zero_replicas(object: &mut Value) {
    set(object, "status.replicas", 0);
}

fn service(object: &mut Value) {
    default(object, "status", json!({"loadBalancer": {}}));
}
