//! Chat models (`llama`, and `qwen2vl` and `qwen3vl` for images) and the reranker (`qwen3`).

use std::io;

use crate::builder::{Builder, unit_gain};
use crate::draft::Draft;
use crate::options::Options;
use crate::shape::{Kind, Shape};
use crate::tokenizer;
use crate::value::Value;
use crate::vocabulary::Vocabulary;
use crate::weight_type::WeightType;

/// Pooling that yields a score per label.
const POOLING_RANK: u32 = 4;

/// What a reranker of this family reads.
const RERANK_TEMPLATE: &str =
    "<|im_start|>user\nQuery: {query}\nDocument: {document}<|im_end|>\n<|im_start|>assistant\n";

pub(crate) fn model(kind: Kind, options: &Options) -> io::Result<Draft> {
    let shape = Shape::of(kind, options)?;
    let reranks = kind == Kind::Rerank;
    let architecture = match kind {
        Kind::Rerank => "qwen3",
        Kind::MicroPlaced => "qwen2vl",
        Kind::MicroDeep => "qwen3vl",
        _ => "llama",
    };
    let mut builder = Builder::new(architecture, options);
    let vocabulary = Vocabulary::pieces(shape.vocabulary);
    let special = vocabulary.special as u64;
    metadata(&mut builder, kind, &shape, vocabulary);

    builder.matrix("token_embd.weight", [shape.vocabulary, shape.width], 0.5);
    for layer in 0..shape.layers {
        self::layer(&mut builder, &shape, &format!("blk.{layer}."), reranks || kind == Kind::MicroDeep);
    }
    builder.vector("output_norm.weight", shape.width, 1.0);
    // Special tokens and bytes are practically never sampled: their logits are zero, the others spread.
    let spread = 0.2 * (512.0 / shape.width as f32).sqrt();
    builder.matrix("output.weight", [shape.vocabulary, shape.width], spread);
    builder.zero_first_rows(special);
    if reranks {
        builder.matrix_as(WeightType::F32, "cls.output.weight", [2, shape.width], 0.2);
    }
    Ok(builder.draft)
}

fn metadata(builder: &mut Builder, kind: Kind, shape: &Shape, vocabulary: Vocabulary) {
    builder.common_metadata(&format!("synthetic-{kind}"), shape);
    builder.set_own("attention.layer_norm_rms_epsilon", 1e-5);
    builder.set_own("rope.freq_base", 10_000.0);
    if kind == Kind::Rerank {
        builder.set_own("attention.key_length", shape.head_width());
        builder.set_own("attention.value_length", shape.head_width());
    } else {
        builder.set_own("rope.dimension_count", shape.head_width());
    }
    if matches!(kind, Kind::MicroPlaced | Kind::MicroDeep) {
        builder.set_own("rope.dimension_sections", Value::I32s(vec![2, 3, 3, 0]));
    }
    if kind == Kind::MicroDeep {
        builder.set_own("n_deepstack_layers", 1_u32);
    }
    tokenizer::chat(&mut builder.draft, vocabulary);
    if kind == Kind::Rerank {
        builder.set_own("pooling_type", POOLING_RANK);
        builder.draft.set("tokenizer.chat_template.rerank", RERANK_TEMPLATE);
        builder.set_own("classifier.output_labels", Value::Strings(vec!["yes".into(), "no".into()]));
    }
}

fn layer(builder: &mut Builder, shape: &Shape, prefix: &str, head_norms: bool) {
    let Shape { width, feed_forward, .. } = *shape;
    let name = |part: &str| format!("{prefix}{part}.weight");
    let gain = unit_gain(width);
    builder.vector(&name("attn_norm"), width, 1.0);
    builder.matrix(&name("attn_q"), [width, width], gain * 1.5);
    builder.matrix(&name("attn_k"), [shape.kv_width(), width], gain * 1.5);
    builder.matrix(&name("attn_v"), [shape.kv_width(), width], gain);
    builder.matrix(&name("attn_output"), [width, width], gain);
    if head_norms {
        builder.vector(&name("attn_q_norm"), shape.head_width(), 1.0);
        builder.vector(&name("attn_k_norm"), shape.head_width(), 1.0);
    }
    builder.vector(&name("ffn_norm"), width, 1.0);
    builder.matrix(&name("ffn_gate"), [feed_forward, width], gain);
    builder.matrix(&name("ffn_up"), [feed_forward, width], gain);
    builder.matrix(&name("ffn_down"), [width, feed_forward], unit_gain(feed_forward));
}
