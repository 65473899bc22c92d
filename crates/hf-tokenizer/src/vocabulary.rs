use rkllmjs_core::{Error, SpecialToken, Token};
use tokenizers::{Model as _, Tokenizer};

use crate::companion_file::CompanionFile;
use crate::spelling::Spelling;

/// Most tokens of a vocabulary; the largest known ones have some 262,000.
const TOKENS_MAX: usize = 1 << 22;

/// The bytes of every token.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    bytes: Vec<u8>,
    /// Where the bytes of each token end.
    ends: Vec<u32>,
    control: Vec<SpecialToken>,
    /// One more than the largest id that is no added token.
    own_size: u32,
}

impl Vocabulary {
    pub(crate) fn read(
        tokenizer: &Tokenizer,
        spelling: &Spelling,
        file: &CompanionFile,
    ) -> Result<Self, Error> {
        let mut texts = Texts::new(file);
        for (text, id) in tokenizer.get_vocab(false) {
            texts.put(id, text)?;
        }
        texts.fill_gaps(tokenizer);
        let own_size = texts.size();
        let mut spelled: Vec<Option<Vec<u8>>> =
            texts.texts.iter().map(|text| text.as_ref().map(|text| spelling.bytes(text))).collect();
        let mut control = Vec::new();
        for (id, token) in tokenizer.get_added_tokens_decoder() {
            let is_own = texts.has(id);
            texts.put(id, token.content.clone())?;
            spelled.resize(texts.texts.len(), None);
            let Some(place) = spelled.get_mut(id as usize) else { continue };
            if token.special {
                *place = Some(token.content.clone().into_bytes());
                control.push(SpecialToken { token: id, text: token.content });
            } else if !is_own {
                *place = Some(spelling.added_bytes(&token.content));
            }
        }
        control.sort_unstable_by_key(|special| special.token);
        let mut this = Self { bytes: Vec::new(), ends: Vec::new(), control, own_size };
        for bytes in spelled {
            this.bytes.extend(bytes.unwrap_or_default());
            let end = u32::try_from(this.bytes.len())
                .map_err(|_| file.invalid("the vocabulary has more than 4 GiB of text"))?;
            this.ends.push(end);
        }
        Ok(this)
    }

    /// One more than the largest id.
    pub(crate) fn size(&self) -> u32 {
        u32::try_from(self.ends.len()).unwrap_or(u32::MAX)
    }

    /// The same without added tokens.
    pub(crate) fn own_size(&self) -> u32 {
        self.own_size
    }

    /// The bytes of a token, none for one that does not exist.
    pub(crate) fn bytes(&self, token: Token) -> &[u8] {
        let at = token as usize;
        let start = at.checked_sub(1).map_or(Some(&0), |before| self.ends.get(before));
        let (Some(&start), Some(&end)) = (start, self.ends.get(at)) else { return &[] };
        self.bytes.get(start as usize..end as usize).unwrap_or_default()
    }

    /// The control tokens, by id.
    pub(crate) fn control(&self) -> &[SpecialToken] {
        &self.control
    }

    pub(crate) fn is_control(&self, token: Token) -> bool {
        self.control.binary_search_by_key(&token, |special| special.token).is_ok()
    }
}

/// The text of each token, while the vocabulary is read.
struct Texts<'a> {
    texts: Vec<Option<String>>,
    file: &'a CompanionFile,
}

impl<'a> Texts<'a> {
    fn new(file: &'a CompanionFile) -> Self {
        Self { texts: Vec::new(), file }
    }

    fn size(&self) -> u32 {
        u32::try_from(self.texts.len()).unwrap_or(u32::MAX)
    }

    fn has(&self, id: u32) -> bool {
        self.texts.get(id as usize).is_some_and(Option::is_some)
    }

    fn put(&mut self, id: u32, text: String) -> Result<(), Error> {
        let at = id as usize;
        if at >= TOKENS_MAX {
            let message = format!("the token {text:?} has id {id}, ids must be below {TOKENS_MAX}");
            return Err(self.file.invalid(message));
        }
        if at >= self.texts.len() {
            self.texts.resize(at + 1, None);
        }
        let Some(place) = self.texts.get_mut(at) else { return Ok(()) };
        match place {
            Some(other) if *other != text => {
                Err(self.file.invalid(format!("the tokens {other:?} and {text:?} both have id {id}")))
            }
            _ => {
                *place = Some(text);
                Ok(())
            }
        }
    }

    /// Where one text has several ids the library lists it once.
    fn fill_gaps(&mut self, tokenizer: &Tokenizer) {
        let model = tokenizer.get_model();
        for (id, text) in (0..).zip(&mut self.texts) {
            if text.is_none() {
                *text = model.id_to_token(id);
            }
        }
    }
}
