#![allow(unused)]

use chaos_test_macros::chaos_fixture;

struct ChaosContext;

#[chaos_fixture(scope = "run")]
async fn given(chaos: &ChaosContext, #[default(7)] entries: u8) -> u8 {
    entries
}

#[chaos_fixture(scope = "forever")]
async fn unknown(chaos: &ChaosContext) -> u8 {
    7
}

#[chaos_fixture(timeout = "60s")]
async fn argument(chaos: &ChaosContext) -> u8 {
    7
}

fn main() {}
