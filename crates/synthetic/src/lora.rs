//! The LoRA adapter.

use std::io;

use crate::builder::Builder;
use crate::draft::Draft;
use crate::options::Options;
use crate::shape::Shape;
use crate::weight_type::WeightType;

const RANK: u32 = 8;
const ALPHA: f32 = 16.0;

pub(crate) fn adapter(options: &Options) -> io::Result<Draft> {
    let shape = Shape::of(options.lora_base, options)?;
    let mut builder = Builder::new("llama", options);
    builder.draft.set("general.type", "adapter");
    builder.draft.set("adapter.type", "lora");
    builder.draft.set("adapter.lora.alpha", ALPHA);
    for layer in 0..shape.layers {
        for (part, rows) in [("attn_q", shape.width), ("attn_v", shape.kv_width())] {
            let name = format!("blk.{layer}.{part}.weight");
            builder.matrix_as(WeightType::F32, &format!("{name}.lora_a"), [RANK, shape.width], 0.2);
            builder.matrix_as(WeightType::F32, &format!("{name}.lora_b"), [rows, RANK], 0.2);
        }
    }
    Ok(builder.draft)
}
