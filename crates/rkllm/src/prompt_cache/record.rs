use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use rkllmjs_core::{Detail, Error, ErrorCode};
use serde_json::{Value, json};

use super::fingerprint::{Fingerprint, of_file};

/// What a record's name ends with, behind the name of its cache.
const SUFFIX: &str = ".rkllmjs.json";
/// The version of the records this writes and reads.
const FORMAT: u64 = 1;
/// Records have some 300 bytes; what is larger is none.
const RECORD_BYTES_MAX: u64 = 64 << 10;

/// What a cache is computed by. It is of use to nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The model's file.
    pub(crate) model: Fingerprint,
    /// The chat templates: that of the model, and what the runtime's own was told.
    pub(crate) template: Fingerprint,
    /// The runtime's version; `None` where it does not tell.
    pub(crate) runtime: Option<String>,
    /// The adapter with its scale.
    pub(crate) adapter: Option<Fingerprint>,
}

pub(super) fn record_path(cache: &Path) -> PathBuf {
    let mut name = OsString::from(cache);
    name.push(SUFFIX);
    PathBuf::from(name)
}

/// The record of the cache in the file `cache`.
pub(super) fn describe(cache: &Path, origin: &Origin) -> std::io::Result<String> {
    let record = json!({
        "format": FORMAT,
        "cache": of_file(cache)?.0,
        "model": origin.model.0,
        "template": origin.template.0,
        "runtime": origin.runtime,
        "adapter": origin.adapter.as_ref().map(|adapter| &adapter.0),
    });
    Ok(format!("{record:#}\n"))
}

/// Refuses a cache that is not one of `now`. Its adapter is for the caller to compare: that of `now` is not
/// looked at.
///
/// # Errors
///
/// `model-invalid`, with `path`, and with `part` for what differs: `cache`, `model`, `template`, `runtime`.
pub(crate) fn check(cache: &Path, now: &Origin) -> Result<Option<Fingerprint>, Error> {
    match fs::metadata(cache) {
        Ok(facts) if facts.is_file() => {}
        Ok(_) => return Err(refused(cache, "is no file")),
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(refused(cache, "does not exist")),
        Err(error) => return Err(refused(cache, &format!("cannot be looked at: {error}"))),
    }
    let record = read(cache)?;
    let text = |part: &str| record.get(part).and_then(Value::as_str);
    let found = of_file(cache).map_err(|error| refused(cache, &format!("cannot be read: {error}")))?;
    let parts = [
        (
            "cache",
            Some(found.0.as_str()),
            "is not as it was saved: it was changed, or its saving did not end",
        ),
        ("model", Some(now.model.0.as_str()), "was saved by another model"),
        ("template", Some(now.template.0.as_str()), "was saved under another chat template"),
        ("runtime", now.runtime.as_deref(), "was saved by another version of the NPU runtime"),
    ];
    for (part, expected, what) in parts {
        if text(part) != expected {
            let what = format!("{what}; save it again with prompt_cache");
            let shown = |value: Option<&str>| Detail::Text(value.unwrap_or("unknown").to_owned());
            return Err(refused(cache, &what)
                .with("part", Detail::Text(part.to_owned()))
                .with("saved", shown(text(part)))
                .with("present", shown(expected)));
        }
    }
    Ok(text("adapter").map(|adapter| Fingerprint(adapter.to_owned())))
}

fn read(cache: &Path) -> Result<Value, Error> {
    let path = record_path(cache);
    let unsaid = |why: &str| {
        let what = format!(
            "cannot be told to be of this model: {} {why}; save it again with prompt_cache, and keep both files \
             together",
            path.display()
        );
        refused(cache, &what).with("part", Detail::Text("record".to_owned()))
    };
    let is_file = fs::metadata(&path).map(|facts| facts.is_file() && facts.len() <= RECORD_BYTES_MAX);
    match is_file {
        Ok(true) => {}
        Ok(false) => return Err(unsaid("is no record of it")),
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(unsaid("is missing")),
        Err(error) => return Err(unsaid(&format!("cannot be looked at ({error})"))),
    }
    let mut bytes = Vec::new();
    let opened = File::open(&path).and_then(|file| file.take(RECORD_BYTES_MAX).read_to_end(&mut bytes));
    opened.map_err(|error| unsaid(&format!("cannot be read ({error})")))?;
    if bytes.is_empty() {
        return Err(unsaid("is empty: the saving did not end"));
    }
    let record: Value = serde_json::from_slice(&bytes).map_err(|_| unsaid("is no record of it"))?;
    match record.get("format").and_then(Value::as_u64) {
        Some(FORMAT) => Ok(record),
        _ => Err(unsaid("is of another version of this library")),
    }
}

fn refused(cache: &Path, what: &str) -> Error {
    let path = cache.display().to_string();
    Error::new(ErrorCode::ModelInvalid, format!("the prompt cache {path} {what}"))
        .with("path", Detail::Text(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Folder, Random};

    fn origin() -> Origin {
        let fingerprint = |text: &str| Fingerprint(text.to_owned());
        Origin {
            model: fingerprint("m"),
            template: fingerprint("t"),
            runtime: Some("1.3.1".to_owned()),
            adapter: None,
        }
    }

    fn part_of(error: &Error) -> &str {
        let part = error.details.iter().find(|(name, _)| *name == "part");
        match part {
            Some((_, Detail::Text(part))) => part,
            _ => "",
        }
    }

    #[test]
    fn only_the_origin_of_a_cache_may_load_it() {
        let folder = Folder::new("record");
        let cache = folder.file("prompt.cache", b"state");
        let adapter = Some(Fingerprint("a@1".to_owned()));
        let saved = Origin { adapter: adapter.clone(), ..origin() };
        folder.file("prompt.cache.rkllmjs.json", describe(&cache, &saved).unwrap());
        assert_eq!(check(&cache, &origin()).unwrap(), adapter);
        let others = [
            ("model", Origin { model: Fingerprint("other".into()), ..origin() }),
            ("template", Origin { template: Fingerprint("other".into()), ..origin() }),
            ("runtime", Origin { runtime: None, ..origin() }),
        ];
        for (part, other) in others {
            let error = check(&cache, &other).unwrap_err();
            assert_eq!((error.code, part_of(&error)), (ErrorCode::ModelInvalid, part));
        }
        folder.file("prompt.cache", b"stated");
        assert_eq!(part_of(&check(&cache, &origin()).unwrap_err()), "cache");
    }

    #[test]
    fn a_cache_without_a_sound_record_is_refused() {
        let folder = Folder::new("record-bad");
        let cache = folder.file("c", b"state");
        let good = describe(&cache, &origin()).unwrap();
        assert!(check(&cache, &origin()).unwrap_err().message.contains("missing"));
        let mut random = Random::new(3);
        for _ in 0..200 {
            let mut bytes = good.clone().into_bytes();
            let at = random.below(bytes.len());
            bytes[at] = random.byte();
            bytes.truncate(random.below(bytes.len() + 1));
            folder.file("c.rkllmjs.json", &bytes);
            let checked = check(&cache, &origin());
            assert!(checked.is_err() || bytes.len() >= good.len() - 1, "{}", bytes.escape_ascii());
        }
        folder.file("c.rkllmjs.json", vec![b' '; 1 << 20]);
        assert_eq!(part_of(&check(&cache, &origin()).unwrap_err()), "record");
        folder.file("d/file", "");
        assert!(check(&folder.path().join("d"), &origin()).unwrap_err().message.contains("no file"));
    }
}
