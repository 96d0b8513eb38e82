//! Any async closure as a probe.

use std::fmt::Display;
use std::future::Future;

use super::Probe;
use crate::model::sample::Reading;

/// What a closure may return to be a probe.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext) -> chaos_test::Result {
/// use chaos_test::prelude::*;
/// // An error is a failed sample, a number its value.
/// let orders = async || std::fs::read_dir("/var/spool/shop").map(|orders| orders.count());
/// let orders = chaos.monitor(orders.every(ms(100)).named("orders"));
/// # Ok(()) }
/// ```
#[diagnostic::on_unimplemented(
    message = "a probe cannot return `{Self}`",
    label = "return a `Result`",
    note = "`Ok(())` or `Ok(number)` is a good sample, an error that implements `Display` a failed one"
)]
pub trait IntoReading {
    /// As a reading: an error is a failed sample, a number its value.
    fn into_reading(self) -> Reading;
}

impl IntoReading for Reading {
    fn into_reading(self) -> Reading {
        self
    }
}

impl<T: IntoValue, E: Display> IntoReading for Result<T, E> {
    fn into_reading(self) -> Reading {
        match self {
            Ok(value) => Reading::Good(value.into_value()),
            Err(error) => Reading::Bad(error.to_string()),
        }
    }
}

/// A number, or nothing.
///
/// ```
/// use chaos_test::IntoValue;
/// assert_eq!(17_u32.into_value(), Some(17.0));
/// assert_eq!(().into_value(), None);
/// ```
pub trait IntoValue {
    /// The number, if there is one.
    fn into_value(self) -> Option<f64>;
}

impl IntoValue for () {
    fn into_value(self) -> Option<f64> {
        None
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl IntoValue for $number {
            fn into_value(self) -> Option<f64> {
                Some(self as f64)
            }
        }
    )*};
}

numbers!(f64, f32, u8, u16, u32, u64, usize, i8, i16, i32, i64, isize);

impl<F, Answer> Probe for F
where
    F: Fn() -> Answer + Send + Sync + 'static,
    Answer: Future<Output: IntoReading> + Send,
{
    fn name(&self) -> String {
        "probe".to_owned()
    }

    async fn sample(&self) -> Reading {
        self().await.into_reading()
    }
}
