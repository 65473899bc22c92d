//! Projectors for images of any shape, four of whose patches become a row: Qwen-VL.

use std::io;

use crate::builder::Builder;
use crate::draft::Draft;
use crate::options::Options;
use crate::projector::{FEED_FORWARD, WIDTH, begin, for_images, linear, norm, patches, positions};
use crate::shape::Kind;

/// Patches that become a row.
const MERGED: u32 = 4;
/// Every so many layers one looks at the whole image, the others at windows.
const WHOLE_EVERY: u32 = 2;

pub(crate) fn projector(kind: Kind, options: &Options) -> io::Result<Draft> {
    let name = match kind {
        Kind::ProjectorQwen25Vl => "qwen2.5vl_merger",
        Kind::ProjectorQwen3Vl => "qwen3vl_merger",
        _ => "qwen2vl_merger",
    };
    let (mut builder, layers) = begin(name, "vision", options)?;
    for_images(&mut builder);
    patches(&mut builder, "v.patch_embd.weight");
    patches(&mut builder, "v.patch_embd.weight.1");
    match kind {
        Kind::ProjectorQwen25Vl => builder.set_own("vision.n_wa_pattern", WHOLE_EVERY),
        Kind::ProjectorQwen3Vl => {
            builder.vector("v.patch_embd.bias", WIDTH, 0.1);
            positions(&mut builder);
        }
        _ => {}
    }
    for layer in 0..layers {
        self::layer(&mut builder, kind, &format!("v.blk.{layer}."));
    }
    norm(&mut builder, "v.post_ln", WIDTH);
    // The first layer adds to the rows of the last.
    let out = if kind == Kind::ProjectorQwen3Vl { options.width / 2 } else { options.width };
    linear(&mut builder, "mm.0", [MERGED * WIDTH, MERGED * WIDTH]);
    linear(&mut builder, "mm.2", [out, MERGED * WIDTH]);
    if kind == Kind::ProjectorQwen3Vl {
        norm(&mut builder, "v.deepstack.0.norm", MERGED * WIDTH);
        linear(&mut builder, "v.deepstack.0.fc1", [MERGED * WIDTH, MERGED * WIDTH]);
        linear(&mut builder, "v.deepstack.0.fc2", [out, MERGED * WIDTH]);
    }
    Ok(builder.draft)
}

fn layer(builder: &mut Builder, kind: Kind, prefix: &str) {
    let name = |part: &str| format!("{prefix}{part}");
    if kind == Kind::ProjectorQwen3Vl {
        linear(builder, &name("attn_qkv"), [3 * WIDTH, WIDTH]);
    } else {
        for part in ["attn_q", "attn_k", "attn_v"] {
            linear(builder, &name(part), [WIDTH, WIDTH]);
        }
    }
    linear(builder, &name("attn_out"), [WIDTH, WIDTH]);
    norm(builder, &name("ln1"), WIDTH);
    norm(builder, &name("ln2"), WIDTH);
    if kind == Kind::ProjectorQwen25Vl {
        linear(builder, &name("ffn_gate"), [FEED_FORWARD, WIDTH]);
    }
    linear(builder, &name("ffn_up"), [FEED_FORWARD, WIDTH]);
    linear(builder, &name("ffn_down"), [WIDTH, FEED_FORWARD]);
}
