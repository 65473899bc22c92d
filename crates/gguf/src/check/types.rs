use std::fmt;

use crate::error::Error;
use crate::metadata::Metadata;
use crate::value::{Array, Value};

/// What llama.cpp demands of a key. It converts nothing: an `i32` where it wants a `u32` is an
/// error there, or worse, an assertion.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Want {
    U16,
    U32,
    F32,
    Bool,
    Str,
    /// One number for all layers, or one per layer.
    U32PerLayer,
    Strings,
    I32,
    F32s,
    I32s,
    U32s,
    /// Scores come as `f32` and, from some converters, as `i32`.
    Scores,
    Bytes,
}

const SHARED: &[(&str, Want)] = &[
    ("general.type", Want::Str),
    ("general.architecture", Want::Str),
    ("general.name", Want::Str),
    ("general.file_type", Want::U32),
    ("split.no", Want::U16),
    ("split.count", Want::U16),
    ("tokenizer.chat_template", Want::Str),
    ("tokenizer.ggml.model", Want::Str),
    ("tokenizer.ggml.pre", Want::Str),
    ("tokenizer.ggml.tokens", Want::Strings),
    ("tokenizer.ggml.merges", Want::Strings),
    ("tokenizer.ggml.token_type", Want::I32s),
    ("tokenizer.ggml.scores", Want::Scores),
    ("tokenizer.ggml.suppress_tokens", Want::I32s),
    ("tokenizer.ggml.precompiled_charsmap", Want::Bytes),
    ("tokenizer.ggml.token_type_count", Want::U32),
    ("tokenizer.ggml.add_bos_token", Want::Bool),
    ("tokenizer.ggml.add_eos_token", Want::Bool),
    ("tokenizer.ggml.add_sep_token", Want::Bool),
    ("tokenizer.ggml.add_space_prefix", Want::Bool),
    ("tokenizer.ggml.remove_extra_whitespaces", Want::Bool),
];

/// Keys that llama.cpp reads for every architecture; each begins with the architecture's name.
const OF_ARCHITECTURE: &[(&str, Want)] = &[
    ("vocab_size", Want::U32),
    ("context_length", Want::U32),
    ("embedding_length", Want::U32),
    ("embedding_length_out", Want::U32),
    ("block_count", Want::U32),
    ("nextn_predict_layers", Want::U32),
    ("n_deepstack_layers", Want::U32),
    ("feed_forward_length", Want::U32PerLayer),
    ("pooling_type", Want::U32),
    ("classifier.pooling_type", Want::U32),
    ("classifier.output_labels", Want::Strings),
    ("expert_count", Want::U32),
    ("expert_used_count", Want::U32PerLayer),
    ("expert_group_count", Want::U32),
    ("expert_group_used_count", Want::U32),
    ("attention.causal", Want::Bool),
    ("attention.head_count", Want::U32PerLayer),
    ("attention.head_count_kv", Want::U32PerLayer),
    ("attention.key_length", Want::U32),
    ("attention.value_length", Want::U32),
    ("attention.key_length_swa", Want::U32),
    ("attention.value_length_swa", Want::U32),
    ("attention.sliding_window", Want::U32),
    ("attention.layer_norm_epsilon", Want::F32),
    ("attention.layer_norm_rms_epsilon", Want::F32),
    ("rope.dimension_count", Want::U32),
    ("rope.dimension_count_swa", Want::U32),
    ("rope.freq_base", Want::F32),
    ("rope.freq_base_swa", Want::F32),
    ("rope.scale_linear", Want::F32),
    ("rope.scaling.type", Want::Str),
    ("rope.scaling.factor", Want::F32),
    ("rope.scaling.attn_factor", Want::F32),
    ("rope.scaling.alpha", Want::F32),
    ("rope.scaling.original_context_length", Want::U32),
    ("rope.scaling.finetuned", Want::Bool),
    ("full_attention_interval", Want::U32),
];

impl Want {
    fn accepts(self, value: &Value) -> bool {
        match (self, value) {
            (Self::U16, Value::U16(_))
            | (Self::U32 | Self::U32PerLayer, Value::U32(_))
            | (Self::F32, Value::F32(_))
            | (Self::I32, Value::I32(_))
            | (Self::Bool, Value::Bool(_))
            | (Self::Str, Value::Str(_)) => true,
            (want, Value::Array(array)) => want.accepts_array(array),
            _ => false,
        }
    }

    fn accepts_array(self, array: &Array) -> bool {
        matches!(
            (self, array),
            (Self::U32PerLayer, Array::U32(_) | Array::I32(_))
                | (Self::Strings, Array::Strings(_))
                | (Self::I32s, Array::I32(_))
                | (Self::F32s, Array::F32(_))
                | (Self::U32s, Array::U32(_))
                | (Self::Scores, Array::F32(_) | Array::I32(_))
                | (Self::Bytes, Array::U8(_) | Array::I8(_))
        )
    }
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::U16 => "u16",
            Self::U32 => "u32",
            Self::F32 => "f32",
            Self::Bool => "bool",
            Self::Str => "str",
            Self::U32PerLayer => "u32 or arr[u32]",
            Self::Strings => "arr[str]",
            Self::I32 => "i32",
            Self::F32s => "arr[f32]",
            Self::I32s => "arr[i32]",
            Self::U32s => "arr[u32]",
            Self::Scores => "arr[f32]",
            Self::Bytes => "arr[u8]",
        })
    }
}

/// Checks the type of `key` if it is there.
pub(crate) fn check_key(metadata: &Metadata, key: &str, want: Want) -> Result<(), Error> {
    match metadata.get(key) {
        Some(value) if !want.accepts(value) => {
            Err(metadata.fault(key, format_args!("is {} but must be {want}", value.type_name())))
        }
        _ => Ok(()),
    }
}

/// Checks the keys that have the same name in every file.
pub(crate) fn check_shared(metadata: &Metadata) -> Result<(), Error> {
    SHARED.iter().try_for_each(|(key, want)| check_key(metadata, key, *want))
}

/// Checks the keys that begin with the name of the architecture.
pub(super) fn check(metadata: &Metadata, architecture: &str) -> Result<(), Error> {
    OF_ARCHITECTURE
        .iter()
        .try_for_each(|(suffix, want)| check_key(metadata, &format!("{architecture}.{suffix}"), *want))
}

#[cfg(test)]
mod tests {
    use crate::check_model;
    use crate::testing::llama;

    #[test]
    fn names_the_key_and_both_types() {
        let model = llama().set("llama.block_count", |model| model.str("llama.block_count", "2"));
        let error = check_model(&model.open().unwrap()).unwrap_err();
        assert_eq!(error.message, "key \"llama.block_count\" is str but must be u32");
        assert!(error.offset.is_some());
    }

    #[test]
    fn refuses_a_signed_number_where_llama_cpp_wants_an_unsigned_one() {
        let model = llama().set("llama.context_length", |model| model.i32("llama.context_length", 128));
        assert!(check_model(&model.open().unwrap()).is_err());
    }

    #[test]
    fn refuses_arrays_of_the_wrong_elements() {
        for key in ["tokenizer.ggml.tokens", "tokenizer.ggml.token_type", "tokenizer.ggml.scores"] {
            let model = llama().set(key, |model| model.u32s(key, &[1, 2, 3, 4]));
            let error = check_model(&model.open().unwrap()).unwrap_err();
            assert!(error.message.contains("arr[u32] but must be"), "{error}");
        }
    }

    #[test]
    fn accepts_one_head_count_per_layer() {
        let key = "llama.attention.head_count_kv";
        let model = llama().set(key, |model| model.u32s(key, &[2, 4]));
        check_model(&model.open().unwrap()).unwrap();
    }
}
