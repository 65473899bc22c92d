//! Whatever a crowd of callers does in whatever order, every answer ends, and ends right.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use rkllmjs_core::scripted::Gate;
use rkllmjs_core::{
    ErrorCode, FinishReason, Limits, ModelSettings, OptionSupport, Outcome, Part, Request, Speculation,
    SpeculationMode,
};

use crate::rig::{Answer, Rig, counting, short, until};

const CROWDS: u64 = 400;

/// `splitmix64`.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        u32::try_from((mixed ^ (mixed >> 31)) % u64::from(bound)).unwrap_or(0)
    }

    fn between(&mut self, least: u32, most: u32) -> u32 {
        least + self.below(most - least + 1)
    }

    fn one_in(&mut self, chances: u32) -> bool {
        self.below(chances) == 0
    }
}

/// A caller: what it asked, what it got, and what it did.
struct Caller {
    answer: Answer,
    request: Request,
    read: Vec<String>,
    taken: usize,
    streams: bool,
    cancelled: bool,
}

impl Caller {
    fn take(&mut self) -> Option<Outcome> {
        let mut parts = Vec::new();
        let outcome = self.answer.generation.take(&mut parts);
        self.taken += parts.len();
        for Part::TextDelta { index, text, .. } in parts {
            if let Some(read) = self.read.get_mut(index as usize) {
                read.push_str(&text);
            }
        }
        outcome
    }

    fn cancel(&mut self) {
        self.answer.generation.cancel();
        self.cancelled = true;
    }

    fn acknowledge(&mut self, parts: usize) {
        let parts = parts.min(self.taken);
        self.taken -= parts;
        self.answer.generation.acknowledge(parts);
    }

    /// What a choice says in full.
    fn expected(&self, context: u32) -> String {
        let prompt = u32::try_from(self.request.prompt.len()).unwrap_or(u32::MAX);
        let count = (context - prompt).min(self.request.max_tokens.unwrap_or(u32::MAX));
        let first = self.request.prompt.last().map_or(0, |last| last + 1);
        counting(first, count)
    }

    fn needs(&self, context: u32) -> u32 {
        let prompt = u32::try_from(self.request.prompt.len()).unwrap_or(u32::MAX);
        self.request.max_tokens.map_or(context, |max| (prompt + max).min(context))
    }

    fn check(&self, context: u32) {
        let outcome = self.answer.outcome();
        assert_eq!(outcome.error, None);
        let expected = self.expected(context);
        let mut made = 0;
        for (index, read) in self.read.iter().enumerate() {
            let text = self.answer.generation.text(index);
            match self.answer.generation.finish_reason(index) {
                Some(FinishReason::Length) => assert_eq!(text, expected),
                Some(FinishReason::Cancelled) => {
                    assert!(self.cancelled, "nobody cancelled it");
                    assert!(expected.starts_with(&text), "{text:?} does not begin {expected:?}");
                }
                other => panic!("{other:?}"),
            }
            assert!(!self.streams || *read == text, "read {read:?} of {text:?}");
            made += self.answer.generation.tokens(index).len() as u64;
        }
        assert_eq!(outcome.usage.completion_tokens, made);
        assert_eq!(outcome.usage.prompt_tokens, self.request.prompt.len() as u64);
        assert!(outcome.usage.cached_tokens < outcome.usage.prompt_tokens);
    }
}

fn some_limits(random: &mut Random) -> Limits {
    let sequences = random.between(1, 6);
    let context = random.between(24, 120);
    Limits {
        sequences,
        context,
        cells: random.between(context, context * sequences),
        batch: random.between(sequences, 80),
        rolls_back: !random.one_in(4),
        worth_stopping: 16,
        shares: !random.one_in(4),
        kept: random.below(6),
        kept_tokens: random.below(2 * context),
        drafts: random.below(10),
        options: OptionSupport::default(),
    }
}

fn some_request(random: &mut Random, limits: &Limits) -> Request {
    let length = random.between(1, limits.context - 1);
    // Answers stay clear of the multiples of 1000, which would end them.
    let first = 1000 * random.between(0, 50) + 1;
    // Many prompts begin as others do.
    let family = 1000 * random.between(60, 62) + 1;
    let common = if random.one_in(3) { 0 } else { random.below(length) };
    let prompt = (family..family + common).chain(first..first + length - common).collect();
    let tenant = random.one_in(4).then(|| "one".to_owned());
    let cache_prompt = !random.one_in(8);
    let adapters = match random.below(5) {
        0 => vec![("red".to_owned(), 1.0)],
        1 => vec![("blue".to_owned(), 0.5)],
        _ => Vec::new(),
    };
    let choices = if random.one_in(4) { random.between(2, 4) } else { 1 };
    let priority = if random.one_in(3) { 1 } else { 0 };
    let max_tokens = (!random.one_in(3)).then(|| random.between(1, 100));
    let mode = if random.one_in(4) { SpeculationMode::None } else { SpeculationMode::Draft };
    Request {
        prompt,
        max_tokens,
        speculation: Speculation { mode, max_tokens: random.between(1, 20) },
        choices,
        priority,
        adapters,
        tenant,
        cache_prompt,
        ..short(first, length, 1)
    }
}

fn call(random: &mut Random, rig: &Rig, callers: &mut Vec<Caller>) {
    let request = some_request(random, rig.model.limits());
    match rig.try_submit(request.clone()) {
        Ok(answer) => {
            let read = vec![String::new(); request.choices as usize];
            callers.push(Caller { answer, request, read, taken: 0, streams: false, cancelled: false });
        }
        // More choices than the model has places is the caller's mistake, not a matter of time.
        Err(ErrorCode::InvalidRequest) => assert!(request.choices > rig.model.limits().sequences),
        Err(code) => assert_eq!(code, ErrorCode::Overloaded),
    }
}

/// Some callers come at once, and the last leaves while its prompt is likely being computed.
fn rush(random: &mut Random, rig: &Rig, callers: &mut Vec<Caller>) {
    (0..3).for_each(|_| call(random, rig, callers));
    rig.gate.let_through(1);
    rig.gate.wait_begun(2, Duration::from_millis(20));
    callers.last_mut().into_iter().for_each(Caller::cancel);
}

fn act(random: &mut Random, rig: &Rig, callers: &mut Vec<Caller>) {
    let kind = random.below(10);
    if kind < 4 {
        call(random, rig, callers);
        return;
    }
    if callers.is_empty() {
        return;
    }
    let chosen = random.below(u32::try_from(callers.len()).unwrap_or(1)) as usize;
    let Some(caller) = callers.get_mut(chosen) else { return };
    match kind {
        4 => caller.cancel(),
        5 | 6 => {
            caller.answer.generation.stream();
            caller.streams = true;
        }
        7 => drop(caller.take()),
        8 => caller.acknowledge(random.between(0, 70) as usize),
        _ => rig.gate.let_through(u64::from(random.between(0, 30))),
    }
}

/// Reads everything that is streamed until all of it has ended.
fn wind_up(callers: &mut [Caller]) {
    until("the end of all answers", || {
        let mut all = true;
        for caller in callers.iter_mut() {
            if caller.streams {
                all &= caller.take().is_some();
                caller.acknowledge(usize::MAX);
            } else {
                all &= caller.answer.has_ended();
            }
        }
        all
    });
}

/// At no step did more cells belong to the sequences with cache than there are.
fn check_cells(rig: &Rig, callers: &[Caller]) {
    let limits = rig.model.limits();
    let needs: Vec<u32> = callers
        .iter()
        .flat_map(|caller| std::iter::repeat_n(caller.needs(limits.context), caller.request.choices as usize))
        .collect();
    for step in rig.steps() {
        let reserved: u32 = step.holders.iter().filter_map(|&id| needs.get(id as usize)).sum();
        assert!(reserved <= limits.cells, "{reserved} of {} cells: {step:?}", limits.cells);
    }
}

/// Nothing was shared between tenants, nor with those who keep to themselves.
fn check_scopes(rig: &Rig, callers: &[Caller]) {
    let mut scopes: HashMap<u64, (Option<String>, bool)> = callers
        .iter()
        .flat_map(|caller| std::iter::repeat_n(&caller.request, caller.request.choices as usize))
        .map(|request| (request.tenant.clone(), request.cache_prompt))
        .zip(0..)
        .map(|(scope, id)| (id, scope))
        .collect();
    for (from, to, _) in &rig.record().shared {
        let scope = scopes.get(from).cloned().expect("a source that is known");
        assert!(scope.1, "sequence {from} shared what it has");
        // Who is not a caller is a prefix that is kept, and shares in turn.
        assert_eq!(*scopes.entry(*to).or_insert_with(|| scope.clone()), scope);
    }
}

/// What happened to the crowds; a property that is never put to the test holds too easily.
#[derive(Debug, Default)]
struct Events {
    aborted: u64,
    full: u64,
    parked: usize,
    shared: usize,
    restored: usize,
    spared: u64,
    drafted: u64,
    accepted: u64,
    cancelled: usize,
    finished: usize,
}

fn crowd(seed: u64, events: &mut Events) {
    let mut random = Random(seed);
    let limits = some_limits(&mut random);
    let queue = random.below(20);
    let places = limits.sequences + queue;
    let context = limits.context;
    let tight = random.one_in(5).then_some(context as usize);
    let gated = random.one_in(2);
    let gate = if gated { Gate::default() } else { Gate::open() };
    let wrong_every = random.between(1, 30);
    let host_cache_bytes = if random.one_in(2) { u64::from(random.below(8 * 1024)) } else { 0 };
    let settings = ModelSettings { queue, host_cache_bytes, ..ModelSettings::default() };
    let rig = Rig::start(limits, settings, gate, |engine| {
        let engine = engine.with_draft_model(wrong_every);
        match tight {
            Some(room) => engine.with_room(room),
            None => engine,
        }
    });
    let mut callers = Vec::new();
    if gated && random.one_in(2) {
        rush(&mut random, &rig, &mut callers);
    }
    for _ in 0..random.between(5, 60) {
        act(&mut random, &rig, &mut callers);
    }
    rig.run_freely();
    wind_up(&mut callers);
    callers.iter().for_each(|caller| caller.check(context));
    check_cells(&rig, &callers);
    check_scopes(&rig, &callers);
    // Every place is free again.
    let all = rig.model.begin(places, Box::new(|| {})).map(drop);
    assert_eq!(all, Ok(()));
    rig.settle();
    let stats = rig.model.stats();
    assert_eq!((stats.waiting, stats.running, stats.paused, stats.cells_used), (0, 0, 0, 0));
    assert_eq!(stats.requests, callers.len() as u64);
    let record = rig.record();
    events.aborted += record.aborted;
    events.full += record.full;
    events.parked += record.parked.len();
    events.shared += record.shared.len();
    events.restored += record.restored.len();
    events.drafted += stats.draft_tokens;
    events.accepted += stats.accepted_tokens;
    events.spared += callers.iter().map(|c| c.answer.outcome().usage.cached_tokens).sum::<u64>();
    let cancelled = callers.iter().filter(|c| c.answer.finish() == Some(FinishReason::Cancelled)).count();
    events.cancelled += cancelled;
    events.finished += callers.len() - cancelled;
}

#[test]
fn every_answer_of_every_crowd_ends_right() {
    let mut events = Events::default();
    for seed in 0..CROWDS {
        let result = catch_unwind(AssertUnwindSafe(|| crowd(seed, &mut events)));
        assert!(result.is_ok(), "crowd {seed}");
    }
    let Events { aborted, full, parked, shared, restored, spared, drafted, accepted, cancelled, finished } =
        events;
    let counts = [parked, shared, restored, cancelled, finished].map(|count| count as u64);
    let counts = counts.into_iter().chain([aborted, full, spared, accepted, drafted - accepted]);
    let rarest = counts.min();
    assert!(rarest > Some(0), "some of it never happened");
}
