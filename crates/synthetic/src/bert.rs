//! The embedder and the reranker of the `bert` family.

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
/// Pooling that yields the score of a head.
const POOLING_RANK: u32 = 4;

pub(crate) fn encoder(options: &Options) -> io::Result<Draft> {
    let shape = Shape::of(Kind::Embed, options)?;
    Ok(body(&shape, "synthetic-bert", POOLING_MEAN, options).draft)
}

/// An encoder with the two layers on its first token that give a pair of texts its score.
pub(crate) fn cross_encoder(options: &Options) -> io::Result<Draft> {
    let shape = Shape::of(Kind::CrossEncoder, options)?;
    let width = shape.width;
    let mut builder = body(&shape, "synthetic-cross-encoder", POOLING_RANK, options);
    builder.matrix_as(WeightType::F32, "cls.weight", [width, width], unit_gain(width));
    builder.vector("cls.bias", width, 0.1);
    // Scores that differ: their logits spread by about 2.
    builder.matrix_as(WeightType::F32, "cls.output.weight", [1, width], 4.0 * unit_gain(width));
    builder.vector("cls.output.bias", 1, -0.25);
    Ok(builder.draft)
}

fn body(shape: &Shape, name: &str, pooling: u32, options: &Options) -> Builder {
    let width = shape.width;
    let mut builder = Builder::new("bert", options);
    builder.common_metadata(name, shape);
    builder.set_own("attention.layer_norm_epsilon", 1e-12);
    builder.set_own("attention.causal", false);
    builder.set_own("pooling_type", pooling);
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
    builder
}

fn linear(builder: &mut Builder, name: &str, [rows, columns]: [u32; 2]) {
    builder.matrix(&format!("{name}.weight"), [rows, columns], unit_gain(columns));
    builder.vector(&format!("{name}.bias"), rows, 0.0);
}

fn norm(builder: &mut Builder, name: &str, width: u32) {
    builder.vector(&format!("{name}.weight"), width, 1.0);
    builder.vector(&format!("{name}.bias"), width, 0.0);
}
