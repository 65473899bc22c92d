//! What a run is given, in the runtime's form.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rkllmjs_core::{Error, NativeContent, NativeImages, NativeInput, Token};

use crate::session::{Content, ImageTags, Images};

/// What prompts that are no tokens are read with.
#[derive(Debug)]
pub(super) struct Vectors {
    /// Numbers in one vector of a token, where it is known.
    pub(super) length: Option<u32>,
    pub(super) image_tags: ImageTags,
    /// Most tokens of a conversation.
    pub(super) context: u32,
}

pub(super) fn content(native: &NativeInput, tokens: &[Token], vectors: &Vectors) -> Result<Content, Error> {
    match &native.content {
        NativeContent::Tokens => {
            Ok(Content::Tokens(tokens.iter().map(|token| token.cast_signed()).collect()))
        }
        NativeContent::Text(text) => Ok(Content::Text(c_string("prompt", text)?)),
        NativeContent::Embeddings(values) => {
            let length = vectors.length.filter(|&length| length > 0).ok_or_else(|| {
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
        NativeContent::Images(given) => {
            native.check_images(vectors.length)?;
            images(given, vectors).map(Content::Images)
        }
    }
}

fn images(given: &NativeImages, vectors: &Vectors) -> Result<Images, Error> {
    if given.tokens() >= vectors.context as usize {
        return Err(Error::context_exceeded(given.tokens(), vectors.context));
    }
    let mut values = given.values.clone();
    if vectors.length.is_none() {
        // The runtime reads as many numbers as the model's vectors have, which only it knows: were the given ones
        // shorter, it would read behind them. There it finds zeros.
        let mut roomy = vec![0.0; given.tokens() * NativeImages::VECTOR_MAX];
        roomy.iter_mut().zip(&values).for_each(|(to, from)| *to = *from);
        values = roomy;
    }
    Ok(Images {
        text: c_string("text", &given.text)?,
        values,
        count: given.count as usize,
        rows_each: given.tokens_per_image as usize,
        size: given.size.map_or([0; 2], |(width, height)| [width as usize, height as usize]),
        tags: vectors.image_tags.clone(),
    })
}

pub(super) fn c_string(option: &'static str, text: &str) -> Result<CString, Error> {
    CString::new(text).map_err(|_| Error::option(option, "must not contain a NUL character"))
}

pub(super) fn c_path(option: &'static str, path: &Path) -> Result<CString, Error> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| Error::option(option, "must not contain a NUL character"))
}

#[cfg(test)]
mod tests {
    use rkllmjs_core::{ErrorCode, ImageNumbers, NativeContent, NativeImages, NativeInput};

    use super::{Vectors, content};
    use crate::session::{Content, ImageTags, Images};

    fn read(values: Vec<f32>, length: Option<u32>) -> Result<Images, ErrorCode> {
        let numbers = ImageNumbers {
            tokens_per_image: Some(3.0),
            width: Some(28.0),
            height: Some(56.0),
            ..ImageNumbers::default()
        };
        let images = NativeImages::new("What is <image>?".to_owned(), values, &numbers).unwrap();
        let native = NativeInput { content: NativeContent::Images(images), ..NativeInput::default() };
        let tags = ImageTags { start: c"<img>".into(), ..ImageTags::default() };
        match content(&native, &[], &Vectors { length, image_tags: tags, context: 8 }) {
            Ok(Content::Images(images)) => Ok(images),
            Ok(other) => std::panic::panic_any(format!("{other:?}")),
            Err(error) => Err(error.code),
        }
    }

    #[test]
    fn images_go_to_the_runtime_with_all_that_was_said_of_them() {
        let images = read(vec![0.5; 6], Some(2)).unwrap();
        assert_eq!(images.text.as_c_str(), c"What is <image>?");
        assert_eq!((images.values.len(), images.count, images.rows_each, images.size), (6, 1, 3, [28, 56]));
        assert_eq!(images.tags.start.as_c_str(), c"<img>");
    }

    #[test]
    fn vectors_of_another_length_never_reach_a_runtime_that_would_read_on_behind_them() {
        for (values, length) in [(5, Some(2)), (3, Some(2)), (9, Some(2)), (0, Some(2)), (7, None), (0, None)]
        {
            assert_eq!(read(vec![0.5; values], length).unwrap_err(), ErrorCode::InvalidRequest);
        }
        let unknown = read(vec![0.5; 6], None).unwrap().values;
        assert_eq!(unknown.len(), 3 * NativeImages::VECTOR_MAX);
        assert_eq!(unknown.iter().filter(|&&value| value != 0.0).count(), 6);
    }

    #[test]
    fn images_that_leave_no_room_in_the_context_are_refused() {
        let numbers = ImageNumbers { tokens_per_image: Some(8.0), ..ImageNumbers::default() };
        let images = NativeImages::new("<image>".to_owned(), vec![0.5; 16], &numbers).unwrap();
        let native = NativeInput { content: NativeContent::Images(images), ..NativeInput::default() };
        let vectors = Vectors { length: Some(2), image_tags: ImageTags::default(), context: 8 };
        assert_eq!(content(&native, &[], &vectors).unwrap_err().code, ErrorCode::ContextExceeded);
    }
}
