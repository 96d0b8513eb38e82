//! Services of each kind, and places that are reserved for them.

use std::sync::Arc;

use tokio::net::TcpListener;

use crate::error::Error;
#[cfg(feature = "containers")]
use crate::run::container::{self, IntoContainer};
use crate::run::in_process::{InProcess, Served};
use crate::run::program::Program;
use crate::run::reserving::{self, Ports, Reserved, Slot};
use crate::run::service::Service;
use crate::run::{engine, starting};

use super::ChaosContext;

impl ChaosContext {
    /// Starts a program as a service and waits until it is ready. It ends with the context.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext) -> chaos_test::Result {
    /// use chaos_test::{Program, log_line};
    /// let redis = Program::new("redis-server")
    ///     .listens(6379)
    ///     .args(["--port", "{port}", "--dir", "{dir}", "--save", ""])
    ///     .ready(log_line("Ready to accept connections"));
    /// let cache = chaos.process("cache", redis).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If the name is taken, a port was reserved that it does not declare, the program is
    /// missing, exits at once or does not become
    /// ready (the message holds its last lines), or a fixed port is in use. Whatever was
    /// started is ended again.
    pub async fn process(&self, name: impl Into<Slot>, program: Program) -> Result<Service, Error> {
        let (inner, slot) = (Arc::clone(&self.inner), name.into());
        engine::run_on(engine::own(), starting::process(inner, slot, program)).await
    }

    /// Takes a name and stable addresses for a service before it starts, for one that tells
    /// its clients where they find it: a broker, the members of a cluster, a sentinel. Told
    /// the address of its link, its clients come through the link, and faults on links meet
    /// them.
    ///
    /// A program that declares no port has the reserved ones.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext) -> chaos_test::Result {
    /// use chaos_test::Program;
    /// let broker = chaos.reserve("broker", 9092).await?;
    /// let program = Program::new("broker").env("ADVERTISED", broker.address(9092));
    /// let broker = chaos.process(broker, program).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If the name is taken, no port is named, or one twice, or it is 0.
    pub async fn reserve(
        &self,
        name: impl Into<String>,
        ports: impl Into<Ports>,
    ) -> Result<Reserved, Error> {
        let (inner, name, ports) = (Arc::clone(&self.inner), name.into(), ports.into());
        engine::run_on(engine::own(), reserving::reserve(inner, name, ports)).await
    }

    /// Starts code of the test's own process as a service, and waits until it is ready: no
    /// program is built and none is started, and it can share state with the test. Awaiting
    /// what this returns starts it; see [`InProcess`] for how it runs and what the faults on
    /// processes do to it. It ends with the context.
    ///
    /// The closure is called for each start, with a listener on the same port of 127.0.0.1.
    /// It may return nothing or any `Result` whose error can be shown; that it returns at all
    /// is the service's death.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
    /// # mod axum { pub async fn serve(_: tokio::net::TcpListener, _: String) -> std::io::Result<()> { Ok(()) } }
    /// # fn app(cache: chaos_test::Address) -> String { cache.to_string() }
    /// let cache = cache.address(6379);
    /// let orders = chaos
    ///     .in_process("orders", async move |listener| axum::serve(listener, app(cache)).await)
    ///     .await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// When it is awaited: if the name is taken, or it ends at once or does not become ready.
    pub fn in_process<F, O>(&self, name: impl Into<Slot>, serve: F) -> InProcess
    where
        F: AsyncFn(TcpListener) -> O + Send + Sync + 'static,
        O: Served + 'static,
    {
        InProcess::new(Arc::clone(&self.inner), name.into(), serve)
    }

    /// Starts a container as a service and waits until it is ready. It is removed with the
    /// context.
    ///
    /// Anything that testcontainers can start will do: an image of `testcontainers-modules`,
    /// a `GenericImage`, one that `GenericBuildableImage` has built, or a request with
    /// `with_env_var` and the like; [`Container`](crate::Container) adds what testcontainers
    /// has no word for. The containers of a context share one private network, in which each
    /// is reached under its service's name. Its ports are published for this machine only,
    /// unless the engine is on another one.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext) -> chaos_test::Result {
    /// use chaos_test::testcontainers::{GenericImage, ImageExt, core::{IntoContainerPort, WaitFor}};
    /// let image = GenericImage::new("redis", "7")
    ///     .with_exposed_port(6379.tcp())
    ///     .with_wait_for(WaitFor::message_on_stdout("Ready to accept connections"))
    ///     .with_cmd(["redis-server", "--save", ""]);
    /// let cache = chaos.container("cache", image).await?;
    /// println!("redis://{}", cache.address(6379));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If no engine answers ([`Error::is_skip`]: the test counts as skipped, visibly), the
    /// name is taken, the image cannot be had, or the container cannot be made, ends at once
    /// or does not become ready (the message holds its last lines). Whatever was made is
    /// removed again.
    #[cfg(feature = "containers")]
    pub async fn container<How>(
        &self,
        name: impl Into<Slot>,
        container: impl IntoContainer<How>,
    ) -> Result<Service, Error> {
        let (inner, slot) = (Arc::clone(&self.inner), name.into());
        let container = container.into_container();
        let started = container::container(inner, slot, container);
        engine::run_on(engine::own(), started).await
    }
}
