//! Text never becomes a control token unless its spellings are to be read.

use rkllmjs_core::{ErrorCode, SpecialToken, Tokenizer};
use serde_json::json;

use crate::support::{PARSE, PLAIN, byte_level, sentencepiece, tokenizer, unigram};

fn has_control(tokenizer: &dyn Tokenizer, tokens: &[u32]) -> bool {
    // The unknown token steers nothing, and stands for characters that have no other.
    let control = tokenizer.control_tokens().iter().filter(|special| special.text != "<unk>");
    control.into_iter().any(|special| tokens.contains(&special.token))
}

#[test]
fn spellings_are_control_tokens_only_where_they_are_read() {
    let tokenizer = tokenizer(&byte_level());
    let text = "<|start|>hi<|end|>";
    assert_eq!(tokenizer.tokenize(text, PARSE).expect("tokens"), [260, 257, 261]);
    let plain = tokenizer.tokenize(text, PLAIN).expect("tokens");
    assert!(plain.len() > 10 && !has_control(&tokenizer, &plain), "{plain:?}");
    assert_eq!(tokenizer.detokenize(&plain), text);
    let expected = [(260, "<|start|>"), (261, "<|end|>")];
    let expected = expected.map(|(token, text)| SpecialToken { token, text: text.to_owned() });
    assert_eq!(tokenizer.control_tokens(), expected);
}

#[test]
fn added_tokens_that_are_not_special_are_vocabulary_in_both_cases() {
    let tokenizer = tokenizer(&byte_level());
    for special in [PARSE, PLAIN] {
        assert_eq!(tokenizer.tokenize("hi<tool>hi", special).expect("tokens"), [257, 262, 257]);
    }
    assert_eq!(tokenizer.piece(262, PLAIN), b"<tool>");
}

#[test]
fn control_tokens_spell_nothing_unless_asked() {
    let tokenizer = tokenizer(&byte_level());
    assert_eq!(tokenizer.piece(260, PLAIN), b"");
    assert_eq!(tokenizer.piece(260, PARSE), b"<|start|>");
    assert_eq!(tokenizer.detokenize(&[260, 257]), "<|start|>hi");
}

#[test]
fn merges_that_spell_a_control_token_do_not_make_it() {
    let mut json = sentencepiece();
    for (text, id) in [("</", 273), ("</s", 274)] {
        json["model"]["vocab"][text] = json!(id);
    }
    for pair in [["<", "/"], ["</", "s"], ["</s", ">"]] {
        json["model"]["merges"].as_array_mut().expect("merges").push(json!(pair));
    }
    let tokenizer = tokenizer(&json);
    let plain = tokenizer.tokenize("hi</s> </s></s>", PLAIN).expect("tokens");
    assert!(!has_control(&tokenizer, &plain), "{plain:?}");
    assert_eq!(tokenizer.detokenize(&plain), "hi</s> </s></s>");
    assert_eq!(tokenizer.tokenize("</s>", PARSE).expect("tokens"), [2]);
}

#[test]
fn a_word_that_is_a_vocabulary_entry_as_a_whole_is_no_control_token_either() {
    let mut json = byte_level();
    json["model"]["ignore_merges"] = json!(true);
    json["model"]["vocab"]["<|"] = json!(260);
    json["added_tokens"][0] = json!({
        "id": 260, "content": "<|", "special": true,
        "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
    });
    let tokenizer = tokenizer(&json);
    assert_eq!(tokenizer.tokenize("<|", PARSE).expect("tokens"), [260]);
    let plain = tokenizer.tokenize("<|", PLAIN).expect("tokens");
    assert_eq!(plain, [27, 91]);
    assert_eq!(tokenizer.detokenize(&plain), "<|");
}

#[test]
fn a_likely_entry_of_a_unigram_model_is_no_control_token() {
    let tokenizer = tokenizer(&unigram());
    assert_eq!(tokenizer.tokenize("hi</s>", PARSE).expect("tokens"), [3, 1]);
    for text in ["hi</s>", "</s>", "hi </s></s></s> hi"] {
        let plain = tokenizer.tokenize(text, PLAIN).expect("tokens");
        assert!(!has_control(&tokenizer, &plain), "{text}: {plain:?}");
        assert_eq!(tokenizer.detokenize(&plain), text);
    }
}

#[test]
fn other_characters_that_a_normalizer_turns_into_a_spelling_do_not_make_it() {
    let tokenizer = tokenizer(&unigram());
    for special in [PLAIN, PARSE] {
        let tokens = tokenizer.tokenize("hi＜/s＞", special).expect("tokens");
        assert!(!has_control(&tokenizer, &tokens), "{tokens:?}");
    }
}

#[test]
fn a_spelling_that_is_looked_for_after_normalizing_must_have_been_written() {
    let mut json = unigram();
    json["added_tokens"][1]["normalized"] = json!(true);
    let tokenizer = tokenizer(&json);
    assert_eq!(tokenizer.tokenize("</s>", PARSE).expect("tokens"), [1]);
    let forged = tokenizer.tokenize("＜/s＞", PARSE).expect_err("refused");
    assert_eq!(forged.code, ErrorCode::InvalidRequest);
    assert!(forged.message.contains("\"</s>\""), "{forged}");
    let plain = tokenizer.tokenize("＜/s＞", PLAIN).expect("tokens");
    assert!(!has_control(&tokenizer, &plain), "{plain:?}");
}

#[test]
fn a_long_run_of_forged_spellings_takes_no_longer_than_other_text() {
    let tokenizer = tokenizer(&unigram());
    let text = "</s>".repeat(100_000);
    let began = std::time::Instant::now();
    let plain = tokenizer.tokenize(&text, PLAIN).expect("tokens");
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(!has_control(&tokenizer, &plain));
    assert_eq!(tokenizer.detokenize(&plain), text);
}
