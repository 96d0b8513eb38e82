//! Fixtures for others.

#![deny(missing_docs)]

use chaos_test::prelude::*;

#[chaos_fixture]
pub async fn undocumented() -> chaos_test::Result<u16> {
    Ok(6379)
}

#[chaos_fixture]
pub fn undocumented_too() -> u16 {
    6379
}

/// The port of the cache.
#[chaos_fixture]
pub fn documented() -> u16 {
    6379
}
