//! A probe that the library does not have.
//!
//! What to learn here: that an answer may be good for a request and still not be what was asked
//! for. Checkout answers from its fallback with 200, so a probe that looks at the status sees no
//! difference; this one reads the answer, and its number says which one it was.

use chaos_test::prelude::*;
use chaos_test::{MAX, Reading, process};

use crate::services::{checkout, inventory};

/// Whether checkout answers, and with whose stock: 1 is what inventory has counted, 0 is the
/// fallback.
#[derive(Debug, Clone)]
struct RealStock {
    http: reqwest::Client,
    url: String,
}

impl RealStock {
    fn of(checkout: &Service) -> chaos_test::Result<Self> {
        Ok(Self {
            http: reqwest::Client::builder().no_proxy().build()?,
            url: checkout.url("/checkout/42"),
        })
    }

    async fn source(&self) -> chaos_test::Result<String> {
        let answer = self.http.get(&self.url).send().await?.error_for_status()?;
        let body: serde_json::Value = serde_json::from_slice(&answer.bytes().await?)?;
        Ok(body["source"].as_str().unwrap_or_default().to_owned())
    }
}

impl Probe for RealStock {
    fn name(&self) -> String {
        "real stock".to_owned()
    }

    /// Called at the monitor's pace, also while earlier calls wait; dropped where it takes too
    /// long. It only reads.
    async fn sample(&self) -> Reading {
        match self.source().await {
            Ok(source) if source == "fallback" => Reading::Good(Some(0.0)),
            Ok(_) => Reading::Good(Some(1.0)),
            Err(error) => Reading::Bad(error.to_string()),
        }
    }
}

/// While inventory is dead every customer is answered from the fallback, and five seconds after
/// its return the stock is real again.
#[chaos_test(timeout = "60s", breaks(inventory), tags("inventory"))]
async fn stock_is_real_again_after_an_outage(
    chaos: &ChaosContext,
    inventory: &Service,
    checkout: &Service,
) -> chaos_test::Result {
    let probe = RealStock::of(checkout)?;
    let stock = chaos.monitor(probe.clone().every(ms(20)));
    stock.baseline(secs(1)).await?;

    let outage = chaos
        .during(process::kill(inventory), async |_| {
            stock
                .over(secs(1))
                .await?
                .expect(error_rate().at_most(percent(0)))
                .expect(value().at(MAX).at_most(0.0))
                .check()
        })
        .await?;

    // A probe can be asked without a monitor, too.
    chaos
        .eventually(
            "the stock is real",
            async move || matches!(probe.sample().await, Reading::Good(Some(real)) if real > 0.0),
        )
        .since(outage.lifted())
        .within(secs(5))
        .await?;
    Ok(())
}
