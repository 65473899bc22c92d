//! Holds answers to a JSON Schema or a regular expression.
//!
//! The engine behind it is `llguidance`, which tells for each step what tokens may come next. What it
//! would ignore, or take for more than it is, is refused before it gets there (`schema`, `pattern`);
//! numbers and thoughts, of which it has no idea, are kept in bounds beside it (`numbers`, `gate`).

#![forbid(unsafe_code)]

mod compiler;
mod follower;
mod gate;
mod numbers;
mod pattern;
mod schema;
mod vocabulary;

pub use compiler::Compiler;
pub use follower::{Follower, Strictness};
