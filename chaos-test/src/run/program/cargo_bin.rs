//! Finds the binaries of the package that a test is in.

use std::path::{Path, PathBuf};

use crate::system::capability::find_program;

/// Where cargo has put a binary of this package.
pub(super) fn cargo_bin(name: &str) -> Result<PathBuf, String> {
    for variable in [
        format!("NEXTEST_BIN_EXE_{name}"),
        format!("CARGO_BIN_EXE_{name}"),
    ] {
        if let Some(path) = std::env::var_os(variable) {
            return find_program(Path::new(&path));
        }
    }
    let exe = std::env::current_exe().map_err(|error| error.to_string())?;
    // Tests lie in `target/debug/deps`, binaries one folder above.
    let folder = exe.parent().map(|folder| {
        if folder.ends_with("deps") || folder.ends_with("examples") {
            folder.parent().unwrap_or(folder)
        } else {
            folder
        }
    });
    let path = folder.unwrap_or(Path::new(".")).join(name);
    find_program(&path).map_err(|_| {
        format!(
            "cargo has built no binary `{name}` ({} is not there): name one of this package's \
             `[[bin]]` targets; for a unit test run `cargo build` first",
            path.display()
        )
    })
}
