//! Towers for images of any shape, four of whose patches become a row: Qwen-VL.

use super::ProjectorKind;
use super::tensors::{Form, Tensors, check_ends};
use super::vision::{PATCHES_MAX, Shape};
use crate::error::Error;
use crate::file::File;
use crate::metadata::Metadata;

/// Checks every tensor that llama.cpp reads; the length of the rows that come out.
pub(super) fn check(file: &File, tensors: &mut Tensors<'_>, shape: &Shape) -> Result<u64, Error> {
    let (width, patch) = (shape.width, shape.patch);
    for name in ["v.patch_embd.weight", "v.patch_embd.weight.1"] {
        tensors.required(name, Form::Float, &[patch, patch, 3, width])?;
    }
    check_ends(tensors, width)?;
    if shape.kind == ProjectorKind::Qwen3Vl {
        tensors.required("v.patch_embd.bias", Form::Plain, &[width])?;
        check_positions(tensors, width)?;
    }
    for layer in 0..shape.layers {
        check_layer(tensors, layer, shape)?;
    }
    let merged = width * shape.merge.pow(2);
    let inner = tensors.linear("mm.0", merged)?;
    let out = tensors.linear("mm.2", inner)?;
    let deep = match shape.kind {
        ProjectorKind::Qwen3Vl => check_deep(tensors, shape, merged, out)?,
        _ => 0,
    };
    tensors.refuse_others()?;
    check_length(&file.metadata, shape.kind, out)?;
    Ok(out * (1 + deep))
}

/// A square of vectors, which llama.cpp stretches to the shape of each image.
fn check_positions(tensors: &mut Tensors<'_>, width: u64) -> Result<(), Error> {
    let positions = tensors.rows("v.position_embd.weight", Form::Plain, width)?;
    if positions == positions.isqrt().pow(2) && (1..=PATCHES_MAX).contains(&positions) {
        return Ok(());
    }
    let message = format!(
        "tensor \"v.position_embd.weight\" has {positions} rows, which are no square of at most {PATCHES_MAX}"
    );
    Err(Error::corrupt(message))
}

fn check_layer(tensors: &mut Tensors<'_>, layer: u64, shape: &Shape) -> Result<(), Error> {
    let (width, inner) = (shape.width, shape.feed_forward);
    let name = |part: &str| format!("v.blk.{layer}.{part}");
    if shape.kind == ProjectorKind::Qwen3Vl {
        tensors.required(&name("attn_qkv.weight"), Form::Weights, &[width, 3 * width])?;
        tensors.required(&name("attn_qkv.bias"), Form::Plain, &[3 * width])?;
    } else {
        for part in ["attn_q", "attn_k", "attn_v"] {
            tensors.required(&name(&format!("{part}.weight")), Form::Weights, &[width, width])?;
            tensors.required(&name(&format!("{part}.bias")), Form::Plain, &[width])?;
        }
    }
    tensors.required(&name("attn_out.weight"), Form::Weights, &[width, width])?;
    tensors.optional(&name("attn_out.bias"), Form::Plain, &[width])?;
    for part in ["ln1", "ln2"] {
        tensors.required(&name(&format!("{part}.weight")), Form::Plain, &[width])?;
        tensors.optional(&name(&format!("{part}.bias")), Form::Plain, &[width])?;
    }
    // Old files call the first of the two the second, which llama.cpp tells by its shape.
    let is_swapped =
        shape.kind != ProjectorKind::Qwen3Vl && tensors.first_dim(&name("ffn_down.weight")) == Some(width);
    let (up, down) = if is_swapped { ("ffn_down", "ffn_up") } else { ("ffn_up", "ffn_down") };
    for part in [up, "ffn_gate"] {
        let is_there = tensors.optional(&name(&format!("{part}.weight")), Form::Weights, &[width, inner])?;
        if is_there {
            tensors.optional(&name(&format!("{part}.bias")), Form::Plain, &[inner])?;
        } else if part == up {
            return Err(super::tensors::missing(&name(&format!("{part}.weight"))));
        }
    }
    tensors.required(&name(&format!("{down}.weight")), Form::Weights, &[inner, width])?;
    tensors.optional(&name(&format!("{down}.bias")), Form::Plain, &[width]).map(drop)
}

/// What some layers add to the end of each row; how many do.
fn check_deep(tensors: &mut Tensors<'_>, shape: &Shape, merged: u64, out: u64) -> Result<u64, Error> {
    let mut count = 0;
    for layer in 0..shape.layers {
        let name = |part: &str| format!("v.deepstack.{layer}.{part}");
        if !tensors.has(&name("fc1.weight")) {
            continue;
        }
        tensors.required(&name("norm.weight"), Form::Plain, &[merged])?;
        tensors.optional(&name("norm.bias"), Form::Plain, &[merged])?;
        let inner = tensors.linear(&name("fc1"), merged)?;
        let added = tensors.linear(&name("fc2"), inner)?;
        if added != out {
            let message = format!("tensor {:?} makes rows of {added}, the others {out}", name("fc2.weight"));
            return Err(Error::corrupt(message));
        }
        count += 1;
    }
    Ok(count)
}

/// What windows are put back in order by.
fn check_length(metadata: &Metadata, kind: ProjectorKind, out: u64) -> Result<(), Error> {
    let key = "clip.vision.projection_dim";
    match metadata.u64(key) {
        Some(length) if kind == ProjectorKind::Qwen25Vl && length != out => {
            Err(metadata.fault(key, format_args!("is {length} but must be {out}")))
        }
        _ => Ok(()),
    }
}
