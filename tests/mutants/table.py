"""Which tests judge a module, the changes that were once found to pass unseen (each must be killed, by name), and those
that no test can notice, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass

JUDGES: dict[str, tuple[str, ...]] = {
    "src/seamline/frontier.py": ("test_frontier.py", "test_segment.py"),
    "src/seamline/attempts.py": ("test_spared.py", "test_batch_plan.py", "test_retention.py", "test_compact.py"),
    "src/seamline/objects.py": ("test_ledger.py", "test_disk.py", "test_lake_files.py"),
    "src/seamline/hints.py": ("test_hints.py",),
    "src/seamline/ledger.py": ("test_ledger.py", "test_disk.py", "test_claims.py"),
    **{
        f"src/seamline/history/{log}.py": (
            "test_history.py",
            "test_ledger.py",
            "test_needed.py",
            "test_segment.py",
            "test_spared.py",
        )
        for log in ("base", "speed", "archive", "topics", "batch", "views")
    },
    "streaming/speed/compact.py": ("test_compact.py", "test_needed.py", "test_spared.py", "test_speed.py"),
    "streaming/speed/dedup.py": ("test_dedup.py", "test_recall.py"),
    "streaming/speed/epoch.py": ("test_epoch.py", "test_speed.py", "test_spared.py", "test_disk.py", "test_recall.py"),
    "streaming/archive/merges.py": ("test_merges.py",),
    "streaming/archive/vacuum.py": ("test_vacuum.py",),
    "streaming/stream_plan.py": ("test_stream_plan.py", "test_derived_layers.py", "test_speed.py", "test_recall.py"),
    "jobs/plan.py": ("test_batch_plan.py", "test_batch.py"),
    "jobs/decide.py": ("test_decide.py", "test_run.py", "test_batch.py"),
    "jobs/reserve.py": ("test_batch_plan.py", "test_publish.py", "test_run.py", "test_batch.py"),
    "jobs/publish.py": ("test_publish.py", "test_disk.py", "test_run.py", "test_batch.py"),
    "jobs/compare.py": ("test_compared.py", "test_slices.py", "test_audit.py"),
    "jobs/retention.py": ("test_retention.py", "test_retention_frozen.py", "test_spared.py"),
    "serving/guard.py": ("test_guard.py", "test_query.py", "test_named.py", "test_confined.py"),
}
"""Tests without Spark and broker, the quickest first: the first that fails ends a mutant."""


@dataclass(frozen=True)
class Known:
    """In `module`, `before` (which stands there once) becomes `after`."""

    name: str
    module: str
    before: str
    after: str
    judges: tuple[str, ...]


KNOWN = (
    Known(
        "of copies in a file, one of a later portion counts", "src/seamline/operate/trial.py",
        "range(records, records + len(values))", "range(len(values))", ("test_trial.py",),
    ),
    Known(
        "copies byte for byte count against an event id", "schemas/contracts/observed.py",
        "unique=not copy", "unique=True", ("test_contract_infer.py",),
    ),
    Known(
        "a vacuum takes what a batch version read", "streaming/archive/vacuum.py",
        "pin < oldest and stands", "pin < 0 and stands", ("test_vacuum.py",),
    ),
    Known(
        "a vacuum takes a version that was named until lately", "streaming/archive/vacuum.py",
        "*range(oldest, newest + 1), max", "newest, max", ("test_vacuum.py",),
    ),
    Known(
        "files that stand are put together again", "streaming/archive/merges.py",
        "one.rows <= ratio * rows", "one.rows >= 0", ("test_merges.py",),
    ),
    Known(
        "compaction crosses a reserved cut", "streaming/speed/compact.py",
        "        cuts += [reserved.cut for reserved in batch.held(now)]\n", "", ("test_spared.py",),
    ),
    Known(
        "compaction crosses any cut", "streaming/speed/compact.py",
        "if stretch and (number in divided or ", "if stretch and (",("test_spared.py",),
    ),
    Known(
        "a writer never gives up by age", "src/seamline/attempts.py",
        "    if now - began > swept_after / 2:\n", "    if False:\n", ("test_spared.py",),
    ),
    Known(
        "no writer asks for its age", "streaming/speed/epoch.py",
        "    check_age(began, speed.clock())\n", "", ("test_spared.py",),
    ),
    Known(
        "a topic is never another", "streaming/kafka.py",
        "            if topic.source != wanted[name]:\n", "            if False:\n", ("test_spared.py",),
    ),
    Known(
        "retention forgets the served version", "jobs/retention.py",
        "history.versions, now), served, *held", "history.versions, now), *held",
        ("test_spared.py",),
    ),
    Known(
        "no grace", "streaming/speed/compact.py",
        "GRACE = timedelta(hours=1)", "GRACE = timedelta(0)", ("test_spared.py",),
    ),
    Known(
        "a view outside a token's grant is there", "serving/snapshot.py",
        "if caller.views is None or name in caller.views}", "}", ("test_who_may_ask.py",),
    ),
    Known(
        "a query's condition is tried on rows that a policy hides", "serving/cursor.py",
        ") LIMIT {EVERY}", ")", ("test_row_policies.py",),
    ),
    Known(
        "answers of one policy are those of another", "serving/snapshot.py",
        "self.base, self.back_to, self.where)", "self.base, self.back_to)", ("test_who_may_ask.py",),
    ),
    Known(
        "a token holds at the instant at which it expires", "serving/access/grants.py",
        "self.expires <= now", "self.expires < now", ("test_tokens.py",),
    ),
    Known(
        "a former secret holds at the instant at which its grace ends", "serving/access/grants.py",
        "now < self.until", "now <= self.until", ("test_tokens.py",),
    ),
    Known(
        "whoever removes the file of tokens lets everybody in", "serving/access/authentication.py",
        "required or stamp is not None", "stamp is not None", ("test_tokens.py",),
    ),
    Known(
        "half an answer is taken for a whole one", "src/seamline/client/remote.py",
        " or not data.endswith(END_OF_STREAM)", "", ("test_python_client.py",),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Equivalent:
    """Changes of `module` that nobody can observe: those called `what` in the line that reads `line`, and why."""

    module: str
    line: str
    what: str
    reason: str


_WAITS = "how long a store that is away is waited for: no outcome hangs on a second of it"
_SLICES = "in one slice or in many, the same is found"
_COSTS = "only more is done for the same outcome"

EQUIVALENT = (
    Equivalent(
        "src/seamline/objects.py", "wait=wait_exponential_jitter(multiplier=0.05, max=2),", "2 becomes 3", _WAITS,
    ),
    Equivalent("src/seamline/objects.py", "stop=stop_after_delay(20),", "20 becomes 21", _WAITS),
    Equivalent(
        "src/seamline/ledger.py",
        "if self._disk is None or payload is None or not self._is_torn(payload) or self.last() > number:",
        "> becomes >=", "at this very number a whole entry stands by then, and such a one is not set aside",
    ),
    Equivalent(
        "streaming/speed/dedup.py", "MOST = 50_000_000", "50000000 becomes 50000001", "one id more in 1 GB of memory",
    ),
    Equivalent(
        "streaming/speed/dedup.py", "needed: int = 0", "0 becomes 1", "the first second of 1970 is as long ago as none",
    ),
    Equivalent(
        "streaming/speed/epoch.py", "self._forgot_at = clock() - FORGET_EVERY", "- becomes +",
        "a minute ahead is as far off as a minute ago: the first batch looks",
    ),
    Equivalent(
        "streaming/speed/epoch.py", "return tuple(one for one in self.plan.decodings if one.decoding in found)",
        "the comprehension's condition is True", _COSTS,
    ),
    Equivalent(
        "streaming/speed/epoch.py",
        "merges[definition].table(speed.lake, speed.engine, tables) if len(tables) > 1 else tables[0]",
        "the condition is True", _COSTS,
    ),
    Equivalent(
        "streaming/speed/epoch.py",
        "merges[definition].table(speed.lake, speed.engine, tables) if len(tables) > 1 else tables[0]",
        "> becomes >=", _COSTS,
    ),
    Equivalent(
        "jobs/compare.py",
        'spills = not any(re.search(r"\\[|STRUCT|MAP", column.sql_type) for column in definition.partial_columns)',
        "not goes", _SLICES,
    ),
    Equivalent("jobs/compare.py", "size = 0 if spills else sum(map(weight, inputs.values()))", "0 becomes 1", _SLICES),
    Equivalent(
        "jobs/compare.py", "size = 0 if spills else sum(map(weight, inputs.values()))", "the condition is False",
        _SLICES,
    ),
    Equivalent("jobs/retention.py", "ATTEMPTS = 3", "3 becomes 4", "what one pass leaves, the next pass does"),
    Equivalent("jobs/retention.py", "below: int = 0", "0 becomes 1", "a log's first entry is 1: none is below either"),
    Equivalent("serving/guard.py", 'if key != "cte_map":', "the condition is True", _COSTS),
    Equivalent(
        "serving/guard.py",
        'if len(path) > 1 or any(node.get(key) for key in ("catalog", "catalog_name", "schema", "schema_name")):',
        "1 becomes 2", "a tree says a qualified name in two ways, and either is enough",
    ),
    Equivalent(
        "serving/guard.py", "depth, inside = 0, list[int]()", "0 becomes 1", "depths are compared with each other",
    ),
)  # fmt: skip
