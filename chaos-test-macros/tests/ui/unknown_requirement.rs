#![allow(unused)]

use chaos_test_macros::chaos_test;

struct ChaosContext;

#[chaos_test(requires(dokcer, kernel, root("me"), program, env("")))]
async fn test(chaos: &ChaosContext) {}

fn main() {}
