#![allow(unused)]

use chaos_test::prelude::*;

struct Silent;

#[chaos_fixture]
async fn port() -> Result<u16, Silent> {
    Ok(6379)
}

#[chaos_fixture]
fn name() -> std::result::Result<String, Silent> {
    Err(Silent)
}
