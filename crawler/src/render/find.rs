//! Where Chromium is.

use std::env;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Names of the program: Debian's, Ubuntu's and Google's.
pub const NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// There is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoChromium {
    #[error(
        "no Chromium is found: none of {} is in PATH. A pipe with render = \"chromium\" needs it: \
         install it (Debian: apt-get install chromium) or name it in the configuration: \
         [workers] chromium = \"/path/to/chromium\"",
        NAMES.join(", ")
    )]
    NotInPath,
    #[error(
        "workers.chromium is {}, which is no program that can be run; \
         leave it out to have Chromium looked for in PATH",
        path.display()
    )]
    NotThere { path: PathBuf },
}

/// The program that the configuration names, or the first in `PATH`.
pub fn find_chromium(named: Option<&Path>) -> Result<PathBuf, NoChromium> {
    find_in(named, &env::var_os("PATH").unwrap_or_default())
}

fn find_in(named: Option<&Path>, path: &std::ffi::OsStr) -> Result<PathBuf, NoChromium> {
    if let Some(named) = named {
        return match is_program(named) {
            true => Ok(named.to_owned()),
            false => Err(NoChromium::NotThere {
                path: named.to_owned(),
            }),
        };
    }
    let folders: Vec<PathBuf> = env::split_paths(path).collect();
    NAMES
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|program| is_program(program))
        .ok_or(NoChromium::NotInPath)
}

fn is_program(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn chromium_is_the_named_program_or_the_first_of_its_names_in_path() {
        let folder = tempfile::tempdir().unwrap();
        let program = |name: &str, mode| {
            let path = folder.path().join(name);
            std::fs::write(&path, "").unwrap();
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&path, mode).unwrap();
            path
        };
        let path = folder.path().as_os_str();
        assert_eq!(find_in(None, path), Err(NoChromium::NotInPath));
        let plain = program("chromium", 0o644);
        let google = program("google-chrome", 0o755);
        assert_eq!(find_in(None, path), Ok(google));
        let browser = program("chromium-browser", 0o755);
        assert_eq!(find_in(None, path), Ok(browser.clone()));
        assert_eq!(find_in(Some(&browser), path), Ok(browser));
        let missing = NoChromium::NotThere {
            path: plain.clone(),
        };
        assert_eq!(find_in(Some(&plain), path), Err(missing));
        let words = NoChromium::NotInPath.to_string();
        assert!(words.contains("apt-get install chromium"), "{words}");
    }
}
