use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Error, NativeImages};

/// What an engine that reads prompts itself is given, and what it alone knows to do with one.
///
/// The request's `prompt` then only says how many tokens it is counted as.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NativeInput {
    /// What to read.
    pub content: NativeContent,
    /// Who speaks: `user` or `tool`; `None` is the engine's default.
    pub role: Option<String>,
    /// Whether the engine's own template asks the model to think first.
    pub thinking: bool,
    /// What becomes of the turn afterwards.
    pub history: History,
    /// Where to save the cache of the prompt once it is computed.
    pub save_cache: Option<PathBuf>,
}

impl NativeInput {
    /// Checks images against the vectors of the model, whose length is `embedding_length` where it is known.
    ///
    /// # Errors
    ///
    /// `invalid-request` naming what is wrong; `unsupported` if their cache is to be saved.
    pub fn check_images(&self, embedding_length: Option<u32>) -> Result<(), Error> {
        let NativeContent::Images(images) = &self.content else { return Ok(()) };
        if self.save_cache.is_some() {
            let message =
                "cannot be combined with an image: nothing tells a saved image from another one of its size";
            return Err(Error::unsupported("prompt_cache", message));
        }
        images.check(embedding_length)
    }
}

/// What an engine that reads prompts itself reads.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum NativeContent {
    /// The tokens of the request's prompt.
    #[default]
    Tokens,
    /// Text, which goes through the engine's own template and vocabulary.
    Text(String),
    /// Vectors in place of tokens, one after the other.
    Embeddings(Vec<f32>),
    /// Text with images in it.
    Images(NativeImages),
}

/// Whether an engine keeps a conversation on its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum History {
    /// Every request brings all it needs.
    #[default]
    Forget,
    /// The engine appends this turn to the ones before it.
    Keep,
}
