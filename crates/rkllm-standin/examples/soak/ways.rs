//! What becomes of an answer.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use rkllmjs_core::{
    ClearCache, Engine, Error, FinishReason, Generation, History, ModelHandle, NativeCall, NativeContent,
    NativeImages, NativeInput, Outcome, Part, Request,
};

use crate::model::{Scripted, Shape, tokens};
use crate::random::Random;

/// Longer than the callback of a run waits for its reader.
const LONGER_THAN_PATIENCE: Duration = Duration::from_millis(2300);
/// One run in so many has a reader that stops: each takes seconds.
const RUNS_OF_A_STALL: u64 = 400;
/// Longest time before somebody gives up, in microseconds: from the first token to the last.
const MOMENT_US_MAX: u64 = 3000;
/// Lost at each run by those who mean to.
const LEAK_BYTES: usize = 100;

/// Which ways are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// All of them.
    Any,
    /// Those that end an answer early: for a runtime so slow that it has to be aborted.
    Hasty,
    /// All of them, and memory is lost: a checker must find it.
    Leaky,
}

impl Manner {
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "any" => Some(Self::Any),
            "hasty" => Some(Self::Hasty),
            "leaky" => Some(Self::Leaky),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Way {
    /// Somebody waits for the whole answer.
    Wait,
    /// A reader takes every part.
    Read,
    /// A reader stops for longer than the runtime may be kept waiting, and goes on.
    Stall,
    /// Cancelled after a moment.
    Cancel,
    /// Nobody cares any more.
    Drop,
    /// Several at once; one of those that wait is cancelled.
    Queue,
    /// Text that the runtime reads itself, with its history and a saved cache.
    Native,
    /// Numbers and caches instead of answers.
    Call,
    /// The model is closed in the middle.
    Close,
}

/// The first runs, so that the shortest soak has each way.
const EACH: [Way; 9] = [
    Way::Wait,
    Way::Read,
    Way::Stall,
    Way::Cancel,
    Way::Drop,
    Way::Queue,
    Way::Native,
    Way::Call,
    Way::Close,
];
const HASTY: [Way; 3] = [Way::Cancel, Way::Drop, Way::Close];

impl Way {
    pub(crate) fn choose(number: u64, manner: Manner, random: &mut Random) -> Self {
        if manner == Manner::Leaky {
            let _ = std::hint::black_box(Box::leak(Box::new([0_u8; LEAK_BYTES])));
        }
        let each = if manner == Manner::Hasty { HASTY.as_slice() } else { EACH.as_slice() };
        if let Some(&way) = usize::try_from(number).ok().and_then(|number| each.get(number)) {
            return way;
        }
        if manner == Manner::Hasty {
            return match random.below(8) {
                0..5 => Self::Cancel,
                5..7 => Self::Drop,
                _ => Self::Close,
            };
        }
        if number.is_multiple_of(RUNS_OF_A_STALL) {
            return Self::Stall;
        }
        match random.below(16) {
            0..3 => Self::Wait,
            3..5 => Self::Read,
            5..9 => Self::Cancel,
            9..11 => Self::Drop,
            11 => Self::Queue,
            12..14 => Self::Native,
            14 => Self::Call,
            _ => Self::Close,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Wait => "waited",
            Self::Read => "read",
            Self::Stall => "stalled",
            Self::Cancel => "cancelled",
            Self::Drop => "dropped",
            Self::Queue => "queued",
            Self::Native => "native",
            Self::Call => "called",
            Self::Close => "closed",
        }
    }

    /// Whether the model is of no use afterwards.
    pub(crate) const fn closes(self) -> bool {
        matches!(self, Self::Close)
    }

    pub(crate) fn run(
        self,
        model: &ModelHandle,
        scripted: &Scripted,
        random: &mut Random,
    ) -> Result<(), String> {
        if matches!(self, Self::Call) {
            return call(model, scripted, random);
        }
        let whole = 2 * scripted.length();
        let most = if matches!(self, Self::Stall) { whole } else { 1 + random.below(whole) };
        let mut request = scripted.request(model, &format!("prompt {}", random.below(5)), most);
        let mut shape = if matches!(self, Self::Stall) { Shape::Pieces } else { Shape::Whole };
        if matches!(self, Self::Native) {
            let native = native_input(scripted, random);
            if native.history == History::Keep {
                shape = Shape::Cut;
            }
            request.native = Some(Arc::new(native));
        }
        let others = if matches!(self, Self::Queue) { submit(model, &request, 3)? } else { Vec::new() };
        let generation = model.submit(request).map_err(said)?;
        match self {
            Self::Drop => {
                moment(random);
                drop(generation);
                return Ok(());
            }
            Self::Cancel => {
                moment(random);
                generation.cancel();
            }
            Self::Close => {
                moment(random);
                model.close();
            }
            Self::Queue => {
                moment(random);
                others.iter().step_by(2).for_each(Generation::cancel);
            }
            Self::Stall => {
                read(&generation, Some(LONGER_THAN_PATIENCE));
            }
            Self::Read => read(&generation, None),
            Self::Wait | Self::Native | Self::Call => {}
        }
        for generation in others.iter().chain([&generation]) {
            judge(generation, &generation.wait(), scripted, shape)?;
        }
        if matches!(self, Self::Stall) && generation.text(0).matches('#').count() < 2 {
            return Err("the run was not paused".to_owned());
        }
        Ok(())
    }
}

/// Takes every part. A pause comes once parts enough have gathered to stop the run.
fn read(generation: &Generation, pause: Option<Duration>) {
    generation.stream();
    if let Some(pause) = pause {
        std::thread::sleep(pause);
    }
    let mut parts = Vec::new();
    while generation.take(&mut parts).is_none() {
        let tokens = parts.drain(..).map(|Part::TextDelta { tokens, .. }| tokens.len());
        generation.acknowledge(tokens.sum());
        std::thread::sleep(Duration::from_micros(50));
    }
}

fn submit(model: &ModelHandle, request: &Request, count: usize) -> Result<Vec<Generation>, String> {
    (0..count).map(|_| model.submit(request.clone()).map_err(said)).collect()
}

fn judge(
    generation: &Generation,
    outcome: &Outcome,
    scripted: &Scripted,
    shape: Shape,
) -> Result<(), String> {
    if let Some(error) = &outcome.error {
        return Err(error.to_string());
    }
    let finish = generation.finish_reason(0);
    if finish.is_none() {
        return Err("it did not end".to_owned());
    }
    scripted.check(&generation.text(0), finish.filter(|&finish| finish != FinishReason::Cancelled), shape)
}

fn native_input(scripted: &Scripted, random: &mut Random) -> NativeInput {
    let content = match random.below(4) {
        0 => NativeContent::Tokens,
        1 => NativeContent::Text("a question".to_owned()),
        2 => NativeContent::Embeddings(vec![0.25; 8 * 5]),
        // Two different images, so that the cache is cleared between them.
        _ => NativeContent::Images(NativeImages {
            text: "<image> and <image>".to_owned(),
            values: vec![if random.below(2) == 0 { 0.25 } else { 0.5 }; 8 * 2 * 3],
            count: 2,
            tokens_per_image: 3,
            size: Some((28, 28)),
        }),
    };
    let history = if random.below(2) == 0 { History::Keep } else { History::Forget };
    // A cache that is saved holds tokens.
    let saves = content == NativeContent::Tokens && history == History::Forget;
    let save_cache = saves.then(|| scripted.prompt_cache.clone());
    NativeInput { content, role: None, thinking: random.below(2) == 0, history, save_cache }
}

/// Something else than an answer.
fn call(model: &ModelHandle, scripted: &Scripted, random: &mut Random) -> Result<(), String> {
    let input = tokens("some tokens");
    let calls = match random.below(5) {
        0 => vec![NativeCall::HiddenStates(input)],
        1 => vec![NativeCall::Logits(input)],
        2 => vec![NativeCall::ClearCache(ClearCache::All), NativeCall::CacheSize],
        3 => {
            let pieces = ["", "<|user|>", "<|assistant|>"];
            vec![NativeCall::SetChatTemplate(pieces.map(str::to_owned))]
        }
        _ if scripted.prompt_cache.exists() => {
            let load = NativeCall::LoadPromptCache(scripted.prompt_cache.clone());
            vec![NativeCall::ReleasePromptCache, load, NativeCall::ReleasePromptCache]
        }
        _ => Vec::new(),
    };
    for call in calls {
        let (reply, answer) = channel();
        model.call(move |engine: Result<&mut dyn Engine, Error>| {
            let _ = reply.send(engine.and_then(|engine| engine.native(call)));
        });
        match answer.recv().map_err(|e| e.to_string())? {
            // The template changes now and then, and with every model that is opened.
            Err(error) if error.message.contains("saved under another chat template") => {}
            reply => drop(reply.map_err(said)?),
        }
    }
    Ok(())
}

fn moment(random: &mut Random) {
    std::thread::sleep(Duration::from_micros(random.below(MOMENT_US_MAX)));
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn said(error: Error) -> String {
    error.to_string()
}
