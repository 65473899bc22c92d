use std::collections::HashMap;

use crate::check::architecture;
use crate::check::types::{Want, check_key, check_shared};
use crate::error::{Error, ErrorKind};
use crate::file::{File, Kind};
use crate::metadata::Metadata;
use crate::tensor::Tensor;
use crate::types::TensorType;

/// Checks that `adapter` is a LoRA adapter made for `base`.
///
/// # Errors
///
/// When the file is no LoRA adapter, is for another architecture, or holds a tensor that has no
/// partner, no base tensor, or a shape that does not fit. The error names the key or tensor.
pub fn check_adapter(adapter: &File, base: &File) -> Result<(), Error> {
    check_metadata(&adapter.metadata)?;
    if adapter.kind() != Kind::Adapter {
        return Err(Error::unsupported("the file is not an adapter: \"general.type\" is not \"adapter\""));
    }
    let (of_adapter, of_base) = (architecture(&adapter.metadata)?, architecture(&base.metadata)?);
    if of_adapter != of_base {
        let message = format!("the adapter is for {of_adapter:?} but the base model is {of_base:?}");
        return Err(Error::unsupported(message));
    }
    let bases: HashMap<&str, &Tensor> = base.tensors.iter().map(|tensor| (&*tensor.name, tensor)).collect();
    let pairs = pair(adapter)?;
    if pairs.is_empty() {
        return Err(Error::corrupt("the adapter has no tensors"));
    }
    for pair in &pairs {
        let found = bases.get(pair.target).copied();
        match found {
            Some(target) => pair.check(target)?,
            // In a split model the tensor may lie in a part that was not read.
            None if base.split().is_some() => {}
            None => return Err(pair.a.fault(format_args!("the base model has no tensor {:?}", pair.target))),
        }
    }
    Ok(())
}

/// llama.cpp asserts on the types of these values, so they are checked before all else.
fn check_metadata(metadata: &Metadata) -> Result<(), Error> {
    check_shared(metadata)?;
    for (key, want) in [
        ("adapter.type", Want::Str),
        ("adapter.lora.alpha", Want::F32),
        ("adapter.alora.invocation_tokens", Want::U32s),
    ] {
        check_key(metadata, key, want)?;
    }
    match metadata.str("adapter.type") {
        Some("lora") => {}
        Some(other) => {
            let error =
                metadata.fault("adapter.type", format_args!("is {other:?}; only \"lora\" is supported"));
            return Err(Error { kind: ErrorKind::Unsupported, ..error });
        }
        None => {
            return Err(Error::unsupported("the file is not an adapter: key \"adapter.type\" is missing"));
        }
    }
    let key = "adapter.lora.alpha";
    let alpha = metadata.f64(key).ok_or_else(|| Metadata::missing(key))?;
    if alpha.is_finite() {
        Ok(())
    } else {
        Err(metadata.fault(key, format_args!("is {alpha} but must be finite")))
    }
}

struct Pair<'a> {
    target: &'a str,
    a: &'a Tensor,
    b: &'a Tensor,
}

fn pair(adapter: &File) -> Result<Vec<Pair<'_>>, Error> {
    let mut seconds = HashMap::new();
    let mut firsts = Vec::new();
    for tensor in &adapter.tensors {
        if let Some(target) = tensor.name.strip_suffix(".lora_a") {
            firsts.push((target, tensor));
        } else if let Some(target) = tensor.name.strip_suffix(".lora_b") {
            seconds.insert(target, tensor);
        } else if !tensor.name.ends_with("_norm.weight") {
            // llama.cpp skips norms and refuses every other name.
            return Err(tensor.fault("the name ends neither in .lora_a nor in .lora_b"));
        }
    }
    let mut pairs = Vec::new();
    for (target, a) in firsts {
        let b = seconds.remove(target).ok_or_else(|| a.fault("has no partner that ends in .lora_b"))?;
        pairs.push(Pair { target, a, b });
    }
    match seconds.values().min_by_key(|tensor| tensor.described_at) {
        Some(alone) => Err(alone.fault("has no partner that ends in .lora_a")),
        None => Ok(pairs),
    }
}

impl Pair<'_> {
    fn check(&self, target: &Tensor) -> Result<(), Error> {
        check_kind(self.a)?;
        check_kind(self.b)?;
        // Rows of the embedding matrix are looked up, not multiplied, so there A and B change places.
        let (fits, rank_matches) = if self.target.ends_with("token_embd.weight") {
            let fits = self.b.dim(1) == target.dim(0) && self.a.dim(1) == target.dim(1);
            (fits, self.a.dim(0) == self.b.dim(0))
        } else {
            let fits = self.a.dim(0) == target.dim(0) && self.b.dim(1) == target.dim(1);
            (fits, self.a.dim(1) == self.b.dim(0))
        };
        let (a, b) = (&self.a.dims, &self.b.dims);
        if !fits {
            let message = format!("dimensions {a:?} and {b:?} do not fit the base's {:?}", target.dims);
            return Err(self.a.fault(message));
        }
        if !rank_matches {
            return Err(self.a.fault(format_args!("dimensions {a:?} and {b:?} do not agree on the rank")));
        }
        // Experts lie along the third dimension, one small matrix for each.
        for axis in 2..4 {
            if self.a.dim(axis) != target.dim(axis) || self.b.dim(axis) != target.dim(axis) {
                let message = format!("dimensions {a:?} and {b:?} do not fit the base's {:?}", target.dims);
                return Err(self.a.fault(message));
            }
        }
        Ok(())
    }
}

pub(crate) fn check_kind(tensor: &Tensor) -> Result<(), Error> {
    match tensor.kind {
        TensorType::I8
        | TensorType::I16
        | TensorType::I32
        | TensorType::I64
        | TensorType::F64
        | TensorType::Q8_1
        | TensorType::Q8K => {
            let error = tensor.fault(format_args!("llama.cpp cannot compute with type {}", tensor.kind));
            Err(Error { kind: ErrorKind::Unsupported, ..error })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Builder, llama};

    const Q: &str = "blk.0.attn_q.weight";

    fn header() -> Builder {
        Builder::new()
            .str("general.architecture", "llama")
            .str("general.type", "adapter")
            .str("adapter.type", "lora")
            .f32("adapter.lora.alpha", 16.0)
    }

    fn adapter(a: &[u64], b: &[u64]) -> Builder {
        header().tensor(&format!("{Q}.lora_a"), TensorType::F32, a).tensor(
            &format!("{Q}.lora_b"),
            TensorType::F32,
            b,
        )
    }

    fn check(adapter: &Builder) -> Result<(), Error> {
        check_adapter(&adapter.open().unwrap(), &llama().open().unwrap())
    }

    fn message(adapter: &Builder) -> String {
        check(adapter).unwrap_err().message
    }

    #[test]
    fn accepts_an_adapter_that_fits() {
        check(&adapter(&[64, 8], &[8, 64])).unwrap();
        let embedding = header().tensor("token_embd.weight.lora_a", TensorType::F32, &[8, 4]).tensor(
            "token_embd.weight.lora_b",
            TensorType::F32,
            &[8, 64],
        );
        check(&embedding).unwrap();
    }

    #[test]
    fn refuses_a_model_in_place_of_an_adapter() {
        assert_eq!(check(&llama()).unwrap_err().kind, ErrorKind::Unsupported);
    }

    #[test]
    fn refuses_an_adapter_for_another_architecture() {
        let other = adapter(&[64, 8], &[8, 64]);
        let other = other.set("general.architecture", |other| other.str("general.architecture", "qwen3"));
        assert!(message(&other).contains("\"qwen3\""));
    }

    #[test]
    fn refuses_values_whose_type_llama_cpp_asserts_on() {
        for key in ["general.type", "adapter.type", "general.architecture", "adapter.lora.alpha"] {
            let wrong = adapter(&[64, 8], &[8, 64]).set(key, |adapter| adapter.u32(key, 1));
            assert!(message(&wrong).contains("is u32 but must be"), "{key}");
        }
    }

    #[test]
    fn refuses_an_alpha_that_is_not_finite() {
        let key = "adapter.lora.alpha";
        let nan = adapter(&[64, 8], &[8, 64]).set(key, |adapter| adapter.f32(key, f32::NAN));
        assert!(message(&nan).contains("finite"));
    }

    #[test]
    fn refuses_shapes_that_do_not_fit() {
        assert!(message(&adapter(&[32, 8], &[8, 64])).contains("do not fit"));
        assert!(message(&adapter(&[64, 8], &[8, 32])).contains("do not fit"));
        assert!(message(&adapter(&[64, 8], &[4, 64])).contains("rank"));
        assert!(message(&adapter(&[64, 8, 2], &[8, 64, 2])).contains("do not fit"));
    }

    #[test]
    fn refuses_halves_strays_and_unknown_targets() {
        for half in ["lora_a", "lora_b"] {
            let adapter = header().tensor(&format!("{Q}.{half}"), TensorType::F32, &[64, 8]);
            assert!(message(&adapter).contains("no partner"), "{half}");
        }
        assert!(message(&header().tensor(Q, TensorType::F32, &[64])).contains("neither"));
        let unknown = header().tensor("blk.9.x.weight.lora_a", TensorType::F32, &[64, 8]).tensor(
            "blk.9.x.weight.lora_b",
            TensorType::F32,
            &[8, 64],
        );
        assert!(message(&unknown).contains("no tensor \"blk.9.x.weight\""));
        assert!(message(&header()).contains("no tensors"));
    }

    #[test]
    fn refuses_types_that_cannot_be_multiplied() {
        let integers = header().tensor(&format!("{Q}.lora_a"), TensorType::I32, &[64, 8]).tensor(
            &format!("{Q}.lora_b"),
            TensorType::F32,
            &[8, 64],
        );
        assert_eq!(check(&integers).unwrap_err().kind, ErrorKind::Unsupported);
    }
}
