#![allow(unused)]

use chaos_test_macros::{chaos_fixture, chaos_test};

struct ChaosContext;

#[chaos_test]
#[chaos_fixture]
async fn both(chaos: &ChaosContext) -> u8 {
    7
}

#[chaos_fixture]
#[ignore]
async fn ignored(chaos: &ChaosContext) -> u8 {
    7
}

fn main() {}
