use crate::check::Keys;
use crate::families;
use crate::file::File;
use crate::quantization;
use crate::rank_head::{self, RankHead};
use crate::value::Array;

/// What a model file says about its model. Absent values are absent in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts<'a> {
    /// The family, for example `llama`; empty where the file does not say.
    pub architecture: &'a str,
    /// The model's name.
    pub name: Option<&'a str>,
    /// The size as the publisher writes it, for example `7B`.
    pub size_label: Option<&'a str>,
    /// How many numbers all tensors of this file hold.
    pub parameters: u64,
    /// How many bytes all tensors of this file take.
    pub weights_bytes: u64,
    /// The quantization, for example `Q4_K_M`.
    pub quantization: Option<&'static str>,
    /// How many tokens of context the model was trained on.
    pub context_length_trained: Option<u64>,
    /// How many positions have a vector, where the model looks them up in a table. llama.cpp ends the process when a
    /// text has more.
    pub positions: Option<u64>,
    /// The length of one embedding vector.
    pub embedding_length: Option<u64>,
    /// The length of the rows that a projector for the model makes.
    pub input_length: Option<u64>,
    /// The length of the vectors that an embedding model gives back, where it differs.
    pub embedding_length_out: Option<u64>,
    /// The width of the feed-forward part; the widest where layers differ.
    pub feed_forward_length: Option<u64>,
    /// How many layers the model has.
    pub block_count: Option<u64>,
    /// Query heads per layer.
    pub head_count: Vec<u64>,
    /// Key-value heads per layer.
    pub head_count_kv: Vec<u64>,
    /// Whether each layer keeps keys and values of its own in the KV cache.
    pub cached_layers: Vec<bool>,
    /// The size of a key vector of one head.
    pub key_length: Option<u64>,
    /// The size of a value vector of one head.
    pub value_length: Option<u64>,
    /// How many tokens the vocabulary has.
    pub vocabulary_size: Option<u64>,
    /// Whether the file holds a tokenizer. Without one llama.cpp aborts when given text.
    pub has_tokenizer: bool,
    /// The default chat template, in Jinja.
    pub chat_template: Option<&'a str>,
    /// The template that makes a reranking model's prompt, with `{query}` and `{document}` in their places.
    pub rerank_template: Option<&'a str>,
    /// How token embeddings become one vector, where the file says so.
    pub pooling: Option<Pooling>,
    /// What the head says that the model ranks with, where it has one and pools with it.
    pub rank_head: Option<RankHead>,
    /// Over how many tokens some or all layers look back.
    pub sliding_window: Option<u64>,
    /// Whether some or all layers carry a recurrent state, which cannot be cut at a position.
    pub is_recurrent_or_hybrid: bool,
    /// Whether the model only reads: it embeds or ranks and never generates.
    pub is_encoder_only: bool,
    /// How many files the model is spread over; 1 for a model in one file.
    pub parts: u16,
}

/// How the vectors of a text's tokens become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pooling {
    /// They do not; there is one vector per token.
    None,
    /// Their mean.
    Mean,
    /// The first one.
    Cls,
    /// The last one.
    Last,
    /// A score from a classification head, as reranking models give.
    Rank,
}

/// Gathers what `file` says about its model. Never fails: what is absent or odd is left out.
#[must_use]
pub fn facts(file: &File) -> Facts<'_> {
    let metadata = &file.metadata;
    let architecture = file.architecture().unwrap_or_default();
    let keys = Keys { metadata, architecture };
    let block_count = keys.u64("block_count");
    let layers = block_count.unwrap_or_default().min(LAYERS_SHOWN);
    let head_count = keys.per_layer("attention.head_count", layers).unwrap_or_default();
    let head_count_kv =
        keys.per_layer("attention.head_count_kv", layers).unwrap_or_else(|| head_count.clone());
    let embedding_length = keys.u64("embedding_length");
    let head_size = head_count
        .first()
        .and_then(|&heads| embedding_length.and_then(|embedding| embedding.checked_div(heads)));
    Facts {
        architecture,
        name: metadata.str("general.name"),
        size_label: metadata.str("general.size_label"),
        parameters: file.tensors.iter().fold(0, |sum: u64, tensor| sum.saturating_add(tensor.elements())),
        weights_bytes: file.tensors.iter().fold(0, |sum: u64, tensor| sum.saturating_add(tensor.bytes)),
        quantization: quantization::name(file),
        context_length_trained: keys.u64("context_length"),
        positions: file.tensor("position_embd.weight").map(|table| table.dim(1)),
        embedding_length,
        input_length: input_length(keys),
        embedding_length_out: keys.u64("embedding_length_out"),
        feed_forward_length: widest(keys.per_layer("feed_forward_length", layers)),
        block_count,
        cached_layers: cached_layers(keys, layers, &head_count_kv),
        head_count,
        head_count_kv,
        key_length: keys.u64("attention.key_length").or(head_size),
        value_length: keys.u64("attention.value_length").or(head_size),
        vocabulary_size: vocabulary_size(keys),
        has_tokenizer: metadata.array("tokenizer.ggml.tokens").is_some_and(|tokens| !tokens.is_empty())
            && !matches!(metadata.str("tokenizer.ggml.model"), None | Some("none" | "no_vocab")),
        chat_template: metadata.str("tokenizer.chat_template"),
        rerank_template: metadata.str("tokenizer.chat_template.rerank"),
        pooling: keys.u64("pooling_type").and_then(pooling),
        rank_head: rank_head::rank_head(file, keys),
        sliding_window: keys.u64("attention.sliding_window").filter(|&window| window > 0),
        is_recurrent_or_hybrid: families::is_recurrent(architecture) || families::is_hybrid(architecture),
        is_encoder_only: families::is_encoder_only(architecture),
        parts: file.split().map_or(1, |split| split.count),
    }
}

/// As many as llama.cpp takes; an unchecked file may claim four billion.
const LAYERS_SHOWN: u64 = 512;

/// Some models take more from an image than from a token: a vector for each of their first layers.
fn input_length(keys: Keys<'_>) -> Option<u64> {
    let deep = if keys.architecture.starts_with("qwen3vl") { keys.u64("n_deepstack_layers") } else { None };
    keys.u64("embedding_length")?.checked_mul(1 + deep.unwrap_or(0))
}

fn widest(widths: Option<Vec<u64>>) -> Option<u64> {
    widths.and_then(|widths| widths.into_iter().max())
}

fn vocabulary_size(keys: Keys<'_>) -> Option<u64> {
    let tokens = keys.metadata.array("tokenizer.ggml.tokens").map(Array::len);
    tokens.map(|tokens| tokens as u64).or_else(|| keys.u64("vocab_size"))
}

fn pooling(id: u64) -> Option<Pooling> {
    Some(match id {
        0 => Pooling::None,
        1 => Pooling::Mean,
        2 => Pooling::Cls,
        3 => Pooling::Last,
        4 => Pooling::Rank,
        _ => return None,
    })
}

/// Follows llama.cpp's own rules for which layers of a family have keys and values of their own.
fn cached_layers(keys: Keys<'_>, layers: u64, head_count_kv: &[u64]) -> Vec<bool> {
    let architecture = keys.architecture;
    let none = !families::has_cache(architecture) || families::is_recurrent(architecture);
    let recurrent = keys.metadata.array(&keys.name("attention.recurrent_layers"));
    let interval = families::default_attention_interval(architecture)
        .map(|default| keys.u64("full_attention_interval").unwrap_or(default));
    let own = match architecture {
        "gemma3n" => 20,
        _ => layers.saturating_sub(keys.u64("attention.shared_kv_layers").unwrap_or_default()),
    };
    let is_cached = |(layer, &heads): (u64, &u64)| {
        let listed = recurrent.and_then(|list| list.u64(usize::try_from(layer).ok()?)).map(|is| is == 0);
        let by_interval = || interval.map(|interval| (layer + 1).checked_rem(interval) == Some(0));
        !none && heads > 0 && layer < own && listed.or_else(by_interval).unwrap_or(true)
    };
    (0..layers).zip(head_count_kv).map(is_cached).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Builder, llama};

    #[test]
    fn tells_what_a_small_model_says() {
        let file = llama().str("general.name", "tiny").u32("llama.pooling_type", 3).open().unwrap();
        let facts = facts(&file);
        assert_eq!((facts.architecture, facts.name), ("llama", Some("tiny")));
        assert_eq!(facts.parameters, 64 * 4 + 64 + 2 * (64 + 64 * 64));
        assert_eq!(facts.head_count, [4, 4]);
        assert_eq!(facts.head_count_kv, [2, 2]);
        assert_eq!((facts.key_length, facts.value_length), (Some(16), Some(16)));
        assert_eq!(facts.cached_layers, [true, true]);
        assert_eq!(facts.pooling, Some(Pooling::Last));
        assert_eq!(facts.vocabulary_size, Some(4));
        assert!(facts.has_tokenizer);
        assert_eq!(facts.parts, 1);
    }

    fn of(architecture: &str, change: impl Fn(Builder) -> Builder) -> Vec<bool> {
        let model = Builder::new()
            .str("general.architecture", architecture)
            .u32(&format!("{architecture}.block_count"), 8)
            .u32(&format!("{architecture}.attention.head_count"), 4);
        facts(&change(model).open().unwrap()).cached_layers
    }

    #[test]
    fn knows_which_layers_of_a_hybrid_keep_a_cache() {
        let every_fourth = [false, false, false, true, false, false, false, true];
        assert_eq!(of("qwen3next", |model| model), every_fourth);
        let listed =
            of("qwen35", |model| model.u32s("qwen35.attention.recurrent_layers", &[0, 1, 1, 1, 1, 1, 1, 0]));
        assert_eq!(listed, [true, false, false, false, false, false, false, true]);
        let by_heads =
            of("jamba", |model| model.u32s("jamba.attention.head_count_kv", &[0, 0, 0, 0, 2, 0, 0, 0]));
        assert_eq!(by_heads.iter().filter(|&&cached| cached).count(), 1);
        assert_eq!(of("mamba", |model| model), [false; 8]);
        assert_eq!(of("bert", |model| model), [false; 8]);
        let shared = of("gemma4", |model| model.u32("gemma4.attention.shared_kv_layers", 6));
        assert_eq!(shared, [true, true, false, false, false, false, false, false]);
    }

    #[test]
    fn stays_small_for_a_file_that_claims_billions_of_layers() {
        let model = Builder::new()
            .str("general.architecture", "llama")
            .u32("llama.block_count", u32::MAX)
            .u32("llama.attention.head_count", 0);
        let file = model.open().unwrap();
        let facts = facts(&file);
        assert_eq!(facts.head_count.len(), 512);
        assert_eq!(facts.key_length, None);
    }
}
