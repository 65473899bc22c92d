//! The engine over llama.cpp.
//!
//! `llama-cpp-2` loads models and reads vocabularies; everything else goes to its sys crate and our
//! own C++ shim, because decoding and sampling may throw. Raw pointers stay in the modules that own
//! them: [`Model`], `context`, `sampler`, `adapter`.

mod adapter;
mod backend;
mod batch;
mod context;
mod drafter;
mod embedding;
mod engine;
mod ffi;
mod flavour;
mod governor;
mod holders;
mod log;
mod logprobs;
mod media;
mod model;
#[cfg(test)]
mod operations;
mod pair;
mod places;
mod projector;
mod quantize;
mod random;
mod sampler;
mod saved_cells;
mod saving;
mod scorer;
mod session;
mod sound;
mod threads;

pub use backend::{Gpu, at_exit, cpu_flavour, gpus, has_gpu, release_memory, start, system_info};
pub use context::KvType;
pub use embedding::{INPUT_TOKENS_MAX, Pooling};
pub use engine::{EngineOptions, LlamaEngine, kept_prefixes};
pub use log::{LogLevel, LogSink};
pub use media::mutual_rows_max;
pub use model::{LoadOptions, Model};
pub use projector::{MediumPart, Pixels, Projector, ProjectorOptions};
pub use quantize::{FILE_TYPES, QuantizeOptions, quantize};
pub use saving::STATE_VERSION;
pub use session::{Row, Sampler, Session, SessionOptions};
pub use sound::{Decoded, SoundFormat, decode_sound};
pub use threads::ThreadPool;
