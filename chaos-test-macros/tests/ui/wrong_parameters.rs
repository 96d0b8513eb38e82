#![allow(unused)]

use chaos_test_macros::chaos_test;

struct ChaosContext;
struct Service;

#[chaos_test]
async fn no_context(cache: &Service) {}

#[chaos_test]
async fn two_contexts(chaos: &ChaosContext, other: &ChaosContext) {}

#[chaos_test]
async fn owned(chaos: ChaosContext, cache: Service) {}

#[chaos_test]
async fn changed(chaos: &mut ChaosContext, cache: &mut Service) {}

#[chaos_test]
async fn patterns(chaos: &ChaosContext, mut cache: &Service, _: &Service) {}

#[chaos_test]
async fn lifetimes(chaos: &ChaosContext, cache: &'static Service) {}

#[chaos_test]
async fn itself(chaos: &ChaosContext, itself: &Service) {}

fn main() {}
