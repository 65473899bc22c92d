//! Tokenizer metadata.

use crate::draft::Draft;
use crate::value::Value;
use crate::vocabulary::Vocabulary;

const CHAT_TEMPLATE: &str = include_str!("template.jinja");

/// A SentencePiece tokenizer with ChatML's special tokens and template.
pub(crate) fn chat(draft: &mut Draft, vocabulary: Vocabulary) {
    let id = |token| vocabulary.id(token);
    let end = id("<|im_end|>");
    let ids = [
        ("bos", 1),
        ("eos", end),
        ("eot", end),
        ("unknown", 0),
        ("padding", 0),
        ("fim_pre", id("<|fim_prefix|>")),
        ("fim_suf", id("<|fim_suffix|>")),
        ("fim_mid", id("<|fim_middle|>")),
        ("fim_pad", id("<|fim_pad|>")),
        ("fim_rep", id("<|repo_name|>")),
        ("fim_sep", id("<|file_sep|>")),
    ];
    let (ordinary, infill) = ids.split_at(5);
    tokenizer(draft, "llama", vocabulary.tokens);
    draft.set("tokenizer.ggml.scores", Value::F32s(vocabulary.scores));
    draft.set("tokenizer.ggml.token_type", Value::I32s(vocabulary.types));
    set_ids(draft, ordinary);
    draft.set("tokenizer.ggml.add_bos_token", true);
    draft.set("tokenizer.ggml.add_eos_token", false);
    draft.set("tokenizer.ggml.add_space_prefix", false);
    set_ids(draft, infill);
    draft.set("tokenizer.chat_template", CHAT_TEMPLATE);
}

/// A WordPiece tokenizer.
pub(crate) fn wordpiece(draft: &mut Draft, vocabulary: Vocabulary) {
    tokenizer(draft, "bert", vocabulary.tokens);
    draft.set("tokenizer.ggml.token_type", Value::I32s(vocabulary.types));
    draft.set("tokenizer.ggml.token_type_count", 2);
    // The format spells the separator's key this way.
    set_ids(draft, &[("bos", 2), ("seperator", 3), ("eos", 3), ("unknown", 1), ("padding", 0), ("mask", 4)]);
}

fn tokenizer(draft: &mut Draft, model: &str, tokens: Vec<String>) {
    draft.set("tokenizer.ggml.model", model);
    draft.set("tokenizer.ggml.pre", "default");
    draft.set("tokenizer.ggml.tokens", Value::Strings(tokens));
}

fn set_ids(draft: &mut Draft, ids: &[(&str, u32)]) {
    for &(name, id) in ids {
        draft.set(&format!("tokenizer.ggml.{name}_token_id"), id);
    }
}
