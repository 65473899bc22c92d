use std::collections::HashMap;

use super::ProjectorKind;
use super::merger;
use super::vision::Shape;
use crate::adapter::check_kind;
use crate::error::{Error, ErrorKind};
use crate::file::File;
use crate::tensor::Tensor;
use crate::types::TensorType;

/// How the numbers of a tensor may be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As they are computed with.
    Plain,
    /// In whole or half precision.
    Float,
    /// In any type that can be multiplied.
    Weights,
}

/// The tensors of a file that a projector reads, by name.
pub(super) struct Tensors<'a> {
    unread: HashMap<&'a str, &'a Tensor>,
}

impl<'a> Tensors<'a> {
    /// Those whose names begin with one of `prefixes`.
    pub(super) fn of(file: &'a File, prefixes: &[&str]) -> Self {
        let is_read = |tensor: &&Tensor| prefixes.iter().any(|prefix| tensor.name.starts_with(prefix));
        let read = file.tensors.iter().filter(is_read);
        Self { unread: read.map(|tensor| (&*tensor.name, tensor)).collect() }
    }

    /// Whether there is a tensor that nobody has asked for yet.
    pub(super) fn has(&self, name: &str) -> bool {
        self.unread.contains_key(name)
    }

    pub(super) fn optional(&mut self, name: &str, form: Form, dims: &[u64]) -> Result<bool, Error> {
        let Some(tensor) = self.unread.remove(name) else { return Ok(false) };
        check_tensor(tensor, form, dims).map(|()| true)
    }

    pub(super) fn required(&mut self, name: &str, form: Form, dims: &[u64]) -> Result<(), Error> {
        if self.optional(name, form, dims)? { Ok(()) } else { Err(missing(name)) }
    }

    /// A matrix of so many columns; how many rows it has.
    pub(super) fn rows(&mut self, name: &str, form: Form, columns: u64) -> Result<u64, Error> {
        let tensor = self.unread.remove(name).ok_or_else(|| missing(name))?;
        let rows = tensor.dim(1);
        check_tensor(tensor, form, &[columns, rows]).map(|()| rows)
    }

    /// A layer of weights with what it adds: `{name}.weight` and `{name}.bias`; how many numbers come out.
    pub(super) fn linear(&mut self, name: &str, columns: u64) -> Result<u64, Error> {
        let rows = self.rows(&format!("{name}.weight"), Form::Weights, columns)?;
        self.required(&format!("{name}.bias"), Form::Plain, &[rows]).map(|()| rows)
    }

    /// Numbers of a row of a matrix that nobody has asked for yet.
    pub(super) fn first_dim(&self, name: &str) -> Option<u64> {
        self.unread.get(name).map(|tensor| tensor.dim(0))
    }

    /// What else llama.cpp may read, and would trust.
    pub(super) fn refuse_others(&self) -> Result<(), Error> {
        let Some(first) = self.unread.values().min_by_key(|tensor| tensor.described_at) else {
            return Ok(());
        };
        let error = first.fault("is no tensor of this type of projector");
        Err(Error { kind: ErrorKind::Unsupported, ..error })
    }
}

/// Checks every tensor that llama.cpp reads of a tower for images; the length of the rows that come out.
pub(super) fn check(file: &File, shape: &Shape) -> Result<u64, Error> {
    let mut tensors = Tensors::of(file, &["v.", "mm."]);
    if shape.kind.has_any_shape() {
        return merger::check(file, &mut tensors, shape);
    }
    let (width, patch) = (shape.width, shape.patch);
    tensors.required("v.patch_embd.weight", Form::Float, &[patch, patch, 3, width])?;
    tensors.optional("v.patch_embd.bias", Form::Plain, &[width])?;
    let has_class =
        shape.kind == ProjectorKind::Mlp && tensors.optional("v.class_embd", Form::Plain, &[width])?;
    let positions = shape.patches() + u64::from(has_class);
    // LLaVA looks rows of it up; the others add it as it is.
    let looked_up = if shape.kind == ProjectorKind::Mlp { Form::Float } else { Form::Plain };
    tensors.required("v.position_embd.weight", looked_up, &[width, positions])?;
    check_ends(&mut tensors, width)?;
    for layer in 0..shape.layers {
        check_layer(&mut tensors, layer, shape)?;
    }
    let out = match shape.kind {
        ProjectorKind::Mlp => check_mlp(&mut tensors, width)?,
        ProjectorKind::Gemma3 => check_gemma3(&mut tensors, width)?,
        ProjectorKind::Idefics3 => {
            tensors.rows("mm.model.fc.weight", Form::Weights, width * shape.merge.pow(2))?
        }
        other => return Err(Error::unsupported(format!("{other:?} is no projector of this shape"))),
    };
    tensors.refuse_others()?;
    Ok(out)
}

fn check_layer(tensors: &mut Tensors<'_>, layer: u64, shape: &Shape) -> Result<(), Error> {
    let width = shape.width;
    let name = |part: &str| format!("v.blk.{layer}.{part}");
    for part in ["attn_q", "attn_k", "attn_v", "attn_out"] {
        tensors.required(&name(&format!("{part}.weight")), Form::Weights, &[width, width])?;
        tensors.optional(&name(&format!("{part}.bias")), Form::Plain, &[width])?;
    }
    for part in ["ln1", "ln2"] {
        tensors.required(&name(&format!("{part}.weight")), Form::Plain, &[width])?;
        tensors.optional(&name(&format!("{part}.bias")), Form::Plain, &[width])?;
    }
    // Old files call the first of the two the second, which llama.cpp tells by its shape.
    let inner = shape.feed_forward;
    let is_swapped = tensors.unread.get(&*name("ffn_down.weight")).is_some_and(|down| down.dim(0) == width);
    let (up, down) = if is_swapped { ("ffn_down", "ffn_up") } else { ("ffn_up", "ffn_down") };
    tensors.required(&name(&format!("{up}.weight")), Form::Weights, &[width, inner])?;
    tensors.optional(&name(&format!("{up}.bias")), Form::Plain, &[inner])?;
    tensors.required(&name(&format!("{down}.weight")), Form::Weights, &[inner, width])?;
    tensors.optional(&name(&format!("{down}.bias")), Form::Plain, &[width]).map(drop)
}

/// What stands before the first layer and behind the last.
pub(super) fn check_ends(tensors: &mut Tensors<'_>, width: u64) -> Result<(), Error> {
    for norm in ["v.pre_ln", "v.post_ln"] {
        if tensors.optional(&format!("{norm}.weight"), Form::Plain, &[width])? {
            tensors.optional(&format!("{norm}.bias"), Form::Plain, &[width])?;
        }
    }
    Ok(())
}

/// A layer of a Whisper tower. What its keys add, llama.cpp takes as a sign of something else.
pub(super) fn check_whisper_layer(
    tensors: &mut Tensors<'_>,
    layer: u64,
    width: u64,
    inner: u64,
) -> Result<(), Error> {
    let name = |part: &str| format!("a.blk.{layer}.{part}");
    for part in ["attn_q", "attn_k", "attn_v", "attn_out"] {
        tensors.required(&name(&format!("{part}.weight")), Form::Weights, &[width, width])?;
    }
    for part in ["attn_q", "attn_v", "ln1", "ln2"] {
        tensors.required(&name(&format!("{part}.bias")), Form::Plain, &[width])?;
    }
    tensors.optional(&name("attn_out.bias"), Form::Plain, &[width])?;
    for part in ["ln1", "ln2"] {
        tensors.required(&name(&format!("{part}.weight")), Form::Plain, &[width])?;
    }
    tensors.required(&name("ffn_up.weight"), Form::Weights, &[width, inner])?;
    tensors.optional(&name("ffn_up.bias"), Form::Plain, &[inner])?;
    tensors.required(&name("ffn_down.weight"), Form::Weights, &[inner, width])?;
    tensors.optional(&name("ffn_down.bias"), Form::Plain, &[width]).map(drop)
}

fn check_mlp(tensors: &mut Tensors<'_>, width: u64) -> Result<u64, Error> {
    let inner = tensors.rows("mm.0.weight", Form::Weights, width)?;
    tensors.required("mm.0.bias", Form::Plain, &[inner])?;
    let out = tensors.rows("mm.2.weight", Form::Weights, inner)?;
    tensors.required("mm.2.bias", Form::Plain, &[out])?;
    Ok(out)
}

fn check_gemma3(tensors: &mut Tensors<'_>, width: u64) -> Result<u64, Error> {
    tensors.required("mm.soft_emb_norm.weight", Form::Plain, &[width])?;
    // Stored the other way round, and turned as it is.
    let name = "mm.input_projection.weight";
    let tensor = tensors.unread.remove(name).ok_or_else(|| missing(name))?;
    let out = tensor.dim(0);
    check_tensor(tensor, Form::Float, &[out, width]).map(|()| out)
}

fn check_tensor(tensor: &Tensor, form: Form, dims: &[u64]) -> Result<(), Error> {
    let count = tensor.dims.len().max(dims.len());
    let fits = (0..count).all(|axis| tensor.dim(axis) == dims.get(axis).copied().unwrap_or(1));
    if !fits {
        return Err(tensor.fault(format_args!("dimensions {:?} must be {dims:?}", tensor.dims)));
    }
    let is_allowed = match form {
        Form::Plain => tensor.kind == TensorType::F32,
        Form::Float => matches!(tensor.kind, TensorType::F32 | TensorType::F16),
        Form::Weights => return check_kind(tensor),
    };
    if is_allowed {
        return Ok(());
    }
    let error = tensor.fault(format_args!("llama.cpp cannot compute with type {} here", tensor.kind));
    Err(Error { kind: ErrorKind::Unsupported, ..error })
}

pub(super) fn missing(name: &str) -> Error {
    Error::corrupt(format!("tensor {name:?} is missing"))
}
