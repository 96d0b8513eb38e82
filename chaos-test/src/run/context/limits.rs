//! How much may be broken at once, and what counts together.

use std::collections::BTreeSet;

use crate::error::{Error, Kind};
use crate::model::blast_radius::BlastRadius;
use crate::model::event::Event;
use crate::run::group::Group;
use crate::run::service::Service;
use crate::system::Ledger;

use super::ChaosContext;

impl ChaosContext {
    /// Limits how much may be broken at once, how badly and for how long, from now on. Limits
    /// only become stricter: of several the strictest holds, that of
    /// `#[chaos_test(blast_radius(..))]` among them.
    ///
    /// What is in force already stays, and counts.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service, shop: &chaos_test::Service) -> chaos_test::Result {
    /// use chaos_test::prelude::*;
    /// use chaos_test::{BlastRadius, Risk, process};
    /// chaos.blast_radius(BlastRadius::new().services(1).duration(secs(30)).risk(Risk::Medium));
    /// let _outage = chaos.inject(process::kill(cache)).await?;
    /// let refused = chaos.inject(process::kill(shop)).await.unwrap_err();
    /// assert!(refused.is_refused());
    /// # Ok(()) }
    /// ```
    pub fn blast_radius(&self, radius: BlastRadius) {
        let radius = self.inner.taken.tighten(radius);
        self.inner.recorder.record(Event::BlastRadius { radius });
    }

    /// Services that belong together, such as those of a region: they count as one group in
    /// `blast_radius(groups <= 1)`. A service may be in several; then each of them counts.
    ///
    /// # Errors
    ///
    /// If the name is empty or taken, there is no service in it, or one that is not of this
    /// context.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, a: chaos_test::Service, b: chaos_test::Service) -> chaos_test::Result {
    /// let europe = chaos.group("region eu", [&a, &b])?;
    /// chaos.may_break(&europe);
    /// # Ok(()) }
    /// ```
    pub fn group<'a>(
        &self,
        name: &str,
        services: impl IntoIterator<Item = &'a Service>,
    ) -> Result<Group, Error> {
        self.inner.refuse_if_ended()?;
        let wrong = |why: &str| Err(Error::new(Kind::Usage, format!("group `{name}`: {why}")));
        if name.trim().is_empty() || name.contains(char::is_control) {
            return wrong("its name is one line of text, and not empty");
        }
        let services = services
            .into_iter()
            .map(|service| service.name().to_owned());
        let services: BTreeSet<String> = services.collect();
        if services.is_empty() {
            return wrong("there is no service in it");
        }
        for service in &services {
            self.inner.world.service(service)?;
        }
        let group = Group {
            name: name.into(),
            services: services.iter().cloned().collect(),
        };
        self.inner.taken.add_group(name, services)?;
        Ok(group)
    }
}
