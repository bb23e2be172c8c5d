//! The v1 scheduler API: Call goes to the master, Event comes back on the stream.
//! Offer constraints: the `oneof`s of the protocol are plain optional fields here, of which one is set.

// JUSTIFICATION: fields are named, typed and numbered as in Mesos 1.11 include/mesos/v1; their meaning is documented there.
#![allow(missing_docs)]

/// `Event`: a union; `type` says which field is set.
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct Event {
    #[prost(enumeration = "crate::scheduler::event::Type", optional, tag = "1")]
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::json::OptionalEnum::<crate::scheduler::event::Type>"
    )]
    pub r#type: Option<i32>,
    #[prost(message, optional, tag = "2")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscribed: Option<crate::scheduler::event::Subscribed>,
    #[prost(message, optional, tag = "3")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offers: Option<crate::scheduler::event::Offers>,
    #[prost(message, optional, tag = "9")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inverse_offers: Option<crate::scheduler::event::InverseOffers>,
    #[prost(message, optional, tag = "4")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rescind: Option<crate::scheduler::event::Rescind>,
    #[prost(message, optional, tag = "10")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rescind_inverse_offer: Option<crate::scheduler::event::RescindInverseOffer>,
    #[prost(message, optional, tag = "5")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<crate::scheduler::event::Update>,
    #[prost(message, optional, tag = "11")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_operation_status: Option<crate::scheduler::event::UpdateOperationStatus>,
    #[prost(message, optional, tag = "6")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<crate::scheduler::event::Message>,
    #[prost(message, optional, tag = "7")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<crate::scheduler::event::Failure>,
    #[prost(message, optional, tag = "8")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<crate::scheduler::event::Error>,
}

/// What is declared inside `Event`.
pub mod event {
    crate::json::wire_enum! {
        /// `Event.Type`
        pub enum Type {
            Unknown = 0 => "UNKNOWN",
            Subscribed = 1 => "SUBSCRIBED",
            Offers = 2 => "OFFERS",
            InverseOffers = 9 => "INVERSE_OFFERS",
            Rescind = 3 => "RESCIND",
            RescindInverseOffer = 10 => "RESCIND_INVERSE_OFFER",
            Update = 4 => "UPDATE",
            UpdateOperationStatus = 11 => "UPDATE_OPERATION_STATUS",
            Message = 5 => "MESSAGE",
            Failure = 6 => "FAILURE",
            Error = 7 => "ERROR",
            Heartbeat = 8 => "HEARTBEAT",
        }
    }

    /// `Event.Subscribed`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Subscribed {
        #[prost(message, required, tag = "1")]
        pub framework_id: crate::FrameworkId,
        #[prost(double, optional, tag = "2")]
        #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::json::OptionalDouble")]
        pub heartbeat_interval_seconds: Option<f64>,
        #[prost(message, optional, tag = "3")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub master_info: Option<crate::MasterInfo>,
    }

    /// `Event.Offers`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Offers {
        #[prost(message, repeated, tag = "1")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub offers: Vec<crate::Offer>,
    }

    /// `Event.InverseOffers`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct InverseOffers {
        #[prost(message, repeated, tag = "1")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub inverse_offers: Vec<crate::InverseOffer>,
    }

    /// `Event.Rescind`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Rescind {
        #[prost(message, required, tag = "1")]
        pub offer_id: crate::OfferId,
    }

    /// `Event.RescindInverseOffer`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct RescindInverseOffer {
        #[prost(message, required, tag = "1")]
        pub inverse_offer_id: crate::OfferId,
    }

    /// `Event.Update`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Update {
        #[prost(message, required, tag = "1")]
        pub status: crate::TaskStatus,
    }

    /// `Event.UpdateOperationStatus`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct UpdateOperationStatus {
        #[prost(message, required, tag = "1")]
        pub status: crate::OperationStatus,
    }

    /// `Event.Message`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Message {
        #[prost(message, required, tag = "1")]
        pub agent_id: crate::AgentId,
        #[prost(message, required, tag = "2")]
        pub executor_id: crate::ExecutorId,
        #[prost(bytes = "bytes", required, tag = "3")]
        #[serde(with = "crate::json::RequiredBytes")]
        pub data: bytes::Bytes,
    }

    /// `Event.Failure`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Failure {
        #[prost(message, optional, tag = "1")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub agent_id: Option<crate::AgentId>,
        #[prost(message, optional, tag = "2")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub executor_id: Option<crate::ExecutorId>,
        #[prost(int32, optional, tag = "3")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub status: Option<i32>,
    }

    /// `Event.Error`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Error {
        #[prost(string, required, tag = "1")]
        pub message: String,
    }
}

/// `AttributeConstraint`
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct AttributeConstraint {
    #[prost(message, required, tag = "1")]
    pub selector: crate::scheduler::attribute_constraint::Selector,
    #[prost(message, required, tag = "2")]
    pub predicate: crate::scheduler::attribute_constraint::Predicate,
}

/// What is declared inside `AttributeConstraint`.
pub mod attribute_constraint {
    /// `AttributeConstraint.Selector`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Selector {
        #[prost(
            enumeration = "crate::scheduler::attribute_constraint::selector::PseudoattributeType",
            optional,
            tag = "1"
        )]
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            with = "crate::json::OptionalEnum::<crate::scheduler::attribute_constraint::selector::PseudoattributeType>"
        )]
        pub pseudoattribute_type: Option<i32>,
        #[prost(string, optional, tag = "2")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub attribute_name: Option<String>,
    }

    /// What is declared inside `AttributeConstraint.Selector`.
    pub mod selector {
        crate::json::wire_enum! {
            /// `AttributeConstraint.Selector.PseudoattributeType`
            pub enum PseudoattributeType {
                Unknown = 0 => "UNKNOWN",
                Hostname = 1 => "HOSTNAME",
                Region = 2 => "REGION",
                Zone = 3 => "ZONE",
            }
        }
    }

    /// `AttributeConstraint.Predicate`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Predicate {
        #[prost(message, optional, tag = "1")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub exists: Option<crate::scheduler::attribute_constraint::predicate::Exists>,
        #[prost(message, optional, tag = "2")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub not_exists: Option<crate::scheduler::attribute_constraint::predicate::NotExists>,
        #[prost(message, optional, tag = "3")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub text_equals: Option<crate::scheduler::attribute_constraint::predicate::TextEquals>,
        #[prost(message, optional, tag = "4")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub text_not_equals: Option<crate::scheduler::attribute_constraint::predicate::TextNotEquals>,
        #[prost(message, optional, tag = "5")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub text_matches: Option<crate::scheduler::attribute_constraint::predicate::TextMatches>,
        #[prost(message, optional, tag = "6")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub text_not_matches: Option<crate::scheduler::attribute_constraint::predicate::TextNotMatches>,
    }

    /// What is declared inside `AttributeConstraint.Predicate`.
    pub mod predicate {
        /// `AttributeConstraint.Predicate.Exists`
        #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
        pub struct Exists {}

        /// `AttributeConstraint.Predicate.NotExists`
        #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
        pub struct NotExists {}

        /// `AttributeConstraint.Predicate.TextEquals`
        #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
        pub struct TextEquals {
            #[prost(string, required, tag = "1")]
            pub value: String,
        }

        /// `AttributeConstraint.Predicate.TextNotEquals`
        #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
        pub struct TextNotEquals {
            #[prost(string, required, tag = "1")]
            pub value: String,
        }

        /// `AttributeConstraint.Predicate.TextMatches`
        #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
        pub struct TextMatches {
            #[prost(string, required, tag = "1")]
            pub regex: String,
        }

        /// `AttributeConstraint.Predicate.TextNotMatches`
        #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
        pub struct TextNotMatches {
            #[prost(string, required, tag = "1")]
            pub regex: String,
        }
    }
}

/// `OfferConstraints`
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct OfferConstraints {
    #[prost(btree_map = "string, message", tag = "1")]
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub role_constraints: std::collections::BTreeMap<String, crate::scheduler::offer_constraints::RoleConstraints>,
}

/// What is declared inside `OfferConstraints`.
pub mod offer_constraints {
    /// `OfferConstraints.RoleConstraints`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct RoleConstraints {
        #[prost(message, repeated, tag = "1")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub groups: Vec<crate::scheduler::offer_constraints::role_constraints::Group>,
    }

    /// What is declared inside `OfferConstraints.RoleConstraints`.
    pub mod role_constraints {
        /// `OfferConstraints.RoleConstraints.Group`
        #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
        pub struct Group {
            #[prost(message, repeated, tag = "1")]
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub attribute_constraints: Vec<crate::scheduler::AttributeConstraint>,
        }
    }
}

/// `Call`: a union; `type` says which field is set.
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct Call {
    #[prost(message, optional, tag = "1")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub framework_id: Option<crate::FrameworkId>,
    #[prost(enumeration = "crate::scheduler::call::Type", optional, tag = "2")]
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::json::OptionalEnum::<crate::scheduler::call::Type>"
    )]
    pub r#type: Option<i32>,
    #[prost(message, optional, tag = "3")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscribe: Option<crate::scheduler::call::Subscribe>,
    #[prost(message, optional, tag = "4")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept: Option<crate::scheduler::call::Accept>,
    #[prost(message, optional, tag = "5")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decline: Option<crate::scheduler::call::Decline>,
    #[prost(message, optional, tag = "13")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_inverse_offers: Option<crate::scheduler::call::AcceptInverseOffers>,
    #[prost(message, optional, tag = "14")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decline_inverse_offers: Option<crate::scheduler::call::DeclineInverseOffers>,
    #[prost(message, optional, tag = "15")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revive: Option<crate::scheduler::call::Revive>,
    #[prost(message, optional, tag = "6")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kill: Option<crate::scheduler::call::Kill>,
    #[prost(message, optional, tag = "7")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shutdown: Option<crate::scheduler::call::Shutdown>,
    #[prost(message, optional, tag = "8")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledge: Option<crate::scheduler::call::Acknowledge>,
    #[prost(message, optional, tag = "17")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledge_operation_status: Option<crate::scheduler::call::AcknowledgeOperationStatus>,
    #[prost(message, optional, tag = "9")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconcile: Option<crate::scheduler::call::Reconcile>,
    #[prost(message, optional, tag = "18")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconcile_operations: Option<crate::scheduler::call::ReconcileOperations>,
    #[prost(message, optional, tag = "10")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<crate::scheduler::call::Message>,
    #[prost(message, optional, tag = "11")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<crate::scheduler::call::Request>,
    #[prost(message, optional, tag = "16")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppress: Option<crate::scheduler::call::Suppress>,
    #[prost(message, optional, tag = "19")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_framework: Option<crate::scheduler::call::UpdateFramework>,
}

/// What is declared inside `Call`.
pub mod call {
    crate::json::wire_enum! {
        /// `Call.Type`
        pub enum Type {
            Unknown = 0 => "UNKNOWN",
            Subscribe = 1 => "SUBSCRIBE",
            Teardown = 2 => "TEARDOWN",
            Accept = 3 => "ACCEPT",
            Decline = 4 => "DECLINE",
            AcceptInverseOffers = 13 => "ACCEPT_INVERSE_OFFERS",
            DeclineInverseOffers = 14 => "DECLINE_INVERSE_OFFERS",
            Revive = 5 => "REVIVE",
            Kill = 6 => "KILL",
            Shutdown = 7 => "SHUTDOWN",
            Acknowledge = 8 => "ACKNOWLEDGE",
            AcknowledgeOperationStatus = 15 => "ACKNOWLEDGE_OPERATION_STATUS",
            Reconcile = 9 => "RECONCILE",
            ReconcileOperations = 16 => "RECONCILE_OPERATIONS",
            Message = 10 => "MESSAGE",
            Request = 11 => "REQUEST",
            Suppress = 12 => "SUPPRESS",
            UpdateFramework = 17 => "UPDATE_FRAMEWORK",
        }
    }

    /// `Call.Subscribe`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Subscribe {
        #[prost(message, required, tag = "1")]
        pub framework_info: crate::FrameworkInfo,
        #[prost(string, repeated, tag = "2")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub suppressed_roles: Vec<String>,
        #[prost(message, optional, tag = "3")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub offer_constraints: Option<crate::scheduler::OfferConstraints>,
    }

    /// `Call.Accept`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Accept {
        #[prost(message, repeated, tag = "1")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub offer_ids: Vec<crate::OfferId>,
        #[prost(message, repeated, tag = "2")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub operations: Vec<crate::offer::Operation>,
        #[prost(message, optional, tag = "3")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub filters: Option<crate::Filters>,
    }

    /// `Call.Decline`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Decline {
        #[prost(message, repeated, tag = "1")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub offer_ids: Vec<crate::OfferId>,
        #[prost(message, optional, tag = "2")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub filters: Option<crate::Filters>,
    }

    /// `Call.AcceptInverseOffers`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct AcceptInverseOffers {
        #[prost(message, repeated, tag = "1")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub inverse_offer_ids: Vec<crate::OfferId>,
        #[prost(message, optional, tag = "2")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub filters: Option<crate::Filters>,
    }

    /// `Call.DeclineInverseOffers`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct DeclineInverseOffers {
        #[prost(message, repeated, tag = "1")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub inverse_offer_ids: Vec<crate::OfferId>,
        #[prost(message, optional, tag = "2")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub filters: Option<crate::Filters>,
    }

    /// `Call.Revive`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Revive {
        #[prost(string, repeated, tag = "1")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub roles: Vec<String>,
    }

    /// `Call.Kill`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Kill {
        #[prost(message, required, tag = "1")]
        pub task_id: crate::TaskId,
        #[prost(message, optional, tag = "2")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub agent_id: Option<crate::AgentId>,
        #[prost(message, optional, tag = "3")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub kill_policy: Option<crate::KillPolicy>,
    }

    /// `Call.Shutdown`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Shutdown {
        #[prost(message, required, tag = "1")]
        pub executor_id: crate::ExecutorId,
        #[prost(message, required, tag = "2")]
        pub agent_id: crate::AgentId,
    }

    /// `Call.Acknowledge`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Acknowledge {
        #[prost(message, required, tag = "1")]
        pub agent_id: crate::AgentId,
        #[prost(message, required, tag = "2")]
        pub task_id: crate::TaskId,
        #[prost(bytes = "bytes", required, tag = "3")]
        #[serde(with = "crate::json::RequiredBytes")]
        pub uuid: bytes::Bytes,
    }

    /// `Call.AcknowledgeOperationStatus`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct AcknowledgeOperationStatus {
        #[prost(message, optional, tag = "1")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub agent_id: Option<crate::AgentId>,
        #[prost(message, optional, tag = "2")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub resource_provider_id: Option<crate::ResourceProviderId>,
        #[prost(bytes = "bytes", required, tag = "3")]
        #[serde(with = "crate::json::RequiredBytes")]
        pub uuid: bytes::Bytes,
        #[prost(message, required, tag = "4")]
        pub operation_id: crate::OperationId,
    }

    /// `Call.Reconcile`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Reconcile {
        #[prost(message, repeated, tag = "1")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub tasks: Vec<crate::scheduler::call::reconcile::Task>,
    }

    /// What is declared inside `Call.Reconcile`.
    pub mod reconcile {
        /// `Call.Reconcile.Task`
        #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
        pub struct Task {
            #[prost(message, required, tag = "1")]
            pub task_id: crate::TaskId,
            #[prost(message, optional, tag = "2")]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub agent_id: Option<crate::AgentId>,
        }
    }

    /// `Call.ReconcileOperations`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct ReconcileOperations {
        #[prost(message, repeated, tag = "1")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub operations: Vec<crate::scheduler::call::reconcile_operations::Operation>,
    }

    /// What is declared inside `Call.ReconcileOperations`.
    pub mod reconcile_operations {
        /// `Call.ReconcileOperations.Operation`
        #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
        pub struct Operation {
            #[prost(message, required, tag = "1")]
            pub operation_id: crate::OperationId,
            #[prost(message, optional, tag = "2")]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub agent_id: Option<crate::AgentId>,
            #[prost(message, optional, tag = "3")]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub resource_provider_id: Option<crate::ResourceProviderId>,
        }
    }

    /// `Call.Message`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Message {
        #[prost(message, required, tag = "1")]
        pub agent_id: crate::AgentId,
        #[prost(message, required, tag = "2")]
        pub executor_id: crate::ExecutorId,
        #[prost(bytes = "bytes", required, tag = "3")]
        #[serde(with = "crate::json::RequiredBytes")]
        pub data: bytes::Bytes,
    }

    /// `Call.Request`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Request {
        #[prost(message, repeated, tag = "1")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub requests: Vec<crate::Request>,
    }

    /// `Call.Suppress`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Suppress {
        #[prost(string, repeated, tag = "1")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub roles: Vec<String>,
    }

    /// `Call.UpdateFramework`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct UpdateFramework {
        #[prost(message, required, tag = "1")]
        pub framework_info: crate::FrameworkInfo,
        #[prost(string, repeated, tag = "2")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub suppressed_roles: Vec<String>,
        #[prost(message, optional, tag = "3")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub offer_constraints: Option<crate::scheduler::OfferConstraints>,
    }
}
