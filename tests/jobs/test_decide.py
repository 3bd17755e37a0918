"""What a run is decided to do: the first definition of which there is anything to compute, or the version that an
earlier life of it left, where that can be published as it stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from batch_parts import (
    CLICKS,
    NOW,
    OTHERWISE,
    PLAN,
    TABLE,
    D,
    archived,
    at,
    epoch,
    lake_of,
    log_of,
    logs,
    reserved,
    served,
    target,
    version,
)

from seamline.entries.base import EntryBase
from seamline.entries.batch import Audit, ColumnDrift
from seamline.errors import Condition, SeamlineError
from seamline.history.batch import BatchHistory
from seamline.history.views import ViewHistory
from seamline.jobs.decide import choose, decide, made_before, newest_state, plan_of, raw_read
from seamline.jobs.fold import FoldSource
from seamline.jobs.plan import Nothing, Plan
from seamline.jobs.resources import Resources
from seamline.jobs.stages import Decided, Target, Unpublished
from seamline.schemas.catalogue import Catalogue

SPEED, ARCHIVE = [epoch(1), epoch(2)], [archived(0, 20)]
VIEW = ViewHistory(log_of(served(1)))
READY, DONE, WAITING = (target(logs(SPEED, ARCHIVE, batch)) for batch in ([version(10)], [version(20)], []))
WAITS = replace(WAITING, logs=logs([], []))
DRIFTED = Audit(compared=True, drift=(ColumnDrift(column="total", groups=1, largest="1"),))


def chosen(*targets: Target, of: str | None = D) -> Decided | Nothing:
    return choose(VIEW, served(1, of), targets, NOW, rebuild=False)


def test_the_first_definition_of_which_there_is_anything_to_compute_is_chosen() -> None:
    def asked() -> Iterator[Target]:
        yield DONE
        yield READY
        raise AssertionError("those after it are not asked for")

    decision = choose(VIEW, served(1), asked(), NOW, rebuild=False)
    assert isinstance(decision, Decided)
    assert (decision.view, decision.state.served, decision.target) == (VIEW, D, READY)
    assert isinstance(decision.plan, Plan)
    assert (decision.plan.cut, decision.plan.base) == (at(20), 1)


def test_where_there_is_nothing_to_compute_each_definition_says_why() -> None:
    none = chosen()
    assert none == Nothing("nothing is served yet: run 'seamline views apply'")
    done = chosen(DONE)
    assert isinstance(done, Nothing)
    assert done.reason.startswith(f"version 1 of definition {D}, which is served, is as far")
    waits = chosen(WAITS, of="other")
    assert isinstance(waits, Nothing)
    assert waits.reason.startswith(f"definition {D} waits: ")
    both = chosen(WAITS, WAITS, of="other")
    assert both == Nothing(f"{waits.reason}; {waits.reason}")


def test_a_definition_is_computed_from_raw_or_folded_from_the_view_that_it_is_derived_from() -> None:
    from_raw = plan_of(served(None), READY, rebuild=False)
    assert isinstance(from_raw, Plan)
    assert (from_raw.folded, from_raw.cut) == (None, at(20))
    source = FoldSource("base", 2, BatchHistory(log_of(version(10), version(10))))
    folded = plan_of(served(None), replace(READY, source=source), rebuild=False)
    assert isinstance(folded, Plan)
    assert (folded.folded, folded.cut) == (2, at(10))


def test_a_version_that_an_earlier_life_left_comes_with_the_reservation_of_its_run() -> None:
    def left(*entries: EntryBase) -> Unpublished | None:
        of = replace(READY, logs=logs(SPEED, ARCHIVE, list(entries)))
        return made_before(Decided(VIEW, served(1), of, PLAN, NOW), NOW)

    assert left(reserved("a")) is None
    entries = reserved("other"), reserved("a"), version(20, run="a"), reserved("later")
    made = left(*entries)
    assert made is not None
    assert (made.number, made.version, made.reserved) == (3, entries[2], entries[1])


# --- whether it can be published as it stands


def decided(*left: EntryBase, rebuild: bool = False, archive: Any = ARCHIVE) -> Decided | Unpublished | Nothing:
    lake = lake_of(SPEED, archive, *left)
    return decide(Resources(lake, clock=lambda: NOW), "per_hour", rebuild=rebuild)


RESERVED = reserved("a", base=None)


def put_with_drift(**named: Any) -> Any:
    """A version that differs from what was served, computed from the raw files there are."""
    given: dict[str, Any] = {"cut": 20, "run": "a", "audit": DRIFTED, "raw": NO_FILES}
    return version(**{**given, **named})


NO_FILES = raw_read(lake_of([], []), [CLICKS], replace(PLAN, dates=None))
"""What is said of raw tables that were never written."""


def test_a_version_whose_audit_found_nothing_is_published_whatever_came_since() -> None:
    waiting = decided(RESERVED, version(10, run="a"))
    assert isinstance(waiting, Unpublished)
    assert (waiting.number, waiting.version.cut, waiting.reserved) == (2, at(10), RESERVED)
    assert isinstance(decided(RESERVED, version(10, run="a"), rebuild=True), Unpublished)
    assert isinstance(decided(RESERVED), Decided)
    assert isinstance(decided(RESERVED, version(10, run="b")), Decided)


def test_a_version_that_cannot_be_read_any_more_is_made_again() -> None:
    assert isinstance(decided(RESERVED, version(20, run="a", **OTHERWISE.model_dump())), Decided)


def test_a_version_with_drift_is_published_only_while_it_would_be_made_the_same_again() -> None:
    assert isinstance(decided(RESERVED, put_with_drift()), Unpublished)
    assert isinstance(decided(RESERVED, put_with_drift(), rebuild=True), Decided), "an operator's word"
    assert isinstance(decided(RESERVED, put_with_drift(cut=10)), Decided)
    assert isinstance(decided(RESERVED, put_with_drift(raw="other files")), Decided)
    imported = [*ARCHIVE, archived(20, 20, imports=("clicks",))]
    assert isinstance(decided(RESERVED, put_with_drift(), archive=imported), Decided)
    same = put_with_drift(imports=("import:clicks",))
    assert isinstance(decided(RESERVED, same, archive=imported), Unpublished)


def test_a_fold_reads_no_raw_files() -> None:
    lake = lake_of([], [])
    assert raw_read(lake, [CLICKS], replace(PLAN, folded=1)) == ""
    assert raw_read(lake, [CLICKS], replace(PLAN, dates={TABLE: frozenset()})) == NO_FILES != ""


def test_before_there_is_anything_to_read_there_is_nothing_to_do() -> None:
    lake = lake_of([], [])
    assert isinstance(decide(Resources(lake, clock=lambda: NOW), "per_hour", rebuild=False), Nothing)


def test_a_view_that_was_never_applied_is_unknown() -> None:
    catalogue = Catalogue(lake_of([], []))
    assert newest_state(catalogue, "per_hour").served == D
    with pytest.raises(SeamlineError) as raised:
        newest_state(catalogue, "other")
    assert raised.value.condition is Condition.VIEW_UNKNOWN
