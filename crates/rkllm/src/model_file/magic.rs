//! What a file is, told from its first bytes.

/// The first four bytes of a model for the NPU.
const RKLLM: [u8; 4] = [0xda, 0xee, 0xb3, 0x36];

/// How many first bytes are looked at.
pub(super) const HEAD_BYTES: usize = 512;

/// What a file begins like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Start {
    /// A model for the NPU.
    Rkllm,
    /// Something else, and what it is.
    Other(String),
    /// Nothing known; toolkits of old may have written other models.
    Unknown,
}

/// Looks at the first bytes of a file.
pub(super) fn start(head: &[u8]) -> Start {
    if head.starts_with(&RKLLM) {
        return Start::Rkllm;
    }
    let text = String::from_utf8_lossy(head).trim_start().to_ascii_lowercase();
    let is = if head.is_empty() {
        "is empty"
    } else if RKLLM.starts_with(head) {
        "is cut short: it ends inside its header"
    } else if head.iter().all(|&byte| byte == 0) {
        "begins with zeros, as an unfinished download does"
    } else if head.starts_with(b"GGUF") {
        "is a GGUF model; loadModel opens it with llama.cpp"
    } else if head.starts_with(b"RKNN") {
        "is an RKNN graph for librknnrt, not a language model for RKLLM"
    } else if text.starts_with("version https://git-lfs") {
        "is a Git LFS pointer; fetch the real file with `git lfs pull`"
    } else if text.starts_with("<!do") || text.starts_with("<htm") || text.starts_with("<?xml") {
        "is a web page that was saved in place of the model"
    } else if is_safetensors(head) {
        "is a safetensors file; RKLLM-Toolkit turns the model it belongs to into an .rkllm file"
    } else if head.starts_with(b"PK\x03\x04") {
        "is a zip archive or a PyTorch checkpoint, not an .rkllm file"
    } else if head.starts_with(b"\x1f\x8b") || head.starts_with(b"\x28\xb5\x2f\xfd") {
        "is a compressed file; unpack it first"
    } else if head.starts_with(b"\x7fELF") {
        "is a library or program, not a model"
    } else if text.starts_with('{') {
        "is JSON text, not a model"
    } else {
        return Start::Unknown;
    };
    Start::Other(is.into())
}

/// The length of a JSON header, then the header.
fn is_safetensors(head: &[u8]) -> bool {
    head.get(8) == Some(&b'{') && head.get(6..8) == Some(&[0, 0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wrong_file_is_named() {
        for (head, words) in [
            (&b""[..], "is empty"),
            (b"\xda\xee", "cut short"),
            (&[0; 64], "unfinished download"),
            (b"GGUF\x03\0\0\0", "loadModel opens it with llama.cpp"),
            (b"RKNN\0\0\0\0", "librknnrt"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:", "Git LFS"),
            (b"<!DOCTYPE html>", "web page"),
            (b" \n<html>", "web page"),
            (b"\x40\x10\0\0\0\0\0\0{\"__metadata__\"", "safetensors"),
            (b"PK\x03\x04", "zip"),
            (b"\x1f\x8b\x08", "compressed"),
            (b"\x7fELF", "library"),
            (b"{\"error\": \"not found\"}", "JSON"),
        ] {
            let Start::Other(is) = start(head) else { panic!("{words}: {:?}", start(head)) };
            assert!(is.contains(words), "{words}: {is}");
        }
        assert_eq!(start(b"\xda\xee\xb3\x36\x03\0\0\0"), Start::Rkllm);
        assert_eq!(start(b"some other toolkit"), Start::Unknown);
    }
}
