//! Files that are broken, huge or made to do harm end in errors that name them.

use std::path::Path;
use std::time::{Duration, Instant};

use rkllmjs_core::{ErrorCode, Tokenizer};
use rkllmjs_hf_tokenizer::HfTokenizer;
use serde_json::{Value, json};

use crate::support::{Folder, PLAIN, added, byte_level, read, sentencepiece, tokenizer, unigram};

/// A byte-level tokenizer with one place changed.
fn changed(pointer: &str, value: Value) -> Value {
    let mut json = byte_level();
    *json.pointer_mut(pointer).expect("a place") = value;
    json
}

fn refused(json: &Value) -> String {
    let error = read(json).expect_err("refused");
    assert!(matches!(error.code, ErrorCode::ModelInvalid | ErrorCode::Unsupported), "{error}");
    assert!(error.message.starts_with("tokenizer.json: "), "{error}");
    error.message
}

#[test]
fn what_is_no_tokenizer_is_refused_with_what_is_wrong() {
    for (json, why) in [
        (json!([]), "an object with the parts"),
        (json!({}), "model"),
        (json!({ "model": 5 }), "the model's vocabulary"),
        (changed("/version", json!("9.9")), "9.9"),
        (changed("/model/vocab", json!([1, 2])), ""),
        (changed("/model/vocab/!", json!(-1)), ""),
        (changed("/model/vocab/!", json!(1_u64 << 40)), ""),
        (changed("/model/vocab/!", json!("0")), ""),
        (changed("/model/merges", json!([["no", "such"]])), "no"),
        (changed("/model/merges", json!(["Ġ a b"])), ""),
        (changed("/model/dropout", json!(0.1)), "dropout"),
        (changed("/model/type", json!("Magic")), ""),
        (changed("/normalizer", json!({ "type": "Magic" })), ""),
        (changed("/pre_tokenizer", json!({ "type": "Split" })), ""),
        (changed("/post_processor", json!({ "type": "Magic" })), ""),
        (changed("/decoder", json!({ "type": "Magic" })), "Magic"),
        (changed("/decoder", json!(null)), "decoder"),
        (changed("/added_tokens", json!([{ "id": 1 }])), "content"),
    ] {
        let message = refused(&json);
        assert!(message.contains(why), "{message}");
    }
}

#[test]
fn ids_outside_the_bounds_and_ids_given_twice_are_refused() {
    assert!(refused(&changed("/model/vocab/!", json!(0x7FFF_FFFF))).contains("below 4194304"));
    assert!(refused(&changed("/model/vocab/!", json!(u32::MAX))).contains("below 4194304"));
    assert!(refused(&changed("/model/vocab/!", json!(1))).contains("both have id 1"));
    assert!(refused(&changed("/added_tokens/0/id", json!(700))).contains("has id 700 and would get 260"));
    // The vocabulary has a gap, into which the library would count.
    let mut json = changed("/model/vocab/!", json!(300));
    json["added_tokens"] = json!([added(260, "<|start|>", true)]);
    assert!(read(&json).is_ok());
    json["model"]["vocab"]["!"] = json!(260);
    assert!(refused(&json).contains("both have id 260"));
}

#[test]
fn what_makes_the_library_panic_is_an_error() {
    let single = json!([{ "Sequence": { "id": "B", "type_id": 0 } }]);
    let template = |single: Value| json!({ "type": "TemplateProcessing", "single": single, "pair": [], "special_tokens": {} });
    assert!(refused(&changed("/post_processor", template(single))).contains("post_processor"));
    // The prefix is longer than the token that it would be cut off.
    let mut json = byte_level();
    json["model"]["continuing_subword_prefix"] = json!("####");
    assert!(refused(&json).contains("continuing_subword_prefix"));
    let mut json = unigram();
    json["model"]["unk_id"] = json!(99);
    refused(&json);
}

#[test]
fn a_post_processor_that_loses_or_repeats_the_text_is_refused() {
    let template = |count: usize| {
        let sequence = json!({ "Sequence": { "id": "A", "type_id": 0 } });
        json!({ "type": "TemplateProcessing", "single": vec![sequence; count], "pair": [], "special_tokens": {} })
    };
    assert!(read(&changed("/post_processor", template(1))).is_ok());
    for count in [0, 2] {
        assert!(refused(&changed("/post_processor", template(count))).contains("keep the text"));
    }
    let mut json = sentencepiece();
    json["post_processor"]["special_tokens"]["<s>"]["ids"] = json!([5000]);
    assert!(refused(&json).contains("token 5000"));
}

#[test]
fn rules_that_would_cost_without_measure_are_refused() {
    let split = |pattern: &str| json!({ "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated", "invert": false });
    assert!(refused(&changed("/pre_tokenizer", split("(((?!x)a){5000}){5000}"))).contains("too large"));
    assert!(refused(&changed("/pre_tokenizer", split("(unclosed"))).len() > 20);
    let double = json!({ "type": "Replace", "pattern": { "String": "a" }, "content": "aa" });
    let sequence = json!({ "type": "Sequence", "normalizers": vec![double; 40] });
    assert!(refused(&changed("/normalizer", sequence)).contains("times as long"));
    let long = json!({ "type": "Prepend", "prepend": "x".repeat(5 << 20) });
    assert!(refused(&changed("/normalizer", long)).contains("bytes"));
}

#[test]
fn merges_in_a_circle_come_to_an_end() {
    let vocab = json!({ "a": 0, "b": 1, "ab": 2, "ba": 3, "aba": 4, "": 5 });
    let mut json = byte_level();
    json["added_tokens"] = json!([]);
    json["model"]["vocab"] = vocab;
    json["model"]["merges"] =
        json!([["a", "b"], ["b", "a"], ["ab", "a"], ["a", "ba"], ["a", ""], ["", "a"], ["", ""], ["a", "b"]]);
    let tokenizer = tokenizer(&json);
    let began = Instant::now();
    let tokens = tokenizer.tokenize(&"ab".repeat(50_000), PLAIN).expect("tokens");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(tokenizer.detokenize(&tokens), "ab".repeat(50_000));
}

#[test]
fn a_pattern_that_backtracks_without_end_is_cut_short() {
    let split = json!({
        "type": "Split", "pattern": { "Regex": r"(?:(a|aa)+)+(?=b)\1c" }, "behavior": "Isolated", "invert": false,
    });
    let tokenizer = tokenizer(&changed("/pre_tokenizer/pretokenizers/0", split));
    let began = Instant::now();
    let tokens = tokenizer.tokenize(&"a".repeat(2_000), PLAIN).expect("tokens");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(tokenizer.detokenize(&tokens), "a".repeat(2_000));
}

#[test]
fn json_that_nests_too_deep_is_refused_in_every_file() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for (name, field) in [
        ("tokenizer_config.json", "chat_template"),
        ("special_tokens_map.json", "bos_token"),
        ("config.json", "vocab_size"),
        ("generation_config.json", "eos_token_id"),
        ("chat_template.json", "chat_template"),
    ] {
        let folder = Folder::new(&[("tokenizer.json", &byte_level())]);
        folder.write(name, format!("{{\"{field}\":{deep}}}").as_bytes());
        let error = folder.open().expect_err("refused");
        assert_eq!(error.code, ErrorCode::ModelInvalid);
        assert!(error.message.contains(name) && error.message.contains("recursion"), "{error}");
    }
    for place in
        ["/normalizer", "/pre_tokenizer", "/post_processor", "/decoder", "/model/vocab", "/model/merges"]
    {
        let json = changed(place, json!("deep")).to_string().replace("\"deep\"", &deep);
        let error =
            HfTokenizer::from_json(Path::new("tokenizer.json"), json.as_bytes()).expect_err("refused");
        assert_eq!(error.code, ErrorCode::ModelInvalid);
        assert!(error.message.contains("recursion"), "{place}: {error}");
    }
}

#[test]
fn fields_of_a_wrong_kind_are_refused_with_their_names() {
    for (name, fields, named) in [
        ("tokenizer_config.json", json!({ "bos_token": 5 }), "bos_token"),
        ("tokenizer_config.json", json!({ "eos_token": { "text": "x" } }), "eos_token"),
        ("tokenizer_config.json", json!({ "add_bos_token": "yes" }), "add_bos_token"),
        ("tokenizer_config.json", json!({ "additional_special_tokens": [5] }), "additional_special_tokens"),
        ("tokenizer_config.json", json!({ "added_tokens_decoder": { "x": {} } }), "added_tokens_decoder"),
        ("tokenizer_config.json", json!({ "added_tokens_decoder": { "-5": {} } }), "added_tokens_decoder"),
        ("tokenizer_config.json", json!({ "chat_template": 5 }), "chat_template"),
        ("chat_template.json", json!({ "chat_template": [{ "name": "default" }] }), "chat_template"),
        ("config.json", json!({ "vocab_size": "many" }), "vocab_size"),
        ("config.json", json!({ "vocab_size": 1_u64 << 31 }), "vocab_size"),
        ("config.json", json!({ "hidden_size": 0 }), "hidden_size"),
        ("generation_config.json", json!({ "eos_token_id": ["</s>"] }), "eos_token_id"),
        ("generation_config.json", json!({ "eos_token_id": 1_u64 << 31 }), "eos_token_id"),
        ("generation_config.json", json!({ "eos_token_id": vec![1; 5000] }), "eos_token_id"),
        ("special_tokens_map.json", json!([]), "map"),
    ] {
        let folder = Folder::new(&[("tokenizer.json", &byte_level()), (name, &fields)]);
        let error = folder.open().expect_err("refused");
        assert_eq!(error.code, ErrorCode::ModelInvalid, "{error}");
        assert!(error.message.contains(name) && error.message.contains(named), "{error}");
    }
}

#[test]
fn files_that_are_too_large_or_no_files_are_refused() {
    let folder = Folder::new(&[("tokenizer.json", &byte_level())]);
    folder.write("config.json", &vec![b' '; (4 << 20) + 1]);
    let error = folder.open().expect_err("refused");
    assert!(error.message.contains("config.json") && error.message.contains("4194304 bytes"), "{error}");
    let folder = Folder::new(&[]);
    let file = std::fs::File::create(folder.path().join("tokenizer.json")).expect("made");
    file.set_len((64 << 20) + 1).expect("a file of zeros");
    assert!(folder.open().expect_err("refused").message.contains("67108864 bytes"));
    let folder = Folder::new(&[]);
    std::fs::create_dir(folder.path().join("tokenizer.json")).expect("made");
    assert!(folder.open().expect_err("refused").message.contains("is not a file"));
}

#[test]
fn a_template_that_is_no_text_is_refused() {
    let folder = Folder::new(&[("tokenizer.json", &byte_level())]);
    folder.write("chat_template.jinja", b"\xFF\xFE");
    let error = folder.open().expect_err("refused");
    assert!(error.message.contains("chat_template.jinja") && error.message.contains("UTF-8"), "{error}");
}

#[test]
fn texts_that_are_too_long_are_refused() {
    let tokenizer = tokenizer(&byte_level());
    let long = tokenizer.tokenize(&"a".repeat((4 << 20) + 1), PLAIN).expect_err("refused");
    assert_eq!(long.code, ErrorCode::PayloadTooLarge);
    let blank = tokenizer.tokenize(&" \n".repeat(300_000), PLAIN).expect_err("refused");
    assert_eq!(blank.code, ErrorCode::PayloadTooLarge);
    assert!(tokenizer.tokenize(&" ".repeat(400_000), PLAIN).is_ok());
}

#[test]
fn damaged_files_never_panic() {
    let whole = byte_level().to_string().into_bytes();
    let mut state = 11_u64;
    for round in 0..400 {
        let mut bytes = whole.clone();
        for _ in 0..=round % 4 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = (state >> 33) as usize % bytes.len();
            bytes[at] = b"\"0{[]},:1a"[(state >> 20) as usize % 10];
        }
        if round % 5 == 0 {
            bytes.truncate((state >> 33) as usize % bytes.len());
        }
        if let Ok(tokenizer) = HfTokenizer::from_json(Path::new("tokenizer.json"), &bytes) {
            let _ = tokenizer.tokenize("hi <|start|> é", PLAIN);
        }
    }
}
