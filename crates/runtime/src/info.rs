use std::path::Path;

use rkllmjs_gguf::{Facts, File};
use rkllmjs_llama::KvType;
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
        "memory": memory(&plan.memory),
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
