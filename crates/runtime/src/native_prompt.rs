//! What the scheduler counts for a prompt that the engine reads itself.

use rkllmjs_core::{Error, IMAGE_TAG, NativeContent, NativeImages, NativeInput, Special, Token};

use crate::model::Model;

impl Model {
    /// The tokens of such a prompt, or as many others as it has at the least; the engine says at the end how many
    /// there were, its own template included.
    pub(crate) fn counted(&self, tokens: &[Token], input: &NativeInput) -> Result<Vec<Token>, Error> {
        input.check_images(self.embedding_length())?;
        let least = match &input.content {
            NativeContent::Images(images) => images.tokens() + self.words_round(images),
            NativeContent::Tokens if !tokens.is_empty() => return Ok(tokens.to_vec()),
            NativeContent::Tokens | NativeContent::Text(_) | NativeContent::Embeddings(_) => 1,
        };
        Ok(vec![0; least])
    }

    /// How many tokens the text has besides its images, where somebody but the engine can tell.
    fn words_round(&self, images: &NativeImages) -> usize {
        let Ok(tokenizer) = self.tokenizer() else { return 0 };
        let pieces = images.text.split(IMAGE_TAG);
        let tokens = pieces.filter_map(|piece| tokenizer.tokenize(piece, Special::default()).ok());
        tokens.map(|tokens| tokens.len()).sum()
    }
}
