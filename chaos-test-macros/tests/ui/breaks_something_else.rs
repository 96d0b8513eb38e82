#![allow(unused)]

use chaos_test_macros::chaos_test;

struct ChaosContext;
struct Service;

#[chaos_test(breaks(cahce, database, database))]
async fn test(chaos: &ChaosContext, cache: &Service, database: &Service) {}

#[chaos_test(breaks(cache))]
async fn without_fixtures(chaos: &ChaosContext) {}

fn main() {}
