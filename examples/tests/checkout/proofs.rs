//! Each hypothesis must fail on a weakened victim, for the named reason: otherwise it proves
//! nothing. How often it is tried, and how often the sound victim is, says [`crate::proof`].

use crate::proof::hypothesis;

const ERRORS: &str = "error rate of checkout/checkout/42";

#[test]
fn a_dead_inventory() {
    hypothesis("inventory::customers_do_not_notice_a_dead_inventory")
        .fails_without("FALLBACK", ERRORS)
        .holds();
}

#[test]
fn a_slow_inventory() {
    hypothesis("inventory::a_slow_inventory_does_not_make_checkout_slow")
        .fails_without("TIMEOUT", "p95 latency of checkout/checkout/42")
        .holds();
}

#[test]
fn broken_connections() {
    hypothesis("inventory::broken_connections_do_not_slow_customers_down")
        .fails_without("BREAKER", "p50 latency of checkout/checkout/42")
        .holds();
}

#[test]
fn a_deployment_of_inventory() {
    hypothesis("inventory::a_deployment_of_inventory_costs_no_answer")
        .quick()
        .fails_without("FALLBACK", ERRORS)
        .holds();
}

#[test]
fn a_dead_cache() {
    hypothesis("cache::customers_do_not_notice_a_dead_cache")
        .fails_without("CACHE_TOLERANT", ERRORS)
        .holds();
}

#[test]
fn a_killed_worker() {
    hypothesis("worker::a_killed_worker_loses_no_job")
        .fails_without("ACK", "lost records of jobs")
        .holds();
}

#[test]
fn prices_that_stay() {
    hypothesis("own_fault::a_torn_price_list_changes_no_price")
        .quick()
        .fails_without("LAST_PRICE", "error rate of price of a teapot")
        .holds();
}

#[test]
fn real_stock() {
    hypothesis("own_probe::stock_is_real_again_after_an_outage")
        .fails_without("FALLBACK", "error rate of real stock")
        .holds();
}

#[test]
fn customers_who_do_not_wait() {
    hypothesis("in_process::customers_do_not_wait_for_a_hanging_inventory")
        .fails_without("TIMEOUT", "p95 latency of checkout/checkout/42")
        .holds();
}

#[test]
fn a_dead_inventory_without_the_macro() {
    hypothesis("without_macro::a_dead_inventory_costs_no_answer")
        .fails_without("FALLBACK", "error rate of checkout/checkout/42")
        .holds();
}
