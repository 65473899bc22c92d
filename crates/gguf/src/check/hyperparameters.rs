use super::Keys;
use crate::error::Error;

/// llama.cpp keeps one array element per layer and asserts on more (`LLAMA_MAX_LAYERS`).
pub(super) const MAX_LAYERS: u64 = 512;
const MAX_CONTEXT: u64 = i32::MAX as u64;
const MAX_WIDTH: u64 = 1 << 24;

/// Positive where present: llama.cpp divides by it or lets it turn activations into NaN.
const POSITIVE: &[&str] = &["attention.layer_norm_epsilon", "attention.layer_norm_rms_epsilon"];

/// Finite and not negative where present; zero means "none".
const NOT_NEGATIVE: &[&str] = &[
    "rope.freq_base",
    "rope.freq_base_swa",
    "rope.scale_linear",
    "rope.scaling.factor",
    "rope.scaling.attn_factor",
    "rope.scaling.alpha",
];

pub(super) fn check(keys: Keys<'_>) -> Result<(), Error> {
    let layers = keys.required("block_count", 1..=MAX_LAYERS)?;
    keys.required("context_length", 1..=MAX_CONTEXT)?;
    keys.required("embedding_length", 1..=MAX_WIDTH)?;
    keys.optional("embedding_length_out", 0..=MAX_WIDTH)?;
    keys.optional("nextn_predict_layers", 0..=layers)?;
    keys.optional("n_deepstack_layers", 0..=layers)?;
    // A remainder by zero ends the process.
    keys.optional("full_attention_interval", 1..=MAX_LAYERS)?;
    keys.optional("pooling_type", 0..=4)?;
    keys.optional("classifier.pooling_type", 0..=4)?;
    check_feed_forward(keys, layers)?;
    check_numbers(keys)?;
    check_scaling_type(keys)
}

fn check_feed_forward(keys: Keys<'_>, layers: u64) -> Result<(), Error> {
    let suffix = "feed_forward_length";
    for width in check_per_layer(keys, suffix, layers)?.unwrap_or_default() {
        keys.in_range(suffix, width, 0..=MAX_WIDTH)?;
    }
    Ok(())
}

/// The values of a key per layer; an array must have exactly one element per layer.
pub(super) fn check_per_layer(keys: Keys<'_>, suffix: &str, layers: u64) -> Result<Option<Vec<u64>>, Error> {
    if let Some(array) = keys.metadata.array(&keys.name(suffix)) {
        if array.len() as u64 != layers {
            return Err(keys.fault(suffix, format_args!("has {} elements for {layers} layers", array.len())));
        }
        if let Some(index) = (0..array.len()).find(|&index| array.u64(index).is_none()) {
            return Err(keys.fault(suffix, format_args!("is negative for layer {index}")));
        }
    }
    Ok(keys.per_layer(suffix, layers))
}

fn check_numbers(keys: Keys<'_>) -> Result<(), Error> {
    for suffix in POSITIVE {
        if let Some(value) = keys.metadata.f64(&keys.name(suffix))
            && !(value.is_finite() && value > 0.0)
        {
            return Err(keys.fault(suffix, format_args!("is {value} but must be finite and positive")));
        }
    }
    for suffix in NOT_NEGATIVE {
        if let Some(value) = keys.metadata.f64(&keys.name(suffix))
            && !(value.is_finite() && value >= 0.0)
        {
            return Err(keys.fault(suffix, format_args!("is {value} but must be finite and not negative")));
        }
    }
    Ok(())
}

fn check_scaling_type(keys: Keys<'_>) -> Result<(), Error> {
    let suffix = "rope.scaling.type";
    match keys.metadata.str(&keys.name(suffix)) {
        None | Some("none" | "linear" | "yarn" | "longrope") => Ok(()),
        Some(other) => Err(keys.fault(suffix, format_args!("is {other:?}, which llama.cpp does not know"))),
    }
}

#[cfg(test)]
mod tests {
    use crate::check_model;
    use crate::testing::{Builder, llama};

    fn message(model: &Builder) -> String {
        check_model(&model.open().unwrap()).unwrap_err().message
    }

    #[test]
    fn refuses_counts_out_of_range() {
        for (suffix, value) in [
            ("block_count", 0),
            ("block_count", 513),
            ("context_length", 0),
            ("context_length", 1 << 31),
            ("embedding_length", 0),
            ("embedding_length", u32::MAX),
            ("feed_forward_length", u32::MAX),
            ("nextn_predict_layers", 3),
            ("full_attention_interval", 0),
            ("pooling_type", 5),
        ] {
            let key = format!("llama.{suffix}");
            let model = llama().set(&key, |model| model.u32(&key, value));
            assert!(message(&model).contains(&key), "{suffix} {value}: {}", message(&model));
        }
    }

    #[test]
    fn refuses_models_without_the_counts_that_llama_cpp_needs() {
        for key in ["llama.block_count", "llama.context_length", "llama.embedding_length"] {
            assert_eq!(message(&llama().without(key)), format!("key {key:?} is missing"));
        }
    }

    #[test]
    fn refuses_numbers_that_are_not_finite_or_have_the_wrong_sign() {
        let key = "llama.attention.layer_norm_rms_epsilon";
        for value in [0.0, -1e-5, f32::NAN, f32::INFINITY] {
            assert!(
                message(&llama().set(key, |model| model.f32(key, value))).contains("finite and positive")
            );
        }
        for value in [-1.0, f32::NAN] {
            assert!(message(&llama().f32("llama.rope.freq_base", value)).contains("not negative"));
        }
    }

    #[test]
    fn refuses_an_unknown_rope_scaling() {
        assert!(message(&llama().str("llama.rope.scaling.type", "magic")).contains("\"magic\""));
        check_model(&llama().str("llama.rope.scaling.type", "yarn").open().unwrap()).unwrap();
    }

    #[test]
    fn refuses_arrays_whose_length_is_not_the_number_of_layers() {
        let key = "llama.feed_forward_length";
        assert!(
            message(&llama().set(key, |model| model.u32s(key, &[96]))).contains("1 elements for 2 layers")
        );
        assert!(
            message(&llama().set(key, |model| model.i32s(key, &[96, -1]))).contains("negative for layer 1")
        );
    }
}
