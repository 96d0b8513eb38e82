//! A thread with a runtime that calls a condition: what users write can block neither the engine
//! nor a monitor's probes there.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::probe::{Condition, Seen, Trace};
use crate::run::body::panic_text;
use crate::run::inner::Inner;
use crate::run::recorder::Recorder;

/// How long a call that was given up may take to be dropped. Where a busy machine takes longer,
/// a thread is left that ends by itself.
const DROP_LIMIT: Duration = Duration::from_millis(200);

/// How a call ended.
pub(super) enum Answer<T> {
    /// It saw something, at a time since the context started.
    Seen(Seen<T>, Duration),
    /// It took too long.
    Late {
        /// Whether it holds its thread still.
        blocks: bool,
    },
}

/// Calls a condition, on a thread of its own that ends with this.
pub(super) struct Asker<C: Condition> {
    calls: Option<mpsc::UnboundedSender<Call<C::Value>>>,
    /// Why there is no thread, if so.
    none: String,
    recorder: Arc<Recorder>,
}

/// Where the answer to a call goes; closed once nobody waits for it.
struct Call<T> {
    answer: oneshot::Sender<(Seen<T>, Duration)>,
    /// Dropped once the call has let its thread go.
    gone: oneshot::Sender<()>,
}

impl<C: Condition> Asker<C> {
    pub(super) fn new(condition: Arc<C>, inner: &Inner) -> Self {
        let (calls, heard) = mpsc::unbounded_channel();
        let recorder = Arc::clone(&inner.recorder);
        let (clock, trace) = (Arc::clone(&recorder), Arc::clone(&inner.trace));
        let thread = std::thread::Builder::new().name("chaos-condition".to_owned());
        let started = thread.spawn(move || answer_calls(&*condition, heard, &clock, &trace));
        let none = started.err().map(|error| error.to_string());
        Self {
            calls: none.is_none().then_some(calls),
            none: none.unwrap_or_default(),
            recorder,
        }
    }

    /// Calls it once and waits for at most `limit`.
    pub(super) async fn ask(&self, limit: Duration) -> Answer<C::Value> {
        let (answer, answered) = oneshot::channel();
        let (gone, is_gone) = oneshot::channel();
        let call = Call { answer, gone };
        if self
            .calls
            .as_ref()
            .is_none_or(|calls| calls.send(call).is_err())
        {
            let why = format!("no thread could be started for it: {}", self.none);
            return Answer::Seen(Seen::Failed(why), self.recorder.now());
        }
        match tokio::time::timeout(limit, answered).await {
            Ok(Ok((seen, at))) => Answer::Seen(seen, at),
            // Its value panicked when it was dropped, and took the thread with it.
            Ok(Err(_)) => {
                let why = "its thread panicked".to_owned();
                Answer::Seen(Seen::Failed(why), self.recorder.now())
            }
            Err(_) => Answer::Late {
                blocks: tokio::time::timeout(DROP_LIMIT, is_gone).await.is_err(),
            },
        }
    }
}

fn answer_calls<C: Condition>(
    condition: &C,
    mut calls: mpsc::UnboundedReceiver<Call<C::Value>>,
    clock: &Recorder,
    trace: &Arc<Trace>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the kernel gives a process a poll descriptor");
    runtime.block_on(async {
        while let Some(mut call) = calls.recv().await {
            tokio::select! {
                seen = guarded(trace.sample(condition.look())) => {
                    // Nobody may wait any more.
                    let _ = call.answer.send((seen, clock.now()));
                }
                () = call.answer.closed() => {}
            }
            drop(call.gone);
        }
    });
}

/// Runs what a user wrote; a panic in it is a call that failed.
async fn guarded<T>(look: impl Future<Output = Seen<T>>) -> Seen<T> {
    let mut look = pin!(look);
    poll_fn(|context| {
        let poll = catch_unwind(AssertUnwindSafe(|| look.as_mut().poll(context)));
        poll.unwrap_or_else(|panic: Box<dyn Any + Send>| {
            Poll::Ready(Seen::Failed(format!(
                "it panicked: {}",
                panic_text(&*panic)
            )))
        })
    })
    .await
}
