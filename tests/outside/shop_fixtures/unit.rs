//! A crate with a test beside its code, which takes a fixture of another crate by its path.

#[cfg(test)]
mod tests {
    use chaos_test::prelude::*;
    use chaos_test::process;

    /// A stock of seven comes back as one of seven.
    #[chaos_test(timeout = "60s", breaks(shelf))]
    async fn another_stock_is_broken(
        chaos: &ChaosContext,
        #[from(shop_fixtures::stock)]
        #[with(7)]
        shelf: &Service,
    ) -> chaos_test::Result {
        let connects = chaos.monitor(shelf.connect().every(ms(10)));
        let normal = connects.baseline(ms(200)).await?;
        let outage = chaos
            .during(process::kill(shelf), async |_| connects.over(ms(200)).await)
            .await?;
        connects.recovers_to(&normal).since(outage.lifted()).await?;
        Ok(())
    }
}
