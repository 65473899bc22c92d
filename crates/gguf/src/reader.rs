use std::io::{BufReader, ErrorKind as IoKind, Read};

use crate::error::{Error, ErrorKind};

/// No header of a real model comes near this; without it a sparse file of a terabyte could ask
/// for a terabyte of memory.
pub(crate) const HEADER_LIMIT: u64 = 512 * 1024 * 1024;

const CHUNK: usize = 64 * 1024;

/// Reads little-endian fields front to back and knows how many bytes are left, so that no length
/// field is believed before the file has been shown to hold that much.
pub(crate) struct Reader<R> {
    inner: BufReader<R>,
    position: u64,
    length: u64,
}

impl<R: Read> Reader<R> {
    pub(crate) fn new(inner: R, length: u64) -> Self {
        Self { inner: BufReader::with_capacity(256 * 1024, inner), position: 0, length }
    }

    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    pub(crate) fn remaining(&self) -> u64 {
        self.length.saturating_sub(self.position)
    }

    /// Fails unless `bytes` more bytes are in the file and within the header limit.
    pub(crate) fn require(&self, bytes: u64) -> Result<(), Error> {
        if bytes > self.remaining() {
            let message = format!("needs {bytes} more bytes but only {} are left", self.remaining());
            return Err(Error::new(ErrorKind::Truncated, message).at(self.position));
        }
        if bytes > HEADER_LIMIT.saturating_sub(self.position) {
            let message = format!("needs {bytes} more bytes, past the header limit of {HEADER_LIMIT} bytes");
            return Err(Error::new(ErrorKind::TooLarge, message).at(self.position));
        }
        Ok(())
    }

    fn fill(&mut self, into: &mut [u8]) -> Result<(), Error> {
        self.inner.read_exact(into).map_err(|error| match error.kind() {
            IoKind::UnexpectedEof => {
                Error::new(ErrorKind::Truncated, "the file became shorter while it was read")
                    .at(self.position)
            }
            _ => Error::io("reading failed", &error).at(self.position),
        })?;
        self.position = self.position.saturating_add(into.len() as u64);
        Ok(())
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        self.require(N as u64)?;
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Error> {
        self.array().map(u64::from_le_bytes)
    }

    /// Appends one length-prefixed string to `text` and gives its length in bytes.
    pub(crate) fn append_string(&mut self, text: &mut Vec<u8>) -> Result<usize, Error> {
        let start = self.position;
        let length = self.u64()?;
        self.require(length).map_err(|error| error.within("a string"))?;
        let length = usize::try_from(length)
            .map_err(|_| Error::new(ErrorKind::TooLarge, "a string is longer than memory").at(start))?;
        let before = text.len();
        let end = before.saturating_add(length);
        text.resize(end, 0);
        let slot = text.get_mut(before..end).unwrap_or_default();
        self.fill(slot)?;
        if std::str::from_utf8(slot).is_err() {
            return Err(Error::corrupt("a string is not valid UTF-8").at(start));
        }
        Ok(length)
    }

    pub(crate) fn string(&mut self) -> Result<Box<str>, Error> {
        let start = self.position;
        let mut text = Vec::new();
        self.append_string(&mut text)?;
        String::from_utf8(text)
            .map(String::into_boxed_str)
            .map_err(|_| Error::corrupt("a string is not valid UTF-8").at(start))
    }

    /// Reads `count` fixed-size elements in bounded steps.
    pub(crate) fn elements<const N: usize, T>(
        &mut self,
        count: u64,
        decode: impl Fn([u8; N]) -> T,
    ) -> Result<Box<[T]>, Error> {
        let bytes = count.saturating_mul(N as u64);
        self.require(bytes).map_err(|error| error.within(format_args!("an array of {count} elements")))?;
        let mut left = usize::try_from(bytes).map_err(|_| {
            Error::new(ErrorKind::TooLarge, "an array is larger than memory").at(self.position)
        })?;
        let mut elements = Vec::with_capacity(left / N.max(1));
        let mut chunk = vec![0; left.min(CHUNK - CHUNK % N.max(1))];
        while left > 0 {
            let step = left.min(chunk.len());
            let part = chunk.get_mut(..step).unwrap_or_default();
            self.fill(part)?;
            let (whole, _) = part.as_chunks::<N>();
            elements.extend(whole.iter().map(|bytes| decode(*bytes)));
            left -= step;
        }
        Ok(elements.into_boxed_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_string_longer_than_the_file_before_allocating() {
        let bytes = u64::MAX.to_le_bytes();
        let mut reader = Reader::new(bytes.as_slice(), 8);
        let error = reader.string().unwrap_err();
        assert_eq!(error.kind, ErrorKind::Truncated);
        assert_eq!(error.offset, Some(8));
    }

    #[test]
    fn refuses_a_header_beyond_the_limit_even_in_a_sparse_file() {
        let bytes = (HEADER_LIMIT + 1).to_le_bytes();
        let mut reader = Reader::new(bytes.as_slice(), u64::MAX);
        assert_eq!(reader.string().unwrap_err().kind, ErrorKind::TooLarge);
    }

    #[test]
    fn notices_a_file_that_shrinks_while_it_is_read() {
        let mut reader = Reader::new([1_u8, 2].as_slice(), 100);
        assert_eq!(reader.u32().unwrap_err().kind, ErrorKind::Truncated);
    }

    #[test]
    fn reads_elements_across_chunk_borders() {
        let bytes: Vec<u8> = (0..50_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut reader = Reader::new(bytes.as_slice(), bytes.len() as u64);
        let elements = reader.elements(50_000, u32::from_le_bytes).unwrap();
        assert!(elements.iter().copied().eq(0..50_000));
        assert_eq!(reader.remaining(), 0);
    }

    #[test]
    fn refuses_a_string_that_is_not_utf8() {
        let bytes = [2, 0, 0, 0, 0, 0, 0, 0, 0xc3, 0x28];
        let mut reader = Reader::new(bytes.as_slice(), bytes.len() as u64);
        assert_eq!(reader.string().unwrap_err().kind, ErrorKind::Corrupt);
    }
}
