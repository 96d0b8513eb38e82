use chaos_test::prelude::*;

#[chaos_test]
#[case::right(1)]
#[case::wrong("one")]
async fn of_another_type(
    chaos: &ChaosContext,
    #[case] size: u8,
    #[values(1, nothing)] other: u8,
) {
    let _ = (chaos, size, other);
}

fn main() {}
