//! Each hypothesis must fail on a weakened victim, for the named reason: otherwise it
//! proves nothing.

use crate::weakened::deviates;

#[test]
fn without_a_fallback_a_dead_inventory_is_noticed() {
    deviates(
        "inventory::customers_do_not_notice_a_dead_inventory",
        "FALLBACK",
        "error rate of checkout/checkout/42",
    );
}

#[test]
fn without_time_limits_a_slow_inventory_makes_checkout_slow() {
    deviates(
        "inventory::a_slow_inventory_does_not_make_checkout_slow",
        "TIMEOUT",
        "p95 latency of checkout/checkout/42",
    );
}

#[test]
fn without_a_breaker_broken_connections_slow_customers_down() {
    deviates(
        "inventory::broken_connections_do_not_slow_customers_down",
        "BREAKER",
        "p50 latency of checkout/checkout/42",
    );
}

#[test]
fn without_a_fallback_a_deployment_is_noticed() {
    deviates(
        "inventory::a_deployment_of_inventory_costs_no_answer",
        "FALLBACK",
        "error rate of checkout/checkout/42",
    );
}

#[test]
fn a_cache_that_is_not_tolerated_is_noticed() {
    deviates(
        "cache::customers_do_not_notice_a_dead_cache",
        "CACHE_TOLERANT",
        "error rate of checkout/checkout/42",
    );
}
