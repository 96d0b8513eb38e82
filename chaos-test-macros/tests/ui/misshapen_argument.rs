#![allow(unused)]

use chaos_test_macros::chaos_test;

struct ChaosContext;
struct Service;

#[chaos_test(timeout(60), seed = "7", breaks = cache, tags("a" "b"), hypothesis, crate = other)]
async fn test(chaos: &ChaosContext, cache: &Service) {}

#[chaos_test(timeout = 60 seconds)]
async fn several_words(chaos: &ChaosContext) {}

fn main() {}
