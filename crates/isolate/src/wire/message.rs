use std::borrow::Cow;
use std::ops::Range;

use rkllmjs_core::{
    Adapters, Batch, NativeCall, NativeInput, NativeReply, Opening, Proposal, Run, Sampled, Sampling,
    SequenceId, Sink, StepOutcome, Token, TokenLogprob,
};
use serde::{Deserialize, Serialize};

use super::{CellsFromChild, CellsToChild, WireError, WireLimits};

/// What the parent says. Each is answered once, but those that say they are not.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToChild<'a> {
    /// Loads the model; the bytes mean something to the child's loader alone.
    Load(Cow<'a, [u8]>),
    Open(Box<OpenMessage<'a>>),
    Step {
        runs: Vec<RunMessage<'a>>,
        adapters: Cow<'a, Adapters>,
    },
    Propose(Cow<'a, [Proposal]>),
    Share {
        from: SequenceId,
        to: SequenceId,
        tokens: Range<u32>,
    },
    /// Not answered.
    Park(SequenceId),
    /// Not answered.
    Release(SequenceId),
    /// Answered once everything before it is done.
    Flush,
    Embed(Cow<'a, [Vec<Token>]>),
    Rank(Cow<'a, [Vec<Token>]>),
    Score {
        window: u32,
        start: u32,
        tokens: Cow<'a, [Token]>,
        targets: Cow<'a, [Token]>,
    },
    /// Not answered.
    EndScoring,
    Native(Cow<'a, NativeCall>),
    LoadAdapter {
        name: Cow<'a, str>,
        path: Cow<'a, str>,
        scale: f32,
    },
    UnloadAdapter(Cow<'a, str>),
    Cells(CellsToChild<'a>),
    /// Stops the step under way. Not answered.
    Abort,
    /// Answered at once, whatever the engine does.
    Ping,
    /// Frees the engine and ends the process.
    Close,
}

/// What the child says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromChild {
    /// How much of the load is done; no answer.
    Progress(f32),
    /// A line of the engine's log; no answer.
    Log {
        level: String,
        line: String,
    },
    Pong,
    Loaded {
        limits: Box<WireLimits>,
        facts: String,
    },
    Stepped {
        events: Vec<StepEvent>,
        outcome: StepOutcome,
    },
    Proposed(Vec<Vec<Token>>),
    Vectors(Vec<Vec<f32>>),
    Scores(Vec<f32>),
    Replied(NativeReply),
    Shared(bool),
    Unloaded(bool),
    Cells(CellsFromChild),
    Done,
    Failed {
        error: WireError,
        /// The engine is of no use any more.
        lost: bool,
    },
}

/// [`Opening`] with the sequence it is for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct OpenMessage<'a> {
    pub(crate) sequence: SequenceId,
    sampling: Cow<'a, Sampling>,
    prompt: Cow<'a, [Token]>,
    logprobs: Option<u32>,
    candidates: Cow<'a, [Token]>,
    max_tokens: Option<u32>,
    native: Option<Cow<'a, NativeInput>>,
}

impl<'a> OpenMessage<'a> {
    pub(crate) fn new(sequence: SequenceId, opening: Opening<'a>) -> Self {
        Self {
            sequence,
            sampling: Cow::Borrowed(opening.sampling),
            prompt: Cow::Borrowed(opening.prompt),
            logprobs: opening.logprobs,
            candidates: Cow::Borrowed(opening.candidates),
            max_tokens: opening.max_tokens,
            native: opening.native.map(Cow::Borrowed),
        }
    }

    /// Whether the end of the sequence leaves a file behind.
    pub(crate) fn saves(&self) -> bool {
        self.native.as_ref().is_some_and(|native| native.save_cache.is_some())
    }

    pub(crate) fn opening(&self) -> Opening<'_> {
        Opening {
            sampling: &self.sampling,
            prompt: &self.prompt,
            logprobs: self.logprobs,
            candidates: &self.candidates,
            max_tokens: self.max_tokens,
            media: &[],
            native: self.native.as_deref(),
        }
    }

    pub(crate) fn into_owned(self) -> OpenMessage<'static> {
        OpenMessage {
            sequence: self.sequence,
            sampling: Cow::Owned(self.sampling.into_owned()),
            prompt: Cow::Owned(self.prompt.into_owned()),
            logprobs: self.logprobs,
            candidates: Cow::Owned(self.candidates.into_owned()),
            max_tokens: self.max_tokens,
            native: self.native.map(|native| Cow::Owned(native.into_owned())),
        }
    }
}

/// [`Run`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RunMessage<'a> {
    sequence: SequenceId,
    start: u32,
    tokens: Cow<'a, [Token]>,
    sample: bool,
    drafted: u32,
}

impl<'a> From<&Run<'a>> for RunMessage<'a> {
    fn from(run: &Run<'a>) -> Self {
        Self {
            sequence: run.sequence,
            start: run.start,
            tokens: Cow::Borrowed(run.tokens),
            sample: run.sample,
            drafted: run.drafted,
        }
    }
}

/// The batch that `runs` are.
pub(crate) fn batch<'a>(runs: &'a [RunMessage<'_>], adapters: Adapters) -> Batch<'a> {
    let run = |run: &'a RunMessage<'_>| Run {
        sequence: run.sequence,
        start: run.start,
        tokens: &run.tokens,
        sample: run.sample,
        drafted: run.drafted,
    };
    Batch { runs: runs.iter().map(run).collect(), adapters, time_left: None }
}

/// What a step brought.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum StepEvent {
    Token { sequence: SequenceId, token: Token, bytes: Vec<u8>, end: bool, logprob: Option<LogprobMessage> },
    Prompt { sequence: SequenceId, tokens: u32, cached: u32 },
    Full { sequence: SequenceId },
    Failed { sequence: SequenceId, error: WireError },
}

impl StepEvent {
    /// Tells `sink`.
    pub(crate) fn tell(self, sink: &mut dyn Sink) {
        match self {
            Self::Token { sequence, token, bytes, end, logprob } => {
                let logprob = logprob.map(TokenLogprob::from);
                sink.token(sequence, Sampled { token, bytes: &bytes, end, logprob });
            }
            Self::Prompt { sequence, tokens, cached } => sink.prompt(sequence, tokens, cached),
            Self::Full { sequence } => sink.full(sequence),
            Self::Failed { sequence, error } => sink.failed(sequence, error.into()),
        }
    }
}

/// Keeps what a step brings until it is sent.
#[derive(Debug, Default)]
pub(crate) struct StepEvents(pub(crate) Vec<StepEvent>);

impl Sink for StepEvents {
    fn token(&mut self, sequence: SequenceId, sampled: Sampled<'_>) {
        let Sampled { token, bytes, end, logprob } = sampled;
        let logprob = logprob.map(LogprobMessage::from);
        self.0.push(StepEvent::Token { sequence, token, bytes: bytes.to_vec(), end, logprob });
    }

    fn prompt(&mut self, sequence: SequenceId, tokens: u32, cached: u32) {
        self.0.push(StepEvent::Prompt { sequence, tokens, cached });
    }

    fn full(&mut self, sequence: SequenceId) {
        self.0.push(StepEvent::Full { sequence });
    }

    fn failed(&mut self, sequence: SequenceId, error: rkllmjs_core::Error) {
        self.0.push(StepEvent::Failed { sequence, error: error.into() });
    }
}

/// [`TokenLogprob`] as a list, so that reading it cannot recurse.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LogprobMessage {
    chosen: OneLogprob,
    top: Vec<OneLogprob>,
}

type OneLogprob = (Token, Vec<u8>, f32);

impl From<TokenLogprob> for LogprobMessage {
    fn from(logprob: TokenLogprob) -> Self {
        let one = |l: &TokenLogprob| (l.token, l.bytes.clone(), l.logprob);
        Self { chosen: one(&logprob), top: logprob.top.iter().map(one).collect() }
    }
}

impl From<LogprobMessage> for TokenLogprob {
    fn from(message: LogprobMessage) -> Self {
        let one = |(token, bytes, logprob): OneLogprob| Self { token, bytes, logprob, top: Vec::new() };
        Self { top: message.top.into_iter().map(one).collect(), ..one(message.chosen) }
    }
}
