//! Cuts links.

use crate::error::Error;
use crate::fault::{Effect, Fault};
use crate::model::event::Risk;
use crate::model::target::Target;
use crate::model::undo::Undo;
use crate::system::{Direction, ReadOnlySystem, System, Toxic};

use super::Links;

/// Cuts links; made by [`down`].
#[derive(Debug, Clone)]
pub struct Down {
    links: Links,
}

/// Cuts a link, or all links of a service: open connections are reset at once, new ones as
/// soon as they are accepted. The service itself runs on. It counts the connections that
/// it cut or refused.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::link;
/// let cut = chaos.inject(link::down(cache)).await?;
/// cut.lift().await?;
/// # Ok(()) }
/// ```
#[must_use = "a fault does nothing until it is injected"]
pub fn down(links: impl Into<Links>) -> Down {
    Down {
        links: links.into(),
    }
}

impl Fault for Down {
    fn describe(&self) -> String {
        format!("cut {}", self.links)
    }

    fn is_ours(&self) -> bool {
        true
    }

    fn targets(&self) -> Vec<Target> {
        vec![self.links.0.clone()]
    }

    fn risk(&self) -> Risk {
        Risk::Low
    }

    fn instances(&self) -> Vec<Target> {
        Vec::new()
    }

    async fn prepare(&self, system: &ReadOnlySystem) -> Result<Undo, Error> {
        self.links.prepare(system)
    }

    async fn apply(&self, system: &System) -> Result<(), Error> {
        system
            .add_toxic(&self.links.0, Toxic::Down, Direction::Both)
            .await
    }

    async fn verify(&self, system: &ReadOnlySystem) -> Result<Effect, Error> {
        Ok(Links::effect(system))
    }

    fn hits(&self, system: &ReadOnlySystem) -> Option<u64> {
        system.toxic_hits().map(|hits| hits.connections)
    }
}
