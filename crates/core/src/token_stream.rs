use crate::stop::StopStrings;
use crate::utf8::Utf8Decoder;
use crate::{Part, Sampled, Token, TokenLogprob};

/// Makes parts of one choice out of its tokens: whole characters only, nothing of a stop string.
#[derive(Debug)]
pub(crate) struct TokenStream {
    index: u32,
    utf8: Utf8Decoder,
    stops: StopStrings,
    tokens: Vec<Token>,
    logprobs: Vec<TokenLogprob>,
}

impl TokenStream {
    pub(crate) fn new(index: u32, stops: Vec<String>) -> Self {
        Self {
            index,
            utf8: Utf8Decoder::default(),
            stops: StopStrings::new(stops),
            tokens: Vec::new(),
            logprobs: Vec::new(),
        }
    }

    /// Adds a token. The part, if there is text to show, and whether a stop string was met.
    pub(crate) fn push(&mut self, sampled: Sampled<'_>) -> (Option<Part>, bool) {
        self.tokens.push(sampled.token);
        self.logprobs.extend(sampled.logprob);
        let (mut decoded, mut text) = (String::new(), String::new());
        self.utf8.push(sampled.bytes, &mut decoded);
        let stopped = self.stops.push(&decoded, &mut text);
        let part = if text.is_empty() && !stopped { None } else { self.part(text) };
        (part, stopped)
    }

    /// What was held back for more to come.
    pub(crate) fn finish(&mut self) -> Option<Part> {
        let (mut decoded, mut text) = (String::new(), String::new());
        self.utf8.finish(&mut decoded);
        self.stops.push(&decoded, &mut text);
        self.stops.finish(&mut text);
        self.part(text)
    }

    fn part(&mut self, text: String) -> Option<Part> {
        if text.is_empty() && self.tokens.is_empty() {
            return None;
        }
        let tokens = std::mem::take(&mut self.tokens);
        let logprobs = std::mem::take(&mut self.logprobs);
        Some(Part::TextDelta { index: self.index, text, tokens, logprobs })
    }
}
