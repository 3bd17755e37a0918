"""A new project with commented examples."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from seamline.errors import Condition, UserError
from seamline.operate.contractinfer import Inferred
from seamline.operate.editorschemas import CONTRACT_LINE, schema_files
from seamline.operate.firsttest import first_test
from seamline.operate.firstview import first_view

RENAMED = {"gitignore": ".gitignore"}
"""Files that a package cannot hold under their own name."""

EXAMPLES = ("contracts", "queries", "tests", "views")
"""Folders of the template that a project may have files of its own in place of."""

JOINED = (".gitignore",)
"""Files that a folder without a project may have already."""


def make_project(folder: Path, own: Mapping[Path, str] | None = None) -> list[Path]:
    """Writes the template; returns the files. A .gitignore that is there keeps its lines and gets those it lacks.

    own: contracts, tests and views, by their paths in the project, in place of the template's. Raises UserError
    INPUT_INVALID where anything else of it is there already.
    """
    template = _files(files("seamline.operate") / "templates" / "project")
    template += [(path, text.encode()) for path, text in schema_files().items()]
    if own is not None:
        kept = [(path, content) for path, content in template if path.parts[0] not in EXAMPLES]
        template = [*kept, *((path, text.encode()) for path, text in own.items())]
    wanted = [(folder / path, content) for path, content in template]
    there = [path for path, _ in wanted if path.exists() and path.name not in JOINED]
    if there or (folder.exists() and not folder.is_dir()):
        raise UserError(
            Condition.INPUT_INVALID,
            f"{folder} holds a project already ({there[0].relative_to(folder)})" if there else f"{folder} is a file",
            detail="a new folder, or one that holds no project",
            hint="choose another folder",
            where=str(folder),
        )
    for path, content in wanted:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_joined(path.read_bytes(), content) if path.exists() else content)
    return [path for path, _ in wanted]


def drafted(found: Inferred, events: Path) -> dict[Path, str]:
    """What was drafted of a file of events: a contract, a first view over it and a test of that, as files."""
    view, text = first_view(found.contract)
    return {
        Path(f"contracts/{found.contract.name}.yaml"): f"{CONTRACT_LINE}\n{found.text}",
        Path(f"tests/{view}.yaml"): first_test(events, found.contract, text),
        Path(f"views/{view}.sql"): text,
    }


def _joined(there: bytes, content: bytes) -> bytes:
    """The lines that are there, then those of `content` that are not."""
    lines = there.splitlines(keepends=True)
    known = {line.strip() for line in lines}
    missing = [line for line in content.splitlines(keepends=True) if line.strip() not in known]
    end = b"\n" if missing and there and not there.endswith(b"\n") else b""
    return b"".join([*lines, end, *missing])


def _files(folder: Traversable, inside: Path = Path()) -> list[tuple[Path, bytes]]:
    found = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        path = inside / RENAMED.get(entry.name, entry.name)
        found += _files(entry, path) if entry.is_dir() else [(path, entry.read_bytes())]
    return found
