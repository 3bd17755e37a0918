"""The description of HTTP is true: whatever is made of it, and of what it forbids, is answered as it says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance
from test_http import running_role

from seamline.serving.saved import parse_query

EXAMPLES = max(6, settings().max_examples // 2)
BUSY = "-- $least INTEGER = 1\nSELECT shop, sum(orders) FROM sales GROUP BY shop HAVING sum(orders) >= $least"


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """What a role says of itself; what never ends is asked elsewhere."""
    queries = {"busy": parse_query("busy", BUSY, "busy")}
    with running_role(tmp_path_factory.mktemp("described"), queries=queries) as role:
        yield schemathesis.openapi.from_url(f"{role.client.base_url}/openapi.json")


api = schemathesis.pytest.from_fixture("described").exclude(path_regex="/live$")


@api.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_route_answers_as_it_is_described(case: schemathesis.Case) -> None:
    case.call_and_validate(excluded_checks=[positive_data_acceptance])  # a text that is no SELECT is refused
