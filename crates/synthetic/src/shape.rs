//! The kinds of model and their dimensions.

use std::fmt;
use std::io;
use std::str::FromStr;

use crate::invalid_input;
use crate::options::Options;

/// A kind of synthetic model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Two layers of 64: under a megabyte.
    Micro,
    /// Eight layers of 512, about 30 million parameters.
    Tiny,
    /// The shape of SmolLM2-360M with 32000 tokens.
    M360,
    /// The shape of TinyLlama-1.1B.
    B1,
    /// A `qwen3` reranker with two output labels.
    Rerank,
    /// A `bert` embedder with mean pooling.
    Embed,
    /// A `bert` reranker of two layers of 64, with a head that gives one score.
    CrossEncoder,
    /// A rank-8 LoRA adapter for `attn_q` and `attn_v`.
    Lora,
    /// A vision tower of two layers of 64, and two layers that make 16 rows of an image.
    Projector,
    /// The same tower, of whose patches 4 rows are made that see each other.
    ProjectorGemma3,
    /// A `qwen2vl` model like [`Micro`](Self::Micro), whose tokens have places in two dimensions.
    MicroPlaced,
    /// The same of `qwen3vl`, which takes two vectors from each row of an image.
    MicroDeep,
    /// A tower for images of any shape, as `qwen2vl` has.
    ProjectorQwen2Vl,
    /// The same as `qwen2.5vl` has, with windows.
    ProjectorQwen25Vl,
    /// The same as `qwen3vl` has, of whose two layers the first adds to the rows.
    ProjectorQwen3Vl,
    /// A tower for sound, which makes 750 rows of half a minute.
    ProjectorUltravox,
    /// The same with another head.
    ProjectorQwen2Audio,
}

impl Kind {
    /// Every kind, in the order the usage text shows them.
    pub const ALL: [Self; 17] = [
        Self::Micro,
        Self::Tiny,
        Self::M360,
        Self::B1,
        Self::Rerank,
        Self::Embed,
        Self::CrossEncoder,
        Self::Lora,
        Self::Projector,
        Self::ProjectorGemma3,
        Self::MicroPlaced,
        Self::MicroDeep,
        Self::ProjectorQwen2Vl,
        Self::ProjectorQwen25Vl,
        Self::ProjectorQwen3Vl,
        Self::ProjectorUltravox,
        Self::ProjectorQwen2Audio,
    ];

    /// Whether it is a projector: what makes rows for a text model.
    #[must_use]
    pub fn is_projector(self) -> bool {
        self.name().starts_with("projector")
    }

    /// The name used on the command line and in `general.name`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Micro => "micro",
            Self::Tiny => "tiny",
            Self::M360 => "360m",
            Self::B1 => "1b",
            Self::Rerank => "rerank",
            Self::Embed => "embed",
            Self::CrossEncoder => "cross-encoder",
            Self::Lora => "lora",
            Self::Projector => "projector",
            Self::ProjectorGemma3 => "projector-gemma3",
            Self::MicroPlaced => "micro-placed",
            Self::MicroDeep => "micro-deep",
            Self::ProjectorQwen2Vl => "projector-qwen2vl",
            Self::ProjectorQwen25Vl => "projector-qwen25vl",
            Self::ProjectorQwen3Vl => "projector-qwen3vl",
            Self::ProjectorUltravox => "projector-ultravox",
            Self::ProjectorQwen2Audio => "projector-qwen2audio",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| format!("unknown kind {name:?}"))
    }
}

/// The dimensions of a model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) layers: u32,
    pub(crate) width: u32,
    pub(crate) feed_forward: u32,
    pub(crate) heads: u32,
    pub(crate) kv_heads: u32,
    pub(crate) vocabulary: u32,
    pub(crate) context: u32,
}

impl Shape {
    /// The dimensions of this kind with the caller's overrides applied.
    pub(crate) fn of(kind: Kind, options: &Options) -> io::Result<Self> {
        let [layers, width, feed_forward, heads, kv_heads, vocabulary, context] = match kind {
            Kind::Micro | Kind::MicroPlaced | Kind::MicroDeep => [2, 64, 192, 4, 2, 1024, 2048],
            Kind::Tiny => [8, 512, 1536, 8, 4, 4096, 8192],
            Kind::M360 => [32, 960, 2560, 15, 5, 32000, 8192],
            Kind::B1 => [22, 2048, 5632, 32, 4, 32000, 4096],
            Kind::Rerank => [4, 256, 768, 4, 2, 4096, 4096],
            Kind::Embed => [4, 256, 768, 4, 4, 4096, 512],
            Kind::CrossEncoder => [2, 64, 192, 4, 4, 1024, 512],
            Kind::Lora
            | Kind::Projector
            | Kind::ProjectorGemma3
            | Kind::ProjectorQwen2Vl
            | Kind::ProjectorQwen25Vl
            | Kind::ProjectorQwen3Vl
            | Kind::ProjectorUltravox
            | Kind::ProjectorQwen2Audio => {
                return Err(invalid_input(format!("{kind} is no model with a shape of its own")));
            }
        };
        let layers = options.layers.unwrap_or(layers);
        let context = options.context.unwrap_or(context);
        if layers == 0 || context == 0 {
            return Err(invalid_input("layers and context must be at least 1".into()));
        }
        Ok(Self { layers, width, feed_forward, heads, kv_heads, vocabulary, context })
    }

    pub(crate) fn head_width(&self) -> u32 {
        self.width / self.heads
    }

    /// Width of the keys, and of the values.
    pub(crate) fn kv_width(&self) -> u32 {
        self.kv_heads * self.head_width()
    }
}
