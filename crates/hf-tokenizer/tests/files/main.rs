//! The crate through its public face: made-up repositories in temporary folders, the tiny model's own
//! files, and files that lie.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod companions;
mod control_tokens;
mod hostile;
mod kinds;
mod support;
mod tiny;
