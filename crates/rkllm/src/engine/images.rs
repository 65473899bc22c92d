//! Which images the runtime's cache was computed with.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use rkllmjs_core::{History, NativeContent, NativeImages, NativeInput};

/// The images of the runs before.
///
/// Without a history the runtime takes up what the start of a prompt has in common with the last one. Nothing says
/// that it looks at vectors there, and all tokens of all images are alike. So images that differ from those before
/// begin with an empty cache; the same ones, asked about again, do not.
#[derive(Debug, Default)]
pub(super) struct CachedImages {
    /// A fingerprint of what the cache may hold.
    seen: Option<u64>,
    /// The last run began or continued a history.
    kept: bool,
}

impl CachedImages {
    /// Takes note of a run that is about to start; whether the cache has to be cleared before.
    pub(super) fn are_others(&mut self, native: &NativeInput) -> bool {
        let keeps = native.history == History::Keep;
        let goes_on = std::mem::replace(&mut self.kept, keeps) && keeps;
        let NativeContent::Images(images) = &native.content else { return false };
        // A history is added to, so that there is nothing to be confused; but then the cache holds them all.
        let before = if goes_on { self.seen } else { None };
        let now = Some(fingerprint(before, images));
        let seen = std::mem::replace(&mut self.seen, now);
        !goes_on && seen.is_some() && seen != now
    }
}

fn fingerprint(before: Option<u64>, images: &NativeImages) -> u64 {
    let mut hasher = DefaultHasher::new();
    (before, images.count, images.tokens_per_image, images.size).hash(&mut hasher);
    images.values.iter().for_each(|value| hasher.write_u32(value.to_bits()));
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use rkllmjs_core::{History, ImageNumbers, NativeContent, NativeImages, NativeInput};

    use super::CachedImages;

    fn image(value: f32, history: History) -> NativeInput {
        let numbers = ImageNumbers { tokens_per_image: Some(1.0), ..ImageNumbers::default() };
        let images = NativeImages::new("<image>".to_owned(), vec![value], &numbers).unwrap();
        NativeInput { content: NativeContent::Images(images), history, ..NativeInput::default() }
    }

    fn text(history: History) -> NativeInput {
        NativeInput { content: NativeContent::Text("a".to_owned()), history, ..NativeInput::default() }
    }

    #[test]
    fn another_image_begins_with_an_empty_cache_and_the_same_one_does_not() {
        let mut cached = CachedImages::default();
        let forget = History::Forget;
        let runs = [
            image(1.0, forget),
            image(1.0, forget),
            image(2.0, forget),
            text(forget),
            image(2.0, forget),
            image(1.0, forget),
        ];
        let cleared = runs.each_ref().map(|run| cached.are_others(run));
        assert_eq!(cleared, [false, false, true, false, false, true]);
    }

    #[test]
    fn a_history_is_never_cleared_and_its_images_are_all_remembered() {
        let mut cached = CachedImages::default();
        let (keep, forget) = (History::Keep, History::Forget);
        let runs = [
            image(1.0, keep),
            image(2.0, keep),
            text(keep),
            image(2.0, forget),
            image(2.0, keep),
            image(1.0, keep),
        ];
        let cleared = runs.each_ref().map(|run| cached.are_others(run));
        assert_eq!(cleared, [false, false, false, true, false, false]);
    }
}
