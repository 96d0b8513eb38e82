#![allow(unused)]

use chaos_test::prelude::*;

#[chaos_fixture]
fn cache() -> u16 {
    6379
}

#[chaos_test(breaks(cahce))]
async fn in_a_test(chaos: &ChaosContext, cahce: &Service) {}

#[chaos_test]
fn in_a_test_without_async(chaos: &ChaosContext, _cahce: &Service) {}

#[chaos_fixture]
async fn in_a_fixture(cahce: &Service) -> u16 {
    6379
}
