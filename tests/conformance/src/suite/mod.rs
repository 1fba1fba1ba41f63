//! The cases, each over an empty, migrated database, with the invariants checked after it.

mod accounts;
mod callbacks;
mod endpoints;
mod fairness;
mod hosts;
mod lifecycle;
mod limits;
mod schema;
mod views;

use trawl_store::Store;

use crate::{Subject, check_invariants};

macro_rules! run {
    ($make:ident: $($module:ident::{$($case:ident),+ $(,)?}),+ $(,)?) => {
        $($({
            println!("case {}::{}", stringify!($module), stringify!($case));
            let subject = $make();
            Store::new(&subject).migrate().await.unwrap();
            $module::$case(&subject).await;
            check_invariants(&subject).await;
        })+)+
    };
}

/// Runs every case, each over a database that `make` makes.
pub async fn exercise<S: Subject>(make: impl Fn() -> S) {
    run! { make:
        lifecycle::{
            claim_finish, only_the_lease_holder_ends_a_job, give_up, retry_later, release_does_not_count, postponing_does_not_count, postponing_doubles_until_it_is_asked_for_again, what_could_not_be_written_down_comes_back_ever_later, rescue_tries_alone, suspects_run_one_at_a_time,
            leases_of_one_dead_worker_end_at_once, leases_of_the_dead_end_at_once, hosts_that_die_are_forgiven_for_a_while,
            poison_after_three, extend_keeps_a_job_until_its_deadline, cancel_at_any_moment, ask_again, arrows_that_do_not_exist,
            many_finish_together, a_stale_lease_among_many, only_what_is_due_comes_back, events_tell_the_story, a_long_story_is_told_from_its_end,
        },
        schema::{checks_refuse_impossible_rows, migrations_run_twice, one_migrates_at_a_time, a_trigger_that_is_missing_is_made_again, readiness_is_proved_by_writing_now_and_then, generated_columns_follow},
        limits::{tenant_and_total, callbacks_take_no_room, idempotency, many_at_once},
        fairness::{noisy_tenant, spare_slots, stuck_accounts_hide_nobody, old_rows_of_a_slow_host_hide_no_new_one, late_rows_take_turns, priorities_order, low_priorities_age, retries_lose_no_place, backlogs_take_turns, one_after_the_other_starves_nobody, failures_take_turns, what_comes_back_together_takes_turns, what_is_asked_for_again_has_not_come_back, priorities_order_a_backlog, a_backlog_costs_nothing_yet, what_is_asked_for_again_costs_nothing_yet, busy_accounts_hide_nobody, suspects_move_no_time, spare_slots_move_no_time, cancelled_rows_cost_nothing},
        hosts::{slots_are_never_exceeded, gaps_are_kept, a_clock_set_back_skips_a_gap, a_new_pace_takes_effect, a_gap_that_robots_asks_for_begins_at_once, a_gap_that_becomes_shorter_is_kept, a_start_that_no_claim_took_keeps_the_gap, a_start_that_no_claim_took_tells_the_hosts_slots, starts_that_no_claim_took_leave_turns_to_the_hosts_own_rows, operator_wins_over_robots, kinds_share_a_host, a_gap_that_is_over_is_no_other_kinds, rows_whose_gaps_are_over_keep_their_order, each_host_waits_for_its_own_gap, spare_slots_are_no_other_kinds, a_pause_is_kept_by_all_rows, a_pause_keeps_the_pace, a_pause_of_a_clock_set_back_ends, many_host_pauses_end_in_parts},
        callbacks::{totals_of_callbacks, delivered, pending_before_the_end, stale_leases, schedule_and_exhaustion, only_what_is_due_is_sent, only_what_expired_is_rescued, what_ended_is_not_extended, what_could_not_be_written_down_is_sent_ever_later, deliveries_together, deliveries_together_go_on_counting, deliveries_of_one_message, many_deliveries_are_told_from_their_end, replays, replays_of_what_runs_again, replays_of_what_is_being_sent, replays_of_what_waits_for_its_next_try, replays_of_what_died_with_its_host, replays_do_not_wait_for_the_old_schedule, rescue_and_release, hosts_that_die_are_forgiven_for_a_while, secrets},
        endpoints::{in_flight, endpoints_in_trouble, spare_slots, spare_slots_move_no_time, late_ones_take_turns, throttled, the_longest_pause_counts, each_pause_ends_by_itself, enabling_begins_anew, each_account_has_its_own_slots, many_pauses_end_in_parts, gone, gone_for_good, disabled_after_days, one_dead_endpoint_slows_nobody, a_pause_holds_up_no_other_endpoint},
        accounts::{registration, throttle, a_throttle_of_a_clock_set_back_goes_on, tries_at_once, registrations_of_a_network, keys, keys_deleted_together, passwords_that_are_reset, listed_with_what_is_unfinished},
        views::{lists_and_filters, pages_of_a_list, results, last_result, a_copy_is_no_last_result, a_hash_proves_nothing, queues_tell_the_truth, totals_only_grow, robots_and_dead_requests, robots_and_dead_requests_are_kept_for_a_while, purge_and_ids, long_results_go_a_few_at_a_time, old_rows_that_stay_hold_up_no_purge, hosts_and_endpoints_are_forgotten, callbacks_outlast_a_purge, what_an_endpoint_may_still_get_outlasts_a_purge},
    }
}
