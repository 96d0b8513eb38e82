//! One client's own way to a service.

use std::sync::Arc;

#[cfg(feature = "containers")]
use crate::error::Error;
use crate::fault::link::Links;
use crate::model::target::{Breakable, Target};
#[cfg(feature = "containers")]
use crate::run::inner::Inner;
use crate::system::proxy;

use super::Address;
#[cfg(feature = "containers")]
use super::for_containers;

/// One client's own way to a service; see [`Service::link`](crate::Service::link).
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service, shop: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::prelude::*;
/// use chaos_test::link;
/// let way = cache.link("shop").await?; // whoever is given `way.address()` goes this way
/// let cut = chaos.inject(link::down(&way)).await?; // nobody else notices
/// cut.lift().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Link {
    pub(super) service: Arc<str>,
    pub(super) link: proxy::Link,
    #[cfg(feature = "containers")]
    pub(super) inner: Arc<Inner>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("name", &self.link.name())
            .field("address", &self.link.address())
            .finish_non_exhaustive()
    }
}

impl Link {
    /// Its name, for example `checkout->cache:6379`.
    ///
    /// See [`Service::link_to`](crate::Service::link_to) for an example.
    #[must_use]
    pub fn name(&self) -> &str {
        self.link.name()
    }

    /// The stable address that the client is to use.
    #[must_use]
    pub fn address(&self) -> Address {
        Address(self.link.address())
    }

    /// The stable address that a client in a container of the same context is to use; see
    /// [`Service::address_for_containers`](crate::Service::address_for_containers).
    ///
    /// # Errors
    ///
    /// As for [`Service::address_for_containers`](crate::Service::address_for_containers).
    #[cfg(feature = "containers")]
    pub async fn address_for_containers(&self) -> Result<Address, Error> {
        for_containers(&self.inner, &self.link).await
    }

    /// What has passed through it.
    ///
    /// See [`Traffic`](crate::Traffic) for an example.
    #[must_use]
    pub fn traffic(&self) -> crate::system::Traffic {
        self.link.traffic()
    }

    fn target(&self) -> Target {
        Target::Link {
            service: self.service.to_string(),
            link: self.link.name().to_owned(),
        }
    }
}

impl Breakable for Link {
    fn targets(&self) -> Vec<Target> {
        vec![self.target()]
    }
}

impl From<&Link> for Links {
    fn from(link: &Link) -> Self {
        Self::of(link.target())
    }
}
