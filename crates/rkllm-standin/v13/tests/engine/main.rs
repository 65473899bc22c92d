//! The engine for the NPU over the library with the C interface of 1.3.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

#[path = "../../../engine/mod.rs"]
mod engine;

pub(crate) const FILE: &str = "librkllmrt_standin_13.so";
