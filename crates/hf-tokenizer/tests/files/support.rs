use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rkllmjs_core::{Error, Special, Token, Tokenizer};
use rkllmjs_hf_tokenizer::{Companions, HfTokenizer, open_folder};
use serde_json::{Value, json};

pub(crate) const PARSE: Special = Special { add: false, parse: true };
pub(crate) const ADD: Special = Special { add: true, parse: true };
pub(crate) const PLAIN: Special = Special { add: false, parse: false };

/// A folder of files that is removed with this value.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(files: &[(&str, &Value)]) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let folder =
            Self(std::env::temp_dir().join(format!("rkllmjs-files-{}-{number}", std::process::id())));
        std::fs::create_dir(&folder.0).expect("a new folder");
        for (name, content) in files {
            folder.write(name, content.to_string().as_bytes());
        }
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, name: &str, content: &[u8]) {
        std::fs::write(self.0.join(name), content).expect("written");
    }

    pub(crate) fn open(&self) -> Result<Companions, Error> {
        open_folder(&self.0).map(|companions| companions.expect("there is a tokenizer.json"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn read(json: &Value) -> Result<HfTokenizer, Error> {
    HfTokenizer::from_json(Path::new("tokenizer.json"), json.to_string().as_bytes())
}

/// A tokenizer of `json`, which must be right.
pub(crate) fn tokenizer(json: &Value) -> HfTokenizer {
    read(json).expect("a tokenizer")
}

pub(crate) fn added(id: u32, content: &str, special: bool) -> Value {
    json!({
        "id": id, "content": content, "special": special,
        "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
    })
}

/// Every piece as text, with the bytes of half characters escaped.
pub(crate) fn pieces(tokenizer: &dyn Tokenizer, tokens: &[Token]) -> Vec<String> {
    tokens.iter().map(|&token| tokenizer.piece(token, PARSE).escape_ascii().to_string()).collect()
}

pub(crate) fn joined(tokenizer: &dyn Tokenizer, tokens: &[Token]) -> Vec<u8> {
    tokens.iter().flat_map(|&token| tokenizer.piece(token, PLAIN)).collect()
}

/// Byte-level BPE as GPT-2 and Qwen have it: ids 0 to 255 are bytes in the order of their characters,
/// then come the merges' results, `<|start|>`, `<|end|>` and `<tool>`, which is not special.
pub(crate) fn byte_level() -> Value {
    let mut alphabet: Vec<char> = ('!'..='~').chain('¡'..='¬').chain('®'..='ÿ').collect();
    alphabet.extend('\u{100}'..='\u{143}');
    let merges = [("Ġ", "a"), ("h", "i"), ("Ġ", "hi"), ("Ã", "©")];
    let texts = alphabet.iter().map(char::to_string).chain(merges.iter().map(|(a, b)| format!("{a}{b}")));
    let vocab: serde_json::Map<String, Value> = texts.zip(0..).map(|(text, id)| (text, json!(id))).collect();
    let size = u32::try_from(vocab.len()).expect("small");
    let split =
        r"(?i:'s|'t)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [
            added(size, "<|start|>", true), added(size + 1, "<|end|>", true), added(size + 2, "<tool>", false),
        ],
        "normalizer": { "type": "NFC" },
        "pre_tokenizer": { "type": "Sequence", "pretokenizers": [
            { "type": "Split", "pattern": { "Regex": split }, "behavior": "Isolated", "invert": false },
            { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false },
        ]},
        "post_processor": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true },
        "decoder": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
        "model": { "type": "BPE", "dropout": null, "vocab": vocab, "merges": merges },
    })
}

/// BPE with byte fallback as Llama 2 has it: `<unk>`, `<s>`, `</s>`, 256 bytes, then text.
pub(crate) fn sentencepiece() -> Value {
    let control = ["<unk>", "<s>", "</s>"].map(str::to_owned).into_iter();
    let bytes = (0..=255).map(|byte| format!("<0x{byte:02X}>"));
    let text = ["▁", "h", "i", "e", "y", "<", "s", ">", "/", "▁h", "▁hi", "he", "hey", "▁▁"];
    let all = control.chain(bytes).chain(text.map(str::to_owned));
    let vocab: serde_json::Map<String, Value> = all.zip(0..).map(|(text, id)| (text, json!(id))).collect();
    json!({
        "version": "1.0",
        "added_tokens": [added(0, "<unk>", true), added(1, "<s>", true), added(2, "</s>", true)],
        "normalizer": { "type": "Sequence", "normalizers": [
            { "type": "Prepend", "prepend": "▁" },
            { "type": "Replace", "pattern": { "String": " " }, "content": "▁" },
        ]},
        "pre_tokenizer": null,
        "post_processor": { "type": "TemplateProcessing",
            "single": [{ "SpecialToken": { "id": "<s>", "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } }],
            "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 1 } }],
            "special_tokens": { "<s>": { "id": "<s>", "ids": [1], "tokens": ["<s>"] } },
        },
        "decoder": { "type": "Sequence", "decoders": [
            { "type": "Replace", "pattern": { "String": "▁" }, "content": " " },
            { "type": "ByteFallback" }, { "type": "Fuse" },
            { "type": "Strip", "content": " ", "start": 1, "stop": 0 },
        ]},
        "model": {
            "type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true, "vocab": vocab,
            "merges": [["▁", "h"], ["▁h", "i"], ["h", "e"], ["he", "y"], ["▁", "▁"]],
        },
    })
}

/// Unigram with a normalizer for compatibility forms, as T5 and XLM have it; `</s>` is an ordinary entry
/// of the model too, and a likely one.
pub(crate) fn unigram() -> Value {
    let entries =
        [("<unk>", 0.0), ("</s>", 0.0), ("▁", -3.0), ("▁hi", -1.0), ("h", -4.0), ("i", -4.0), ("<", -5.0)];
    let more = [("/", -5.0), ("s", -5.0), (">", -5.0), ("s>", -5.5)];
    let vocab: Vec<Value> = entries.iter().chain(&more).map(|(text, score)| json!([text, score])).collect();
    json!({
        "version": "1.0",
        "added_tokens": [added(0, "<unk>", true), added(1, "</s>", true)],
        "normalizer": { "type": "NFKC" },
        "pre_tokenizer": { "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true },
        "post_processor": { "type": "TemplateProcessing",
            "single": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "SpecialToken": { "id": "</s>", "type_id": 0 } }],
            "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 1 } }],
            "special_tokens": { "</s>": { "id": "</s>", "ids": [1], "tokens": ["</s>"] } },
        },
        "decoder": { "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true },
        "model": { "type": "Unigram", "unk_id": 0, "vocab": vocab },
    })
}
