use llama_cpp_sys_2 as sys;
use rkllmjs_core::{PairTokens, Token, Tokenizer as _};

use crate::Model;

/// The tokens that the vocabulary's flags put around two texts.
pub(crate) fn pair_tokens(model: &Model) -> Option<PairTokens> {
    let vocab = model.raw_vocab();
    // SAFETY: the vocabulary lives as long as the model, which is alive.
    let bos = known(model, unsafe { sys::llama_vocab_bos(vocab) });
    // SAFETY: as above.
    let eos = known(model, unsafe { sys::llama_vocab_eos(vocab) });
    // SAFETY: as above.
    let sep = known(model, unsafe { sys::llama_vocab_sep(vocab) });
    // SAFETY: as above.
    if unsafe { sys::llama_vocab_type(vocab) } == sys::LLAMA_VOCAB_TYPE_WPM {
        return word_piece(bos, sep);
    }
    // SAFETY: as above.
    let start = bos.filter(|_| unsafe { sys::llama_vocab_get_add_bos(vocab) });
    // SAFETY: as above.
    let end = eos.or(sep).filter(|_| unsafe { sys::llama_vocab_get_add_eos(vocab) });
    // SAFETY: as above.
    let second = sep.filter(|_| unsafe { sys::llama_vocab_get_add_sep(vocab) });
    let between: Vec<Token> = end.into_iter().chain(second).collect();
    let tokens = || PairTokens { start: list(start), between, end: list(end) };
    (end.is_some() || second.is_some()).then(tokens)
}

/// WordPiece ends every text with the separator and needs no other between two, whatever its flags say.
fn word_piece(bos: Option<Token>, sep: Option<Token>) -> Option<PairTokens> {
    let sep = vec![sep?];
    Some(PairTokens { start: list(bos), between: sep.clone(), end: sep })
}

/// A token that the vocabulary has; an absent one is -1.
fn known(model: &Model, token: i32) -> Option<Token> {
    u32::try_from(token).ok().filter(|&token| token < model.vocabulary_size())
}

fn list(token: Option<Token>) -> Vec<Token> {
    token.into_iter().collect()
}
