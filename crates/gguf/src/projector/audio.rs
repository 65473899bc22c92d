//! Towers for sound.

use super::tensors::{Form, Tensors, check_whisper_layer};
use super::{ProjectorKind, number};
use crate::error::Error;
use crate::file::File;

/// Frames of the piece of sound that is computed at once: thirty seconds.
const FRAMES: u64 = 3000;
/// llama.cpp makes no more of a frame.
const MEL_BINS_MAX: u64 = 256;

/// The numbers that the shapes of its tensors follow from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    kind: ProjectorKind,
    /// Numbers of a moment inside.
    pub(super) width: u64,
    pub(super) feed_forward: u64,
    pub(super) layers: u64,
    mel_bins: u64,
    /// Moments that become one row.
    stack: u64,
}

impl Shape {
    /// Moments that the tower makes of a piece.
    pub(super) fn moments(&self) -> u64 {
        FRAMES / 2
    }

    /// The rows that llama.cpp expects of a piece.
    pub(super) fn rows(&self) -> u64 {
        let frames = if self.stacks() { FRAMES.div_ceil(self.stack) } else { FRAMES };
        frames / 2 / if self.averages() { 2 } else { 1 }
    }

    fn stacks(&self) -> bool {
        matches!(self.kind, ProjectorKind::Ultravox | ProjectorKind::Voxtral)
    }

    fn averages(&self) -> bool {
        matches!(self.kind, ProjectorKind::Qwen2Audio | ProjectorKind::Voxtral)
    }

    /// The rows that come out: it pads with a mask, which is exact for powers of two alone.
    fn rows_computed(&self) -> u64 {
        let moments = self.moments() / if self.averages() { 2 } else { 1 };
        if !self.stacks() || self.stack == 1 {
            return moments;
        }
        let (total, stride) = (moments * self.width, self.width * self.stack);
        let padded = (total + stride - 1) & !(stride - 1);
        padded / stride
    }
}

/// The shape that the keys of a file tell.
pub(super) fn shape(file: &File, kind: ProjectorKind) -> Result<Shape, Error> {
    let metadata = &file.metadata;
    let stack_key = "clip.audio.projector.stack_factor";
    let shape = Shape {
        kind,
        width: number(metadata, "clip.audio.embedding_length", 1..=16_384)?,
        feed_forward: number(metadata, "clip.audio.feed_forward_length", 1..=131_072)?,
        layers: number(metadata, "clip.audio.block_count", 1..=super::LAYERS_MAX)?,
        mel_bins: number(metadata, "clip.audio.num_mel_bins", 1..=MEL_BINS_MAX)?,
        stack: match kind {
            ProjectorKind::Qwen2Audio => 1,
            _ => number(metadata, stack_key, 1..=64)?,
        },
    };
    number(metadata, "clip.audio.projection_dim", 0..=1 << 24)?;
    if metadata.get("clip.audio.feature_layer").is_some() {
        return Err(Error::unsupported("projectors with \"clip.audio.feature_layer\" are not supported"));
    }
    if shape.rows() != shape.rows_computed() {
        let message = format!("is {}, for which llama.cpp does not know how many rows come out", shape.stack);
        return Err(metadata.fault(stack_key, message));
    }
    Ok(shape)
}

/// Checks every tensor that llama.cpp reads; the length of the rows that come out.
pub(super) fn check(file: &File, shape: &Shape) -> Result<u64, Error> {
    let mut tensors = Tensors::of(file, &["a.", "v.", "mm."]);
    let width = shape.width;
    for (number, inputs) in [(1, shape.mel_bins), (2, width)] {
        tensors.required(&format!("a.conv1d.{number}.weight"), Form::Float, &[3, inputs, width])?;
        tensors.required(&format!("a.conv1d.{number}.bias"), Form::Plain, &[1, width])?;
    }
    let positions = tensors.rows("a.position_embd.weight", Form::Plain, width)?;
    if positions < shape.moments() {
        let message =
            format!("tensor \"a.position_embd.weight\" has {positions} rows, {} are read", shape.moments());
        return Err(Error::corrupt(message));
    }
    for layer in 0..shape.layers {
        check_whisper_layer(&mut tensors, layer, width, shape.feed_forward)?;
    }
    if tensors.optional("a.post_ln.weight", Form::Plain, &[width])? {
        tensors.optional("a.post_ln.bias", Form::Plain, &[width])?;
    }
    let out = check_head(&mut tensors, shape)?;
    tensors.refuse_others()?;
    Ok(out)
}

fn check_head(tensors: &mut Tensors<'_>, shape: &Shape) -> Result<u64, Error> {
    let stacked = shape.width * shape.stack;
    match shape.kind {
        ProjectorKind::Ultravox => {
            tensors.required("mm.a.norm_pre.weight", Form::Plain, &[stacked])?;
            let both = tensors.rows("mm.a.mlp.1.weight", Form::Weights, stacked)?;
            if !both.is_multiple_of(2) {
                return Err(Error::corrupt(format!(
                    "tensor \"mm.a.mlp.1.weight\" has {both} rows, no two halves"
                )));
            }
            tensors.required("mm.a.norm_mid.weight", Form::Plain, &[both / 2])?;
            tensors.rows("mm.a.mlp.2.weight", Form::Weights, both / 2)
        }
        ProjectorKind::Voxtral => {
            let inner = tensors.rows("mm.a.mlp.1.weight", Form::Weights, stacked)?;
            tensors.rows("mm.a.mlp.2.weight", Form::Weights, inner)
        }
        _ => {
            let out = tensors.rows("mm.a.fc.weight", Form::Weights, shape.width)?;
            tensors.required("mm.a.fc.bias", Form::Plain, &[out])?;
            Ok(out)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ProjectorKind, Shape};

    #[test]
    fn llama_cpp_knows_the_rows_of_the_towers_there_are() {
        for (kind, stack, rows) in [
            (ProjectorKind::Ultravox, 8, 187),
            (ProjectorKind::Voxtral, 4, 187),
            (ProjectorKind::Qwen2Audio, 1, 750),
        ] {
            let shape = Shape { kind, width: 1280, feed_forward: 5120, layers: 32, mel_bins: 128, stack };
            assert_eq!((shape.rows(), shape.rows_computed()), (rows, rows), "{kind:?}");
        }
    }
}
