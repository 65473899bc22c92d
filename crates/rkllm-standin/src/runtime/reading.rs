//! From inputs to positions.

use std::sync::Arc;

use rkllmjs_core::{Special, Tokenizer};

use super::Loaded;
use crate::Failure;
use crate::backend::Item;
use crate::run::{Input, Media, Role, RunInput, RunParams};
use crate::template::{Segment, Template, Turn, tool_results};

/// What an input adds to its lane.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) items: Vec<Item>,
    /// Whether it goes on where the lane's history ends.
    pub(super) continues: bool,
    /// How many tokens at the start are the system prompt, if it begins a conversation with one.
    pub(super) system_tokens: Option<usize>,
}

/// A piece of an input in the order of its positions.
enum Piece {
    Text(Segment),
    Vectors(Vec<Item>),
}

impl Loaded {
    pub(super) fn read_inputs(
        &self,
        inputs: &[RunInput],
        params: &RunParams,
    ) -> Result<Vec<Reading>, Failure> {
        inputs.iter().enumerate().map(|(lane, input)| self.read_input(lane, input, params)).collect()
    }

    fn read_input(&self, lane: usize, input: &RunInput, params: &RunParams) -> Result<Reading, Failure> {
        // Results of tools mean nothing without the question, with or without a history.
        let kept = self.kept_history && params.keep_history;
        let goes_on = (self.paused && self.resumes) || kept || input.role == Role::Tool;
        let continues = goes_on && self.lanes.get(lane).is_some_and(|lane| !lane.history.is_empty());
        let (items, system_tokens) = match &input.input {
            Input::Tokens(tokens) => (self.read_tokens(tokens)?, None),
            Input::Embeddings(values) => (self.read_vectors(values)?, None),
            Input::Prompt(prompt) => self.read_prompt(input, lane, prompt, &[], continues)?,
            Input::Multimodal { prompt, media } => self.read_prompt(input, lane, prompt, media, continues)?,
        };
        if items.is_empty() {
            return Err(Failure::new("the input is empty"));
        }
        Ok(Reading { items, continues, system_tokens })
    }

    fn read_tokens(&self, tokens: &[i32]) -> Result<Vec<Item>, Failure> {
        let size = self.backend.tokenizer().vocabulary_size();
        let item = |&token: &i32| match u32::try_from(token) {
            Ok(token) if token < size => Ok(Item::Token(token)),
            _ => Err(Failure::new(format!("token {token} is not in the vocabulary of {size}"))),
        };
        tokens.iter().map(item).collect()
    }

    fn read_vectors(&self, values: &[f32]) -> Result<Vec<Item>, Failure> {
        let size = self.backend.embedding_size();
        if size == 0 || !values.len().is_multiple_of(size) {
            return Err(Failure::new(format!("embeddings have {size} numbers each")));
        }
        Ok(values.chunks_exact(size).map(|row| Item::Vector(Arc::from(row))).collect())
    }

    fn read_prompt(
        &self,
        input: &RunInput,
        lane: usize,
        prompt: &str,
        media: &[Media],
        continues: bool,
    ) -> Result<(Vec<Item>, Option<usize>), Failure> {
        let turn = match (continues, input.role) {
            (false, _) => Turn::First,
            (true, Role::User) => Turn::Next,
            (true, Role::Tool) => Turn::Tool,
        };
        let texts = if turn == Turn::Tool { tool_results(prompt) } else { vec![prompt.to_owned()] };
        let wrapped = self.template.wrap(turn, &texts, input.enable_thinking, self.tools.as_ref())?;
        let mut pieces = Vec::new();
        let mut media = Places::new(self, media)?;
        for segment in wrapped.segments {
            match segment {
                Segment::Plain(text) => media.put_in(&text, Segment::Plain, &mut pieces),
                // Without a template all text is trusted, tags included.
                Segment::Trusted(text) => media.put_in(&text, Segment::Trusted, &mut pieces),
            }
        }
        media.check_used()?;
        let begins = turn == Turn::First;
        let mut items = self.tokenize(pieces, begins)?;
        if !begins && self.ends_twice(lane, &items) {
            items.remove(0);
        }
        let system = Piece::Text(Segment::Trusted(wrapped.system));
        let system_tokens = if begins { Some(self.tokenize(vec![system], false)?.len()) } else { None };
        Ok((items, system_tokens))
    }

    /// Whether the model has said the token already that its template ends an answer with.
    fn ends_twice(&self, lane: usize, items: &[Item]) -> bool {
        let said = self.lanes.get(lane).and_then(|lane| lane.history.last()).and_then(Item::token);
        let first = items.first().and_then(Item::token);
        matches!(self.template, Template::Own(_))
            && said == first
            && said.is_some_and(|token| self.backend.tokenizer().is_end(token))
    }

    fn tokenize(&self, pieces: Vec<Piece>, begins: bool) -> Result<Vec<Item>, Failure> {
        let mut items = Vec::new();
        let mut texts: Vec<Segment> = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Text(segment) => texts.push(segment),
                Piece::Vectors(vectors) => {
                    self.tokenize_texts(&texts, begins && items.is_empty(), &mut items)?;
                    texts.clear();
                    items.extend(vectors);
                }
            }
        }
        self.tokenize_texts(&texts, begins && items.is_empty(), &mut items)?;
        Ok(items)
    }

    /// Tokenizes texts that follow each other as one, so that a cut changes no token; only where plain
    /// text spells a control token, each on its own.
    fn tokenize_texts(&self, texts: &[Segment], begins: bool, items: &mut Vec<Item>) -> Result<(), Failure> {
        let tokenizer = self.backend.tokenizer();
        let mut add = begins;
        let mut push = |text: &str, parse: bool| -> Result<(), Failure> {
            let starts = !tokenizer.start_text().is_empty() && text.starts_with(tokenizer.start_text());
            let special = Special { add: std::mem::take(&mut add) && !(parse && starts), parse };
            items.extend(tokenizer.tokenize(text, special)?.into_iter().map(Item::Token));
            Ok(())
        };
        if texts.iter().any(|text| matches!(text, Segment::Plain(text) if spells_control(tokenizer, text))) {
            for text in texts {
                match text {
                    Segment::Trusted(text) => push(text, true)?,
                    Segment::Plain(text) => push(text, false)?,
                }
            }
            return Ok(());
        }
        let joined: String = texts.iter().map(text_of).collect();
        if joined.is_empty() { Ok(()) } else { push(&joined, true) }
    }
}

fn text_of(segment: &Segment) -> &str {
    match segment {
        Segment::Trusted(text) | Segment::Plain(text) => text,
    }
}

fn spells_control(tokenizer: &dyn Tokenizer, text: &str) -> bool {
    tokenizer.control_tokens().iter().any(|special| text.contains(&special.text))
}

/// The media of an input, and how many tags have been found.
struct Places<'a> {
    media: Vec<(&'a Media, Vec<Vec<Item>>)>,
}

impl<'a> Places<'a> {
    fn new(loaded: &Loaded, media: &'a [Media]) -> Result<Self, Failure> {
        let mut places = Vec::with_capacity(media.len());
        for medium in media {
            let rows = loaded.read_vectors(&medium.vectors)?;
            if medium.size.contains(&0) != (medium.size == [0; 2]) {
                return Err(Failure::new(format!(
                    "{} has a width or a height without the other",
                    medium.tag
                )));
            }
            if medium.count == 0
                || medium.rows == 0
                || medium.count.checked_mul(medium.rows) != Some(rows.len())
            {
                return Err(Failure::new(format!("{} has no rows, or not as many as it says", medium.tag)));
            }
            let mut each: Vec<Vec<Item>> = rows.chunks(medium.rows).map(<[Item]>::to_vec).collect();
            each.reverse();
            places.push((medium, each));
        }
        Ok(Self { media: places })
    }

    /// Adds `text` with the next media in the place of their tags.
    fn put_in(&mut self, text: &str, kind: fn(String) -> Segment, pieces: &mut Vec<Piece>) {
        let mut rest = text;
        loop {
            let tags = self.media.iter_mut().filter(|(_, left)| !left.is_empty());
            let found = tags.filter_map(|(medium, left)| Some((rest.find(medium.tag)?, medium, left)));
            let Some((at, medium, left)) = found.min_by_key(|(at, ..)| *at) else { break };
            let (before, behind) = (rest.get(..at), rest.get(at + medium.tag.len()..));
            pieces.push(Piece::Text(kind(before.unwrap_or_default().to_owned())));
            pieces.push(Piece::Text(Segment::Trusted(medium.start.clone())));
            pieces.push(Piece::Vectors(left.pop().unwrap_or_default()));
            pieces.push(Piece::Text(Segment::Trusted(medium.end.clone())));
            rest = behind.unwrap_or_default();
        }
        pieces.push(Piece::Text(kind(rest.to_owned())));
    }

    fn check_used(&self) -> Result<(), Failure> {
        match self.media.iter().find(|(_, left)| !left.is_empty()) {
            None => Ok(()),
            Some((medium, _)) => Err(Failure::new(format!(
                "multimodal input must contain {} as often as there are embeddings for it",
                medium.tag
            ))),
        }
    }
}
