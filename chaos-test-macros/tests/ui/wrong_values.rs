#![allow(unused)]

use chaos_test_macros::chaos_test;

struct ChaosContext;
struct Service;

#[chaos_test]
async fn none(chaos: &ChaosContext, #[values()] size: u8, #[values] width: u8) {}

#[chaos_test]
async fn misspelt(
    chaos: &ChaosContext,
    #[value(1)] size: u8,
    #[cse] case: u8,
    #[wiht(1)] cache: &Service,
    #[future] soon: &Service,
    #[frobnicate] other: &Service,
) {
}

#[chaos_test]
#[case(1)]
async fn two_sources(
    chaos: &ChaosContext,
    #[case]
    #[values(1, 2)]
    size: u8,
    #[values(1)]
    #[values(2)]
    width: u8,
    #[default(1)] height: u8,
    #[from(1)] cache: &Service,
    service: Option<Service>,
) {
}

fn main() {}
