//! The kinds of vocabulary, by examples that can be worked out by hand.

use rkllmjs_core::Tokenizer;
use serde_json::json;

use crate::support::{ADD, PARSE, PLAIN, byte_level, joined, pieces, sentencepiece, tokenizer, unigram};

#[test]
fn byte_level_merges_within_words_and_spells_the_rest_byte_by_byte() {
    let tokenizer = tokenizer(&byte_level());
    let tokens = tokenizer.tokenize("hi hi a né€", PLAIN).expect("tokens");
    let expected = ["hi", " hi", " a", " ", "n", r"\xc3\xa9", r"\xe2", r"\x82", r"\xac"];
    assert_eq!(pieces(&tokenizer, &tokens), expected);
    assert_eq!(tokens[..3], [257, 258, 256]);
    assert_eq!(joined(&tokenizer, &tokens), "hi hi a né€".as_bytes());
    assert_eq!(tokenizer.detokenize(&tokens), "hi hi a né€");
    assert_eq!(tokenizer.detokenize(&tokens[..7]), "hi hi a né\u{FFFD}");
}

#[test]
fn every_text_comes_back_from_byte_level_tokens() {
    let tokenizer = tokenizer(&byte_level());
    for text in [
        "",
        " ",
        "  two  spaces\tand\r\nlines\n\n",
        "日本語 \u{0}\u{10ffff}\u{fffd}",
        "👩‍👩‍👧‍👦🏳️‍🌈",
        "<tool> Ġ ▁ <0x41>",
    ] {
        let tokens = tokenizer.tokenize(text, PLAIN).expect("tokens");
        assert_eq!(tokenizer.detokenize(&tokens), text);
        assert_eq!(joined(&tokenizer, &tokens), text.as_bytes());
    }
}

#[test]
fn sentencepiece_puts_a_space_in_front_and_falls_back_to_bytes() {
    let tokenizer = tokenizer(&sentencepiece());
    let tokens = tokenizer.tokenize("hi  hey é", PLAIN).expect("tokens");
    // The second of two spaces goes with the h, because that pair was merged first.
    assert_eq!(pieces(&tokenizer, &tokens), [" hi", " ", " h", "e", "y", " ", r"\xc3", r"\xa9"]);
    assert_eq!(tokens[6..], [3 + 0xC3, 3 + 0xA9]);
    assert_eq!(tokenizer.detokenize(&tokens), "hi  hey é");
    assert_eq!(tokenizer.detokenize(&tokenizer.tokenize(" hi", PLAIN).expect("tokens")), " hi");
    assert!(tokenizer.tokenize("", PLAIN).expect("tokens").is_empty());
}

#[test]
fn the_post_processor_says_what_is_put_around_a_text() {
    let llama = tokenizer(&sentencepiece());
    let tokens = llama.tokenize("hi", ADD).expect("tokens");
    assert_eq!(tokens, [1, 269]);
    assert_eq!(llama.detokenize(&tokens), "<s> hi");
    assert_eq!(llama.tokenize("", ADD).expect("tokens"), [1]);
    let t5 = tokenizer(&unigram());
    assert_eq!(t5.tokenize("hi", ADD).expect("tokens"), [3, 1]);
    let qwen = tokenizer(&byte_level());
    assert_eq!(qwen.tokenize("hi", ADD).expect("tokens"), [257]);
}

#[test]
fn unigram_takes_the_likeliest_pieces_and_its_unknown_token_for_the_rest() {
    let tokenizer = tokenizer(&unigram());
    let tokens = tokenizer.tokenize("hi é h", PLAIN).expect("tokens");
    assert_eq!(tokens, [3, 2, 0, 2, 4]);
    assert_eq!(tokenizer.detokenize(&tokens), "hi <unk> h");
    assert_eq!(joined(&tokenizer, &tokens), b" hi  h");
    // NFKC makes it `hi`.
    assert_eq!(tokenizer.tokenize("ｈｉ", PLAIN).expect("tokens"), [3]);
}

#[test]
fn truncation_and_padding_of_the_file_are_not_applied() {
    let mut json = byte_level();
    json["truncation"] = json!({
        "direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0,
    });
    json["padding"] = json!({
        "strategy": { "Fixed": 8 }, "direction": "Right", "pad_to_multiple_of": null,
        "pad_id": 0, "pad_type_id": 0, "pad_token": "!",
    });
    let tokens = tokenizer(&json).tokenize("hi hi hi hi", ADD).expect("tokens");
    assert_eq!(tokens, [257, 258, 258, 258]);
}

#[test]
fn numbers_that_no_token_has_spell_nothing() {
    let tokenizer = tokenizer(&byte_level());
    assert_eq!(tokenizer.vocabulary_size(), 263);
    for token in [263, 1 << 31, u32::MAX] {
        assert_eq!(tokenizer.piece(token, PARSE), b"");
        assert!(!tokenizer.is_end(token));
    }
    assert_eq!(tokenizer.detokenize(&[263, 257, u32::MAX]), "hi");
}
