//! Text to tokens and back.

use std::time::{Duration, Instant};

use rkllmjs_core::{Special, Tokenizer};

use crate::support::tiny;

#[test]
fn every_text_comes_back_from_its_tokens() {
    let model = tiny();
    for text in [
        "",
        " ",
        "a",
        "The capital of France is Paris.",
        "  two  spaces\tand\r\nlines\n\n",
        "naïve café, straße, Ωμέγα, Привет, שלום, مرحبا, नमस्ते, ไทย",
        "日本語と中文字と한국어",
        "e\u{301} is not é; \u{1112}\u{1161}\u{11ab} is not 한",
        "😀👩‍👩‍👧‍👦🏳️‍🌈 and 𝔘𝔫𝔦𝔠𝔬𝔡𝔢",
        "\u{feff}\u{200b}\u{202e}\u{0}\u{1}\u{7f}\u{10ffff}\u{fffd}",
        "fn main() { println!(\"{}\", 1 << 3); } // 100 %",
        "12345678901234567890 -1.5e-10",
    ] {
        let tokens = model.tokenize(text, Special::default()).expect("tokens");
        assert_eq!(model.detokenize(&tokens), text);
        let bytes: Vec<u8> =
            tokens.iter().flat_map(|&token| model.piece(token, Special::default())).collect();
        assert_eq!(bytes, text.as_bytes());
    }
}

#[test]
fn control_tokens_are_read_only_where_asked() {
    let model = tiny();
    let text = "<|im_start|>user";
    let read = model.tokenize(text, Special { add: false, parse: true }).expect("tokens");
    let plain = model.tokenize(text, Special::default()).expect("tokens");
    assert_eq!(read.len(), 2);
    assert!(plain.len() > 5 && !plain.contains(&read[0]));
    assert_eq!(model.detokenize(&read), text);
    assert_eq!(model.detokenize(&plain), text);
    assert_eq!(model.piece(read[0], Special::default()), b"");
    assert_eq!(model.piece(read[0], Special { add: false, parse: true }), b"<|im_start|>");
    assert!(model.control_tokens().iter().any(|special| special.token == read[0]));
    assert!(model.piece(u32::MAX, Special::default()).is_empty());
    assert_eq!(model.detokenize(&[u32::MAX, 1 << 31, 64]), "a");
}

#[test]
fn a_megabyte_of_text_takes_less_than_two_seconds() {
    let model = tiny();
    let text: String = "My name is Zoë; what is the capital of 日本? 42!\n".repeat(25_000);
    assert!(text.len() > 1_000_000);
    let began = Instant::now();
    let tokens = model.tokenize(&text, Special::default()).expect("tokens");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(model.detokenize(&tokens), text);
}

#[test]
fn a_run_of_one_letter_does_no_harm_however_long() {
    let model = tiny();
    let text = "a".repeat(5_000_000);
    let tokens = model.tokenize(&text, Special::default()).expect("tokens");
    assert_eq!(model.detokenize(&tokens), text);
}
