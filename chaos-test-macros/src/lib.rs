//! The attribute macros of `chaos-test`.
//!
//! Depend on `chaos-test`, which re-exports both; this crate is not meant to be used alone.
//! Each macro goes the same way: parse (`args`, `function`), validate, expand. All mistakes
//! of one item are reported at once. This crate never names anything of the library but its
//! hidden module `__private` and the type `Fixture`.

mod args;
mod attributes;
mod cases;
mod claim;
mod condition;
mod expand;
mod expand_cases;
mod fixture;
mod function;
mod given;
mod marks;
mod mistakes;
mod parameters;
mod radius;
mod source;
mod validate;

#[cfg(test)]
mod tests;

use proc_macro::TokenStream;

/// Makes a function a chaos test: an ordinary `#[test]` that runs its body as an experiment.
///
/// The function is `async fn` or `fn` and takes one parameter of type `&ChaosContext`. Each
/// other parameter is a fixture, taken by reference: `cache: &Service` sets up what the function
/// `cache` (a [`macro@chaos_fixture`]) describes and lends it to the test. A parameter that the
/// body does not mention may be written `_cache`; it still means the fixture `cache`.
///
/// ```no_run
/// # use chaos_test::prelude::*;
/// # use chaos_test::process;
/// # #[chaos_fixture]
/// # fn cache() -> chaos_test::Result<Service> { unimplemented!() }
/// # #[chaos_fixture]
/// # fn checkout() -> chaos_test::Result<Service> { unimplemented!() }
/// /// Checkout answers from its fallback while the cache is down.
/// #[chaos_test(timeout = "60s", breaks(cache), tags("fallback"))]
/// async fn checkout_survives_a_cache_outage(
///     chaos: &ChaosContext,
///     cache: &Service,
///     checkout: &Service,
/// ) -> chaos_test::Result {
///     let outage = chaos.inject(process::kill(cache)).await?;
///     // ... look at `checkout` ...
///     outage.lift().await?;
///     Ok(())
/// }
/// # fn main() {}
/// ```
///
/// The body returns `()` or a `Result<(), E>`. `#[ignore]`, `#[should_panic]` (also with
/// `expected`), `#[cfg(..)]`, lint levels and doc comments work as on any test; a second
/// `#[test]` or `#[tokio::test]` is an error. A function without `async` runs on a thread that
/// may block.
///
/// # Arguments
///
/// All are optional, in any order, each at most once.
///
/// | argument | meaning |
/// |---|---|
/// | `hypothesis = "..."` | What the test claims, in every report. Without it, the doc comment. |
/// | `breaks(cache, database)` | The only fixtures that the test may break. Each is a parameter of the function. `breaks()` means none; without the argument the test may break whatever its context made. |
/// | `environment = "staging"`, `environment("development", "staging")` | The environments that it is for. In a run for another one (`CHAOS_ENVIRONMENT`) it is skipped, visibly. Without the argument it runs in any, and what that forbids is refused. |
/// | `blast_radius(services <= 1, duration <= 30s)` | How much may be broken at once, how badly and for how long; see below. |
/// | `expects(error_rate <= 1%, recovery <= 5s)` | The measurable half of the hypothesis; see below. |
/// | `abort_if(checkout.error_rate > 5% for 10s)` | Ends the test at once when a condition comes true; see below. |
/// | `known_gap = "SHOP-12"` | The hypothesis is known not to hold. A deviation is reported as a known gap and does not fail; once it holds, the test fails, so that the argument goes. Anything else fails as ever. |
/// | `must_fail_when(env("RETRY" = "off") => "error rate")` | Negative controls; see below. |
/// | `timeout = "60s"` | How long the body may take: a number and a unit (`ms`, `s`, `min`, `h`), or several (`"1min 30s"`). More than zero. |
/// | `requires(docker, netadmin, root, program("redis-server"), env("NAME"))` | What the machine must have. Where something is missing the test is skipped, visibly. |
/// | `leases("orders-db", "broker")` | Targets that it shares with other tests. No two tests of this user on this machine that name the same target run at the same time, in whatever process; the others run beside it. |
/// | `exclusive` | No other chaos test of this user on this machine runs at the same time: for a test that measures, or that burns the processor. |
/// | `tags("network", "slow")` | Words to select the test by: letters, digits, `_`, `-` and `.`. Not `and`, `or` and `not`. |
/// | `seed = 0x5eed` | The seed of everything drawn by chance: an unsigned 64-bit integer. |
/// | `crate = "path"` | Where `chaos-test` is to be found when it is not `::chaos_test`. |
///
/// `runtime` is reserved: it is an error in this version.
///
/// # Cases and values
///
/// A parameter that is marked `#[case]` takes an argument of each `#[case(..)]` or
/// `#[case::name(..)]` above the function, in order; one that is marked `#[values(..)]` takes one
/// value after the other. Both are taken by value, of any type but a borrowed one; one that a
/// fixture is given, too (`#[with(size)]`), is `Clone`. Each case with each of the values is a test
/// of its own, in a module that is called like the function.
///
/// ```no_run
/// # use std::time::Duration;
/// # use chaos_test::prelude::*;
/// # use chaos_test::link;
/// # #[chaos_fixture]
/// # fn database() -> chaos_test::Result<Service> { unimplemented!() }
/// /// Orders tolerate a slow database.
/// #[chaos_test(breaks(database))]
/// #[case::light(ms(50))]
/// /// Heavy is rare.
/// #[case::heavy(ms(500))]
/// async fn orders_tolerate_a_slow_database(
///     chaos: &ChaosContext,
///     database: &Service,
///     #[case] latency: Duration,
///     #[values(1, 10)] clients: usize,
/// ) -> chaos_test::Result {
///     let _slow = chaos.inject(link::latency(database, latency)).await?;
///     // ... so many clients ask ...
///     Ok(())
/// }
/// # fn main() {}
/// ```
///
/// This is four tests: `orders_tolerate_a_slow_database::light::clients_1`, and so on. A case
/// without a name is called `case_1`, by its place. A comment and `#[ignore]` between two cases
/// belong to the case below; the comment joins the hypothesis. All else holds for each case.
///
/// # What fixtures are given
///
/// | mark | meaning |
/// |---|---|
/// | `#[with(32)] cache: &Cache` | Replaces the values of the fixture that have a default, in their order. Cases, values and defaults among the parameters may be named there, also as in `format!("{size}")`; the fixture gets a clone, because the body gets the value itself. The same fixture with other values is another one. |
/// | `#[from(other_crate::cache)] db: &Cache` | The fixture is described by that function; here it is called `db`. |
/// | `cache: Option<&Cache>` | `None` where the fixture's set-up skips; a failure stays one. |
///
/// # Claims
///
/// `expects` says in the head of the test what its body shows. Each claim is held against all that
/// the body judged of that metric with a limit to the same side, and the worst of it must keep to the
/// claim. One that the body never judged fails the test.
///
/// ```no_run
/// # use chaos_test::prelude::*;
/// /// Checkout answers from its fallback while the cache is down, and is back within five seconds.
/// #[chaos_test(expects(error_rate <= 0%, checkout.p95 <= 250ms, recovery <= 5s, lost <= 1%))]
/// async fn checkout_survives_a_cache_outage(chaos: &ChaosContext) -> chaos_test::Result {
///     // ... `.expect(error_rate().at_most(..))`, `recovers_to(..)`, `consistency(..)` ...
///     Ok(())
/// }
/// # fn main() {}
/// ```
///
/// A claim is `[source.]metric`, `<=` or `>=`, and a limit: `error_rate` and `availability` with a share;
/// `p50`, `p99.9`, `max` and `recovery` with a duration; `throughput` and `value` with a number; `lost`,
/// `duplicated`, `changed`, `out_of_order` and `unexpected` records with a number or a share. The source is a
/// monitor, the service that it asks, or the name of records.
///
/// # Abort conditions
///
/// `abort_if` takes one or more conditions, separated by commas. From the beginning of the body on
/// they are watched, at the pace of the test's monitors. When one comes true everything is put
/// back at once, the body ends at its next await, and the verdict is "aborted".
///
/// ```no_run
/// # use chaos_test::prelude::*;
/// /// Orders keep flowing while the cache is slow.
/// #[chaos_test(abort_if(
///     checkout.error_rate > 5% for 10s,
///     checkout.p99 > 5s for 1m,
///     availability < 95%,
///     failed_services > 2,
///     lost > 0,
/// ))]
/// async fn orders_keep_flowing(chaos: &ChaosContext) -> chaos_test::Result {
///     // ... monitors of the service `checkout`, and one named `lost` that returns a number ...
///     Ok(())
/// }
/// # fn main() {}
/// ```
///
/// - A condition is `[source.]metric`, one of `>`, `>=`, `<` and `<=`, a limit, and perhaps
///   `for` a duration.
/// - The source is the name of a monitor or of the service that monitors ask; in quotes where it is
///   no Rust word: `"checkout tcp".error_rate`. Without it all monitors count together.
/// - `error_rate` and `availability` are compared with a share (`5%`); `p50`, `p99.9` and `max`, which
///   are latencies, with a duration (`250ms`, `5s`, `1min`); `throughput` with a number per
///   second; `value`, the number that a probe returns, and `failed_services`, those that died and
///   nobody asked to, with a plain number. The bare name of a monitor means its `value`.
/// - Rates and latencies are taken over the last so much time as `for` says, or one second, once that
///   has passed. A `value` and `failed_services` have to stay beyond the limit for so long, or come
///   true at once.
/// - A condition that never has anything to watch fails the test.
///
/// # Blast radius
///
/// `blast_radius` limits how much may be broken at once. It counts all faults that are in force,
/// nested and combined ones together; what goes beyond it is refused before anything is touched.
///
/// ```no_run
/// # use chaos_test::prelude::*;
/// /// Orders keep flowing while one service after the other is slow.
/// #[chaos_test(blast_radius(
///     services <= 1,
///     instances <= 0,
///     groups <= 1,
///     connections <= 10%,
///     duration <= 30s,
///     risk <= low,
/// ))]
/// async fn orders_keep_flowing(chaos: &ChaosContext) -> chaos_test::Result {
///     // ...
///     Ok(())
/// }
/// # fn main() {}
/// ```
///
/// | limit | counts |
/// |---|---|
/// | `services` | services with a fault in force, on themselves or on one of their links; one at least |
/// | `instances` | processes, containers and targets of faults of your own that are broken themselves: a fault on a link breaks none |
/// | `groups` | groups (`ChaosContext::group`) of which a service has a fault in force |
/// | `connections` | the share of a target's connections that may be hit; shares of faults on the same target add up |
/// | `duration` | how long each fault may be in force. A longer `.lasting(..)` is refused; a fault without it is lifted when this time is over, and the test fails |
/// | `risk` | the class of each fault: `low`, `medium` or `high` |
///
/// # Negative controls
///
/// A test that cannot fail proves nothing. `must_fail_when` runs the test once more, before itself
/// and in a process of its own, with an environment variable that weakens what it tests: a service
/// of a fixture inherits it. That run must deviate; where a reason follows after `=>`, the message
/// of the deviation must contain it. If it holds, or deviates for another reason, or before anything
/// was broken, the test fails. Being aborted and taking too long count as deviations. Several entries
/// are several controls.
///
/// ```no_run
/// # use chaos_test::prelude::*;
/// /// Checkout answers from its fallback while the cache is down.
/// #[chaos_test(must_fail_when(env("FALLBACK" = "off") => "error rate"))]
/// async fn checkout_survives_a_cache_outage(chaos: &ChaosContext) -> chaos_test::Result {
///     // ...
///     Ok(())
/// }
/// # fn main() {}
/// ```
///
/// The control's own report is that of a test called `checkout_survives_a_cache_outage
/// [FALLBACK=off]`.
///
/// # Tests that share a target
///
/// ```no_run
/// # use chaos_test::prelude::*;
/// /// Orders survive that the staging database is slow.
/// #[chaos_test(leases("orders-db", "broker"))]
/// async fn orders_tolerate_a_slow_database(chaos: &ChaosContext) -> chaos_test::Result {
///     // ... nobody else who names "orders-db" or "broker" breaks anything now ...
///     Ok(())
/// }
///
/// /// Prices are computed within ten milliseconds while a cache is cold.
/// #[chaos_test(exclusive)]
/// async fn prices_are_quick(chaos: &ChaosContext) -> chaos_test::Result {
///     // ... no other chaos test takes processor time now ...
///     Ok(())
/// }
/// # fn main() {}
/// ```
///
/// A test waits before anything is set up for it, so that no wait counts against its `timeout`.
/// From two seconds on the wait is shown on standard error: for what, and who has it. Leases are
/// free once everything is put back, and at once where the process is killed. `ChaosContext::lease`
/// takes a name that is known only while the test runs.
///
/// # Errors
///
/// Every mistake in the arguments and in the signature is a compile error on the word that is
/// wrong. The function then stays as a plain function, so that editors keep working in it.
#[proc_macro_attribute]
pub fn chaos_test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::chaos_test(arguments.into(), item.into()).into()
}

/// Makes a function a fixture: something that tests, and other fixtures, take as a parameter.
///
/// The function is `async fn` or `fn`. It takes at most one `&ChaosContext`, and other fixtures
/// by reference. It returns the value, or a `Result` of it: any type whose last path segment is
/// `Result`, such as `chaos_test::Result<Service>` or `std::io::Result<Client>`.
///
/// ```no_run
/// # use chaos_test::prelude::*;
/// # #[chaos_fixture]
/// # fn cache() -> chaos_test::Result<Service> { unimplemented!() }
/// /// A checkout service that talks to the cache.
/// #[chaos_fixture]
/// async fn checkout(chaos: &ChaosContext, cache: &Service) -> chaos_test::Result<Service> {
///     let program = Program::cargo_bin("checkout").env("CACHE", cache.address(6379));
///     Ok(chaos.process("checkout", program).await?)
/// }
/// # fn main() {}
/// ```
///
/// The value is shared by everything that takes the fixture, so it is an owned type that is
/// `Send + Sync + 'static`: no references and no `impl Trait`. Fixtures are torn down in the
/// reverse of the order in which they were set up.
///
/// The attribute turns the function into one without parameters that returns a description
/// (`Fixture<T>`), which makes fixtures importable with a plain `use`, also from other crates.
///
/// A parameter with a default is a value that is the fixture's own: any type that is `Debug`, by
/// which two values are told apart, and `Send + 'static`. Tests and other fixtures replace such
/// values by `#[with(..)]`, in their order. Then the function returns `Fixture<T, (Option<u32>,)>`,
/// with one `Option` for each.
///
/// ```no_run
/// # use chaos_test::prelude::*;
/// #[chaos_fixture]
/// async fn shop(chaos: &ChaosContext, #[default(16)] entries: u32) -> chaos_test::Result<Service> {
///     let program = Program::cargo_bin("shop").env("ENTRIES", entries);
///     Ok(chaos.process("shop", program).await?)
/// }
///
/// #[chaos_test(breaks(shop))]
/// async fn a_small_shop(chaos: &ChaosContext, #[with(1)] shop: &Service) -> chaos_test::Result {
///     // ...
///     Ok(())
/// }
/// # fn main() {}
/// ```
///
/// # Arguments
///
/// | argument | meaning |
/// |---|---|
/// | `scope = "binary"` | Who shares the value: one `"test"` with its other fixtures (the default), all tests of one `"module"`, all of one `"binary"`, or all of a `"run"`. |
/// | `crate = "path"` | Where `chaos-test` is to be found when it is not `::chaos_test`. |
///
/// # Scopes
///
/// A fixture with the scope `"module"` or `"binary"` is set up for the first test that needs it,
/// and shared by the others of that module (the one that the *test* is in) or of that process. It
/// is torn down after the last test of the module, or when the process ends, in the reverse of
/// the order in which such fixtures were ready. Under nextest each test has a process of its own,
/// so both scopes are the same as `"test"` there.
///
/// One with the scope `"run"` is shared by all processes of one `cargo test` or nextest run. A process
/// of its own sets it up for the first test that needs it, keeps it, and puts everything back once the
/// run has ended. Its value goes from process to process: its type is `serde::Serialize` and
/// `serde::Deserialize`, as a `Service` and an `Address` are, and it has no `#[default(..)]`.
///
/// Tests use it side by side. One that names it in `breaks(..)` has it for itself, and waits for
/// that before its set-up; the wait does not count against its `timeout`. A fixture that is shared
/// only makes things: a monitor, a fault or a lease belongs to a test, and is an error in it. It
/// takes fixtures of its own scope or a broader one. Its containers are in a private network of
/// their own, and do not count against `CHAOS_MAX_CONTAINERS`.
///
/// # Errors
///
/// Every mistake in the arguments and in the signature is a compile error on the word that is
/// wrong. The function then stays as a plain function, so that editors keep working in it.
/// Fixtures that need each other in a circle, or one that would end before another that needs it,
/// fail the test before anything is set up; the message names the way from one to the other.
#[proc_macro_attribute]
pub fn chaos_fixture(arguments: TokenStream, item: TokenStream) -> TokenStream {
    fixture::chaos_fixture(arguments.into(), item.into()).into()
}
