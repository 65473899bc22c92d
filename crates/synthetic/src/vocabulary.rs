//! Made-up vocabularies of any size.

use std::collections::HashSet;

/// Common words, and those the examples use.
const WORDS: &str = "the of and to in a is that for it as was with be by on not he his but at are this have from \
    or had an they which one you were her all she there would their we him been has when who will more no if \
    out so said what up its about into than them can only other new some could time these two may then do \
    first any my now such like our over man me even most made after also did many before must through back \
    years where much your way well down should because each just those people how too little state good very \
    make world still own see men work long get here between both life being under never day same another know \
    while last might us great old year off come since against go came right used take three weather \
    temperature city london paris tokyo tool function call name value json true false null string number \
    object array model token stream hello please write code python rust node";

/// Beyond ASCII: two control characters, several scripts, some of it outside the basic plane.
const CHARACTERS: &str = "\n\téèüñçßøλЖ中文字日本語😀🎉€";

const CONTROL: [&str; 8] = [
    "<|im_start|>",
    "<|im_end|>",
    "<|fim_prefix|>",
    "<|fim_suffix|>",
    "<|fim_middle|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
];
const MARKERS: [&str; 4] = ["<tool_call>", "</tool_call>", "<think>", "</think>"];

/// The token types of the format.
mod token_type {
    pub(super) const NORMAL: i32 = 1;
    pub(super) const UNKNOWN: i32 = 2;
    pub(super) const CONTROL: i32 = 3;
    pub(super) const USER_DEFINED: i32 = 4;
    pub(super) const BYTE: i32 = 6;
}

/// Tokens with a score and a type each.
pub(crate) struct Vocabulary {
    pub(crate) tokens: Vec<String>,
    pub(crate) scores: Vec<f32>,
    pub(crate) types: Vec<i32>,
    /// How many tokens at the start are special or single bytes.
    pub(crate) special: usize,
    seen: HashSet<String>,
    size: usize,
}

impl Vocabulary {
    /// In the manner of SentencePiece, with a byte fallback.
    pub(crate) fn pieces(size: u32) -> Self {
        let mut vocabulary = Self::empty(size);
        vocabulary.add("<unk>", 0.0, token_type::UNKNOWN);
        vocabulary.add("<s>", 0.0, token_type::CONTROL);
        vocabulary.add("</s>", 0.0, token_type::CONTROL);
        (0..256).for_each(|byte| vocabulary.add(&format!("<0x{byte:02X}>"), 0.0, token_type::BYTE));
        CONTROL.into_iter().for_each(|token| vocabulary.add(token, 0.0, token_type::CONTROL));
        MARKERS.into_iter().for_each(|token| vocabulary.add(token, 0.0, token_type::USER_DEFINED));
        vocabulary.special = vocabulary.tokens.len();

        vocabulary.piece("▁");
        ('!'..='~').for_each(|character| vocabulary.piece(character.encode_utf8(&mut [0; 4])));
        CHARACTERS.chars().for_each(|character| vocabulary.piece(character.encode_utf8(&mut [0; 4])));
        for word in WORDS.split_whitespace() {
            for form in [format!("▁{word}"), word.to_owned(), format!("▁{}", capitalised(word))] {
                // Every prefix from two characters on.
                let ends = form.char_indices().map(|(at, _)| at).skip(2).chain([form.len()]);
                ends.filter(|&end| form[..end].chars().nth(1).is_some())
                    .for_each(|end| vocabulary.piece(&form[..end]));
            }
        }
        let mut index = 0;
        while vocabulary.tokens.len() < vocabulary.size {
            vocabulary.piece(&filler(index));
            index += 1;
        }
        vocabulary
    }

    /// In the manner of WordPiece.
    pub(crate) fn words(size: u32) -> Self {
        let mut vocabulary = Self::empty(size);
        vocabulary.add("[PAD]", 0.0, token_type::CONTROL);
        vocabulary.add("[UNK]", 0.0, token_type::UNKNOWN);
        ["[CLS]", "[SEP]", "[MASK]"]
            .into_iter()
            .for_each(|token| vocabulary.add(token, 0.0, token_type::CONTROL));
        vocabulary.special = vocabulary.tokens.len();
        for character in '!'..='~' {
            vocabulary.piece(&format!("▁{character}"));
            vocabulary.piece(character.encode_utf8(&mut [0; 4]));
        }
        WORDS.split_whitespace().for_each(|word| vocabulary.piece(&format!("▁{word}")));
        let mut index = 0;
        while vocabulary.tokens.len() < vocabulary.size {
            vocabulary.piece(&format!("▁w{index}"));
            index += 1;
        }
        vocabulary
    }

    /// The number of a token, or 0 when there is no such token.
    pub(crate) fn id(&self, token: &str) -> u32 {
        self.tokens.iter().position(|known| known == token).map_or(0, |at| at as u32)
    }

    fn empty(size: u32) -> Self {
        Self {
            tokens: Vec::new(),
            scores: Vec::new(),
            types: Vec::new(),
            special: 0,
            seen: HashSet::new(),
            size: size as usize,
        }
    }

    fn add(&mut self, token: &str, score: f32, kind: i32) {
        self.seen.insert(token.to_owned());
        self.tokens.push(token.to_owned());
        self.scores.push(score);
        self.types.push(kind);
    }

    /// Adds an ordinary token, ranked after those before it, unless it is known or the vocabulary is full.
    fn piece(&mut self, token: &str) {
        if self.tokens.len() < self.size && !self.seen.contains(token) {
            let rank = self.tokens.len() + 1 - self.special;
            self.add(token, -(rank as f32), token_type::NORMAL);
        }
    }
}

fn capitalised(word: &str) -> String {
    let mut characters = word.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

/// Made-up words of three letters, then of four.
fn filler(index: u32) -> String {
    let letter = |place: u32| char::from(b'a' + (index / place % 26) as u8);
    let fourth = (index >= 26 * 26 * 26).then(|| letter(26 * 26 * 26));
    ['▁', letter(1), letter(26), letter(26 * 26)].into_iter().chain(fourth).collect()
}

#[cfg(test)]
mod tests {
    use super::Vocabulary;

    #[test]
    fn pieces_are_distinct_and_fill_the_size_exactly() {
        let vocabulary = Vocabulary::pieces(32000);
        assert_eq!(vocabulary.tokens.len(), 32000);
        assert_eq!(vocabulary.seen.len(), 32000);
        assert_eq!(vocabulary.special, 271);
        assert_eq!(vocabulary.id("<|im_end|>"), 260);
        assert_eq!(vocabulary.scores[271], -1.0);
    }

    #[test]
    fn words_begin_with_the_five_special_tokens() {
        let vocabulary = Vocabulary::words(4096);
        assert_eq!(vocabulary.tokens[..5], ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]);
        assert_eq!(vocabulary.types[..6], [3, 2, 3, 3, 3, 1]);
        assert_eq!(vocabulary.tokens[4095], "▁w3726");
    }
}
