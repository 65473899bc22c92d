//! Projectors: small vision towers that make rows for a text model.

use std::io;

use crate::builder::{Builder, unit_gain};
use crate::draft::Draft;
use crate::invalid_input;
use crate::options::Options;
use crate::tensor::{Data, Tensor};
use crate::value::Value;
use crate::weight_type::WeightType;

const WIDTH: u32 = 64;
const FEED_FORWARD: u32 = 128;
const HEADS: u32 = 4;
const IMAGE: u32 = 32;
const PATCH: u32 = 8;
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

fn tower(kind: &str, options: &Options) -> io::Result<Builder> {
    let layers = options.layers.unwrap_or(2);
    if layers == 0 || options.width == 0 {
        return Err(invalid_input("layers and width must be at least 1".into()));
    }
    let mut builder = Builder::new("clip", options);
    builder.draft.set("general.type", "mmproj");
    builder.set_own("projector_type", kind);
    builder.set_own("has_vision_encoder", true);
    builder.set_own("use_gelu", true);
    builder.set_own("vision.embedding_length", WIDTH);
    builder.set_own("vision.feed_forward_length", FEED_FORWARD);
    builder.set_own("vision.block_count", layers);
    builder.set_own("vision.projection_dim", options.width);
    builder.set_own("vision.attention.head_count", HEADS);
    builder.set_own("vision.attention.layer_norm_epsilon", 1e-6);
    builder.set_own("vision.image_size", IMAGE);
    builder.set_own("vision.patch_size", PATCH);
    builder.draft.set("clip.vision.image_mean", Value::F32s(vec![0.5; 3]));
    builder.draft.set("clip.vision.image_std", Value::F32s(vec![0.5; 3]));
    let patches = (IMAGE / PATCH).pow(2);
    let pixels = [PATCH, PATCH, 3, WIDTH].map(u64::from);
    let data = Data::Random { deviation: unit_gain(PATCH * PATCH * 3), zero_rows: 0 };
    builder.draft.tensors.push(Tensor::new("v.patch_embd.weight", &pixels, WeightType::F32, data));
    builder.matrix_as(WeightType::F32, "v.position_embd.weight", [patches, WIDTH], 0.3);
    for layer in 0..layers {
        let name = |part: &str| format!("v.blk.{layer}.{part}");
        for part in ["attn_q", "attn_k", "attn_v", "attn_out"] {
            linear(&mut builder, &name(part), [WIDTH, WIDTH]);
        }
        for norm in ["ln1", "ln2"] {
            builder.vector(&name(&format!("{norm}.weight")), WIDTH, 1.0);
            builder.vector(&name(&format!("{norm}.bias")), WIDTH, 0.0);
        }
        linear(&mut builder, &name("ffn_up"), [FEED_FORWARD, WIDTH]);
        linear(&mut builder, &name("ffn_down"), [WIDTH, FEED_FORWARD]);
    }
    Ok(builder)
}

fn linear(builder: &mut Builder, name: &str, [rows, columns]: [u32; 2]) {
    builder.matrix(&format!("{name}.weight"), [rows, columns], unit_gain(columns));
    builder.vector(&format!("{name}.bias"), rows, 0.0);
}
