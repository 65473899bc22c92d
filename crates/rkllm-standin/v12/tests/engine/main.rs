//! The engine for the NPU over the library with the C interface of 1.2.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

#[path = "../../../engine/mod.rs"]
mod engine;

pub(crate) const FILE: &str = "librkllmrt_standin_12.so";
