use std::ffi::CString;

/// How the runtime chooses tokens. Fixed when a model is opened on 1.2, chosen for each run on 1.3.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HandleSampling {
    /// Keep this many most likely tokens; 1 always picks the best.
    pub top_k: i32,
    /// Keep the smallest set with this much probability.
    pub top_p: f32,
    /// Divides the logits; 0 always picks the best.
    pub temperature: f32,
    /// Weakens recent tokens by this factor.
    pub repeat_penalty: f32,
    /// Subtracted once per occurrence.
    pub frequency_penalty: f32,
    /// Subtracted once if present.
    pub presence_penalty: f32,
    /// 0 off, 1 or 2: that version of Mirostat.
    pub mirostat: i32,
    /// Mirostat's target surprise.
    pub mirostat_tau: f32,
    /// Mirostat's learning rate.
    pub mirostat_eta: f32,
}

impl Default for HandleSampling {
    /// The vendor's own defaults, as its manual gives them.
    fn default() -> Self {
        Self {
            top_k: 40,
            top_p: 0.9,
            temperature: 0.8,
            repeat_penalty: 1.1,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            mirostat: 0,
            mirostat_tau: 5.0,
            mirostat_eta: 0.1,
        }
    }
}

/// Texts of the model's vocabulary round the images of a prompt; empty where it has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageTags {
    /// Before each image.
    pub start: CString,
    /// Behind each image.
    pub end: CString,
    /// What stands for each of an image's tokens.
    pub content: CString,
}

/// Where what the runtime prints goes, for messages that point there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RuntimeLog {
    /// To the standard output of this process, which the runtime writes to.
    #[default]
    Output,
    /// To whoever hears the log of the process that the model has to itself.
    Heard,
}

/// How a model is opened. Numbers must have been checked against the model and the machine.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionSettings {
    /// The model file.
    pub model_path: CString,
    /// Most tokens of a conversation.
    pub context: u32,
    /// How tokens are chosen.
    pub sampling: HandleSampling,
    /// Positions at the start that survive a full context; -1 for none.
    pub keep: i32,
    /// Whether control tokens are left out of the text.
    pub skip_special_tokens: bool,
    /// Whether an answer goes on after the token that ends it. 1.3 only.
    pub ignore_end: bool,
    /// What stands round images. Fixed when a model is opened on 1.2, given with each image on 1.3.
    pub image_tags: ImageTags,
    /// First memory domain of the NPU, each of about 4 GB.
    pub npu_domain: i32,
    /// Whether token embeddings stay on disk instead of in memory.
    pub embed_flash: bool,
    /// Processors to use, a bit each.
    pub cpu_mask: u32,
    /// Where what the runtime prints goes.
    pub log: RuntimeLog,
}

impl SessionSettings {
    /// The number of processors in the mask.
    pub fn cpu_count(&self) -> u32 {
        self.cpu_mask.count_ones()
    }
}
