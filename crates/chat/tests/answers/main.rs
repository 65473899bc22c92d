//! Answers of models that think and call tools, read as they are written.

#![expect(clippy::expect_used, reason = "a test says what it expects")]

mod families;
mod reading;
mod splits;
mod support;
