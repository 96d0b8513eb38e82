//! Each hypothesis must fail on a weakened victim, for the named reason: otherwise it proves
//! nothing. How often it is tried, and how often the sound victim is, says [`crate::proof`].

use crate::proof::hypothesis;

const ERRORS: &str = "error rate of checkout/checkout/42";
const REFUSED: &str = "error rate of placing orders";

#[test]
fn a_stopped_cache() {
    hypothesis("cache::customers_do_not_notice_a_stopped_cache")
        .fails_without("CACHE_TOLERANT", ERRORS)
        .holds();
}

#[test]
fn a_killed_cache() {
    hypothesis("cache::customers_do_not_notice_a_killed_cache")
        .fails_without("CACHE_TOLERANT", ERRORS)
        .holds();
}

#[test]
fn a_hanging_cache() {
    hypothesis("cache::customers_do_not_wait_for_a_hanging_cache")
        .fails_without("TIMEOUT", "p95 latency of checkout/checkout/42")
        .holds();
}

#[test]
fn a_deployment_of_the_cache() {
    hypothesis("cache::a_deployment_of_the_cache_costs_no_answer")
        .fails_without("CACHE_TOLERANT", ERRORS)
        .holds();
}

#[test]
fn a_hanging_database() {
    hypothesis("database::a_hanging_database_costs_no_order")
        .fails_without("TIMEOUT", "p95 latency of placing orders")
        .fails_without("QUEUE", REFUSED)
        .fails_without("READ_CACHE", "error rate of reading an order")
        .fails_without("RETRY", "lost orders")
        .fails_without("IDEMPOTENCE", "orders stored twice")
        .holds();
}

#[test]
fn a_slow_database() {
    hypothesis("database::a_slow_database_makes_no_customer_wait")
        .fails_without("TIMEOUT", "p95 latency of placing orders")
        .holds();
}

#[test]
fn a_restart_of_the_database() {
    hypothesis("database::a_restart_of_the_database_costs_no_order")
        .fails_without("QUEUE", REFUSED)
        .holds();
}

#[test]
fn a_killed_broker() {
    hypothesis("broker::a_killed_broker_costs_no_parcel")
        .fails_without("ACK", "lost parcels")
        .fails_without("RETRY", "lost parcels")
        .holds();
}

#[test]
fn a_cut_between_two_containers() {
    hypothesis("only_containers::a_cut_between_two_containers_is_noticed_by_nobody")
        .fails_without("FALLBACK", ERRORS)
        .holds();
}

#[test]
fn a_cache_out_of_the_network() {
    hypothesis("only_containers::a_cache_out_of_the_network_costs_no_answer")
        .fails_without("CACHE_TOLERANT", ERRORS)
        .holds();
}
