#![allow(unused)]

use std::cell::RefCell;
use std::rc::Rc;

use chaos_test::prelude::*;

#[chaos_fixture]
async fn counted() -> Rc<u16> {
    Rc::new(6379)
}

#[chaos_fixture]
fn one_at_a_time() -> chaos_test::Result<RefCell<u16>> {
    Ok(RefCell::new(6379))
}
