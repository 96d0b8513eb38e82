#![allow(unused)]

use chaos_test_macros::chaos_test;

struct ChaosContext;
struct Service;

#[chaos_test(timout = "60s", breaks(cahce), tags("a b"), seed = "x")]
#[tokio::test]
async fn test(cache: Service) {}

fn main() {}
