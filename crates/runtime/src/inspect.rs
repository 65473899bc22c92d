use std::path::Path;

use rkllmjs_core::Error;
use rkllmjs_gguf::{self as gguf, Array, TensorType, memory};
use serde_json::{Map, Value, json};

use crate::{file, info};

/// Contexts that `inspect` estimates memory for, as far as the model was trained on them.
const CONTEXTS: [u64; 8] = [1024, 2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072];
/// Longer strings and arrays are shown by their size alone.
const SHOWN_MAX: usize = 4096;
const SHOWN_ITEMS_MAX: usize = 16;

/// What a GGUF file says about itself, and what it would take to run: metadata, facts and memory by
/// context size and cache type. Reads the header alone.
///
/// # Errors
///
/// `model-not-found`, or `model-invalid` saying what is wrong and where.
pub fn inspect(path: &Path) -> Result<Value, Error> {
    let parts = gguf::Parts::open(path).map_err(|e| file::refused(path, &e))?;
    let file = &parts.whole;
    let facts = gguf::facts(file);
    let problem = gguf::check_model(file).err().map(|e| e.to_string());
    let metadata: Map<String, Value> =
        file.metadata.iter().map(|(key, value)| (key.to_owned(), shown(value))).collect();
    Ok(json!({
        "path": path.display().to_string(),
        "sizeBytes": file.file_bytes,
        "files": parts.paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
        "ggufVersion": file.version,
        "kind": format!("{:?}", file.kind()).to_lowercase(),
        "loadable": problem.is_none(),
        "problem": problem,
        "name": facts.name,
        "architecture": facts.architecture,
        "parameters": facts.parameters,
        "quantization": facts.quantization,
        "contextSizeTrained": facts.context_length_trained,
        "embeddingLength": facts.embedding_length,
        "layers": facts.block_count,
        "vocabularySize": facts.vocabulary_size,
        "chatTemplate": facts.chat_template,
        "tensors": file.tensors.len(),
        "metadata": metadata,
        "memory": estimates(&facts),
    }))
}

fn estimates(facts: &gguf::Facts<'_>) -> Vec<Value> {
    let trained = facts.context_length_trained.unwrap_or(8192);
    let mut contexts: Vec<u64> = CONTEXTS.into_iter().filter(|&context| context < trained).collect();
    contexts.push(trained);
    let types = [("f16", TensorType::F16), ("q8_0", TensorType::Q8_0), ("q4_0", TensorType::Q4_0)];
    let mut rows = Vec::new();
    for context in contexts {
        for (name, kind) in types {
            let plan = memory::Plan {
                cells: context,
                kv_type_k: kind,
                kv_type_v: kind,
                batch: 512,
                micro_batch: 512,
                sequences: 1,
            };
            let mut row = info::memory(&memory::estimate(facts, &plan));
            if let Some(fields) = row.as_object_mut() {
                fields.insert("contextSize".to_owned(), json!(context));
                fields.insert("kvCacheType".to_owned(), json!(name));
            }
            rows.push(row);
        }
    }
    rows
}

fn shown(value: &gguf::Value) -> Value {
    if let Some(text) = value.str() {
        return if text.len() > SHOWN_MAX { json!({ "bytes": text.len() }) } else { json!(text) };
    }
    match value {
        gguf::Value::Bool(on) => json!(on),
        gguf::Value::Array(array) => shown_array(array),
        number => {
            number.u64().map(|n| json!(n)).or_else(|| number.f64().map(|n| json!(n))).unwrap_or(Value::Null)
        }
    }
}

fn shown_array(array: &Array) -> Value {
    let summary = json!({ "elements": array.len(), "type": array.element_name() });
    if array.len() > SHOWN_ITEMS_MAX {
        return summary;
    }
    let items = (0..array.len()).map(|i| match array {
        Array::Strings(strings) => strings.get(i).map(|s| json!(s)),
        numbers => numbers.u64(i).map(|n| json!(n)),
    });
    items.collect::<Option<Vec<Value>>>().map_or(summary, Value::Array)
}
