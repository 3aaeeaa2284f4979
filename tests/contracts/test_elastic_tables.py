"""What every store promises of tasks, runs, versions, keys, walks and copies, on real search engines."""

from __future__ import annotations

import pytest

from hub.store.elastic import ElasticStore
from tests.contracts.test_store_copies import (  # noqa: F401 - run here again
    filled,
    test_a_document_is_written_only_as_it_was_read,
    test_events_to_copy_are_found_by_id,
    test_nothing_is_copied_of_somebody_who_is_erased,
    test_owners_of_events_in_the_order_of_their_profiles,
    test_pages_in_the_order_they_came,
    test_slices_cut_no_record_in_two_and_have_everything,
    test_what_a_task_shows_is_forgotten_when_somebody_is_erased,
    test_what_was_copied_stands_beside_what_others_have_written,
)
from tests.contracts.test_store_flow_runs import (  # noqa: F401 - run here again
    test_a_run_can_be_ended,
    test_a_run_is_given_back_as_it_was_saved,
    test_due_runs_come_in_their_order_page_by_page,
    test_events_of_somebody_who_was_part_of_another_take_their_runs_along,
    test_paused_runs_are_found_by_the_event_that_they_wait_for,
    test_runs_are_listed_newest_first,
    test_runs_of_all_ids_of_a_person_are_theirs,
    test_runs_that_ended_long_ago_are_forgotten,
    test_runs_that_nobody_goes_on_with_are_found,
    test_runs_without_a_profile_are_found_by_their_session,
    test_there_is_no_run_of_who_is_not_there,
    test_what_runs_are_about_is_read_at_once,
    test_who_is_erased_takes_their_runs_along,
    test_who_saves_what_somebody_else_has_saved_is_refused,
)
from tests.contracts.test_store_keys import (  # noqa: F401 - run here again
    test_another_topic_begins_anew_and_keeps_what_is_there,
    test_keys_of_records_that_kafka_has_deleted_go,
    test_keys_of_who_is_erased_are_thrown_away,
    test_what_a_topic_says_is_kept_once_and_in_order,
    test_who_is_suppressed_keeps_the_keys,
)
from tests.contracts.test_store_promotion import (  # noqa: F401 - run here again
    test_a_promotion_that_fails_changes_nothing,
    test_a_promotion_whose_time_is_over_changes_nothing,
    test_events_and_whose_they_are,
    test_identifiers_and_who_claimed_them,
    test_merged_profiles_and_whether_the_merge_is_through,
    test_profiles_are_replaced_and_keep_their_versions,
    test_which_lines_of_mappings_profiles_from_elsewhere_have,
    test_who_wrote_before_a_promotion_is_fenced,
)
from tests.contracts.test_store_tasks import (  # noqa: F401 - run here again
    test_a_task_is_kept_once,
    test_cancelled_is_cancelled,
    test_how_often_it_was_begun,
    test_it_is_cut_once,
    test_of_two_who_do_a_page_one_counts,
    test_old_ones_are_forgotten_once_they_are_over,
    test_one_that_fails_does_not_hold_up_the_others,
    test_open_tasks_of_a_queue,
    test_pages_add_up_and_the_last_slice_ends_it,
    test_tasks_newest_first,
    test_too_many_slices,
    test_what_cannot_be_planned_has_failed,
    test_without_slices_it_is_done,
)
from tests.contracts.test_store_versions import (  # noqa: F401 - run here again
    test_a_store_that_is_away_gets_its_versions_later,
    test_a_topic_that_is_made_anew_hides_no_version,
    test_many_versions_are_all_kept,
    test_versions_are_kept_once_and_found_newest_first,
)
from tests.contracts.test_store_walk import (  # noqa: F401 - run here again
    test_a_topic_that_was_never_read_has_no_number,
    test_documents_come_in_the_order_asked_for,
    test_events_on_segments_are_left_out_of_what_two_stores_are_compared_by,
    test_every_event_is_met_once_whatever_the_size_of_a_page,
    test_profiles_by_id,
)

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]
"""The first one starts the servers, and fetches them on a new machine."""


@pytest.fixture
def store(elastic: ElasticStore) -> ElasticStore:
    """The one that the shared tests ask for."""
    return elastic
