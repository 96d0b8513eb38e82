#![allow(unused)]

use chaos_test_macros::chaos_test;

struct ChaosContext;

#[chaos_test(tags("", "very slow", "not", "slow", "slow"))]
async fn test(chaos: &ChaosContext) {}

fn main() {}
