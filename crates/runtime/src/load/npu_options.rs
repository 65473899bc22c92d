use std::path::PathBuf;

use rkllmjs_core::GenerateOptions;
use serde::{Deserialize, Serialize};

/// What stands round the images of a prompt, as a caller wrote it; empty where nothing does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageTagOptions {
    /// Before each image.
    pub start: String,
    /// Behind each image.
    pub end: String,
    /// What stands for each of an image's tokens.
    pub content: String,
}

/// Load options that only models on an NPU have, as a caller wrote them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NpuOptions {
    /// The runtime's library; otherwise it is searched for.
    pub library_path: Option<PathBuf>,
    /// Where the addon lies: one of the places that are searched.
    pub addon_folder: Option<PathBuf>,
    /// The version of a library that does not tell its own, such as `1.3.1`.
    pub runtime_version: Option<String>,
    /// The most tokens of an answer to a request that says nothing of it.
    pub max_new_tokens: Option<f64>,
    /// First memory domain of the NPU.
    pub npu_domain: Option<f64>,
    /// Processors the runtime may use, a bit each.
    pub cpu_mask: Option<f64>,
    /// Leave token embeddings on disk.
    pub embed_flash: Option<bool>,
    /// Positions at the start that survive a full context.
    pub n_keep: Option<f64>,
    /// Inputs that the runtime computes in one run.
    pub n_batch: Option<f64>,
    /// Leave control tokens out of the text.
    pub skip_special_token: Option<bool>,
    /// Go on after the token that ends an answer.
    pub ignore_eos_token: Option<bool>,
    /// Texts of the model's vocabulary round images.
    pub image_tags: Option<ImageTagOptions>,
    /// How tokens are chosen where a request says nothing of it; 1.2 runtimes know no other way.
    pub sampling: GenerateOptions,
}

impl NpuOptions {
    /// The first option that was given, but for those that say where to look.
    pub(super) fn first_given(&self) -> Option<&'static str> {
        let sampling = &self.sampling;
        let given = [
            ("library_path", self.library_path.is_some()),
            ("runtime_version", self.runtime_version.is_some()),
            ("max_new_tokens", self.max_new_tokens.is_some()),
            ("npu_domain", self.npu_domain.is_some()),
            ("cpu_mask", self.cpu_mask.is_some()),
            ("embed_flash", self.embed_flash.is_some()),
            ("n_keep", self.n_keep.is_some()),
            ("n_batch", self.n_batch.is_some()),
            ("skip_special_token", self.skip_special_token.is_some()),
            ("ignore_eos_token", self.ignore_eos_token.is_some()),
            ("image_tags", self.image_tags.is_some()),
            ("temperature", sampling.temperature.is_some()),
            ("top_k", sampling.top_k.is_some()),
            ("top_p", sampling.top_p.is_some()),
            ("repeat_penalty", sampling.repeat_penalty.is_some()),
            ("frequency_penalty", sampling.frequency_penalty.is_some()),
            ("presence_penalty", sampling.presence_penalty.is_some()),
            ("mirostat", sampling.mirostat.is_some()),
            ("mirostat_tau", sampling.mirostat_tau.is_some()),
            ("mirostat_eta", sampling.mirostat_eta.is_some()),
        ];
        given.iter().find(|(_, given)| *given).map(|&(name, _)| name)
    }
}
