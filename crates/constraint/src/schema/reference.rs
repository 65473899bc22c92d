/// A `$ref` within its own schema.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reference {
    /// `#` or `#/…`, with names as they are.
    pub(super) pointer: String,
}

impl Reference {
    /// Takes a reference to the root, or to a place below it. Nothing is ever fetched.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        if text == "#" || text == "#/" {
            return Ok(Self { pointer: "#".to_owned() });
        }
        let Some(path) = text.strip_prefix("#/") else {
            return Err(format!("can refer to places in the same schema alone (#/…), got {text:?}"));
        };
        let names = path.split('/').map(decoded).collect::<Option<Vec<_>>>();
        let names = names.ok_or_else(|| format!("has a name that cannot be read: {text:?}"))?;
        if names.iter().any(|name| name.contains('/')) {
            return Err(format!("cannot refer to a name with a slash in it: {text:?}"));
        }
        Ok(Self { pointer: format!("#/{}", names.join("/")) })
    }
}

/// A name in a reference without its escapes, `%20` and `~1`.
fn decoded(name: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let (byte, after) = match first {
            b'%' => {
                let digits = std::str::from_utf8(after.get(..2)?).ok()?;
                (u8::from_str_radix(digits, 16).ok()?, after.get(2..)?)
            }
            byte => (byte, after),
        };
        bytes.push(byte);
        rest = after;
    }
    Some(String::from_utf8(bytes).ok()?.replace("~1", "/").replace("~0", "~"))
}

#[cfg(test)]
mod tests {
    use super::Reference;

    #[test]
    fn a_reference_is_read_without_its_escapes() {
        for (text, pointer) in [
            ("#", "#"),
            ("#/$defs/a", "#/$defs/a"),
            ("#/$defs/My%20Type", "#/$defs/My Type"),
            ("#/$defs/a~0b", "#/$defs/a~b"),
        ] {
            assert_eq!(Reference::read(text).map(|r| r.pointer), Ok(pointer.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_reference_elsewhere_is_refused() {
        for text in ["other.json", "https://example.com/a", "#anchor", "#/a%2", "#/a%zz", "#/a~1b", ""] {
            assert!(Reference::read(text).is_err(), "{text}");
        }
    }
}
