#![allow(unused)]

use chaos_test_macros::chaos_test;

struct ChaosContext;

#[chaos_test(seed = -1)]
async fn negative(chaos: &ChaosContext) {}

#[chaos_test(seed = 0x1_0000_0000_0000_0000)]
async fn large(chaos: &ChaosContext) {}

#[chaos_test(seed = 7u8)]
async fn small(chaos: &ChaosContext) {}

fn main() {}
