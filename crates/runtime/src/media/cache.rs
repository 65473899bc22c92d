use std::sync::Arc;

use rkllmjs_core::{Error, FIRST_ROW_TOKEN, Medium, RowAttention, RowPlaces, Token};
use rkllmjs_llama::MediumPart;

/// Most images whose rows are kept.
const IMAGES_MAX: usize = 64;
/// Most bytes of them, rows and files together.
const BYTES_MAX: u64 = 128 << 20;

/// What stands for an image in a prompt: tokens of the model, and rows.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    Tokens(Vec<Token>),
    Rows(Arc<Medium>),
}

/// The rows of images that were seen before, and the tokens of all rows of a model.
///
/// A conversation brings its images again with every turn, and to compute their rows takes longer than anything
/// else. An image is told from others by all of its bytes, so that no two ever share what was computed.
#[derive(Debug)]
pub(super) struct Cache {
    /// In the order of their use.
    entries: Vec<Entry>,
    /// The token of the next row.
    next: Token,
    /// Whether tokens were given out a second time, so that nothing may be shared by them any more.
    has_turned: bool,
}

#[derive(Debug)]
struct Entry {
    file: Vec<u8>,
    parts: Vec<Part>,
}

impl Entry {
    fn bytes(&self) -> u64 {
        let rows = self.parts.iter().map(|part| match part {
            Part::Tokens(_) => 0,
            Part::Rows(medium) => medium.bytes(),
        });
        rows.sum::<u64>() + self.file.len() as u64
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self { entries: Vec::new(), next: FIRST_ROW_TOKEN, has_turned: false }
    }
}

impl Cache {
    /// Whether what is computed of images may be shared.
    pub(super) fn shares(&self) -> bool {
        !self.has_turned
    }

    /// What stands for the image in these bytes, if it is known.
    pub(super) fn find(&mut self, file: &[u8]) -> Option<Vec<Part>> {
        let place = self.entries.iter().position(|entry| entry.file == file)?;
        let entry = self.entries.remove(place);
        let parts = entry.parts.clone();
        self.entries.push(entry);
        Some(parts)
    }

    /// Gives the rows of an image their tokens, and keeps them for the next time.
    pub(super) fn insert(
        &mut self,
        file: &[u8],
        parts: Vec<MediumPart>,
        width: usize,
    ) -> Result<Vec<Part>, Error> {
        let parts: Vec<Part> = parts
            .into_iter()
            .map(|part| match part {
                MediumPart::Tokens(tokens) => Ok(Part::Tokens(tokens)),
                MediumPart::Rows(values, attention, places) => {
                    self.medium(values, width, attention, places).map(Part::Rows)
                }
            })
            .collect::<Result<_, Error>>()?;
        self.entries.push(Entry { file: file.to_vec(), parts: parts.clone() });
        let bytes = |entries: &[Entry]| entries.iter().map(Entry::bytes).sum::<u64>();
        while self.entries.len() > IMAGES_MAX || bytes(&self.entries) > BYTES_MAX {
            self.entries.remove(0);
        }
        Ok(parts)
    }

    fn medium(
        &mut self,
        values: Vec<f32>,
        width: usize,
        attention: RowAttention,
        places: RowPlaces,
    ) -> Result<Arc<Medium>, Error> {
        let rows = Token::try_from(values.len().checked_div(width).unwrap_or(0)).unwrap_or(Token::MAX);
        if self.next.checked_add(rows).is_none() {
            self.has_turned = true;
            self.next = FIRST_ROW_TOKEN;
            self.entries.clear();
        }
        let medium = Medium::new(self.next, width, values, attention)?.placed(places)?;
        self.next = medium.tokens().end;
        Ok(Arc::new(medium))
    }
}

#[cfg(test)]
mod tests {
    use rkllmjs_core::{FIRST_ROW_TOKEN, RowAttention, RowPlaces, Token};
    use rkllmjs_llama::MediumPart;

    use super::{Cache, IMAGES_MAX, Part};

    fn insert(cache: &mut Cache, file: &[u8], rows: usize) -> (Token, Token) {
        let rows = MediumPart::Rows(vec![0.5; rows * 4], RowAttention::Causal, RowPlaces::Line);
        let parts = vec![MediumPart::Tokens(vec![7]), rows];
        let parts = cache.insert(file, parts, 4).expect("rows");
        tokens(&parts)
    }

    fn tokens(parts: &[Part]) -> (Token, Token) {
        match parts {
            [Part::Tokens(_), Part::Rows(medium)] => (medium.tokens().start, medium.tokens().end),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_image_keeps_its_tokens_and_another_gets_others() {
        let mut cache = Cache::default();
        assert_eq!(insert(&mut cache, b"a", 3), (FIRST_ROW_TOKEN, FIRST_ROW_TOKEN + 3));
        assert_eq!(insert(&mut cache, b"b", 2), (FIRST_ROW_TOKEN + 3, FIRST_ROW_TOKEN + 5));
        let found = cache.find(b"a").expect("it was just there");
        assert_eq!(tokens(&found), (FIRST_ROW_TOKEN, FIRST_ROW_TOKEN + 3));
        assert!(cache.find(b"c").is_none() && cache.find(b"").is_none());
    }

    #[test]
    fn the_least_recently_used_leave() {
        let mut cache = Cache::default();
        for file in 0..IMAGES_MAX {
            insert(&mut cache, &file.to_le_bytes(), 1);
        }
        assert!(cache.find(&0_usize.to_le_bytes()).is_some());
        insert(&mut cache, b"another", 1);
        assert!(cache.find(&0_usize.to_le_bytes()).is_some() && cache.find(&1_usize.to_le_bytes()).is_none());
        // 160 MB of rows do not stay.
        insert(&mut cache, b"large", 10 << 20);
        assert!(cache.find(b"large").is_none() && cache.find(b"another").is_none());
    }

    #[test]
    fn once_tokens_are_given_out_again_nothing_is_shared_by_them() {
        let mut cache = Cache { next: Token::MAX - 4, ..Cache::default() };
        insert(&mut cache, b"a", 3);
        assert!(cache.shares() && cache.find(b"a").is_some());
        assert_eq!(insert(&mut cache, b"b", 3), (FIRST_ROW_TOKEN, FIRST_ROW_TOKEN + 3));
        assert!(!cache.shares() && cache.find(b"a").is_none() && cache.find(b"b").is_some());
    }
}
