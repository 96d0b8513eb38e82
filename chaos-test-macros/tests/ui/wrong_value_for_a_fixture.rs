use chaos_test::prelude::*;

struct Silent;

#[chaos_fixture]
fn cache(#[default(16)] size: u32) -> u32 {
    size
}

#[chaos_fixture]
fn shop(#[default(Silent)] owner: Silent) -> u32 {
    let _ = owner;
    1
}

#[chaos_fixture]
fn plain() -> u32 {
    1
}

#[chaos_test]
async fn test(
    chaos: &ChaosContext,
    #[with("many")] cache: &u32,
    #[from(cache)]
    #[with(1, 2)]
    two: &u32,
    #[with(1)] plain: &u32,
    #[from(elsewhere::cache)] missing: &u32,
) {
    let _ = (chaos, cache, two, plain, missing);
}

fn main() {}
