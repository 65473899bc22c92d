//! A model without weights: it says what its script says, one byte a token.

mod tokenizer;

use std::collections::BTreeSet;

use rkllmjs_core::{Token, Tokenizer};

use crate::backend::{Backend, Purpose, Row};
use crate::model_file::{Contents, Header};
use crate::{Failure, SamplingConfig};
pub(crate) use tokenizer::ByteTokenizer;
use tokenizer::{END, VOCABULARY};

/// What it says without a script.
const DEFAULT_SCRIPT: &str = "This is the stand-in speaking.";
/// What a script may name its input by.
const INPUT: &str = "{input}";
/// Numbers of a hidden state.
const EMBEDDING: usize = 8;

/// Says its script in every lane.
#[derive(Debug)]
pub(crate) struct Scripted {
    script: String,
    lanes: Vec<Vec<u8>>,
    said: Vec<usize>,
    adapters: BTreeSet<String>,
    upper_case: bool,
    /// What the output of each row of the last computation depends on.
    computed: Vec<(Token, usize)>,
    output: Vec<f32>,
}

impl Scripted {
    /// Takes the script from `RKLLMJS_STANDIN_SCRIPT`, else from the file, else its own.
    pub(crate) fn new(contents: Contents, lanes: usize) -> Result<Self, Failure> {
        let written = contents.text()?;
        let script = match std::env::var("RKLLMJS_STANDIN_SCRIPT") {
            Ok(script) => script,
            Err(_) if written.is_empty() => DEFAULT_SCRIPT.to_owned(),
            Err(_) => written,
        };
        Ok(Self {
            script,
            lanes: vec![Vec::new(); lanes],
            said: vec![0; lanes],
            adapters: BTreeSet::new(),
            upper_case: false,
            computed: Vec::new(),
            output: Vec::new(),
        })
    }
}

impl Backend for Scripted {
    fn tokenizer(&self) -> &dyn Tokenizer {
        &ByteTokenizer
    }

    fn chat_template(&self) -> Option<&str> {
        None
    }

    fn embedding_size(&self) -> usize {
        EMBEDDING
    }

    fn rows_max(&self) -> usize {
        512
    }

    fn begin(&mut self, lane: usize, _: &SamplingConfig, prompt: &[Token]) -> Result<(), Failure> {
        let mut text = self.script.replace(INPUT, &ByteTokenizer.detokenize(prompt));
        if self.upper_case {
            text = text.to_uppercase();
        }
        if let (Some(script), Some(said)) = (self.lanes.get_mut(lane), self.said.get_mut(lane)) {
            *script = text.into_bytes();
            *said = 0;
        }
        Ok(())
    }

    fn compute(&mut self, rows: &[Row<'_>], _: Purpose) -> Result<(), Failure> {
        let key = |row: &Row<'_>| (row.item.token().unwrap_or(END), row.position);
        self.computed = rows.iter().map(key).collect();
        Ok(())
    }

    fn sample(&mut self, lane: usize, _: usize) -> Result<Token, Failure> {
        let (Some(script), Some(said)) = (self.lanes.get(lane), self.said.get_mut(lane)) else {
            return Err(Failure::new("no such input in the batch"));
        };
        let token = script.get(*said).map_or(END, |&byte| Token::from(byte));
        *said += 1;
        Ok(token)
    }

    fn output(&mut self, row: usize, purpose: Purpose) -> Result<&[f32], Failure> {
        let Some(&(token, position)) = self.computed.get(row) else {
            return Err(Failure::new("no such row in the computation"));
        };
        let columns = if purpose == Purpose::Hidden { EMBEDDING } else { VOCABULARY as usize };
        let value = |column: usize| ((token as usize * 31 + position * 17 + column * 7) % 97) as f32 / 97.0;
        self.output = (0..columns).map(value).collect();
        Ok(&self.output)
    }

    fn truncate(&mut self, _: usize, _: usize) -> bool {
        true
    }

    fn cut(&mut self, _: usize, _: usize, _: usize) -> bool {
        true
    }

    fn save(&mut self, _: usize) -> Vec<u8> {
        b"scripted".to_vec()
    }

    fn restore(&mut self, _: usize, bytes: &[u8]) -> bool {
        bytes == b"scripted"
    }

    fn load_adapter(&mut self, name: &str, _: &Header, _: Contents, _: f32) -> Result<(), Failure> {
        self.adapters.insert(name.to_owned());
        Ok(())
    }

    /// Under an adapter it speaks in upper case, so that one can hear it.
    fn use_adapter(&mut self, name: Option<&str>) -> Result<(), Failure> {
        self.upper_case = name.is_some_and(|name| self.adapters.contains(name));
        Ok(())
    }
}
