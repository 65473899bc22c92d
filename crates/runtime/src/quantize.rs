//! From one GGUF file to another whose weights take less room.

use std::collections::HashMap;
use std::fs;
use std::io::{ErrorKind as Io, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rkllmjs_core::{Error, ErrorCode};
use rkllmjs_gguf as gguf;
use rkllmjs_llama::{self as llama, FILE_TYPES, LogLevel, LogSink};
use serde_json::{Value, json};

use crate::machine::{Machine, machine};
use crate::registry::LoadGuard;
use crate::unfinished::{self, Unfinished, unwritable};
use crate::{Hooks, file};

/// The argument that names the file to be written.
const OUTPUT: &str = "output";
/// What llama.cpp aligns the tensors it writes to, whatever the file says.
const ALIGNMENT: u64 = 32;
/// Written to see why a write failed.
const PROBE_BYTES: usize = 64 << 10;

/// How a file is quantized, as a caller wrote it.
#[derive(Debug, Clone, Default)]
pub struct QuantizeOptions {
    /// What to, by its published name.
    pub file_type: String,
    /// Threads that compute; the fast processors where nobody says.
    pub threads: Option<f64>,
    /// Whether to quantize again what is quantized already.
    pub allow_requantize: bool,
}

/// Writes the model in `input` to `output`, which must not exist, with its matrices in another type. Blocks
/// for as long as that takes. What fails or is stopped leaves nothing behind.
///
/// # Errors
///
/// `invalid-request` naming an option; `unsupported` for a file that llama.cpp does not quantize; what is wrong
/// with the input; `engine-failed` where the disk is full; `unavailable` if the hooks stopped it.
pub fn quantize(
    input: &Path,
    output: &Path,
    options: &QuantizeOptions,
    hooks: &Hooks,
) -> Result<Value, Error> {
    let _guard = LoadGuard::new(Arc::clone(&hooks.cancelled));
    let (name, file_type) = file_type(&options.file_type)?;
    let threads = threads(options.threads, &machine())?;
    let folder = folder_of(output)?;
    let parts = file::open_model(input)?;
    let source = &parts.whole;
    refuse_what_is_written_wrong(source)?;
    let unfinished = Unfinished::create(OUTPUT, &folder, output)?;
    let options = llama::QuantizeOptions {
        file_type,
        threads,
        requantize: options.allow_requantize,
        log: progress_log(source, hooks),
    };
    let first = file::first_part(&parts, input);
    let written = llama::quantize(first, &unfinished.path, &options, &hooks.cancelled);
    if hooks.cancelled.load(Ordering::SeqCst) {
        return Err(Error::new(ErrorCode::Unavailable, "quantizing was stopped"));
    }
    written.map_err(|error| explained(error, input, output, &unfinished.path))?;
    let result = checked(&unfinished.path, output)?;
    publish(unfinished, output)?;
    Ok(json!({
        "path": output.display().to_string(),
        "type": name,
        "inputBytes": source.file_bytes,
        "outputBytes": result.file_bytes,
    }))
}

fn file_type(name: &str) -> Result<(&'static str, u32), Error> {
    FILE_TYPES.into_iter().find(|(known, _)| *known == name).ok_or_else(|| {
        let names: Vec<&str> = FILE_TYPES.iter().map(|&(name, _)| name).collect();
        Error::option("type", format!("must be one of {}, got {name:?}", names.join(", ")))
    })
}

fn threads(value: Option<f64>, machine: &Machine) -> Result<u32, Error> {
    let Some(value) = value else { return Ok(machine.threads) };
    if value.fract() != 0.0 || !(value >= 1.0 && value <= f64::from(machine.processors)) {
        let message = format!(
            "must be a whole number from 1 to {}, the processors of this process, got {value}",
            machine.processors
        );
        return Err(Error::option("threads", message));
    }
    Ok(value as u32)
}

/// The folder of `output`, which is free to be written.
fn folder_of(output: &Path) -> Result<PathBuf, Error> {
    if output.file_name().is_some() && output.symlink_metadata().is_ok() {
        return Err(taken(output));
    }
    unfinished::folder_of(OUTPUT, output)
}

fn taken(output: &Path) -> Error {
    let message = format!("exists already: {}; remove it or choose another name", output.display());
    Error::option(OUTPUT, message)
}

/// Gives the file its name, unless somebody else took that in the meantime.
fn publish(unfinished: Unfinished, output: &Path) -> Result<(), Error> {
    unfinished.sync(output)?;
    // A link fails where a rename would replace; file systems without links get the rename.
    match fs::hard_link(&unfinished.path, output) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == Io::AlreadyExists => Err(taken(output)),
        Err(_) => unfinished.replace(output),
    }
}

/// Files that llama.cpp takes and writes into something that cannot be read again, or ends the process over.
fn refuse_what_is_written_wrong(source: &gguf::File) -> Result<(), Error> {
    let refused = |why: String| Err(Error::unsupported("input", why));
    if source.alignment != ALIGNMENT {
        return refused(format!(
            "aligns its tensors to {} bytes; only files aligned to {ALIGNMENT} can be quantized",
            source.alignment
        ));
    }
    let deep = source.tensors.iter().find(|tensor| tensor.dims.get(3).is_some_and(|&length| length > 1));
    match deep {
        Some(tensor) => refused(format!("has a tensor of four dimensions, {}", tensor.name)),
        None => Ok(()),
    }
}

/// Tells how much is done from llama.cpp's log, which has a line for each tensor: `[ 3/ 20] name - …`.
fn progress_log(source: &gguf::File, hooks: &Hooks) -> LogSink {
    let sizes: HashMap<Box<str>, u64> =
        source.tensors.iter().map(|tensor| (tensor.name.clone(), tensor.bytes)).collect();
    let total: u64 = sizes.values().fold(0, |sum: u64, &bytes| sum.saturating_add(bytes)).max(1);
    let done = AtomicU64::new(0);
    let progress = Arc::clone(&hooks.progress);
    let log = hooks.log.clone();
    Arc::new(move |level: LogLevel, line: &str| {
        if let Some(bytes) = tensor_of(line).and_then(|name| sizes.get(name)) {
            let before = done.fetch_add(*bytes, Ordering::Relaxed);
            progress((before.saturating_add(*bytes) as f64 / total as f64) as f32);
        }
        if let Some(log) = &log {
            log(level, line);
        }
    })
}

fn tensor_of(line: &str) -> Option<&str> {
    let (_, rest) = line.strip_prefix('[')?.split_once(']')?;
    rest.split_whitespace().next()
}

/// llama.cpp's failure in this library's terms.
fn explained(error: Error, input: &Path, output: &Path, unfinished: &Path) -> Error {
    if let Some((_, rest)) = error.message.split_once("requantizing from type ") {
        let kind = rest.split_whitespace().next().unwrap_or("a quantized type");
        let message = format!(
            "is quantized already ({kind}), and every time loses more; take the original file, or ask for it with \
             allow_requantize: {}",
            input.display()
        );
        return Error::unsupported("input", message);
    }
    if let Some(why) = error.message.contains("ios").then(|| why_unwritable(unfinished)).flatten() {
        return unwritable(OUTPUT, output, &why);
    }
    let message = format!("llama.cpp cannot quantize {}: {}", input.display(), error.message);
    Error { message, ..error }
}

/// What the system says to a further write: C++ streams keep the reason of a failed one to themselves.
fn why_unwritable(path: &Path) -> Option<std::io::Error> {
    let probe = || {
        let mut file = fs::OpenOptions::new().append(true).open(path)?;
        file.write_all(&vec![0; PROBE_BYTES])?;
        file.sync_data()
    };
    probe().err()
}

/// The file that was written, read again: a truncated or contradictory one is not given its name.
fn checked(unfinished: &Path, output: &Path) -> Result<gguf::File, Error> {
    let read = gguf::File::open(unfinished).and_then(|file| gguf::check_model(&file).map(|()| file));
    read.map_err(|error| {
        let message = format!("what llama.cpp wrote for {} is no sound model: {error}", output.display());
        Error::new(ErrorCode::EngineFailed, message)
    })
}

#[cfg(test)]
mod tests {
    use super::tensor_of;

    #[test]
    fn a_tensor_is_found_in_its_line_of_the_log_and_in_no_other() {
        let line = "[   3/  20]  blk.0.attn_k.weight  - [ 64, 32, 1, 1], type =  f16, size =    0.004 MiB";
        assert_eq!(tensor_of(line), Some("blk.0.attn_k.weight"));
        assert_eq!(tensor_of("llama_model_quantize: model size  =     1.00 MiB"), None);
    }
}
