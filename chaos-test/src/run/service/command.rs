//! Programs that ask a service something, and know its ports.

use std::ffi::OsStr;

use crate::probe::CommandProbe;
use crate::run::program::placeholders::Filled;

use super::Service;

impl Service {
    /// A probe that runs a program for each sample; see [`CommandProbe`].
    ///
    /// `{port}` and `{port:6379}` in its arguments stand for the ports of the service's links on
    /// 127.0.0.1, which stay the same while the service is down; so faults on links are felt.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
    /// use chaos_test::prelude::*;
    /// let ping = cache.command(["redis-cli", "-p", "{port}", "ping"]).stdout_contains("PONG");
    /// let pings = chaos.monitor(ping.every(ms(200)).sample_timeout(secs(1)));
    /// pings.baseline(secs(2)).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    ///
    /// If no program is named, or a placeholder stands for none of its ports.
    #[must_use]
    #[track_caller]
    pub fn command<S: AsRef<OsStr>>(&self, argv: impl IntoIterator<Item = S>) -> CommandProbe {
        let ports: Vec<(u16, u16)> = self
            .ports
            .iter()
            .map(|(known, link)| (*known, link.address().port()))
            .collect();
        let filled = Filled {
            ports: &ports,
            scratch: None,
        };
        let mut words = Vec::new();
        // Not in a closure, whose panic would not name the caller.
        for arg in argv {
            match filled.fill(arg.as_ref()) {
                Ok(word) => words.push(word),
                Err(why) => panic!("service `{}`: {why}", self.name),
            }
        }
        crate::probe::command(words).of_service(&self.name)
    }
}
