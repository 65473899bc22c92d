//! The tokenizer read from `tokenizer.json` and llama.cpp's from the GGUF file, on the tiny model, which has
//! both: same ids, same bytes, same text, same control tokens.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rkllmjs_core::{Special, Tokenizer};
use rkllmjs_hf_tokenizer::{HfTokenizer, open_beside};
use rkllmjs_llama::{LoadOptions, Model};

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/tiny/rkllmjs-tiny-q8_0.gguf")
}

fn both() -> (HfTokenizer, Arc<Model>) {
    let companions = open_beside(&file()).expect("read").expect("there are files");
    let llama = Model::load(&file(), &LoadOptions::default(), |_| true).expect("the model loads");
    (companions.tokenizer, llama)
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    fn pick<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[self.below(items.len())]
    }
}

const WORDS: &[&str] = &[
    "the",
    "The",
    "capital",
    "of",
    "France",
    "is",
    "Paris.",
    "My",
    "name",
    "don't",
    "I'LL",
    "we've",
    "it's",
    "'S",
    "x=1;",
    "{\"name\":",
    "\"Bob\"}",
    "42",
    "1234567",
    "3.14",
    "½",
    "Ⅷ",
    "٣",
    "naïve",
    "café",
    "straße",
    "Ωμέγα",
    "Привет",
    "שלום",
    "مرحبا",
    "नमस्ते",
    "ไทย",
    "日本語",
    "中文字",
    "한국어",
    "e\u{301}",
    "\u{1112}\u{1161}\u{11ab}",
    "ﬁ",
    "ſ",
    "İ",
    "😀",
    "👩‍👩‍👧‍👦",
    "🏳️‍🌈",
    "𝔘𝔫",
    "\u{0}",
    "\u{7f}",
    "\u{feff}",
    "\u{200b}",
    "\u{10ffff}",
    "\u{fffd}",
    "▁",
    "Ġ",
    "Ċ",
    "<0x41>",
    "http://a.b/c?d=e&f",
    "//",
    "--",
    "!!!",
    "...",
    "¿",
    "„",
];

const SPELLINGS: &[&str] = &[
    "<|im_start|>",
    "<|im_end|>",
    "<|endoftext|>",
    "<tools>",
    "</tools>",
    "<tool_call>",
    "</tool_call>",
    "<tool_response>",
    "</tool_response>",
    "<|im_",
    "<|",
    "|>",
    "im_end|>",
    "<<|im_end|>>",
    "< |im_end|>",
    "<s>",
    "<tool_",
    "_call>",
];

const SPACES: &[&str] = &[
    "",
    "",
    " ",
    " ",
    " ",
    " ",
    "  ",
    "   ",
    "\n",
    "\n\n",
    "\r\n",
    "\t",
    "\u{a0}",
    "\u{3000}",
    " \n ",
    "\n \n",
    "          ",
    "\u{b}",
    "\u{85}",
];

/// Several thousand texts of every kind that a prompt may hold.
fn corpus() -> Vec<String> {
    let mut random = Random(23);
    let mut texts: Vec<String> = ["", " ", "\n", "a", " a"].map(str::to_owned).into();
    for round in 0..3000 {
        let mut text = String::new();
        for _ in 0..=random.below(14) {
            let words = if round % 3 == 0 && random.below(2) == 0 { SPELLINGS } else { WORDS };
            text.push_str(random.pick(words));
            text.push_str(random.pick(SPACES));
        }
        texts.push(text);
    }
    for _ in 0..1500 {
        let bytes: Vec<u8> = (0..=random.below(40)).map(|_| random.below(256) as u8).collect();
        texts.push(String::from_utf8_lossy(&bytes).into_owned());
    }
    let blocks = [
        (0x20, 0x250),
        (0x370, 0x600),
        (0x900, 0xE80),
        (0x3040, 0x3100),
        (0x4E00, 0x9FA0),
        (0x1F300, 0x1F700),
    ];
    for _ in 0..1500 {
        let (start, end) = blocks[random.below(blocks.len())];
        let codes = (0..=random.below(20)).map(|_| start + random.below(end - start));
        texts.push(codes.filter_map(|code| char::from_u32(code as u32)).collect());
    }
    texts.extend([" ".repeat(3000) + "x", "a".repeat(3000), "\n".repeat(3000), "ab ".repeat(1000)]);
    texts
}

#[test]
fn every_text_has_the_same_tokens_and_comes_back() {
    let (files, llama) = both();
    let texts = corpus();
    assert!(texts.len() > 6000);
    for text in &texts {
        for (add, parse) in [(false, false), (false, true), (true, false), (true, true)] {
            let special = Special { add, parse };
            let expected = llama.tokenize(text, special).expect("tokens");
            assert_eq!(files.tokenize(text, special).expect("tokens"), expected, "{text:?} {special:?}");
            assert_eq!(files.detokenize(&expected), *text);
        }
    }
}

#[test]
fn every_token_has_the_same_bytes() {
    let (files, llama) = both();
    assert_eq!(files.vocabulary_size(), llama.vocabulary_size());
    for token in (0..files.vocabulary_size() + 10).chain([1 << 31, u32::MAX]) {
        for parse in [false, true] {
            let special = Special { add: false, parse };
            assert_eq!(files.piece(token, special), llama.piece(token, special), "{token} {special:?}");
        }
        assert_eq!(files.is_end(token), llama.is_end(token), "{token}");
    }
}

#[test]
fn control_tokens_start_and_end_are_the_same() {
    let (files, llama) = both();
    assert_eq!(files.control_tokens(), llama.control_tokens());
    assert_eq!(files.start_text(), llama.start_text());
    assert_eq!(files.end_text(), llama.end_text());
}
