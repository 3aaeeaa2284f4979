"""The kinds of tasks that there are: one line each. Whoever asks for a task needs no more than is imported here."""

from __future__ import annotations

from hub.copying.arguments import CopyArguments, IndexArguments, check
from hub.imports.arguments import Checker
from hub.imports.spec import ImportSpec
from hub.jobs import flow_letters, flow_runs
from hub.jobs.kind import Kind, Kinds
from hub.migration.spec import TakeoverSpec
from hub.settings import Settings
from schemas.jobs import EVENT_TO_PROFILE, IMPORT, MIGRATION, PROPERTIES_TO_TRAITS, SCHEDULER, SEGMENTATION


def kinds(settings: Settings) -> Kinds:
    """By name."""
    every = (
        Kind(
            "copy-events-to-profiles",
            EVENT_TO_PROFILE,
            CopyArguments,
            "workers.copying",
            "Apply the mappings in force to stored events that they were not applied to.",
            check,
        ),
        Kind(
            "copy-properties-to-traits",
            PROPERTIES_TO_TRAITS,
            IndexArguments,
            "workers.indexing",
            "Make the index fields of stored events anew, by the event types in force.",
            check,
        ),
        Kind(
            "import",
            IMPORT,
            ImportSpec,
            "workers.importing",
            "Import the rows of a file, a table or another topic as events.",
            Checker(settings.imports),
        ),
        Kind(
            "take-over",
            MIGRATION,
            TakeoverSpec,
            "workers.migrating",
            "Take over profiles, sessions and events of a Tracardi or ThamesThrive Elasticsearch (docs/migration.md).",
        ),
        Kind(
            flow_runs.KIND,
            SEGMENTATION,
            flow_runs.RunFlow,
            "workers.flow_slices",
            "Run a flow for all profiles that match, or for one.",
            flow_runs.check,
        ),
        Kind(
            flow_letters.KIND,
            SCHEDULER,
            flow_letters.SendAgain,
            "workers.sending_again",
            "Send messages of flows again that became dead letters (docs/dead-letters.md).",
        ),
    )
    return {kind.name: kind for kind in every}
