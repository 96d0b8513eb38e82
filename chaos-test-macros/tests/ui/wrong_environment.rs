#![allow(unused)]

use chaos_test_macros::chaos_test;

struct ChaosContext;

#[chaos_test(environment("", "staging", "eu/west", "staging"))]
async fn names(chaos: &ChaosContext) {}

#[chaos_test(environment = staging)]
async fn shapes(chaos: &ChaosContext) {}

#[chaos_test(environment(), exclusive)]
async fn none(chaos: &ChaosContext) {}

#[chaos_test(enviroment = "staging")]
async fn misspelt(chaos: &ChaosContext) {}

fn main() {}
