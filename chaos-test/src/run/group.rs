//! Groups of services, which count as one in the blast radius.

use std::sync::Arc;

use crate::model::target::{Breakable, Target};

/// Services that belong together, such as those of a region; made by
/// [`ChaosContext::group`](crate::ChaosContext::group).
///
/// `blast_radius(groups <= 1)` keeps all faults within one of them. Where it is named in
/// `breaks(..)`, all its services may be broken.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service, shop: &chaos_test::Service) -> chaos_test::Result {
/// let europe = chaos.group("region eu", [cache, shop])?;
/// chaos.may_break(&europe);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Group {
    pub(super) name: Arc<str>,
    pub(super) services: Arc<[String]>,
}

impl Group {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names of its services, in order.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service, shop: &chaos_test::Service) -> chaos_test::Result {
    /// let europe = chaos.group("region eu", [cache, shop])?;
    /// println!("{}: {}", europe.name(), europe.services().collect::<Vec<_>>().join(", "));
    /// # Ok(()) }
    /// ```
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.services.iter().map(String::as_str)
    }
}

impl Breakable for Group {
    fn targets(&self) -> Vec<Target> {
        let services = self.services.iter();
        services.map(|name| Target::Service(name.clone())).collect()
    }
}
