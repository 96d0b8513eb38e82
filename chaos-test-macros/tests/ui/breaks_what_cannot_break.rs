#![allow(unused)]

use chaos_test::prelude::*;

struct Client;

#[chaos_fixture]
fn client() -> Client {
    Client
}

#[chaos_fixture]
fn port() -> u16 {
    6379
}

#[chaos_test(breaks(client))]
async fn test(chaos: &ChaosContext, client: &Client) {}

#[chaos_test(breaks(port))]
fn test_without_async(chaos: &ChaosContext, port: &u16) {}
