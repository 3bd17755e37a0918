"""The next state of a view, and its put: applying, dropping and publishing are one entry each.

What the next state is, is decided by pure functions; a conflicting put means deciding again from the newest state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from seamline.clock import Clock
from seamline.commitpoint import reach
from seamline.entries.views import DefinitionRecord, Handover, Published
from seamline.errors import Condition, ConflictError, TerminalError
from seamline.frontier import Frontier
from seamline.history.archive import ArchiveHistory
from seamline.history.speed import SpeedHistory
from seamline.history.views import ViewHistory
from seamline.lake import Lake
from seamline.schemas.catalogue import dropped_view, unknown_view
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.going_on import goes_on, recorded
from seamline.schemas.handovers import Agree, Handing, none_agree, plan_handing
from seamline.schemas.views.parsed import ParsedView
from seamline.schemas.views.project_views import Compiled, compile_all
from seamline.whoami import whoami

KEPT = 3
"""Definitions of one view that stay live: the served one, the one served before, and one that is to come."""

FIRST, AGAIN, DESCRIBED = "applied", "applied again", "applied with other texts that answer alike"
"""Why a view's state is what it is: it is new, it was dropped before, or only what is said of it changed."""

Change = Literal["new", "changed", "unchanged", "returned", "described"]
"""What applying a view did; described: only texts changed by which it answers alike, such as properties."""

Decision = Callable[[Published | None], Published | None]
"""The next state of a view from its newest one; None where nothing is to be put."""


def next_state(state: Published | None, view: str, new: DefinitionRecord, now: datetime) -> Published | None:
    """The state after a definition is applied: the first one is served from the stream's origin, a changed one is live
    beside the served one until a batch version of it is published. Where it is live already, texts of it that changed
    (properties, comments, what contracts say that makes no other answer) are taken over; None where none did.

    A dropped one is served as it was at last. The epochs that came meanwhile do not list it, so it has a hole until its
    next batch version (a definition that never had one: until its first)."""
    if state is None or state.served is None:
        definition, version = state.dropped if state is not None and state.dropped is not None else ("", None)
        return Published(
            at=now, view=view, definitions=(new,), live=(new.definition,), served=new.definition,
            version=version if definition == new.definition else None, reason=AGAIN if state else FIRST,
        )  # fmt: skip
    if new.definition in state.live:
        return _described(state, new, now)
    live = (*(d for d in state.live if d == state.served), new.definition)
    records = {r.definition: r for r in (*state.definitions, new)}
    return Published(
        at=now, view=view, definitions=tuple(records.values()), live=live, served=state.served, version=state.version,
        reason="applied beside the served definition", pinned=state.pinned,
    )  # fmt: skip


def _described(state: Published, new: DefinitionRecord, now: datetime) -> Published | None:
    """The state with a live definition's texts as they are in `new`; None where they are the same."""
    if new in state.definitions:
        return None
    records = tuple(new if one.definition == new.definition else one for one in state.definitions)
    return Published(
        at=now, view=state.view, definitions=records, live=state.live, served=state.served, version=state.version,
        reason=DESCRIBED, pinned=state.pinned,
    )  # fmt: skip


def served_state(state: Published, definition: str, version: int | None, reason: str, now: datetime) -> Published:
    """The state that serves a definition at a batch version. The one served before stays live, to go back to."""
    live = tuple(dict.fromkeys([definition, *([state.served] if state.served else []), *state.live]))[:KEPT]
    return Published(
        at=now, view=state.view, definitions=state.definitions, live=live, served=definition, version=version,
        reason=reason, pinned=state.pinned,
    )  # fmt: skip


def said_for_good(state: Published, taken: Mapping[str, Frontier]) -> Published:
    """The state whose definitions say where their contracts were handed to them, as far as epochs have said it."""
    records = tuple(
        record.model_copy(update={"handovers": {of: _placed(ones, taken) for of, ones in record.handovers.items()}})
        for record in state.definitions
    )
    return state.model_copy(update={"definitions": records})


def _placed(handovers: Iterable[Handover], taken: Mapping[str, Frontier]) -> tuple[Handover, ...]:
    return tuple(one if one.at is not None else one.model_copy(update={"at": taken.get(one.id)}) for one in handovers)


def pinned_state(state: Published, pinned: bool, now: datetime) -> Published | None:
    """The state in which no run publishes anything, or some may again. None where it is so."""
    if state.pinned == pinned:
        return None
    reason = "pinned by an operator" if pinned else "unpinned by an operator"
    return Published(
        at=now, view=state.view, definitions=state.definitions, live=state.live, served=state.served,
        version=state.version, reason=reason, pinned=pinned,
    )  # fmt: skip


def dropped_state(state: Published, now: datetime) -> Published | None:
    """The state of a view that is served no more, and whose definitions get no epochs. None where it is dropped."""
    if state.served is None:
        return None
    return Published(
        at=now, view=state.view, definitions=state.definitions, live=(), served=None, version=None,
        dropped=(state.served, state.version), reason="dropped by an operator",
    )  # fmt: skip


def decide(lake: Lake, view: str, decision: Decision, lowest: int = 0) -> Published | None:
    """Puts a view's next state, deciding again whenever another put came first. None where there was nothing to put.

    `lowest`: the lowest version that what it serves is made of. Raises OUT_OF_RETENTION where that is withdrawn.
    """
    history = ViewHistory(lake.view_log(view))
    while True:
        following = decision(history.state)
        if following is None:
            return None
        _check_restorable(history, following, lowest)
        reach("view.before-entry")
        following = following.model_copy(update={"by": whoami()})
        try:
            history.log.put_last(history.number + 1, history.whole(following))
        except ConflictError:
            history.load()
            continue
        return following


def _check_restorable(history: ViewHistory, following: Published, lowest: int) -> None:
    """Between the newest entry of the view and the put after it: so nothing can be withdrawn meanwhile."""
    if lowest and following.served is not None and lowest < history.withdrawn.get(following.served, 0):
        raise TerminalError(
            Condition.OUT_OF_RETENTION,
            f"batch version {following.version} of {following.view} is withdrawn",
            hint="choose a version that 'seamline views show' lists",
        )


def drop_view(lake: Lake, view: str, clock: Clock) -> Published | None:
    """An operator's word: the view is served no more, and runs under way for it publish nothing. None where it is
    dropped already. Raises VIEW_UNKNOWN."""

    def decision(state: Published | None) -> Published | None:
        if state is None:
            raise unknown_view(view, list(lake.views()))
        return dropped_state(state, clock())

    return decide(lake, view, decision)


def pin_view(lake: Lake, view: str, pinned: bool, clock: Clock) -> Published | None:
    """An operator's word: what the view serves stays, whatever runs find to do, until the word is taken back (`pinned`
    False). None where it is so already. Raises VIEW_UNKNOWN."""

    def decision(state: Published | None) -> Published | None:
        if state is None:
            raise unknown_view(view, list(lake.views()))
        if state.served is None:
            raise dropped_view(view)
        return pinned_state(state, pinned, clock())

    return decide(lake, view, decision)


@dataclass(frozen=True)
class Applied:
    """What applying one view did."""

    view: str
    definition: str
    change: Change


def apply_views(
    lake: Lake,
    views: Mapping[str, ParsedView],
    contracts: Mapping[str, Contract],
    clock: Clock,
    agree: Agree = none_agree,
) -> list[Applied]:
    """Compiles every view first, so that a wrong one leaves all of them as they were; then one entry a view, first of
    those that go on with a contract which judges records otherwise from a position on."""
    compiled = compile_all(views, contracts)
    states = {view: state for view in lake.views() if (state := ViewHistory(lake.view_log(view)).state) is not None}
    streams = {one.stream for new in compiled.values() for one in new.contracts}
    taken = {one: at for of in streams for one, at in SpeedHistory(lake.speed_log(of)).handovers.items()}
    handing = plan_handing(states, compiled, taken, agree)
    served = {name: state.served for name, state in states.items()}
    names = sorted(compiled, key=lambda name: served.get(name) not in handing.together)
    applied = {name: _apply(lake, name, compiled[name], handing, clock) for name in names}
    return [applied[name] for name in compiled]


def _apply(lake: Lake, name: str, one: Compiled, handing: Handing, clock: Clock) -> Applied:
    as_known, bases = list[str](), _called(lake, one)

    def decision(state: Published | None) -> Published | None:
        # imports after the state: a version that holds one of later is published after another state than this
        imports = tuple(sorted(ArchiveHistory(lake.archive_log(one.contracts[0].stream)).imports))
        new = handing.record(state, one, imports) or recorded(state, one, bases)
        as_known.append(new.definition)
        return next_state(state, name, new, clock())

    put = decide(lake, name, decision)
    return Applied(name, as_known[-1], _change(put))


def _called(lake: Lake, one: Compiled) -> dict[str, str]:
    """What the definitions that one is derived from are called, which are applied before it."""
    found = {}
    for base in one.definition.bases:
        standing = goes_on(ViewHistory(lake.view_log(base.view)).state, Compiled(base, one.contracts))
        found[base.hash] = standing.definition if standing else base.hash
    return found


def _change(put: Published | None) -> Change:
    if put is None:
        return "unchanged"
    if put.reason == AGAIN:
        return "returned"
    return "new" if put.reason == FIRST else "described" if put.reason == DESCRIBED else "changed"


def publish(
    lake: Lake,
    seen: Published,
    definition: str,
    version: int | None,
    reason: str,
    now: datetime,
    lowest: int | None = None,
) -> Published:
    """Serves a definition at a version, if the view still stands as it was `seen`: an operator's word wins.

    What it puts is made of `seen`, which may say more for good by now. `lowest`: the lowest version that it builds on,
    if any. Raises LEDGER_CONFLICT where the view was changed meanwhile, OUT_OF_RETENTION where the version is
    withdrawn.
    """

    def decision(state: Published | None) -> Published:
        if state is None or state.attempt != seen.attempt:
            raise ConflictError(
                Condition.LEDGER_CONFLICT,
                f"view {seen.view} was changed while a version of it was made",
                hint="decide again from the view's newest state",
            )
        return served_state(seen, definition, version, reason, now)

    published = decide(lake, seen.view, decision, lowest or version or 0)
    if published is None:
        raise AssertionError("a decision to publish always puts")
    return published
