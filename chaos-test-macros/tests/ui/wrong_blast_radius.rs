#![allow(unused)]

use chaos_test_macros::chaos_test;

struct ChaosContext;

#[chaos_test(blast_radius(servces <= 1))]
async fn misspelt(chaos: &ChaosContext) {}

#[chaos_test(blast_radius(duration < 30s))]
async fn with_another_sign(chaos: &ChaosContext) {}

#[chaos_test(blast_radius(connections <= 10))]
async fn without_a_unit(chaos: &ChaosContext) {}

#[chaos_test(blast_radius(risk <= mediun))]
async fn of_no_class(chaos: &ChaosContext) {}

#[chaos_test(blast_radius(services <= 1, risk <= low, services <= 2, risk <= low))]
async fn given_twice(chaos: &ChaosContext) {}

#[chaos_test(breaks(), blast_radius(services <= 1))]
async fn of_nothing(chaos: &ChaosContext) {}

#[chaos_test(blast_radius())]
async fn empty(chaos: &ChaosContext) {}

fn main() {}
