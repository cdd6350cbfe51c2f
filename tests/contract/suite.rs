//! The lists of cases. A case that is in no list is dead code, and the build
//! says so.

macro_rules! each_case {
    ($fresh:path, $module:tt, [$($case:ident),* $(,)?]) => {
        $(each_case!(@one $fresh, $module, $case);)*
    };
    (@one $fresh:path, [$($module:ident)::+], $case:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            let _beside = crate::machine::beside().await;
            crate::$($module::)+$case($fresh().await).await;
        }
    };
}

/// A case that measures: no other of this binary runs meanwhile.
macro_rules! measured_case {
    ($fresh:path, [$($module:ident)::+], $case:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            let harness = $fresh().await;
            let _alone = crate::machine::alone().await;
            crate::$($module::)+$case(harness).await;
        }
    };
}

macro_rules! queue_contract {
    ($fresh:path) => {
        queue_contract!($fresh, each_case);
    };
    // `$each` makes the tests of one topic.
    ($fresh:path, $each:ident) => {
        $each!(
            $fresh,
            [queue::order],
            [
                a_group_comes_in_order_of_sending,
                a_leased_message_locks_its_group,
                groups_do_not_wait_for_each_other,
                one_receive_takes_a_group_in_order,
                a_group_stays_locked_until_all_its_leases_are_settled,
                what_comes_back_keeps_its_place,
                many_workers_get_every_message_once_and_in_order,
            ]
        );
        $each!(
            $fresh,
            [queue::send],
            [
                bodies_arrive_unchanged,
                a_batch_holds_ten_messages,
                a_bad_message_fails_alone,
                the_bounds_themselves_are_accepted,
                a_dedup_id_delivers_once,
                a_dedup_id_is_remembered_after_the_ack,
                a_dedup_id_is_forgotten_five_minutes_after_its_first_send,
                a_failed_message_can_be_sent_again_with_its_dedup_id,
            ]
        );
        $each!(
            $fresh,
            [queue::lease],
            [
                a_receive_gives_the_visibility_of_the_queue,
                a_dropped_lease_comes_back_when_its_visibility_ends,
                an_acked_message_never_comes_back,
                extend_counts_from_its_own_moment,
                extend_can_shorten,
                an_ended_lease_settles_nothing,
                a_receipt_of_an_earlier_delivery_settles_nothing,
                a_settled_lease_cannot_be_extended,
                a_released_message_comes_back_at_once,
                a_released_message_waits_and_its_group_with_it,
                visibility_has_a_longest,
                twelve_hours_count_from_the_receive,
            ]
        );
        $each!(
            $fresh,
            [queue::dead],
            [
                a_message_received_too_often_goes_to_the_backstop,
                releases_count_as_receives,
                a_buried_message_goes_to_the_backstop,
                an_unacked_dead_message_comes_back,
                a_late_ack_of_a_dead_message_is_refused,
                dead_messages_come_in_pages,
            ]
        );
        $each!(
            $fresh,
            [queue::poll],
            [
                slots_and_waits_have_bounds,
                an_empty_receive_ends_with_its_wait,
                a_long_poll_wakes_on_send,
                a_long_poll_wakes_when_a_group_is_freed,
                a_long_poll_sees_a_visibility_end,
                depth_tells_where_messages_are,
            ]
        );
        $each!(
            $fresh,
            [queue::durable],
            [
                messages_and_their_order_survive,
                leases_survive,
                dedup_ids_survive,
                delays_and_dead_messages_survive,
            ]
        );
    };
}

macro_rules! state_contract {
    ($fresh:path) => {
        each_case!(
            $fresh,
            [state],
            [
                an_absent_document_is_none,
                a_document_is_created_once,
                a_document_is_replaced_at_its_version_only,
                a_document_is_deleted_at_its_version_only,
                a_document_made_anew_has_another_version,
                every_write_changes_the_version,
                racing_creates_have_one_winner,
                racing_increments_lose_none,
                a_list_is_in_order_of_key,
                a_list_is_narrowed,
                lists_have_bounds,
                pages_cover_everything,
                keys_follow_the_rule,
                values_have_a_bound,
                documents_survive_a_restart,
            ]
        );
    };
}

macro_rules! blobs_contract {
    ($fresh:path) => {
        each_case!(
            $fresh,
            [blobs],
            [
                an_absent_object_is_not_found,
                an_object_comes_back_whole,
                a_reader_is_told_what_an_object_is,
                a_second_put_leaves_the_first,
                racing_puts_have_one_winner,
                ranges_are_clipped,
                a_list_is_in_order_of_key,
                a_list_tells_objects_apart,
                a_list_is_narrowed,
                lists_have_bounds,
                pages_cover_everything,
                deleted_objects_are_gone,
                neighbours_can_be_put_and_deleted_at_once,
                keys_follow_the_rule,
                long_keys_are_stored,
                objects_survive_a_restart,
            ]
        );
    };
}

macro_rules! catalogue_contract {
    ($fresh:path) => {
        measured_case!(
            $fresh,
            [catalogue],
            sixty_four_writers_of_different_pipes_lose_nothing
        );
        each_case!(
            $fresh,
            [catalogue],
            [
                a_commit_whose_response_was_lost_is_known_again,
                a_conflict_that_leaves_no_entry_is_tried_again,
                a_store_that_stays_down_is_an_error,
                a_run_commits_once_and_never_after_a_later_one,
                a_lost_lease_is_refused_before_every_put,
                two_writers_of_one_pipe_conflict,
                what_does_not_land_leaves_no_files,
                what_may_have_landed_keeps_its_files,
                other_applications_have_their_own_transactions,
                a_crash_before_the_commit_leaves_orphans_and_a_whole_table,
                orphans_are_removed_and_named_files_are_kept,
                the_same_input_and_stamp_give_the_same_bytes,
                opening_needs_a_table_and_creating_twice_is_one_table,
            ]
        );
    };
}
