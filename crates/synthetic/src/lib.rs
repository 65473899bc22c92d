//! GGUF models of any size with random weights, and a corpus of malformed ones.
//!
//! A development tool for tests and benchmarks; nothing here is part of the published package.
//!
//! [`write`] makes a model file in bounded memory. [`draft`] gives the same model as a [`Draft`], which
//! can be edited before it is serialised. [`corpus()`] turns one good file into many bad ones.
#![forbid(unsafe_code)]

mod bert;
mod builder;
mod corpus;
mod decode;
mod decoder_only;
mod draft;
mod encode;
mod half;
mod listener;
mod lora;
mod merger;
mod options;
mod projector;
mod random;
mod shape;
mod tensor;
mod tokenizer;
mod value;
mod vocabulary;
mod weight_type;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

pub use corpus::{BadFile, Expect, corpus};
pub use draft::Draft;
pub use options::Options;
pub use shape::Kind;
pub use tensor::{Data, Tensor};
pub use value::Value;
pub use weight_type::WeightType;

/// The model of this kind as a description that can be edited and then serialised.
///
/// # Errors
///
/// `InvalidInput` when an option does not fit the kind or names a tensor the model lacks.
pub fn draft(kind: Kind, options: &Options) -> io::Result<Draft> {
    let mut draft = match kind {
        Kind::Lora => lora::adapter(options)?,
        Kind::Projector => projector::mlp(options)?,
        Kind::ProjectorGemma3 => projector::gemma3(options)?,
        Kind::ProjectorQwen2Vl | Kind::ProjectorQwen25Vl | Kind::ProjectorQwen3Vl => {
            merger::projector(kind, options)?
        }
        Kind::ProjectorUltravox | Kind::ProjectorQwen2Audio => listener::projector(kind, options)?,
        Kind::Embed => bert::encoder(options)?,
        Kind::CrossEncoder => bert::cross_encoder(options)?,
        Kind::Micro
        | Kind::MicroPlaced
        | Kind::MicroDeep
        | Kind::Tiny
        | Kind::M360
        | Kind::B1
        | Kind::Rerank => decoder_only::model(kind, options)?,
    };
    if let Some(name) = &options.nan {
        match draft.tensor_mut(name) {
            Some(tensor) => tensor.poisoned = true,
            None => return Err(invalid_input(format!("the {kind} model has no tensor named {name:?}"))),
        }
    }
    Ok(draft)
}

/// Writes a model of this kind, generating its weights on the way: memory use does not grow with the model.
///
/// # Errors
///
/// What [`draft`] refuses, and whatever the file system reports.
pub fn write(kind: Kind, path: impl AsRef<Path>, options: &Options) -> io::Result<()> {
    let draft = draft(kind, options)?;
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    draft.write_to(&mut out)?;
    out.flush()
}

fn invalid_input(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}
