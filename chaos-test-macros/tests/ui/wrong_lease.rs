#![allow(unused)]

use chaos_test_macros::chaos_test;

struct ChaosContext;

#[chaos_test(leases("", "orders-db", "broker", "orders-db"))]
async fn leases(chaos: &ChaosContext) {}

#[chaos_test(leases(broker), exclusive = true)]
async fn shapes(chaos: &ChaosContext) {}

fn main() {}
