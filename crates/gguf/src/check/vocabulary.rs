use std::borrow::Cow;
use std::collections::HashMap;

use super::types::{Want, check_key};
use super::{Keys, byte_tokens, special_tokens};
use crate::error::{Error, ErrorKind};
use crate::metadata::Metadata;
use crate::value::Strings;

pub(super) const TOKENS: &str = "tokenizer.ggml.tokens";
const MAX_TEMPLATE_BYTES: usize = 1024 * 1024;
/// Sixty times the largest vocabulary in use; without it a file asks for gigabytes of nothing.
const MAX_TOKENS: u64 = 1 << 24;

/// Checks the tokenizer and gives the number of tokens, where the file says it.
pub(super) fn check(keys: Keys<'_>) -> Result<Option<u64>, Error> {
    let metadata = keys.metadata;
    check_template(metadata)?;
    keys.optional("vocab_size", 0..=MAX_TOKENS)?;
    let key = "tokenizer.ggml.model";
    let model = metadata.str(key).ok_or_else(|| Metadata::missing(key))?;
    if matches!(model, "none" | "no_vocab") {
        return Ok(keys.u64("vocab_size").filter(|&size| size > 0));
    }
    let tokens = metadata.strings(TOKENS).ok_or_else(|| Metadata::missing(TOKENS))?;
    let count = tokens.len() as u64;
    if count == 0 || count > MAX_TOKENS {
        return Err(metadata.fault(TOKENS, format_args!("has {count} tokens; 1 to {MAX_TOKENS} are allowed")));
    }
    check_length(metadata, "tokenizer.ggml.scores", count)?;
    check_length(metadata, "tokenizer.ggml.token_type", count)?;
    check_merges(metadata, model)?;
    let texts = unique_texts(metadata, tokens)?;
    match model {
        "llama" => byte_tokens::check_sentencepiece(metadata, &texts)?,
        "bert" => byte_tokens::check_wordpiece(metadata)?,
        "rwkv" => byte_tokens::check_rwkv(metadata, tokens)?,
        _ => {}
    }
    special_tokens::check(metadata, model, count)?;
    Ok(Some(count))
}

fn check_template(metadata: &Metadata) -> Result<(), Error> {
    for (key, value) in metadata.iter().filter(|(key, _)| key.starts_with("tokenizer.chat_template")) {
        let length = value.str().map_or(0, str::len);
        if length > MAX_TEMPLATE_BYTES {
            let message = format!("has {length} bytes; at most {MAX_TEMPLATE_BYTES} are accepted");
            return Err(Error { kind: ErrorKind::TooLarge, ..metadata.fault(key, message) });
        }
    }
    Ok(())
}

fn check_length(metadata: &Metadata, key: &str, tokens: u64) -> Result<(), Error> {
    match metadata.array(key) {
        Some(array) if array.len() as u64 != tokens => {
            Err(metadata.fault(key, format_args!("has {} elements for {tokens} tokens", array.len())))
        }
        _ => Ok(()),
    }
}

fn check_merges(metadata: &Metadata, model: &str) -> Result<(), Error> {
    let key = "tokenizer.ggml.merges";
    check_key(metadata, key, Want::Strings)?;
    let needed = matches!(model, "gpt2" | "gemma4") && metadata.str("tokenizer.ggml.pre") != Some("kimi-k2");
    if needed && metadata.strings(key).is_none() {
        return Err(Metadata::missing(key));
    }
    Ok(())
}

/// Tokens by text, as C sees them.
pub(super) type Texts<'a> = HashMap<Cow<'a, str>, usize>;

/// The tokens as llama.cpp will see them; it asserts that no two are equal.
fn unique_texts<'a>(metadata: &Metadata, tokens: &'a Strings) -> Result<Texts<'a>, Error> {
    let mut texts = HashMap::with_capacity(tokens.len());
    for (index, token) in tokens.iter().enumerate() {
        if let Some(first) = texts.insert(as_seen_by_c(index, token), index) {
            return Err(
                metadata.fault(TOKENS, format_args!("has the same text for tokens {first} and {index}"))
            );
        }
    }
    Ok(texts)
}

/// C sees a text up to its first zero byte, and llama.cpp names empty tokens itself.
fn as_seen_by_c(index: usize, token: &str) -> Cow<'_, str> {
    match token.split('\0').next() {
        None | Some("") => Cow::Owned(format!("[EMPTY_{index}]")),
        Some(text) => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Builder, llama};
    use crate::{ErrorKind, check_model};

    fn message(model: &Builder) -> String {
        check_model(&model.open().unwrap()).unwrap_err().message
    }

    fn with_tokens(tokens: &[&str]) -> Builder {
        llama().set("tokenizer.ggml.tokens", |model| model.strs("tokenizer.ggml.tokens", tokens))
    }

    #[test]
    fn refuses_a_model_without_a_vocabulary() {
        for key in ["tokenizer.ggml.model", "tokenizer.ggml.tokens", "tokenizer.ggml.merges"] {
            assert_eq!(message(&llama().without(key)), format!("key {key:?} is missing"));
        }
        assert!(message(&with_tokens(&[])).contains("has 0 tokens"));
    }

    #[test]
    fn refuses_two_tokens_that_llama_cpp_would_take_for_one() {
        assert!(message(&with_tokens(&["a", "b", "a", "c"])).contains("tokens 0 and 2"));
        assert!(message(&with_tokens(&["a", "b", "a\0x", "c"])).contains("tokens 0 and 2"));
        assert!(message(&with_tokens(&["[EMPTY_1]", "", "c", "d"])).contains("tokens 0 and 1"));
        check_model(&with_tokens(&["", "b", "c", "d"]).open().unwrap()).unwrap();
    }

    #[test]
    fn refuses_token_types_and_scores_of_another_length() {
        let key = "tokenizer.ggml.token_type";
        assert!(
            message(&llama().set(key, |model| model.i32s(key, &[1]))).contains("1 elements for 4 tokens")
        );
        let scores = llama().i32s("tokenizer.ggml.scores", &[1, 2, 3, 4, 5]);
        assert!(message(&scores).contains("5 elements for 4 tokens"));
    }

    #[test]
    fn refuses_a_huge_chat_template() {
        let template = "x".repeat(1024 * 1024 + 1);
        let model = llama().str("tokenizer.chat_template", &template);
        assert_eq!(check_model(&model.open().unwrap()).unwrap_err().kind, ErrorKind::TooLarge);
        let named = llama().str("tokenizer.chat_template.tool_use", &template);
        assert_eq!(check_model(&named.open().unwrap()).unwrap_err().kind, ErrorKind::TooLarge);
    }
}
