#![allow(unused)]

use chaos_test_macros::chaos_test;

struct ChaosContext;

#[chaos_test(
    runtime(threads = 2),
    timeout = "60s",
)]
async fn test(chaos: &ChaosContext) {}

#[chaos_test]
#[case::light(1)]
async fn cases(chaos: &ChaosContext, #[case] latency: u8, #[values(1, 2)] size: u8) {}

fn main() {}
