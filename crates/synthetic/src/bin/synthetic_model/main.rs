//! Writes a synthetic model, or a folder of malformed ones.
#![forbid(unsafe_code)]

mod arguments;

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use arguments::{Command, USAGE};

fn main() -> ExitCode {
    let command = match arguments::parse(std::env::args_os().skip(1)) {
        Ok(command) => command,
        Err(message) => return fail(&format!("{message}\n\n{USAGE}"), 2),
    };
    let done = match &command {
        Command::Help => io::stdout().write_all(USAGE.as_bytes()),
        Command::Model { kind, out, options } => at(out, rkllmjs_synthetic::write(*kind, out, options)),
        Command::Corpus { folder, base } => write_corpus(folder, base),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => fail(&error.to_string(), 2),
        Err(error) => fail(&error.to_string(), 1),
    }
}

/// Writes the files and an index of them: name, expectation and reason, separated by tabs.
fn write_corpus(folder: &Path, base: &Path) -> io::Result<()> {
    let bytes = at(base, fs::read(base))?;
    let files = at(base, rkllmjs_synthetic::corpus(&bytes))?;
    at(folder, fs::create_dir_all(folder))?;
    let mut index = String::new();
    for file in files {
        let name = format!("{}.gguf", file.name);
        at(folder, fs::write(folder.join(&name), &file.bytes))?;
        index.push_str(&format!("{name}\t{}\t{}\n", file.expect, file.why));
    }
    at(folder, fs::write(folder.join("index.tsv"), index))
}

/// Names the file an error is about.
fn at<T>(path: &Path, result: io::Result<T>) -> io::Result<T> {
    result.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

fn fail(message: &str, code: u8) -> ExitCode {
    // With standard error gone there is nobody left to tell.
    let _ = writeln!(io::stderr(), "synthetic-model: {message}");
    ExitCode::from(code)
}
