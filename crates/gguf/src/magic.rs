use crate::error::{Error, ErrorKind};

const RKLLM: [u8; 4] = [0xda, 0xee, 0xb3, 0x36];

/// Says what a file is that does not begin with `GGUF`; `start` holds its first bytes.
pub(crate) fn not_gguf(start: &[u8]) -> Error {
    if !start.is_empty() && b"GGUF".starts_with(start) {
        return Error::new(ErrorKind::Truncated, "the file ends inside the GGUF header").at(0);
    }
    Error::new(ErrorKind::NotGguf, describe(start)).at(0)
}

fn describe(start: &[u8]) -> String {
    let text = String::from_utf8_lossy(start).trim_start().to_ascii_lowercase();
    let looks = if start.is_empty() {
        return "the file is empty".into();
    } else if start.iter().all(|&byte| byte == 0) {
        "zero bytes, as an unfinished download leaves them"
    } else if text.starts_with("version https://git-lfs") {
        "a Git LFS pointer; fetch the real file with `git lfs pull`"
    } else if text.starts_with("<!doctype") || text.starts_with("<html") || text.starts_with("<?xml") {
        "a web page that was saved in place of the model"
    } else if start.starts_with(&RKLLM) {
        "an RKLLM model for Rockchip NPUs"
    } else if start.starts_with(b"RKNN") {
        "an RKNN graph"
    } else if start.get(8) == Some(&b'{') && start.get(6..8) == Some(&[0, 0]) {
        "a safetensors file"
    } else if start.starts_with(b"PK\x03\x04") {
        "a zip archive or PyTorch checkpoint"
    } else if [&b"lmgg"[..], b"tjgg", b"fmgg", b"algg"].iter().any(|old| start.starts_with(old)) {
        "a model in a format older than GGUF"
    } else if start.starts_with(b"\x1f\x8b") || start.starts_with(b"\x28\xb5\x2f\xfd") {
        "a compressed file; unpack it first"
    } else if text.starts_with('{') {
        "JSON text"
    } else {
        return format!("not a GGUF file: it begins with {}", shown(start));
    };
    format!("not a GGUF file: it looks like {looks}")
}

fn shown(start: &[u8]) -> String {
    let head = start.get(..8).unwrap_or(start);
    format!("\"{}\"", head.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_the_file_looks_like() {
        for (start, words) in [
            (&b""[..], "is empty"),
            (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
            (b"\n<!DOCTYPE html><html>", "web page"),
            (b"\xda\xee\xb3\x36\x03\x00\x00\x00", "RKLLM"),
            (b"\x40\x10\x00\x00\x00\x00\x00\x00{\"__meta", "safetensors"),
            (b"PK\x03\x04", "zip"),
            (b"\0\0\0\0\0\0\0\0", "unfinished"),
            (b"{\"error\":", "JSON"),
            (b"hello world", "\"hello wo\""),
        ] {
            let error = not_gguf(start);
            assert_eq!(error.kind, ErrorKind::NotGguf);
            assert!(error.message.contains(words), "{error}");
        }
    }

    #[test]
    fn calls_a_file_that_ends_inside_the_magic_truncated() {
        assert_eq!(not_gguf(b"GG").kind, ErrorKind::Truncated);
    }
}
