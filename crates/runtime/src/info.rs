use std::path::Path;

use rkllmjs_gguf::{Facts, File};
use rkllmjs_llama::KvType;
use rkllmjs_rkllm::library::{Abi, Library};
use rkllmjs_rkllm::model_file::ModelFile;
use rkllmjs_rkllm::npu;
use serde_json::{Value, json};

use crate::plan::Plan;

/// What `info` shows of a running model.
pub(crate) fn describe(
    path: &Path,
    file: &File,
    facts: &Facts<'_>,
    plan: &Plan,
    template: Option<&str>,
    only_reads: bool,
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
        "generates": !only_reads,
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

/// The library a model runs on.
pub(crate) fn describe_runtime(library: &Library) -> Value {
    json!({
        "path": library.path.display().to_string(),
        "version": library.version.map(|version| version.to_string()),
        "abi": match library.abi { Abi::V12 => "1.2", Abi::V13 => "1.3" },
        "detectedBy": library.detected_by.as_str(),
        "standIn": library.stand_in,
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
