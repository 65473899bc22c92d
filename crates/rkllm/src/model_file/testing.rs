//! A small file in the shape of a model.

fn text(bytes: &mut Vec<u8>, content: &[u8]) {
    bytes.extend_from_slice(&(content.len() as u64).to_le_bytes());
    bytes.extend_from_slice(content);
}

/// Two tensors and four metadata entries, one of them a list of texts; the texts are masked somehow.
pub(super) fn model() -> Vec<u8> {
    let mut bytes = b"\xda\xee\xb3\x36\x03\0\0\0".to_vec();
    bytes.extend_from_slice(&2_u64.to_le_bytes());
    bytes.extend_from_slice(&4_u64.to_le_bytes());
    text(&mut bytes, b"\xff\x10\x91 architecture");
    bytes.extend_from_slice(&8_u32.to_le_bytes());
    text(&mut bytes, b"\x80\x81");
    text(&mut bytes, b"context");
    bytes.extend_from_slice(&4_u32.to_le_bytes());
    bytes.extend_from_slice(&4096_u32.to_le_bytes());
    text(&mut bytes, b"tokens");
    for number in [9_u32, 8] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(&2_u64.to_le_bytes());
    text(&mut bytes, b"a");
    text(&mut bytes, b"");
    text(&mut bytes, b"flag");
    bytes.extend_from_slice(&7_u32.to_le_bytes());
    bytes.push(1);
    for (name, offset) in [(b"one", 0_u64), (b"two", 64)] {
        text(&mut bytes, name);
        bytes.extend_from_slice(&1_u32.to_le_bytes());
        bytes.extend_from_slice(&16_u64.to_le_bytes());
        bytes.extend_from_slice(&0_u32.to_le_bytes());
        bytes.extend_from_slice(&offset.to_le_bytes());
    }
    bytes.resize(bytes.len().next_multiple_of(32) + 64 + 32, 7);
    bytes
}
