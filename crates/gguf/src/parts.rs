use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind};
use crate::file::{File, Split};

/// Most files of one model.
const PARTS_MAX: u16 = 1000;

/// A model with all its files: one, or as many as it was split into.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The files in their order; llama.cpp opens the first and finds the others.
    pub paths: Vec<PathBuf>,
    /// The model as if it were one file: the metadata of the first part with the tensors of all. Offsets of
    /// tensors are those in their own parts.
    pub whole: File,
}

impl Parts {
    /// Opens the model that the file at `path` is or is a part of, and checks the structure of every part and
    /// that they belong together.
    ///
    /// # Errors
    ///
    /// As [`File::open`], naming the part; when one is missing, is of another model, or is one too many.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let file = File::open(path)?;
        let Some(split) = file.split() else {
            return Ok(Self { paths: vec![path.to_owned()], whole: file });
        };
        let name = Name::of(path, split)?;
        name.refuse_one_too_many()?;
        let mut files = Vec::with_capacity(split.count.into());
        for number in 0..split.count {
            let file = if number == split.number { file.clone() } else { name.open(number)? };
            check_place(&file, split, number).map_err(|error| error.within(name.shown(number)))?;
            files.push(file);
        }
        let paths = (0..split.count).map(|number| name.path(number)).collect();
        Ok(Self { paths, whole: joined(files, split, &name)? })
    }
}

/// How the parts of a model are called: `<prefix>-00001-of-00003.gguf`.
struct Name {
    folder: PathBuf,
    prefix: String,
    count: u16,
}

impl Name {
    fn of(path: &Path, split: Split) -> Result<Self, Error> {
        let (part, count) = (u32::from(split.number) + 1, split.count);
        if count > PARTS_MAX || split.number >= count {
            let message =
                format!("the file says it is part {part} of {count}; there may be {PARTS_MAX} at most");
            return Err(Error::corrupt(message));
        }
        let ending = format!("-{part:05}-of-{count:05}.gguf");
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let prefix = name.strip_suffix(&ending).ok_or_else(|| {
            Error::corrupt(format!(
                "the file is part {part} of {count} of a model, so its name must end in {ending:?}; the other parts \
                 are found by it"
            ))
        })?;
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        Ok(Self { folder, prefix: prefix.to_owned(), count })
    }

    fn file_name(&self, number: u16) -> String {
        format!("{}-{:05}-of-{:05}.gguf", self.prefix, u32::from(number) + 1, self.count)
    }

    fn path(&self, number: u16) -> PathBuf {
        self.folder.join(self.file_name(number))
    }

    /// A part in messages.
    fn shown(&self, number: u16) -> String {
        format!("part {}", self.file_name(number))
    }

    fn open(&self, number: u16) -> Result<File, Error> {
        File::open(self.path(number)).map_err(|error| match error.kind {
            // The model was found; it is not whole.
            ErrorKind::Io(_) => Error::corrupt(error.message).within(self.shown(number)),
            _ => error.within(self.shown(number)),
        })
    }

    /// A part with a higher number than there are: two sets of parts were mixed up.
    fn refuse_one_too_many(&self) -> Result<(), Error> {
        let folder = if self.folder.as_os_str().is_empty() { Path::new(".") } else { &self.folder };
        // A folder that cannot be listed shows nothing; the parts themselves are still checked.
        let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
        let ending = format!("-of-{:05}.gguf", self.count);
        for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
            let number = name.strip_prefix(&self.prefix).and_then(|rest| rest.strip_suffix(&ending));
            let number = number.and_then(|rest| rest.strip_prefix('-')).filter(|digits| digits.len() == 5);
            let number = number.and_then(|digits| digits.parse::<u32>().ok());
            if number.is_some_and(|number| number == 0 || number > u32::from(self.count)) {
                let message = format!("part {name} is one too many: the model has {} parts", self.count);
                return Err(Error::corrupt(message));
            }
        }
        Ok(())
    }
}

/// Whether a file is the part it is called.
fn check_place(file: &File, expected: Split, number: u16) -> Result<(), Error> {
    let Some(split) = file.split() else {
        return Err(Error::corrupt("is no part of a model in several files"));
    };
    if split.number != number || split.count != expected.count {
        let (part, count) = (u32::from(split.number) + 1, split.count);
        return Err(Error::corrupt(format!("is part {part} of {count} by its contents, not by its name")));
    }
    if split.tensors != expected.tensors {
        return Err(Error::corrupt(
            "is of another model: it counts other tensors than the first part opened",
        ));
    }
    Ok(())
}

fn joined(files: Vec<File>, split: Split, name: &Name) -> Result<File, Error> {
    let mut files = files.into_iter();
    let mut whole = files.next().ok_or_else(|| Error::corrupt("a model of no parts"))?;
    let mut seen: HashSet<Box<str>> = whole.tensors.iter().map(|tensor| tensor.name.clone()).collect();
    for (number, file) in (1..).zip(files) {
        for tensor in &file.tensors {
            if !seen.insert(tensor.name.clone()) {
                let message = format!("has tensor {:?}, which another part has too", tensor.name);
                return Err(Error::corrupt(message).within(name.shown(number)));
            }
        }
        whole.file_bytes = whole.file_bytes.saturating_add(file.file_bytes);
        whole.tensors.extend(file.tensors);
    }
    if let Some(promised) = split.tensors.filter(|&promised| promised != whole.tensors.len() as u64) {
        let message =
            format!("the parts hold {} tensors together and promise {promised}", whole.tensors.len());
        return Err(Error::corrupt(message));
    }
    whole.metadata.remove_all("split.");
    Ok(whole)
}
