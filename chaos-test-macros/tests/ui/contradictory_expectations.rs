#![allow(unused)]

use chaos_test_macros::chaos_test;

struct ChaosContext;

#[chaos_test(known_gap = "SHOP-12", must_fail_when(env("RETRY" = "off")))]
async fn it_deviates_in_any_case(chaos: &ChaosContext) {}

#[chaos_test(must_fail_when(env("RETRY" = "off")))]
#[should_panic]
async fn it_panics(chaos: &ChaosContext) {}

#[chaos_test(known_gap = " ")]
#[should_panic]
async fn it_has_no_name(chaos: &ChaosContext) {}

#[chaos_test(must_fail_when(env("A=B" = "off") => ""))]
async fn it_cannot_be_set(chaos: &ChaosContext) {}

#[chaos_test(must_fail_when(env("RETRY" = "off"), env("RETRY" = "off"), env("CHAOS_SEED" = "1")))]
async fn it_is_listed_twice(chaos: &ChaosContext) {}

fn main() {}
