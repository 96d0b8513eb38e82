//! What was there before the test is judged by what it is, not by what the test calls it.

use chaos_test::prelude::*;
use chaos_test::{existing, link, process};

use super::{Child, says};
use crate::existing::foreign::Server;
use crate::subjects::say;

/// Stops a Redis that it calls by a harmless name.
#[chaos_test(requires(program("redis-server")))]
#[ignore = "another test runs it as a child"]
async fn stops_what_it_calls_cache(chaos: &ChaosContext) -> chaos_test::Result {
    let address = std::env::var("VICTIM")?;
    let cache = chaos
        .existing("cache", existing::listening_on(address))
        .await?;
    chaos.may_break(&cache);
    let pings = chaos.monitor(cache.connect().every(ms(20)));
    let slow = chaos.inject(link::latency(&cache, ms(1))).await;
    say(&format!("its link: {}", slow.is_ok()));
    let stopped = chaos.inject(process::stop(&cache)).await?;
    pings.over(ms(100)).await?;
    stopped.lift().await?;
    Ok(())
}

#[test]
fn an_environment_asks_what_it_is_and_not_what_the_test_calls_it() {
    let redis = Server::start();
    let at = redis.address.to_string();
    let process = format!("redis-server@{at}");
    let child = |may_break: &str, confirm: &str| {
        let config = format!(
            "default = \"production\"\n[environment.production]\nmay_break = [\"{may_break}\"]\n\
             max_risk = \"high\"\n"
        );
        let child = Child::of("found::stops_what_it_calls_cache").config(&config);
        child.env("VICTIM", &at).env("CHAOS_CONFIRM", confirm)
    };
    // By the name that the test has chosen, nothing is permitted.
    for named in ["cache", "service:cache", "link:*"] {
        let ended = child(named, "production/cache").run(false);
        says(
            &ended,
            &[
                "its link: false",
                &format!("process `{process}` is not in `may_break`"),
                &format!("set CHAOS_CONFIRM=\"production/process:{process}\""),
            ],
        );
    }
    for named in [process.clone(), "process:redis-server@*".to_owned()] {
        let ended = child(&named, &format!("production/process:{process}")).run(false);
        // Only that nothing met the latency of its link is wrong with it, or nothing.
        says(
            &ended,
            &[
                "its link: true",
                &format!("confirmed production/process:{process}"),
            ],
        );
        assert!(!ended.output().contains("refused"), "{}", ended.output());
    }
}
