#![allow(unused)]

use std::rc::Rc;

use chaos_test::prelude::*;

#[chaos_fixture]
async fn port() -> chaos_test::Result<u16> {
    let port = Rc::new(6379);
    std::future::ready(()).await;
    Ok(*port)
}

#[chaos_test]
async fn test(chaos: &ChaosContext, port: &u16) {
    let port = Rc::new(6379);
    std::future::ready(()).await;
    drop(port);
}
