//! Tokenizers and special tokens that do not fit the vocabulary.

use crate::corpus::case::{Base, Case, Made, edited, loads, refused, with, without};
use crate::value::Value;

const MODEL: &str = "tokenizer.ggml.model";
const PRE: &str = "tokenizer.ggml.pre";
const MERGES: &str = "tokenizer.ggml.merges";

pub(super) fn cases() -> Vec<Case> {
    [models(), merges(), special_tokens()].into_iter().flatten().collect()
}

fn models() -> Vec<Case> {
    vec![
        refused("tokenizer-unknown", "a tokenizer nobody knows", with(MODEL, "quantum")),
        refused("tokenizer-missing", "no tokenizer", without(MODEL)),
        refused("tokenizer-as-integer", "a number as tokenizer", with(MODEL, 1)),
        loads("tokenizer-none", "a model that says it has no vocabulary", with(MODEL, "none")),
        loads("tokenizer-bert", "WordPiece over another vocabulary", with(MODEL, "bert")),
        loads("tokenizer-t5", "a unigram tokenizer over another vocabulary", with(MODEL, "t5")),
        loads("tokenizer-rwkv", "a trie tokenizer over another vocabulary", with(MODEL, "rwkv")),
        loads("tokenizer-plamo2", "a table tokenizer over another vocabulary", with(MODEL, "plamo2")),
        loads(
            "charsmap-noise",
            "a normalisation table of noise",
            edited(|draft| {
                draft.set(MODEL, "t5");
                let table: Vec<u8> = (0..=255).cycle().take(4096).collect();
                draft.set("tokenizer.ggml.precompiled_charsmap", Value::raw_array(0, 4096, &table));
                Some(())
            }),
        ),
        loads("pre-unknown", "a pre-tokenizer nobody knows", with(PRE, "quantum")),
        loads("pre-missing", "no pre-tokenizer", without(PRE)),
    ]
}

fn merges() -> Vec<Case> {
    vec![
        refused(
            "merges-missing",
            "byte-pair encoding without merges",
            edited(|draft| {
                draft.set(MODEL, "gpt2");
                draft.remove(MERGES);
                Some(())
            }),
        ),
        refused("merges-as-integers", "numbers instead of merges", bpe(Value::I32s(vec![1, 2, 3]))),
        loads("merges-empty", "an empty list of merges", bpe(Value::Strings(Vec::new()))),
        loads("merges-without-a-pair", "a merge of one part", bpe(Value::Strings(vec!["alone".into()]))),
        loads("merge-empty", "a merge without text", bpe(Value::Strings(vec![String::new()]))),
        loads(
            "merges-of-unknown-tokens",
            "merges that lead nowhere",
            bpe(Value::Strings(vec!["a b".into()])),
        ),
    ]
}

fn special_tokens() -> Vec<Case> {
    let eos = "tokenizer.ggml.eos_token_id";
    let bos = "tokenizer.ggml.bos_token_id";
    vec![
        loads("eos-beyond-the-vocabulary", "an end token that is not there", with(eos, 10_000_000)),
        loads("eos-max", "an end token that is negative to a signed reader", with(eos, u32::MAX)),
        refused("eos-as-text", "a string where a number belongs", with(eos, "2")),
        loads("eos-missing", "no end token", without(eos)),
        loads(
            "bos-beyond-the-vocabulary",
            "a start token that is not there",
            edited(|draft| {
                draft.set("tokenizer.ggml.bos_token_id", 10_000_000);
                draft.set("tokenizer.ggml.add_bos_token", true);
                Some(())
            }),
        ),
        loads(
            "bos-missing",
            "a start token is wanted but not named",
            edited(|draft| {
                draft.set("tokenizer.ggml.add_bos_token", true);
                draft.remove("tokenizer.ggml.bos_token_id").then_some(())
            }),
        ),
        loads(
            "bos-is-eos",
            "text begins with its end",
            edited(|draft| {
                let end = draft.get("tokenizer.ggml.eos_token_id")?.clone();
                draft.set("tokenizer.ggml.bos_token_id", end);
                Some(())
            }),
        ),
        refused("add-bos-as-integer", "a number as a truth value", with("tokenizer.ggml.add_bos_token", 1)),
        refused("bos-as-array", "a list as start token", with(bos, Value::I32s(vec![1]))),
    ]
}

/// Byte-pair encoding with these merges.
fn bpe(merges: Value) -> impl Fn(&Base) -> Made {
    edited(move |draft| {
        draft.set(MODEL, "gpt2");
        draft.set(MERGES, merges.clone());
        Some(())
    })
}
