use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::delivery::Delivery;
use crate::fair_shares::FairShares;
use crate::inbox::{Arrival, Ticket};
use crate::line::Line;
use crate::prefixes::Prefixes;
use crate::sequence::Sequence;
use crate::speculation::Drafter;
use crate::{
    Batch, Engine, Error, ErrorCode, FinishReason, Limits, Opening, Outcome, Overflow, Part, Request, Run,
    Sampled, SequenceId, Timings, Usage,
};

/// What all choices of one request share.
#[derive(Debug)]
struct Answer {
    delivery: Arc<Delivery>,
    request: Arc<Request>,
    called_at: Instant,
    admitted_at: Option<Instant>,
    first_token_at: Option<Instant>,
    completion_tokens: u64,
    dropped_tokens: u64,
    draft_tokens: u64,
    accepted_tokens: u64,
    /// Tokens of the prompt and how many of them were cached, where the engine counts them.
    read: Option<(u32, u32)>,
    /// Tokens of the prompt that the first choice did not compute.
    spared_tokens: u64,
    choices_left: u32,
    ticket: Ticket,
}

impl Answer {
    /// When it is out of time.
    fn deadline(&self) -> Option<Instant> {
        Some(self.called_at + self.request.timeout?)
    }

    /// Notes what a choice has of its prompt from others; that of the first one counts.
    fn note_spared(&mut self, index: u32, tokens: usize) {
        if index == 0 {
            self.spared_tokens = tokens as u64;
        }
    }
}

/// Decides what runs next, and what follows from what ran.
///
/// Three places a sequence can be: `waiting` (see [`Line`] for its order), `running` (holds
/// cache) and `parked` (its reader stopped reading while others waited). All three together are
/// bounded by the tickets of the inbox.
#[derive(Debug)]
pub(crate) struct Scheduler {
    limits: Limits,
    overflow: Overflow,
    waiting: Line,
    shares: FairShares,
    running: Vec<Sequence>,
    parked: Vec<Sequence>,
    answers: HashMap<u64, Answer>,
    prefixes: Prefixes,
    drafter: Drafter,
    next_sequence: u64,
    steps: u64,
    /// Sequences that ran on when the cache was full: until one of them leaves, no other joins.
    crowd: Option<usize>,
    ended: Vec<(Arc<Delivery>, Outcome)>,
    /// Answers with parts that their readers were not told of.
    news: Vec<Arc<Delivery>>,
    pub(crate) completion_tokens: u64,
    pub(crate) prompt_tokens: u64,
}

/// A sequence's share of the next step, by its place in `running`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    pub(crate) place: usize,
    pub(crate) tokens: usize,
    /// Guesses beside them.
    pub(crate) drafted: usize,
}

/// What the next step will run.
#[derive(Debug)]
pub(crate) struct Plan {
    shares: Vec<Share>,
    /// Answers whose prompt makes this step long.
    pub(crate) long: Vec<u64>,
}

impl Plan {
    pub(crate) fn is_empty(&self) -> bool {
        self.shares.is_empty()
    }

    pub(crate) fn has_drafts(&self) -> bool {
        self.shares.iter().any(|share| share.drafted > 0)
    }
}

impl Scheduler {
    pub(crate) fn new(mut limits: Limits, overflow: Overflow) -> Self {
        if overflow == Overflow::Shift {
            // Shared cells have one position each: moving those of one sequence would move another's.
            (limits.shares, limits.kept) = (false, 0);
        }
        Self {
            prefixes: Prefixes::new(&limits),
            drafter: Drafter::new(&limits),
            limits,
            overflow,
            waiting: Line::default(),
            shares: FairShares::default(),
            running: Vec::new(),
            parked: Vec::new(),
            answers: HashMap::new(),
            next_sequence: 0,
            steps: 0,
            crowd: None,
            ended: Vec::new(),
            news: Vec::new(),
            completion_tokens: 0,
            prompt_tokens: 0,
        }
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len() + self.parked.len()
    }

    pub(crate) fn running(&self) -> usize {
        self.running.len()
    }

    pub(crate) fn paused(&self) -> usize {
        self.running.iter().filter(|s| s.paused_since.is_some()).count() + self.parked.len()
    }

    /// Tokens in the cache for what runs. What was shared is counted where it was computed.
    pub(crate) fn cells_used(&self) -> usize {
        let own: usize = self.running.iter().map(|s| s.computed - s.shared).sum();
        own.min(self.limits.cells as usize)
    }

    pub(crate) fn prefixes(&self) -> &Prefixes {
        &self.prefixes
    }

    pub(crate) fn prefixes_mut(&mut self) -> &mut Prefixes {
        &mut self.prefixes
    }

    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.answers.is_empty()
    }

    /// Takes in a request: one waiting sequence a choice.
    pub(crate) fn take(&mut self, arrival: Arrival) {
        let request = Arc::new(arrival.request);
        let in_flight = self.answers.values().map(|answer| answer.request.tenant.as_deref());
        self.shares.enter(request.tenant.as_deref(), in_flight);
        for index in 0..request.choices {
            let id = SequenceId(self.next_sequence);
            self.next_sequence += 1;
            let sequence = Sequence::new(id, arrival.id, index, Arc::clone(&request));
            self.waiting.insert(sequence);
        }
        let answer = Answer {
            delivery: arrival.delivery,
            called_at: arrival.called_at,
            admitted_at: None,
            first_token_at: None,
            completion_tokens: 0,
            dropped_tokens: 0,
            draft_tokens: 0,
            accepted_tokens: 0,
            read: None,
            spared_tokens: 0,
            choices_left: request.choices,
            request,
            ticket: arrival.ticket,
        };
        self.answers.insert(arrival.id, answer);
    }

    /// Ends what was cancelled or ran out of time, and notes which readers have stopped reading.
    pub(crate) fn sweep(&mut self, now: Instant, engine: &mut dyn Engine) {
        let ended: Vec<(u64, Option<Error>)> =
            self.answers.iter().filter_map(|(&id, answer)| Some((id, verdict(answer, now)?))).collect();
        for (id, error) in ended {
            self.end_answer(id, error, now, engine);
        }
        for sequence in &mut self.running {
            let has_room = self.answers.get(&sequence.answer).is_none_or(|a| a.delivery.has_room());
            sequence.paused_since = if has_room { None } else { sequence.paused_since.or(Some(now)) };
        }
        self.wake_parked();
        if !self.waiting.is_empty() {
            self.park_for_others(engine);
        }
        self.end_unread(now, engine);
    }

    /// Parked sequences whose reader came back take their old place in the line.
    fn wake_parked(&mut self) {
        let answers = &self.answers;
        let back = |s: &mut Sequence| answers.get(&s.answer).is_some_and(|a| a.delivery.has_room());
        for mut sequence in self.parked.extract_if(.., back) {
            sequence.paused_since = None;
            self.waiting.insert(sequence);
        }
    }

    /// Paused sequences give their places to those who wait, the longest paused first.
    fn park_for_others(&mut self, engine: &mut dyn Engine) {
        loop {
            let paused = self.running.iter().enumerate().filter_map(|(i, s)| Some((s.paused_since?, i)));
            let Some((_, place)) = paused.min() else { return };
            if self.next().is_some() {
                return;
            }
            let mut sequence = self.running.swap_remove(place);
            self.prefixes.keep(&sequence, engine);
            engine.park(sequence.id);
            sequence.vacate();
            self.parked.push(sequence);
        }
    }

    /// Ends answers that nobody has read for too long and whose place was needed by others.
    fn end_unread(&mut self, now: Instant, engine: &mut dyn Engine) {
        let late: Vec<u64> = self
            .parked
            .iter()
            .filter(|s| {
                s.paused_since.is_some_and(|since| now.duration_since(since) >= s.request.reader_timeout)
            })
            .map(|s| s.answer)
            .collect();
        for id in late {
            let error = Error::new(
                ErrorCode::DeadlineExceeded,
                "the answer was left unread for longer than reader_timeout_ms while others waited",
            );
            self.end_answer(id, Some(error), now, engine);
        }
    }

    /// Who is first in the line, if there is a place for them: nobody is overtaken for being large.
    fn next(&self) -> Option<&Sequence> {
        let places = self.crowd.unwrap_or(usize::MAX).min(self.limits.sequences as usize);
        if self.running.len() >= places {
            return None;
        }
        let first = self.waiting.first(&self.shares)?;
        let reserved: u32 = self.running.iter().map(|s| s.reserved).fold(0, u32::saturating_add);
        let fits = reserved.saturating_add(first.cells_needed(self.most_cells())) <= self.limits.cells;
        fits.then_some(first)
    }

    /// Most cells that are set aside for one sequence: what needs more than all is tried alone.
    fn most_cells(&self) -> u32 {
        self.limits.context.min(self.limits.cells)
    }

    /// Gives free places to those who wait, in their order.
    pub(crate) fn admit(&mut self, now: Instant, engine: &mut dyn Engine) {
        while let Some(place) = self.next().map(Sequence::place_in_line) {
            let Some(mut sequence) = self.waiting.remove(place) else { return };
            let answer = sequence.answer;
            if !sequence.opened {
                self.shares.charge(&sequence.request.tenant, sequence.pending());
            }
            if let Err(error) = open(&mut sequence, engine) {
                self.end_answer(answer, Some(error), now, engine);
                continue;
            }
            sequence.reserved = sequence.cells_needed(self.most_cells());
            // A newcomer is no longer waiting than those who ran in the last step.
            sequence.last_step = self.steps;
            self.crowd = None;
            self.prefixes.join(&mut sequence, &self.running, engine);
            self.running.push(sequence);
            if let Some(answer) = self.answers.get_mut(&answer) {
                answer.admitted_at.get_or_insert(now);
            }
        }
    }

    /// Lets those who wait for the computations of others have what there is of them.
    pub(crate) fn follow(&mut self, engine: &mut dyn Engine) {
        self.prefixes.follow(&mut self.running, engine);
    }

    /// Packs the next step: a token of every answer under way, then as much waiting prompt as fits.
    /// Sequences under other adapters than the longest waiting one's stay for a later step.
    pub(crate) fn schedule(&mut self) -> Plan {
        let mut shares = Vec::new();
        let mut long = Vec::new();
        let takes_part = |s: &Sequence| s.paused_since.is_none() && s.follows.is_none();
        let ready = || self.running.iter().enumerate().filter(|(_, s)| takes_part(s));
        if let Some((_, lead)) = ready().min_by_key(|(_, s)| (s.last_step, s.id)) {
            let with_lead = || ready().filter(|(_, s)| s.request.adapters == lead.request.adapters);
            let mut budget = self.limits.batch as usize;
            for (place, sequence) in with_lead().filter(|(_, s)| s.is_decoding()).take(budget) {
                shares.push(Share { place, tokens: 1, drafted: 0 });
                if self.limits.worth_stopping <= 1 {
                    long.push(sequence.answer);
                }
            }
            budget -= shares.len();
            let mut prefills: Vec<_> = with_lead().filter(|(_, s)| !s.is_decoding()).collect();
            prefills.sort_by_key(|(_, s)| s.place_in_line());
            for (place, sequence) in prefills {
                let tokens = sequence.next_stretch(budget);
                if tokens == 0 {
                    break;
                }
                budget = budget.saturating_sub(tokens);
                shares.push(Share { place, tokens, drafted: 0 });
                if tokens >= self.limits.worth_stopping as usize {
                    long.push(sequence.answer);
                }
            }
        }
        Plan { shares, long }
    }

    /// Adds to the next step what its sequences guess of the tokens after it.
    pub(crate) fn speculate(&mut self, plan: &mut Plan, engine: &mut dyn Engine) {
        let answers = &self.answers;
        let room = |s: &Sequence| answers.get(&s.answer).map_or(0, |answer| answer.delivery.room());
        self.drafter.draft(&mut plan.shares, &mut self.running, &room, engine);
    }

    pub(crate) fn drafter(&mut self) -> &mut Drafter {
        &mut self.drafter
    }

    /// The batch of a plan. Valid until the scheduler changes.
    pub(crate) fn batch(&self, plan: &Plan, now: Instant) -> Batch<'_> {
        let members = || plan.shares.iter().filter_map(|share| Some((self.running.get(share.place)?, share)));
        let until =
            members().filter_map(|(sequence, _)| self.answers.get(&sequence.answer)?.deadline()).min();
        Batch {
            runs: members()
                .map(|(sequence, share)| sequence.run(share.tokens, share.drafted))
                .collect::<Vec<Run<'_>>>(),
            adapters: members().next().map(|(s, _)| s.request.adapters.clone()).unwrap_or_default(),
            time_left: until.map(|at| at.saturating_duration_since(now)),
        }
    }

    pub(crate) fn is_cancelled(&self, plan: &Plan) -> bool {
        plan.long.iter().any(|id| self.answers.get(id).is_some_and(|a| a.delivery.is_cancelled()))
    }

    /// Notes what a finished step brought.
    pub(crate) fn settle(&mut self, plan: &Plan, events: Vec<Event>, now: Instant, engine: &mut dyn Engine) {
        self.steps += 1;
        for share in &plan.shares {
            let Some(sequence) = self.running.get_mut(share.place) else { continue };
            if !sequence.is_decoding() {
                self.prompt_tokens += share.tokens as u64;
            }
            sequence.advance(share.tokens);
            sequence.last_step = self.steps;
            self.drafter.drafted += share.drafted as u64;
            if let Some(answer) = self.answers.get_mut(&sequence.answer) {
                answer.draft_tokens += share.drafted as u64;
            }
        }
        for event in events {
            match event {
                Event::Token { sequence, token, bytes, end, logprob } => {
                    let sampled = Sampled { token, bytes: &bytes, end, logprob };
                    self.accept(sequence, sampled, now, engine);
                }
                Event::Prompt { sequence, tokens, cached } => {
                    let answer = self.find(sequence).map(|s| s.answer);
                    if let Some(answer) = answer.and_then(|id| self.answers.get_mut(&id)) {
                        answer.read = Some((tokens, cached));
                    }
                }
                Event::Full { sequence } => {
                    let parts = self.find(sequence).and_then(Sequence::flush).into_iter().collect();
                    self.deliver(sequence, parts, Some(FinishReason::Length), 0, now, engine);
                }
                Event::Failed { sequence, error } => {
                    if let Some(answer) = self.find(sequence).map(|s| s.answer) {
                        self.end_answer(answer, Some(error), now, engine);
                    }
                }
            }
        }
        self.end_silent(now, engine);
    }

    /// Ends answers that wait for a token the engine was asked for and did not give.
    fn end_silent(&mut self, now: Instant, engine: &mut dyn Engine) {
        let silent: Vec<u64> = self.running.iter().filter(|s| s.pending() == 0).map(|s| s.answer).collect();
        for id in silent {
            let error = Error::new(ErrorCode::EngineFailed, "the engine chose no token");
            self.end_answer(id, Some(error), now, engine);
        }
    }

    fn find(&mut self, id: SequenceId) -> Option<&mut Sequence> {
        self.running.iter_mut().find(|s| s.id == id)
    }

    fn accept(&mut self, id: SequenceId, sampled: Sampled<'_>, now: Instant, engine: &mut dyn Engine) {
        let (overflow, limit) = (self.overflow, self.limits.context);
        let Some(sequence) = self.find(id) else { return };
        let context = if sequence.shifts(overflow) { u32::MAX } else { limit };
        let (answer, guessed) = (sequence.answer, u64::from(sequence.follow_guess()));
        let before = sequence.completion_tokens();
        let (parts, finish) = sequence.accept(sampled, context);
        let made = (sequence.completion_tokens() - before) as u64;
        self.drafter.accepted += guessed;
        if let Some(answer) = self.answers.get_mut(&answer) {
            answer.accepted_tokens += guessed;
        }
        self.deliver(id, parts, finish, made, now, engine);
    }

    /// Hands over what a step brought for a sequence, `made` tokens, and ends it if there is a reason to.
    fn deliver(
        &mut self,
        id: SequenceId,
        parts: Vec<Part>,
        finish: Option<FinishReason>,
        made: u64,
        now: Instant,
        engine: &mut dyn Engine,
    ) {
        let Some(sequence) = self.find(id) else { return };
        let (index, answer_id, spared) = (sequence.index, sequence.answer, sequence.spared);
        self.completion_tokens += made;
        let Some(answer) = self.answers.get_mut(&answer_id) else { return };
        answer.first_token_at.get_or_insert(now);
        answer.completion_tokens += made;
        self.shares.charge(&answer.request.tenant, usize::try_from(made).unwrap_or(usize::MAX));
        answer.note_spared(index, spared);
        for part in parts {
            if answer.delivery.push(part)
                && !self.news.iter().any(|other| Arc::ptr_eq(other, &answer.delivery))
            {
                self.news.push(Arc::clone(&answer.delivery));
            }
        }
        let Some(reason) = finish else { return self.make_room(id, now, engine) };
        answer.delivery.end_choice(index, reason);
        answer.choices_left -= 1;
        answer.ticket.give_one_back();
        let done = answer.choices_left == 0;
        for sequence in self.running.extract_if(.., |s| s.id == id) {
            self.prefixes.keep(&sequence, engine);
        }
        engine.release(id);
        if done {
            self.end_answer(answer_id, None, now, engine);
        }
    }

    /// Drops tokens of a sequence that has filled the context and is to go on.
    fn make_room(&mut self, id: SequenceId, now: Instant, engine: &mut dyn Engine) {
        let (overflow, context) = (self.overflow, self.limits.context);
        let Some(sequence) = self.find(id).filter(|sequence| sequence.shifts(overflow)) else { return };
        let Some((from, count)) = sequence.to_drop(context) else { return };
        let answer = sequence.answer;
        if engine.shift(id, from, count) {
            sequence.drop_tokens(from, count);
            if let Some(answer) = self.answers.get_mut(&answer) {
                answer.dropped_tokens += u64::from(count);
            }
        } else {
            let error =
                Error::new(ErrorCode::EngineFailed, "the engine could not drop tokens of a full context");
            self.end_answer(answer, Some(error), now, engine);
        }
    }

    /// Ends an answer with all its sequences; without an error, what is not finished is cancelled.
    pub(crate) fn end_answer(
        &mut self,
        id: u64,
        error: Option<Error>,
        now: Instant,
        engine: &mut dyn Engine,
    ) {
        let Some(mut answer) = self.answers.remove(&id) else { return };
        let is_sound = error.as_ref().is_none_or(|error| error.code == ErrorCode::DeadlineExceeded);
        let mut left: Vec<Sequence> = self.running.extract_if(.., |s| s.answer == id).collect();
        left.extend(self.parked.extract_if(.., |s| s.answer == id));
        left.extend(self.waiting.take_answer(id));
        for mut sequence in left {
            if let Some(part) = sequence.flush() {
                answer.delivery.push(part);
            }
            answer.note_spared(sequence.index, sequence.spared);
            if is_sound {
                self.prefixes.keep(&sequence, engine);
            }
            if sequence.opened {
                engine.release(sequence.id);
            }
        }
        let outcome = outcome(&answer, error, now);
        // Whoever sees the end may ask again at once, so the places are free before.
        drop(answer.ticket);
        self.ended.push((answer.delivery, outcome));
    }

    /// Tells the readers of what there is to take.
    pub(crate) fn tell_news(&mut self) {
        for delivery in self.news.drain(..) {
            delivery.announce();
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        !self.ended.is_empty()
    }

    /// Answers that have ended and do not know it yet: they are told once the figures of the model
    /// no longer count them.
    pub(crate) fn take_ended(&mut self) -> Vec<(Arc<Delivery>, Outcome)> {
        std::mem::take(&mut self.ended)
    }

    /// Ends every answer. `error` of `None` means cancelled.
    pub(crate) fn end_all(&mut self, error: Option<&Error>, now: Instant, engine: &mut dyn Engine) {
        self.prefixes.close(engine);
        let ids: Vec<u64> = self.answers.keys().copied().collect();
        for id in ids {
            self.end_answer(id, error.cloned(), now, engine);
        }
    }

    /// The answers of a plan, for a step that failed as a whole.
    pub(crate) fn end_plan(&mut self, plan: &Plan, error: &Error, now: Instant, engine: &mut dyn Engine) {
        let ids: Vec<u64> =
            plan.shares.iter().filter_map(|share| Some(self.running.get(share.place)?.answer)).collect();
        for id in ids {
            self.end_answer(id, Some(error.clone()), now, engine);
        }
    }

    /// Makes room for a step after the cache turned out full, from what ended sequences left in it. False if
    /// there is nothing of that.
    pub(crate) fn evict(&mut self, plan: &Plan, engine: &mut dyn Engine) -> bool {
        self.prefixes.evict(plan.shares.iter().map(|share| share.tokens + share.drafted).sum(), engine)
    }

    /// Makes room after the cache turned out full: of the lowest priority the youngest sequence starts again
    /// later. False if there is only one, which then cannot be helped.
    pub(crate) fn yield_cells(&mut self, engine: &mut dyn Engine) -> bool {
        if self.running.len() < 2 {
            return false;
        }
        let last = self.running.iter().enumerate().max_by_key(|(_, s)| s.place_in_line());
        let Some((place, _)) = last else { return false };
        let mut sequence = self.running.swap_remove(place);
        engine.park(sequence.id);
        sequence.vacate();
        self.waiting.insert(sequence);
        self.crowd = Some(self.running.len());
        true
    }

    /// How long nothing can change unless something arrives.
    pub(crate) fn sleep(&self, now: Instant) -> Option<Duration> {
        let unread = self.parked.iter().filter_map(|s| Some(s.paused_since? + s.request.reader_timeout));
        let deadlines = self.answers.values().filter_map(Answer::deadline);
        deadlines.chain(unread).min().map(|at| at.saturating_duration_since(now))
    }
}

/// What a step brought for one sequence.
#[derive(Debug)]
pub(crate) enum Event {
    Token {
        sequence: SequenceId,
        token: crate::Token,
        bytes: Vec<u8>,
        end: bool,
        logprob: Option<crate::TokenLogprob>,
    },
    Prompt {
        sequence: SequenceId,
        tokens: u32,
        cached: u32,
    },
    Full {
        sequence: SequenceId,
    },
    Failed {
        sequence: SequenceId,
        error: Error,
    },
}

fn open(sequence: &mut Sequence, engine: &mut dyn Engine) -> Result<(), Error> {
    if sequence.opened {
        return Ok(());
    }
    let mut sampling = sequence.request.sampling.clone();
    sampling.seed = sampling.seed.wrapping_add(sequence.index);
    let request = &sequence.request;
    let opening = Opening {
        sampling: &sampling,
        prompt: &request.prompt,
        logprobs: request.logprobs,
        candidates: &request.candidates,
        max_tokens: request.max_tokens,
        media: &request.media,
        native: request.native.as_deref(),
    };
    engine.open(sequence.id, opening)?;
    sequence.opened = true;
    Ok(())
}

/// Whether an answer must end now: `Some(None)` is cancelled.
fn verdict(answer: &Answer, now: Instant) -> Option<Option<Error>> {
    if answer.delivery.is_cancelled() {
        return Some(None);
    }
    let timeout = answer.request.timeout?;
    (now.duration_since(answer.called_at) >= timeout).then(|| {
        let message = format!("not finished within timeout_ms ({} ms)", timeout.as_millis());
        Some(Error::new(ErrorCode::DeadlineExceeded, message))
    })
}

fn outcome(answer: &Answer, error: Option<Error>, now: Instant) -> Outcome {
    let admitted = answer.admitted_at.unwrap_or(now);
    let first = answer.first_token_at.unwrap_or(now);
    let prompt = answer.request.prompt.len() as u64;
    let read = answer.read.map(|(prompt, cached)| (u64::from(prompt), u64::from(cached)));
    let (prompt, cached) = read.unwrap_or((prompt, answer.spared_tokens));
    Outcome {
        error,
        usage: Usage {
            prompt_tokens: prompt,
            completion_tokens: answer.completion_tokens,
            cached_tokens: cached,
            reasoning_tokens: 0,
            dropped_tokens: answer.dropped_tokens,
            draft_tokens: answer.draft_tokens,
            accepted_tokens: answer.accepted_tokens,
        },
        timings: Timings {
            queue: admitted.duration_since(answer.called_at),
            prefill: first.duration_since(admitted),
            first_token: first.duration_since(answer.called_at),
            decode: now.duration_since(first),
        },
    }
}
