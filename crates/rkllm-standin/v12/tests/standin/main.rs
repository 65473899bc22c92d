//! The library with the C interface of 1.2, opened and driven as a caller would.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

#[path = "../../../conformance/mod.rs"]
mod conformance;
mod family;
