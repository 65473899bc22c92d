//! From a file and options to a running model: picks the engine, sizes it to the machine and joins
//! tokenizer, chat template and scheduler behind one facade, [`Model`].
//!
//! This is the only crate that names engines.

#![forbid(unsafe_code)]

mod answer;
mod control_vectors;
mod diagnose;
mod file;
mod fill;
mod groups;
mod info;
mod inspect;
mod load;
mod machine;
mod media;
mod model;
mod native_prompt;
mod npu_status;
mod perplexity;
mod plan;
mod prepare;
mod quantize;
mod rank_head;
mod reading;
mod registry;
mod rerank;
mod state;
mod thoughts;
mod toolkit;
mod unfinished;

pub use answer::{Answer, AnswerChoice, AnswerEnd, AnswerPart};
pub use control_vectors::ControlVector;
pub use diagnose::{Question, diagnose};
pub use inspect::inspect;
pub use load::{
    EngineProgram, Hooks, ImageTagOptions, LOAD_OPTIONS, LoadOptions, NPU_OPTIONS, NpuOptions, load,
    serve_engine,
};
pub use machine::{Machine, machine};
pub use media::{MediumData, MediumKind, MediumSource};
pub use model::{Model, PromptInput};
pub use npu_status::npu_status;
pub use perplexity::PerplexityOptions;
pub use quantize::{QuantizeOptions, quantize};
pub use registry::{shutdown, wait_for_loads};
pub use rerank::{Ranking, RerankInput};
pub use rkllmjs_llama::{LogLevel, LogSink, system_info};
pub use state::SaveStateOptions;
