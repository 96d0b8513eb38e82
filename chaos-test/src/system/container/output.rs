//! What a container prints: into its log, and held against what it is waited for.

use std::io::Write;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::StreamExt;
use testcontainers::bollard::container::LogOutput;
use testcontainers::bollard::errors::Error as EngineError;
use testcontainers::bollard::query_parameters::{
    AttachContainerOptionsBuilder, LogsOptionsBuilder,
};
use tokio::sync::watch;

use super::engine::{Engine, Refusal};
use super::parts::{Condition, Stream};
use super::stamp::{self, Stamp};
use crate::system::lock::lock;
use crate::system::service::log::SinceStart;
use crate::system::spawner::Spawner;

/// How long the engine may take to hand out a container's output.
const ATTACH_LIMIT: Duration = Duration::from_secs(10);

/// How far back a container's log is asked for: longer than it may have been down, and than
/// clocks of two machines differ.
const A_WHILE: Duration = Duration::from_secs(15 * 60);

/// What a container prints, piece by piece.
type Pieces = Pin<Box<dyn futures_util::Stream<Item = Result<LogOutput, EngineError>> + Send>>;

/// What one start of a container has printed so far.
#[derive(Clone)]
pub(super) struct Output {
    seen: Arc<Mutex<Seen>>,
    /// Changes with everything that is printed.
    printed: watch::Receiver<u64>,
}

struct Seen {
    waited_for: Vec<WaitedFor>,
    last: Instant,
}

/// A message that a container is ready by.
struct WaitedFor {
    stream: Stream,
    message: Vec<u8>,
    times: usize,
    /// The end of what each stream printed, for a message that comes in two pieces.
    tails: [Vec<u8>; 2],
}

impl WaitedFor {
    fn feed(&mut self, stream: Stream, piece: &[u8]) {
        if self.times == 0 || (self.stream != Stream::Both && self.stream != stream) {
            return;
        }
        let tail = &mut self.tails[usize::from(stream == Stream::Err)];
        tail.extend_from_slice(piece);
        let mut from = 0;
        while self.times > 0
            && let Some(at) = find(&tail[from..], &self.message)
        {
            self.times -= 1;
            from += at + self.message.len().max(1);
            from = from.min(tail.len());
        }
        let keep = self.message.len().saturating_sub(1);
        tail.drain(..from.max(tail.len().saturating_sub(keep)));
    }
}

fn a_while_ago() -> i32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let then = now.unwrap_or_default().saturating_sub(A_WHILE);
    i32::try_from(then.as_secs()).unwrap_or_default()
}

fn find(text: &[u8], message: &[u8]) -> Option<usize> {
    if message.is_empty() {
        return Some(0);
    }
    text.windows(message.len()).position(|part| part == message)
}

/// How far what a container has printed goes towards its being ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) met: usize,
    pub(super) missing: usize,
    /// Since when it has printed nothing.
    pub(super) quiet: Duration,
}

impl Output {
    /// Takes hold of a container's output before it is started, so that nothing is missed.
    pub(super) async fn attach(
        engine: &Arc<Engine>,
        container: &str,
        log: &Path,
        mark: &str,
        conditions: &[Condition],
        again: bool,
    ) -> Result<(Self, SinceStart), Refusal> {
        let options = AttachContainerOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .stream(true)
            .build();
        let attached = engine
            .ask(
                "taking hold of its output",
                ATTACH_LIMIT,
                engine.docker().attach_container(container, Some(options)),
            )
            .await?;
        // The input half stays open as long as the output is read.
        let (input, output) = (attached.input, attached.output);
        let pieces = output.map(move |piece| {
            let _ = &input;
            piece
        });
        Self::read(Box::pin(pieces), log, mark, conditions, again, None)
    }

    /// Takes hold of the output of a container that runs: from the first instant of one of its
    /// starts on, or from now on.
    pub(super) fn follow(
        engine: &Arc<Engine>,
        container: &str,
        log: &Path,
        mark: &str,
        conditions: &[Condition],
        start: Option<Stamp>,
    ) -> Result<(Self, SinceStart), Refusal> {
        let options = LogsOptionsBuilder::default()
            .follow(true)
            .stdout(true)
            .stderr(true)
            .timestamps(start.is_some());
        let options = match start {
            // In whole seconds of this machine's clock; what is older is left out by its stamp.
            Some(_) => options.since(a_while_ago()),
            None => options.tail("0"),
        };
        let (engine, container) = (Arc::clone(engine), container.to_owned());
        let pieces = engine.docker().logs(&container, Some(options.build()));
        Self::read(Box::pin(pieces), log, mark, conditions, true, start)
    }

    fn read(
        mut pieces: Pieces,
        log: &Path,
        mark: &str,
        conditions: &[Condition],
        again: bool,
        start: Option<Stamp>,
    ) -> Result<(Self, SinceStart), Refusal> {
        let cannot = |error: std::io::Error| {
            Refusal::Answered(format!(
                "its log {} cannot be written: {error}",
                log.display()
            ))
        };
        let (mut file, since) = SinceStart::mark(log, mark).map_err(cannot)?;
        let waited_for = conditions.iter().filter_map(|condition| match condition {
            Condition::Printed {
                stream,
                message,
                times,
            } => Some(WaitedFor {
                stream: *stream,
                message: message.clone(),
                // What is printed while a volume is set up is not printed again.
                times: if again { (*times).min(1) } else { *times },
                tails: [Vec::new(), Vec::new()],
            }),
            _ => None,
        });
        let seen = Arc::new(Mutex::new(Seen {
            waited_for: waited_for.collect(),
            last: Instant::now(),
        }));
        let (changed, printed) = watch::channel(0);
        let output = Self {
            seen: Arc::clone(&seen),
            printed,
        };
        Spawner::here().spawn(async move {
            while let Some(Ok(piece)) = pieces.next().await {
                let (from, message) = match &piece {
                    LogOutput::StdErr { message } => (Stream::Err, message),
                    LogOutput::StdOut { message }
                    | LogOutput::StdIn { message }
                    | LogOutput::Console { message } => (Stream::Out, message),
                };
                let Some(message) = stamp::since(message, start) else {
                    continue;
                };
                // A log that cannot be written must not keep the container from getting
                // ready.
                let _ = file.write_all(message);
                let mut seen = lock(&seen);
                seen.last = Instant::now();
                for waited_for in &mut seen.waited_for {
                    waited_for.feed(from, message);
                }
                drop(seen);
                changed.send_modify(|pieces| *pieces += 1);
            }
        });
        Ok((output, since))
    }

    pub(super) fn progress(&self) -> Progress {
        let seen = lock(&self.seen);
        let missing = seen.waited_for.iter().filter(|one| one.times > 0).count();
        Progress {
            met: seen.waited_for.len() - missing,
            missing,
            quiet: seen.last.elapsed(),
        }
    }

    /// Whether the message with this number was printed as often as it is waited for.
    pub(super) fn has(&self, number: usize) -> bool {
        let seen = lock(&self.seen);
        seen.waited_for.get(number).is_none_or(|one| one.times == 0)
    }

    /// Waits until more was printed, or a time is over.
    pub(super) async fn changed(&mut self, limit: Duration) {
        match tokio::time::timeout(limit, self.printed.changed()).await {
            Ok(Ok(())) | Err(_) => {}
            // Nothing will be printed any more; whoever waits must not spin.
            Ok(Err(_)) => tokio::time::sleep(limit).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(message: &str, times: usize, pieces: &[(Stream, &str)]) -> usize {
        let mut one = WaitedFor {
            stream: Stream::Both,
            message: message.into(),
            times,
            tails: [Vec::new(), Vec::new()],
        };
        for (stream, piece) in pieces {
            one.feed(*stream, piece.as_bytes());
        }
        one.times
    }

    #[test]
    fn a_message_counts_however_it_is_cut() {
        use Stream::{Err, Out};
        assert_eq!(fed("ready", 1, &[(Out, "re"), (Out, "ady")]), 0);
        assert_eq!(fed("ready", 2, &[(Out, "ready rea"), (Out, "dy")]), 0);
        assert_eq!(fed("ready", 2, &[(Out, "readyready")]), 0);
        assert_eq!(fed("ready", 3, &[(Out, "ready"), (Err, "ready")]), 1);
        // The halves come from two streams.
        assert_eq!(fed("ready", 1, &[(Out, "rea"), (Err, "dy")]), 1);
        assert_eq!(fed("aa", 2, &[(Out, "aaa")]), 1);
        assert_eq!(fed("", 1, &[(Out, "x")]), 0);
    }

    #[test]
    fn only_its_own_stream_counts() {
        let mut one = WaitedFor {
            stream: Stream::Err,
            message: b"ready".to_vec(),
            times: 1,
            tails: [Vec::new(), Vec::new()],
        };
        one.feed(Stream::Out, b"ready");
        assert_eq!(one.times, 1);
        one.feed(Stream::Err, b"ready");
        assert_eq!(one.times, 0);
    }
}
