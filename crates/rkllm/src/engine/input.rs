//! What a run is given, in the runtime's form.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rkllmjs_core::{Error, NativeContent, NativeInput, Token};

use crate::session::Content;

pub(super) fn content(
    native: &NativeInput,
    tokens: &[Token],
    embedding_length: Option<u32>,
) -> Result<Content, Error> {
    match &native.content {
        NativeContent::Tokens => {
            Ok(Content::Tokens(tokens.iter().map(|token| token.cast_signed()).collect()))
        }
        NativeContent::Text(text) => Ok(Content::Text(c_string("prompt", text)?)),
        NativeContent::Embeddings(values) => {
            let length = embedding_length.filter(|&length| length > 0).ok_or_else(|| {
                Error::unsupported(
                    "prompt",
                    "must be text or tokens: the length of this model's vectors is unknown; put its config.json \
                     beside the file",
                )
            })? as usize;
            if values.is_empty() || values.len() % length != 0 {
                let message =
                    format!("must hold whole vectors of {length} numbers, got {} numbers", values.len());
                return Err(Error::option("prompt", message));
            }
            Ok(Content::Embeddings { values: values.clone(), rows: values.len() / length })
        }
    }
}

pub(super) fn c_string(option: &'static str, text: &str) -> Result<CString, Error> {
    CString::new(text).map_err(|_| Error::option(option, "must not contain a NUL character"))
}

pub(super) fn c_path(option: &'static str, path: &Path) -> Result<CString, Error> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| Error::option(option, "must not contain a NUL character"))
}
