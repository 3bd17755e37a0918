"""The end of the demo: what was answered, beside what is true; and whether all of it holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from seamline.console import say, show_table
from seamline.demo import example
from seamline.demo.mess import Mess
from seamline.demo.truth import Deviation, Prefixes, differences, true_answer
from seamline.demo.witness import Evidence, Witness
from seamline.history.batch import BatchHistory
from seamline.history.speed import SpeedHistory
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.project import Project
from seamline.schemas.views.definition import Definition
from seamline.serving.serving import Serving

SKETCH_BOUND = 0.05
"""Largest relative error shown as good for an approximate column: about three standard errors of 1.6%."""


class Verdict:
    """Collects checks; each is a line with a mark, and all must hold."""

    def __init__(self) -> None:
        self.good = True

    def note(self, holds: bool) -> None:
        """A check that has its line elsewhere."""
        self.good &= holds

    def check(self, holds: bool, what: str) -> None:
        """One line."""
        self.note(holds)
        say(f"  {'✓' if holds else '✗'} {what}")


def prove(
    project: Project,
    witness: Witness,
    records: Sequence[tuple[int, int, bytes | None]],
    unmoved: Sequence[tuple[int, bool]],
    mess: Mess,
    seconds: float,
) -> bool:
    """Prints the whole proof; True only if all of it holds."""
    verdict = Verdict()
    _final_answers(project, verdict)
    say()
    say("While it ran")
    _testimonies(project, witness, records, verdict)
    verdict.check(
        bool(unmoved) and all(same for _, same in unmoved),
        f"{len(unmoved)} answers given before the last batch version were asked again as of their epochs: none moved",
    )
    _ledger(project, len(records), mess, verdict)
    say(f"  took {seconds:.0f} s")
    say()
    say("Every answer was exact." if verdict.good else "NOT everything held: see ✗ above.")
    return verdict.good


def _final_answers(project: Project, verdict: Verdict) -> None:
    files = example.files()
    columns = {f.name: f.sql_type for f in project.contracts[example.CONTRACT].fields}
    rows = []
    for definition, answer in served_answers(project):
        true = true_answer(definition.text, example.CONTRACT, columns, files)
        keys = [c.name for c in definition.columns if not c.aggregate]
        exactness = {c.name: c.exactness for c in definition.columns}
        bounds = {c.name: SKETCH_BOUND for c in definition.columns if c.exactness == "approximate"}
        bounds |= {c.name: 1e-9 for c in definition.columns if c.exactness == "approximate (float)"}
        for found in differences(answer, true, keys, exactness, bounds):
            rows.append(_row(definition.view, found))
            verdict.note(found.holds)
    show_table(
        ["view", "column", "", "groups", "groups that differ", "largest error", "bound", "holds"],
        rows,
        title="Final answers, against DuckDB over the source files",
    )


def _row(view: str, found: Deviation) -> tuple[object, ...]:
    exact = found.exactness == "exact"
    error = "0" if exact and found.holds else ("-" if exact else f"{found.largest:.2%}")
    bound = "0" if exact else f"{found.bound:.2%}"
    return view, found.column, found.exactness, found.groups, found.differing, error, bound, "✓" if found.holds else "✗"


def served_answers(project: Project) -> Iterable[tuple[Definition, Any]]:
    """Each view's definition and its whole answer, asked of a fresh reader of the lake."""
    serving = Serving(project.lake, project.settings)
    for view, state in sorted(serving.catalogue.states.items()):
        definition = serving.catalogue.definition(str(state.served))
        yield definition, serving.query(f'SELECT * FROM "{view}"').table


def _testimonies(
    project: Project, witness: Witness, records: Sequence[tuple[int, int, bytes | None]], verdict: Verdict
) -> None:
    columns = {f.name: f.sql_type for f in project.contracts[example.CONTRACT].fields}
    prefixes = Prefixes(records, columns)
    wrong = [t for t in witness.testimonies if not is_true(t, prefixes)]
    verdict.check(not witness.failures, f"{len(witness.testimonies)} answers asked, every chain unbroken")
    for failure in witness.failures[:3]:
        say(f"      {failure}")
    verdict.check(
        not wrong and len(witness.testimonies) > 0,
        "each equals the truth for exactly the records below the frontier that it names",
    )
    for testimony in wrong[:3]:
        say(f"      epoch {testimony.epoch}: {testimony.values}")
    versions = sorted({t.version for t in witness.testimonies if t.version is not None})
    verdict.check(len(versions) >= 2, f"answers came from batch versions {', '.join(map(str, versions))}")


def is_true(testimony: Evidence, prefixes: Prefixes) -> bool:
    """An answer against the truth below its frontier."""
    frontier = {p.number: offset for p, offset in testimony.reached.items()}
    true = prefixes.ask(example.TRUE_COUNTING, frontier)
    return [int(v or 0) for v in testimony.values[0]] == [int(v or 0) for v in true]


def _ledger(project: Project, sent: int, mess: Mess, verdict: Verdict) -> None:
    speed = SpeedHistory(project.lake.speed_log("main"))
    total = [0, 0, 0, 0]
    for counts in speed.counts.values():
        total = [
            a + b for a, b in zip(total, (counts.read, counts.counted, counts.rejected, counts.duplicate), strict=True)
        ]
    read, counted, rejected, duplicate = total
    verdict.check(
        read == counted + rejected + duplicate == sent,
        f"law 3: {read:,} read = {counted:,} counted + {rejected:,} rejected + {duplicate:,} duplicate; {sent:,} sent",
    )
    verdict.check(
        rejected == mess.count("malformed") and duplicate == mess.count("duplicate"),
        f"that is the mess put in: {mess.count('malformed')} malformed, {mess.count('duplicate')} duplicates",
    )
    for view, state in sorted(Catalogue(project.lake).states.items()):
        batch = BatchHistory(project.lake.batch_log(str(state.served)))
        audits = [version.audit for version in batch.versions.values()]
        verdict.check(
            len(audits) > 0 and all(audit.clean for audit in audits),
            f"audit of {view}: {len(audits)} versions, {sum(a.compared for a in audits)} compared, no drift",
        )
    delays = sorted((e.at - e.newest).total_seconds() for e in speed.epochs.values() if e.newest is not None)
    if delays:
        middle = delays[len(delays) // 2]
        say(f"  freshness: newest record to epoch {middle:.2f} s at the median of {len(delays)} epochs")
