//! The statuses that HTTP itself causes, in upstream's words.

use km_api::status::Details;
use km_api::{Reason, Status};

/// 404 for a path that leads nowhere.
pub(super) fn no_such_path() -> Status {
    let mut status = Status::failure(404, Reason::NotFound, "the server could not find the requested resource");
    status.details = Some(Details::default());
    status
}

/// 405.
pub(super) fn method_not_allowed() -> Status {
    Status::method_not_allowed("the server does not allow this method on the requested resource")
}
