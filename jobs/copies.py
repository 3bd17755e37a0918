"""The SQL of which copies were left out in what was served: below a base's cut all but one, above it what speed knew.

Pure text, over the CTE `records_of_unit` and the input `reading`.
"""

from __future__ import annotations

MANY = 2_000_000
"""Rows of events that stand more than once which a task may hold in memory (some 100 bytes each)."""

POSITION = "_source, _partition, _offset"
_BEFORE = ("_second", "_source", "_partition", "_offset", "_at_once")
_SECOND = "greatest(0, least(4294967295, coalesce(epoch_us(_timestamp), 0) // 1000000))"


def served_copies(event_id: str, event_time: str, at_once: str, foreign: str) -> list[str]:
    """CTEs up to `copies`, the positions that were left out; `suspects` are the events that stand more than once.

    `at_once`: the condition of records that a version has seen at once; `foreign`: the one of records that speed knew
    by another decoding, which had no id for those in `mended`; or nothing.
    """
    suspects = (
        f"SELECT DISTINCT {POSITION}, {event_id} AS _id, {event_time} AS _time, {_SECOND} AS _second,\n"
        f"    ({at_once}) AS _at_once\n"
        f"  FROM records_of_unit WHERE _reject IS NULL AND {event_id} IS NOT NULL\n"
        f"  QUALIFY count(*) OVER (PARTITION BY {event_id}, {event_time}) > 1"
    )
    but = f" AND ({POSITION}) NOT IN (SELECT ({POSITION}) FROM mended WHERE {foreign})" if foreign else ""
    read = (
        "SELECT s.*, CASE WHEN _at_once THEN 0 ELSE coalesce(e.epoch, 0) END AS _epoch, e.horizon\n"
        "  FROM suspects AS s ASOF LEFT JOIN (FROM reading WHERE first < next) AS e\n"
        '    ON s._source = e.source AND s._partition = e."partition" AND s._offset >= e.first\n'
        f"  WHERE s._source NOT LIKE 'import:%'{but}"
    )
    before = ",\n    ".join(f"lag({name}) OVER of_event AS _before{name}" for name in _BEFORE)
    ranked = (
        f"SELECT *, row_number() OVER of_event AS _rank,\n    {before}\n  FROM read_of_unit\n"
        f"  WINDOW of_event AS (PARTITION BY _id, _time ORDER BY _epoch, {POSITION})"
    )
    first = f"row_number() OVER (PARTITION BY _id, _time ORDER BY {POSITION})"
    copies = (
        f"SELECT {POSITION} FROM suspects WHERE _at_once QUALIFY {first} > 1\n"
        f"  UNION ALL\n  SELECT {POSITION} FROM known_copies"
    )
    return [
        f"{name} AS (\n  {text}\n)"
        for name, text in (
            ("suspects", suspects),
            ("read_of_unit", read),
            ("ranked", ranked),
            ("known_copies", _known()),
            ("copies", copies),
        )
    ]


def _known() -> str:
    """Positions at which speed took a record for a copy: one of the same event, read before and remembered, is near.

    Mostly the one read last before it is. Only where that one is not near, or was seen at once with others, are all
    looked at: what is remembered is everything from one position on, so if the last is forgotten, all are.
    """
    place = "SELECT c._source, c._partition, c._offset FROM ranked AS c"
    last_is_near = _near("c._before_second")
    last = f"{place} {_remembered('c._before')}\n    AND {last_is_near}"
    others = (
        f"{place} JOIN ranked AS a ON a._id = c._id AND a._time = c._time {_remembered('a.')}\n"
        f"    AND (c._before_at_once OR NOT {last_is_near}) AND a._rank < c._rank AND {_near('a._second')}"
    )
    return f"{last}\n  UNION\n  {others}"


def _near(other: str) -> str:
    return f"({other} = 0 OR c._second = 0 OR abs({other} - c._second) <= c.horizon)"


def _remembered(other: str) -> str:
    """Of a record above what was seen at once: another one is among what its epoch remembered."""
    return (
        f'LEFT JOIN reading AS m\n    ON m.epoch = c._epoch AND m.source = {other}_source AND m."partition" ='
        f" {other}_partition\n  WHERE NOT c._at_once AND {other}_offset >= coalesce(m.remembered, 0)"
    )
