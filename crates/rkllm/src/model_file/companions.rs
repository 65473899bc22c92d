//! The files beside a model that its repository brings.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Real ones have a few kilobytes; a larger one is taken for something else.
const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// What lies beside a model.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Companions {
    /// Positions the model was trained on, from `config.json`.
    pub max_position_embeddings: Option<u32>,
    /// Tokens of its vocabulary, from `config.json`.
    pub vocab_size: Option<u32>,
    /// Numbers of an embedding, from `config.json`.
    pub hidden_size: Option<u32>,
    /// `tokenizer.json`.
    pub tokenizer: Option<PathBuf>,
    /// `tokenizer_config.json`.
    pub tokenizer_config: Option<PathBuf>,
    /// `chat_template.jinja`, else `chat_template.json`.
    pub chat_template: Option<PathBuf>,
}

/// Looks into the folder of a model. What is not there, or not understood, is none.
pub(super) fn beside(folder: &Path) -> Companions {
    let config = config(&folder.join("config.json"));
    let number = |name: &str| config.as_ref().and_then(|config| number(config, name));
    let file = |name: &str| Some(folder.join(name)).filter(|path| path.is_file());
    Companions {
        max_position_embeddings: number("max_position_embeddings"),
        vocab_size: number("vocab_size"),
        hidden_size: number("hidden_size"),
        tokenizer: file("tokenizer.json"),
        tokenizer_config: file("tokenizer_config.json"),
        chat_template: file("chat_template.jinja").or_else(|| file("chat_template.json")),
    }
}

fn config(path: &Path) -> Option<Value> {
    // Opening a pipe would wait for somebody to write to it.
    let facts = fs::metadata(path).ok().filter(|facts| facts.is_file() && facts.len() <= CONFIG_BYTES_MAX)?;
    let mut text = String::new();
    File::open(path).ok()?.take(facts.len()).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// A number of the model itself, or of its language model where it has several.
fn number(config: &Value, name: &str) -> Option<u32> {
    let places = [Some(config), config.get("text_config"), config.get("llm_config")];
    let value = places.into_iter().flatten().find_map(|place| place.get(name)?.as_u64());
    value.and_then(|value| u32::try_from(value).ok()).filter(|&value| value > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Folder, Random};

    #[test]
    fn the_numbers_and_the_files_of_a_repository_are_found() {
        let folder = Folder::new("companions");
        folder.file(
            "config.json",
            r#"{"max_position_embeddings": 40960, "text_config": {"vocab_size": 151936}, "hidden_size": "many"}"#,
        );
        folder.file("tokenizer.json", "{}");
        folder.file("chat_template.json", "{}");
        let found = beside(folder.path());
        assert_eq!(found.max_position_embeddings, Some(40960));
        assert_eq!(found.vocab_size, Some(151_936));
        assert_eq!(found.hidden_size, None);
        assert_eq!(found.tokenizer, Some(folder.path().join("tokenizer.json")));
        assert_eq!(found.tokenizer_config, None);
        assert_eq!(found.chat_template, Some(folder.path().join("chat_template.json")));
        let template = folder.file("chat_template.jinja", "");
        assert_eq!(beside(folder.path()).chat_template, Some(template));
    }

    #[test]
    fn what_is_not_understood_is_none() {
        let folder = Folder::new("companions-odd");
        assert_eq!(beside(folder.path()), Companions::default());
        let mut random = Random::new(9);
        let good = br#"{"vocab_size": 3, "max_position_embeddings": -1, "hidden_size": 99999999999}"#;
        for cut in 0..good.len() {
            let mut bytes = good[..cut].to_vec();
            let at = random.below(cut);
            if let Some(byte) = bytes.get_mut(at) {
                *byte = random.byte();
            }
            folder.file("config.json", &bytes);
            assert_eq!(beside(folder.path()).hidden_size, None);
        }
        folder.file("config.json", vec![b' '; 2 << 20]);
        assert_eq!(beside(folder.path()), Companions::default());
        folder.file("config.json", "[".repeat(200_000));
        assert_eq!(beside(folder.path()), Companions::default());
    }
}
