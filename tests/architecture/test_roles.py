"""Every route says which role it needs, and nothing else has one."""

from __future__ import annotations

from hub.api.access import OPEN as OPEN_PATHS
from hub.api.roles import OPEN, ROLES
from tests.architecture.tables import openapi, role_of


def test_each_route_has_its_line_and_each_line_a_route() -> None:
    """Also if FastAPI is not asked for a key: what is open is what the front lets through, and doors for events."""
    described = {
        f"{method.upper()} {path}": role_of(operation)
        for path, operations in openapi()["paths"].items()
        for method, operation in operations.items()
    }
    assert {route: role for route, role in ROLES.items() if role != OPEN} == {
        route: role for route, role in described.items() if role
    }
    open_here = {route.removeprefix("GET ") for route, role in ROLES.items() if role == OPEN}
    assert open_here == OPEN_PATHS - {"/docs", "/openapi.json"}


def test_what_changes_something_is_for_whoever_may_do_more_than_look() -> None:
    """A key that only reads sends nothing but questions; whoever adds one has to say so here."""
    questions = {
        route
        for route, role in ROLES.items()
        if role == "read" and not route.startswith("GET ") and "/select" not in route
    }
    assert questions == {
        "POST /conditions/explain",
        "POST /flows/check",
        "POST /flows/{id}/test",
        "POST /mappings/try",
        "POST /segments/preview",
    }
