"""Rules of the code that no linter knows: where state changes, what a name stands for, and what docstrings say."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from places import ROOT

ROOMS = ("src/seamline", "schemas", "streaming", "jobs", "serving")

CHANGES = {
    # follow the ledger: from entry to entry
    "ArchiveHistory": "_opened _since begins begun claims counts erased frontier imports snapshot tables",
    "Arrivals": "_consumer _topics_at",
    "BatchHistory": "begun by_request forgets gone versions void withdrawn withdrawn_at",
    "History": "_told claim number",
    "SpeedHistory": "epochs frontier last_epoch newest origin",
    "Epochs": "_run lowest",
    "TopicsHistory": "gone read",
    "BackfillHistory": "state",
    "ViewHistory": "_opened _since definitions state",
    "Hints": "_stamps _swept",
    "Writer": "_next _told",
    "Catalogue": "_by_definition _changed",
    "Reach": "_number frontier",
    # the layers and roles: each says in its docstring what changes, and when
    "Archive": "_cleared _unfinished origin shelves",
    "Batches": "_closed _idle_at _quiet_since _were_few error",
    "Following": "_stamp contracts",
    "Duties": "_areas",
    "Every": "_last",
    "Maintenance": "_looked_at",
    "ReadTopics": "_look_at _now",
    "Remembered": "erased kept",
    "Resting": "_next _stood",
    "SpeedRole": "_served",
    "Speed": "_forgot_at forgotten origin plan",
    "Serving": "_behind _current",
    "Follower": "_followed",
    "Publisher": "_last",
    "Access": "_known",
    "AuditLog": "failure",
    "_Followed": "_bytes",
    "_Line": "_open",
    "Certificate": "_newest _stamps",
    # what is held of the world: a connection, a process, a session, the time
    "Broker": "_child _cluster",
    "Cluster": "_client bootstrap",
    "Admission": "_free",
    "Crew": "_closing _forge _loop _news _tended",
    "Cursor": "_moment",
    "Disk": "_named",
    "BoundedConnection": "_late _size",
    "Feed": "_number _seen _views _whole followers",
    "Feeds": "_news _watching",
    "ReadTo": "mark number",
    "_FollowedLine": "bytes events open",
    "Lookups": "_behind_since _ended _indexes",
    "DbapiConnection": "_connection",
    "DbapiCursor": "_asked _at _result",
    "Instance": "users",
    "KafkaEnds": "_known _until",
    "Kernel": "_connection",
    "Ahead": "_error",
    "Member": "_late dead has rows",
    "ServedSnapshots": "_current",
    "SharedValues": "_disk _folder _number",
    "Worker": "_snapshot",
    "ManualClock": "_now",
    "Pulse": "_next away missed",
    "Packs": "_size",
    "SentPlan": "_broadcast _plan",
    "SparkUnits": "_opened _session",
    "Split": "_records",
    "_Renewal": "_mine",
    # the Postgres port: as long as it is open, or one of its connections, statements or answers
    "House": "closing numbers",
    "Listener": "_server",
    "_Clerk": "_process",
    "WireConnection": "_kept",
    "Session": "_reported _skips state",
    "Stop": "gone",
    "Variables": "_before _local _now",
    "Portal": "done tagged",
    "Answered": "_left",
    # read or count through to an end, and are thrown away
    "Counted": "rows",
    "_Cutter": "_head _held",
    "_Fields": "_at",
    "Lineage": "_waiting",
    "_Sink": "_position _written",
    "Traces": "_tracer",
    "Survey": "longest records unclaimed",
    "Verdict": "good",
    "Work": "outcome",
    "_Checker": "_offset measured",
    "_Reader": "at",
    "_Walk": "moving",
    "_WrittenRows": "_length _number",
}
"""Every class that sets attributes of its own after `__init__`, and which. All others stand as they were made."""

SET_FROM_OUTSIDE = {
    "RUN.debug": "the command line's options: one process, one run",
    "RUN.project": "the same",
    "self.context.sni_callback": "ssl's own way to say it",
    "client.check_hostname": "the same",
    "client.verify_flags": "the same",
    "connection.context": "the same",
    "context.check_hostname": "the same",
    "threading.excepthook": "threading's own way to say it",
    "writer.lease": "set once, by the function that makes both",
}
"""Attributes of others that are set, and why."""


class Source(NamedTuple):
    path: Path
    tree: ast.Module

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))


SOURCES = [Source(path, ast.parse(path.read_text())) for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
CLASSES = [(source, node) for source in SOURCES for node in ast.walk(source.tree) if isinstance(node, ast.ClassDef)]


def stored(tree: ast.AST) -> Iterator[ast.Attribute]:
    """Attributes that are set, or deleted, in any form that Python has."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
            yield node


def is_own(attribute: ast.Attribute) -> bool:
    return isinstance(attribute.value, ast.Name) and attribute.value.id == "self"


def own(tree: ast.AST) -> set[str]:
    return {attribute.attr for attribute in stored(tree) if is_own(attribute)}


def fields(node: ast.ClassDef) -> set[str]:
    """What `__init__` sets: its own or a dataclass's."""
    made = [m for m in node.body if isinstance(m, ast.FunctionDef) and m.name == "__init__"]
    declared = {m.target.id for m in node.body if isinstance(m, ast.AnnAssign) and isinstance(m.target, ast.Name)}
    return set().union(declared if not made else set(), *map(own, made))


def changed(node: ast.ClassDef) -> set[str]:
    """What other methods set."""
    methods = [m for m in node.body if isinstance(m, ast.FunctionDef | ast.AsyncFunctionDef) and m.name != "__init__"]
    return set().union(*map(own, methods))


def bases(node: ast.ClassDef) -> Iterator[ast.ClassDef]:
    """A class and those that it is made from."""
    yield node
    for base in node.bases:
        name = base.value if isinstance(base, ast.Subscript) else base
        for _, other in CLASSES:
            if isinstance(name, ast.Name) and other.name == name.id:
                yield from bases(other)


def test_no_attribute_comes_into_being_after_init() -> None:
    late = {
        (source.name, node.name): changed(node) - set().union(*map(fields, bases(node))) for source, node in CLASSES
    }
    assert {where: names for where, names in late.items() if names} == {}


def test_attributes_change_after_init_only_where_it_is_said() -> None:
    found = {node.name: " ".join(sorted(changed(node))) for _, node in CLASSES if changed(node)}
    assert found == CHANGES


def test_no_attribute_is_set_from_outside() -> None:
    found = {ast.unparse(one): source.name for source in SOURCES for one in stored(source.tree) if not is_own(one)}
    assert found.keys() == SET_FROM_OUTSIDE.keys(), found


def is_variable(value: ast.expr) -> bool:
    """Whether it stands for any type: within one signature alone."""
    return isinstance(value, ast.Call) and ast.unparse(value.func) == "TypeVar"


def kinds(tree: ast.Module) -> Iterator[str]:
    """Names of kinds of things that a module defines: classes and aliases of types."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        targets = node.targets if isinstance(node, ast.Assign) and not is_variable(node.value) else []
        yield from (t.id for t in targets if isinstance(t, ast.Name) and t.id[:1].isupper() and not t.id.isupper())


def test_a_name_stands_for_one_kind_of_thing() -> None:
    found = defaultdict[str, list[str]](list)
    for source in SOURCES:
        for name in kinds(source.tree):
            found[name].append(source.name)
    assert {name: where for name, where in found.items() if len(where) > 1} == {}


def test_what_a_field_means_stands_at_the_field() -> None:
    """`name: what it means` in a class's docstring would be the place that nobody looks at."""
    found = []
    for source, node in CLASSES:
        names = [m.target.id for m in node.body if isinstance(m, ast.AnnAssign) and isinstance(m.target, ast.Name)]
        told = ast.get_docstring(node) or ""
        begins = re.compile(r"(?:^|[.;,]\s)\s*`?(\w+)`?(?:, `?\w+`?)*:", re.MULTILINE)
        found += [f"{source.name} {node.name}: {name}" for name in begins.findall(told) if name in names]
    assert not found, "\n".join(found)


ERRORS = {"SeamlineError", "UserError", "TransientError", "TerminalError", "ConflictError"}
SAID = re.compile(r"\b[Rr]aise|[Rr]efuse|[A-Z]{3,}_[A-Z]+")


def public(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    """A module's public functions and methods, each with all that may say what it raises."""
    module = ast.get_docstring(tree) or ""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield f"{module} {ast.get_docstring(node)}", node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            methods = [m for m in node.body if isinstance(m, ast.FunctionDef)]
            for m in methods:
                if m.name == "__init__" or not m.name.startswith("_"):
                    yield f"{module} {ast.get_docstring(node)} {ast.get_docstring(m)}", m


def raises(node: ast.FunctionDef) -> bool:
    """Whether it makes an error of ours itself."""
    made = [r.exc for r in ast.walk(node) if isinstance(r, ast.Raise) and isinstance(r.exc, ast.Call)]
    return any(isinstance(one.func, ast.Name) and one.func.id in ERRORS for one in made)


def test_a_public_function_says_what_it_raises() -> None:
    told = [
        (source, said, node) for source in SOURCES if "/cli/" not in source.name for said, node in public(source.tree)
    ]
    assert [f"{source.name} {node.name}" for source, said, node in told if raises(node) and not SAID.search(said)] == []


def test_no_two_files_of_tests_share_a_name() -> None:
    """pytest imports them by it."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []
