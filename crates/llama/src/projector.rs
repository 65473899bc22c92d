use std::ffi::{CString, c_void};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;

use llama_cpp_sys_2 as sys;
use rkllmjs_core::{Error, ErrorCode, RowAttention, RowPlaces, Token, Tokenizer};

use crate::places::Position;
use crate::{LogSink, Model, ffi, log};

/// How a projector is set up. Every number must have been checked against the machine.
#[derive(Clone)]
pub struct ProjectorOptions {
    /// Compute threads.
    pub threads: u32,
    /// Whether to compute on a GPU where there is one.
    pub gpu: bool,
    /// Most rows of an image for projectors that scale images down to a number of rows; the others have their own.
    pub rows: Option<u32>,
    /// Takes the log.
    pub log: Option<LogSink>,
}

impl std::fmt::Debug for ProjectorOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProjectorOptions").field("threads", &self.threads).finish_non_exhaustive()
    }
}

/// An image: three bytes for each pixel, row by row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pixels<'a> {
    width: u32,
    height: u32,
    bytes: &'a [u8],
}

impl<'a> Pixels<'a> {
    /// `None` if the bytes are not as many as the pixels have, or there is no pixel.
    pub fn new(width: u32, height: u32, bytes: &'a [u8]) -> Option<Self> {
        let count = (width as usize).checked_mul(height as usize)?.checked_mul(3)?;
        (count > 0 && count == bytes.len()).then_some(Self { width, height, bytes })
    }
}

/// A piece of what stands for an image or for sound in a prompt.
#[derive(Debug, Clone, PartialEq)]
pub enum MediumPart {
    /// Tokens of the text model: what stands round images and sound, or between tiles of images.
    Tokens(Vec<Token>),
    /// Rows, one after the other.
    Rows(Vec<f32>, RowAttention, RowPlaces),
}

/// llama.cpp asserts that sound has more than one sample.
const SAMPLES_LEAST: usize = 2;

/// What turns images or sound into rows for one text model.
///
/// The file must have been checked before: what reads it ends the process on some broken ones.
#[derive(Debug)]
pub struct Projector {
    projector: NonNull<sys::mtmd_context>,
    log: Log,
    // It reads the model's vocabulary, so the model must outlive it.
    model: Arc<Model>,
}

// SAFETY: nothing in a projector is bound to a thread, and `&mut self` keeps callers apart.
unsafe impl Send for Projector {}

impl Projector {
    /// Loads a file that was checked to fit the model. `stop` is asked now and then whether to give up.
    ///
    /// # Errors
    ///
    /// `model-invalid` with llama.cpp's own words; `unavailable` if it was stopped.
    pub fn load(
        model: &Arc<Model>,
        path: &Path,
        options: &ProjectorOptions,
        stop: &dyn Fn() -> bool,
    ) -> Result<Self, Error> {
        let text = path.to_str().and_then(|path| CString::new(path).ok());
        let text = text.ok_or_else(|| Error::option("mmproj", "is a path that is not valid UTF-8"))?;
        let log = Log(options.log.clone());
        log.listen();
        // SAFETY: path and model are alive; the callback and `stop` are used by this call alone; exceptions are
        // caught by the shim.
        let projector = unsafe {
            ffi::rkllmjs_projector_new(
                text.as_ptr(),
                model.raw(),
                options.threads.cast_signed(),
                options.gpu,
                options.rows.map_or(-1, u32::cast_signed),
                Some(log::receive),
                is_stopped,
                (&raw const stop).cast(),
            )
        };
        let failed = log.stop_listening();
        let Some(projector) = NonNull::new(projector) else {
            return Err(if stop() { stopped() } else { not_loaded(path, &failed) });
        };
        let this = Self { projector, log, model: Arc::clone(model) };
        if !this.sees() && this.sound_rate().is_none() {
            return Err(not_loaded(path, "it turns neither images nor sound into rows"));
        }
        Ok(this)
    }

    /// Whether it turns images into rows.
    pub fn sees(&self) -> bool {
        // SAFETY: the projector is alive.
        unsafe { ffi::rkllmjs_projector_sees(self.projector.as_ptr()) == 1 }
    }

    /// Samples a second of the sound that it turns into rows, if it does.
    pub fn sound_rate(&self) -> Option<u32> {
        // SAFETY: the projector is alive.
        let rate = unsafe { ffi::rkllmjs_projector_rate(self.projector.as_ptr()) };
        u32::try_from(rate).ok().filter(|&rate| rate > 0)
    }

    /// What stands for an image in a prompt. `stop` is asked now and then whether to give up.
    ///
    /// # Errors
    ///
    /// `context-exceeded` for an image of more than `most` rows and tokens, before they are computed; `model-invalid`
    /// if the projector needs tokens that the model does not have; `engine-failed`; `unavailable` if it was stopped.
    pub fn read(
        &mut self,
        image: Pixels<'_>,
        most: u32,
        stop: &dyn Fn() -> bool,
    ) -> Result<Vec<MediumPart>, Error> {
        let Pixels { width, height, bytes } = image;
        let projector = self.projector.as_ptr();
        // SAFETY: there are three bytes for each pixel; exceptions are caught by the shim.
        let cut = || unsafe { ffi::rkllmjs_projector_read(projector, width, height, bytes.as_ptr()) };
        self.turn(cut, "llama.cpp cannot cut the image", most, stop)
    }

    /// What stands in a prompt for sound of one channel, with as many samples a second as
    /// [`sound_rate`](Self::sound_rate) says. `stop` is asked now and then whether to give up.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn listen(
        &mut self,
        samples: &[f32],
        most: u32,
        stop: &dyn Fn() -> bool,
    ) -> Result<Vec<MediumPart>, Error> {
        if samples.len() < SAMPLES_LEAST {
            return Err(failed("llama.cpp cannot cut sound as short as this"));
        }
        let projector = self.projector.as_ptr();
        // SAFETY: there are so many samples; exceptions are caught by the shim.
        let cut = || unsafe { ffi::rkllmjs_projector_hear(projector, samples.len(), samples.as_ptr()) };
        self.turn(cut, "llama.cpp cannot cut the sound", most, stop)
    }

    /// Cuts a medium, and turns the pieces into rows.
    fn turn(
        &mut self,
        cut: impl Fn() -> *mut sys::mtmd_input_chunks,
        refusal: &str,
        most: u32,
        stop: &dyn Fn() -> bool,
    ) -> Result<Vec<MediumPart>, Error> {
        self.log.listen();
        let chunks = NonNull::new(cut()).map(Chunks).ok_or_else(|| failed(refusal));
        let parts = chunks.and_then(|chunks| self.parts(&chunks, most, stop));
        let why = self.log.stop_listening();
        parts.map_err(|error| {
            if error.code == ErrorCode::EngineFailed && !why.is_empty() {
                return Error { message: format!("{}: {why}", error.message), ..error };
            }
            error
        })
    }

    fn parts(
        &mut self,
        chunks: &Chunks,
        most: u32,
        stop: &dyn Fn() -> bool,
    ) -> Result<Vec<MediumPart>, Error> {
        let mut cut = Vec::new();
        while let Some(chunk) = self.chunk(chunks, cut.len())? {
            cut.push(chunk);
        }
        let count = cut.iter().map(Chunk::count).sum();
        if count > most as usize {
            return Err(Error::context_exceeded(count, most));
        }
        let mut parts = Vec::with_capacity(cut.len());
        for (index, chunk) in cut.into_iter().enumerate() {
            parts.push(match chunk {
                Chunk::Tokens(tokens) => MediumPart::Tokens(tokens),
                Chunk::Rows(count, attention) => {
                    let places = places(chunks, index, count)?;
                    MediumPart::Rows(self.rows(chunks, index, count, stop)?, attention, places)
                }
            });
        }
        Ok(parts)
    }

    /// A piece of what an image was cut into; `None` after the last one.
    fn chunk(&self, chunks: &Chunks, index: usize) -> Result<Option<Chunk>, Error> {
        let (mut tokens, mut count) = (std::ptr::null(), 0);
        // SAFETY: projector and chunks are alive, and the places to write to; exceptions are caught by the shim.
        let kind = unsafe {
            ffi::rkllmjs_projector_chunk(
                self.projector.as_ptr(),
                chunks.0.as_ptr(),
                index,
                &raw mut tokens,
                &raw mut count,
            )
        };
        match kind {
            0 => Ok(None),
            1 if tokens.is_null() || count == 0 => Ok(Some(Chunk::Tokens(Vec::new()))),
            1 => {
                // SAFETY: the chunk has that many tokens and lives through this block.
                let tokens = unsafe { std::slice::from_raw_parts(tokens, count) };
                self.known(tokens).map(|tokens| Some(Chunk::Tokens(tokens)))
            }
            2 => Ok(Some(Chunk::Rows(count, RowAttention::Causal))),
            3 => Ok(Some(Chunk::Rows(count, RowAttention::Mutual))),
            _ => Err(failed("llama.cpp cannot cut the image")),
        }
    }

    fn known(&self, tokens: &[sys::llama_token]) -> Result<Vec<Token>, Error> {
        let most = self.model.vocabulary_size();
        let known = |token: &sys::llama_token| Token::try_from(*token).ok().filter(|&token| token < most);
        tokens.iter().map(known).collect::<Option<_>>().ok_or_else(|| {
            let message = "the projector of mmproj puts tokens round images that this model does not have: it was made \
                           for another model";
            Error::new(ErrorCode::ModelInvalid, message)
        })
    }

    fn rows(
        &mut self,
        chunks: &Chunks,
        index: usize,
        count: usize,
        stop: &dyn Fn() -> bool,
    ) -> Result<Vec<f32>, Error> {
        let length = count.saturating_mul(self.model.input_size());
        let mut rows = Vec::new();
        rows.try_reserve_exact(length).map_err(|_| {
            let message = format!("there is no memory for the {count} rows of an image");
            Error::new(ErrorCode::InsufficientMemory, message)
        })?;
        rows.resize(length, 0.0);
        // SAFETY: the chunk is one of rows, each as long as the model's input, so that `rows` has room; `stop` is used
        // by this call alone; exceptions are caught by the shim.
        let status = unsafe {
            ffi::rkllmjs_projector_compute(
                self.projector.as_ptr(),
                chunks.0.as_ptr(),
                index,
                rows.as_mut_ptr(),
                length,
                is_stopped,
                (&raw const stop).cast(),
            )
        };
        match status {
            0 if rows.iter().all(|value| value.is_finite()) => Ok(rows),
            0 => Err(failed("the projector computed no numbers: its weights may be damaged")),
            2 => Err(stopped()),
            ffi::THROWN => Err(failed(&format!("llama.cpp threw: {}", ffi::message()))),
            _ => Err(failed("llama.cpp cannot compute the image")),
        }
    }
}

impl Drop for Projector {
    fn drop(&mut self) {
        // SAFETY: freed once, before its model.
        unsafe { ffi::rkllmjs_projector_free(self.projector.as_ptr()) }
    }
}

/// A piece of an image, not computed yet.
enum Chunk {
    Tokens(Vec<Token>),
    Rows(usize, RowAttention),
}

impl Chunk {
    fn count(&self) -> usize {
        match self {
            Self::Tokens(tokens) => tokens.len(),
            Self::Rows(count, _) => *count,
        }
    }
}

/// Where the rows of a piece stand.
fn places(chunks: &Chunks, index: usize, count: usize) -> Result<RowPlaces, Error> {
    let mut found = Vec::with_capacity(count);
    let mut span = 0;
    for row in 0..count {
        let mut place = Position::default();
        // SAFETY: the chunk is one of `count` rows, and `place` has room for what is written; exceptions are caught
        // by the shim.
        span = unsafe { ffi::rkllmjs_projector_place(chunks.0.as_ptr(), index, row, place.as_mut_ptr()) };
        found.push(place);
    }
    of_rows(&found, u32::try_from(span).unwrap_or(0)).ok_or_else(|| {
        let message = "the rows of an image stand where this version does not put any";
        Error::new(ErrorCode::Unsupported, message)
    })
}

/// What these places are, the first of which is 1, where what follows stands `span` behind that.
fn of_rows(found: &[Position], span: u32) -> Option<RowPlaces> {
    let count = u32::try_from(found.len()).ok().filter(|&count| count > 0)?;
    let are =
        |expected: &dyn Fn(u32) -> Position| (0..).zip(found).all(|(row, place)| *place == expected(row));
    if span == count && are(&|row| [1 + row; 4]) {
        return Some(RowPlaces::Line);
    }
    let is_second_line = |place: &Position| matches!(place, [_, line, ..] if *line != 1);
    let columns =
        found.iter().position(is_second_line).and_then(|row| u32::try_from(row).ok()).unwrap_or(count);
    let is_grid = columns > 0
        && count.is_multiple_of(columns)
        && span == columns.max(count / columns)
        && are(&|row| [1, 1 + row / columns, 1 + row % columns, 0]);
    is_grid.then_some(RowPlaces::Grid { columns })
}

/// What an image was cut into.
struct Chunks(NonNull<sys::mtmd_input_chunks>);

impl Drop for Chunks {
    fn drop(&mut self) {
        // SAFETY: freed once.
        unsafe { ffi::rkllmjs_projector_chunks_free(self.0.as_ptr()) }
    }
}

/// Where llama.cpp's lines go while this thread works for the projector.
struct Log(Option<LogSink>);

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Log")
    }
}

impl Log {
    fn listen(&self) {
        log::send_to(self.0.clone());
        log::take_error();
    }

    /// What failed meanwhile, if anything.
    fn stop_listening(&self) -> String {
        log::send_to(None);
        log::take_error().unwrap_or_default()
    }
}

unsafe extern "C" fn is_stopped(stop: *const c_void) -> bool {
    // SAFETY: `load` and `rows` pass a reference that they borrow until the call is over.
    let stop = unsafe { *stop.cast::<&dyn Fn() -> bool>() };
    // A panic must not unwind into C++.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(stop)).unwrap_or(true)
}

fn not_loaded(path: &Path, why: &str) -> Error {
    let why = if why.is_empty() { ffi::message() } else { why.to_owned() };
    Error::new(
        ErrorCode::ModelInvalid,
        format!("llama.cpp cannot load the projector {}: {why}", path.display()),
    )
}

fn failed(what: &str) -> Error {
    Error::new(ErrorCode::EngineFailed, what.to_owned())
}

fn stopped() -> Error {
    Error::new(ErrorCode::Unavailable, "the work on an image was stopped")
}

#[cfg(test)]
mod tests {
    use rkllmjs_core::RowPlaces;

    use super::of_rows;
    use crate::places::Position;

    fn grid(columns: u32, lines: u32) -> Vec<Position> {
        (0..columns * lines).map(|row| [1, 1 + row / columns, 1 + row % columns, 0]).collect()
    }

    #[test]
    fn rows_stand_in_a_line_or_in_a_grid() {
        for (columns, lines) in [(1, 1), (3, 2), (2, 3), (5, 1), (1, 5)] {
            let places = of_rows(&grid(columns, lines), columns.max(lines));
            assert_eq!(places, Some(RowPlaces::Grid { columns }), "{columns} × {lines}");
        }
        for count in [1, 2, 9] {
            let line: Vec<Position> = (0..count).map(|row| [1 + row; 4]).collect();
            assert_eq!(of_rows(&line, count), Some(RowPlaces::Line));
        }
    }

    #[test]
    fn rows_that_stand_otherwise_are_refused() {
        let mut turned = grid(3, 2);
        turned.reverse();
        let mut behind = grid(2, 2);
        behind[3][0] = 2;
        for (found, span) in
            [(grid(3, 2), 6), (grid(3, 2), 2), (turned, 3), (behind, 2), (vec![], 0), (vec![[2; 4]], 1)]
        {
            assert_eq!(of_rows(&found, span), None, "{found:?} {span}");
        }
    }
}
