#![allow(unused)]

use chaos_test::prelude::*;

fn port() -> u16 {
    6379
}

async fn name() -> String {
    String::new()
}

fn doubled(number: u16) -> u16 {
    2 * number
}

#[chaos_test]
async fn in_a_test(chaos: &ChaosContext, port: &u16) {}

#[chaos_test]
fn in_a_test_without_async(chaos: &ChaosContext, name: &String) {}

#[chaos_fixture]
async fn in_a_fixture(doubled: &u16) -> u16 {
    *doubled
}
