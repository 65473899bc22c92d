//! Where the runtime's library is looked for.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use rkllmjs_core::{Detail, Error, ErrorCode};

use super::Library;
use super::decide::Claim;
use super::open;
use super::refusal::Refusal;
use super::version::SUPPORTED;

const NAME: &str = "librkllmrt.so";

const VARIABLE: &str = "RKLLMJS_RKLLM_LIBRARY";

/// Where distributions, boards' images and Android put it.
const SYSTEM_FOLDERS: [&str; 7] = [
    "/usr/lib",
    "/usr/local/lib",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/lib",
    "/lib64",
    "/vendor/lib64",
];

/// What a caller says about the library; nothing is fine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Search<'a> {
    /// The library itself. Then nowhere else is looked.
    pub library_path: Option<&'a Path>,
    /// The folder of the addon, where a copy of the library may lie.
    pub addon_folder: Option<&'a Path>,
    /// Which version's interface a library has that does not tell, or that is newer than those known.
    pub runtime_version: Option<&'a str>,
}

/// One place to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    File(PathBuf),
    /// Wherever the system's loader finds that name.
    Loader(&'static str),
}

/// Finds and opens the library.
pub(super) fn find(search: &Search<'_>) -> Result<&'static Library, Error> {
    let claim = match search.runtime_version {
        None => None,
        Some(text) => Some(open::claim(text).ok_or_else(|| {
            Error::option(
                "runtime_version",
                format!("must be one of {SUPPORTED}, got \"{}\"", text.escape_debug()),
            )
        })?),
    };
    try_all(&all_places(search), claim)
}

/// Every place to look, in order.
pub(super) fn all_places(search: &Search<'_>) -> Vec<Place> {
    places(search, std::env::var_os(VARIABLE))
}

/// A place that was named is the only one: another library than the one asked for would be a surprise.
fn places(search: &Search<'_>, variable: Option<OsString>) -> Vec<Place> {
    if let Some(path) = search.library_path {
        return vec![Place::File(path.into())];
    }
    if let Some(path) = variable.filter(|path| !path.is_empty()) {
        return vec![Place::File(path.into())];
    }
    let folders = search.addon_folder.into_iter().chain(SYSTEM_FOLDERS.iter().map(Path::new));
    let files = folders.map(|folder| Place::File(folder.join(NAME)));
    files.chain([Place::Loader(NAME)]).collect()
}

fn try_all(places: &[Place], claim: Option<Claim>) -> Result<&'static Library, Error> {
    let mut refused: Vec<(String, Refusal)> = Vec::with_capacity(places.len());
    for place in places {
        match try_one(place, claim) {
            Ok(library) => return Ok(library),
            Err(refusal) => refused.push((place.to_string(), refusal)),
        }
    }
    Err(unavailable(&refused))
}

fn try_one(place: &Place, claim: Option<Claim>) -> Result<&'static Library, Refusal> {
    match place {
        Place::File(path) => open::open(path, claim),
        Place::Loader(name) => open::open(&open::find_by_name(name)?, claim),
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Loader(name) => f.write_str(name),
        }
    }
}

/// One error for all places; a library that is there but unfit is more worth telling than one that is not.
fn unavailable(refused: &[(String, Refusal)]) -> Error {
    let unfit = refused.iter().find(|(_, refusal)| !refusal.is_missing());
    let message = match (unfit, refused) {
        (Some((place, refusal)), _) => format!("{place} {}", refusal.reason),
        (None, [(place, refusal)]) => format!("{place} {}", refusal.reason),
        (None, _) => format!(
            "{NAME} was not found; install Rockchip's RKLLM runtime ({SUPPORTED} are supported), or give its \
             path as library_path or in {VARIABLE}"
        ),
    };
    let tried = refused.iter().map(|(place, refusal)| format!("{place}: {}", refusal.reason)).collect();
    let error = Error::new(ErrorCode::LibraryUnavailable, message).with("tried", Detail::List(tried));
    match refused.iter().find_map(|(_, refusal)| refusal.found) {
        Some(version) => error.with("found", Detail::Text(version.to_string())),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    fn shown(places: &[Place]) -> Vec<String> {
        places.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_named_library_is_the_only_one_looked_at() {
        let search = Search { library_path: Some(Path::new("/a.so")), ..Search::default() };
        assert_eq!(shown(&places(&search, Some("/b.so".into()))), ["/a.so"]);
        assert_eq!(shown(&places(&Search::default(), Some("/b.so".into()))), ["/b.so"]);
    }

    #[test]
    fn the_addons_folder_comes_before_the_systems() {
        let search = Search { addon_folder: Some(Path::new("/addon")), ..Search::default() };
        let places = shown(&places(&search, Some(OsString::new())));
        assert_eq!(places[0], "/addon/librkllmrt.so");
        assert_eq!(places[1], "/usr/lib/librkllmrt.so");
        assert_eq!(places.last().unwrap(), "librkllmrt.so");
    }

    #[test]
    fn the_error_tells_each_place_and_the_version_found() {
        let folder = Folder::new("search");
        let old = folder.file("old.so", "not a library");
        let absent = folder.path().join("absent.so");
        let error = try_all(&[Place::File(absent), Place::File(old.clone())], None).unwrap_err();
        assert_eq!(error.code, ErrorCode::LibraryUnavailable);
        assert!(error.message.starts_with(&old.display().to_string()), "{error}");
        let Some((_, Detail::List(tried))) = error.details.first() else { panic!("{error:?}") };
        assert!(tried[0].ends_with("absent.so: does not exist"), "{tried:?}");
        assert!(tried[1].contains("is not a library"), "{tried:?}");

        let version = super::super::Version::parse("1.1.4");
        let error = unavailable(&[("a.so".into(), Refusal::new("is too old").of(version))]);
        assert_eq!(error.details.last(), Some(&("found", Detail::Text("1.1.4".into()))));
    }
}
