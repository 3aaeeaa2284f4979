"""The predecessor's actions that have no node of the same kind here: what to do instead. Pure."""

from __future__ import annotations

import re
from typing import Final, NamedTuple


class Action(NamedTuple):
    """
    Actions there, and the way here.

    Attributes:
        names: For people.
        pattern: Found in module and class, in lower case.
        instead: What to do, half a sentence.
    """

    names: str
    pattern: str
    instead: str


ACTIONS: Final = (
    Action("Limiter", r"limiter", "use `limit`"),
    Action("New visit", r"new_visit", "use `is-new-visit`"),
    Action("Value change (threshold)", r"threshold|value_change", "use `value-changed`"),
    Action("Join", r"flow_control\.join|join_payload|payload_collector|\bjoin", "use `join`"),
    Action("Resolve conditions", r"resolve_condition", "use `resolve` or `resolve-into-profile`"),
    Action("Append, Remove", r"append_trait|append_action", "use `append-to-profile`, `remove-from-profile`"),
    Action(
        "Inject payload, Template, Merge event properties, Create response",
        r"inject_action|payload_template|template|merge_event_prop|create_response|reshape",
        "use `compute`, `text`, `merge-objects`, `respond`",
    ),
    Action(
        "Value mapping, Calculator, Random, Reduce array, Sort, Set operations, Max and min",
        r"value_mapping|calculator|random|reduce_array|sort|set_operation|max_min|min_max",
        "use `map-value`, `calculate`, `random-number`, `count-values`, `sort-list`, `combine-lists`, `keep-extreme`",
    ),
    Action(
        "Get previous event or session, Load profile, Query data, Load report",
        r"previous_event|previous_session|profile_load|load_profile|query_data|query_string|load_report|get_report",
        "use `look-up`",
    ),
    Action(
        "Count records, Event counter, Event aggregator",
        r"count_record|event_counter|aggregat",
        "use `count`, or a condition on the history of events",
    ),
    Action("Key counter", r"key_counter", "use `increment`, with a field for each key"),
    Action(
        "Sequencer, Sequence matcher",
        r"sequenc",
        "use a segment with a condition on the history of events, or `look-up`",
    ),
    Action("Merge profiles", r"merge_profiles", "use an identification point, or `merge-profiles` with an id"),
    Action("Save and load integration id", r"integration_id", "use `update-profile` with a field below `traits`"),
    Action("Event source", r"event_source", "write `event@source.id`"),
    Action(
        "Update event, Update session, Tag event, Discard profile update, Create empty profile or session",
        r"update_event|update_session|tag_event|event_tag|discard_profile|empty_profile|empty_session|new_session",
        "what was sent stays as it is, and nobody is made by a flow: use `raise-event`, or a reshaper or event type",
    ),
    Action("Inject event, Raise event", r"inject_event|raise_event|new_event", "use `raise-event`"),
    Action(
        "Move segment, Force segmentation",
        r"segmentation\.(move|force)|memorize|segment",
        "use `move-to-segment`; who is in a segment with a condition is always known",
    ),
    Action("Interests", r"interest", "use `add-interest`, `rank-interests`"),
    Action("Add consent", r"add_consent|consent_add", "use `add-consent`"),
    Action(
        "Consent bar, Custom JS, other parts of pages", r"\bux\b|consent_ux|widget", "use `respond` with a list `ux`"
    ),
    Action("Read from and write to Redis", r"redis", "use `remember` within a run, a field of the profile beyond it"),
    Action("UUID, Password", r"uuid|password", "use `make-id`; nothing that a run makes is secret"),
    Action(
        "Today, time delay and difference, between times, day or night, weekend, last visit, live time of the profile",
        r"\btime\b|time_|today|weekend|day_night|last_visit|live_time",
        "use `now`, `move-time`, `time-between`, `is-time-of-day`, `is-daytime`, `is-weekday`",
    ),
    Action(
        "Texts, regular expressions, JSON, base64, URLs, validators",
        r"string|regex|json|base64|url_parse|valid|split|trim|replace|contains|starts_with|ends_with",
        "use the nodes of the group Texts",
    ),
    Action("Hash and mask data", r"hash|mask", "use `hash`, `mask`"),
    Action("Distance, geo fence", r"geo|distance", "use `distance`, `is-within`"),
    Action(
        "Remote API call, HTML fetch, OAuth2 token, webhooks, microservices",
        r"api_call|remote_call|html|oauth|webhook|microservice|zapier",
        "use `http-call`",
    ),
    Action(
        "RabbitMQ, Kafka, Pulsar, MQTT, SQS",
        r"rabbitmq|kafka|pulsar|mqtt|sqs",
        "use `send` with a destination; of Pulsar there is none: its gateways speak Kafka's protocol",
    ),
    Action("SMTP", r"smtp|mail_sender|email_sender", "use `send-mail`"),
    Action(
        "Queries of MySQL, PostgreSQL, MongoDB, Elasticsearch, InfluxDB",
        r"mysql|postgres|mongo|elastic(?!_?email)|influx",
        "flows ask the hub alone: import or bridge the data, and keep it in the profile; to write, use `send` with a "
        "destination",
    ),
    Action("Background", r"background", "use `pause` with `wait: 1s`: what is behind it goes on elsewhere"),
)
"""In the order in which they are looked for. Whatever else there is asks a service of another company."""
SERVICE: Final = "it asks a service of another company: use `http-call`, or a node of your own"


def instead(module: str, name: str) -> str:
    """What to do instead of an action. Args: module, name: its module and class."""
    text = f"{module.rpartition('action.v1.')[2]} {name}".lower()
    return next((one.instead for one in ACTIONS if re.search(one.pattern, text)), SERVICE)
