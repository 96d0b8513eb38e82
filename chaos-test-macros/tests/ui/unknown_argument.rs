#![allow(unused)]

use chaos_test_macros::chaos_test;

struct ChaosContext;

#[chaos_test(timout = "60s")]
async fn misspelt(chaos: &ChaosContext) {}

#[chaos_test(frobnicate(3))]
async fn unheard_of(chaos: &ChaosContext) {}

#[chaos_test(seed = 1, seed = 2)]
async fn twice(chaos: &ChaosContext) {}

fn main() {}
