"""What every store promises to the API, agents and segments, on real search engines."""

from __future__ import annotations

import pytest

from hub.store.elastic import ElasticStore
from tests.contracts.test_store import (  # noqa: F401 - run here again
    test_a_cursor_survives_what_is_written_meanwhile,
    test_a_dead_letter_shows_all_there_is,
    test_a_large_original_lies_in_the_blobs,
    test_a_letter_that_fails_again_is_the_same_letter_with_one_more_attempt,
    test_events_come_newest_first_and_the_unplaced_last,
    test_get_finds_an_event_in_any_month,
    test_open_letters_come_in_the_order_in_which_they_first_came,
    test_pages_give_everything_once_in_order,
    test_writing_twice_leaves_one_copy,
)
from tests.contracts.test_store_conditions import (  # noqa: F401 - run here again
    test_not_of_what_is_not_there_finds_nothing,
    test_profiles_are_found_by_their_history,
)
from tests.contracts.test_store_figures import (  # noqa: F401 - run here again
    test_dead_letters_are_counted_by_when_they_failed,
    test_events_are_counted_by_their_own_time,
    test_profiles_and_sessions_are_counted_by_when_they_began,
    test_the_most_frequent_groups_are_told_apart,
)
from tests.contracts.test_store_scan import (  # noqa: F401 - run here again
    test_a_slice_of_so_many_that_match,
    test_sessions_in_which_nothing_happens_any_more,
    test_who_was_active,
)
from tests.contracts.test_store_segments import (  # noqa: F401 - run here again
    test_a_history_is_read_from_the_profile,
    test_many_segments_are_looked_at_together_and_page_by_page,
    test_members_come_newest_first_in_pages,
    test_sizes_follow_the_profiles,
    test_the_events_of_a_person_are_told_in_the_order_of_their_time,
    test_the_first_size_of_an_hour_is_kept_for_as_long_as_is_said,
    test_who_may_have_a_history_that_is_not_kept_yet,
    test_whoever_does_not_own_a_profile_can_only_say_sooner,
)

pytestmark = pytest.mark.timeout(300)  # the first one on a machine waits for the jars


@pytest.fixture
def store(elastic: ElasticStore) -> ElasticStore:
    """The one that the shared tests ask for."""
    return elastic
