//! What the files beside a tokenizer add.

use rkllmjs_core::{ErrorCode, Tokenizer};
use rkllmjs_hf_tokenizer::{ModelFacts, open_beside, open_folder};
use serde_json::json;

use crate::support::{ADD, Folder, PARSE, PLAIN, byte_level, sentencepiece, unigram};

#[test]
fn a_folder_without_a_tokenizer_is_none_and_no_error() {
    let folder = Folder::new(&[("config.json", &json!({}))]);
    assert!(open_folder(folder.path()).expect("no error").is_none());
    assert!(open_beside(&folder.path().join("model.rkllm")).expect("no error").is_none());
    assert!(open_folder(&folder.path().join("nowhere")).expect("no error").is_none());
}

#[test]
fn a_tokenizer_is_found_beside_the_model() {
    let folder = Folder::new(&[("tokenizer.json", &byte_level())]);
    let found = open_beside(&folder.path().join("model.rkllm")).expect("read").expect("found");
    assert_eq!(found.tokenizer.vocabulary_size(), 263);
    assert_eq!(found.templates.default, None);
    assert_eq!(found.facts, ModelFacts::default());
}

#[test]
fn start_and_end_come_from_the_tokenizer_configuration() {
    let config = json!({ "bos_token": { "content": "<|start|>", "special": true }, "eos_token": "<|end|>" });
    let folder = Folder::new(&[("tokenizer.json", &byte_level()), ("tokenizer_config.json", &config)]);
    let tokenizer = folder.open().expect("read").tokenizer;
    assert_eq!((tokenizer.start_text(), tokenizer.end_text()), ("<|start|>", "<|end|>"));
    assert!(tokenizer.is_end(261) && !tokenizer.is_end(260));
}

#[test]
fn a_start_token_that_the_configuration_calls_none_is_none_whatever_the_model_says() {
    let numbers = json!({ "bos_token_id": 260, "eos_token_id": [261, 262] });
    let config = json!({ "bos_token": null, "eos_token": "<|end|>" });
    let folder = Folder::new(&[("tokenizer.json", &byte_level()), ("config.json", &numbers)]);
    let tokenizer = folder.open().expect("read").tokenizer;
    assert_eq!((tokenizer.start_text(), tokenizer.end_text()), ("<|start|>", "<|end|>"));
    folder.write("tokenizer_config.json", config.to_string().as_bytes());
    let tokenizer = folder.open().expect("read").tokenizer;
    assert_eq!((tokenizer.start_text(), tokenizer.end_text()), ("", "<|end|>"));
    assert!(tokenizer.is_end(261) && tokenizer.is_end(262));
}

#[test]
fn generation_settings_name_end_tokens_too() {
    let files = [
        ("tokenizer.json", &byte_level()),
        ("config.json", &json!({ "eos_token_id": 261 })),
        ("generation_config.json", &json!({ "eos_token_id": [10, -1], "temperature": 0.6 })),
    ];
    let tokenizer = Folder::new(&files).open().expect("read").tokenizer;
    assert!(tokenizer.is_end(261) && tokenizer.is_end(10));
    assert!(!tokenizer.is_end(u32::MAX));
}

#[test]
fn the_configuration_decides_whether_start_and_end_are_added() {
    let names = json!({ "bos_token": "<s>", "eos_token": "</s>" });
    for (flags, expected) in [
        (json!({}), vec![1, 269]),
        (json!({ "add_bos_token": null }), vec![1, 269]),
        (json!({ "add_bos_token": false }), vec![269]),
        (json!({ "add_bos_token": true, "add_eos_token": true }), vec![1, 269, 2]),
        (json!({ "add_bos_token": false, "add_eos_token": true }), vec![269, 2]),
    ] {
        let mut config = names.clone();
        config.as_object_mut().expect("an object").extend(flags.as_object().expect("an object").clone());
        let folder = Folder::new(&[("tokenizer.json", &sentencepiece()), ("tokenizer_config.json", &config)]);
        let tokenizer = folder.open().expect("read").tokenizer;
        assert_eq!(tokenizer.tokenize("hi", ADD).expect("tokens"), expected, "{flags}");
        assert_eq!(tokenizer.tokenize("hi", PARSE).expect("tokens"), [269]);
    }
}

#[test]
fn the_configuration_can_make_a_token_special() {
    let decoder = json!({ "262": {
        "content": "<tool>", "special": true,
        "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
    }});
    for config in [
        json!({ "added_tokens_decoder": decoder }),
        json!({ "additional_special_tokens": ["<tool>"] }),
        json!({ "extra_special_tokens": { "tool_token": "<tool>" } }),
    ] {
        let folder = Folder::new(&[("tokenizer.json", &byte_level()), ("tokenizer_config.json", &config)]);
        let tokenizer = folder.open().expect("read").tokenizer;
        assert_eq!(tokenizer.tokenize("<tool>", PARSE).expect("tokens"), [262], "{config}");
        assert!(!tokenizer.tokenize("<tool>", PLAIN).expect("tokens").contains(&262), "{config}");
        assert!(tokenizer.control_tokens().iter().any(|special| special.token == 262), "{config}");
    }
}

#[test]
fn the_configuration_can_add_a_token_at_the_end_of_the_vocabulary() {
    let config =
        |id: &str| json!({ "added_tokens_decoder": { id: { "content": "<new>", "special": true } } });
    let folder = Folder::new(&[("tokenizer.json", &byte_level()), ("tokenizer_config.json", &config("263"))]);
    let tokenizer = folder.open().expect("read").tokenizer;
    assert_eq!(tokenizer.tokenize("<new>", PARSE).expect("tokens"), [263]);
    folder.write("tokenizer_config.json", config("300").to_string().as_bytes());
    let refusal = folder.open().expect_err("refused");
    assert!(refusal.message.contains("\"<new>\" has id 300 and would get 263"), "{refusal}");
}

#[test]
fn facts_are_read_also_where_models_of_images_keep_them() {
    let text = json!({ "vocab_size": 300, "max_position_embeddings": 4096, "hidden_size": 64 });
    let config = json!({ "model_type": "qwen2_vl", "vocab_size": 999, "text_config": text });
    let folder = Folder::new(&[("tokenizer.json", &byte_level()), ("config.json", &config)]);
    let companions = folder.open().expect("read");
    let expected = ModelFacts {
        architecture: Some("qwen2_vl".to_owned()),
        vocabulary_size: Some(300),
        context_size: Some(4096),
        embedding_size: Some(64),
    };
    assert_eq!(companions.facts, expected);
    assert_eq!(companions.tokenizer.vocabulary_size(), 300);
}

#[test]
fn an_added_token_beyond_the_model_can_be_loaded_but_not_used() {
    let config = json!({ "vocab_size": 262 });
    let folder = Folder::new(&[("tokenizer.json", &byte_level()), ("config.json", &config)]);
    let tokenizer = folder.open().expect("read").tokenizer;
    assert_eq!(tokenizer.vocabulary_size(), 262);
    let refusal = tokenizer.tokenize("hi<tool>", PLAIN).expect_err("refused");
    assert_eq!(refusal.code, ErrorCode::InvalidRequest);
    assert!(refusal.message.contains("<tool>"), "{refusal}");
}

#[test]
fn a_vocabulary_larger_than_the_model_is_refused() {
    let config = json!({ "vocab_size": 259 });
    let folder = Folder::new(&[("tokenizer.json", &byte_level()), ("config.json", &config)]);
    let refusal = folder.open().expect_err("refused");
    assert_eq!(refusal.code, ErrorCode::ModelInvalid);
    assert!(refusal.message.contains("260 tokens") && refusal.message.contains("259"), "{refusal}");
}

#[test]
fn templates_are_taken_from_the_first_file_that_has_one() {
    let list =
        json!([{ "name": "default", "template": "list" }, { "name": "tool_use", "template": "tools" }]);
    let folder = Folder::new(&[("tokenizer.json", &unigram())]);
    let template = |folder: &Folder| folder.open().expect("read").templates;
    assert_eq!(template(&folder).default, None);
    folder.write("tokenizer_config.json", json!({ "chat_template": list }).to_string().as_bytes());
    assert_eq!(template(&folder).default.as_deref(), Some("list"));
    assert_eq!(template(&folder).tool_use.as_deref(), Some("tools"));
    folder.write("chat_template.json", json!({ "chat_template": "json" }).to_string().as_bytes());
    assert_eq!(template(&folder).default.as_deref(), Some("json"));
    assert_eq!(template(&folder).tool_use, None);
    folder.write("chat_template.jinja", b"{{ jinja }}\n");
    assert_eq!(template(&folder).default.as_deref(), Some("{{ jinja }}\n"));
}

#[test]
fn the_only_template_of_a_list_is_the_default_and_several_need_one_named_so() {
    let folder = Folder::new(&[("tokenizer.json", &unigram())]);
    let entry = |name: &str| json!({ "name": name, "template": "text" });
    let config = |list: serde_json::Value| json!({ "chat_template": list }).to_string();
    folder.write("tokenizer_config.json", config(json!([entry("rag")])).as_bytes());
    assert_eq!(folder.open().expect("read").templates.default.as_deref(), Some("text"));
    folder.write("tokenizer_config.json", config(json!([entry("rag"), entry("tool_use")])).as_bytes());
    assert!(folder.open().expect_err("refused").message.contains("\"default\""));
}
