//! What engines that save and restore cache must do.

use super::{ContractInput, alone, compute, continued_from, open_greedy, same};
use crate::{Adapters, Engine, Error, ErrorCode, SequenceId, Token};

fn count(tokens: usize) -> u32 {
    u32::try_from(tokens).unwrap_or(u32::MAX)
}

/// What a sequence has for its first `tokens` positions; `None` by engines that save nothing.
fn saved(engine: &mut dyn Engine, sequence: SequenceId, tokens: usize) -> Result<Option<Vec<u8>>, String> {
    match engine.save(sequence, count(tokens)) {
        Ok(Some(saved)) => Ok(Some(saved)),
        Ok(None) => Err(format!("{tokens} tokens of sequence {} were not saved", sequence.0)),
        Err(Error { code: ErrorCode::Unsupported, .. }) => Ok(None),
        Err(error) => Err(format!("saving failed: {error}")),
    }
}

fn restore(engine: &mut dyn Engine, to: SequenceId, tokens: usize, saved: &[u8]) -> Result<(), String> {
    match engine.restore(to, count(tokens), &Adapters::new(), saved) {
        Ok(true) => Ok(()),
        other => Err(format!("{tokens} tokens were not restored: {other:?}")),
    }
}

/// Computes `prompt` in a new sequence and saves all of it.
fn computed(engine: &mut dyn Engine, id: u64, prompt: &[Token]) -> Result<Option<Vec<u8>>, String> {
    let most = engine.limits().batch as usize;
    let sequence = open_greedy(engine, id, prompt)?;
    compute(engine, sequence, prompt, 0, most)?;
    let bytes = saved(engine, sequence, prompt.len());
    engine.release(sequence);
    bytes
}

pub(super) fn saved_continues(engine: &mut dyn Engine, input: &ContractInput) -> Result<(), String> {
    for (id, prompt) in (0..).step_by(8).zip(&input.prompts) {
        let expected = alone(engine, id, prompt, input.answer_tokens)?;
        let Some(bytes) = computed(engine, id + 1, prompt)? else { return Ok(()) };
        for (id, tokens) in (id + 2..).zip([1, prompt.len() / 2, prompt.len() - 1]) {
            let sequence = open_greedy(engine, id, prompt)?;
            restore(engine, sequence, tokens, &bytes)?;
            let again = saved(engine, sequence, tokens)?.unwrap_or_default();
            engine.park(sequence);
            restore(engine, sequence, tokens, &again)?;
            let got = continued_from(engine, sequence, prompt, tokens, input.answer_tokens)?;
            engine.release(sequence);
            same(&format!("with {tokens} restored tokens"), &expected, &got)?;
        }
    }
    Ok(())
}

pub(super) fn restored_is_shared(engine: &mut dyn Engine, input: &ContractInput) -> Result<(), String> {
    let Some(prompt) = input.prompts.first().filter(|_| engine.limits().kept > 0) else { return Ok(()) };
    let expected = alone(engine, 1, prompt, input.answer_tokens)?;
    let Some(bytes) = computed(engine, 2, prompt)? else { return Ok(()) };
    let holder = SequenceId(900);
    restore(engine, holder, prompt.len(), &bytes)?;
    let sequence = open_greedy(engine, 3, prompt)?;
    let shared = prompt.len() - 1;
    if !engine.share(holder, sequence, 0..count(shared)) {
        return Err("what was restored was not shared".to_owned());
    }
    engine.release(holder);
    let got = continued_from(engine, sequence, prompt, shared, input.answer_tokens)?;
    engine.release(sequence);
    same("from a holder that was restored", &expected, &got)
}

pub(super) fn garbage_is_refused(engine: &mut dyn Engine, input: &ContractInput) -> Result<(), String> {
    let Some(prompt) = input.prompts.first() else { return Ok(()) };
    let expected = alone(engine, 1, prompt, 3)?;
    let Some(bytes) = computed(engine, 2, prompt)? else { return Ok(()) };
    let sequence = open_greedy(engine, 3, prompt)?;
    let noise: Vec<u8> = (0..1000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let pieces = [0, 1, 7, bytes.len() / 2, bytes.len() - 1].map(|length| bytes.get(..length));
    for piece in pieces.into_iter().flatten().chain([noise.get(..3).unwrap_or_default()]) {
        match engine.restore(sequence, count(prompt.len()), &Adapters::new(), piece) {
            Err(Error { code: ErrorCode::ModelInvalid, .. }) => {}
            other => return Err(format!("{} bytes of something else gave {other:?}", piece.len())),
        }
    }
    if let Ok(Some(_)) = engine.save(SequenceId(77), 1) {
        return Err("an unknown sequence was saved".to_owned());
    }
    if let Ok(Some(_)) = engine.save(sequence, 1) {
        return Err("what was refused was saved".to_owned());
    }
    let got = continued_from(engine, sequence, prompt, 0, 3)?;
    if let Ok(Some(_)) = engine.save(sequence, count(prompt.len() + 100)) {
        return Err("more than there is was saved".to_owned());
    }
    engine.release(sequence);
    same("after refusals", &expected, &got)
}
