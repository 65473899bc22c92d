use std::path::Path;

use rkllmjs_core::Error;

use crate::chat_templates::{ChatTemplates, TemplateFiles};
use crate::companion_file::CompanionFile;
use crate::model_facts::{ModelFacts, TokenNumbers};
use crate::tokenizer::{HfTokenizer, TokenizerFiles};
use crate::tokenizer_config::TokenizerConfig;

/// Most bytes of `tokenizer.json`; the largest known ones have some 35 MB.
const TOKENIZER_BYTES_MAX: u64 = 64 << 20;

/// Most bytes of any other file.
const OTHER_BYTES_MAX: u64 = 4 << 20;

/// What the files beside a model say.
#[derive(Debug)]
pub struct Companions {
    /// Text to tokens and back.
    pub tokenizer: HfTokenizer,
    /// The model's chat templates.
    pub templates: ChatTemplates,
    /// Facts of the model.
    pub facts: ModelFacts,
}

/// Reads the files that lie in the folder of the model file `model`; `None` if there is no
/// `tokenizer.json` among them.
///
/// # Errors
///
/// `model-invalid`, naming the file and what is wrong with it; `unsupported` for a tokenizer of a kind
/// that this library does not follow.
pub fn open_beside(model: &Path) -> Result<Option<Companions>, Error> {
    let folder = model.parent().filter(|folder| !folder.as_os_str().is_empty());
    open_folder(folder.unwrap_or(Path::new(".")))
}

/// Reads the files of a folder; `None` if it has no `tokenizer.json`.
///
/// # Errors
///
/// As [`open_beside`].
pub fn open_folder(folder: &Path) -> Result<Option<Companions>, Error> {
    let Some(tokenizer) = CompanionFile::read(folder, "tokenizer.json", TOKENIZER_BYTES_MAX)? else {
        return Ok(None);
    };
    let read = |name: &str| CompanionFile::read(folder, name, OTHER_BYTES_MAX);
    let config = read("tokenizer_config.json")?;
    let map = read("special_tokens_map.json")?;
    let (facts, numbers) = match read("config.json")? {
        Some(file) => ModelFacts::read(&file)?,
        None => Default::default(),
    };
    let generation = read("generation_config.json")?;
    let generation = generation.as_ref().map(TokenNumbers::read).transpose()?.unwrap_or_default();
    let (jinja, json) = (read("chat_template.jinja")?, read("chat_template.json")?);
    let templates = ChatTemplates::read(&TemplateFiles {
        jinja: jinja.as_ref(),
        json: json.as_ref(),
        config: config.as_ref(),
    })?;
    let tokenizer = HfTokenizer::read(&TokenizerFiles {
        tokenizer: &tokenizer,
        config: &TokenizerConfig::read(config.as_ref(), map.as_ref())?,
        model_size: facts.vocabulary_size,
        numbers: &numbers,
        generation: &generation,
    })?;
    Ok(Some(Companions { tokenizer, templates, facts }))
}
