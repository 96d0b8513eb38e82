#![allow(unused)]

use chaos_test_macros::{chaos_fixture, chaos_test};

struct ChaosContext;

#[chaos_test]
struct Test;

#[chaos_fixture]
mod fixture {}

#[chaos_test]
const fn constant(chaos: &ChaosContext) {}

#[chaos_test]
fn generic<T>(chaos: &ChaosContext) {}

struct Tests;

impl Tests {
    #[chaos_test]
    fn method(&self, chaos: &ChaosContext) {}
}

fn main() {}
