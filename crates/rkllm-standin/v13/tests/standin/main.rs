//! The library with the C interface of 1.3, opened and driven as a caller would.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

#[path = "../../../conformance/mod.rs"]
mod conformance;
mod family;
