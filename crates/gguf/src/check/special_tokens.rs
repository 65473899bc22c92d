use super::types::{Want, check_key};
use crate::error::Error;
use crate::metadata::Metadata;

/// How some converters write "no such token".
const ABSENT: u64 = u32::MAX as u64;

/// The ids that llama.cpp reads; it wants them as `u32`.
const READ: &[&str] = &[
    "bos",
    "eos",
    "eot",
    "eom",
    "unknown",
    "seperator",
    "padding",
    "mask",
    "fim_pre",
    "fim_suf",
    "fim_mid",
    "fim_pad",
    "fim_rep",
    "fim_sep",
    "prefix",
    "suffix",
    "middle",
];

pub(super) fn check(metadata: &Metadata, model: &str, tokens: u64) -> Result<(), Error> {
    for name in READ {
        check_key(metadata, &format!("tokenizer.ggml.{name}_token_id"), Want::U32)?;
    }
    let ids =
        metadata.iter().filter(|(key, _)| key.starts_with("tokenizer.ggml.") && key.ends_with("_token_id"));
    for (key, value) in ids {
        // A negative number means "absent"; other types under such a name are nobody's business.
        if let Some(id) = value.u64()
            && id >= tokens
            && id != ABSENT
        {
            return Err(metadata.fault(key, format_args!("is {id} but there are {tokens} tokens")));
        }
    }
    check_needed(metadata, model, tokens)
}

/// llama.cpp asserts, on the first text, that the tokens it adds by itself exist.
fn check_needed(metadata: &Metadata, model: &str, tokens: u64) -> Result<(), Error> {
    let defaults = Defaults::of(model);
    let adds =
        |flag: &str, default: bool| metadata.bool(&format!("tokenizer.ggml.{flag}")).unwrap_or(default);
    let wordpiece = model == "bert";
    let needed = [
        ("bos", wordpiece || adds("add_bos_token", defaults.adds_bos), defaults.bos),
        ("eos", !wordpiece && adds("add_eos_token", defaults.adds_eos), defaults.eos),
        ("seperator", wordpiece, defaults.separator),
    ];
    for (name, is_needed, default) in needed {
        let key = format!("tokenizer.ggml.{name}_token_id");
        let given = metadata.u64(&key).filter(|&id| id < tokens);
        if is_needed && given.or(default.filter(|&id| id < tokens)).is_none() {
            return Err(Error::corrupt(format!("the tokenizer adds a token that key {key:?} does not name")));
        }
    }
    Ok(())
}

/// What llama.cpp assumes for a tokenizer when the file is silent.
#[derive(Default)]
struct Defaults {
    bos: Option<u64>,
    eos: Option<u64>,
    separator: Option<u64>,
    adds_bos: bool,
    adds_eos: bool,
}

impl Defaults {
    fn of(model: &str) -> Self {
        let none = Self::default();
        match model {
            "llama" => Self { bos: Some(1), eos: Some(2), adds_bos: true, ..none },
            "bert" => Self { bos: Some(101), separator: Some(102), adds_bos: true, ..none },
            "gpt2" | "hybriddna" | "whitespace" => Self { bos: Some(11), eos: Some(11), ..none },
            "t5" => Self { eos: Some(1), adds_eos: true, ..none },
            "plamo2" => Self { bos: Some(1), eos: Some(2), ..none },
            _ => none,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::check_model;
    use crate::testing::{Builder, llama};

    fn message(model: &Builder) -> String {
        check_model(&model.open().unwrap()).unwrap_err().message
    }

    #[test]
    fn refuses_special_tokens_outside_the_vocabulary() {
        for key in ["tokenizer.ggml.eot_token_id", "tokenizer.ggml.cls_token_id"] {
            assert!(message(&llama().u32(key, 4)).contains("there are 4 tokens"));
        }
    }

    #[test]
    fn accepts_the_markers_for_absent_tokens() {
        let model =
            llama().u32("tokenizer.ggml.eot_token_id", u32::MAX).i32("tokenizer.ggml.cls_token_id", -1);
        check_model(&model.open().unwrap()).unwrap();
    }

    #[test]
    fn refuses_a_special_token_of_the_wrong_type() {
        assert!(message(&llama().i32("tokenizer.ggml.eot_token_id", 3)).contains("is i32 but must be u32"));
    }

    #[test]
    fn refuses_to_add_a_token_that_is_not_named() {
        let model = llama().without("tokenizer.ggml.bos_token_id").bool("tokenizer.ggml.add_bos_token", true);
        assert!(message(&model).contains("tokenizer.ggml.bos_token_id"), "{}", message(&model));
        let silent = llama().without("tokenizer.ggml.bos_token_id");
        check_model(&silent.open().unwrap()).unwrap();
    }
}
