//! A stand-in for Rockchip's RKLLM runtime: its semantics in plain Rust, computed on the CPU.
//!
//! It exists so that what is written against the vendor's library can be tested, and tried, without a
//! board. It is no product of Rockchip and shares no code with theirs. The C interfaces over it are the
//! packages in `v12` and `v13`; where the vendor's behaviour is not known, `README.md` says what was
//! chosen.
//!
//! [`Runtime`] is what a handle of the vendor's points to. [`model_file`] is the format of its models,
//! [`Traps`] are the ways in which it can be told to misbehave.

#![forbid(unsafe_code)]

mod backend;
mod config;
mod failure;
mod log;
mod measure;
mod model;
pub mod model_file;
mod run;
mod runtime;
mod scripted;
mod template;
mod text;
mod traps;

pub use config::{Config, Cpus, Family, SamplingConfig};
pub use failure::Failure;
pub use run::{
    Flow, Input, Matrix, Media, Mode, Outcome, Perf, PromptCacheRequest, Role, RunInput, RunParams, State,
};
pub use runtime::{BegunRun, Callback, Runtime};
pub use traps::Traps;
