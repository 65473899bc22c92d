//! What llama.cpp knows about an architecture by its name alone.

/// Every layer carries a state of constant size and none has a KV cache.
const RECURRENT: &[&str] = &["mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"];

/// Some layers carry a state of constant size.
const HYBRID: &[&str] = &[
    "jamba",
    "falcon-h1",
    "plamo2",
    "granitehybrid",
    "lfm2",
    "lfm2moe",
    "nemotron_h",
    "nemotron_h_moe",
    "qwen3next",
    "kimi-linear",
    "bailingmoe3",
    "kimi-k3",
    "glm5-next",
    "qwen35",
    "qwen35moe",
    "qwen4exp",
    "deepseek4",
    "minimax-01",
];

/// Reads the whole text at once and gives embeddings or scores; never generates.
const ENCODER_ONLY: &[&str] = &[
    "bert",
    "modern-bert",
    "nomic-bert",
    "nomic-bert-moe",
    "neo-bert",
    "jina-bert-v2",
    "jina-bert-v3",
    "eurobert",
    "gemma-embedding",
    "t5encoder",
];

/// Other models for which llama.cpp makes no cache.
const WITHOUT_CACHE: &[&str] = &["wavtokenizer-dec", "dream", "llada", "llada-moe", "rnd1", "clef"];

/// Decoders of the common shape: `blk.N.*` tensors, attention in every block, one embedding
/// matrix, norms in F32. The strictest checks are for these alone.
const PLAIN_DECODER: &[&str] = &[
    "llama",
    "mistral3",
    "qwen2",
    "qwen2moe",
    "qwen3",
    "qwen3moe",
    "qwen2vl",
    "qwen3vl",
    "phi3",
    "gemma",
    "gemma2",
    "gemma3",
    "granite",
    "smollm3",
    "olmo2",
    "internlm2",
    "stablelm",
    "starcoder2",
];

/// Their tokens have places in two dimensions, so that llama.cpp demands how the numbers of a head are shared out among
/// them.
const PLACED_IN_IMAGES: &[&str] = &["qwen2vl", "qwen3vl", "qwen3vlmoe", "qwen35", "qwen35moe", "qwen4exp"];

/// Of the plain decoders, those that rotate only part of a head, or may.
const PARTIAL_ROTATION: &[&str] = &["phi3", "stablelm", "gemma", "gemma2", "gemma3"];

/// llama.cpp asserts for these that a key is as long as a value.
const ENCODERS_WITH_EQUAL_LENGTHS: &[&str] = &["bert", "modern-bert", "neo-bert", "eurobert"];

/// Helpers of another model, or not over text: no embedding matrix of the usual shape.
const UNUSUAL_EMBEDDING: &[&str] =
    &["eagle3", "dflash", "gemma4-assistant", "wavtokenizer-dec", "qwen3tts", "pockettts", "clip"];

/// How llama.cpp computes the head of a family's reranking models.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RankHeadForm {
    /// The weights whose rows are the scores.
    pub(crate) last: &'static str,
    /// Whether the scores are made probabilities.
    pub(crate) softmax: bool,
}

pub(crate) fn rank_head(architecture: &str) -> Option<RankHeadForm> {
    match architecture {
        "bert" | "modern-bert" | "neo-bert" => {
            Some(RankHeadForm { last: "cls.output.weight", softmax: false })
        }
        "jina-bert-v2" => Some(RankHeadForm { last: "cls.weight", softmax: false }),
        "qwen3" | "qwen3vl" => Some(RankHeadForm { last: "cls.output.weight", softmax: true }),
        _ => None,
    }
}

pub(crate) fn is_recurrent(architecture: &str) -> bool {
    RECURRENT.contains(&architecture)
}

pub(crate) fn is_hybrid(architecture: &str) -> bool {
    HYBRID.contains(&architecture)
}

pub(crate) fn is_encoder_only(architecture: &str) -> bool {
    ENCODER_ONLY.contains(&architecture)
}

pub(crate) fn has_cache(architecture: &str) -> bool {
    !is_encoder_only(architecture) && !WITHOUT_CACHE.contains(&architecture)
}

pub(crate) fn is_plain_decoder(architecture: &str) -> bool {
    PLAIN_DECODER.contains(&architecture)
}

/// Whether llama.cpp asserts that a head has numbers for lines and columns of images.
pub(crate) fn is_placed_in_images(architecture: &str) -> bool {
    PLACED_IN_IMAGES.contains(&architecture)
}

/// Whether llama.cpp asserts that rotary encoding spans the whole head.
pub(crate) fn rotates_whole_heads(architecture: &str) -> bool {
    is_plain_decoder(architecture) && !PARTIAL_ROTATION.contains(&architecture)
}

/// Whether llama.cpp asserts that keys and values have the same length.
pub(crate) fn has_equal_lengths(architecture: &str) -> bool {
    let decoder = is_plain_decoder(architecture) && !architecture.starts_with("gemma");
    decoder || ENCODERS_WITH_EQUAL_LENGTHS.contains(&architecture)
}

pub(crate) fn has_usual_embedding(architecture: &str) -> bool {
    !UNUSUAL_EMBEDDING.contains(&architecture)
}

/// Every how many layers one has attention, where the file does not say.
pub(crate) fn default_attention_interval(architecture: &str) -> Option<u64> {
    match architecture {
        "qwen3next" | "qwen35" | "qwen35moe" | "qwen4exp" => Some(4),
        "minimax-01" => Some(8),
        _ => None,
    }
}
