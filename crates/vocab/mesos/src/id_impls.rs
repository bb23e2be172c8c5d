//! Ids made from and shown as text, one line a kind.

use crate::{AgentId, ContainerId, ExecutorId, FrameworkId, OfferId, OperationId, ResourceProviderId, TaskId};

macro_rules! text_id {
    ($($name:ident),*) => {$(
        impl $name {
            /// Makes an id of its text.
            pub fn new(value: impl Into<String>) -> Self {
                Self { value: value.into() }
            }

            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.value
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.value)
            }
        }
    )*};
}

text_id!(AgentId, ExecutorId, FrameworkId, OfferId, OperationId, ResourceProviderId, TaskId);

impl ContainerId {
    /// Makes the id of a container that is not nested.
    pub fn new(value: impl Into<String>) -> Self {
        Self { value: value.into(), parent: None }
    }
}
