#![allow(unused)]

use chaos_test_macros::chaos_test;

struct ChaosContext;

#[chaos_test]
#[test]
fn plain(chaos: &ChaosContext) {}

#[chaos_test]
#[tokio::test(flavor = "multi_thread")]
async fn asynchronous(chaos: &ChaosContext) {}

#[chaos_test]
#[chaos_test]
async fn twice(chaos: &ChaosContext) {}

fn main() {}
