//! vocab/kinds: see ../shared design.
