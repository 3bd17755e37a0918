"""Where what listens is reached."""

from __future__ import annotations

import pytest

from seamline.addresses import reached_at


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("127.0.0.1", "127.0.0.1:80"),
        ("0.0.0.0", "127.0.0.1:80"),
        ("::", "[::1]:80"),
        ("fe80::1", "[fe80::1]:80"),
        ("db.example", "db.example:80"),
    ],
)
def test_what_listens_is_reached_on_this_machine(host: str, said: str) -> None:
    assert reached_at(host, 80) == said
