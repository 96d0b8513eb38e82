//! What the macros do, over plain token streams. How mistakes look to a user is in `tests/ui/`.

mod captured;
mod cases;
mod editors;
mod environments;
mod expansions;
mod mistakes;

use proc_macro2::TokenStream;

#[track_caller]
fn tokens(text: &str) -> TokenStream {
    text.parse().expect("the test's own input")
}
