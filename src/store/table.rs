//! Composite keys whose bytes sort as their parts do.
