"""Serving as a library: the merged answer equals the truth, and a broken chain is never a number."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from handmade import ALL, OTHER, VIEW, Handmade, Row, at, rows
from hypothesis import given, settings
from hypothesis import strategies as st

from seamline.entries.base import Claim
from seamline.errors import Condition, SeamlineError
from seamline.frontier import START
from seamline.segment import Segment, build_chain, check_seam
from seamline.serving.provenance import check_json
from seamline.serving.query import Query
from seamline.serving.serving import Serving
from seamline.serving.tail import FANOUT, EpochRun, Runs, extend


@pytest.fixture
def made(tmp_path: Path) -> Handmade:
    return Handmade(tmp_path)


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for many lakes: their ledgers are apart, file names are unique, and the kernel is kept."""
    return tmp_path_factory.mktemp("lakes")


def ask(serving: Serving, sql: str = ALL, as_of: int | None = None) -> list[dict[str, object]]:
    """Rows; and the answer's provenance must be one chain."""
    answer = serving.query(sql, as_of=as_of)
    for said in answer.provenance.values():
        said.check()
        check_json(said.to_json())
    rows: list[dict[str, object]] = answer.table.to_pylist()
    return rows


def refuses(serving: Serving, condition: Condition, sql: str = ALL, as_of: int | None = None) -> SeamlineError:
    with pytest.raises(SeamlineError) as caught:
        serving.query(sql, as_of=as_of)
    assert caught.value.condition is condition
    return caught.value


def test_epochs_alone_give_the_truth(made: Handmade) -> None:
    for n in range(3):
        made.epoch(rows(20, 20 * n))
    assert ask(made.serving()) == made.truth(made.sent)


def test_a_version_and_the_epochs_after_its_cut_give_the_truth(made: Handmade) -> None:
    for n in range(4):
        made.epoch(rows(10, 10 * n))
    made.version(made.sent[:20], cut=20)
    serving = made.serving()
    assert ask(serving) == made.truth(made.sent)
    chain = serving.snapshot().chain("sales")
    assert (chain.version, chain.cut, chain.reached, chain.epochs) == (1, at(20), at(40), (3, 4))


def test_a_version_without_any_epoch_after_it_gives_the_truth(made: Handmade) -> None:
    made.epoch(rows(10))
    made.version(made.sent, cut=10)
    serving = made.serving()
    assert ask(serving) == made.truth(made.sent)
    assert serving.snapshot().chain("sales").segments == ()


def test_a_version_built_on_another_reads_the_units_of_both(made: Handmade) -> None:
    made.epoch(rows(30))
    first = made.version(rows(10), cut=30)
    made.version(rows(20, 10), cut=30, base=first, unit="2024-05-02")
    assert ask(made.serving()) == made.truth(made.sent)


@pytest.mark.thorough
def test_a_new_version_changes_no_answer_while_epochs_go_on(made: Handmade) -> None:
    serving = made.serving()
    for n in range(40):
        made.epoch(rows(3, 3 * n))
        serving.catch_up()
        assert ask(serving) == made.truth(made.sent)
        if n % 9 == 8:
            made.version(made.sent[: 3 * (n - 4)], cut=3 * (n - 4))
            serving.catch_up()
            assert ask(serving) == made.truth(made.sent)
    assert serving.snapshot().chain("sales").version == 4


def test_a_roll_back_changes_no_answer(made: Handmade) -> None:
    for n in range(6):
        made.epoch(rows(5, 5 * n))
    first = made.version(made.sent[:5], cut=5)
    made.version(made.sent[:20], cut=20)
    serving = made.serving()
    made.publish(first)
    serving.catch_up()
    assert serving.snapshot().chain("sales").cut == at(5)
    assert ask(serving) == made.truth(made.sent)
    made.publish(None)
    serving.catch_up()
    assert ask(serving) == made.truth(made.sent)


def test_a_changed_definition_is_switched_to_in_one_entry(made: Handmade) -> None:
    made.epoch(rows(10))
    serving = made.serving()
    made.view(VIEW.replace("max(placed) AS latest", "min(placed) AS earliest"))
    (new,) = [d for d in made.catalogue.live("main") if d.hash != made.served().hash]
    made.epoch(rows(10, 10))
    serving.catch_up()
    assert "latest" in ask(serving)[0]
    number = made.version(made.sent[:10], cut=10, publish=False)
    made.lake.batch_log(new.hash).put(1, made.lake.batch_log(made.served().hash).read(number))  # type: ignore[arg-type]
    path = made.write(new, made.sent[:10])
    assert path is not None
    made.publish(None, definition=new.hash)
    serving.catch_up()
    refuses(serving, Condition.VIEW_NOT_READY)  # epoch 1 does not list it
    entry = made.lake.batch_log(new.hash).read(1)
    made.put(made.lake.batch_log(new.hash), entry.model_copy(update={"units": {"u": (path,)}}))  # type: ignore[union-attr]
    made.publish(2, definition=new.hash)
    serving.catch_up()
    assert ask(serving) == made.truth(made.sent)


def test_a_compacted_segment_is_used_only_after_the_cut(made: Handmade) -> None:
    for n in range(4):
        made.epoch(rows(10, 10 * n))
    made.compact(2, 3, of=rows(999, 5000))  # something else, so that its use would show
    made.version(made.sent[:20], cut=20)
    assert ask(made.serving()) == made.truth(made.sent)
    made.compact(3, 4)
    made.retire(0, (3, 4))
    fresh = made.serving()
    assert ask(fresh) == made.truth(made.sent)
    assert fresh.snapshot().chain("sales").epochs == (3, 4)


def test_a_running_reader_and_a_fresh_one_agree_after_compaction_and_retirement(made: Handmade) -> None:
    running = made.serving()
    for n in range(20):
        made.epoch(rows(4, 4 * n))
        running.catch_up()
    made.compact(1, 8)
    made.compact(9, 16)
    made.retire(0, (1, 8), (9, 16))
    made.epoch(rows(4, 80))
    running.catch_up()
    assert ask(running) == ask(made.serving()) == made.truth(made.sent)


def test_a_hole_is_an_error_that_names_the_range(made: Handmade) -> None:
    made.epoch(rows(10))
    made.version(made.sent, cut=10)
    made.epoch(rows(10, 10))
    made.epoch(rows(10, 20), start=25)
    error = refuses(made.serving(), Condition.SEAM_HOLE)
    assert error.where == "(orders/0:20] to (orders/0:25]"


def test_a_hole_that_appears_while_running_is_an_error(made: Handmade) -> None:
    made.epoch(rows(10))
    made.version(made.sent, cut=10)
    made.epoch(rows(10, 10))
    serving = made.serving()
    made.epoch(rows(10, 20), skip=[made.served().hash])
    serving.catch_up()
    refuses(serving, Condition.SEAM_HOLE)
    assert serving.status().views["sales"].state == "hole"
    made.version(made.sent, cut=30)
    serving.catch_up()
    assert ask(serving) == made.truth(made.sent)


def test_an_overlap_is_an_error_that_names_the_range(made: Handmade) -> None:
    made.epoch(rows(10))
    serving = made.serving()
    made.epoch(rows(10, 10), start=6)
    serving.catch_up()
    error = refuses(serving, Condition.SEAM_OVERLAP)
    assert "(orders/0:6] to (orders/0:10]" in error.where
    refuses(made.serving(), Condition.SEAM_OVERLAP)


def test_one_broken_view_does_not_stop_another(tmp_path: Path) -> None:
    made = Handmade(tmp_path, VIEW, OTHER)
    made.epoch(rows(10))
    made.epoch(rows(10, 10), skip=[made.served("sales").hash])
    serving = made.serving()
    refuses(serving, Condition.VIEW_NOT_READY)
    assert ask(serving, "SELECT * FROM shops ORDER BY ALL") == made.truth(made.sent, "shops")


def test_a_stream_that_is_read_and_has_no_records_answers_with_no_rows(made: Handmade) -> None:
    assert "seamline run speed" in refuses(made.serving(), Condition.VIEW_NOT_READY).hint
    made.put(made.lake.speed_log("main"), Claim(at=made.clock(), holder="speed"))
    serving = made.serving()
    assert ask(serving) == []
    assert ask(serving, "SELECT count(*) AS n FROM sales") == [{"n": 0}]
    assert ask(serving, "SELECT MEASURE(orders) AS n FROM sales") == [{"n": 0}]
    proof = serving.query(ALL).provenance["sales"]
    proof.check()
    assert (proof.version, proof.reached, proof.links, proof.lag_seconds) == (None, START, (), None)
    made.epoch(rows(10))
    serving.catch_up()
    assert ask(serving) == made.truth(made.sent)


def test_a_view_without_version_and_with_a_hole_is_not_ready(made: Handmade) -> None:
    refuses(made.serving(), Condition.VIEW_NOT_READY)  # no epoch at all
    made.epoch(rows(10), skip=[made.served().hash])
    made.epoch(rows(10, 10))
    error = refuses(made.serving(), Condition.VIEW_NOT_READY)
    assert "batch refresh sales" in error.hint


def test_a_version_published_with_its_epoch_just_before_the_look_is_served_at_once(made: Handmade) -> None:
    made.epoch(rows(10))
    serving = made.serving()
    made.epoch(rows(10, 10))
    made.version(made.sent, cut=20)
    serving.catch_up()
    assert serving.snapshot().chain("sales").cut == at(20)
    assert ask(serving) == made.truth(made.sent)


def test_a_cut_beyond_the_speed_log_is_not_ready_until_its_epoch_is_there(made: Handmade) -> None:
    made.epoch(rows(10))
    made.version(rows(20), cut=20)
    serving = made.serving()
    refuses(serving, Condition.VIEW_NOT_READY)
    made.epoch(rows(10, 10))
    serving.catch_up()
    assert ask(serving) == made.truth(made.sent)


def test_a_version_of_another_kernel_asks_for_a_rebuild(made: Handmade) -> None:
    made.epoch(rows(10))
    made.version(made.sent, cut=10, kernel="duckdb-1.0")
    error = refuses(made.serving(), Condition.KERNEL_VERSION)
    assert "seamline batch rebuild sales" in error.hint


def test_as_of_each_past_epoch_is_the_truth_of_that_prefix(made: Handmade) -> None:
    for n in range(8):
        made.epoch(rows(5, 5 * n))
    made.version(made.sent[:15], cut=15)
    made.version(made.sent[:30], cut=30)
    serving = made.serving()
    for epoch in range(1, 9):
        assert ask(serving, as_of=epoch) == made.truth(made.sent[: 5 * epoch])
        assert serving.snapshot(epoch).chain("sales").reached == at(5 * epoch)
    assert serving.snapshot(4).chain("sales").version == 1
    assert ask(serving) == made.truth(made.sent)


def test_as_of_uses_no_version_that_was_held(made: Handmade) -> None:
    for n in range(8):
        made.epoch(rows(5, 5 * n))
    made.version(made.sent[:10], cut=10)
    made.version(rows(20, 900), cut=20, publish=False)  # held: other rows, to see whether it is used
    made.version(made.sent[:30], cut=30)
    serving = made.serving()
    assert ask(serving, as_of=5) == made.truth(made.sent[:25])
    assert serving.snapshot(5).chain("sales").version == 1


def test_as_of_uses_no_version_that_an_operator_went_back_from(made: Handmade) -> None:
    for n in range(8):
        made.epoch(rows(5, 5 * n))
    first = made.version(made.sent[:10], cut=10)
    made.version(rows(20, 900), cut=20)
    made.publish(first)
    made.version(made.sent[:30], cut=30)
    serving = made.serving()
    assert ask(serving, as_of=5) == made.truth(made.sent[:25])
    assert [serving.snapshot(epoch).chain("sales").version for epoch in (5, 6)] == [1, 3]


def test_as_of_an_epoch_that_no_longer_stands_is_refused_with_those_that_do(made: Handmade) -> None:
    for n in range(8):
        made.epoch(rows(5, 5 * n))
    made.version(made.sent[:10], cut=10)
    made.compact(3, 6)
    made.retire(2, (3, 6))
    serving = made.serving()
    assert ask(serving) == made.truth(made.sent)
    assert ask(serving, as_of=6) == made.truth(made.sent[:30])
    for gone in (1, 4, 9):
        error = refuses(serving, Condition.OUT_OF_RETENTION, as_of=gone)
        assert "6 to 8" in error.detail


def test_an_answer_says_from_which_epoch_on_each_can_be_asked_for(made: Handmade) -> None:
    serving = made.serving()

    def back_to() -> int | None:
        """What it says, which is so."""
        serving.catch_up()
        found = serving.query(ALL).provenance["sales"].back_to
        for epoch in range(found or 9, 9):
            answer = serving.query(ALL, as_of=epoch)
            assert answer.table.to_pylist() == made.truth(made.sent[: 5 * epoch])
            assert answer.provenance["sales"].back_to == found
        return found

    for n in range(8):
        made.epoch(rows(5, 5 * n))
    assert back_to() == 1
    made.version(made.sent[:10], cut=10)
    made.compact(3, 6)
    assert back_to() == 1
    made.retire(2, (3, 6))
    assert back_to() == 7
    assert ask(serving, as_of=6) == made.truth(made.sent[:30]), "that it could be, too, it does not say"
    made.version(made.sent[:40], cut=40)
    made.retire(7)
    assert back_to() == 8


def test_a_snapshot_stays_as_it_was(made: Handmade) -> None:
    made.epoch(rows(10))
    serving = made.serving()
    before = serving.snapshot()
    made.epoch(rows(10, 10))
    made.version(made.sent[:10], cut=10)
    serving.catch_up()
    assert Query(ALL, serving.pool).run(before, serving.clock).table.to_pylist() == made.truth(made.sent[:10])
    assert ask(serving) == made.truth(made.sent)


def test_provenance_says_what_the_answer_rests_on(made: Handmade) -> None:
    made.epoch(rows(10))
    made.version(made.sent, cut=10)
    made.epoch(rows(10, 10))
    made.epoch([])
    made.clock.advance(timedelta(seconds=7))
    said = made.serving().query("SELECT shop, orders FROM sales").provenance.to_json()["sales"]
    check_json(said)
    assert said["version"] == 1
    assert said["definition"] == made.served().hash
    assert (said["cut"], said["reached"]) == ({"orders@id1": {"0": 10}}, {"orders@id1": {"0": 21}})
    assert said["epochs"] == {"first": 2, "last": 3, "count": 2}
    assert (said["lag"]["seconds"], said["lag"]["epoch_seconds"]) == (7.0, 7.0)
    assert said["columns"]["orders"]["exactness"] == "exact"
    assert said["columns"]["amounts"]["exactness"] == "approximate"
    broken = {**said, "links": said["links"][1:]}
    with pytest.raises(SeamlineError, match="SEAM_HOLE"):
        check_json({**broken, "cut": {"orders@id1": {"0": 5}}})
    with pytest.raises(SeamlineError, match="SEAM_HOLE"):
        check_json({**said, "reached": {"orders@id1": {"0": 99}}})


def test_status_says_how_far_streams_and_views_are(made: Handmade) -> None:
    made.epoch(rows(10))
    made.version(made.sent, cut=10)
    made.epoch(rows(10, 10))
    status = made.serving().status({"main": at(27)})
    stream, view = status.streams["main"], status.views["sales"]
    assert (stream.last_epoch, stream.frontier, stream.lag_records) == (2, at(20), 7)
    assert (stream.total.counted, stream.balanced, stream.archive_lag_records) == (20, True, 27)
    assert (view.state, view.version, view.epochs, view.cut, view.drift) == ("ready", 1, 1, at(10), "not compared")
    assert status.to_json()["views"]["sales"]["reached"] == {"orders@id1": {"0": 20}}


@given(st.lists(st.integers(1, 70), min_size=1, max_size=40))
def test_a_tail_stays_one_chain_of_few_runs_however_epochs_come(sizes: list[int]) -> None:
    def merge(tables: Sequence[list[int]]) -> list[int]:
        return [n for table in tables for n in table]

    class Numbers(list[int]):
        @property
        def num_rows(self) -> int:
            return len(self)

    runs: Runs = ()
    number = 0
    for size in sizes:
        first, number = number + 1, number + size
        segment = Segment("d", at(first - 1), at(number), first, number)
        table = Numbers(range(first, number + 1))
        runs = extend(at(0), runs, EpochRun(segment, table), lambda tables: Numbers(merge(tables)))
        check_seam(at(0), [r.segment for r in runs])
        assert [n for r in runs for n in r.table] == list(range(1, number + 1))
    assert all(
        len({r.level for r in runs[n : n + FANOUT]}) > 1
        for n in range(len(runs))
        if len(runs[n : n + FANOUT]) == FANOUT
    )


def test_a_thousand_epochs_are_held_in_few_runs(made: Handmade) -> None:
    runs: Runs = ()
    partials = made.serving()._of(made.served())
    one = partials.load([Segment("d", at(0), at(1), 1, 1)]).table
    for n in range(1, 1001):
        runs = extend(at(0), runs, EpochRun(Segment("d", at(n - 1), at(n), n, n), one), partials.merge)
    assert len(runs) <= 5 * (FANOUT - 1)


@settings(max_examples=max(2, settings().max_examples // 2))
@given(st.data())
def test_any_history_gives_the_truth_to_a_running_and_a_fresh_reader(shared_folder: Path, data: st.DataObject) -> None:
    made = Handmade(shared_folder)
    made.epoch(rows(2))
    running = made.serving()
    published: list[int] = []
    for _ in range(data.draw(st.integers(1, 12))):
        step = data.draw(st.sampled_from(["epoch", "epoch", "epoch", "version", "back", "compact", "look"]))
        if step == "epoch":
            made.epoch(rows(data.draw(st.integers(1, 4)), len(made.sent)))
        elif step == "version":
            cut = made.ends[data.draw(st.integers(1, len(made.ends) - 1))]
            published.append(made.version(made.sent[:cut], cut=cut))
        elif step == "back" and published:
            made.publish(data.draw(st.sampled_from(published)))
        elif step == "compact" and made.number > 1:
            last = data.draw(st.integers(2, made.number))
            made.compact(data.draw(st.integers(1, last - 1)), last)
        else:
            running.catch_up()
            assert ask(running) == made.truth(made.sent)
    running.catch_up()
    fresh = made.serving()
    assert ask(running) == ask(fresh) == made.truth(made.sent)
    past = data.draw(st.integers(1, made.number))
    prefix: list[Row] = made.sent[: made.ends[past]]
    assert ask(running, as_of=past) == made.truth(prefix)
    chain = running.snapshot().chain("sales")
    histories = running._speed["main"]
    proof = build_chain(chain.definition, chain.version, chain.cut, histories.segments(chain.definition), chain.reached)
    assert proof.reached == chain.reached == histories.frontier
    running.close()
    fresh.close()
