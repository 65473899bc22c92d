use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rkllmjs_chat::Piece;
use rkllmjs_core::{Error, ErrorCode, Medium, Token};
use rkllmjs_llama::Projector;

use super::cache::{Cache, Part};
use super::source::{MediumKind, MediumSource};
use super::{pixels, sound};
use crate::model::closed;
use crate::registry::LoadGuard;

/// What lets a model see or hear: its projector, which works on the thread that prepares prompts, so that no answer waits
/// for it, and the rows of what it has seen and heard.
#[derive(Debug)]
pub(crate) struct Senses {
    /// `None` once the model is closed.
    projector: Mutex<Option<Projector>>,
    cache: Mutex<Cache>,
    /// Numbers of a row.
    width: usize,
    /// Most tokens of a prompt.
    context: u32,
    is_closing: AtomicBool,
    /// What it reads.
    kind: MediumKind,
}

/// A prompt with images and sound in it.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) tokens: Vec<Token>,
    pub(crate) media: Vec<Arc<Medium>>,
    /// Whether what is computed of it may be shared.
    pub(crate) shares: bool,
}

impl Senses {
    pub(crate) fn new(projector: Projector, width: usize, context: u32) -> Self {
        let kind = if projector.sees() { MediumKind::Image } else { MediumKind::Audio };
        Self {
            kind,
            projector: Mutex::new(Some(projector)),
            cache: Mutex::default(),
            width,
            context,
            is_closing: AtomicBool::new(false),
        }
    }

    /// What it reads.
    pub(crate) fn kind(&self) -> MediumKind {
        self.kind
    }

    /// Refuses what it does not read.
    ///
    /// # Errors
    ///
    /// `unsupported`, with the place of the first.
    pub(crate) fn check(&self, media: &[MediumSource]) -> Result<(), Error> {
        let Some(other) = media.iter().find(|medium| medium.kind != self.kind) else { return Ok(()) };
        let (place, given, read) = (&other.place, other.kind.name(), self.kind.name());
        let message =
            format!("{place}: {given} cannot be read: the projector of this model reads {read} alone");
        Err(Error::new(ErrorCode::Unsupported, message))
    }

    /// The prompt that `pieces` make with `media` in their places. `stop` is asked now and then whether to give up.
    ///
    /// # Errors
    ///
    /// `invalid-request` and `payload-too-large` about a medium, with its place; `context-exceeded`; as
    /// [`Projector::read`].
    pub(crate) fn see(
        &self,
        pieces: Vec<Piece>,
        media: &[MediumSource],
        stop: &dyn Fn() -> bool,
    ) -> Result<Seen, Error> {
        let mut seen = Seen::default();
        for piece in pieces {
            let number = match piece {
                Piece::Tokens(tokens) => {
                    seen.tokens.extend(tokens);
                    continue;
                }
                Piece::Medium(number) => number,
            };
            let missing =
                || Error::new(ErrorCode::Internal, "the conversation has more media than came with it");
            for part in self.take_in(media.get(number).ok_or_else(missing)?, stop)? {
                seen.add(part);
            }
            if seen.tokens.len() >= self.context as usize {
                return Err(Error::context_exceeded(seen.tokens.len(), self.context));
            }
        }
        seen.shares = self.cache().shares();
        Ok(seen)
    }

    /// What stands for a medium.
    fn take_in(&self, source: &MediumSource, stop: &dyn Fn() -> bool) -> Result<Vec<Part>, Error> {
        let file = source.bytes()?;
        if let Some(parts) = self.cache().find(&file) {
            return Ok(parts);
        }
        // So that the end of the process waits for it, as it does for loads.
        let is_ending = Arc::new(AtomicBool::new(false));
        let _guard = LoadGuard::new(Arc::clone(&is_ending));
        let stop = || stop() || self.is_closing() || is_ending.load(Ordering::SeqCst);
        let parts = match source.kind {
            MediumKind::Image => {
                let decoded = pixels::decode(source, &file)?;
                let pixels = decoded.pixels().ok_or_else(|| source.wrong("the image has no pixels"))?;
                self.with_projector(|projector| projector.read(pixels, self.context, &stop))?
            }
            MediumKind::Audio => {
                let rate = self.with_projector(|projector| Ok(projector.sound_rate()))?;
                let rate = rate.ok_or_else(|| source.wrong("this model does not hear"))?;
                let samples = sound::decode(source, &file, rate, &stop)?;
                self.with_projector(|projector| projector.listen(&samples, self.context, &stop))?
            }
        };
        self.cache().insert(&file, parts, self.width)
    }

    /// Stops what it is looking at.
    pub(crate) fn close(&self) {
        self.is_closing.store(true, Ordering::SeqCst);
    }

    /// Whether [`close`](Self::close) was called.
    pub(crate) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::SeqCst)
    }

    /// Frees its memory, once it has stopped.
    pub(crate) fn free(&self) {
        *self.projector() = None;
        *self.cache() = Cache::default();
    }

    fn with_projector<T>(&self, work: impl FnOnce(&mut Projector) -> Result<T, Error>) -> Result<T, Error> {
        work(self.projector().as_mut().ok_or_else(closed)?)
    }

    fn projector(&self) -> MutexGuard<'_, Option<Projector>> {
        self.projector.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn add(&mut self, part: Part) {
        let medium = match part {
            Part::Tokens(tokens) => return self.tokens.extend(tokens),
            Part::Rows(medium) => medium,
        };
        self.tokens.extend(medium.tokens());
        if !self.media.iter().any(|other| other.tokens() == medium.tokens()) {
            self.media.push(medium);
        }
    }
}
