"""What every store promises to the collector, on real search engines."""

from __future__ import annotations

import pytest

from hub.store.elastic import ElasticStore
from tests.contracts.test_store import (  # noqa: F401 - run here again
    test_a_higher_version_replaces,
    test_a_letter_of_another_store_that_fails_again_is_kept,
    test_a_resolved_letter_stays_resolved,
    test_a_version_that_is_not_higher_changes_nothing,
    test_a_write_that_is_fenced_counts_no_attempt,
    test_a_writer_that_is_behind_is_fenced_and_leaves_nothing,
    test_counters_add_up,
    test_epochs_are_numbered_once_whoever_asks,
    test_known_looks_only_where_it_is_told,
    test_known_takes_thousands_of_ids,
    test_outcomes_are_the_documents_of_stored_events,
    test_progress_belongs_to_its_epoch,
    test_the_first_content_of_an_event_stays,
)
from tests.contracts.test_store_books import (  # noqa: F401 - run here again
    test_a_counter_that_is_put_right_is_no_difference_any_more,
    test_a_row_is_judged_over_all_its_partitions,
    test_books_are_bounded_and_show_that_there_is_more,
    test_books_are_of_one_moment,
    test_books_of_a_new_store_are_empty,
    test_rows_that_do_not_add_up_show_whatever_minutes_are_asked_for,
    test_the_time_of_a_write_changes_nothing_else,
    test_totals_are_of_everything_and_rows_of_the_minutes_asked_for,
    test_when_a_record_was_written_is_kept_by_batch_and_partition,
)
from tests.contracts.test_store_identity import (  # noqa: F401 - run here again
    test_a_fenced_batch_leaves_nothing_of_identity,
    test_a_merged_profile_is_none_and_leads_to_its_survivor,
    test_a_profile_lives_again_whatever_its_version_was,
    test_a_search_for_a_profile_finds_what_came_for_the_person,
    test_a_session_may_be_claimed_before_anything_is_written_to_it,
    test_a_session_stays_with_the_profile_that_was_stored_with_it_first,
    test_a_session_that_was_taken_begins_its_versions_anew,
    test_an_identifier_goes_to_the_first_and_stays_there,
    test_an_undo_begins_before_all_who_are_told_apart_by_now,
    test_an_undo_finds_what_came_while_the_survivor_was_part_of_others,
    test_records_and_merges_that_are_done_are_known,
    test_the_journal_is_read_by_either_profile,
    test_what_an_undo_needs,
    test_what_is_to_be_sent_is_kept_until_the_next_batch_of_its_partition,
    test_who_was_asked_to_join_whom_is_kept_with_whether_that_was_answered,
)
from tests.contracts.test_store_privacy import (  # noqa: F401 - run here again
    test_a_person_has_what_is_on_its_way_to_them,
    test_a_person_knows_where_they_were,
    test_an_event_of_an_edge_whose_clock_is_ahead_goes_too,
    test_an_identifier_that_too_many_have_stays_as_nobodys,
    test_an_order_is_carried_out_once,
    test_events_are_removed_by_when_they_were_received,
    test_letters_go_with_their_bodies,
    test_the_journal_keeps_nothing_of_who_is_erased,
    test_what_came_for_others_stays_where_it_lies,
    test_what_is_void_elsewhere_can_be_kept_here,
    test_what_is_void_is_told_by_mark,
    test_who_has_very_many_sessions_goes_too,
    test_who_is_erased_is_gone_at_once_and_their_events_in_steps,
    test_who_is_erased_is_in_no_merge_under_way,
    test_who_is_erased_while_another_reads_what_it_was_asked_is_not_overlooked,
)

pytestmark = pytest.mark.timeout(300)  # the first one on a machine waits for the jars


@pytest.fixture
def store(elastic: ElasticStore) -> ElasticStore:
    """The one that the shared tests ask for."""
    return elastic
