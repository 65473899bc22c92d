//! Token lists that do not fit the model or contain odd tokens.

use crate::corpus::case::{Base, Case, Made, edited, loads, refused, with, without};
use crate::value::Value;

const TOKENS: &str = "tokenizer.ggml.tokens";
const SCORES: &str = "tokenizer.ggml.scores";
const TYPES: &str = "tokenizer.ggml.token_type";

pub(super) fn cases() -> Vec<Case> {
    [the_list(), odd_tokens(), scores_and_types()].into_iter().flatten().collect()
}

fn the_list() -> Vec<Case> {
    vec![
        refused("tokens-missing", "no tokens", without(TOKENS)),
        refused("tokens-empty", "an empty list of tokens", with(TOKENS, Value::Strings(Vec::new()))),
        refused("tokens-as-integers", "numbers instead of tokens", with(TOKENS, Value::I32s(vec![0; 1024]))),
        refused("tokens-as-one-string", "a string instead of a list", with(TOKENS, "a b c")),
        refused(
            "tokens-one-less",
            "more embeddings than tokens",
            tokens(|list| list.truncate(list.len() - 1)),
        ),
        refused("tokens-one-more", "more tokens than embeddings", tokens(|list| list.push("▁extra".into()))),
    ]
}

fn odd_tokens() -> Vec<Case> {
    vec![
        loads(
            "token-twice",
            "the same token under two numbers",
            tokens(|list| {
                if let [.., before, last] = list.as_mut_slice() {
                    last.clone_from(before);
                }
            }),
        ),
        loads("tokens-all-the-same", "one token under every number", tokens(|list| list.fill("a".into()))),
        loads("token-empty", "a token without text", tokens(|list| spoil(list, String::new()))),
        loads("tokens-all-empty", "no token has text", tokens(|list| list.fill(String::new()))),
        loads("token-with-nul", "a token with a NUL inside", tokens(|list| spoil(list, "a\0b".into()))),
        loads("token-long", "a token of a mebibyte", tokens(|list| spoil(list, "a".repeat(1 << 20)))),
        loads(
            "token-like-an-empty-one",
            "a token named as a loader names an empty one",
            tokens(|list| {
                let count = list.len();
                if let [.., before, last] = list.as_mut_slice() {
                    before.clear();
                    *last = format!("[EMPTY_{}]", count - 2);
                }
            }),
        ),
        loads(
            "tokens-not-utf-8",
            "tokens that are not text",
            edited(|draft| {
                let Some(Value::Strings(list)) = draft.get(TOKENS) else { return None };
                let spoiled: Vec<Vec<u8>> =
                    list.iter().map(|token| [token.as_bytes(), b"\xff\x80"].concat()).collect();
                draft.set(TOKENS, Value::byte_strings(&spoiled));
                Some(())
            }),
        ),
        loads(
            "byte-tokens-missing",
            "a SentencePiece vocabulary without single bytes",
            edited(|draft| {
                draft.set("tokenizer.ggml.model", "llama");
                let Some(Value::Strings(list)) = draft.get_mut(TOKENS) else { return None };
                for token in list.iter_mut().filter(|token| token.starts_with("<0x")) {
                    token.insert(0, 'x');
                }
                Some(())
            }),
        ),
    ]
}

fn scores_and_types() -> Vec<Case> {
    vec![
        refused("scores-short", "fewer scores than tokens", with(SCORES, Value::F32s(vec![0.0; 7]))),
        loads("scores-long", "more scores than tokens", with(SCORES, Value::F32s(vec![0.0; 100_000]))),
        refused("scores-as-text", "strings instead of scores", |base| {
            per_token(base, SCORES, |count| Value::Strings(vec!["0".into(); count]))
        }),
        refused("scores-as-one-number", "a number instead of a list", with(SCORES, 0.0)),
        loads("scores-nan", "scores that cannot be ordered", |base| {
            per_token(base, SCORES, |count| Value::F32s(vec![f32::NAN; count]))
        }),
        loads("scores-missing", "no scores", without(SCORES)),
        refused("token-types-short", "fewer types than tokens", with(TYPES, Value::I32s(vec![1; 7]))),
        loads("token-types-long", "more types than tokens", with(TYPES, Value::I32s(vec![1; 100_000]))),
        refused("token-types-as-floats", "floats instead of types", |base| {
            per_token(base, TYPES, |count| Value::F32s(vec![1.0; count]))
        }),
        loads("token-types-unknown", "types nobody knows", |base| {
            per_token(base, TYPES, |count| Value::I32s(vec![9999; count]))
        }),
        loads("token-types-all-control", "a vocabulary of control tokens only", |base| {
            per_token(base, TYPES, |count| Value::I32s(vec![3; count]))
        }),
        loads("token-types-all-byte", "every token claims to be a single byte", |base| {
            per_token(base, TYPES, |count| Value::I32s(vec![6; count]))
        }),
        loads("token-types-missing", "no types", without(TYPES)),
    ]
}

/// Changes the list of tokens.
fn tokens(change: impl Fn(&mut Vec<String>)) -> impl Fn(&Base) -> Made {
    edited(move |draft| match draft.get_mut(TOKENS) {
        Some(Value::Strings(list)) if list.len() > 2 => {
            change(list);
            Some(())
        }
        _ => None,
    })
}

/// Replaces an ordinary token.
fn spoil(list: &mut [String], with: String) {
    if let Some(token) = list.iter_mut().rev().find(|token| !token.starts_with('<')) {
        *token = with;
    }
}

/// Sets a key to an array with an element for every token.
fn per_token(base: &Base, key: &str, values: fn(usize) -> Value) -> Made {
    base.edit(|draft| {
        let Some(Value::Strings(list)) = draft.get(TOKENS) else { return None };
        let values = values(list.len());
        draft.set(key, values);
        Some(())
    })
}
