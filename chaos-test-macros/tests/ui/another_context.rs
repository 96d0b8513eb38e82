#![allow(unused)]

use chaos_test::{chaos_fixture, chaos_test};

mod harness {
    pub struct ChaosContext;
}

struct ChaosContext;

#[chaos_test]
async fn test(chaos: &ChaosContext) {}

#[chaos_test]
fn test_without_async(chaos: &harness::ChaosContext) {}

#[chaos_fixture]
async fn fixture(chaos: &ChaosContext) -> u16 {
    6379
}
