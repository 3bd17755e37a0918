"""What is read of which topic, and where it is left: decided from what the ledger and the cluster say alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore.store import MemoryStore

from seamline.cli.main import execute
from seamline.entries.topics import Gone, TopicRead, Topics
from seamline.errors import Condition, TerminalError
from seamline.frontier import START, Frontier, Partition
from seamline.history.topics import TopicsHistory
from seamline.ledger import Log
from seamline.schemas.project import load_project
from seamline.streaming.kafka import Topic
from seamline.streaming.reading_plan import Found, Reached, WantedTopics, decide, gone_now, leaving, owed, positions

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ORDERS = {"orders": "the contract"}
OLD, NEW, AGAIN = "old@1", "new@2", "old@3"
TOPICS = {source: Topic(*source.split("@"), (0, 1)) for source in (OLD, NEW, AGAIN)}
NONE: WantedTopics = MappingProxyType({})


def at(source: str = OLD, **offsets: int) -> Frontier:
    return Frontier({Partition(source, int(name[1:])): offset for name, offset in offsets.items()})


def history(*read: TopicRead, gone: tuple[Gone, ...] = ()) -> TopicsHistory:
    log = Log(MemoryStore(), "topics/main")
    log.put(1, Topics(at=NOW, read=read, gone=gone))
    return TopicsHistory(log)


def found(earliest: Frontier = START, end: Frontier = START, *sources: str) -> Found:
    known = sources or sorted(earliest.sources | end.sources)
    return Found({s: TOPICS[s] for s in known}, earliest, end)


def read(source: str = OLD, origin: Frontier = START, end: Frontier | None = None) -> TopicRead:
    return TopicRead(source=source, contracts=ORDERS, origin=origin, end=end)


def lost(start: int, end: int, partition: int = 0, source: str = OLD) -> Gone:
    return Gone(source=source, partition=partition, start=start, end=end, known="lost", at=NOW)


def where(history: TopicsHistory, mine: Frontier, there: Found) -> str:
    with pytest.raises(TerminalError) as caught:
        positions(history, mine, {}, there)
    assert caught.value.condition is Condition.RECORDS_EXPIRED
    return caught.value.where


def test_a_topic_that_is_new_to_both_roles_begins_where_it_begins_now() -> None:
    (one,) = decide(history(), {OLD: ORDERS}, NONE, found(at(p0=7)), Reached(START, START))
    assert (one.origin, one.end) == (at(p0=7), None)
    (again,) = decide(history(one), {OLD: ORDERS}, NONE, found(at(p0=9)), Reached(START, START))
    assert again == one, "what has expired since was to be read"


def test_a_topic_that_no_contract_names_is_left_at_its_end_or_where_one_of_both_has_read_to() -> None:
    reached = Reached(at(p0=5, p1=3), at(p0=8, p1=1))
    (kept,) = decide(history(read()), {}, NONE, found(START, at(p0=12, p1=2)), reached)
    assert kept.end == at(p0=12, p1=3)
    (later,) = decide(history(kept), {}, NONE, found(START, at(p0=20, p1=9)), reached)
    assert later == kept, "an end is recorded once"
    (named,) = decide(history(kept), {OLD: ORDERS}, NONE, found(START, at(p0=20)), reached)
    assert named.end is None


def test_a_topic_that_was_left_without_a_word_is_read_to_its_end_where_its_contract_is_known() -> None:
    reached, there = Reached(at(p0=5), at(p0=8)), found(START, at(p0=12))
    (known,) = decide(history(), {}, {"old": ORDERS}, there, reached)
    assert (known.contracts, known.end) == (ORDERS, at(p0=12))
    (unknown,) = decide(history(), {}, NONE, there, reached)
    assert (unknown.contracts, unknown.end) == ({}, at(p0=8))


def test_a_topic_made_again_is_refused_until_the_one_before_it_is_left() -> None:
    there, reached = found(at(AGAIN, p0=0)), Reached(at(p0=5), at(p0=8))
    for known in (history(read()), history()):
        with pytest.raises(TerminalError) as caught:
            decide(known, {AGAIN: ORDERS}, NONE, there, reached)
        assert caught.value.condition is Condition.TOPIC_RECREATED
    assert len(decide(history(read(end=at(p0=8))), {AGAIN: ORDERS}, NONE, there, reached)) == 2


offsets = st.integers(0, 9)
frontiers = st.builds(lambda a, b: at(p0=a, p1=b), offsets, offsets)


@given(frontiers, frontiers, frontiers)
def test_both_roles_come_to_the_same_place_whatever_either_has_read(
    end: Frontier, speed: Frontier, archive: Frontier
) -> None:
    known = history(read(end=end))
    for _ in range(2):
        for mine in ("speed", "archive"):
            reached = Reached(speed, archive) if mine == "speed" else Reached(archive, speed)
            until = leaving(known, reached).get(OLD, reached.mine)
            speed, archive = (until, archive) if mine == "speed" else (speed, until)
    assert speed == archive
    assert end <= speed
    assert not leaving(known, Reached(speed, archive))


def test_what_is_gone_is_named_whether_or_not_the_ledger_knows_its_partition() -> None:
    whole = found(at(p0=3, p1=4), at(p0=9, p1=9))
    assert where(history(read()), at(p0=2, p1=4), whole) == "old/0 [2, 3)"
    assert where(history(read()), at(p0=3), whole) == "old/1 [0, 4)", "added, and expired before it was read"
    assert where(history(read(origin=at(p0=2, p1=4))), START, whole) == "old/0 [2, 3)"
    assert where(history(read()), at(p0=12, p1=4), whole) == "old/0 [9, 12)", "the log has lost its tail"
    assert positions(history(read(origin=at(p0=3, p1=4))), at(p0=5), {}, whole) == at(p0=5, p1=4)


def test_only_what_is_gone_and_was_accepted_is_passed_over() -> None:
    accepted = history(read(), gone=(lost(2, 5),))
    assert positions(accepted, at(p0=2), {}, found(at(p0=3), at(p0=9))) == at(p0=3), "what still stands is read"
    assert positions(accepted, at(p0=7), {}, found(at(p0=5), at(p0=9))) == at(p0=7)
    assert where(accepted, at(p0=2), found(at(p0=6), at(p0=9))) == "old/0 [5, 6)", "more is gone by now"


def test_a_topic_that_is_gone_while_it_is_left_is_named_and_passed_over_once_that_is_accepted() -> None:
    known, until = read(end=at(p0=8)), {OLD: at(p0=8)}
    with pytest.raises(TerminalError) as caught:
        positions(history(known), at(p0=5), until, found())
    assert caught.value.where == "old/0 [5, 8)"
    gone = gone_now(history(known), "old", found(), at(p0=8), at(p0=5), "lost", NOW)
    assert gone == (lost(5, 8),)
    accepted = history(known, gone=gone)
    assert positions(accepted, at(p0=5), until, found()) == START
    assert owed(accepted, Reached(at(p0=5), at(p0=8)), found(), START) == at(p0=8)
    assert gone_now(accepted, "old", found(), at(p0=8), at(p0=5), "lost", NOW) == ()


def test_what_is_accepted_covers_what_either_role_lacks() -> None:
    there = found(at(p0=6, p1=2), at(p0=9, p1=9))
    gone = gone_now(history(read()), "old", there, at(p0=5, p1=4), at(p0=2, p1=4), "lost", NOW)
    assert gone == (lost(2, 6),)
    assert gone_now(history(read()), "new", there, at(p0=5), at(p0=2), "lost", NOW) == ()


@given(frontiers, frontiers, frontiers)
def test_after_an_operators_word_each_role_reads_all_that_stands_and_nothing_twice(
    speed: Frontier, archive: Frontier, earliest: Frontier
) -> None:
    there = found(earliest, at(p0=9, p1=9))
    gone = gone_now(history(read()), "old", there, speed, archive, "lost", NOW)
    for mine in (speed, archive):
        found_at = positions(history(read(), gone=gone), mine, {}, there)
        assert found_at == mine.join(earliest)


def test_the_command_line_shows_what_is_read_what_was_left_and_what_is_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("contracts", "views"):
        (tmp_path / name).mkdir()
    (tmp_path / "seamline.toml").write_text("")
    state = Topics(at=NOW, read=(read(end=at(p0=8)), read(NEW)), gone=(lost(5, 8),))
    load_project(tmp_path).lake.topics_log("main").put(1, state)
    assert execute(["topics", "list", "--project", str(tmp_path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [(one["topic"], one["state"], one["end"]) for one in said["topics"]] == [
        ("old", "left", "old/0:8"),
        ("new", "read", None),
    ]
    assert [(one["topic"], one["start"], one["end"], one["known"]) for one in said["gone"]] == [("old", 5, 8, "lost")]
    assert execute(["topics", "--project", str(tmp_path)]) == 0
    assert "old/0:8" in capsys.readouterr().out
    assert execute(["topics", "accept", "old", "--as", "found", "--project", str(tmp_path)]) == 2
