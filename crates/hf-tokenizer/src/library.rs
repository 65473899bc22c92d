use std::panic::{AssertUnwindSafe, catch_unwind};

use rkllmjs_core::Error;

/// What the library's functions fail with.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Calls into the `tokenizers` library, which panics where a file makes promises that it does not keep.
///
/// What is known to panic is refused before; this is for what is not known. Whatever the call was
/// changing must not be used after it.
///
/// # Errors
///
/// The call's own failure, or the panic's message.
pub(crate) fn guarded<T>(call: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let message = message.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(format!("it breaks the tokenizer ({})", message.unwrap_or_default()).into())
    })
}

/// Our own error out of a failure, or one made of its words.
pub(crate) fn error(failure: Failure, wrap: impl FnOnce(String) -> Error) -> Error {
    match failure.downcast::<Error>() {
        Ok(own) => *own,
        Err(other) => wrap(other.to_string()),
    }
}
