"""TBLPROPERTIES of a view: which there are, what values they take, and how each is read.

None is part of a definition's identity: changing them rebuilds nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from seamline.entries.batch import Version

OWNER, DESCRIPTION, TAGS = "owner", "description", "tags"
SPEED_RETENTION, BATCH_RETENTION = "speed.retention", "batch.retention"
GRAIN, SORT = "partition.grain", "serving.sort"
FRESHNESS, COMPLETENESS = "sla.freshness", "sla.completeness"
PUBLISH_TABLE, PUBLISH_TOPIC = "publish.table", "publish.topic"

_DURATION = re.compile(r"([1-9]\d{0,5}) (minute|hour|day)s?")
_VERSIONS = re.compile(r"([1-9]\d{0,5}) versions?")
_SPAN = re.compile(r"([1-9]\d{0,5}) (second|minute|hour|day)s?")
_PERCENT = re.compile(r"(\d{1,2}([.]\d{1,6})?|100)%")
_GRAIN = re.compile("day|hour")
_TAGS = re.compile(r"[\w.-]+( *, *[\w.-]+)*")
_TOPIC = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}")
_SORT = re.compile(r'("[^"]+"|\w+)( *, *("[^"]+"|\w+))*')


@dataclass(frozen=True)
class Property:
    """A key of TBLPROPERTIES."""

    about: str
    """What it means."""

    detail: str
    """Which values it takes, in words."""

    patterns: tuple[re.Pattern[str], ...] = ()
    """What one of them looks like, but for blanks around it; none: any text."""

    hint: str = "write such a value"
    """What to do about others."""

    def accepts(self, text: str) -> bool:
        """Whether a value is one of them."""
        return not self.patterns or any(pattern.fullmatch(text.strip()) for pattern in self.patterns)


PROPERTIES: dict[str, Property] = {
    OWNER: Property("who answers for the view", "any text"),
    DESCRIPTION: Property("what the view is for", "any text"),
    TAGS: Property("words to find the view by", "words with commas between, such as 'money, daily'", (_TAGS,)),
    SPEED_RETENTION: Property(
        "how long epochs are kept at least, after a batch version covers them",
        "a number of minutes, hours or days, such as '7 days'",
        (_DURATION,),
    ),
    BATCH_RETENTION: Property(
        "which batch versions stay restorable",
        "a number of versions, or of minutes, hours or days since a version was replaced: '5 versions', '30 days'",
        (_VERSIONS, _DURATION),
    ),
    GRAIN: Property(
        "the span of event time that one unit of batch work and its file hold; 'day' where it is not said",
        "'day' or 'hour'",
        (_GRAIN,),
        "write one of them: all copies of an event are in one hour, and raw is kept by event date",
    ),
    SORT: Property(
        "the keys that batch files are ordered by, so that a query that asks for few of their values reads little",
        "keys of the view with commas between, such as 'repo, hour'",
        (_SORT,),
    ),
    FRESHNESS: Property(
        "how old the newest record that it covers may be while more wait; 'seamline status' tells where it is older",
        "a number of seconds, minutes, hours or days, such as '5 minutes'",
        (_SPAN,),
    ),
    COMPLETENESS: Property(
        "what share of the records read must be valid; 'seamline status' tells where it is less",
        "a percentage, such as '99.5%'",
        (_PERCENT,),
    ),
    PUBLISH_TABLE: Property(
        "where 'seamline publish' keeps the Delta table of the view's versions; published/VIEW where it is not said",
        "a folder, s3://, gs:// or abfss://",
    ),
    PUBLISH_TOPIC: Property(
        "the topic that it sends the view's changes to; PROJECT.VIEW, by the project's folder, where it is not said",
        "a topic's name: letters, digits, '.', '_' and '-', at most 249",
        (_TOPIC,),
    ),
}
"""Every property there is; others are refused."""


@dataclass(frozen=True)
class Keep:
    """Which batch versions stay restorable: the newest `versions`, or those that were the newest within `age`."""

    versions: int = 0
    age: timedelta | None = None

    def of(self, made: Mapping[int, Version], now: datetime) -> set[int]:
        """Their numbers."""
        numbers = sorted(made)
        if self.age is None:
            return set(numbers[-self.versions :] if self.versions else [])
        replaced = {old: made[new].at for old, new in pairwise(numbers)}
        return {number for number in numbers if number not in replaced or now - replaced[number] <= self.age}


def batch_keep(properties: Mapping[str, str], default: int) -> Keep:
    """A view's own `batch.retention`, or the newest `default` versions."""
    text = properties.get(BATCH_RETENTION, "").strip()
    if match := _VERSIONS.fullmatch(text):
        return Keep(versions=int(match[1]))
    return Keep(age=_duration(text)) if text else Keep(versions=default)


def speed_retention(properties: Mapping[str, str], default: timedelta) -> timedelta:
    """A view's own `speed.retention`, or `default`."""
    text = properties.get(SPEED_RETENTION, "").strip()
    return _duration(text) if text else default


def by_hour(properties: Mapping[str, str]) -> bool:
    """Whether a view's batch work is done by the hour instead of by the event date."""
    return properties.get(GRAIN, "").strip() == "hour"


def tags(properties: Mapping[str, str]) -> tuple[str, ...]:
    """The words of `tags`."""
    return _listed(properties.get(TAGS, ""))


def sort_names(properties: Mapping[str, str]) -> tuple[str, ...]:
    """The names in `serving.sort`, as they are written, without quotes."""
    return tuple(name.strip('"') for name in _listed(properties.get(SORT, "")))


def sort_keys(properties: Mapping[str, str], keys: tuple[str, ...]) -> tuple[str, ...]:
    """All of `keys`, those of `serving.sort` first, in its order; empty where there is none.

    All of them: the rows of one file then have one order only, whatever wrote them.
    """
    by_name = {key.lower(): key for key in keys}
    first = [by_name[name.lower()] for name in sort_names(properties) if name.lower() in by_name]
    return tuple(dict.fromkeys([*first, *keys])) if first else ()


def is_topic(name: str) -> bool:
    """Whether Kafka takes it for a topic's name."""
    return _TOPIC.fullmatch(name) is not None


def _listed(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _duration(text: str) -> timedelta:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise AssertionError(f"unchecked duration {text!r}")
    return timedelta(**{f"{match[2]}s": int(match[1])})
