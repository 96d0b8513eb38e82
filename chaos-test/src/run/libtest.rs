//! Tells libtest what a test came to. It knows a return and a panic, and nothing else.

use std::panic::resume_unwind;

use crate::model::concluded::{Concluded, How};
use crate::model::spec::ShouldPanic;

/// Tells libtest.
///
/// # Panics
///
/// If the test did not pass, and where libtest waits for a panic: that is how it is told.
#[expect(
    clippy::print_stderr,
    reason = "libtest captures this and shows it with the test that failed"
)]
pub fn tell_libtest(concluded: Concluded) {
    match concluded.how {
        How::Passed | How::KnownGap(_) => {}
        // Libtest sees the panic that it expects only where everything else is right, too.
        How::PanickedAsExpected(message) => resume_unwind(Box::new(message)),
        // A skipped test that is to panic would fail for not panicking.
        How::Skipped(_) => match concluded.spec.should_panic {
            ShouldPanic::No => {}
            ShouldPanic::Yes => resume_unwind(Box::new("skipped".to_owned())),
            ShouldPanic::With(text) => resume_unwind(Box::new(text.to_owned())),
        },
        How::Failed {
            explained,
            headline,
        } => {
            eprintln!("{explained}");
            // Where a panic is what libtest waits for, only returning is a failure.
            if concluded.spec.should_panic == ShouldPanic::No {
                resume_unwind(Box::new(headline));
            }
        }
    }
}
