//! Metadata values.

/// A metadata value: the types the models use, and raw bytes for everything else.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Unsigned 32-bit.
    U32(u32),
    /// Signed 32-bit.
    I32(i32),
    /// Single-precision float.
    F32(f32),
    /// One byte, 0 or 1.
    Bool(bool),
    /// UTF-8 text.
    String(String),
    /// Array of text.
    Strings(Vec<String>),
    /// Array of floats.
    F32s(Vec<f32>),
    /// Array of signed 32-bit numbers.
    I32s(Vec<i32>),
    /// Any type number with any bytes after it.
    Raw {
        /// The number written as the value's type.
        type_id: u32,
        /// The bytes written after it.
        payload: Vec<u8>,
    },
}

/// The type numbers of the format.
pub(crate) mod type_id {
    pub(crate) const U16: u32 = 2;
    pub(crate) const U32: u32 = 4;
    pub(crate) const I32: u32 = 5;
    pub(crate) const F32: u32 = 6;
    pub(crate) const BOOL: u32 = 7;
    pub(crate) const STRING: u32 = 8;
    pub(crate) const ARRAY: u32 = 9;
    pub(crate) const U64: u32 = 10;
}

impl Value {
    /// An array, spelled out: the count need not be true.
    pub(crate) fn raw_array(element: u32, count: u64, elements: &[u8]) -> Self {
        let mut payload = element.to_le_bytes().to_vec();
        payload.extend(count.to_le_bytes());
        payload.extend(elements);
        Self::Raw { type_id: type_id::ARRAY, payload }
    }

    /// An array of strings that need not be text.
    pub(crate) fn byte_strings(strings: &[Vec<u8>]) -> Self {
        let mut elements = Vec::new();
        for string in strings {
            put_bytes(string, &mut elements);
        }
        Self::raw_array(type_id::STRING, strings.len() as u64, &elements)
    }

    /// A string that need not be text.
    pub(crate) fn byte_string(string: &[u8]) -> Self {
        let mut payload = Vec::new();
        put_bytes(string, &mut payload);
        Self::Raw { type_id: type_id::STRING, payload }
    }

    /// Appends the type number and the value.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::U32(value) => put_typed(type_id::U32, &value.to_le_bytes(), out),
            Self::I32(value) => put_typed(type_id::I32, &value.to_le_bytes(), out),
            Self::F32(value) => put_typed(type_id::F32, &value.to_le_bytes(), out),
            Self::Bool(value) => put_typed(type_id::BOOL, &[u8::from(*value)], out),
            Self::String(value) => {
                out.extend(type_id::STRING.to_le_bytes());
                put_bytes(value.as_bytes(), out);
            }
            Self::Strings(values) => {
                put_array_head(type_id::STRING, values.len(), out);
                values.iter().for_each(|value| put_bytes(value.as_bytes(), out));
            }
            Self::F32s(values) => {
                put_array_head(type_id::F32, values.len(), out);
                values.iter().for_each(|value| out.extend(value.to_le_bytes()));
            }
            Self::I32s(values) => {
                put_array_head(type_id::I32, values.len(), out);
                values.iter().for_each(|value| out.extend(value.to_le_bytes()));
            }
            Self::Raw { type_id, payload } => put_typed(*type_id, payload, out),
        }
    }
}

/// Appends a length and the bytes.
pub(crate) fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend((bytes.len() as u64).to_le_bytes());
    out.extend(bytes);
}

fn put_typed(type_id: u32, payload: &[u8], out: &mut Vec<u8>) {
    out.extend(type_id.to_le_bytes());
    out.extend(payload);
}

fn put_array_head(element: u32, count: usize, out: &mut Vec<u8>) {
    out.extend(type_id::ARRAY.to_le_bytes());
    out.extend(element.to_le_bytes());
    out.extend((count as u64).to_le_bytes());
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::U32(value)
    }
}

impl From<f32> for Value {
    fn from(value: f32) -> Self {
        Self::F32(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::String(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::String(value)
    }
}
