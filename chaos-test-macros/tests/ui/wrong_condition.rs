#![allow(unused)]

use chaos_test_macros::chaos_test;

struct ChaosContext;

#[chaos_test(abort_if(checkout.eror_rate > 5%))]
async fn misspelt(chaos: &ChaosContext) {}

#[chaos_test(abort_if(checkout.error_rate > 5))]
async fn without_a_unit(chaos: &ChaosContext) {}

#[chaos_test(abort_if(checkout.p99 > 5s during 1m))]
async fn in_other_words(chaos: &ChaosContext) {}

#[chaos_test(abort_if(availability < 95%, p99 > 250parsec))]
async fn in_another_unit(chaos: &ChaosContext) {}

#[chaos_test(abort_if(failed_services < 1))]
async fn the_other_way_round(chaos: &ChaosContext) {}

fn main() {}
