//! Projectors for sound: a Whisper tower of two layers with the heads of two families.

use std::io;

use crate::builder::{Builder, unit_gain};
use crate::draft::Draft;
use crate::options::Options;
use crate::projector::{FEED_FORWARD, WIDTH, begin, linear, norm};
use crate::shape::Kind;
use crate::tensor::{Data, Tensor};
use crate::weight_type::WeightType;

/// Pitches that are told apart.
const MEL_BINS: u32 = 16;
/// Moments of half a minute.
const MOMENTS: u32 = 1500;
/// Moments that become a row.
const STACK: u32 = 2;

pub(crate) fn projector(kind: Kind, options: &Options) -> io::Result<Draft> {
    let is_ultravox = kind == Kind::ProjectorUltravox;
    let name = if is_ultravox { "ultravox" } else { "qwen2a" };
    let (mut builder, layers) = begin(name, "audio", options)?;
    builder.set_own("audio.num_mel_bins", MEL_BINS);
    convolution(&mut builder, "a.conv1d.1", MEL_BINS);
    convolution(&mut builder, "a.conv1d.2", WIDTH);
    builder.matrix_as(WeightType::F32, "a.position_embd.weight", [MOMENTS, WIDTH], 0.3);
    for layer in 0..layers {
        self::layer(&mut builder, &format!("a.blk.{layer}."));
    }
    norm(&mut builder, "a.post_ln", WIDTH);
    if is_ultravox {
        builder.set_own("audio.projector.stack_factor", STACK);
        builder.vector("mm.a.norm_pre.weight", STACK * WIDTH, 1.0);
        builder.matrix("mm.a.mlp.1.weight", [2 * WIDTH, STACK * WIDTH], unit_gain(STACK * WIDTH));
        builder.vector("mm.a.norm_mid.weight", WIDTH, 1.0);
        builder.matrix("mm.a.mlp.2.weight", [options.width, WIDTH], unit_gain(WIDTH));
    } else {
        linear(&mut builder, "mm.a.fc", [options.width, WIDTH]);
    }
    Ok(builder.draft)
}

/// What looks at three moments at a time.
fn convolution(builder: &mut Builder, name: &str, inputs: u32) {
    let dims = [3, inputs, WIDTH].map(u64::from);
    let data = Data::Random { deviation: unit_gain(3 * inputs), zero_rows: 0 };
    builder.draft.tensors.push(Tensor::new(&format!("{name}.weight"), &dims, WeightType::F16, data));
    let dims = [1, WIDTH].map(u64::from);
    builder.draft.tensors.push(Tensor::new(
        &format!("{name}.bias"),
        &dims,
        WeightType::F32,
        Data::Constant(0.0),
    ));
}

fn layer(builder: &mut Builder, prefix: &str) {
    let name = |part: &str| format!("{prefix}{part}");
    for part in ["attn_q", "attn_v", "attn_out"] {
        linear(builder, &name(part), [WIDTH, WIDTH]);
    }
    builder.matrix(&name("attn_k.weight"), [WIDTH, WIDTH], unit_gain(WIDTH));
    norm(builder, &name("ln1"), WIDTH);
    norm(builder, &name("ln2"), WIDTH);
    linear(builder, &name("ffn_up"), [FEED_FORWARD, WIDTH]);
    linear(builder, &name("ffn_down"), [WIDTH, FEED_FORWARD]);
}
