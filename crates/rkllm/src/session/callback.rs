//! What the runtime calls for every token.

use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rkllmjs_rkllm_sys as sys;

use super::exchange::{Answer, Event, Exchange, Floats, Perf};
use super::request::Mode;

/// Go on.
const CONTINUE: c_int = 0;
/// End the run and keep the cache.
const PAUSE: c_int = 1;
/// Go on, and free the numbers that were shown. Only 1.3 knows it.
const RELEASE: c_int = 2;
/// Longest text of one token that is believed.
const TEXT_BYTES_MAX: usize = 1 << 16;
/// Most numbers of one result that are believed: 16 K rows of a vocabulary of 256 K would be 16 GB.
const FLOATS_MAX: usize = 1 << 30;

/// What a run's callback is given.
#[derive(Debug)]
pub(crate) struct RunContext {
    pub(crate) exchange: Arc<Exchange>,
    /// Which fields of a result mean something.
    pub(crate) mode: Mode,
    /// Whether the runtime can be told to free numbers; it keeps them otherwise until it has others.
    pub(crate) releases: bool,
}

/// The runtime's callback. `userdata` is the run's [`RunContext`].
///
/// Everything in `result` is only valid until it returns, so all of it is copied.
///
/// # Safety
///
/// `userdata` must be null or point to a [`RunContext`] that outlives the run; `result` must be null or what the
/// runtime's interface says.
pub(crate) unsafe extern "C" fn on_result(
    result: *mut sys::rkllm12_result,
    userdata: *mut c_void,
    state: sys::rkllm_call_state,
) -> c_int {
    let answered = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the caller's promise; null is refused.
        let Some(context) = (unsafe { userdata.cast::<RunContext>().as_ref() }) else { return Answer::Pause };
        // SAFETY: the caller's promise; null is `None`.
        take(context, unsafe { result.as_ref() }, state)
    }));
    match answered {
        Ok(Answer::Continue) => CONTINUE,
        Ok(Answer::Release) => RELEASE,
        // A panic must not reach the runtime; the run ends and says so by its silence.
        Ok(Answer::Pause) | Err(_) => PAUSE,
    }
}

fn take(context: &RunContext, result: Option<&sys::rkllm12_result>, state: sys::rkllm_call_state) -> Answer {
    let exchange = &context.exchange;
    match (state, result) {
        (sys::RKLLM_RUN_NORMAL, Some(result)) => given(context, result),
        // A token whose character is incomplete: its text comes with that of the token that completes it.
        (sys::RKLLM_RUN_WAITING, Some(result)) if context.mode == Mode::Generate => {
            exchange.token(result.token_id, Vec::new())
        }
        (sys::RKLLM_RUN_WAITING, Some(_)) => Answer::Continue,
        (sys::RKLLM_RUN_NORMAL | sys::RKLLM_RUN_WAITING, None) => Answer::Continue,
        (sys::RKLLM_RUN_FINISH, result) => {
            exchange.tell(Event::Finished(result.map(perf)));
            Answer::Continue
        }
        // An error, or a state that no known version has.
        _ => {
            exchange.tell(Event::Failed);
            Answer::Continue
        }
    }
}

fn given(context: &RunContext, result: &sys::rkllm12_result) -> Answer {
    let (hidden, logits) = (&result.last_hidden_layer, &result.logits);
    let numbers = match context.mode {
        Mode::Generate => return context.exchange.token(result.token_id, text(result)),
        Mode::HiddenStates => floats(hidden.hidden_states, hidden.num_tokens, hidden.embd_size),
        Mode::Logits => floats(logits.logits, logits.num_tokens, logits.vocab_size),
        Mode::LastLogits => last_row(logits.logits, logits.num_tokens, logits.vocab_size),
    };
    // The runtime also calls without any numbers before it has them.
    let Some(numbers) = numbers else { return Answer::Continue };
    context.exchange.tell(Event::Numbers(numbers));
    if context.releases { Answer::Release } else { Answer::Continue }
}

/// The text of a token, without its NUL; empty while a character is incomplete.
fn text(result: &sys::rkllm12_result) -> Vec<u8> {
    if result.text.is_null() {
        return Vec::new();
    }
    // SAFETY: the runtime's text ends in NUL; the limit keeps a wrong one from being followed for ever.
    let length = unsafe { libc::strnlen(result.text, TEXT_BYTES_MAX) };
    // SAFETY: that many bytes were just read.
    unsafe { std::slice::from_raw_parts(result.text.cast::<u8>(), length) }.to_vec()
}

/// The last of `rows` rows, without a copy of the others.
fn last_row(values: *const f32, rows: c_int, row: c_int) -> Option<Floats> {
    let (before, length) = (usize::try_from(rows.checked_sub(1)?).ok()?, usize::try_from(row).ok()?);
    before.checked_mul(length).filter(|&start| start <= isize::MAX as usize / size_of::<f32>())?;
    if values.is_null() {
        return None;
    }
    // SAFETY: the runtime says that it holds `rows` rows of `row` numbers, and this is where the last begins.
    let last = unsafe { values.add(before * length) };
    floats(last, 1, row)
}

fn floats(values: *const f32, rows: c_int, row: c_int) -> Option<Floats> {
    let (rows, row) = (usize::try_from(rows).ok()?, usize::try_from(row).ok()?);
    let count = rows.checked_mul(row).filter(|&count| count > 0 && count <= FLOATS_MAX)?;
    if values.is_null() {
        return None;
    }
    // SAFETY: the runtime says that it holds `rows` rows of `row` numbers.
    let values = unsafe { std::slice::from_raw_parts(values, count) }.to_vec();
    Some(Floats { values, row })
}

fn perf(result: &sys::rkllm12_result) -> Perf {
    Perf { prefill_tokens: result.perf.prefill_tokens, generate_tokens: result.perf.generate_tokens }
}
