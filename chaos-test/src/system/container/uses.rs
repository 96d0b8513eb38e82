//! What a container uses, as its engine says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use futures_util::TryStreamExt;
use testcontainers::bollard::models::ContainerStatsResponse;
use testcontainers::bollard::query_parameters::StatsOptionsBuilder;

use super::engine::Engine;
use super::unit::{ASK_LIMIT, ContainerState};
use crate::model::resource::{Found, Resource};
use crate::system::resources::total;
use crate::system::service::ContainerUnit;

/// What the engine said last, and when. An engine looks at its containers once a second and
/// answers then, so one answer serves all samples that wait for it.
#[derive(Default)]
pub(crate) struct LastLook(tokio::sync::Mutex<Option<(Instant, Arc<ContainerStatsResponse>)>>);

impl LastLook {
    /// Looks at what a container uses.
    ///
    /// # Errors
    ///
    /// Why nothing can be said of it now: it does not run, or the engine does not tell.
    pub(crate) async fn uses(
        &self,
        engine: &Engine,
        container: &dyn ContainerUnit,
        what: Resource,
    ) -> Result<Found, String> {
        let (at, stats) = self.look(engine, container.container()).await?;
        // One that does not run uses nothing, which must not look like a number.
        let tasks = stats.pids_stats.as_ref().and_then(|pids| pids.current);
        if tasks.unwrap_or_default() == 0 {
            let state = container.state().await;
            match state.map_err(|error| error.to_string())? {
                ContainerState::Running | ContainerState::Paused => {}
                state => return Err(format!("it is {state}")),
            }
        }
        let start = container.starts().to_string();
        found(&stats, what, at, start)
            .ok_or_else(|| format!("the container engine does not tell its {}", what.name()))
    }

    /// What the engine says from now on, or has said since this was called.
    async fn look(
        &self,
        engine: &Engine,
        container: &str,
    ) -> Result<(Instant, Arc<ContainerStatsResponse>), String> {
        let called = Instant::now();
        let mut last = self.0.lock().await;
        if let Some((at, stats)) = &*last
            && *at >= called
        {
            return Ok((*at, Arc::clone(stats)));
        }
        // Without `one-shot` the engine waits for a second look, to compare the two itself.
        let options = StatsOptionsBuilder::new().stream(false).one_shot(true);
        let stats = engine.docker().stats(container, Some(options.build()));
        let mut stats = std::pin::pin!(stats);
        let what_for = "looking at what the container uses";
        let asked = engine.ask(what_for, ASK_LIMIT, stats.try_next());
        let stats = asked.await.map_err(|refusal| refusal.to_string())?;
        let stats = stats.ok_or("the container engine said nothing of what it uses")?;
        let look = (Instant::now(), Arc::new(stats));
        *last = Some(look.clone());
        Ok(look)
    }
}

fn found(
    stats: &ContainerStatsResponse,
    what: Resource,
    at: Instant,
    start: String,
) -> Option<Found> {
    let rate =
        |amount: u64, unit: f64| total(start.clone(), at, amount as f64 / unit, BTreeMap::new());
    Some(match what {
        Resource::Cpu => {
            let used = stats.cpu_stats.as_ref()?.cpu_usage.as_ref()?.total_usage?;
            rate(used, 1e9)
        }
        Resource::Memory => {
            let memory = stats.memory_stats.as_ref()?;
            // Files that are cached and not in use are given back when somebody needs the memory.
            let cached = |name| memory.stats.as_ref().and_then(|stats| stats.get(name));
            let cached = cached("inactive_file").or_else(|| cached("total_inactive_file"));
            let used = memory
                .usage?
                .saturating_sub(cached.copied().unwrap_or_default());
            Found::Level(used as f64)
        }
        Resource::Threads => Found::Level(stats.pids_stats.as_ref()?.current? as f64),
        Resource::DiskRead => disk(stats, "read").map_or(Found::Nothing, |read| rate(read, 1.0)),
        Resource::DiskWritten => {
            disk(stats, "write").map_or(Found::Nothing, |written| rate(written, 1.0))
        }
        Resource::Received | Resource::Sent => {
            let networks = stats.networks.as_ref()?.values();
            let bytes = networks.map(|network| match what {
                Resource::Received => network.rx_bytes,
                _ => network.tx_bytes,
            });
            rate(bytes.sum::<Option<u64>>()?, 1.0)
        }
        _ => return None,
    })
}

/// The bytes of one kind of operation; none where the engine counts nothing.
fn disk(stats: &ContainerStatsResponse, operation: &str) -> Option<u64> {
    let all = stats
        .blkio_stats
        .as_ref()?
        .io_service_bytes_recursive
        .as_ref()?;
    let of = |name: &Option<String>| {
        let name = name.as_deref().unwrap_or_default();
        name.eq_ignore_ascii_case(operation)
    };
    let bytes: Vec<u64> = all
        .iter()
        .filter(|entry| of(&entry.op))
        .filter_map(|entry| entry.value)
        .collect();
    (!bytes.is_empty()).then(|| bytes.iter().sum())
}
