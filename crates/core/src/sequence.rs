use std::sync::Arc;
use std::time::Instant;

use crate::token_stream::TokenStream;
use crate::{FinishReason, Part, Request, Run, Sampled, SequenceId, Token};

/// One answer in flight with its tokens and its place in the cache.
#[derive(Debug)]
pub(crate) struct Sequence {
    pub(crate) id: SequenceId,
    /// The answer it belongs to, and which choice of it.
    pub(crate) answer: u64,
    pub(crate) index: u32,
    pub(crate) request: Arc<Request>,
    /// Prompt and completion.
    tokens: Vec<Token>,
    /// How many of `tokens` are in the cache.
    pub(crate) computed: usize,
    /// Cells set aside for it while it runs.
    pub(crate) reserved: u32,
    /// Whether the engine knows it.
    pub(crate) opened: bool,
    /// Since when its reader has not read.
    pub(crate) paused_since: Option<Instant>,
    /// The last step it was part of.
    pub(crate) last_step: u64,
    stream: TokenStream,
}

impl Sequence {
    pub(crate) fn new(id: SequenceId, answer: u64, index: u32, request: Arc<Request>) -> Self {
        Self {
            id,
            answer,
            index,
            tokens: request.prompt.clone(),
            computed: 0,
            reserved: 0,
            opened: false,
            paused_since: None,
            last_step: 0,
            stream: TokenStream::new(index, request.stop.strings.clone()),
            request,
        }
    }

    /// Tokens that are not in the cache yet; never 0 while it runs.
    pub(crate) fn pending(&self) -> usize {
        self.tokens.len() - self.computed
    }

    pub(crate) fn completion_tokens(&self) -> usize {
        self.tokens.len() - self.request.prompt.len()
    }

    /// Whether its next run is a single new token of the answer.
    pub(crate) fn is_decoding(&self) -> bool {
        self.completion_tokens() > 0 && self.pending() == 1
    }

    /// Cells it needs to its end, at most `context`.
    pub(crate) fn cells_needed(&self, context: u32) -> u32 {
        let most = self.request.max_tokens.map_or(u32::MAX, |max| {
            u32::try_from(self.request.prompt.len()).unwrap_or(u32::MAX).saturating_add(max)
        });
        most.min(context)
    }

    /// Its next run, of at most `budget` tokens.
    pub(crate) fn run(&self, budget: usize) -> Run<'_> {
        let end = self.computed + self.pending().min(budget);
        Run {
            sequence: self.id,
            start: u32::try_from(self.computed).unwrap_or(u32::MAX),
            tokens: self.tokens.get(self.computed..end).unwrap_or_default(),
            sample: end == self.tokens.len(),
        }
    }

    /// Takes the token that follows. The part to deliver, and why the answer ends if it does.
    pub(crate) fn accept(&mut self, sampled: Sampled<'_>, context: u32) -> (Vec<Part>, Option<FinishReason>) {
        if sampled.end || self.request.stop.tokens.contains(&sampled.token) {
            return (self.stream.finish().into_iter().collect(), Some(FinishReason::Stop));
        }
        self.tokens.push(sampled.token);
        let spelled = self.request.spelled.iter().find(|(token, _)| *token == sampled.token);
        let bytes = spelled.map_or(sampled.bytes, |(_, spelling)| spelling.as_bytes());
        let (part, stopped) = self.stream.push(Sampled { bytes, ..sampled });
        let mut parts: Vec<Part> = part.into_iter().collect();
        if stopped {
            return (parts, Some(FinishReason::Stop));
        }
        let full = self.request.max_tokens.is_some_and(|max| self.completion_tokens() >= max as usize)
            || self.tokens.len() >= context as usize;
        if full {
            parts.extend(self.stream.finish());
            return (parts, Some(FinishReason::Length));
        }
        (parts, None)
    }

    /// What its stream still holds back.
    pub(crate) fn flush(&mut self) -> Option<Part> {
        self.stream.finish()
    }
}
