//! Prompt caches: tokens with the state of the model after them.
//!
//! The file holds the magic `RKLLMJSC`, the number of tokens (u32), the tokens (u32 each), the bytes of
//! the state (u64), the state, and a hash of all that (u64), little-endian.

use std::hash::Hasher;
use std::path::Path;

use rkllmjs_core::Token;

use super::Loaded;
use super::lane::shared_prefix;
use crate::backend::Item;
use crate::{Failure, log};

const MAGIC: &[u8; 8] = b"RKLLMJSC";
const DEFAULT_PATH: &str = "./prompt_cache.bin";
/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 32;

/// A prompt cache that was read.
#[derive(Debug, PartialEq)]
pub(super) struct PromptCache {
    items: Vec<Item>,
    state: Vec<u8>,
}

impl PromptCache {
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let size = std::fs::metadata(path).map(|data| data.len());
        match size {
            Err(_) => return Err(Failure::new(format!("prompt cache file {shown} does not exist"))),
            Ok(0) => return Err(Failure::new(format!("prompt cache file {shown} is empty"))),
            Ok(size) if size > FILE_BYTES_MAX => {
                return Err(Failure::new(format!("prompt cache file {shown} is too large")));
            }
            Ok(_) => {}
        }
        let damaged = || Failure::new(format!("prompt cache file {shown} is damaged"));
        let bytes = std::fs::read(path).map_err(|_| damaged())?;
        Self::parse(&bytes).ok_or_else(damaged)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (body, sum) = bytes.split_last_chunk::<8>()?;
        if hash(body) != u64::from_le_bytes(*sum) {
            return None;
        }
        let rest = body.strip_prefix(MAGIC)?;
        let (count, rest) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*count)).ok()?.checked_mul(4)?;
        let (tokens, rest) = rest.split_at_checked(length)?;
        let (state_bytes, state) = rest.split_first_chunk::<8>()?;
        if u64::from_le_bytes(*state_bytes) != state.len() as u64 {
            return None;
        }
        let tokens = tokens.as_chunks::<4>().0.iter().map(|four| u32::from_le_bytes(*four));
        Some(Self { items: tokens.map(Item::Token).collect(), state: state.to_vec() })
    }

    fn to_bytes(tokens: &[Token], state: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(u32::try_from(tokens.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend(tokens.iter().flat_map(|token| token.to_le_bytes()));
        bytes.extend((state.len() as u64).to_le_bytes());
        bytes.extend_from_slice(state);
        let sum = hash(&bytes);
        bytes.extend(sum.to_le_bytes());
        bytes
    }
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = Fnv(0xCBF2_9CE4_8422_2325);
    hasher.write(bytes);
    hasher.finish()
}

/// FNV-1a: the standard library promises no hash that stays the same between releases.
struct Fnv(u64);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Loaded {
    /// Writes what the first input of the batch has in the cache.
    pub(super) fn save_prompt_cache(&mut self, path: Option<&Path>) -> Result<(), Failure> {
        let path = path.unwrap_or_else(|| {
            log::error(&format!("no path for the prompt cache was given; using {DEFAULT_PATH}"));
            Path::new(DEFAULT_PATH)
        });
        let Some(lane) = self.lanes.first() else { return Ok(()) };
        let tokens: Option<Vec<Token>> = lane.stored.iter().map(Item::token).collect();
        let tokens = tokens.ok_or_else(|| Failure::new("a prompt cache holds tokens only"))?;
        let bytes = PromptCache::to_bytes(&tokens, &self.backend.save(0));
        let cannot = |e| Failure::new(format!("cannot write the prompt cache {}: {e}", path.display()));
        std::fs::write(path, bytes).map_err(cannot)
    }

    /// Puts the prompt cache into the first lane where that saves more than what is there.
    pub(super) fn use_prompt_cache(&mut self, target: &[Item]) {
        let (Some(cache), Some(lane)) = (&self.prompt_cache, self.lanes.first_mut()) else { return };
        if shared_prefix(&cache.items, target) <= shared_prefix(&lane.stored, target) {
            return;
        }
        lane.stored.clear();
        self.backend.truncate(0, 0);
        if self.backend.restore(0, &cache.state) {
            lane.stored.clone_from(&cache.items);
        } else {
            log::error("the prompt cache was made by another model and is not used");
            self.backend.truncate(0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_comes_back_as_it_was_written() {
        let bytes = PromptCache::to_bytes(&[5, 6], b"state");
        let items = vec![Item::Token(5), Item::Token(6)];
        assert_eq!(PromptCache::parse(&bytes), Some(PromptCache { items, state: b"state".to_vec() }));
    }

    #[test]
    fn a_damaged_cache_is_refused_whatever_byte_it_is() {
        let bytes = PromptCache::to_bytes(&[5, 6], b"state");
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            if let Some(byte) = bad.get_mut(at) {
                *byte ^= 0x10;
            }
            assert_eq!(PromptCache::parse(&bad), None, "byte {at}");
        }
        assert_eq!(PromptCache::parse(&bytes[..bytes.len() - 1]), None);
    }
}
