use std::ffi::CString;

use super::{HandleSampling, ImageTags};

/// One run of the runtime.
#[derive(Debug, Clone)]
pub(crate) struct RunRequest {
    pub(crate) content: Content,
    /// `user` or `tool`; `None` is the runtime's default.
    pub(crate) role: Option<CString>,
    pub(crate) thinking: bool,
    pub(crate) mode: Mode,
    /// The adapter to run under.
    pub(crate) adapter: Option<CString>,
    /// Where to save the cache of the prompt.
    pub(crate) save_cache: Option<CString>,
    /// How tokens are chosen; only 1.3 looks at it.
    pub(crate) sampling: HandleSampling,
    /// Most tokens of the answer; only 1.3 looks at it.
    pub(crate) max_tokens: u32,
    /// Whether the runtime appends this turn to the ones before it.
    pub(crate) keep_history: bool,
}

/// What a run reads.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Tokens(Vec<i32>),
    Text(CString),
    /// `rows` vectors, one after the other.
    Embeddings {
        values: Vec<f32>,
        rows: usize,
    },
    Images(Images),
}

/// Text with encoded images.
#[derive(Debug, Clone)]
pub(crate) struct Images {
    /// The text, with a tag for each image.
    pub(crate) text: CString,
    /// The vectors of all images, one after the other.
    pub(crate) values: Vec<f32>,
    pub(crate) count: usize,
    /// Vectors of each image.
    pub(crate) rows_each: usize,
    /// Width and height as encoded; 0 where nothing was said.
    pub(crate) size: [usize; 2],
    /// What stands round each image; only 1.3 looks at it.
    pub(crate) tags: ImageTags,
}

/// What a run gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Tokens.
    Generate,
    /// The last hidden layer's vector of every token of the prompt.
    HiddenStates,
    /// The logits after every token of the prompt.
    Logits,
    /// The logits after its last token alone: all of them would fill the memory.
    LastLogits,
}

#[cfg(test)]
impl RunRequest {
    /// A run that reads two images of one vector each, of two numbers.
    pub(crate) fn of_images() -> Self {
        let tags = ImageTags {
            start: CString::from(c"<|vision_start|>"),
            end: CString::from(c"<|vision_end|>"),
            content: CString::from(c"<|image_pad|>"),
        };
        let images = Images {
            text: CString::from(c"<image> or <image>?"),
            values: vec![1.0, 2.0, 3.0, 4.0],
            count: 2,
            rows_each: 1,
            size: [392, 448],
            tags,
        };
        Self {
            content: Content::Images(images),
            role: Some(CString::from(c"user")),
            thinking: true,
            mode: Mode::Generate,
            adapter: None,
            save_cache: None,
            sampling: HandleSampling::default(),
            max_tokens: 8,
            keep_history: false,
        }
    }

    pub(crate) fn images(&self) -> &Images {
        match &self.content {
            Content::Images(images) => images,
            other => std::panic::panic_any(format!("{other:?}")),
        }
    }
}
