//! Each hypothesis must fail on a weakened victim, for the named reason: otherwise it
//! proves nothing.

use crate::weakened::deviates;

const ERRORS: &str = "error rate of checkout/checkout/42";

#[test]
fn without_tolerance_a_stopped_cache_is_noticed() {
    let test = "cache::customers_do_not_notice_a_stopped_cache";
    deviates(test, "CACHE_TOLERANT", ERRORS);
}

#[test]
fn without_tolerance_a_killed_cache_is_noticed() {
    let test = "cache::customers_do_not_notice_a_killed_cache";
    deviates(test, "CACHE_TOLERANT", ERRORS);
}

#[test]
fn without_time_limits_customers_wait_for_a_hanging_cache() {
    let test = "cache::customers_do_not_wait_for_a_hanging_cache";
    deviates(test, "TIMEOUT", "p95 latency of checkout/checkout/42");
}

#[test]
fn without_tolerance_a_deployment_of_the_cache_is_noticed() {
    let test = "cache::a_deployment_of_the_cache_costs_no_answer";
    deviates(test, "CACHE_TOLERANT", ERRORS);
}

#[test]
fn without_time_limits_customers_wait_for_a_hanging_database() {
    let test = "database::a_hanging_database_costs_no_order";
    deviates(test, "TIMEOUT", "p95 latency of placing orders");
}

#[test]
fn without_a_queue_a_hanging_database_refuses_orders() {
    let test = "database::a_hanging_database_costs_no_order";
    deviates(test, "QUEUE", "error rate of placing orders");
}

#[test]
fn without_a_memory_of_orders_a_hanging_database_hides_them() {
    let test = "database::a_hanging_database_costs_no_order";
    deviates(test, "READ_CACHE", "error rate of reading an order");
}

#[test]
fn without_retries_a_hanging_database_loses_orders() {
    let test = "database::a_hanging_database_costs_no_order";
    deviates(test, "RETRY", "lost orders");
}

#[test]
fn without_idempotence_a_hanging_database_stores_orders_twice() {
    let test = "database::a_hanging_database_costs_no_order";
    deviates(test, "IDEMPOTENCE", "orders stored twice");
}

#[test]
fn without_a_queue_a_restart_of_the_database_refuses_orders() {
    let test = "database::a_restart_of_the_database_costs_no_order";
    deviates(test, "QUEUE", "error rate of placing orders");
}

#[test]
fn without_acknowledgements_a_killed_broker_loses_parcels() {
    let test = "broker::a_killed_broker_costs_no_parcel";
    deviates(test, "ACK", "lost parcels");
}

#[test]
fn without_retries_a_killed_broker_loses_parcels() {
    let test = "broker::a_killed_broker_costs_no_parcel";
    deviates(test, "RETRY", "lost parcels");
}

#[test]
fn without_a_fallback_a_cut_between_two_containers_is_noticed() {
    let test = "only_containers::a_cut_between_two_containers_is_noticed_by_nobody";
    deviates(test, "FALLBACK", ERRORS);
}

#[test]
fn without_tolerance_a_cache_out_of_the_network_is_noticed() {
    let test = "only_containers::a_cache_out_of_the_network_costs_no_answer";
    deviates(test, "CACHE_TOLERANT", ERRORS);
}
