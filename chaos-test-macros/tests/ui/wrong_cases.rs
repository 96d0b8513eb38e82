#![allow(unused)]

use chaos_test_macros::chaos_test;

struct ChaosContext;
struct Service;

#[chaos_test]
#[case::few(1)]
#[case::many(1, 2, 3)]
#[case::few(1, 2)]
#[case::one::two(1, 2)]
#[case::crate(1, 2)]
#[should_panic]
#[case = 3]
async fn arguments(chaos: &ChaosContext, #[case] width: u8, #[case] height: u8) {}

#[chaos_test]
async fn nobody_gives_it(chaos: &ChaosContext, #[case] width: u8) {}

#[chaos_test]
#[case::lonely(1)]
async fn nobody_takes_it(chaos: &ChaosContext, cache: &Service) {}

#[chaos_test]
#[case(1, 2, 3, 4, 5)]
async fn taken_the_wrong_way(
    #[case] chaos: &ChaosContext,
    #[case] lent: &Service,
    #[case] text: &str,
    #[case] mut changed: u8,
    #[case] (left, right): (u8, u8),
    #[case] any: impl Copy,
    #[case(3)] twice: u8,
) {
}

#[chaos_test]
#[cases(1)]
#[values(1, 2)]
async fn misplaced(chaos: &ChaosContext) {}

fn main() {}
