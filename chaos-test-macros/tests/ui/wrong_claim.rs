#![allow(unused)]

use chaos_test_macros::chaos_test;

struct ChaosContext;

#[chaos_test(expects(eror_rate <= 5%))]
async fn misspelt(chaos: &ChaosContext) {}

#[chaos_test(expects(error_rate < 5%))]
async fn with_another_sign(chaos: &ChaosContext) {}

#[chaos_test(expects(recovery >= 5s))]
async fn the_other_way_round(chaos: &ChaosContext) {}

#[chaos_test(expects(recovery <= 5, error_rate <= 5%))]
async fn without_a_unit(chaos: &ChaosContext) {}

fn main() {}
