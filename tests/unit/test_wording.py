"""What is said of a definition that cannot be taken."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from hub.definitions.kinds import KINDS
from hub.definitions.wording import said
from hub.imports.spec import ImportSpec
from hub.migration.spec import TakeoverSpec


@pytest.mark.parametrize(
    ("kind", "spec", "words"),
    [
        ("source", {"write_keys": ["a b"]}, "no space and no colon"),
        ("source", {"allowed_origins": ["shop.example"]}, "such as https://shop.example"),
        ("redirect", {"url": "ftp://a", "source": "shop", "event_type": "a"}, "begins with https://"),
        ("consent-type", {"revokable": True, "auto_revoke": "soon"}, "such as 90s, 15m or 1d12h"),
        ("mapping", {"event_type": "a", "fields": [{"event": "a", "profile": "traits.a"}]}, "properties.amount"),
        ("mapping", {"event_type": "a", "fields": [{"event": "type", "profile": "pii.a"}]}, "such as traits.city"),
        ("event-type", {"copy": {"pii.a": "properties.a"}}, "below data, traits, hit or device"),
        ("pseudonym", {"event_type": "a", "fields": [{"event": "data.a"}]}, "below properties or context"),
        ("flow", {"nodes": {"a b": {"type": "start"}}}, "no id of a node"),
        ("data-compliance", {"event_type": "a", "fields": [{"event": "ip", "consents": ["a"]}]}, "such as request.ip"),
    ],
)
def test_a_field_that_is_no_such_thing_is_answered_in_words(kind: str, spec: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        KINDS[kind].model_validate(spec)
    (told,) = map(said, caught.value.errors())
    assert words in told
    assert "^" not in told


@pytest.mark.parametrize(
    ("model", "given", "words"),
    [
        (ImportSpec, {"id": "i", "source": "shop", "location": "a.csv", "delimiter": "ab"}, "write one character"),
        (TakeoverSpec, {"location": "https://es:9200"}, "write the cluster as elasticsearch+https://host:9200"),
        (TakeoverSpec, {"location": "elasticsearch+https://me:secret@es:9200"}, "without a path, a user or a password"),
    ],
)
def test_an_import_and_a_takeover_are_answered_in_words(
    model: type[BaseModel], given: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(given)
    (told,) = map(said, caught.value.errors())
    assert words in told
    assert "^" not in told
