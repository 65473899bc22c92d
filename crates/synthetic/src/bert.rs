//! The embedder (`bert`).

use std::io;

use crate::builder::{Builder, unit_gain};
use crate::draft::Draft;
use crate::options::Options;
use crate::shape::{Kind, Shape};
use crate::tokenizer;
use crate::vocabulary::Vocabulary;
use crate::weight_type::WeightType;

/// Pooling that averages over the tokens.
const POOLING_MEAN: u32 = 1;

pub(crate) fn encoder(options: &Options) -> io::Result<Draft> {
    let shape = Shape::of(Kind::Embed, options)?;
    let width = shape.width;
    let mut builder = Builder::new("bert", options);
    builder.common_metadata("synthetic-bert", &shape);
    builder.set_own("attention.layer_norm_epsilon", 1e-12);
    builder.set_own("attention.causal", false);
    builder.set_own("pooling_type", POOLING_MEAN);
    tokenizer::wordpiece(&mut builder.draft, Vocabulary::words(shape.vocabulary));

    builder.matrix("token_embd.weight", [shape.vocabulary, width], 0.5);
    builder.matrix_as(WeightType::F32, "token_types.weight", [2, width], 0.1);
    builder.matrix_as(WeightType::F32, "position_embd.weight", [shape.context, width], 0.1);
    norm(&mut builder, "token_embd_norm", width);
    for layer in 0..shape.layers {
        let name = |part: &str| format!("blk.{layer}.{part}");
        for part in ["attn_q", "attn_k", "attn_v", "attn_output"] {
            linear(&mut builder, &name(part), [width, width]);
        }
        norm(&mut builder, &name("attn_output_norm"), width);
        linear(&mut builder, &name("ffn_up"), [shape.feed_forward, width]);
        linear(&mut builder, &name("ffn_down"), [width, shape.feed_forward]);
        norm(&mut builder, &name("layer_output_norm"), width);
    }
    Ok(builder.draft)
}

fn linear(builder: &mut Builder, name: &str, [rows, columns]: [u32; 2]) {
    builder.matrix(&format!("{name}.weight"), [rows, columns], unit_gain(columns));
    builder.vector(&format!("{name}.bias"), rows, 0.0);
}

fn norm(builder: &mut Builder, name: &str, width: u32) {
    builder.vector(&format!("{name}.weight"), width, 1.0);
    builder.vector(&format!("{name}.bias"), width, 0.0);
}
