//! What a framework answered to an inverse offer.

// JUSTIFICATION: fields are named, typed and numbered as in Mesos 1.11 include/mesos/v1; their meaning is documented there.
#![allow(missing_docs)]

/// `InverseOfferStatus`
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct InverseOfferStatus {
    #[prost(enumeration = "crate::allocator::inverse_offer_status::Status", required, tag = "1")]
    #[serde(with = "crate::json::RequiredEnum::<crate::allocator::inverse_offer_status::Status>")]
    pub status: i32,
    #[prost(message, required, tag = "2")]
    pub framework_id: crate::FrameworkId,
    #[prost(message, required, tag = "3")]
    pub timestamp: crate::TimeInfo,
}

/// What is declared inside `InverseOfferStatus`.
pub mod inverse_offer_status {
    crate::json::wire_enum! {
        /// `InverseOfferStatus.Status`
        pub enum Status {
            Unknown = 1 => "UNKNOWN",
            Accept = 2 => "ACCEPT",
            Decline = 3 => "DECLINE",
        }
    }
}
