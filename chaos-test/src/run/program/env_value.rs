//! What an environment variable of a program can be set to.

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::run::service::Address;

/// What an environment variable can be set to: text, a number, an [`Address`].
///
/// ```no_run
/// # async fn body(cache: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::prelude::*;
/// let shop = Program::new("shop")
///     .env("CACHE", cache.address(6379))
///     .env("TIMEOUT_MS", 250)
///     .env("DATA", std::path::Path::new("/srv/shop"));
/// # Ok(()) }
/// ```
pub trait EnvValue {
    /// As the program will see it.
    fn into_env(self) -> OsString;
}

impl EnvValue for &str {
    fn into_env(self) -> OsString {
        self.into()
    }
}

impl EnvValue for String {
    fn into_env(self) -> OsString {
        self.into()
    }
}

impl EnvValue for &OsStr {
    fn into_env(self) -> OsString {
        self.to_owned()
    }
}

impl EnvValue for OsString {
    fn into_env(self) -> OsString {
        self
    }
}

impl EnvValue for &OsString {
    fn into_env(self) -> OsString {
        self.clone()
    }
}

impl EnvValue for PathBuf {
    fn into_env(self) -> OsString {
        self.into_os_string()
    }
}

impl EnvValue for &PathBuf {
    fn into_env(self) -> OsString {
        self.as_os_str().to_owned()
    }
}

impl EnvValue for &Path {
    fn into_env(self) -> OsString {
        self.as_os_str().to_owned()
    }
}

macro_rules! shown {
    ($($value:ty),*) => {$(
        impl EnvValue for $value {
            fn into_env(self) -> OsString {
                self.to_string().into()
            }
        }
    )*};
}

shown!(
    &String, u16, u32, u64, usize, i32, i64, bool, SocketAddr, Address, &Address
);
