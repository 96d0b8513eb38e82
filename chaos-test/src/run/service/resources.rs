//! What a service uses, as probes.

use crate::model::resource::Resource;
use crate::probe::ResourceProbe;

use super::Service;

impl Service {
    /// How many cores it uses: 1 is one core, fully used; see [`ResourceProbe`].
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
    /// use chaos_test::MAX;
    /// use chaos_test::prelude::*;
    /// let cpu = chaos.monitor(cache.cpu().every(ms(100)));
    /// let memory = chaos.monitor(cache.memory().every(ms(100)));
    /// cpu.over(secs(5)).await?.expect(value().at(P95).at_most(0.5)).check()?;
    /// memory.over(secs(5)).await?.expect(value().at(MAX).at_most(64e6)).check()?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn cpu(&self) -> ResourceProbe {
        self.uses(Resource::Cpu)
    }

    /// Its memory in bytes; see [`ResourceProbe`].
    #[must_use]
    pub fn memory(&self) -> ResourceProbe {
        self.uses(Resource::Memory)
    }

    /// Bytes per second that it reads from disks; see [`ResourceProbe`].
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, database: &chaos_test::Service) -> chaos_test::Result {
    /// use chaos_test::prelude::*;
    /// let read = chaos.monitor(database.disk_read().every(ms(500)));
    /// let written = chaos.monitor(database.disk_written().every(ms(500)));
    /// written.over(secs(5)).await?.expect(value().at(P95).at_most(20e6)).check()?; // 20 MB a second
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn disk_read(&self) -> ResourceProbe {
        self.uses(Resource::DiskRead)
    }

    /// Bytes per second that it writes to disks; see [`ResourceProbe`].
    ///
    /// See [`disk_read`](Self::disk_read) for an example.
    #[must_use]
    pub fn disk_written(&self) -> ResourceProbe {
        self.uses(Resource::DiskWritten)
    }

    /// Bytes per second that it receives, where it is a container; see [`ResourceProbe`]. What
    /// passes through its links is in [`Link::traffic`](crate::Link::traffic).
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, database: &chaos_test::Service) -> chaos_test::Result {
    /// use chaos_test::prelude::*;
    /// let received = chaos.monitor(database.received().every(secs(1)));
    /// let sent = chaos.monitor(database.sent().every(secs(1)));
    /// sent.over(secs(10)).await?.expect(value().at_most(5e6)).check()?; // 5 MB a second
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn received(&self) -> ResourceProbe {
        self.uses(Resource::Received)
    }

    /// Bytes per second that it sends, where it is a container; see [`ResourceProbe`].
    ///
    /// See [`received`](Self::received) for an example.
    #[must_use]
    pub fn sent(&self) -> ResourceProbe {
        self.uses(Resource::Sent)
    }

    /// Its open descriptors, where it is a program; see [`ResourceProbe`].
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, shop: &chaos_test::Service) -> chaos_test::Result {
    /// use chaos_test::prelude::*;
    /// use chaos_test::MAX;
    /// let files = chaos.monitor(shop.open_files().every(ms(100)));
    /// let threads = chaos.monitor(shop.threads().every(ms(100)));
    /// files.over(secs(5)).await?.expect(value().at(MAX).at_most(200.0)).check()?; // no leak
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn open_files(&self) -> ResourceProbe {
        self.uses(Resource::OpenFiles)
    }

    /// Its threads; see [`ResourceProbe`].
    ///
    /// See [`open_files`](Self::open_files) for an example.
    #[must_use]
    pub fn threads(&self) -> ResourceProbe {
        self.uses(Resource::Threads)
    }

    fn uses(&self, what: Resource) -> ResourceProbe {
        let unit = self.inner.world.service(&self.name);
        let unit = unit.map_err(|error| error.to_string());
        ResourceProbe::of_service(&self.name, unit, what)
    }
}
