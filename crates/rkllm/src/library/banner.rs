//! What a library says of itself in its bytes, read before it is opened.

use std::io::{self, Read};

use super::version::Version;

const START: &[u8] = b"RKLLM SDK (version: ";

/// A banner is one line; real ones are some 80 bytes long.
const BANNER_BYTES_MAX: usize = 256;

const BLOCK_BYTES: usize = 256 * 1024;

/// The line a library prints when it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Banner {
    pub(super) version: Version,
    /// What it was built for: `Linux`, `Android`, or our stand-in.
    pub(super) target: Option<String>,
}

/// The first banner with a version in what `reader` gives, without holding more than a block of it.
pub(super) fn find(mut reader: impl Read) -> io::Result<Option<Banner>> {
    let mut window: Vec<u8> = Vec::with_capacity(BLOCK_BYTES + BANNER_BYTES_MAX);
    loop {
        let block = u64::try_from(BLOCK_BYTES).unwrap_or(u64::MAX);
        let read = reader.by_ref().take(block).read_to_end(&mut window)?;
        let is_last = read < BLOCK_BYTES;
        // What begins in the last bytes of a block is looked at again together with the next.
        let limit = if is_last { window.len() } else { window.len().saturating_sub(BANNER_BYTES_MAX) };
        if let Some(banner) = first(&window, limit) {
            return Ok(Some(banner));
        }
        if is_last {
            return Ok(None);
        }
        window.drain(..limit);
    }
}

/// The first banner that begins before `limit`.
fn first(bytes: &[u8], limit: usize) -> Option<Banner> {
    let mut windows = bytes.windows(START.len()).take(limit).enumerate();
    // The first byte alone tells nearly all of them apart, in files of many megabytes.
    windows.find_map(|(at, window)| {
        let starts = window.first() == START.first() && window == START;
        starts.then(|| parse(bytes.get(at + START.len()..)?))?
    })
}

/// Reads `1.2.3 | target: Linux | build: …)`; nothing that goes on without end or is no text.
fn parse(bytes: &[u8]) -> Option<Banner> {
    let bytes = bytes.get(..BANNER_BYTES_MAX - START.len()).unwrap_or(bytes);
    let end = bytes.iter().position(|&byte| matches!(byte, b')' | b'\0' | b'\n'))?;
    let text = std::str::from_utf8(bytes.get(..end)?).ok()?;
    let mut fields = text.split('|').map(str::trim);
    let version = Version::parse(fields.next()?)?;
    let target =
        fields.find_map(|field| field.strip_prefix("target:")).map(|target| target.trim().to_owned());
    Some(Banner { version, target })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(bytes: &[u8]) -> Option<(String, Option<String>)> {
        find(bytes).unwrap().map(|banner| (banner.version.to_string(), banner.target))
    }

    #[test]
    fn the_banner_of_a_real_library_is_read() {
        let line =
            b"\0\0RKLLM SDK (version: 1.2.1b1 | target: Linux | build: 27637c95 2025-05-02 17:46:07)\0";
        assert_eq!(found(line), Some(("1.2.1b1".into(), Some("Linux".into()))));
        assert_eq!(found(b"RKLLM SDK (version: 1.3.0)\0"), Some(("1.3.0".into(), None)));
    }

    #[test]
    fn a_pattern_without_a_version_is_passed_over() {
        let bytes = b"RKLLM SDK (version: %s | target: %s)\0RKLLM SDK (version: 1.2.3 | target: Linux)\0";
        assert_eq!(found(bytes), Some(("1.2.3".into(), Some("Linux".into()))));
        assert_eq!(found(b"RKLLM SDK (version: \xff\xfe)"), None);
        assert_eq!(found(b"RKLLM SDK (version: 1.2.3 | no end"), None);
    }

    #[test]
    fn a_banner_across_two_blocks_is_found() {
        let line = b"RKLLM SDK (version: 1.3.1 | target: Linux)";
        for before in (BLOCK_BYTES - 400..BLOCK_BYTES + 100).step_by(7) {
            let mut bytes = vec![b'R'; before];
            bytes.extend_from_slice(line);
            bytes.resize(2 * BLOCK_BYTES + 3, 0);
            assert!(found(&bytes).is_some(), "after {before} bytes");
        }
    }
}
