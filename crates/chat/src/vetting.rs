//! Runs a template under limits on the very messages it will be rendered with. llama.cpp's own
//! template engine has no limits, so it only gets what came through here.

use std::io;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde, Value as Any};
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use rkllmjs_core::{Error, ErrorCode};
use serde_json::Value;

/// Instructions one rendering may take; a long conversation takes some 100,000.
const FUEL: u64 = 10_000_000;
/// Depth of blocks and macro calls, as minijinja counts them: a macro call costs about ten.
const DEPTH: usize = 250;
/// Most bytes a template may add to those of the messages.
const OUTPUT_EXTRA_BYTES: usize = 1 << 20;
/// Most bytes of a template.
const TEMPLATE_BYTES_MAX: usize = 1 << 20;
const NAME: &str = "chat_template";

#[derive(Debug)]
pub(crate) struct Vetted(Environment<'static>);

impl Vetted {
    /// Parses the template.
    pub(crate) fn new(source: &str) -> Result<Self, Error> {
        if source.len() > TEMPLATE_BYTES_MAX {
            let message = format!(
                "the chat template has {} bytes, at most {TEMPLATE_BYTES_MAX} are allowed",
                source.len()
            );
            return Err(Error::new(ErrorCode::ModelInvalid, message));
        }
        let mut env = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        env.set_syntax(syntax.map_err(|e| Error::new(ErrorCode::Internal, e.to_string()))?);
        env.set_undefined_behavior(UndefinedBehavior::Chainable);
        env.set_recursion_limit(DEPTH);
        env.set_fuel(Some(FUEL));
        env.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        env.add_function("raise_exception", |message: String| -> Result<String, minijinja::Error> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, RAISED.to_owned() + &message))
        });
        env.add_function("strftime_now", |format: String| format);
        env.add_filter("tojson", |value: Any, _options: Kwargs| {
            serde_json::to_string(&value)
                .map_err(|e| minijinja::Error::new(ErrorKind::BadSerialization, e.to_string()))
        });
        env.add_template_owned(NAME, source.to_owned()).map_err(|error| {
            let line = error.line().map(|n| format!(" (line {n})")).unwrap_or_default();
            let message = format!("the chat template cannot be parsed{line}: {}", describe(&error));
            Error::new(ErrorCode::ModelInvalid, message)
        })?;
        Ok(Self(env))
    }

    /// Renders with `context`, throwing the text away.
    pub(crate) fn check(&self, context: &Value, input_bytes: usize) -> Result<(), Error> {
        let template = self.0.get_template(NAME).map_err(|e| refused(&e))?;
        let mut out = Capped { left: input_bytes.saturating_mul(2).saturating_add(OUTPUT_EXTRA_BYTES) };
        template.render_captured_to(Any::from(Serde(context)), &mut out).map_err(|e| refused(&e))?;
        Ok(())
    }
}

/// Marks what a template raised itself, to tell it from failures of the template.
const RAISED: &str = "\u{1}raised: ";

/// Counts what is written and stops at the limit.
struct Capped {
    left: usize,
}

impl io::Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left = self.left.checked_sub(bytes.len()).ok_or_else(|| io::Error::other("output"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn describe(error: &minijinja::Error) -> String {
    error.detail().map_or_else(|| error.kind().to_string(), ToOwned::to_owned)
}

fn refused(error: &minijinja::Error) -> Error {
    let detail = describe(error);
    if let Some((_, message)) = detail.split_once(RAISED) {
        let message = format!("the model's chat template refuses these messages: {message}");
        return Error::new(ErrorCode::InvalidRequest, message);
    }
    let limit = match error.kind() {
        ErrorKind::OutOfFuel => Some("runs for too long".to_owned()),
        ErrorKind::WriteFailure => Some("writes too much text".to_owned()),
        _ if detail.contains("recursion limit") => Some("calls itself too deep".to_owned()),
        _ => None,
    };
    let line = error.line().map(|n| format!(" (line {n})")).unwrap_or_default();
    match limit {
        Some(what) => Error::new(ErrorCode::ModelInvalid, format!("the chat template {what}{line}")),
        None => Error::new(ErrorCode::ModelInvalid, format!("the chat template fails{line}: {detail}")),
    }
}
