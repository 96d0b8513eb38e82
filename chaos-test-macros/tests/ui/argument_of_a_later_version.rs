#![allow(unused)]

use chaos_test_macros::chaos_test;

struct ChaosContext;

#[chaos_test(
    runtime(threads = 2),
    timeout = "60s",
)]
async fn test(chaos: &ChaosContext) {}

fn main() {}
