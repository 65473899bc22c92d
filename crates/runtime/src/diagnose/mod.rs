//! What this machine can run, what keeps it from running more, and what would help.
//!
//! Everything is read and nothing is opened, started or changed: a diagnosis must not fail where a load would.

mod model;
mod npu;
mod problem;
mod runtime;
mod system;

use std::path::{Path, PathBuf};

use rkllmjs_core::Error;
use rkllmjs_rkllm::library::{Search, Survey, survey};
use serde_json::{Value, json};

use crate::machine::{Machine, machine};
use model::ModelReport;
use npu::Npu;
use problem::Problem;

/// Each is read from its file; nobody asks about as many at once.
const MODELS_MAX: usize = 256;

/// What a diagnosis is asked about.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// Files to tell about which engine would run them.
    pub models: Vec<PathBuf>,
    /// The NPU runtime's library; otherwise it is searched for.
    pub library_path: Option<PathBuf>,
    /// Where the addon lies: one of the places that are searched.
    pub addon_folder: Option<PathBuf>,
}

/// Tells what this machine can run and why not more. Whatever is missing or unreadable is a fact of the answer.
/// Blocks for as long as reading the files takes; a GGUF model of up to 64 MiB is read whole.
///
/// # Errors
///
/// `invalid-request` for more models than are looked at at once.
pub fn diagnose(question: &Question) -> Result<Value, Error> {
    if question.models.len() > MODELS_MAX {
        let message = format!("must have at most {MODELS_MAX} files, got {}", question.models.len());
        return Err(Error::option("models", message));
    }
    Ok(diagnose_under(Path::new("/"), question))
}

/// The same, with the system's own files taken from under `root`.
fn diagnose_under(root: &Path, question: &Question) -> Value {
    let here = Here::look(root, question);
    let models: Vec<ModelReport> = question.models.iter().map(|path| model::report(path, &here)).collect();
    let wants_npu = here.npu.has_platform() || models.iter().any(ModelReport::is_for_npu);
    let obstacles = if wants_npu { here.npu_obstacles() } else { Vec::new() };
    json!({
        "system": system::describe(root, &here.machine),
        "soc": here.npu.describe_soc(),
        "npu": here.npu.describe(),
        "clocks": here.npu.describe_clocks(),
        "runtime": runtime::describe(&here.runtime),
        "devices": here.devices(root),
        "files": models.iter().map(|model| model.describe(&obstacles)).collect::<Vec<_>>(),
        "problems": problem::describe(problems(&here, &models, obstacles)),
    })
}

/// What is known of the machine before any model is looked at.
struct Here {
    machine: Machine,
    npu: Npu,
    runtime: Survey,
}

impl Here {
    fn look(root: &Path, question: &Question) -> Self {
        let search = Search {
            library_path: question.library_path.as_deref(),
            addon_folder: question.addon_folder.as_deref(),
            runtime_version: None,
        };
        Self { machine: machine(), npu: Npu::look(root), runtime: survey(&search) }
    }

    /// What stands between models for an NPU and this machine, whatever the model.
    fn npu_obstacles(&self) -> Vec<Problem> {
        let mut obstacles = runtime::obstacles(&self.runtime);
        if !self.has_stand_in() {
            obstacles.extend(self.npu.obstacles());
        }
        obstacles
    }

    fn has_stand_in(&self) -> bool {
        self.runtime.found.as_ref().is_some_and(|found| found.stand_in)
    }

    /// What models can run on.
    fn devices(&self, root: &Path) -> Vec<Value> {
        let obstacle = rkllmjs_llama::cpu_flavour().err();
        let mut devices = vec![json!({
            "kind": "cpu",
            "name": system::processor_name(root),
            "engine": "llama.cpp",
            "usable": obstacle.is_none(),
            "reason": obstacle.map(|obstacle| obstacle.message),
            "threads": self.machine.threads,
        })];
        devices.extend(rkllmjs_llama::gpus().into_iter().map(|gpu| {
            json!({
                "kind": "gpu",
                "name": gpu.name,
                "engine": "llama.cpp",
                "usable": true,
                "reason": null,
                "threads": null,
            })
        }));
        if let Some(name) = self.npu.name() {
            let obstacle = self.npu_obstacles().into_iter().find(Problem::is_error);
            devices.push(json!({
                "kind": "npu",
                "name": name,
                "engine": "rkllm",
                "usable": obstacle.is_none() && !self.has_stand_in(),
                "reason": obstacle.map(|obstacle| obstacle.message),
                "threads": null,
            }));
        }
        devices
    }
}

/// All problems, those that keep something from running first.
fn problems(here: &Here, models: &[ModelReport], obstacles: Vec<Problem>) -> Vec<Problem> {
    let mut problems = obstacles;
    problems.extend(models.iter().flat_map(|model| model.problems.iter().cloned()));
    problems.extend(here.npu.slow_clocks());
    // Stable: within a severity, what concerns the machine comes before what concerns one file.
    problems.sort_by_key(|problem| problem.severity);
    problems
}

#[cfg(test)]
mod tests;
