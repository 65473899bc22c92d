//! What decides whether saved cells mean the same to another model.

use std::path::Path;

use rkllmjs_core::{Error, ErrorCode};
use rkllmjs_gguf::{Facts, File, Parts};
use rkllmjs_llama::{KvType, STATE_VERSION};
use rkllmjs_rkllm::fingerprint;

use super::sum::Sum;
use crate::plan::Plan;

/// What cells are computed by. They are of use to nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The files of the weights.
    pub(crate) model: String,
    /// How the cells are stored.
    pub(crate) cells: String,
    /// How positions enter them, where that depends on how the model was loaded.
    pub(crate) positions: String,
}

impl Origin {
    /// That of the model in `parts`.
    ///
    /// # Errors
    ///
    /// `model-invalid` if the files cannot be read again.
    pub(crate) fn of(parts: &Parts, path: &Path, facts: &Facts<'_>, plan: &Plan) -> Result<Self, Error> {
        let paths: Vec<&Path> =
            if parts.paths.is_empty() { vec![path] } else { parts.paths.iter().map(AsRef::as_ref).collect() };
        let prints: Result<Vec<String>, Error> = paths.into_iter().map(of_file).collect();
        let kind = match plan.kv_type {
            KvType::F16 => "f16",
            KvType::Q8_0 => "q8_0",
            KvType::Q4_0 => "q4_0",
        };
        Ok(Self {
            model: prints?.join("+"),
            cells: format!("{kind} in layout {STATE_VERSION}"),
            positions: positions(&parts.whole, facts, plan),
        })
    }

    /// Each part by its name, with what is wrong if it differs.
    pub(crate) fn parts(&self) -> [(&'static str, &str, &'static str); 3] {
        [
            ("model", &self.model, "was saved by another model"),
            (
                "cells",
                &self.cells,
                "was saved with another kv_cache_type, or by another version of llama.cpp",
            ),
            (
                "positions",
                &self.positions,
                "was saved with a kv_cells for which the model counts positions otherwise",
            ),
        ]
    }
}

/// What tells a file apart from others of its kind.
///
/// # Errors
///
/// `model-invalid` if it cannot be read.
pub(crate) fn of_file(path: &Path) -> Result<String, Error> {
    fingerprint::of_file(path).map(|fingerprint| fingerprint.0).map_err(|error| {
        Error::new(ErrorCode::ModelInvalid, format!("{} cannot be read: {error}", path.display()))
    })
}

/// What tells the rows of a control vector apart.
pub(crate) fn of_rows(rows: &[f32]) -> String {
    let mut sum = Sum::new();
    let bytes: Vec<u8> = rows.iter().flat_map(|value| value.to_le_bytes()).collect();
    sum.add(&bytes);
    format!("{}-{:016x}", rows.len(), sum.value())
}

/// Models with factors for long contexts use them where the cache is longer than what they were trained on.
fn positions(file: &File, facts: &Facts<'_>, plan: &Plan) -> String {
    if !file.tensors.iter().any(|tensor| tensor.name.starts_with("rope_factors_long")) {
        return "one way".to_owned();
    }
    let key = format!("{}.rope.scaling.original_context_length", facts.architecture);
    let trained = file.metadata.u64(&key).or(facts.context_length_trained).unwrap_or(0);
    if u64::from(plan.cells) > trained { "long".to_owned() } else { "short".to_owned() }
}
