//! core/mvcc: see ../shared design.
