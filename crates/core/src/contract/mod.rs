//! What every engine must do: a set of checks that each engine's tests run on a real instance.
//!
//! ```
//! use rkllmjs_core::contract::{ContractInput, engine_contract};
//! use rkllmjs_core::scripted::{Gate, ScriptedEngine};
//!
//! let input = ContractInput { prompts: vec![vec![1, 2, 3], vec![20, 21, 22, 23]], answer_tokens: 8 };
//! let result = engine_contract(
//!     &mut || Box::new(ScriptedEngine::new(ScriptedEngine::small(), Gate::open())),
//!     &input,
//! );
//! assert_eq!(result, Ok(()));
//! ```

mod saving;
mod sharing;
mod speculating;

use crate::{
    Batch, Constraint, Engine, Error, ErrorCode, GenerateOptions, Limits, Opening, Run, Sampled, Sampling,
    SequenceId, Sink, StepOutcome, Token, TokenLogprob,
};

/// Where the two best logits are closer than this, a batch may tip the balance: kernels add up in
/// another order.
const NEAR_TIE: f32 = 0.05;

/// What the checks feed an engine.
#[derive(Debug, Clone)]
pub struct ContractInput {
    /// At least two prompts of at least three tokens, each with room for `answer_tokens` more in
    /// the context; all of them together fit a batch.
    pub prompts: Vec<Vec<Token>>,
    /// How many tokens to continue each prompt with, at least three. The engine's greedy answers
    /// should be longer than that.
    pub answer_tokens: usize,
}

type Check = fn(&mut dyn Engine, &ContractInput) -> Result<(), String>;

const CHECKS: [(&str, Check); 25] = [
    ("limits agree with each other", limits_agree),
    ("a step samples the runs that asked and no others", samples_what_was_asked),
    ("a prompt in stretches equals a whole one", chunks_equal_whole),
    ("sequences in one batch equal each alone", batch_equals_alone),
    ("a parked sequence continues the same", parked_continues),
    ("the same seed makes the same answer", same_seed_same_answer),
    ("as many sequences as promised run at once, and leave room again", release_frees_room),
    ("a batch as large as promised works", largest_batch),
    ("a sequence may be as long as promised", longest_sequence),
    ("a shared prefix continues as one computed alone", sharing::shared_continues),
    ("what was shared outlives whom it came from", sharing::shared_outlives),
    ("as many prefixes as promised are kept beside the sequences", sharing::kept_as_promised),
    ("what is not there is not shared", sharing::nothing_is_not_shared),
    ("what was saved continues as before", saving::saved_continues),
    ("what was restored is shared like any other", saving::restored_is_shared),
    ("what is nothing that was saved is refused", saving::garbage_is_refused),
    ("drafts, right or wrong, change no answer", speculating::drafts_change_nothing),
    ("a stopped step leaves everything as it was", stopped_step_changes_nothing),
    ("a switch that was reset stops nothing", reset_switch),
    ("unknown sequences are released and parked without harm", unknown_is_harmless),
    ("a run of an unknown sequence is an error", unknown_run_is_an_error),
    ("a grammar is followed or refused", grammar_is_followed_or_refused),
    ("a constraint is followed or refused", constraint_is_followed_or_refused),
    ("log probabilities come when asked for", logprobs_when_asked),
    ("candidates are weighed or refused", candidates_are_weighed_or_refused),
];

/// Runs every check, each on an engine of its own.
///
/// # Errors
///
/// The checks that failed, a line each.
pub fn engine_contract(
    make: &mut dyn FnMut() -> Box<dyn Engine>,
    input: &ContractInput,
) -> Result<(), String> {
    if input.prompts.len() < 2 || input.answer_tokens < 3 || input.prompts.iter().any(|p| p.len() < 3) {
        return Err("the contract needs two prompts of three tokens, and three tokens to answer".to_owned());
    }
    let failures: Vec<String> = CHECKS
        .iter()
        .filter_map(|(name, check)| check(make().as_mut(), input).err().map(|why| format!("{name}: {why}")))
        .collect();
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

/// A token as a step gave it.
#[derive(Debug, Clone, PartialEq)]
struct Made {
    token: Token,
    bytes: Vec<u8>,
    end: bool,
    logprob: Option<TokenLogprob>,
}

impl Made {
    /// Whether another choice would have been as good within what kernels differ in.
    fn is_near_tie(&self) -> bool {
        let top = self.logprob.as_ref().map(|logprob| logprob.top.as_slice());
        matches!(top, Some([first, second, ..]) if first.logprob - second.logprob < NEAR_TIE)
    }
}

/// Everything that a step gave.
#[derive(Debug, Default)]
struct Gathered {
    made: Vec<(SequenceId, Made)>,
    failed: Vec<(SequenceId, Error)>,
}

impl Sink for Gathered {
    fn token(&mut self, sequence: SequenceId, sampled: Sampled<'_>) {
        let Sampled { token, bytes, end, logprob } = sampled;
        self.made.push((sequence, Made { token, bytes: bytes.to_vec(), end, logprob }));
    }

    fn failed(&mut self, sequence: SequenceId, error: Error) {
        self.failed.push((sequence, error));
    }
}

impl Gathered {
    /// The one token of `sequence`.
    fn only(&self, sequence: SequenceId) -> Result<Made, String> {
        let mut made = self.made.iter().filter(|(id, _)| *id == sequence);
        match (made.next(), made.next()) {
            (Some((_, made)), None) => Ok(made.clone()),
            (None, _) => Err(format!("sequence {} got no token", sequence.0)),
            _ => Err(format!("sequence {} got several tokens in one step", sequence.0)),
        }
    }
}

fn sampling(engine: &dyn Engine, options: &GenerateOptions) -> Result<Sampling, String> {
    let built = options.build(&engine.limits().options, u32::MAX, 0);
    built.map(|request| request.sampling).map_err(|error| error.to_string())
}

fn greedy(engine: &dyn Engine) -> Result<Sampling, String> {
    sampling(engine, &GenerateOptions { temperature: Some(0.0), ..GenerateOptions::default() })
}

fn can_choose(engine: &dyn Engine, option: &str) -> bool {
    engine.limits().options.can_choose(option)
}

fn opening<'a>(sampling: &'a Sampling, prompt: &'a [Token], logprobs: Option<u32>) -> Opening<'a> {
    Opening { sampling, prompt, logprobs, candidates: &[], max_tokens: None, media: &[], native: None }
}

/// Opens a sequence, with the log probabilities that tell a near tie where the engine has them.
fn open(
    engine: &mut dyn Engine,
    id: u64,
    sampling: &Sampling,
    prompt: &[Token],
) -> Result<SequenceId, String> {
    let sequence = SequenceId(id);
    let logprobs = can_choose(engine, "logprobs").then_some(2);
    let opened = engine.open(sequence, opening(sampling, prompt, logprobs));
    opened.map_err(|error| format!("open failed: {error}"))?;
    Ok(sequence)
}

fn open_greedy(engine: &mut dyn Engine, id: u64, prompt: &[Token]) -> Result<SequenceId, String> {
    let greedy = greedy(engine)?;
    open(engine, id, &greedy, prompt)
}

/// A step that must succeed.
fn step(engine: &mut dyn Engine, runs: Vec<Run<'_>>) -> Result<Gathered, String> {
    let batch = Batch { runs, adapters: Vec::new(), ..Batch::default() };
    let mut gathered = Gathered::default();
    match engine.step(&batch, &mut gathered) {
        Ok(StepOutcome::Done) => {}
        Ok(other) => return Err(format!("a step ended {other:?}")),
        Err(error) => return Err(format!("a step failed: {error}")),
    }
    match gathered.failed.first() {
        Some((sequence, error)) => Err(format!("sequence {} failed: {error}", sequence.0)),
        None => Ok(gathered),
    }
}

fn run(sequence: SequenceId, start: usize, tokens: &[Token], sample: bool) -> Run<'_> {
    Run { sequence, start: u32::try_from(start).unwrap_or(u32::MAX), tokens, sample, drafted: 0 }
}

/// Computes `tokens` from `start` in stretches of at most `most`, and samples after the last.
fn compute(
    engine: &mut dyn Engine,
    sequence: SequenceId,
    tokens: &[Token],
    start: usize,
    most: usize,
) -> Result<Made, String> {
    let mut at = start;
    for stretch in tokens.get(start..).unwrap_or_default().chunks(most.max(1)) {
        let end = at + stretch.len();
        let gathered = step(engine, vec![run(sequence, at, stretch, end == tokens.len())])?;
        if end == tokens.len() {
            return gathered.only(sequence);
        }
        at = end;
    }
    Err("nothing to compute".to_owned())
}

/// Computes `prompt` and continues it to `length` tokens, or to its end.
fn continued(
    engine: &mut dyn Engine,
    sequence: SequenceId,
    prompt: &[Token],
    length: usize,
) -> Result<Vec<Made>, String> {
    continued_from(engine, sequence, prompt, 0, length)
}

/// Continues `prompt` greedily from where the cache of `sequence` ends.
fn continued_from(
    engine: &mut dyn Engine,
    sequence: SequenceId,
    prompt: &[Token],
    start: usize,
    length: usize,
) -> Result<Vec<Made>, String> {
    let most = engine.limits().batch as usize;
    let mut tokens = prompt.to_vec();
    let mut answer = vec![compute(engine, sequence, &tokens, start, most)?];
    while let Some(last) = answer.last().filter(|made| !made.end && answer.len() < length) {
        tokens.push(last.token);
        answer.push(compute(engine, sequence, &tokens, tokens.len() - 1, most)?);
    }
    Ok(answer)
}

/// Opens a sequence, continues `prompt` greedily and releases it.
fn alone(engine: &mut dyn Engine, id: u64, prompt: &[Token], length: usize) -> Result<Vec<Made>, String> {
    let sequence = open_greedy(engine, id, prompt)?;
    let answer = continued(engine, sequence, prompt, length)?;
    engine.release(sequence);
    Ok(answer)
}

/// Compares greedy answers up to the first place where either choice was a near tie.
fn same(what: &str, expected: &[Made], got: &[Made]) -> Result<(), String> {
    for (place, (expected, got)) in expected.iter().zip(got).enumerate() {
        if expected.token == got.token && expected.end == got.end && expected.bytes == got.bytes {
            continue;
        }
        if expected.is_near_tie() || got.is_near_tie() {
            return Ok(());
        }
        return Err(format!(
            "{what}: token {place} of the answer is {} instead of {}",
            got.token, expected.token
        ));
    }
    if expected.len() == got.len() {
        return Ok(());
    }
    Err(format!("{what}: {} tokens instead of {}", got.len(), expected.len()))
}

fn limits_agree(engine: &mut dyn Engine, _: &ContractInput) -> Result<(), String> {
    let limits = engine.limits();
    let &Limits { sequences, context, cells, batch, .. } = limits;
    if sequences == 0 || context < 2 {
        return Err(format!("{sequences} sequences of {context} tokens can answer nothing"));
    }
    if batch < sequences {
        return Err(format!("a batch of {batch} has no token for each of {sequences} sequences"));
    }
    if cells < context {
        return Err(format!("{cells} cells do not hold a context of {context}"));
    }
    if limits.kept > 0 && !limits.shares {
        return Err(format!("{} prefixes are kept and never shared", limits.kept));
    }
    Ok(())
}

fn samples_what_was_asked(engine: &mut dyn Engine, input: &ContractInput) -> Result<(), String> {
    let [first, second, ..] = input.prompts.as_slice() else { return Ok(()) };
    if engine.limits().sequences < 2 {
        return Ok(());
    }
    let asks = open_greedy(engine, 1, first)?;
    let asks_not = open_greedy(engine, 2, second)?;
    let idle = open_greedy(engine, 3, second)?;
    let (most, last) = second.split_at(second.len() - 1);
    let gathered = step(engine, vec![run(asks, 0, first, true), run(asks_not, 0, most, false)])?;
    let next = gathered.only(asks)?;
    if gathered.made.len() != 1 {
        return Err(format!("a step that asked for one sample gave {}", gathered.made.len()));
    }
    let decoded = [next.token];
    let gathered =
        step(engine, vec![run(asks_not, most.len(), last, true), run(asks, first.len(), &decoded, false)])?;
    gathered.only(asks_not)?;
    if gathered.made.len() != 1 {
        return Err(format!("a step that asked for one sample gave {}", gathered.made.len()));
    }
    [asks, asks_not, idle].into_iter().for_each(|sequence| engine.release(sequence));
    Ok(())
}

fn chunks_equal_whole(engine: &mut dyn Engine, input: &ContractInput) -> Result<(), String> {
    let most = engine.limits().batch as usize;
    for (id, prompt) in (0..).step_by(8).zip(&input.prompts) {
        let whole = open_greedy(engine, id, prompt)?;
        let expected = [compute(engine, whole, prompt, 0, most)?];
        engine.release(whole);
        for (id, stretch) in (id + 1..).zip([1, 2, prompt.len() - 1]) {
            let sequence = open_greedy(engine, id, prompt)?;
            let got = [compute(engine, sequence, prompt, 0, stretch.min(most))?];
            engine.release(sequence);
            same(&format!("stretches of {stretch}"), &expected, &got)?;
        }
    }
    Ok(())
}

/// Continues several prompts in common batches.
fn together(
    engine: &mut dyn Engine,
    first_id: u64,
    prompts: &[&[Token]],
    length: usize,
) -> Result<Vec<Vec<Made>>, String> {
    let mut members = Vec::new();
    for (id, prompt) in (first_id..).zip(prompts) {
        members.push((open_greedy(engine, id, prompt)?, prompt.to_vec(), 0, Vec::<Made>::new()));
    }
    loop {
        let runs: Vec<Run<'_>> = members
            .iter()
            .filter(|(.., answer)| answer.len() < length && !answer.last().is_some_and(|made| made.end))
            .map(|(id, tokens, computed, _)| {
                run(*id, *computed, tokens.get(*computed..).unwrap_or_default(), true)
            })
            .collect();
        if runs.is_empty() {
            break;
        }
        let stepped: Vec<SequenceId> = runs.iter().map(|run| run.sequence).collect();
        let gathered = step(engine, runs)?;
        for (id, tokens, computed, answer) in &mut members {
            if stepped.contains(id) {
                let made = gathered.only(*id)?;
                *computed = tokens.len();
                tokens.push(made.token);
                answer.push(made);
            }
        }
    }
    members.iter().for_each(|(id, ..)| engine.release(*id));
    Ok(members.into_iter().map(|(.., answer)| answer).collect())
}

fn batch_equals_alone(engine: &mut dyn Engine, input: &ContractInput) -> Result<(), String> {
    let at_once = input.prompts.len().min(engine.limits().sequences as usize);
    let prompts: Vec<&[Token]> = input.prompts.iter().take(at_once).map(Vec::as_slice).collect();
    let mut expected = Vec::new();
    for (id, prompt) in (0..).zip(&prompts) {
        expected.push(alone(engine, id, prompt, input.answer_tokens)?);
    }
    let got = together(engine, 1000, &prompts, input.answer_tokens)?;
    let mut pairs = expected.iter().zip(&got).enumerate();
    pairs.try_for_each(|(prompt, (expected, got))| same(&format!("prompt {prompt}"), expected, got))
}

fn parked_continues(engine: &mut dyn Engine, input: &ContractInput) -> Result<(), String> {
    let most = engine.limits().batch as usize;
    for (id, prompt) in (0..).step_by(2).zip(&input.prompts) {
        let expected = alone(engine, id, prompt, input.answer_tokens)?;
        let sequence = open_greedy(engine, id + 1, prompt)?;
        engine.park(sequence);
        let half = expected.len().div_ceil(2);
        let mut got = continued(engine, sequence, prompt, half)?;
        engine.park(sequence);
        engine.park(sequence);
        let mut tokens = prompt.clone();
        tokens.extend(got.iter().map(|made| made.token));
        let mut start = 0;
        while got.len() < expected.len() && !got.last().is_some_and(|made| made.end) {
            got.push(compute(engine, sequence, &tokens, start, most)?);
            start = tokens.len();
            tokens.extend(got.last().map(|made| made.token));
        }
        engine.release(sequence);
        same("after a break", &expected, &got)?;
    }
    Ok(())
}

fn same_seed_same_answer(engine: &mut dyn Engine, input: &ContractInput) -> Result<(), String> {
    if !can_choose(engine, "seed") {
        return Ok(());
    }
    let options = GenerateOptions { temperature: Some(1.0), seed: Some(42.0), ..GenerateOptions::default() };
    let sampling = sampling(engine, &options)?;
    let Some(prompt) = input.prompts.first() else { return Ok(()) };
    let mut answers = Vec::new();
    for id in [1, 2] {
        let sequence = open(engine, id, &sampling, prompt)?;
        answers.push(continued(engine, sequence, prompt, input.answer_tokens)?);
        engine.release(sequence);
    }
    let tokens: Vec<Vec<Token>> =
        answers.iter().map(|answer| answer.iter().map(|made| made.token).collect()).collect();
    match tokens.as_slice() {
        [first, second] if first != second => Err(format!("{second:?} instead of {first:?}")),
        _ => Ok(()),
    }
}

fn release_frees_room(engine: &mut dyn Engine, input: &ContractInput) -> Result<(), String> {
    let limits = engine.limits().clone();
    // Short prompts, so that all sequences fit the batch and the cache at once.
    let room = limits.cells.min(limits.batch) / limits.sequences.max(1);
    let Some(prompt) = input.prompts.first() else { return Ok(()) };
    let prompt = prompt.get(..prompt.len().min(room as usize).max(1)).unwrap_or_default();
    let mut next_id = 0;
    let mut expected: Option<Made> = None;
    for round in 0..3 {
        let mut sequences = Vec::new();
        for _ in 0..limits.sequences {
            sequences.push(open_greedy(engine, next_id, prompt)?);
            next_id += 1;
        }
        let runs = sequences.iter().map(|&sequence| run(sequence, 0, prompt, true)).collect();
        let gathered = step(engine, runs).map_err(|why| format!("in round {round}: {why}"))?;
        for &sequence in &sequences {
            let made = gathered.only(sequence)?;
            let expected = expected.get_or_insert_with(|| made.clone());
            same(&format!("round {round}"), std::slice::from_ref(expected), &[made])?;
        }
        sequences.into_iter().for_each(|sequence| engine.release(sequence));
    }
    Ok(())
}

fn largest_batch(engine: &mut dyn Engine, input: &ContractInput) -> Result<(), String> {
    let limits = engine.limits().clone();
    let Some(pattern) = input.prompts.first() else { return Ok(()) };
    let longest = limits.context as usize - 1;
    let mut left = limits.batch.min(limits.cells) as usize;
    let mut prompts: Vec<Vec<Token>> = Vec::new();
    while left > 0 && prompts.len() < limits.sequences as usize {
        let length = left.min(longest);
        prompts.push(pattern.iter().copied().cycle().take(length).collect());
        left -= length;
    }
    let mut sequences = Vec::new();
    for (id, prompt) in (0..).zip(&prompts) {
        sequences.push(open_greedy(engine, id, prompt)?);
    }
    let runs = sequences.iter().zip(&prompts).map(|(&id, prompt)| run(id, 0, prompt, true)).collect();
    let gathered = step(engine, runs)?;
    for sequence in sequences {
        gathered.only(sequence)?;
        engine.release(sequence);
    }
    Ok(())
}

fn longest_sequence(engine: &mut dyn Engine, input: &ContractInput) -> Result<(), String> {
    let limits = engine.limits().clone();
    let Some(pattern) = input.prompts.first() else { return Ok(()) };
    // The last token of a full context is made but never computed.
    let tokens: Vec<Token> =
        pattern.iter().copied().cycle().take(limits.context.min(limits.cells) as usize - 1).collect();
    let sequence = open_greedy(engine, 1, &tokens)?;
    compute(engine, sequence, &tokens, 0, limits.batch as usize)?;
    engine.release(sequence);
    Ok(())
}

fn stopped_step_changes_nothing(engine: &mut dyn Engine, input: &ContractInput) -> Result<(), String> {
    let [first, second, ..] = input.prompts.as_slice() else { return Ok(()) };
    if !engine.limits().rolls_back || engine.limits().sequences < 2 {
        return Ok(());
    }
    let expected_first = alone(engine, 1, first, 3)?;
    let expected_second = alone(engine, 2, second, 1)?;
    let decoding = open_greedy(engine, 3, first)?;
    let mut answer = continued(engine, decoding, first, 1)?;
    let prefilling = open_greedy(engine, 4, second)?;
    let (begin, rest) = second.split_at(1);
    step(engine, vec![run(prefilling, 0, begin, false)])?;
    let last = [answer.last().map_or(0, |made| made.token)];
    if answer.last().is_none_or(|made| made.end) {
        return Err("the first prompt's answer ends at once: choose another".to_owned());
    }
    let runs = || vec![run(decoding, first.len(), &last, true), run(prefilling, 1, rest, true)];
    let switch = engine.abort_switch();
    switch.throw();
    let mut gathered = Gathered::default();
    let outcome =
        engine.step(&Batch { runs: runs(), adapters: Vec::new(), ..Batch::default() }, &mut gathered);
    switch.reset();
    let gathered = match outcome {
        Ok(StepOutcome::Aborted) if gathered.made.is_empty() && gathered.failed.is_empty() => {
            step(engine, runs())?
        }
        Ok(StepOutcome::Aborted) => return Err("a stopped step gave tokens".to_owned()),
        // It was done before it looked.
        Ok(StepOutcome::Done) => gathered,
        other => return Err(format!("a stopped step ended {other:?}")),
    };
    answer.push(gathered.only(decoding)?);
    same("the one that continued", expected_first.get(..answer.len()).unwrap_or_default(), &answer)?;
    same("the one that began", &expected_second, &[gathered.only(prefilling)?])?;
    engine.release(decoding);
    engine.release(prefilling);
    Ok(())
}

fn reset_switch(engine: &mut dyn Engine, input: &ContractInput) -> Result<(), String> {
    let switch = engine.abort_switch();
    switch.throw();
    switch.reset();
    let Some(prompt) = input.prompts.first() else { return Ok(()) };
    alone(engine, 1, prompt, 2)?;
    engine.abort_switch().throw();
    if !switch.is_thrown() {
        return Err("there are two switches".to_owned());
    }
    switch.reset();
    alone(engine, 2, prompt, 2).map(drop)
}

fn unknown_is_harmless(engine: &mut dyn Engine, input: &ContractInput) -> Result<(), String> {
    let Some(prompt) = input.prompts.first() else { return Ok(()) };
    let expected = alone(engine, 1, prompt, 3)?;
    let sequence = open_greedy(engine, 2, prompt)?;
    let mut answer = continued(engine, sequence, prompt, 2)?;
    engine.release(SequenceId(77));
    engine.park(SequenceId(78));
    engine.release(SequenceId(1));
    engine.park(SequenceId(1));
    let mut tokens = prompt.clone();
    tokens.extend(answer.iter().map(|made| made.token));
    if expected.len() > 2 {
        answer.push(compute(engine, sequence, &tokens, tokens.len() - 1, 1)?);
    }
    engine.release(sequence);
    engine.release(sequence);
    same("the one beside it", &expected, &answer)
}

fn unknown_run_is_an_error(engine: &mut dyn Engine, input: &ContractInput) -> Result<(), String> {
    let Some(prompt) = input.prompts.first() else { return Ok(()) };
    let batch =
        Batch { runs: vec![run(SequenceId(5), 0, prompt, true)], adapters: Vec::new(), ..Batch::default() };
    if engine.step(&batch, &mut Gathered::default()).is_ok() {
        return Err("it was computed".to_owned());
    }
    alone(engine, 6, prompt, 2).map(drop)
}

fn grammar_is_followed_or_refused(engine: &mut dyn Engine, input: &ContractInput) -> Result<(), String> {
    let with = |text: &str, plain: &Sampling| Sampling { grammar: Some(text.to_owned()), ..plain.clone() };
    held_or_refused(engine, input, "grammar", [r#"root ::= "yes" | "no""#, "root ::= ("], &with)
}

fn constraint_is_followed_or_refused(engine: &mut dyn Engine, input: &ContractInput) -> Result<(), String> {
    let with = |text: &str, plain: &Sampling| Sampling {
        constraint: Some(Constraint::Regex(text.to_owned())),
        ..plain.clone()
    };
    held_or_refused(engine, input, "regex", ["yes|no", "("], &with)
}

/// Holds answers to yes or no by an option, whose `texts` say so, or make no sense.
fn held_or_refused(
    engine: &mut dyn Engine,
    input: &ContractInput,
    option: &str,
    texts: [&str; 2],
    with: &dyn Fn(&str, &Sampling) -> Sampling,
) -> Result<(), String> {
    let Some(prompt) = input.prompts.first() else { return Ok(()) };
    let greedy = greedy(engine)?;
    let [good, bad] = texts.map(|text| with(text, &greedy));
    if !can_choose(engine, option) {
        return match engine.open(SequenceId(1), opening(&good, prompt, None)) {
            Err(error) if error.code == ErrorCode::Unsupported => Ok(()),
            other => Err(format!("an engine without {option} answered {other:?}")),
        };
    }
    match engine.open(SequenceId(1), opening(&bad, prompt, None)) {
        Err(error) if error.code == ErrorCode::InvalidRequest => {}
        other => return Err(format!("a {option} that is none was answered {other:?}")),
    }
    engine.release(SequenceId(1));
    let sequence = open(engine, 2, &good, prompt)?;
    let answer = continued(engine, sequence, prompt, 16)?;
    engine.release(sequence);
    let text: Vec<u8> = answer.iter().filter(|made| !made.end).flat_map(|made| made.bytes.clone()).collect();
    if text != b"yes" && text != b"no" {
        return Err(format!("{:?} is neither \"yes\" nor \"no\"", String::from_utf8_lossy(&text)));
    }
    if answer.last().is_some_and(|made| made.end) { Ok(()) } else { Err("it did not end".to_owned()) }
}

fn logprobs_when_asked(engine: &mut dyn Engine, input: &ContractInput) -> Result<(), String> {
    let Some(prompt) = input.prompts.first() else { return Ok(()) };
    let has = can_choose(engine, "logprobs");
    let greedy = greedy(engine)?;
    let most = engine.limits().batch as usize;
    for (id, asked) in (1..).zip([None, Some(0), Some(3)]) {
        if asked.is_some() && !has {
            continue;
        }
        let sequence = SequenceId(id);
        engine
            .open(sequence, opening(&greedy, prompt, asked))
            .map_err(|error| format!("open failed: {error}"))?;
        let made = compute(engine, sequence, prompt, 0, most)?;
        engine.release(sequence);
        check_logprob(&made, asked).map_err(|why| format!("asked for {asked:?}: {why}"))?;
    }
    Ok(())
}

fn candidates_are_weighed_or_refused(engine: &mut dyn Engine, input: &ContractInput) -> Result<(), String> {
    let prompt = input.prompts.first().ok_or("no prompt")?;
    let sampling = greedy(engine)?;
    let candidates = prompt.get(..2).unwrap_or_default();
    let id = SequenceId(1);
    match engine.open(id, Opening { candidates, ..opening(&sampling, prompt, None) }) {
        Ok(()) => {}
        Err(error) if error.code == ErrorCode::Unsupported => return Ok(()),
        Err(error) => return Err(error.to_string()),
    }
    let most = engine.limits().batch as usize;
    let made = compute(engine, id, prompt, 0, most)?;
    engine.release(id);
    let logprob = made.logprob.ok_or("a token without log probabilities")?;
    let tokens: Vec<Token> = logprob.top.iter().map(|one| one.token).collect();
    let best = logprob.top.iter().map(|one| one.logprob).fold(f32::NEG_INFINITY, f32::max);
    if tokens != candidates || made.end || made.token != logprob.token || best != logprob.logprob {
        return Err(format!("candidates {candidates:?} were weighed as {logprob:?}"));
    }
    Ok(())
}

fn check_logprob(made: &Made, asked: Option<u32>) -> Result<(), String> {
    let (logprob, most) = match (&made.logprob, asked) {
        (None, None) => return Ok(()),
        (Some(logprob), Some(most)) => (logprob, most as usize),
        (got, _) => return Err(format!("got {got:?}")),
    };
    let plausible = |it: &TokenLogprob| it.logprob.is_finite() && it.logprob <= 0.0;
    if logprob.token != made.token || !plausible(logprob) {
        return Err(format!("token {} got {logprob:?}", made.token));
    }
    if logprob.top.len() != most || !logprob.top.iter().all(plausible) {
        return Err(format!("the most likely are {:?}", logprob.top));
    }
    if !logprob.top.is_sorted_by(|better, worse| better.logprob >= worse.logprob) {
        return Err("the most likely do not come best first".to_owned());
    }
    let worse = logprob.top.first().is_some_and(|best| logprob.logprob < best.logprob);
    if worse { Err("the greedy choice is not the most likely".to_owned()) } else { Ok(()) }
}
