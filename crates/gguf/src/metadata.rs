use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::io::Read;

use crate::error::{Error, ErrorKind};
use crate::reader::Reader;
use crate::value::{Array, Strings, Value};

pub(crate) const MAX_KEYS: u64 = 65_536;
const MAX_KEY_LENGTH: usize = 65_535;
/// Length field, one character, type, one byte of value.
const SMALLEST_ENTRY: u64 = 8 + 1 + 4 + 1;

/// The key-value pairs of a file, in the file's order.
#[derive(Debug, Clone, Default)]
pub struct Metadata {
    entries: Vec<Entry>,
    index: HashMap<Box<str>, usize>,
}

#[derive(Debug, Clone)]
struct Entry {
    key: Box<str>,
    value: Value,
    offset: u64,
}

impl Metadata {
    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All keys and values in the file's order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.entries.iter().map(|entry| (&*entry.key, &entry.value))
    }

    /// The value of `key`, in whatever type the file stores it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// Where the entry of `key` begins, in bytes from the start of the file.
    #[must_use]
    pub fn offset(&self, key: &str) -> Option<u64> {
        self.entry(key).map(|entry| entry.offset)
    }

    /// The value of `key` if it is a whole number that is not negative.
    #[must_use]
    pub fn u64(&self, key: &str) -> Option<u64> {
        self.get(key)?.u64()
    }

    /// The value of `key` if it is an `f32` or `f64`.
    #[must_use]
    pub fn f64(&self, key: &str) -> Option<f64> {
        self.get(key)?.f64()
    }

    /// The value of `key` if it is text.
    #[must_use]
    pub fn str(&self, key: &str) -> Option<&str> {
        self.get(key)?.str()
    }

    /// The value of `key` if it is true or false.
    #[must_use]
    pub fn bool(&self, key: &str) -> Option<bool> {
        match self.get(key)? {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The value of `key` if it is an array.
    #[must_use]
    pub fn array(&self, key: &str) -> Option<&Array> {
        match self.get(key)? {
            Value::Array(array) => Some(array),
            _ => None,
        }
    }

    /// The value of `key` if it is an array of texts.
    #[must_use]
    pub fn strings(&self, key: &str) -> Option<&Strings> {
        match self.array(key)? {
            Array::Strings(strings) => Some(strings),
            _ => None,
        }
    }

    /// Forgets the keys that begin with `prefix`.
    pub(crate) fn remove_all(&mut self, prefix: &str) {
        self.entries.retain(|entry| !entry.key.starts_with(prefix));
        self.index = (0..).zip(&self.entries).map(|(place, entry)| (entry.key.clone(), place)).collect();
    }

    /// A fault of the value of `key`, with the place of that key.
    pub(crate) fn fault(&self, key: &str, message: impl std::fmt::Display) -> Error {
        let error = Error::corrupt(format!("key {key:?} {message}"));
        match self.offset(key) {
            Some(offset) => error.at(offset),
            None => error,
        }
    }

    pub(crate) fn missing(key: &str) -> Error {
        Error::corrupt(format!("key {key:?} is missing"))
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.get(*self.index.get(key)?)
    }

    pub(crate) fn read<R: Read>(reader: &mut Reader<R>, count: u64) -> Result<Self, Error> {
        if count > MAX_KEYS {
            let message = format!("the header promises {count} keys; at most {MAX_KEYS} are accepted");
            return Err(Error::new(ErrorKind::TooLarge, message).at(16));
        }
        reader
            .require(count.saturating_mul(SMALLEST_ENTRY))
            .map_err(|error| error.within(format_args!("metadata of {count} keys")))?;
        let mut metadata = Self::default();
        for number in 0..count {
            let offset = reader.position();
            let key = read_key(reader).map_err(|error| error.within(format_args!("key number {number}")))?;
            let value =
                Value::read(reader).map_err(|error| error.within(format_args!("value of key {key:?}")))?;
            metadata.insert(key, value, offset)?;
        }
        Ok(metadata)
    }

    fn insert(&mut self, key: Box<str>, value: Value, offset: u64) -> Result<(), Error> {
        match self.index.entry(key.clone()) {
            Slot::Occupied(_) => Err(Error::corrupt(format!("key {key:?} appears twice")).at(offset)),
            Slot::Vacant(slot) => {
                slot.insert(self.entries.len());
                self.entries.push(Entry { key, value, offset });
                Ok(())
            }
        }
    }
}

fn read_key<R: Read>(reader: &mut Reader<R>) -> Result<Box<str>, Error> {
    let offset = reader.position();
    let key = reader.string()?;
    if key.is_empty() {
        return Err(Error::corrupt("the key is empty").at(offset));
    }
    if key.len() > MAX_KEY_LENGTH {
        let message = format!("the key has {} bytes; at most {MAX_KEY_LENGTH} are allowed", key.len());
        return Err(Error::new(ErrorKind::TooLarge, message).at(offset));
    }
    // C reads a key up to its first zero byte, so it would see another key than we checked.
    if key.contains('\0') {
        return Err(Error::corrupt(format!("key {key:?} contains a zero byte")).at(offset));
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use crate::ErrorKind;
    use crate::testing::Builder;

    #[test]
    fn gives_values_by_key_and_type() {
        let file = Builder::new().u32("a", 7).str("b", "text").bool("c", true).f32("d", 0.5).open().unwrap();
        assert_eq!(file.metadata.u64("a"), Some(7));
        assert_eq!(file.metadata.str("b"), Some("text"));
        assert_eq!(file.metadata.bool("c"), Some(true));
        assert_eq!(file.metadata.f64("d"), Some(0.5));
        assert_eq!(file.metadata.u64("d"), None);
        assert_eq!(file.metadata.offset("a"), Some(24));
        let keys: Vec<&str> = file.metadata.iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["a", "b", "c", "d"]);
    }

    #[test]
    fn refuses_a_key_that_appears_twice() {
        let error = Builder::new().u32("a", 1).u32("a", 2).open().unwrap_err();
        assert_eq!(error.to_string(), "key \"a\" appears twice (offset 0x29)");
    }

    #[test]
    fn refuses_an_empty_key_and_a_key_with_a_zero_byte() {
        assert_eq!(Builder::new().u32("", 1).open().unwrap_err().kind, ErrorKind::Corrupt);
        assert_eq!(Builder::new().u32("a\0b", 1).open().unwrap_err().kind, ErrorKind::Corrupt);
    }

    #[test]
    fn refuses_an_overlong_key() {
        let error = Builder::new().u32(&"k".repeat(65_536), 1).open().unwrap_err();
        assert_eq!(error.kind, ErrorKind::TooLarge);
    }

    #[test]
    fn refuses_more_keys_than_the_cap_or_than_fit() {
        let error = Builder::new().key_count(65_537).open().unwrap_err();
        assert_eq!((error.kind, error.offset), (ErrorKind::TooLarge, Some(16)));
        let error = Builder::new().key_count(1_000).open().unwrap_err();
        assert_eq!(error.kind, ErrorKind::Truncated);
    }
}
