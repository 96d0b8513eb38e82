//! A container that was there before the test, as a service.

use std::sync::Arc;

use super::{Existing, hold, into_service};
use crate::error::{Error, Kind};
use crate::run::inner::Inner;
use crate::run::service::Service;
use crate::run::starting::{ledger, log_of};
use crate::system::container::{Engine, ExistingContainer, Known, Which, locate};
use crate::system::supervision::Supervision;

pub(super) async fn found(
    inner: &Arc<Inner>,
    name: &str,
    described: Existing,
    which: Which,
) -> Result<Service, Error> {
    let what = which.to_string();
    if !described.start_with.is_empty() {
        let why = "its engine starts it again; leave `start_with` out";
        return Err(described.refuse(name, &what, why));
    }
    if described.log.is_some() {
        let why = "its engine has its log; leave `log` out";
        return Err(described.refuse(name, &what, why));
    }
    let engine = Engine::find().await.map_err(|why| {
        let capability = Some("docker".to_owned());
        Error::new(
            Kind::Skip { capability },
            format!("service `{name}` needs docker: {why}"),
        )
    })?;
    let first = locate(&engine, name, &which).await?;
    let id = first.id.unwrap_or_default();
    hold(inner, name, &format!("container {id}")).await?;
    // What a killed test had left of it is put back by now.
    let same = Which::Name(id);
    let container = locate(&engine, name, &same).await?;
    let supervision = described
        .supervised
        .map(|within| Supervision::new(within, Arc::downgrade(&ledger(inner))));
    let known = Known {
        service: name.to_owned(),
        engine,
        log: log_of(inner, name)?,
        ready: described.ready_check(),
        start_timeout: described.start_timeout,
        grace: described.grace,
        supervision,
        world: Arc::downgrade(&inner.world),
        kept: None,
    };
    let unit = Arc::new(ExistingContainer::new(known, &container)?);
    unit.follow_output()?;
    let called = container.name.unwrap_or_default();
    let pid = container.state.and_then(|state| state.pid);
    let pid = u32::try_from(pid.unwrap_or_default()).unwrap_or_default();
    let what = format!("container {}", called.trim_start_matches('/'));
    into_service(inner, unit, what, pid).await
}
