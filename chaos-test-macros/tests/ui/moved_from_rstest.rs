#![allow(unused)]

use chaos_test_macros::chaos_test;

struct ChaosContext;

#[chaos_test]
#[rstest]
#[case(1)]
async fn both(chaos: &ChaosContext, #[case] size: u8) {}

fn main() {}
