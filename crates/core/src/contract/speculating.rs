//! What engines that take drafts must do.

use super::{ContractInput, Made, alone, compute, open_greedy, run, same, step};
use crate::{Engine, Run, SequenceId, Token};

/// Continues what was computed of `tokens`, all but the last, with these drafts after it.
fn guessed(
    engine: &mut dyn Engine,
    sequence: SequenceId,
    tokens: &[Token],
    drafts: &[Token],
) -> Result<Vec<Made>, String> {
    let (last, before) = tokens.split_last().ok_or("nothing to go on from")?;
    let with_drafts: Vec<Token> = std::iter::once(last).chain(drafts).copied().collect();
    let drafted = u32::try_from(drafts.len()).unwrap_or(u32::MAX);
    let run = Run { drafted, ..run(sequence, before.len(), &with_drafts, true) };
    let gathered = step(engine, vec![run])?;
    let made: Vec<Made> = gathered.made.into_iter().map(|(_, made)| made).collect();
    let right =
        made.iter().zip(drafts).take_while(|(made, draft)| made.token == **draft && !made.end).count();
    if made.len() != right + 1 {
        return Err(format!(
            "{} tokens came where {right} of {} drafts were right",
            made.len(),
            drafts.len()
        ));
    }
    Ok(made)
}

/// The drafts after `made` tokens of an answer: right for as long as `right` says, then other tokens of it.
fn drafts(answer: &[Made], made: usize, count: usize, right: usize) -> Vec<Token> {
    let rest = answer.get(made..).unwrap_or_default();
    let wrong = |made: &Made| answer.iter().map(|other| other.token).find(|&token| token != made.token);
    let draft = |(place, made): (usize, &Made)| if place < right { Some(made.token) } else { wrong(made) };
    rest.iter().take(count).enumerate().map_while(draft).collect()
}

pub(super) fn drafts_change_nothing(engine: &mut dyn Engine, input: &ContractInput) -> Result<(), String> {
    let most = engine.limits().drafts as usize;
    let batch = engine.limits().batch as usize;
    if most == 0 {
        return Ok(());
    }
    for (id, prompt) in (0..).step_by(8).zip(&input.prompts) {
        let expected = alone(engine, id, prompt, input.answer_tokens)?;
        for (id, right) in (id + 1..).zip([0, 1, 3, usize::MAX]) {
            let sequence = open_greedy(engine, id, prompt)?;
            let mut answer = vec![compute(engine, sequence, prompt, 0, batch)?];
            while answer.len() < expected.len() && !answer.last().is_some_and(|made| made.end) {
                let left = (expected.len() - answer.len() - 1).min(most).min(batch - 1).min(5);
                let mut tokens = prompt.clone();
                tokens.extend(answer.iter().map(|made| made.token));
                let drafts = drafts(&expected, answer.len(), left, right);
                answer.extend(guessed(engine, sequence, &tokens, &drafts)?);
            }
            engine.release(sequence);
            same(&format!("with {right} drafts right"), &expected, &answer)?;
        }
    }
    Ok(())
}
