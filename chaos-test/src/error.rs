//! The one error that this library returns, and the one that a test body may return.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

/// What a test body, a fixture or a probe returns: any error fits through `?`.
///
/// ```
/// fn read(path: &str) -> chaos_test::Result<String> {
///     Ok(std::fs::read_to_string(path)?)
/// }
/// assert!(read("/does/not/exist").is_err());
/// ```
pub type Result<T = (), E = TestError> = std::result::Result<T, E>;

/// An error of this library.
///
/// It is opaque: ask it with predicates such as [`is_skip`](Self::is_skip). Its text is a
/// fragment that reads well after "failed to ...: ", names what was asked, and says what
/// to do where that is known.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::process;
/// match chaos.inject(process::kill(cache)).await {
///     Err(refused) if refused.is_refused() => println!("nothing was touched: {refused}"),
///     other => drop(other?),
/// }
/// # Ok(()) }
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    message: Cow<'static, str>,
    help: Option<Cow<'static, str>>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Something the test needs is not there.
    Skip { capability: Option<String> },
    /// A limit forbids what was asked; nothing was touched.
    Refused,
    /// A fault could not be applied, or had no effect.
    Inject,
    /// An undo step failed.
    Undo,
    /// There is nothing to undo yet: whoever was asked to make it may still be at it.
    #[cfg_attr(
        not(feature = "containers"),
        expect(dead_code, reason = "only engines make things late")
    )]
    MayStillCome,
    /// What was to be put back is gone, and was not ours: nobody can have it again.
    Lost,
    /// A service did not start, did not become ready or is gone.
    Service,
    /// A fixture's set-up failed.
    Fixture,
    /// The journal, the state directory or a report could not be written or trusted.
    State,
    /// The hypothesis did not hold.
    Deviated,
    /// There was no data to judge.
    NoData,
    /// The steady state does not hold before anything was broken.
    NotSteady,
    /// It took too long.
    TimedOut,
    /// The context has ended and refuses every call.
    Ended,
    /// Somebody stopped the run.
    Interrupted,
    /// An abort condition came true.
    Aborted,
    /// The call itself is wrong.
    Usage,
    /// Made by a fault or a probe of the user.
    Own,
}

impl Error {
    /// Whether what was to be undone is not there, and may still come.
    pub(crate) fn may_still_come(&self) -> bool {
        matches!(self.0.kind, Kind::MayStillCome)
    }

    /// Whether what was to be put back is gone for good, and was not ours.
    pub(crate) fn is_lost(&self) -> bool {
        self.0.kind == Kind::Lost
    }

    pub(crate) fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            help: None,
            source: None,
        }))
    }

    /// Ends the test as skipped, visibly, with a reason; `CHAOS_REQUIRE=all` turns that
    /// into a failure.
    ///
    /// ```
    /// # fn body() -> chaos_test::Result {
    /// if std::env::var_os("LICENCE").is_none() {
    ///     return Err(chaos_test::Error::skip("no LICENCE for the database").into());
    /// }
    /// # Ok(()) }
    /// # assert!(body().is_err());
    /// ```
    #[must_use]
    pub fn skip(reason: impl Into<String>) -> Self {
        Self::new(Kind::Skip { capability: None }, reason.into())
    }

    /// An error for a fault or probe of your own.
    ///
    /// ```
    /// let error = chaos_test::Error::msg("the queue is gone");
    /// assert_eq!(error.to_string(), "the queue is gone");
    /// ```
    #[must_use]
    pub fn msg(message: impl Into<String>) -> Self {
        Self::new(Kind::Own, message.into())
    }

    /// Adds what to do; what was said before stays.
    pub(crate) fn help(mut self, help: impl Into<Cow<'static, str>>) -> Self {
        let help = help.into();
        self.0.help = Some(match self.0.help {
            Some(before) => format!("{before}\n  help: {help}").into(),
            None => help,
        });
        self
    }

    pub(crate) fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    pub(crate) fn kind(&self) -> &Kind {
        &self.0.kind
    }

    /// Whether the test is to count as skipped.
    ///
    /// ```
    /// use chaos_test::Error;
    /// assert!(Error::skip("no licence").is_skip());
    /// ```
    #[must_use]
    pub fn is_skip(&self) -> bool {
        matches!(self.0.kind, Kind::Skip { .. })
    }

    /// Whether a limit, such as the blast radius, forbade it. Nothing was touched.
    ///
    /// See [`Error`] for an example.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.0.kind == Kind::Refused
    }

    /// Whether the hypothesis did not hold.
    ///
    /// ```no_run
    /// # fn body(seen: chaos_test::Samples) -> chaos_test::Result {
    /// use chaos_test::{error_rate, percent};
    /// match seen.expect(error_rate().at_most(percent(1))).check() {
    ///     Err(error) if error.is_deviation() => println!("the report has it already: {error}"),
    ///     Err(error) if error.is_no_data() => println!("nothing was asked"),
    ///     other => other?,
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn is_deviation(&self) -> bool {
        self.0.kind == Kind::Deviated
    }

    /// Whether there was no data to judge.
    ///
    /// See [`is_deviation`](Self::is_deviation) for an example.
    #[must_use]
    pub fn is_no_data(&self) -> bool {
        self.0.kind == Kind::NoData
    }

    /// Whether the steady state did not hold before anything was broken, so that nothing
    /// was tested.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
    /// use chaos_test::process;
    /// match chaos.inject(process::kill(cache)).await {
    ///     Ok(outage) => drop(outage.lift().await?),
    ///     Err(error) if error.is_not_steady() => println!("something else was broken already"),
    ///     Err(error) if error.is_fault() => println!("it was tried, and put back"),
    ///     Err(error) => return Err(error.into()),
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn is_not_steady(&self) -> bool {
        self.0.kind == Kind::NotSteady
    }

    /// Whether something took longer than it may.
    ///
    /// ```no_run
    /// # async fn body(chaos: chaos_test::ChaosContext) -> chaos_test::Result {
    /// match chaos.finish().await {
    ///     Err(error) if error.is_timeout() => println!("its body took too long"),
    ///     Err(error) if error.is_state() => println!("the state directory cannot be used"),
    ///     other => drop(other?),
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.0.kind == Kind::TimedOut
    }

    /// Whether a service did not start, did not become ready, or is gone.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext) {
    /// use chaos_test::Program;
    /// let shop = chaos.process("shop", Program::cargo_bin("shop")).await;
    /// assert!(!shop.is_err_and(|error| error.is_service()), "look at its log");
    /// # }
    /// ```
    #[must_use]
    pub fn is_service(&self) -> bool {
        self.0.kind == Kind::Service
    }

    /// Whether a fault could not be applied, was not in effect, or could not be undone.
    ///
    /// See [`is_not_steady`](Self::is_not_steady) for an example.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        matches!(self.0.kind, Kind::Inject | Kind::Undo | Kind::Lost)
    }

    /// Whether the context had already ended, for example because its body timed out.
    ///
    /// ```no_run
    /// # async fn body(requests: &chaos_test::Monitor) -> chaos_test::Result {
    /// use chaos_test::secs;
    /// loop {
    ///     match requests.over(secs(1)).await {
    ///         Err(error) if error.is_ended() || error.is_interrupted() || error.is_aborted() => break,
    ///         other => println!("{} samples", other?.samples().len()),
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.0.kind == Kind::Ended
    }

    /// Whether somebody stopped the run: by a signal, a file, an environment variable or
    /// `cargo chaos stop`.
    ///
    /// See [`is_ended`](Self::is_ended) for an example.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.0.kind == Kind::Interrupted
    }

    /// Whether an abort condition came true; see [`AbortCondition`](crate::AbortCondition).
    ///
    /// See [`is_ended`](Self::is_ended) for an example.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        self.0.kind == Kind::Aborted
    }

    /// Whether the journal, the state directory or a report could not be written or is
    /// not to be trusted. Nothing was injected.
    ///
    /// See [`is_timeout`](Self::is_timeout) for an example.
    #[must_use]
    pub fn is_state(&self) -> bool {
        self.0.kind == Kind::State
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        let mut source = self
            .0
            .source
            .as_deref()
            .map(|source| source as &dyn StdError);
        while let Some(error) = source {
            write!(f, ": {error}")?;
            // Our own text already holds its causes.
            if error.is::<Error>() {
                break;
            }
            source = error.source();
        }
        if let Some(help) = &self.0.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `unwrap` and a body's `Result` print this: the text is worth more than the fields.
        write!(f, "{self}")
    }
}

/// The whole chain is part of the text, so that no caller loses it; there is no `source`
/// that would print it a second time.
impl StdError for Error {}

/// Any error that a test body, a fixture or a probe may return.
///
/// Every error that implements [`std::error::Error`] turns into it through `?`. For that
/// reason it cannot implement that trait itself, as with the well-known boxed error types;
/// functions of this library therefore return [`Error`], which does.
///
/// ```
/// use chaos_test::TestError;
///
/// fn body() -> Result<u16, TestError> {
///     let port = "http".parse()?; // any error
///     Ok(port)
/// }
/// assert!(body().is_err_and(|error| error.to_string().contains("invalid digit")));
/// ```
pub struct TestError(Body);

enum Body {
    Chaos(Error),
    Other(String),
}

impl TestError {
    /// An error from a text.
    ///
    /// ```
    /// let error = chaos_test::TestError::msg("no stock left");
    /// assert_eq!(error.to_string(), "no stock left");
    /// ```
    #[must_use]
    pub fn msg(message: impl Into<String>) -> Self {
        Self(Body::Other(message.into()))
    }

    /// The library's own error, if it is one.
    ///
    /// ```
    /// use chaos_test::{Error, TestError};
    /// let skip = TestError::from(Error::skip("no licence"));
    /// assert!(skip.as_chaos().is_some_and(Error::is_skip));
    /// assert!(TestError::msg("no stock left").as_chaos().is_none());
    /// ```
    #[must_use]
    pub fn as_chaos(&self) -> Option<&Error> {
        match &self.0 {
            Body::Chaos(error) => Some(error),
            Body::Other(_) => None,
        }
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for TestError {
    fn from(error: E) -> Self {
        let mut error = Some(error);
        let slot: &mut dyn std::any::Any = &mut error;
        if let Some(own) = slot.downcast_mut::<Option<Error>>().and_then(Option::take) {
            return Self(Body::Chaos(own));
        }
        let error = error.expect("only an error of our own was taken out");
        Self(Body::Other(with_causes(&error)))
    }
}

impl From<TestError> for Box<dyn StdError + Send + Sync> {
    fn from(error: TestError) -> Self {
        match error.0 {
            Body::Chaos(error) => Box::new(error),
            Body::Other(message) => message.into(),
        }
    }
}

impl fmt::Display for TestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Body::Chaos(error) => write!(f, "{error}"),
            Body::Other(message) => f.write_str(message),
        }
    }
}

impl fmt::Debug for TestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// An error and its causes on one line.
pub(crate) fn with_causes(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Many errors already repeat their cause.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// What a test body may return: nothing, or any `Result<(), E>` whose error can be shown.
///
/// ```
/// use chaos_test::TestOutcome;
///
/// assert!(().into_result().is_ok());
/// assert!(Err::<(), _>(std::fmt::Error).into_result().is_err());
/// ```
#[diagnostic::on_unimplemented(
    message = "a chaos test cannot return `{Self}`",
    label = "write `chaos_test::Result`, or nothing",
    note = "a test returns `()` or a `Result<(), E>` whose error implements `Debug`"
)]
pub trait TestOutcome {
    /// The same as a result of ours.
    ///
    /// # Errors
    ///
    /// That of the test, with what is known of it: one of this library stays one.
    fn into_result(self) -> Result<(), TestError>;
}

impl TestOutcome for () {
    fn into_result(self) -> Result<(), TestError> {
        Ok(())
    }
}

impl<E: fmt::Debug + 'static> TestOutcome for Result<(), E> {
    fn into_result(self) -> Result<(), TestError> {
        let Err(error) = self else { return Ok(()) };
        let mut slot = Some(error);
        let any: &mut dyn std::any::Any = &mut slot;
        if let Some(own) = any
            .downcast_mut::<Option<TestError>>()
            .and_then(Option::take)
        {
            return Err(own);
        }
        if let Some(own) = any.downcast_mut::<Option<Error>>().and_then(Option::take) {
            return Err(TestError(Body::Chaos(own)));
        }
        if let Some(boxed) = any
            .downcast_mut::<Option<Box<dyn StdError + Send + Sync>>>()
            .and_then(Option::take)
        {
            return Err(match boxed.downcast::<Error>() {
                Ok(own) => TestError(Body::Chaos(*own)),
                Err(other) => TestError(Body::Other(with_causes(&*other))),
            });
        }
        if let Some(boxed) = any
            .downcast_mut::<Option<Box<dyn StdError>>>()
            .and_then(Option::take)
        {
            return Err(match boxed.downcast::<Error>() {
                Ok(own) => TestError(Body::Chaos(*own)),
                Err(other) => TestError(Body::Other(with_causes(&*other))),
            });
        }
        let error = slot.expect("no branch above took it out and went on");
        Err(TestError(Body::Other(format!("{error:?}"))))
    }
}

#[cfg(test)]
mod tests;
