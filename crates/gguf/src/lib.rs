//! Checked reader of GGUF files.
//!
//! A model file is hostile until checked. This crate reads the header of a GGUF file before
//! llama.cpp opens it, and refuses what llama.cpp would abort on or misread, naming what is wrong
//! and where. It never reads tensor data, except in [`check_weights_finite`] and [`read_control_vector`].
//!
//! - [`File::open`] checks the structure: sizes, counts, types, offsets, names.
//! - [`Parts::open`] does so for a model in several files.
//! - [`check_model`] and [`check_adapter`] check the meaning: what llama.cpp asserts on.
//! - [`check_projector`] does so for what turns images into rows.
//! - [`facts`] tells what `info` and `inspect()` show.
//! - [`memory::estimate`] says how much memory a model will take, roughly.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod adapter;
mod check;
mod control_vector;
mod error;
mod facts;
mod families;
mod file;
mod magic;
pub mod memory;
mod metadata;
mod parts;
mod projector;
mod quantization;
mod rank_head;
mod reader;
mod tensor;
#[cfg(test)]
mod testing;
mod types;
mod value;
mod weights;

pub use adapter::check_adapter;
pub use check::check_model;
pub use control_vector::{ControlShape, read_control_vector};
pub use error::{Error, ErrorKind};
pub use facts::{Facts, Pooling, facts};
pub use file::{File, Kind, Split, open_regular};
pub use metadata::Metadata;
pub use parts::Parts;
pub use projector::{Projector, ProjectorKind, Sense, check_projector};
pub use rank_head::RankHead;
pub use tensor::Tensor;
pub use types::TensorType;
pub use value::{Array, Strings, Value};
pub use weights::{Scan, check_weights_finite};
