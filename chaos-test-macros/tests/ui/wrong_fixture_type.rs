#![allow(unused)]

use chaos_test::prelude::*;

#[chaos_fixture]
fn port() -> u16 {
    6379
}

#[chaos_test]
async fn in_a_test(chaos: &ChaosContext, port: &u32) {}

#[chaos_test]
fn in_a_test_without_async(chaos: &ChaosContext, port: &String) {}

#[chaos_fixture]
async fn in_a_fixture(port: &Service) -> u32 {
    0
}
