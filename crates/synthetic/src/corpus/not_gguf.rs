//! Files that are something else.

use crate::corpus::case::{Case, Made, refused};
use crate::encode::HEADER_BYTES;
use crate::random::Random;

const LFS_POINTER: &str = "version https://git-lfs.github.com/spec/v1\n\
    oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 135\n";
const HTML: &str = "<!doctype html>\n<html><head><title>404 Not Found</title></head><body></body></html>\n";
const SAFETENSORS: &[u8] =
    b"\x40\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}    \0\0\0\0";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        refused("empty", "an empty file", |_| bytes(b"")),
        refused("nothing-but-a-header", "zero tensors and zero keys", |_| {
            bytes(b"GGUF\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")
        }),
        refused("lfs-pointer", "a git-lfs pointer instead of the file it points at", |_| {
            bytes(LFS_POINTER.as_bytes())
        }),
        refused("html-page", "an error page saved under the model's name", |_| bytes(HTML.as_bytes())),
        refused("json-error", "an error message of a download service", |_| {
            bytes(b"{\"error\":\"Repository not found\"}")
        }),
        refused("safetensors", "a model in another format", |_| bytes(SAFETENSORS)),
        refused("zip-archive", "an archive", |base| prefixed(b"PK\x03\x04\x14\0\0\0", &base.bytes)),
        refused("gzip", "a compressed file", |base| prefixed(b"\x1f\x8b\x08\0\0\0\0\0\0\x03", &base.bytes)),
        refused("byte-order-mark", "a text editor's mark before the magic", |base| {
            prefixed(b"\xef\xbb\xbf", &base.bytes)
        }),
        refused("zeros", "64 KiB of zeros", |_| bytes(&[0; 65536])),
        refused("noise", "64 KiB of noise", |_| bytes(&noise())),
        refused("noise-after-the-header", "a true header and noise after it", |base| {
            let mut file = base.bytes.get(..HEADER_BYTES)?.to_vec();
            file.extend(noise());
            Some(file)
        }),
        refused("magic-ggml", "the magic of a predecessor", |base| base.patch(0, b"ggml")),
        refused("magic-lower-case", "the magic in lower case", |base| base.patch(0, b"gguf")),
        refused("magic-reversed", "the magic backwards", |base| base.patch(0, b"FUGG")),
    ];
    cases.extend((1..HEADER_BYTES).map(|length| {
        refused(format!("first-{length:02}-bytes"), "cut inside the fixed header", move |base| {
            bytes(base.bytes.get(..length)?)
        })
    }));
    cases
}

fn bytes(bytes: &[u8]) -> Made {
    Some(bytes.to_vec())
}

fn prefixed(prefix: &[u8], rest: &[u8]) -> Made {
    Some([prefix, rest].concat())
}

fn noise() -> Vec<u8> {
    let mut random = Random::new(1);
    (0..8192).flat_map(|_| random.next().to_le_bytes()).collect()
}
