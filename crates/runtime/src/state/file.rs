//! The file of a saved conversation: a mark, a version, a head in JSON, the tokens, the engine's cells, and a sum
//! over all of it.

use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rkllmjs_core::{Detail, Error, ErrorCode, Token};
use rkllmjs_gguf as gguf;
use serde_json::{Value, json};

use super::origin::Origin;
use super::sum::Sum;
use crate::unfinished::{Unfinished, folder_of, unwritable};

const MAGIC: &[u8; 8] = b"RKLLMJSS";
const FORMAT: u32 = 1;
/// The mark, the version and the length of the head.
const FRONT_BYTES: usize = 16;
const SUM_BYTES: usize = 8;
/// Heads have some hundred bytes and as many for each adapter.
const HEAD_BYTES_MAX: u32 = 64 << 10;
/// How much is read or written between two looks whether to go on.
const PIECE_BYTES: usize = 4 << 20;
/// The argument that names the file.
const PATH: &str = "path";

/// An adapter that a conversation ran under.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SavedAdapter {
    /// What tells it apart from others, whatever its name.
    pub(crate) identity: String,
    pub(crate) scale: f32,
}

/// A saved conversation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct State {
    pub(crate) adapters: Vec<SavedAdapter>,
    pub(crate) tokens: Vec<Token>,
    pub(crate) cells: Vec<u8>,
}

/// What a file may hold at most, and what its tokens are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StateLimits {
    pub(crate) context: u32,
    pub(crate) cells_bytes: u64,
    pub(crate) vocabulary: u32,
}

/// Writes `state` to `path`, in place of what is there, once it is whole. How many bytes that are.
///
/// # Errors
///
/// `invalid-request` for a path that cannot be written; `engine-failed` where the disk is full; `unavailable`
/// if it was stopped.
pub(crate) fn write(path: &Path, origin: &Origin, state: &State, stop: &AtomicBool) -> Result<u64, Error> {
    let folder = check_target(path)?;
    let head = head(origin, state).to_string().into_bytes();
    let length = u32::try_from(head.len()).ok().filter(|&length| length <= HEAD_BYTES_MAX);
    let Some(length) = length else {
        return Err(Error::new(ErrorCode::Internal, format!("a head of {} bytes is too long", head.len())));
    };
    let front = [MAGIC.as_slice(), &FORMAT.to_le_bytes(), &length.to_le_bytes()].concat();
    let tokens: Vec<u8> = state.tokens.iter().flat_map(|token| token.to_le_bytes()).collect();
    let mut sum = Sum::new();
    let pieces = [front.as_slice(), &head, &tokens, &state.cells];
    pieces.iter().for_each(|piece| sum.add(piece));
    let last = sum.value().to_le_bytes();
    let unfinished = Unfinished::create(PATH, &folder, path)?;
    let failed = |error: std::io::Error| unwritable(PATH, path, &error);
    let mut file = std::fs::OpenOptions::new().write(true).open(&unfinished.path).map_err(failed)?;
    for piece in pieces.iter().flat_map(|piece| piece.chunks(PIECE_BYTES)).chain([last.as_slice()]) {
        go_on(stop)?;
        file.write_all(piece).map_err(failed)?;
    }
    drop(file);
    unfinished.sync(path)?;
    go_on(stop)?;
    unfinished.replace(path)?;
    Ok(pieces.iter().map(|piece| piece.len() as u64).sum::<u64>() + SUM_BYTES as u64)
}

/// The folder of `path`, which may be written: there is nothing of that name, or a file to be replaced.
///
/// # Errors
///
/// `invalid-request`.
pub(crate) fn check_target(path: &Path) -> Result<PathBuf, Error> {
    let folder = folder_of(PATH, path)?;
    match std::fs::metadata(path) {
        Ok(facts) if !facts.is_file() => {
            Err(Error::option(PATH, format!("names something that is no file: {}", path.display())))
        }
        Err(error) if error.kind() == ErrorKind::InvalidInput => {
            Err(Error::option(PATH, format!("is none: {error}")))
        }
        _ => Ok(folder),
    }
}

fn head(origin: &Origin, state: &State) -> Value {
    let adapters = state.adapters.iter();
    let adapters = adapters.map(|adapter| json!({ "identity": adapter.identity, "scale": adapter.scale }));
    let mut head = json!({
        "tokens": state.tokens.len(),
        "cellsBytes": state.cells.len(),
        "adapters": adapters.collect::<Vec<Value>>(),
    });
    for (name, value, _) in origin.parts() {
        if let Some(head) = head.as_object_mut() {
            head.insert(name.to_owned(), Value::from(value));
        }
    }
    head
}

/// Reads what [`write`] has written for a model like this one. Every byte is checked but the cells, of which the
/// engine alone knows what they mean.
///
/// # Errors
///
/// `not-found`; `model-invalid` with `path` and, where something does not fit, its name in `part`;
/// `context-exceeded`; `insufficient-memory`; `unavailable` if it was stopped.
pub(crate) fn read(
    path: &Path,
    origin: &Origin,
    limits: &StateLimits,
    stop: &AtomicBool,
) -> Result<State, Error> {
    let (file, bytes) = gguf::open_regular(path).map_err(|error| match error.kind {
        gguf::ErrorKind::Io(ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            let message = format!("there is no saved conversation {}", path.display());
            Error::new(ErrorCode::NotFound, message).with("path", Detail::Text(path.display().to_string()))
        }
        gguf::ErrorKind::Io(ErrorKind::InvalidInput) => {
            Error::option(PATH, format!("is none: {}", error.message))
        }
        _ => refused(path, &format!("cannot be opened: {}", error.message)),
    })?;
    let mut reader = Reader { file, left: bytes, path, stop, sum: Sum::new() };
    let front = reader.take(FRONT_BYTES as u64)?;
    if !front.starts_with(MAGIC) {
        return Err(refused(path, "is no file that saveState() has written"));
    }
    if number(&front, 8) != FORMAT {
        return Err(refused(path, "is of another version of this library; save it again").part("format"));
    }
    let length = number(&front, 12);
    if length > HEAD_BYTES_MAX {
        return Err(damaged(path));
    }
    let head = reader.take(u64::from(length))?;
    let head = Head::parse(&head).ok_or_else(|| damaged(path))?;
    head.check_origin(path, origin)?;
    let (tokens, cells) = head.sizes(path, limits)?;
    let expected = FRONT_BYTES as u64 + u64::from(length) + 4 * tokens + cells + SUM_BYTES as u64;
    if bytes != expected {
        let what =
            format!("has {bytes} bytes instead of {expected}: it was cut short or something was added");
        return Err(refused(path, &what));
    }
    let adapters = head.adapters().ok_or_else(|| damaged(path))?;
    let tokens = reader.take(4 * tokens)?;
    let cells = reader.take(cells)?;
    let found = reader.sum.value().to_le_bytes();
    if reader.take(SUM_BYTES as u64)? != found {
        return Err(damaged(path));
    }
    let tokens: Vec<Token> =
        tokens.as_chunks::<4>().0.iter().map(|token| Token::from_le_bytes(*token)).collect();
    if tokens.iter().any(|&token| token >= limits.vocabulary) {
        return Err(refused(path, "holds tokens that the model does not know"));
    }
    Ok(State { adapters, tokens, cells })
}

struct Reader<'a> {
    file: std::fs::File,
    left: u64,
    path: &'a Path,
    stop: &'a AtomicBool,
    sum: Sum,
}

impl Reader<'_> {
    /// The next bytes, which must be there.
    fn take(&mut self, count: u64) -> Result<Vec<u8>, Error> {
        self.left = self.left.checked_sub(count).ok_or_else(|| {
            let what = if self.left == 0 { "is empty or ends too early" } else { "ends too early" };
            refused(self.path, &format!("{what}: it was cut short"))
        })?;
        let size = usize::try_from(count).unwrap_or(usize::MAX);
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(size).map_err(|_| {
            let message = format!("there is no memory for the {size} bytes of {}", self.path.display());
            Error::new(ErrorCode::InsufficientMemory, message)
        })?;
        while bytes.len() < size {
            go_on(self.stop)?;
            let more = (size - bytes.len()).min(PIECE_BYTES) as u64;
            let read = (&mut self.file).take(more).read_to_end(&mut bytes);
            match read {
                Ok(0) => return Err(refused(self.path, "became shorter while it was read")),
                Ok(_) => {}
                Err(error) => return Err(refused(self.path, &format!("cannot be read: {error}"))),
            }
        }
        self.sum.add(&bytes);
        Ok(bytes)
    }
}

struct Head(Value);

impl Head {
    fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(Value::is_object).map(Self)
    }

    fn check_origin(&self, path: &Path, origin: &Origin) -> Result<(), Error> {
        for (name, present, what) in origin.parts() {
            let saved = self.0.get(name).and_then(Value::as_str).unwrap_or("unknown");
            if saved != present {
                let shown: String = saved.chars().take(200).collect();
                return Err(refused(path, what)
                    .part(name)
                    .with("saved", Detail::Text(shown))
                    .with("present", Detail::Text(present.to_owned())));
            }
        }
        Ok(())
    }

    /// How many tokens and how many bytes of cells there are.
    fn sizes(&self, path: &Path, limits: &StateLimits) -> Result<(u64, u64), Error> {
        let size = |name: &str| self.0.get(name).and_then(Value::as_u64).filter(|&size| size > 0);
        let (Some(tokens), Some(cells)) = (size("tokens"), size("cellsBytes")) else {
            return Err(damaged(path));
        };
        if tokens > u64::from(limits.context) {
            let message = format!(
                "{} holds a conversation of {tokens} tokens and the context holds {}; load the model with a larger \
                 context_size",
                path.display(),
                limits.context
            );
            return Err(Error::new(ErrorCode::ContextExceeded, message)
                .with("prompt_tokens", Detail::Number(tokens))
                .with("context_size", Detail::Number(u64::from(limits.context))));
        }
        if cells > limits.cells_bytes {
            return Err(refused(
                path,
                &format!("claims {cells} bytes of cells, more than this model has at all"),
            ));
        }
        Ok((tokens, cells))
    }

    fn adapters(&self) -> Option<Vec<SavedAdapter>> {
        let adapters = self.0.get("adapters")?.as_array()?.iter();
        let adapter = |adapter: &Value| {
            let identity = adapter.get("identity")?.as_str()?.to_owned();
            let scale = adapter.get("scale")?.as_f64()? as f32;
            scale.is_finite().then_some(SavedAdapter { identity, scale })
        };
        adapters.map(adapter).collect()
    }
}

fn number(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn go_on(stop: &AtomicBool) -> Result<(), Error> {
    if stop.load(Ordering::SeqCst) { Err(stopped()) } else { Ok(()) }
}

/// What a call gets that was stopped.
pub(crate) fn stopped() -> Error {
    Error::new(ErrorCode::Unavailable, "saving or loading the conversation was stopped")
}

fn damaged(path: &Path) -> Error {
    refused(path, "is damaged: it is not as it was saved")
}

/// A refusal of the file at `path`, which the message continues.
pub(crate) fn refused(path: &Path, what: &str) -> Error {
    let path = path.display().to_string();
    Error::new(ErrorCode::ModelInvalid, format!("the saved conversation {path} {what}"))
        .with("path", Detail::Text(path))
}

trait OfPart {
    fn part(self, name: &str) -> Self;
}

impl OfPart for Error {
    fn part(self, name: &str) -> Self {
        self.with("part", Detail::Text(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    static GO_ON: AtomicBool = AtomicBool::new(false);
    const LIMITS: StateLimits = StateLimits { context: 100, cells_bytes: 1000, vocabulary: 50 };

    /// A file that is removed with this value.
    struct Saved(PathBuf);

    impl Saved {
        fn new() -> Self {
            static MADE: AtomicU32 = AtomicU32::new(0);
            let name =
                format!("rkllmjs-state-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
            let saved = Self(std::env::temp_dir().join(name));
            let bytes = write(&saved.0, &origin(), &state(), &GO_ON).unwrap();
            assert_eq!(bytes, saved.bytes().len() as u64);
            saved
        }

        fn bytes(&self) -> Vec<u8> {
            std::fs::read(&self.0).unwrap()
        }

        fn read(&self) -> Result<State, Error> {
            read(&self.0, &origin(), &LIMITS, &GO_ON)
        }

        /// What is read when the file has these bytes, and what its sum says does not count.
        fn reread(&self, bytes: &[u8]) -> Result<State, Error> {
            std::fs::write(&self.0, bytes).unwrap();
            self.read()
        }
    }

    impl Drop for Saved {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    fn origin() -> Origin {
        let part = |text: &str| text.to_owned();
        Origin { model: part("m"), cells: part("f16"), positions: part("one way") }
    }

    fn state() -> State {
        let adapters = vec![SavedAdapter { identity: "lora a".to_owned(), scale: 0.3 }];
        State { adapters, tokens: (1..40).collect(), cells: (0..=255).collect() }
    }

    /// The file of a head that somebody made up, with a sum that is right.
    fn forged(head: &str, tokens: &[u8], cells: &[u8]) -> Vec<u8> {
        let length = u32::try_from(head.len()).unwrap();
        let front = [MAGIC.as_slice(), &FORMAT.to_le_bytes(), &length.to_le_bytes()].concat();
        let mut sum = Sum::new();
        let pieces = [front.as_slice(), head.as_bytes(), tokens, cells];
        pieces.iter().for_each(|piece| sum.add(piece));
        [pieces.concat(), sum.value().to_le_bytes().to_vec()].concat()
    }

    #[test]
    fn what_was_written_is_read() {
        let saved = Saved::new();
        assert_eq!(saved.read(), Ok(state()));
        let again = State { tokens: vec![7; 9], ..state() };
        write(&saved.0, &origin(), &again, &GO_ON).unwrap();
        assert_eq!(saved.read(), Ok(again));
    }

    #[test]
    fn no_truncation_extension_or_changed_bit_is_taken() {
        let saved = Saved::new();
        let good = saved.bytes();
        for length in 0..good.len() {
            assert_eq!(saved.reread(&good[..length]).unwrap_err().code, ErrorCode::ModelInvalid, "{length}");
        }
        assert!(saved.reread(&[good.as_slice(), &[0]].concat()).is_err());
        for place in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[place / 8] ^= 1 << (place % 8);
            assert!(saved.reread(&bytes).is_err(), "bit {place}");
        }
        assert_eq!(saved.reread(&good), Ok(state()));
    }

    #[test]
    fn a_head_that_promises_what_is_not_there_takes_no_memory() {
        let saved = Saved::new();
        let tokens = [1, 0, 0, 0];
        let head = |tokens: &str, cells: &str, adapters: &str| {
            format!(
                r#"{{"tokens":{tokens},"cellsBytes":{cells},"adapters":{adapters},"model":"m","cells":"f16","positions":"one way"}}"#
            )
        };
        assert!(saved.reread(&forged(&head("1", "2", "[]"), &tokens, &[1, 2])).is_ok());
        for (count, bytes, adapters) in [
            ("0", "2", "[]"),
            ("-1", "2", "[]"),
            ("1.5", "2", "[]"),
            ("1", "0", "[]"),
            ("2", "2", "[]"),
            ("101", "2", "[]"),
            ("18446744073709551615", "2", "[]"),
            ("1", "1000", "[]"),
            ("1", "1001", "[]"),
            ("1", "18446744073709551615", "[]"),
            ("1", "2", "{}"),
            ("1", "2", "[1]"),
            ("1", "2", r#"[{"identity":"a"}]"#),
            ("1", "2", r#"[{"identity":"a","scale":1e99}]"#),
        ] {
            let refused = saved.reread(&forged(&head(count, bytes, adapters), &tokens, &[1, 2]));
            assert!(refused.is_err(), "{count} {bytes} {adapters}");
        }
        let unknown = saved.reread(&forged(&head("1", "2", "[]"), &50_u32.to_le_bytes(), &[1, 2]));
        assert!(unknown.unwrap_err().message.contains("tokens that the model does not know"));
        for head in ["", "[]", "null", "{", "{}", &"[".repeat(60_000)] {
            assert!(saved.reread(&forged(head, &tokens, &[1, 2])).is_err());
        }
    }

    #[test]
    fn what_differs_is_named() {
        let saved = Saved::new();
        let part = |other: Origin| {
            let error = read(&saved.0, &other, &LIMITS, &GO_ON).unwrap_err();
            assert_eq!(error.code, ErrorCode::ModelInvalid);
            error.details.into_iter().find(|(name, _)| *name == "part").unwrap().1
        };
        let named = |name: &str| Detail::Text(name.to_owned());
        assert_eq!(part(Origin { model: "other".to_owned(), ..origin() }), named("model"));
        assert_eq!(part(Origin { cells: "q8_0".to_owned(), ..origin() }), named("cells"));
        assert_eq!(part(Origin { positions: "long".to_owned(), ..origin() }), named("positions"));
        let small = StateLimits { context: 38, ..LIMITS };
        assert_eq!(read(&saved.0, &origin(), &small, &GO_ON).unwrap_err().code, ErrorCode::ContextExceeded);
    }

    #[test]
    fn who_stops_leaves_nothing_behind() {
        let saved = Saved::new();
        let stop = AtomicBool::new(true);
        assert_eq!(read(&saved.0, &origin(), &LIMITS, &stop).unwrap_err().code, ErrorCode::Unavailable);
        let folder = saved.0.with_extension("folder");
        std::fs::create_dir(&folder).unwrap();
        let error = write(&folder.join("a.state"), &origin(), &state(), &stop).unwrap_err();
        assert_eq!(error.code, ErrorCode::Unavailable);
        // Fails where a file is left.
        std::fs::remove_dir(&folder).unwrap();
        assert_eq!(write(&folder.join("a"), &origin(), &state(), &GO_ON).unwrap_err().option, Some(PATH));
        assert_eq!(read(&folder, &origin(), &LIMITS, &GO_ON).unwrap_err().code, ErrorCode::NotFound);
        assert!(write(&std::env::temp_dir(), &origin(), &state(), &GO_ON).is_err());
        assert!(read(&std::env::temp_dir(), &origin(), &LIMITS, &GO_ON).is_err());
    }
}
