//! What engines whose sequences share cache must do.

use std::ops::Range;

use super::{
    ContractInput, alone, compute, continued, continued_from, open_greedy, release_frees_room, same,
};
use crate::{Engine, SequenceId, Token};

/// Shares the positions of `tokens`, which must be there.
fn share(
    engine: &mut dyn Engine,
    from: SequenceId,
    to: SequenceId,
    tokens: Range<usize>,
) -> Result<(), String> {
    let position = |place| u32::try_from(place).unwrap_or(u32::MAX);
    if engine.share(from, to, position(tokens.start)..position(tokens.end)) {
        return Ok(());
    }
    Err(format!("{tokens:?} of sequence {} was not shared with {}", from.0, to.0))
}

pub(super) fn shared_continues(engine: &mut dyn Engine, input: &ContractInput) -> Result<(), String> {
    if !engine.limits().shares || engine.limits().sequences < 2 {
        return Ok(());
    }
    for (id, prompt) in (0..).step_by(8).zip(&input.prompts) {
        let expected = alone(engine, id, prompt, input.answer_tokens)?;
        let whole = open_greedy(engine, id + 1, prompt)?;
        let from = continued(engine, whole, prompt, 2)?;
        same("the one shared from", expected.get(..from.len()).unwrap_or_default(), &from)?;
        for (id, shared) in (id + 2..).zip([1, prompt.len() / 2, prompt.len() - 1]) {
            let sequence = open_greedy(engine, id, prompt)?;
            // In two stretches, as when one follows another.
            let half = shared / 2;
            if half > 0 {
                share(engine, whole, sequence, 0..half)?;
            }
            share(engine, whole, sequence, half..shared)?;
            let got = continued_from(engine, sequence, prompt, shared, input.answer_tokens)?;
            engine.release(sequence);
            same(&format!("with {shared} shared tokens"), &expected, &got)?;
        }
        engine.release(whole);
    }
    Ok(())
}

pub(super) fn shared_outlives(engine: &mut dyn Engine, input: &ContractInput) -> Result<(), String> {
    if !engine.limits().shares || engine.limits().kept == 0 {
        return Ok(());
    }
    let holder = SequenceId(900);
    let most = engine.limits().batch as usize;
    for (id, prompt) in (0..).step_by(8).zip(&input.prompts) {
        let expected = alone(engine, id, prompt, input.answer_tokens)?;
        let first = open_greedy(engine, id + 1, prompt)?;
        compute(engine, first, prompt, 0, most)?;
        share(engine, first, holder, 0..prompt.len())?;
        engine.park(first);
        engine.release(first);
        // Somebody else's tokens must not end up in the cells that are still held.
        let other: Vec<Token> = prompt.iter().rev().copied().collect();
        alone(engine, id + 2, &other, 2)?;
        let second = open_greedy(engine, id + 3, prompt)?;
        let shared = prompt.len() - 1;
        share(engine, holder, second, 0..shared)?;
        engine.release(holder);
        let got = continued_from(engine, second, prompt, shared, input.answer_tokens)?;
        engine.release(second);
        same("from one that is gone", &expected, &got)?;
    }
    Ok(())
}

pub(super) fn kept_as_promised(engine: &mut dyn Engine, input: &ContractInput) -> Result<(), String> {
    let limits = engine.limits().clone();
    let Some(prompt) = input.prompts.first() else { return Ok(()) };
    let first = open_greedy(engine, 1, prompt)?;
    compute(engine, first, prompt, 0, limits.batch as usize)?;
    for round in 0..2 {
        let holders = (0..limits.kept).map(|n| SequenceId(1000 * (round + 1) + u64::from(n)));
        for holder in holders.clone() {
            share(engine, first, holder, 0..prompt.len())
                .map_err(|why| format!("in round {round}: {why}"))?;
        }
        holders.for_each(|holder| engine.release(holder));
    }
    engine.release(first);
    release_frees_room(engine, input)
}

pub(super) fn nothing_is_not_shared(engine: &mut dyn Engine, input: &ContractInput) -> Result<(), String> {
    let Some(prompt) = input.prompts.first() else { return Ok(()) };
    let length = u32::try_from(prompt.len()).unwrap_or(u32::MAX);
    let most = engine.limits().batch as usize;
    let expected = alone(engine, 1, prompt, 3)?;
    let first = open_greedy(engine, 2, prompt)?;
    let second = open_greedy(engine, 3, prompt)?;
    let made = compute(engine, first, prompt, 0, most)?;
    let mut refused = vec![(SequenceId(1), 0..1), (SequenceId(77), 0..1), (first, 0..length + 1)];
    if !engine.limits().shares {
        refused.push((first, 0..length));
    }
    for (from, tokens) in refused {
        if engine.share(from, second, tokens.clone()) {
            return Err(format!("{tokens:?} of sequence {} was shared", from.0));
        }
    }
    engine.release(first);
    same("the one beside it", expected.get(..1).unwrap_or_default(), &[made])?;
    let got = continued(engine, second, prompt, 3)?;
    engine.release(second);
    same("after a refusal", &expected, &got)
}
