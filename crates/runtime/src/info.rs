use std::path::Path;

use rkllmjs_gguf::{Facts, File};
use rkllmjs_llama::KvType;
use rkllmjs_rkllm::library::{Abi, Library};
use rkllmjs_rkllm::model_file::ModelFile;
use rkllmjs_rkllm::npu::{self, Platform, Reading, Soc};
use serde_json::{Map, Value, json};

use crate::plan::Plan;

/// What a model can do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Abilities {
    pub(crate) generates: bool,
    /// What `rerank()` goes by.
    pub(crate) ranks_with: Option<&'static str>,
    /// What its messages may hold besides text.
    pub(crate) media: &'static [&'static str],
}

/// What `info` shows of a running model.
pub(crate) fn describe(
    path: &Path,
    file: &File,
    facts: &Facts<'_>,
    plan: &Plan,
    template: Option<&str>,
    abilities: Abilities,
    isolated: bool,
) -> Value {
    json!({
        "path": path.display().to_string(),
        "name": facts.name,
        "architecture": facts.architecture,
        "parameters": facts.parameters,
        "sizeBytes": file.file_bytes,
        "quantization": facts.quantization,
        "contextSize": plan.context,
        "contextSizeTrained": facts.context_length_trained,
        "kvCells": plan.cells,
        "kvCacheType": match plan.kv_type { KvType::F16 => "f16", KvType::Q8_0 => "q8_0", KvType::Q4_0 => "q4_0" },
        "maxSequences": plan.sequences,
        "maxQueue": plan.queue,
        "batchSize": plan.batch,
        "threads": plan.threads,
        "threadsBatch": plan.threads_batch,
        "vocabularySize": facts.vocabulary_size,
        "embeddingLength": facts.embedding_length_out.or(facts.embedding_length),
        "layers": facts.block_count,
        "chatTemplate": template,
        "generates": abilities.generates,
        "ranksWith": abilities.ranks_with,
        "media": abilities.media,
        "engine": "llama.cpp",
        "device": "CPU",
        "isolated": isolated,
        "memory": memory(&plan.memory),
    })
}

/// What is known of a model on the NPU.
#[derive(Debug)]
pub(crate) struct NpuFacts<'a> {
    pub(crate) path: &'a Path,
    pub(crate) file: &'a ModelFile,
    /// As [`describe_runtime`] has it.
    pub(crate) runtime: Value,
    pub(crate) isolated: bool,
    pub(crate) context: u32,
    /// The most that the files beside the model let a context have.
    pub(crate) context_most: Option<u32>,
    pub(crate) queue: u32,
    pub(crate) embedding_length: Option<u32>,
    pub(crate) architecture: Option<&'a str>,
    /// Of the companion files; `None` without them.
    pub(crate) vocabulary_size: Option<u32>,
    pub(crate) template: Option<&'a str>,
}

/// What `info` shows of a model on the NPU.
pub(crate) fn describe_npu(facts: &NpuFacts<'_>) -> Value {
    let NpuFacts { path, file, runtime, .. } = facts;
    let notes: &[&str] = match facts.vocabulary_size {
        Some(_) => &[],
        None => &[
            "no tokenizer.json beside the file: text goes through the NPU runtime's own template, one turn of the \
             user at a time; tokens cannot be counted before a run, and tools and templates are not available",
        ],
    };
    json!({
        "path": path.display().to_string(),
        "name": path.file_stem().map(|name| name.to_string_lossy()),
        "architecture": facts.architecture,
        "parameters": null,
        "sizeBytes": file.bytes,
        "quantization": file.name.dtype,
        "contextSize": facts.context,
        "contextSizeTrained": file.companions.max_position_embeddings,
        "maxContextSize": facts.context_most,
        "kvCells": facts.context,
        "kvCacheType": "f16",
        "maxSequences": 1,
        "maxQueue": facts.queue,
        "batchSize": facts.context,
        "threads": null,
        "threadsBatch": null,
        "vocabularySize": facts.vocabulary_size,
        "embeddingLength": facts.embedding_length,
        "layers": null,
        "chatTemplate": facts.template,
        "generates": true,
        "ranksWith": facts.vocabulary_size.and(facts.template).map(|_| "answer"),
        "media": [],
        "engine": "rkllm",
        "device": device(runtime),
        "isolated": facts.isolated,
        "memory": null,
        "runtime": runtime,
        "notes": notes,
    })
}

fn device(runtime: &Value) -> String {
    if runtime.get("standIn") == Some(&Value::Bool(true)) {
        return "CPU (stand-in for the NPU)".to_owned();
    }
    npu::soc().value.map_or_else(|| "NPU".to_owned(), |soc| format!("{} NPU", soc.name.to_uppercase()))
}

/// The library a model runs on, and what it finds there.
pub(crate) fn describe_runtime(library: &Library) -> Value {
    let mut runtime = json!({
        "path": library.path.display().to_string(),
        "version": library.version.map(|version| version.to_string()),
        "abi": match library.abi { Abi::V12 => "1.2", Abi::V13 => "1.3" },
        "detectedBy": library.detected_by.as_str(),
        "standIn": library.stand_in,
    });
    let machine = describe_npu_machine(npu::npu_status().driver_version, npu::soc());
    if let (Some(fields), Value::Object(more)) = (runtime.as_object_mut(), machine) {
        fields.extend(more);
    }
    runtime
}

/// The chip and the driver: each value, or `null` with its reason under `reasons`.
fn describe_npu_machine(driver_version: Reading<String>, soc: Reading<Soc>) -> Value {
    let platform = soc.value.as_ref().and_then(|soc| soc.platform);
    let cores = platform.map(Platform::npu_cores);
    let no_platform =
        soc.value.as_ref().map(|soc| format!("{} is no chip that RKLLM models are made for", soc.name));
    let reasons: Map<String, Value> = [
        ("driverVersion", driver_version.reason),
        ("soc", soc.reason.clone()),
        ("npuCores", if cores.is_some() { None } else { soc.reason.or(no_platform) }),
    ]
    .into_iter()
    .filter_map(|(name, reason)| Some((name.to_owned(), Value::String(reason?))))
    .collect();
    json!({
        "driverVersion": driver_version.value,
        "soc": soc.value.map(|soc| soc.name),
        "npuCores": cores,
        "reasons": reasons,
    })
}

pub(crate) fn memory(estimate: &rkllmjs_gguf::memory::Estimate) -> Value {
    json!({
        "weightsBytes": estimate.weights_bytes,
        "kvBytes": estimate.kv_bytes,
        "computeBytes": estimate.compute_bytes,
        "totalBytes": estimate.total,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn known<T>(value: T) -> Reading<T> {
        Reading { value: Some(value), reason: None }
    }

    fn unknown<T>(reason: &str) -> Reading<T> {
        Reading { value: None, reason: Some(reason.to_owned()) }
    }

    #[test]
    fn a_board_is_described_without_reasons() {
        let soc = Soc { name: "rk3588s".to_owned(), platform: Some(Platform::Rk3588) };
        let described = describe_npu_machine(known("0.9.8".to_owned()), known(soc));
        let expected = json!({ "driverVersion": "0.9.8", "soc": "rk3588s", "npuCores": 3, "reasons": {} });
        assert_eq!(described, expected);
    }

    #[test]
    fn what_is_not_known_has_its_reason() {
        let described = describe_npu_machine(unknown("no driver"), unknown("no chip"));
        let reasons = json!({ "driverVersion": "no driver", "soc": "no chip", "npuCores": "no chip" });
        let expected = json!({ "driverVersion": null, "soc": null, "npuCores": null, "reasons": reasons });
        assert_eq!(described, expected);
        let other = Soc { name: "rk3328".to_owned(), platform: None };
        let described = describe_npu_machine(unknown("no driver"), known(other));
        assert_eq!(described["soc"], "rk3328");
        assert!(described["reasons"]["npuCores"].as_str().is_some_and(|reason| reason.contains("rk3328")));
    }
}
