use std::path::PathBuf;

use crate::Failure;
use crate::model_file::Header;

/// Most inputs of one run; the vendor suggests no more than 8.
const BATCH_MAX: u32 = 16;
/// Most processors that the mask can name.
const CPUS_MAX: u32 = 8;

/// Which of the vendor's interfaces, and so which behaviour where they differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// 1.2.1 to 1.2.3.
    V12,
    /// 1.3.0 and 1.3.1.
    V13,
}

impl Family {
    /// The release that this family stands in for.
    pub const fn release(self) -> (u8, u8, u8) {
        match self {
            Self::V12 => (1, 2, 3),
            Self::V13 => (1, 3, 1),
        }
    }
}

/// The processors a model may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpus {
    /// How many.
    pub count: i8,
    /// Which, one bit each.
    pub mask: u32,
}

/// How tokens are chosen, as the vendor's interface says it.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplingConfig {
    /// Keep this many most likely tokens; 1 is greedy, 0 and less keep all.
    pub top_k: i32,
    /// Keep the smallest set with this much probability.
    pub top_p: f32,
    /// Divides the logits; 0 is greedy.
    pub temperature: f32,
    /// Divides the logits of recent tokens.
    pub repeat_penalty: f32,
    /// Subtracted once per occurrence among the recent tokens.
    pub frequency_penalty: f32,
    /// Subtracted once if among the recent tokens.
    pub presence_penalty: f32,
    /// 0 off, 1 or 2.
    pub mirostat: i32,
    /// Mirostat's target surprise.
    pub mirostat_tau: f32,
    /// Mirostat's learning rate.
    pub mirostat_eta: f32,
}

impl Default for SamplingConfig {
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

impl SamplingConfig {
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let numbers = [
            self.top_p,
            self.temperature,
            self.repeat_penalty,
            self.frequency_penalty,
            self.presence_penalty,
            self.mirostat_tau,
            self.mirostat_eta,
        ];
        if numbers.iter().any(|x| !x.is_finite()) {
            return Err(Failure::new("a sampling parameter is not a number"));
        }
        if !(0..=2).contains(&self.mirostat) {
            return Err(Failure::new(format!("mirostat must be 0, 1 or 2, got {}", self.mirostat)));
        }
        Ok(())
    }

    /// Whether the most likely token is always chosen.
    pub(crate) fn is_greedy(&self) -> bool {
        self.top_k == 1 || self.temperature <= 0.0
    }
}

/// How a model is loaded: the vendor's settings with the names of ours.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Whose behaviour.
    pub family: Family,
    /// The model's file.
    pub model_path: PathBuf,
    /// Most tokens of one input of the batch, answer included.
    pub max_context_len: i32,
    /// Most tokens of an answer; less than 1 has no limit but the context.
    pub max_new_tokens: i32,
    /// Positions at the start that survive a full context; -1 keeps the system prompt.
    pub n_keep: i32,
    /// How tokens are chosen, unless a run says otherwise.
    pub sampling: SamplingConfig,
    /// Whether control tokens have no text.
    pub skip_special_token: bool,
    /// Whether the end token does not end an answer.
    pub ignore_eos_token: bool,
    /// Whether runs in the background are allowed.
    pub is_async: bool,
    /// The processors to use.
    pub cpus: Cpus,
    /// Inputs of one run.
    pub n_batch: u32,
    /// The reserved bytes, which ought to be 0.
    pub reserved: Vec<u8>,
}

impl Config {
    /// What the vendor's library would refuse before it loads the model's weights.
    pub(crate) fn check(&self, header: &Header) -> Result<(), Failure> {
        let Cpus { count, mask } = self.cpus;
        let count = u32::try_from(count).unwrap_or(0);
        if count == 0 || count > CPUS_MAX || count < header.npu_cores {
            let least = header.npu_cores.max(1);
            return Err(Failure::new(format!(
                "the number of enabled CPUs must be between {least} and {CPUS_MAX}, got {count}"
            )));
        }
        if mask.count_ones() != count || mask >= 1 << CPUS_MAX {
            return Err(Failure::new(format!(
                "the enabled CPUs mask {mask:#x} must name {count} of {CPUS_MAX} processors"
            )));
        }
        if self.n_batch == 0 || self.n_batch > BATCH_MAX {
            return Err(Failure::new(format!("n_batch must be 1 to {BATCH_MAX}, got {}", self.n_batch)));
        }
        if self.max_context_len <= 0 {
            return Err(Failure::new(format!(
                "max_context_len must be positive, got {}",
                self.max_context_len
            )));
        }
        if self.n_keep >= self.max_context_len {
            return Err(Failure::new(format!(
                "n_keep must be less than max_context_len, got {}",
                self.n_keep
            )));
        }
        self.sampling.check()?;
        self.check_file(header)
    }

    fn check_file(&self, header: &Header) -> Result<(), Failure> {
        let (release, toolkit) = (self.family.release(), header.toolkit);
        if release < toolkit {
            return Err(Failure::new(format!(
                "the runtime version is lower than the rkllm-toolkit version: {release:?} and {toolkit:?}"
            )));
        }
        let platform = std::env::var("RKLLMJS_STANDIN_PLATFORM");
        let platform = platform.ok().and_then(|name| crate::model_file::Platform::named(&name));
        let platform = platform.unwrap_or_default();
        if header.platform != platform {
            return Err(Failure::new(format!(
                "the model's target_platform does not match this one: {} and {}",
                header.platform.name(),
                platform.name()
            )));
        }
        Ok(())
    }

    /// Checks the context against what the model has.
    pub(crate) fn check_context(&self, limit: u32) -> Result<(), Failure> {
        if u32::try_from(self.max_context_len).is_ok_and(|length| length <= limit) {
            return Ok(());
        }
        Err(Failure::new(format!(
            "max_context_len {} must be less than the model's max_context_limit {limit}",
            self.max_context_len
        )))
    }
}
