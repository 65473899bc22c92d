//! Lines like the vendor's, where the vendor writes them.

use std::io::Write;

/// Writes a line to standard output, as a line of an error.
pub(crate) fn error(message: &str) {
    // A closed output is no reason to fail.
    let _ = writeln!(std::io::stdout().lock(), "E rkllm: {message}");
}

/// Writes a line to both outputs.
pub(crate) fn noise(message: &str) {
    let _ = writeln!(std::io::stdout().lock(), "I rkllm: {message}");
    let _ = writeln!(std::io::stderr().lock(), "W rkllm: {message}");
}

/// Writes what a failed assertion of the vendor's library leaves behind.
pub(crate) fn assertion(message: &str) {
    let _ = writeln!(std::io::stderr().lock(), "stand-in: GGML_ASSERT({message}) failed");
}
