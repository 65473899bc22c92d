//! Projectors: small vision towers that make rows for a text model.

use std::io;

use crate::builder::{Builder, unit_gain};
use crate::draft::Draft;
use crate::invalid_input;
use crate::options::Options;
use crate::tensor::{Data, Tensor};
use crate::value::Value;
use crate::weight_type::WeightType;

pub(crate) const WIDTH: u32 = 64;
pub(crate) const FEED_FORWARD: u32 = 128;
pub(crate) const HEADS: u32 = 4;
const IMAGE: u32 = 32;
pub(crate) const PATCH: u32 = 8;
/// Patches of a side that become one row of a `gemma3` projector.
const MERGE: u32 = 2;

/// Sixteen rows an image.
pub(crate) fn mlp(options: &Options) -> io::Result<Draft> {
    let mut builder = tower("mlp", options)?;
    linear(&mut builder, "mm.0", [WIDTH, WIDTH]);
    linear(&mut builder, "mm.2", [options.width, WIDTH]);
    Ok(builder.draft)
}

/// Four rows an image, which see each other.
pub(crate) fn gemma3(options: &Options) -> io::Result<Draft> {
    let mut builder = tower("gemma3", options)?;
    builder.set_own("vision.projector.scale_factor", MERGE);
    builder.vector("mm.soft_emb_norm.weight", WIDTH, 1.0);
    // Stored the other way round.
    builder.matrix_as(
        WeightType::F16,
        "mm.input_projection.weight",
        [WIDTH, options.width],
        unit_gain(WIDTH),
    );
    Ok(builder.draft)
}

/// A builder with what every tower's keys say.
pub(crate) fn begin(kind: &str, tower: &str, options: &Options) -> io::Result<(Builder, u32)> {
    let layers = options.layers.unwrap_or(2);
    if layers == 0 || options.width == 0 {
        return Err(invalid_input("layers and width must be at least 1".into()));
    }
    let mut builder = Builder::new("clip", options);
    builder.draft.set("general.type", "mmproj");
    builder.set_own("projector_type", kind);
    builder.set_own(&format!("has_{tower}_encoder"), true);
    builder.set_own("use_gelu", true);
    builder.set_own(&format!("{tower}.embedding_length"), WIDTH);
    builder.set_own(&format!("{tower}.feed_forward_length"), FEED_FORWARD);
    builder.set_own(&format!("{tower}.block_count"), layers);
    builder.set_own(&format!("{tower}.projection_dim"), options.width);
    builder.set_own(&format!("{tower}.attention.head_count"), HEADS);
    builder.set_own(&format!("{tower}.attention.layer_norm_epsilon"), 1e-6);
    Ok((builder, layers))
}

/// What the keys of a tower for images say besides.
pub(crate) fn for_images(builder: &mut Builder) {
    builder.set_own("vision.image_size", IMAGE);
    builder.set_own("vision.patch_size", PATCH);
    builder.draft.set("clip.vision.image_mean", Value::F32s(vec![0.5; 3]));
    builder.draft.set("clip.vision.image_std", Value::F32s(vec![0.5; 3]));
}

/// What makes a vector of the pixels of a patch.
pub(crate) fn patches(builder: &mut Builder, name: &str) {
    let pixels = [PATCH, PATCH, 3, WIDTH].map(u64::from);
    let data = Data::Random { deviation: unit_gain(PATCH * PATCH * 3), zero_rows: 0 };
    builder.draft.tensors.push(Tensor::new(name, &pixels, WeightType::F32, data));
}

/// A vector for each place of a square image.
pub(crate) fn positions(builder: &mut Builder) {
    let patches = (IMAGE / PATCH).pow(2);
    builder.matrix_as(WeightType::F32, "v.position_embd.weight", [patches, WIDTH], 0.3);
}

pub(crate) fn norm(builder: &mut Builder, name: &str, length: u32) {
    builder.vector(&format!("{name}.weight"), length, 1.0);
    builder.vector(&format!("{name}.bias"), length, 0.0);
}

fn tower(kind: &str, options: &Options) -> io::Result<Builder> {
    let (mut builder, layers) = begin(kind, "vision", options)?;
    for_images(&mut builder);
    patches(&mut builder, "v.patch_embd.weight");
    positions(&mut builder);
    for layer in 0..layers {
        let name = |part: &str| format!("v.blk.{layer}.{part}");
        for part in ["attn_q", "attn_k", "attn_v", "attn_out"] {
            linear(&mut builder, &name(part), [WIDTH, WIDTH]);
        }
        for part in ["ln1", "ln2"] {
            norm(&mut builder, &name(part), WIDTH);
        }
        linear(&mut builder, &name("ffn_up"), [FEED_FORWARD, WIDTH]);
        linear(&mut builder, &name("ffn_down"), [WIDTH, FEED_FORWARD]);
    }
    Ok(builder)
}

pub(crate) fn linear(builder: &mut Builder, name: &str, [rows, columns]: [u32; 2]) {
    builder.matrix(&format!("{name}.weight"), [rows, columns], unit_gain(columns));
    builder.vector(&format!("{name}.bias"), rows, 0.0);
}
