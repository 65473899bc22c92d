use std::path::Path;

use rkllmjs_core::{Error, ErrorCode, Special, SpecialToken, Token, Tokenizer};

use crate::added;
use crate::companion_file::CompanionFile;
use crate::encoder::{Encoder, Spellings};
use crate::end_tokens::end_tokens;
use crate::frame::Frame;
use crate::library::{error, guarded};
use crate::model_facts::TokenNumbers;
use crate::outline::{Outline, Unknown};
use crate::spelling::Spelling;
use crate::tokenizer_config::{Named, TokenizerConfig};
use crate::vocabulary::Vocabulary;

/// Most bytes of text that one call tokenizes: as much as a rendered conversation may have, and 128 for
/// each token of the largest contexts of NPUs. The library needs some 150 bytes for each of them meanwhile.
const TEXT_BYTES_MAX: usize = 4 << 20;

/// Longest run of spaces, tabs and line breaks. Past a million of them the regular expressions that cut
/// text into words give up and leave the rest of the text in one piece, without a word about it.
const WHITESPACE_RUN_MAX: usize = 500_000;

/// A tokenizer out of the files of a Hugging Face repository.
#[derive(Debug)]
pub struct HfTokenizer {
    encoder: Encoder,
    vocabulary: Vocabulary,
    spelling: Spelling,
    frame: Frame,
    /// Sorted.
    ends: Vec<Token>,
    start_text: String,
    end_text: String,
    /// How many tokens the model tells apart.
    size: u32,
}

/// What a tokenizer is read from.
pub(crate) struct TokenizerFiles<'a> {
    pub(crate) tokenizer: &'a CompanionFile,
    pub(crate) config: &'a TokenizerConfig,
    /// How many tokens the model tells apart, where known.
    pub(crate) model_size: Option<u32>,
    pub(crate) numbers: &'a TokenNumbers,
    pub(crate) generation: &'a TokenNumbers,
}

impl HfTokenizer {
    /// Reads a `tokenizer.json` by itself; `path` is for messages.
    ///
    /// # Errors
    ///
    /// `model-invalid` with what is wrong with it; `unsupported` for a kind that this library does not
    /// follow.
    pub fn from_json(path: &Path, json: &[u8]) -> Result<Self, Error> {
        Self::read(&TokenizerFiles {
            tokenizer: &CompanionFile::from_bytes(path, json),
            config: &TokenizerConfig::default(),
            model_size: None,
            numbers: &TokenNumbers::default(),
            generation: &TokenNumbers::default(),
        })
    }

    pub(crate) fn read(files: &TokenizerFiles<'_>) -> Result<Self, Error> {
        let (file, config) = (files.tokenizer, files.config);
        let outline = Outline::read(file)?;
        let mut library = load(file)?;
        added::merge(&mut library, &outline.added, config, file)?;
        let vocabulary = Vocabulary::read(&library, &outline.spelling, file)?;
        let size = model_size(files, &vocabulary)?;
        let frame = Frame::read(&library, config, file)?;
        if let Some(token) = frame.tokens().find(|&token| token >= size) {
            return Err(file.invalid(format!("`post_processor` adds token {token}, which does not exist")));
        }
        let unknown = match outline.unknown {
            Some(Unknown::Text(text)) => library.token_to_id(&text),
            Some(Unknown::Number(number)) => Some(number),
            None => None,
        };
        let end = config.end.text().and_then(|text| library.token_to_id(text));
        let ends = end_tokens(end, &files.numbers.ends, &files.generation.ends, vocabulary.control());
        let numbered = |number: Option<&Token>| number.map(|&token| text(&vocabulary, token));
        let start_text = name(&config.start, numbered(files.numbers.start.as_ref()));
        let end_text = name(&config.end, numbered(files.numbers.ends.first()));
        let encoder = Encoder::new(library, &vocabulary, unknown);
        let spelling = outline.spelling;
        Ok(Self { encoder, spelling, frame, ends, start_text, end_text, size, vocabulary })
    }
}

fn load(file: &CompanionFile) -> Result<tokenizers::Tokenizer, Error> {
    let loaded = guarded(|| {
        let mut library = tokenizers::Tokenizer::from_bytes(file.bytes())?;
        // Both are for training: a prompt must be neither cut nor filled up.
        library.with_truncation(None)?;
        library.with_padding(None);
        Ok(library)
    });
    loaded.map_err(|failure| error(failure, |why| file.invalid(why)))
}

/// How many tokens the model tells apart. Added tokens may lie beyond, for a model without the pictures
/// that they stand for, say; the model's own may not: then the files belong to different models.
fn model_size(files: &TokenizerFiles<'_>, vocabulary: &Vocabulary) -> Result<u32, Error> {
    let size = files.model_size.unwrap_or(vocabulary.size());
    if vocabulary.own_size() > size {
        let message = format!(
            "the vocabulary has {} tokens and `vocab_size` in config.json is {size}; the files belong to \
             different models",
            vocabulary.own_size()
        );
        return Err(files.tokenizer.invalid(message));
    }
    Ok(size)
}

fn text(vocabulary: &Vocabulary, token: Token) -> String {
    String::from_utf8_lossy(vocabulary.bytes(token)).into_owned()
}

/// What a file names, or what its number stands for where it names nothing at all.
fn name(named: &Named, numbered: Option<String>) -> String {
    match named {
        Named::Text(text) => text.clone(),
        Named::None => String::new(),
        Named::Absent => numbered.unwrap_or_default(),
    }
}

fn check_text(text: &str) -> Result<(), Error> {
    if text.len() > TEXT_BYTES_MAX {
        let message = format!("the text has {} bytes, at most {TEXT_BYTES_MAX} are allowed", text.len());
        return Err(Error::new(ErrorCode::PayloadTooLarge, message));
    }
    if text.len() > WHITESPACE_RUN_MAX && longest_whitespace(text) > WHITESPACE_RUN_MAX {
        let message = format!("the text has more than {WHITESPACE_RUN_MAX} whitespace characters in a row");
        return Err(Error::new(ErrorCode::PayloadTooLarge, message));
    }
    Ok(())
}

fn longest_whitespace(text: &str) -> usize {
    let mut run = 0;
    let runs = text.chars().map(|c| {
        run = if c.is_whitespace() { run + 1 } else { 0 };
        run
    });
    runs.max().unwrap_or(0)
}

impl Tokenizer for HfTokenizer {
    fn tokenize(&self, text: &str, special: Special) -> Result<Vec<Token>, Error> {
        check_text(text)?;
        let spellings = if special.parse { Spellings::Read } else { Spellings::Text };
        let tokens = self.encoder.encode(text, spellings)?;
        if let Some(&token) = tokens.iter().find(|&&token| token >= self.size) {
            let spelled = self::text(&self.vocabulary, token);
            let message = format!("the text has the token {spelled:?}, which this model does not have");
            return Err(Error::new(ErrorCode::InvalidRequest, message));
        }
        Ok(if special.add { self.frame.around(tokens) } else { tokens })
    }

    fn piece(&self, token: Token, special: Special) -> Vec<u8> {
        if !special.parse && self.vocabulary.is_control(token) {
            return Vec::new();
        }
        self.vocabulary.bytes(token).to_vec()
    }

    fn detokenize(&self, tokens: &[Token]) -> String {
        let bytes: Vec<u8> = tokens.iter().flat_map(|&token| self.vocabulary.bytes(token)).copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        self.spelling.without_added_spaces(&text).to_owned()
    }

    fn vocabulary_size(&self) -> u32 {
        self.size
    }

    fn is_end(&self, token: Token) -> bool {
        self.ends.binary_search(&token).is_ok()
    }

    fn control_tokens(&self) -> &[SpecialToken] {
        self.vocabulary.control()
    }

    fn start_text(&self) -> &str {
        &self.start_text
    }

    fn end_text(&self) -> &str {
        &self.end_text
    }
}
