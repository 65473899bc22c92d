use super::hyperparameters::check_per_layer;
use super::{Keys, hyperparameters};
use crate::error::Error;
use crate::families;

const MAX_HEADS: u64 = 1024;
const MAX_HEAD_SIZE: u64 = 1 << 16;

pub(super) fn check(keys: Keys<'_>) -> Result<(), Error> {
    let layers = keys.required("block_count", 1..=hyperparameters::MAX_LAYERS)?;
    let heads = check_per_layer(keys, "attention.head_count", layers)?;
    let heads_kv = check_per_layer(keys, "attention.head_count_kv", layers)?;
    for suffix in ["key_length", "value_length", "key_length_swa", "value_length_swa"] {
        keys.optional(&format!("attention.{suffix}"), 0..=MAX_HEAD_SIZE)?;
    }
    let heads = heads.unwrap_or_default();
    check_heads(keys, "attention.head_count", &heads)?;
    if let Some(heads_kv) = heads_kv {
        check_heads(keys, "attention.head_count_kv", &heads_kv)?;
        check_groups(keys, &heads, &heads_kv)?;
    }
    // Models without attention have no heads in the first layer, and then nothing follows from it.
    match heads.first() {
        Some(&first) if first > 0 => check_head_size(keys, first),
        _ if families::is_plain_decoder(keys.architecture) => {
            Err(keys.fault("attention.head_count", "must be given and not zero"))
        }
        _ => Ok(()),
    }
}

fn check_heads(keys: Keys<'_>, suffix: &str, counts: &[u64]) -> Result<(), Error> {
    let least = u64::from(families::is_plain_decoder(keys.architecture));
    counts.iter().try_for_each(|&count| keys.in_range(suffix, count, least..=MAX_HEADS).map(drop))
}

/// Each key-value head serves a whole number of query heads; ggml asserts on anything else.
fn check_groups(keys: Keys<'_>, heads: &[u64], heads_kv: &[u64]) -> Result<(), Error> {
    for (layer, (&queries, &pairs)) in heads.iter().zip(heads_kv).enumerate() {
        if queries > 0 && pairs > 0 && !queries.is_multiple_of(pairs) {
            return Err(keys.fault(
                "attention.head_count_kv",
                format_args!("is {pairs} in layer {layer}, which does not divide the {queries} query heads"),
            ));
        }
    }
    Ok(())
}

fn check_head_size(keys: Keys<'_>, heads: u64) -> Result<(), Error> {
    let embedding = keys.u64("embedding_length").unwrap_or_default();
    let size = match keys.u64("attention.key_length") {
        Some(size) => size,
        None if families::has_usual_embedding(keys.architecture) && !embedding.is_multiple_of(heads) => {
            return Err(keys.fault(
                "embedding_length",
                format_args!("is {embedding}, not a multiple of the {heads} attention heads"),
            ));
        }
        None => embedding.checked_div(heads).unwrap_or_default(),
    };
    let value = keys
        .u64("attention.value_length")
        .unwrap_or_else(|| embedding.checked_div(heads).unwrap_or_default());
    if families::has_equal_lengths(keys.architecture) && value != size {
        let message = format!("and the value length are {size} and {value} but must be equal");
        return Err(keys.fault("attention.key_length", message));
    }
    check_sections(keys, size)?;
    if families::is_plain_decoder(keys.architecture) { check_rotation(keys, size) } else { Ok(()) }
}

fn check_rotation(keys: Keys<'_>, size: u64) -> Result<(), Error> {
    if size == 0 || !size.is_multiple_of(2) {
        let message = format!("makes heads of {size}; the size must be even and not zero");
        return Err(keys.fault("attention.key_length", message));
    }
    let suffix = "rope.dimension_count";
    let Some(rotated) = keys.u64(suffix) else { return Ok(()) };
    if families::rotates_whole_heads(keys.architecture) && rotated != size {
        return Err(keys.fault(suffix, format_args!("is {rotated} but must be the {size} of a head")));
    }
    if rotated > size || !rotated.is_multiple_of(2) {
        return Err(keys.fault(suffix, format_args!("is {rotated} but must be even and at most {size}")));
    }
    Ok(())
}

/// How many numbers of a head turn with time, with lines and with columns of images.
fn check_sections(keys: Keys<'_>, size: u64) -> Result<(), Error> {
    let suffix = "rope.dimension_sections";
    if !families::is_placed_in_images(keys.architecture) {
        return Ok(());
    }
    let Some(array) = keys.metadata.array(&keys.name(suffix)) else {
        return Err(keys.fault(suffix, "must be an array of four numbers"));
    };
    let sections: Option<Vec<u64>> = (0..array.len()).map(|index| array.u64(index)).collect();
    let sound = sections.filter(|sections| {
        let total = sections.iter().fold(0_u64, |total, section| total.saturating_add(*section));
        sections.len() == 4 && total <= size && sections.iter().take(3).any(|&section| section > 0)
    });
    match sound {
        Some(_) => Ok(()),
        None => {
            Err(keys.fault(suffix, format_args!("must be four numbers, together 1 to the {size} of a head")))
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::check_model;
    use crate::testing::{Builder, llama};

    fn with(key: &str, value: u32) -> Builder {
        llama().set(key, |model| model.u32(key, value))
    }

    fn message(model: &Builder) -> String {
        check_model(&model.open().unwrap()).unwrap_err().message
    }

    fn placed(sections: &[i32]) -> Builder {
        llama().renamed("llama", "qwen2vl").i32s("qwen2vl.rope.dimension_sections", sections)
    }

    #[test]
    fn refuses_heads_that_cannot_be_shared_out_among_places() {
        check_model(&placed(&[2, 3, 3, 0]).open().unwrap()).unwrap();
        for wrong in [&[0, 0, 0, 8][..], &[0; 4], &[-1, 3, 3, 0], &[8, 8, 8, 0], &[2, 3, 3], &[]] {
            assert!(message(&placed(wrong)).contains("rope.dimension_sections"), "{wrong:?}");
        }
        let none = llama().renamed("llama", "qwen2vl");
        assert!(message(&none).contains("rope.dimension_sections"));
        let deep = placed(&[2, 3, 3, 0]).u32("qwen2vl.n_deepstack_layers", u32::MAX);
        assert!(message(&deep).contains("n_deepstack_layers"));
    }

    #[test]
    fn refuses_head_counts_that_cannot_be() {
        assert!(message(&with("llama.attention.head_count", 0)).contains("1 to 1024"));
        assert!(message(&with("llama.attention.head_count", 4096)).contains("1 to 1024"));
        assert!(message(&with("llama.attention.head_count", 3)).contains("does not divide"));
        assert!(message(&with("llama.attention.head_count_kv", 3)).contains("does not divide"));
        assert!(message(&llama().without("llama.attention.head_count")).contains("must be given"));
    }

    #[test]
    fn refuses_an_embedding_that_does_not_divide_into_heads() {
        let model = with("llama.attention.head_count", 6).without("llama.rope.dimension_count");
        assert!(message(&model).contains("not a multiple of the 6"), "{}", message(&model));
        let given = model.u32("llama.attention.key_length", 16).u32("llama.attention.value_length", 16);
        check_model(&given.open().unwrap()).unwrap();
    }

    #[test]
    fn refuses_a_rotation_that_does_not_fit_a_head() {
        for rotated in [8, 15, 18] {
            assert!(message(&with("llama.rope.dimension_count", rotated)).contains("must be the 16"));
        }
        check_model(&as_phi3(8).open().unwrap()).unwrap();
        for rotated in [7, 18] {
            assert!(message(&as_phi3(rotated)).contains("must be even and at most 16"));
        }
    }

    #[test]
    fn refuses_keys_and_values_of_different_lengths() {
        let model = with("llama.attention.value_length", 32);
        assert!(message(&model).contains("are 16 and 32 but must be equal"), "{}", message(&model));
    }

    fn as_phi3(rotated: u32) -> Builder {
        llama().renamed("llama", "phi3").u32("phi3.rope.dimension_count", rotated)
    }

    #[test]
    fn accepts_a_recurrent_model_without_heads() {
        let model = Builder::new()
            .str("general.architecture", "mamba")
            .u32("mamba.context_length", 1024)
            .u32("mamba.embedding_length", 64)
            .u32("mamba.block_count", 2)
            .u32("mamba.attention.head_count", 0)
            .u32("mamba.feed_forward_length", 0)
            .str("tokenizer.ggml.model", "none")
            .tensor("token_embd.weight", crate::TensorType::F32, &[64, 4]);
        check_model(&model.open().unwrap()).unwrap();
    }
}
