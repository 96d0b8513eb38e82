#![allow(unused)]

use chaos_test::prelude::*;

#[chaos_test(crate = "elsewhere")]
async fn test(chaos: &ChaosContext) {}

#[chaos_fixture(crate = "elsewhere")]
async fn fixture() -> u16 {
    6379
}

#[chaos_fixture(crate = "crate::elsewhere")]
async fn other_fixture() -> Result<u16, TestError> {
    Ok(6379)
}
