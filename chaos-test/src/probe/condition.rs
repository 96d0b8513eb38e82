//! Conditions: what is asked until it comes true.

use std::fmt::{Debug, Display};
use std::future::Future;

/// Something that is to come true: what
/// [`ChaosContext::eventually`](crate::ChaosContext::eventually) takes.
///
/// It is called again and again, one call at a time, on a thread and a runtime of its own, so
/// that its future need not be `Send` and may borrow from it. Like a probe it reads and changes
/// nothing, and it must be safe to drop its future at any point: that is how a call times out.
///
/// Any async closure is a condition that returns a `bool`, an `Option`, a pair of a `bool` and
/// what was seen, or a `Result` of one of these:
///
/// | it returns | it is true with | what was seen last reads | the test gets |
/// |---|---|---|---|
/// | `bool` | `true` | `false` | `()` |
/// | `Option<T>` | `Some(..)` | `None` | the `T` |
/// | `(bool, T)` | `(true, ..)` | the `T`, by `Debug` | the `T` |
/// | `Result<_, E>` of these | `Ok` of the above | as above, or the error | as above |
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext) -> chaos_test::Result {
/// use chaos_test::prelude::*;
/// chaos.eventually("there is a report", async || std::path::Path::new("/srv/report").exists()).await?;
/// // The test gets what was found.
/// let words: String = chaos.eventually("it says why", async || std::fs::read_to_string("/srv/report").ok()).await?;
/// # Ok(()) }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a condition",
    label = "not an async closure that returns a `bool`, an `Option`, a `(bool, value)` or a `Result` of these",
    note = "it must own what it uses: write `async move ||`, and clone what the test still needs"
)]
pub trait Condition: Send + Sync + 'static {
    /// What the test gets once it is true.
    type Value: Send + 'static;

    /// Looks once.
    fn look(&self) -> impl Future<Output = Seen<Self::Value>>;
}

/// What one call of a [`Condition`] saw.
///
/// ```
/// use chaos_test::{IntoSeen, Seen};
///
/// assert_eq!(None::<u32>.into_seen(), Seen::NotYet("None".to_owned()));
/// let Seen::True { value, .. } = Some(17).into_seen() else { unreachable!() };
/// assert_eq!(value, 17);
/// let refused = Err::<bool, _>("refused").into_seen();
/// assert_eq!(refused, Seen::Failed("refused".to_owned()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Seen<T> {
    /// It is true.
    True {
        /// What the test gets.
        value: T,
        /// The same in words, for the report; empty where there is no more to say.
        seen: String,
    },
    /// It is not true yet; what was seen instead.
    NotYet(String),
    /// It could not be found out, and why.
    Failed(String),
}

/// What a closure may return to be a [`Condition`].
///
/// ```
/// use chaos_test::{IntoSeen, Seen};
///
/// assert_eq!((false, 3).into_seen(), Seen::NotYet("3".to_owned()));
/// ```
#[diagnostic::on_unimplemented(
    message = "a condition cannot return `{Self}`",
    label = "return a `bool`, an `Option`, a `(bool, value)`, or a `Result` of these",
    note = "values implement `Debug`, errors `Display`: they stand in the report"
)]
pub trait IntoSeen {
    /// What the test gets once it is true.
    type Value: Send + 'static;

    /// As what was seen.
    fn into_seen(self) -> Seen<Self::Value>;
}

impl IntoSeen for bool {
    type Value = ();

    fn into_seen(self) -> Seen<()> {
        if self {
            let seen = String::new();
            Seen::True { value: (), seen }
        } else {
            Seen::NotYet("false".to_owned())
        }
    }
}

impl<T: Debug + Send + 'static> IntoSeen for Option<T> {
    type Value = T;

    fn into_seen(self) -> Seen<T> {
        match self {
            Some(value) => (true, value).into_seen(),
            None => Seen::NotYet("None".to_owned()),
        }
    }
}

impl<T: Debug + Send + 'static> IntoSeen for (bool, T) {
    type Value = T;

    fn into_seen(self) -> Seen<T> {
        let (is_true, value) = self;
        let seen = format!("{value:?}");
        if is_true {
            Seen::True { value, seen }
        } else {
            Seen::NotYet(seen)
        }
    }
}

impl<S: IntoSeen, E: Display> IntoSeen for Result<S, E> {
    type Value = S::Value;

    fn into_seen(self) -> Seen<S::Value> {
        match self {
            Ok(seen) => seen.into_seen(),
            Err(error) => Seen::Failed(error.to_string()),
        }
    }
}

impl<F, Answer> Condition for F
where
    F: AsyncFn() -> Answer + Send + Sync + 'static,
    Answer: IntoSeen,
{
    type Value = Answer::Value;

    async fn look(&self) -> Seen<Answer::Value> {
        self().await.into_seen()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<S: IntoSeen>(returned: S, expected: Seen<S::Value>)
    where
        S::Value: Debug + PartialEq,
    {
        assert_eq!(returned.into_seen(), expected);
    }

    #[test]
    fn what_closures_return_is_what_they_saw() {
        let value = "alert".to_owned();
        let seen = format!("{value:?}");
        check(false, Seen::NotYet("false".to_owned()));
        check(
            true,
            Seen::True {
                value: (),
                seen: String::new(),
            },
        );
        check(None::<String>, Seen::NotYet("None".to_owned()));
        check(
            Some(value.clone()),
            Seen::True {
                value: value.clone(),
                seen: seen.clone(),
            },
        );
        check((false, 41), Seen::NotYet("41".to_owned()));
        check((true, value.clone()), Seen::True { value, seen });
        check(Ok::<_, String>(false), Seen::NotYet("false".to_owned()));
        check(
            Err::<bool, _>("refused"),
            Seen::Failed("refused".to_owned()),
        );
        check(
            Ok::<_, String>((false, [1, 2])),
            Seen::NotYet("[1, 2]".to_owned()),
        );
    }
}
