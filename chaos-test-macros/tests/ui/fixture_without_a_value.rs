#![allow(unused)]

use chaos_test_macros::chaos_fixture;

struct ChaosContext;

#[chaos_fixture]
async fn nothing(chaos: &ChaosContext) {}

#[chaos_fixture]
async fn empty_result(chaos: &ChaosContext) -> Result<(), String> {
    Ok(())
}

#[chaos_fixture]
async fn borrowed(chaos: &ChaosContext) -> Option<&'static str> {
    None
}

#[chaos_fixture]
async fn unnamed(chaos: &ChaosContext) -> Result<impl Clone, String> {
    Ok(7)
}

#[chaos_fixture]
async fn itself(itself: &u8, other: u8) -> u8 {
    *itself + other
}

fn main() {}
