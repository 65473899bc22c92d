use std::path::{Path, PathBuf};

use rkllmjs_core::{Detail, Error, ErrorCode};
use rkllmjs_gguf as gguf;
use rkllmjs_hf_tokenizer as hf;
use rkllmjs_rkllm::model_file::{self, ModelFile};
use rkllmjs_rkllm::npu::Platform;
use serde_json::{Value, json};

use super::Here;
use super::problem::Problem;
use crate::file::{self, Kind, Sign};
use crate::load::LoadOptions;
use crate::plan::Plan;
use crate::toolkit;

/// What is to be said about one file.
pub(super) struct ModelReport {
    path: String,
    kind: Option<Kind>,
    /// What says which engine it is for.
    why: &'static str,
    size_bytes: Option<u64>,
    memory: Option<Memory>,
    npu: Option<ModelFile>,
    /// Its own; those of the machine concern every file alike.
    pub(super) problems: Vec<Problem>,
}

/// What running a model takes.
#[derive(Debug, Clone, Copy)]
struct Memory {
    needed_bytes: u64,
    /// `None` where only a least is known.
    context: Option<u32>,
}

/// Tells which engine would run a file, why, and what is in its way.
pub(super) fn report(path: &Path, here: &Here) -> ModelReport {
    let recognized = if path.is_file() { file::recognize(path) } else { None };
    let report = ModelReport {
        path: path.display().to_string(),
        kind: recognized.map(|(kind, _)| kind),
        why: match recognized {
            Some((Kind::Gguf, _)) => "its first bytes are those of a GGUF model",
            Some((Kind::Rkllm, Sign::FirstBytes)) => "its first bytes are those of an RKLLM model",
            Some((Kind::Rkllm, Sign::Name)) => "its name ends in .rkllm, though its first bytes say nothing",
            None if !path.exists() => "no engine: there is no such file",
            None => "no engine: it is no file that begins like a model",
        },
        size_bytes: path.metadata().ok().filter(std::fs::Metadata::is_file).map(|facts| facts.len()),
        memory: None,
        npu: None,
        problems: Vec::new(),
    };
    match report.kind {
        Some(Kind::Gguf) => report.of_gguf(path, here),
        Some(Kind::Rkllm) => report.of_rkllm(path, here),
        None => report.of_neither(path),
    }
}

impl ModelReport {
    pub(super) fn is_for_npu(&self) -> bool {
        self.kind == Some(Kind::Rkllm)
    }

    pub(super) fn describe(&self, npu_obstacles: &[Problem]) -> Value {
        let shared: &[Problem] = if self.is_for_npu() { npu_obstacles } else { &[] };
        let messages = |is_error: bool| -> Vec<&str> {
            let chosen = self.problems.iter().chain(shared.iter().filter(|problem| problem.is_error()));
            chosen
                .filter(|problem| problem.is_error() == is_error)
                .map(|problem| problem.message.as_str())
                .collect()
        };
        let missing = messages(true);
        json!({
            "path": self.path,
            "engine": self.kind.map(Kind::engine),
            "why": self.why,
            "runs": missing.is_empty(),
            "missing": missing,
            "notes": messages(false),
            "sizeBytes": self.size_bytes,
            "memory": self.memory.map(|memory| json!({
                "neededBytes": memory.needed_bytes,
                "contextSize": memory.context,
            })),
            "npu": self.npu.as_ref().map(describe_npu),
        })
    }

    fn of_neither(mut self, path: &Path) -> Self {
        let refusal = match gguf::File::open(path) {
            Err(error) => file::refused(path, &error).message,
            Ok(_) => format!("{}: is no model", path.display()),
        };
        self.problems.push(Problem::error(refusal));
        self
    }

    fn of_gguf(mut self, path: &Path, here: &Here) -> Self {
        let opened = match file::open_model(path) {
            Ok(opened) => opened,
            Err(error) => {
                self.problems.push(Problem::error(error.message));
                return self;
            }
        };
        let facts = gguf::facts(&opened.whole);
        match Plan::new(&LoadOptions::default(), &facts, &here.machine) {
            Ok(plan) => {
                self.memory = Some(Memory { needed_bytes: plan.memory.total, context: Some(plan.context) });
            }
            Err(error) => {
                self.memory = needed(&error).map(|needed_bytes| Memory { needed_bytes, context: None });
                self.problems.push(Problem::error(format!("{}: {}", self.path, error.message)));
            }
        }
        if facts.chat_template.is_none() && !facts.is_encoder_only {
            let message = format!("{}: has no chat template, which chat() needs", self.path);
            self.problems.push(Problem::note(message).fixed_by("give one as chatTemplate when loading it"));
        }
        self
    }

    fn of_rkllm(mut self, path: &Path, here: &Here) -> Self {
        let checked = match model_file::check(path, None) {
            Ok(checked) => checked,
            Err(error) => {
                self.problems.push(Problem::error(error.message));
                return self;
            }
        };
        // A model for another chip is sound, and worth telling about.
        if let Err(error) = model_file::check(path, here.npu.soc.value.as_ref()) {
            self.problems.push(Problem::error(error.message));
        }
        self.memory = Some(Memory { needed_bytes: checked.bytes, context: None });
        self.problems.extend(self.companion_problem(path));
        self.problems.extend(self.toolkit_problem(&checked, here));
        self.problems.extend(self.chip_problem(&checked, here));
        self.problems.extend(self.memory_problem(here));
        self.npu = Some(checked);
        self
    }

    fn companion_problem(&self, path: &Path) -> Option<Problem> {
        match hf::open_beside(path) {
            Err(error) => Some(Problem::error(error.message)),
            Ok(None) => {
                let message = format!(
                    "{}: has no tokenizer.json beside it; text goes through the NPU runtime's own template, one \
                     turn of the user at a time, and tokens cannot be counted",
                    self.path
                );
                let fix = "put tokenizer.json, tokenizer_config.json, config.json and, if there is one, \
                           chat_template.jinja of the repository it was converted from beside it";
                Some(Problem::warning(message).fixed_by(fix))
            }
            Ok(Some(companions)) if companions.templates.default.is_none() => {
                let message = format!("{}: has no chat template beside it, which chat() needs", self.path);
                Some(
                    Problem::warning(message)
                        .fixed_by("put tokenizer_config.json or chat_template.jinja beside it"),
                )
            }
            Ok(Some(_)) => None,
        }
    }

    /// What the versions of the toolkit and of the runtime mean for each other.
    fn toolkit_problem(&self, file: &ModelFile, here: &Here) -> Option<Problem> {
        let (made_by, runtime) = (file.toolkit_version, here.runtime.found.as_ref()?.version);
        if let Some(why) = toolkit::obstacle(made_by, runtime) {
            let fix = format!("install a runtime of version {} or newer", made_by?);
            return Some(Problem::error(format!("{}: {why}", self.path)).fixed_by(fix));
        }
        let warning = toolkit::warning(made_by, runtime)?;
        Some(Problem::warning(format!("{}: {warning}", self.path)).fixed_by("update the runtime"))
    }

    fn chip_problem(&self, file: &ModelFile, here: &Here) -> Option<Problem> {
        let platform = here.npu.platform()?;
        let (most, path) = (platform.npu_cores(), &self.path);
        match (file.name.platform, file.name.npu_cores) {
            (_, Some(cores)) if cores > most => Some(Problem::warning(format!(
                "{path}: is made for {cores} NPU cores by its name, and {platform} has {most}"
            ))),
            (None, _) => Some(Problem::note(format!(
                "{path}: its name does not say which chip it is made for; the runtime refuses those for others"
            ))),
            _ => None,
        }
    }

    fn memory_problem(&self, here: &Here) -> Option<Problem> {
        let (needed, available) = (self.memory?.needed_bytes, here.machine.memory_available?);
        (needed > available).then(|| {
            let message = format!(
                "{}: has {} MiB, and {} MiB of memory are free",
                self.path,
                needed >> 20,
                available >> 20
            );
            Problem::warning(message).fixed_by("end other programs, or take a smaller model or quantization")
        })
    }
}

fn needed(error: &Error) -> Option<u64> {
    let details = error.details.iter().filter(|_| error.code == ErrorCode::InsufficientMemory);
    details.into_iter().find_map(|(name, detail)| match detail {
        Detail::Number(bytes) if *name == "needed" => Some(*bytes),
        _ => None,
    })
}

/// What a model for an NPU tells; most of it by its name and by what lies beside it.
fn describe_npu(file: &ModelFile) -> Value {
    let shown = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let companions = &file.companions;
    json!({
        "platform": file.name.platform.map(Platform::as_str),
        "quantization": file.name.dtype,
        "npuCores": file.name.npu_cores,
        "toolkitVersion": file.toolkit_version.map(|version| version.to_string()),
        "contextSizeTrained": companions.max_position_embeddings,
        "tokenizer": shown(&companions.tokenizer),
        "tokenizerConfig": shown(&companions.tokenizer_config),
        "chatTemplate": shown(&companions.chat_template),
    })
}
