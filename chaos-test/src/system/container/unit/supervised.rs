//! Has a container run again that does not: by the engine's own restart policy, where it is to
//! do that, else by us.

use super::{ContainerState, ServiceContainer};
use crate::error::Error;
use crate::model::event::RestartedBy;
use crate::system::container::engine::Refusal;
use crate::system::container::output::Output;
use crate::system::container::stamp::Stamp;
use crate::system::container::{acts, advice};
use crate::system::lock::lock;
use crate::system::service::Unit;
use crate::system::supervision::{self, Successor, Supervision};

impl ServiceContainer {
    /// Has it run and be ready, whatever state it is in.
    pub(super) async fn run_again(&self) -> Result<(), Error> {
        let _change = self.changing.lock().await;
        match self.state().await? {
            ContainerState::Running if !self.awaits_supervisor() => {
                // It has survived what was to end it, if anything was.
                self.expect_end(false);
                // Somebody else may have started it again, with other ports: such as another
                // process's test that a keeper's container was broken by.
                let taken_in = self.take_in_what_runs().await?;
                let has_ended = self.exit().is_some_and(|exit| exit.borrow().is_some());
                if taken_in.is_none() && has_ended {
                    // What it has printed meanwhile is lost, so only a check of the user is asked.
                    lock(&self.live).unready = None;
                    self.watch();
                }
                // It may have left its network for a while, which changes them, too.
                self.find_ports().await?;
                return self.still_ready().await;
            }
            ContainerState::Paused => {
                acts::unpause(&self.engine, &self.made.container)
                    .await
                    .map_err(|why| self.refused(&why))?;
                return self.still_ready().await;
            }
            ContainerState::Gone => {
                return Err(self
                    .error(format!("has lost its container {}", self.made.container))
                    .help(advice::REMOVED));
            }
            ContainerState::Running
            | ContainerState::Restarting
            | ContainerState::Created
            | ContainerState::Exited => {}
        }
        if supervision::wait(self).await? {
            return Ok(());
        }
        self.boot(false).await?;
        if let Some(supervision) = &self.supervision {
            let successor = self.successor().await?;
            supervision.is_back(self.name(), RestartedBy::Undo, successor);
        }
        Ok(())
    }

    /// Whether it has died, and nobody has brought it back yet. One that a signal did not end
    /// has not died.
    fn awaits_supervisor(&self) -> bool {
        let Some(supervision) = &self.supervision else {
            return false;
        };
        let survived = {
            let live = lock(&self.live);
            let exit = live.killed.as_ref().and_then(|(_, exit)| exit.clone());
            exit.is_some_and(|exit| exit.borrow().is_none())
        };
        if survived {
            supervision.calm();
        }
        supervision.awaited_until().is_some()
    }

    /// Takes in another start than the one that has died: its ports, its end, what it prints.
    pub(super) async fn take_in_what_runs(&self) -> Result<Option<Successor>, Error> {
        let _one = self.taking_in.lock().await;
        let found = match self.inspect().await {
            Ok(found) => found,
            // Busy with what we wait for.
            Err(Refusal::Silent(_)) => return Ok(None),
            Err(why) => return Err(self.refused(&why)),
        };
        let start = acts::start_of(&found);
        if acts::state_of(&found) != ContainerState::Running || start.is_none() {
            return Ok(None);
        }
        let (killed, known) = {
            let live = lock(&self.live);
            let killed = live.killed.as_ref().map(|(start, _)| start.clone());
            (killed, live.start.clone())
        };
        if start == killed {
            return Ok(None);
        }
        if start != known {
            self.starts
                .fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let mark = format!(
                "--- chaos-test: `{}` was started again by its engine, or by another process ---",
                self.name()
            );
            let (output, since) = Output::follow(
                &self.engine,
                &self.made.container,
                &self.made.log,
                &mark,
                &self.recipe.conditions,
                Stamp::first_of_start(&found),
            )
            .map_err(|why| self.refused(&why))?;
            {
                let mut live = lock(&self.live);
                live.since_start = since;
                live.unready = Some(output);
            }
            self.watch();
            self.find_ports().await?;
        }
        let pid = found.state.and_then(|state| state.pid).unwrap_or_default();
        Ok(Some(Successor::in_container(pid)))
    }

    async fn successor(&self) -> Result<Successor, Error> {
        let found = self.inspect().await.map_err(|why| self.refused(&why))?;
        let pid = found.state.and_then(|state| state.pid).unwrap_or_default();
        Ok(Successor::in_container(pid))
    }

    /// Whether what a fault has killed is gone, and its engine has started it again.
    pub(super) async fn replaced(&self) -> Result<bool, Error> {
        let killed = lock(&self.live)
            .killed
            .as_ref()
            .map(|(start, _)| start.clone());
        if killed.is_none() || self.supervision.is_none() {
            return Ok(false);
        }
        let found = self.inspect().await.map_err(|why| self.refused(&why))?;
        let runs = acts::state_of(&found) == ContainerState::Running;
        Ok(runs && acts::start_of(&found) != killed)
    }

    /// It has ended: whether somebody is to bring it back.
    pub(super) fn died(supervision: &Supervision, expected: bool) -> bool {
        if !expected {
            supervision.died();
        }
        supervision.awaited_until().is_some()
    }
}
