#![allow(unused)]

use chaos_test_macros::chaos_test;

struct ChaosContext;

#[chaos_test(timeout = "60")]
async fn without_unit(chaos: &ChaosContext) {}

#[chaos_test(timeout = "soon")]
async fn without_number(chaos: &ChaosContext) {}

#[chaos_test(timeout = "0s")]
async fn zero(chaos: &ChaosContext) {}

fn main() {}
