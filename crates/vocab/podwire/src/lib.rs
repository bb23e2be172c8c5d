//! vocab/podwire: see ../shared design.
