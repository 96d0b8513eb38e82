//! What a whole run shares goes from process to process.

use chaos_test::prelude::*;

pub struct Connection;

/// It can be shared by threads, but not by processes.
#[chaos_fixture(scope = "run")]
pub async fn connection() -> chaos_test::Result<Connection> {
    Ok(Connection)
}

fn main() {}
