use super::Keys;
use crate::error::{Error, ErrorKind};
use crate::families;
use crate::file::File;
use crate::tensor::Tensor;
use crate::types::TensorType;

pub(super) fn check(file: &File, keys: Keys<'_>, tokens: Option<u64>) -> Result<(), Error> {
    let plain = families::is_plain_decoder(keys.architecture);
    for tensor in &file.tensors {
        check_kind(tensor, plain)?;
    }
    if families::has_usual_embedding(keys.architecture) {
        check_embedding(file, keys, tokens)?;
    }
    if plain {
        check_blocks(file, keys)?;
    }
    Ok(())
}

/// The last parts of names of weights that every family multiplies with.
const MULTIPLIED: &[&str] = &[
    "attn_q",
    "attn_k",
    "attn_v",
    "attn_qkv",
    "attn_output",
    "ffn_up",
    "ffn_gate",
    "ffn_down",
    "output",
    "cls",
];

/// ggml has no way to compute with some types, and finds out by an abort or a null pointer.
fn check_kind(tensor: &Tensor, plain: bool) -> Result<(), Error> {
    let kind = tensor.kind;
    if let Some(stem) = tensor.name.strip_suffix(".weight") {
        let multiplied = plain || stem.rsplit('.').next().is_some_and(|last| MULTIPLIED.contains(&last));
        let unusable = match kind {
            TensorType::I8 | TensorType::I16 | TensorType::I64 | TensorType::F64 => true,
            // Made on the fly for dot products, never stored as weights.
            TensorType::Q8_1 | TensorType::Q8K => true,
            // Some families keep tables of numbers under such names.
            TensorType::I32 => multiplied,
            _ => false,
        };
        if unusable {
            let error = tensor.fault(format_args!("llama.cpp cannot compute with weights of type {kind}"));
            return Err(Error { kind: ErrorKind::Unsupported, ..error });
        }
    }
    // ggml adds and multiplies F32 activations with F32 vectors only; converters write nothing else.
    let vector =
        tensor.dims.len() == 1 && (tensor.name.ends_with(".bias") || tensor.name.ends_with("norm.weight"));
    if vector && kind != TensorType::F32 {
        return Err(tensor.fault(format_args!("biases and norms must be F32 but this is {kind}")));
    }
    Ok(())
}

fn check_embedding(file: &File, keys: Keys<'_>, tokens: Option<u64>) -> Result<(), Error> {
    let name = "token_embd.weight";
    let Some(tensor) = file.tensor(name) else {
        // It may lie in another part of a split model.
        return match file.split() {
            Some(_) => Ok(()),
            None => Err(Error::corrupt(format!("tensor {name:?} is missing"))),
        };
    };
    if tensor.dims.len() != 2 {
        return Err(tensor.fault(format_args!("has {} dimensions but must have 2", tensor.dims.len())));
    }
    let embedding = keys.u64("embedding_length").unwrap_or_default();
    if tensor.dim(0) != embedding {
        let key = keys.name("embedding_length");
        return Err(
            tensor.fault(format_args!("rows have {} elements but {key} is {embedding}", tensor.dim(0)))
        );
    }
    match tokens {
        Some(tokens) if tensor.dim(1) != tokens => {
            Err(tensor
                .fault(format_args!("has {} rows but the vocabulary has {tokens} tokens", tensor.dim(1))))
        }
        _ => Ok(()),
    }
}

fn check_blocks(file: &File, keys: Keys<'_>) -> Result<(), Error> {
    let layers = keys.u64("block_count").unwrap_or_default();
    let mut seen = vec![false; usize::try_from(layers).unwrap_or_default()];
    for tensor in &file.tensors {
        let Some(index) = block_index(&tensor.name) else { continue };
        let slot = index.parse::<usize>().ok().and_then(|index| seen.get_mut(index));
        *slot.ok_or_else(|| tensor.fault(format_args!("names block {index} of {layers}")))? = true;
    }
    match seen.iter().position(|seen| !seen) {
        Some(block) if file.split().is_none() => {
            Err(Error::corrupt(format!("block {block} of {layers} has no tensor")))
        }
        _ => Ok(()),
    }
}

fn block_index(name: &str) -> Option<&str> {
    name.strip_prefix("blk.")?.split('.').next()
}

#[cfg(test)]
mod tests {
    use crate::testing::{Builder, llama};
    use crate::{ErrorKind, TensorType, check_model};

    fn message(model: &Builder) -> String {
        check_model(&model.open().unwrap()).unwrap_err().message
    }

    fn with(name: &str, kind: TensorType, dims: &[u64]) -> Builder {
        llama().tensor(name, kind, dims)
    }

    #[test]
    fn refuses_blocks_that_the_model_does_not_have() {
        for index in ["2", "-1", "x", "99999999999999999999"] {
            let model = with(&format!("blk.{index}.ffn_up.weight"), TensorType::F32, &[64, 96]);
            assert!(message(&model).contains(&format!("names block {index} of 2")), "{index}");
        }
    }

    #[test]
    fn refuses_a_model_with_an_empty_block() {
        let model = llama().set("llama.block_count", |model| model.u32("llama.block_count", 3));
        assert_eq!(message(&model), "block 2 of 3 has no tensor");
    }

    #[test]
    fn refuses_an_embedding_matrix_of_the_wrong_shape() {
        let wider = llama().set("llama.embedding_length", |model| model.u32("llama.embedding_length", 128));
        let wider = wider.without("llama.rope.dimension_count");
        assert!(message(&wider).contains("rows have 64 elements but llama.embedding_length is 128"));
        let key = "tokenizer.ggml.tokens";
        let more = llama()
            .without("tokenizer.ggml.token_type")
            .set(key, |model| model.strs(key, &["a", "b", "c", "d", "e"]));
        assert!(message(&more).contains("4 rows but the vocabulary has 5"));
    }

    #[test]
    fn refuses_weights_that_ggml_cannot_compute_with() {
        for kind in [TensorType::F64, TensorType::I8, TensorType::I32, TensorType::Q8_1] {
            let model = with("blk.1.ffn_up.weight", kind, &[64, 96]);
            assert_eq!(
                check_model(&model.open().unwrap()).unwrap_err().kind,
                ErrorKind::Unsupported,
                "{kind}"
            );
        }
    }

    #[test]
    fn refuses_norms_and_biases_that_are_not_f32() {
        for name in ["blk.1.ffn_norm.weight", "blk.1.attn_q.bias"] {
            assert!(message(&with(name, TensorType::F16, &[64])).contains("must be F32"), "{name}");
        }
    }

    #[test]
    fn refuses_a_model_without_an_embedding_matrix() {
        let model = Builder::new().str("general.architecture", "falcon").u32("falcon.context_length", 1);
        let model = model.u32("falcon.embedding_length", 4).u32("falcon.block_count", 1);
        let model = model.str("tokenizer.ggml.model", "none").tensor("output.weight", TensorType::F32, &[4]);
        assert!(message(&model).contains("\"token_embd.weight\" is missing"));
    }
}
