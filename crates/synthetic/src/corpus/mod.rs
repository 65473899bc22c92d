//! Malformed and odd files, each one change away from a good file.

mod alignment;
mod architecture;
mod case;
mod chat_template;
mod framing;
mod header;
mod hyperparameters;
mod not_gguf;
mod rank_head;
mod split;
mod tensor_data;
mod tensor_table;
mod tokenizer;
mod tokens;
mod truncated;

use std::fmt;
use std::io;

use case::{Base, Case};

/// What a loader shall do with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Refuse it with an error.
    Refused,
    /// Load and run it, or refuse it; in no case crash.
    Loads,
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "refused",
            Self::Loads => "loads",
        })
    }
}

/// One file of the corpus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadFile {
    /// A name that is unique in the corpus and fit for a file name, without an extension.
    pub name: String,
    /// The contents.
    pub bytes: Vec<u8>,
    /// What is wrong or odd about it.
    pub why: &'static str,
    /// What a loader shall do with it.
    pub expect: Expect,
}

/// The corpus derived from a good file, made one file at a time.
///
/// A change that this file does not admit, such as removing a key it lacks, is left out.
///
/// # Errors
///
/// `InvalidData` when the base is not a sound model of f32, f16, `q4_0` and `q8_0` tensors.
pub fn corpus(base: &[u8]) -> io::Result<impl Iterator<Item = BadFile>> {
    let base = Base::parse(base)?;
    Ok(cases().into_iter().filter_map(move |case| {
        let bytes = (case.make)(&base)?;
        Some(BadFile { name: case.name, bytes, why: case.why, expect: case.expect })
    }))
}

fn cases() -> Vec<Case> {
    [
        not_gguf::cases(),
        header::cases(),
        framing::cases(),
        alignment::cases(),
        architecture::cases(),
        split::cases(),
        hyperparameters::cases(),
        tokens::cases(),
        tokenizer::cases(),
        chat_template::cases(),
        tensor_table::cases(),
        tensor_data::cases(),
        rank_head::cases(),
        truncated::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
