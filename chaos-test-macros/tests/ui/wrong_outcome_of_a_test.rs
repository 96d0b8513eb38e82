#![allow(unused)]

use chaos_test::prelude::*;

#[chaos_test]
async fn a_number(chaos: &ChaosContext) -> u16 {
    6379
}

#[chaos_test]
fn a_number_without_async(chaos: &ChaosContext) -> u16 {
    6379
}

#[chaos_test]
async fn a_value(chaos: &ChaosContext) -> chaos_test::Result<u16> {
    Ok(6379)
}

struct Silent;

#[chaos_test]
async fn an_error_that_cannot_be_shown(chaos: &ChaosContext) -> Result<(), Silent> {
    Ok(())
}

#[chaos_test]
async fn nothing_at_the_end(chaos: &ChaosContext) -> chaos_test::Result {
    let address = 6379;
}
