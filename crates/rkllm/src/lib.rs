//! The engine over Rockchip's RKLLM runtime.
//!
//! - [`library`] finds the vendor's library, tells which interface it has, and opens it.
//! - [`model_file`] checks a model before the library sees it.
//! - [`npu`] reads what the system says about the chip and its NPU.
//! - [`RkllmEngine`] runs a model on a thread of its own (`session`) behind the engine trait.

mod engine;
pub mod library;
pub mod model_file;
pub mod npu;
mod prompt_cache;
mod sampling;
mod session;
#[cfg(test)]
mod testing;

pub use engine::{EngineOptions, RkllmEngine};
pub use prompt_cache::fingerprint;
pub use sampling::default_sampling;
pub use session::{HandleSampling, ImageTags, RuntimeLog, SessionSettings};
