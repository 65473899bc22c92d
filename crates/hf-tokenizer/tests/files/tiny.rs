//! The tiny model's own files. That they agree with llama.cpp is tested where llama.cpp is at hand, in
//! `crates/runtime/tests/tokenizers_agree.rs`.

use std::path::{Path, PathBuf};

use rkllmjs_core::Tokenizer;
use rkllmjs_hf_tokenizer::open_beside;

use crate::support::{PARSE, PLAIN};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/tiny")
}

#[test]
fn the_files_beside_the_tiny_model_are_read() {
    let model = folder().join("rkllmjs-tiny-q8_0.gguf");
    let companions = open_beside(&model).expect("read").expect("there are files");
    let tokenizer = companions.tokenizer;
    assert_eq!(tokenizer.vocabulary_size(), 1024);
    assert_eq!((tokenizer.start_text(), tokenizer.end_text()), ("<|endoftext|>", "<|im_end|>"));
    let control: Vec<&str> = tokenizer.control_tokens().iter().map(|special| special.text.as_str()).collect();
    assert_eq!(control, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]);
    assert!(tokenizer.is_end(1017) && tokenizer.is_end(1015) && !tokenizer.is_end(1016));
    let text = "<|im_start|>user\n日本 <tool_call>";
    assert_eq!(tokenizer.detokenize(&tokenizer.tokenize(text, PARSE).expect("tokens")), text);
    assert_eq!(tokenizer.detokenize(&tokenizer.tokenize(text, PLAIN).expect("tokens")), text);
}

#[test]
fn the_template_in_the_configuration_is_the_one_in_its_own_file() {
    let companions = open_beside(&folder().join("any")).expect("read").expect("there are files");
    let template = std::fs::read_to_string(folder().join("template.jinja")).expect("read");
    assert_eq!(companions.templates.default.as_deref(), Some(template.trim_end_matches('\n')));
}
