#![allow(unused)]

use chaos_test_macros::chaos_fixture;

#[chaos_fixture]
#[case(1)]
fn with_cases(#[case] size: u8) -> u8 {
    size
}

#[chaos_fixture]
fn with_values(#[values(1, 2)] size: u8, width: u8, #[default] height: u8) -> u8 {
    size
}

#[chaos_fixture]
fn itself(#[from(itself)] other: &u8) -> u8 {
    *other
}

fn main() {}
