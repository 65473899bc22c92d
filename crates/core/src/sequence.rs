use std::sync::Arc;
use std::time::Instant;

use crate::kept_prefixes::Scope;
use crate::line::Place;
use crate::speculation::Guesses;
use crate::token_stream::TokenStream;
use crate::{
    FinishReason, Medium, Overflow, Part, Request, RowAttention, RowPlaces, Run, Sampled, SequenceId, Token,
    stands_for_a_row,
};

/// A sequence that lets another compute what both need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Following {
    /// Who computes it.
    pub(crate) leader: SequenceId,
    /// Up to which token.
    pub(crate) until: usize,
}

/// One answer in flight with its tokens and its place in the cache.
#[derive(Debug)]
pub(crate) struct Sequence {
    pub(crate) id: SequenceId,
    /// The answer it belongs to, and which choice of it.
    pub(crate) answer: u64,
    pub(crate) index: u32,
    pub(crate) request: Arc<Request>,
    /// With whom it shares cache, if it does.
    pub(crate) scope: Option<Scope>,
    /// Prompt and completion, without what was dropped.
    tokens: Vec<Token>,
    /// Tokens that were dropped from the middle of `tokens` to make room.
    dropped: usize,
    /// How many of `tokens` are in the cache.
    pub(crate) computed: usize,
    /// How many of those others computed that ran at the time.
    pub(crate) shared: usize,
    /// How many tokens of its prompt it never computed itself.
    pub(crate) spared: usize,
    /// The most that was ever in the cache.
    reached: usize,
    /// Whose progress it waits for. It takes no part in steps meanwhile.
    pub(crate) follows: Option<Following>,
    /// Cells set aside for it while it runs.
    pub(crate) reserved: u32,
    /// Whether the engine knows it.
    pub(crate) opened: bool,
    /// Since when its reader has not read.
    pub(crate) paused_since: Option<Instant>,
    /// The last step it was part of.
    pub(crate) last_step: u64,
    stream: TokenStream,
    guesses: Guesses,
}

impl Sequence {
    pub(crate) fn new(id: SequenceId, answer: u64, index: u32, request: Arc<Request>) -> Self {
        Self {
            id,
            answer,
            index,
            tokens: request.prompt.clone(),
            dropped: 0,
            computed: 0,
            shared: 0,
            spared: 0,
            reached: 0,
            follows: None,
            scope: Scope::of(&request),
            reserved: 0,
            opened: false,
            paused_since: None,
            last_step: 0,
            stream: TokenStream::new(index, request.stop.strings.clone()),
            guesses: Guesses::default(),
            request,
        }
    }

    /// Where it stands among those of its tenant.
    pub(crate) fn place_in_line(&self) -> Place {
        (-i64::from(self.request.priority), self.id)
    }

    /// What is in the cache.
    pub(crate) fn computed_tokens(&self) -> &[Token] {
        self.tokens.get(..self.computed).unwrap_or_default()
    }

    /// How many of its first `length` tokens can be shared: rows that stand at one place go together.
    pub(crate) fn whole(&self, length: usize) -> usize {
        let next = self.tokens.get(length).copied().filter(|&next| stands_for_a_row(next));
        let cut =
            next.and_then(|next| Some((next, self.request.media.iter().find(|medium| medium.has(next))?)));
        match cut {
            Some((next, medium)) if matches!(medium.places(), RowPlaces::Grid { .. }) => {
                length.saturating_sub((next - medium.tokens().start) as usize)
            }
            _ => length,
        }
    }

    /// Everything it may take from others.
    pub(crate) fn tokens_but_last(&self) -> &[Token] {
        self.tokens.split_last().map_or(&[], |(_, rest)| rest)
    }

    /// Notes that a step computed its next `tokens`.
    pub(crate) fn advance(&mut self, tokens: usize) {
        self.computed += tokens;
        self.reached = self.reached.max(self.computed);
    }

    /// Notes that it now has what others have computed, up to `until`.
    pub(crate) fn adopt(&mut self, until: usize) {
        self.spared += until.saturating_sub(self.reached);
        self.advance(until - self.computed);
    }

    /// Notes that it holds no cache any more.
    pub(crate) fn vacate(&mut self) {
        self.computed = 0;
        self.shared = 0;
        self.follows = None;
    }

    /// Tokens that are not in the cache yet; never 0 while it runs.
    pub(crate) fn pending(&self) -> usize {
        self.tokens.len() - self.computed
    }

    /// How many of its pending tokens its next run takes where a step has room for `budget`. Tokens and rows of a
    /// medium do not go together, and rows that see each other go together whatever room there is.
    pub(crate) fn next_stretch(&self, budget: usize) -> usize {
        if self.request.media.is_empty() || budget == 0 {
            return self.pending().min(budget);
        }
        let pending = self.tokens.get(self.computed..).unwrap_or_default();
        let is_first = |medium: &&Arc<Medium>| pending.first().is_some_and(|&token| medium.has(token));
        let Some(medium) = self.request.media.iter().find(is_first) else {
            return pending.iter().take(budget).take_while(|&&token| !stands_for_a_row(token)).count().max(1);
        };
        match medium.attention() {
            RowAttention::Causal => medium.rows_at_start(pending).min(budget),
            RowAttention::Mutual => medium.rows_at_start(pending),
        }
    }

    pub(crate) fn completion_tokens(&self) -> usize {
        self.tokens.len() + self.dropped - self.request.prompt.len()
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

    /// What it guesses, with the tokens it has.
    pub(crate) fn guesses(&mut self) -> (&mut Guesses, &[Token]) {
        (&mut self.guesses, &self.tokens)
    }

    /// How many tokens it may still get before it ends, or its context is full.
    pub(crate) fn tokens_left(&self, context: u32) -> usize {
        let of_answer = self.request.max_tokens.map_or(usize::MAX, |max| max as usize);
        let in_context = (context as usize).saturating_sub(self.tokens.len());
        of_answer.saturating_sub(self.completion_tokens()).min(in_context)
    }

    /// Its next run, of at most `budget` tokens and so many guesses after them.
    pub(crate) fn run(&self, budget: usize, drafted: usize) -> Run<'_> {
        let end = self.computed + self.pending().min(budget);
        let certain = self.tokens.get(self.computed..end).unwrap_or_default();
        Run {
            sequence: self.id,
            start: u32::try_from(self.computed).unwrap_or(u32::MAX),
            tokens: if drafted > 0 { self.guesses.run() } else { certain },
            sample: end == self.tokens.len(),
            drafted: u32::try_from(drafted).unwrap_or(u32::MAX),
        }
    }

    /// Notes that another token follows one of the same step: that was guessed, and is in the cache already. False
    /// if it is the first of its step.
    pub(crate) fn follow_guess(&mut self) -> bool {
        let is_guessed = self.pending() > 0;
        if is_guessed {
            self.advance(1);
        }
        is_guessed
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

    /// Whether it goes on in a full context. Without a number of tokens to end at it might do so for ever.
    pub(crate) fn shifts(&self, overflow: Overflow) -> bool {
        overflow == Overflow::Shift && self.request.max_tokens.is_some()
    }

    /// In a full context, what is to be dropped: from which place, and how many tokens.
    pub(crate) fn to_drop(&self, context: u32) -> Option<(u32, u32)> {
        if self.tokens.len() < context as usize {
            return None;
        }
        let keep = self.request.keep.min(context / 2);
        Some((keep, ((context - keep) / 2).max(1)))
    }

    /// Forgets what the engine has dropped.
    pub(crate) fn drop_tokens(&mut self, from: u32, count: u32) {
        let (from, count) = (from as usize, count as usize);
        self.tokens.drain(from..(from + count).min(self.tokens.len()));
        self.computed -= count.min(self.computed);
        self.dropped += count;
    }

    /// What its stream still holds back.
    pub(crate) fn flush(&mut self) -> Option<Part> {
        self.stream.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GenerateOptions, OptionSupport};

    /// A sequence of `length` tokens, all computed but the last.
    fn full(length: u32, keep: u32) -> Sequence {
        let built = GenerateOptions::default().build(&OptionSupport::default(), 1000, 0).unwrap();
        let request = Request { prompt: (0..length).collect(), keep, max_tokens: Some(100), ..built };
        let mut sequence = Sequence::new(SequenceId(1), 1, 0, Arc::new(request));
        sequence.computed = length as usize - 1;
        sequence
    }

    #[test]
    fn half_of_what_is_not_kept_leaves_a_full_context() {
        let mut sequence = full(16, 4);
        assert_eq!(sequence.to_drop(17), None);
        assert_eq!(sequence.to_drop(16), Some((4, 6)));
        sequence.drop_tokens(4, 6);
        assert_eq!(sequence.tokens, [0, 1, 2, 3, 10, 11, 12, 13, 14, 15]);
        assert_eq!((sequence.computed, sequence.pending(), sequence.completion_tokens()), (9, 1, 0));
        assert_eq!(sequence.to_drop(16), None);
    }

    #[test]
    fn a_request_that_keeps_all_keeps_half_and_the_smallest_context_has_room_again() {
        assert_eq!(full(16, 99).to_drop(16), Some((8, 4)));
        for keep in 0..9 {
            let mut sequence = full(8, keep);
            let (from, count) = sequence.to_drop(8).unwrap();
            assert!((from + count) as usize <= sequence.computed);
            sequence.drop_tokens(from, count);
            assert_eq!((sequence.pending(), sequence.to_drop(8)), (1, None));
        }
    }

    #[test]
    fn an_answer_without_an_end_does_not_shift() {
        let mut sequence = full(8, 0);
        assert!(sequence.shifts(Overflow::Shift) && !sequence.shifts(Overflow::End));
        sequence.request = Arc::new(Request { max_tokens: None, ..(*sequence.request).clone() });
        assert!(!sequence.shifts(Overflow::Shift));
    }
}
