"""What is said of a definition that cannot be taken."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from hub.definitions.kinds import KINDS
from hub.definitions.wording import said


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
        ("data-compliance", {"event_type": "a", "fields": [{"event": "ip", "consents": ["a"]}]}, "such as request.ip"),
    ],
)
def test_a_field_that_is_no_such_thing_is_answered_in_words(kind: str, spec: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        KINDS[kind].model_validate(spec)
    (told,) = map(said, caught.value.errors())
    assert words in told
    assert "^" not in told
