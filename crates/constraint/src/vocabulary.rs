use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use llguidance::ParserFactory;
use llguidance::api::ParserLimits;
use llguidance::toktrie::{
    ApproximateTokEnv, INVALID_TOKEN, InferenceCapabilities, TokEnv, TokRxInfo, TokTrie,
};
use rkllmjs_core::{Error, ErrorCode, Special, Token, Tokenizer};

/// Most bytes of a token that an answer may have under a constraint; the longest known are runs of blanks.
const TOKEN_BYTES_MAX: usize = 512;
/// Most tokens of a vocabulary: one less than the tree of them can number.
const TOKENS_MAX: u32 = (1 << 24) - 2;

/// Texts that are allowed as a whole in many states: their tokens are looked up instead of tried one by one.
const SLICES: [&str; 2] = [r#"[^"\\\x00-\x1F\x7F]{1,10}"#, r#"[^"\\\x00-\x1F\x7F]+"#];

/// How much a constraint may cost. Beyond, it is an error: when it is compiled, or in the middle of an answer.
fn limits() -> ParserLimits {
    ParserLimits {
        initial_lexer_fuel: 300_000,
        step_lexer_fuel: 200_000,
        step_max_items: 50_000,
        max_lexer_states: 100_000,
        max_grammar_size: 100_000,
        verbose_errors: false,
        ..ParserLimits::default()
    }
}

/// The tokens of a model as a tree of bytes, and what compiles constraints for it.
pub(crate) struct Vocabulary {
    pub(crate) factory: ParserFactory,
    /// The tokens that end an answer, sorted.
    pub(crate) ends: Vec<Token>,
}

impl Vocabulary {
    /// Reads all tokens of `tokenizer`. Takes as long as a few steps of a small model.
    pub(crate) fn new(tokenizer: &dyn Tokenizer) -> Result<Arc<Self>, Error> {
        let size = tokenizer.vocabulary_size();
        if size == 0 || size > TOKENS_MAX {
            let message =
                format!("the vocabulary has {size} tokens, at most {TOKENS_MAX} can be constrained");
            return Err(Error::new(ErrorCode::Unsupported, message));
        }
        // The tree is checked by assertions.
        let read = catch_unwind(AssertUnwindSafe(|| Self::read(tokenizer, size)));
        read.unwrap_or_else(|_| Err(unreadable("its tokens make no tree")))
    }

    fn read(tokenizer: &dyn Tokenizer, size: u32) -> Result<Arc<Self>, Error> {
        let ends: Vec<Token> = (0..size).filter(|&token| tokenizer.is_end(token)).collect();
        let words: Vec<Vec<u8>> = (0..size)
            .map(|token| if ends.binary_search(&token).is_ok() { Vec::new() } else { word(tokenizer, token) })
            .collect();
        let first_end = ends.first().copied().unwrap_or(INVALID_TOKEN);
        let trie = TokTrie::from(&TokRxInfo::new(size, first_end), &words);
        let trie = if ends.is_empty() { trie } else { trie.with_eos_tokens(&ends) };
        let environment: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
        let slices: Vec<String> = SLICES.iter().map(ToString::to_string).collect();
        let factory = ParserFactory::new(&environment, InferenceCapabilities::default(), &slices);
        let mut factory = factory.map_err(|error| unreadable(&error.to_string()))?;
        *factory.quiet().limits_mut() = limits();
        Ok(Arc::new(Self { factory, ends }))
    }

    pub(crate) fn is_end(&self, token: Token) -> bool {
        self.ends.binary_search(&token).is_ok()
    }
}

/// The bytes of a token; none for one that must not occur, as control tokens.
fn word(tokenizer: &dyn Tokenizer, token: Token) -> Vec<u8> {
    let bytes = tokenizer.piece(token, Special::default());
    if bytes.len() > TOKEN_BYTES_MAX { Vec::new() } else { bytes }
}

fn unreadable(why: &str) -> Error {
    Error::new(ErrorCode::Internal, format!("the vocabulary cannot be used for constraints: {why}"))
}
