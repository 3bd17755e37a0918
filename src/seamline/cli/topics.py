"""`seamline topics`: what each stream reads from where, and an operator's word about what is gone."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from seamline.console import note, say, show_json, show_table
from seamline.entries.topics import Gone, TopicRead
from seamline.operate.topics import accept_gone, topics_of
from seamline.schemas.project import load_project
from seamline.serve_cli.options import HERE, JsonOption, ProjectOption, StreamOption, examples, group

MAIN = "main"


def add(app: typer.Typer) -> None:
    """Adds the group."""
    commands = group("topics", "The topics that streams read, and have left.", "seamline topics list")
    commands.callback(invoke_without_command=True)(topics)
    commands.command(name="list", epilog=examples("seamline topics list --json"))(list_topics)
    commands.command(name="accept", epilog=examples("seamline topics accept orders --as lost"))(accept)
    app.add_typer(commands)


def topics(context: typer.Context, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """The topics that streams read."""
    if context.invoked_subcommand is None:
        list_topics(project, as_json)


def list_topics(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """List the topics: which contracts read them, which are left at what end, and what was accepted as gone."""
    loaded = load_project(project)
    found = topics_of(loaded)
    read = [_read(each.stream, one) for each in found for one in each.read]
    gone = [_gone(each.stream, one) for each in found for one in each.gone]
    if as_json:
        show_json({"topics": read, "gone": gone})
        return
    columns = ("stream", "topic", "id", "contracts", "state", "end")
    show_table(columns, [[one[column] for column in columns] for one in read])
    if gone:
        say()
        show_table(tuple(gone[0]), [tuple(one.values()) for one in gone])


def accept(
    topic: Annotated[str, typer.Argument(help="The topic's name.")],
    how: Annotated[
        Literal["lost", "imported"],
        typer.Option("--as", help="lost: nobody has the records any more; imported: a file of them was."),
    ],
    project: ProjectOption = HERE,
    stream: StreamOption = MAIN,
    as_json: JsonOption = False,
) -> None:
    """Pass over what Kafka no longer has of a topic and was not read: one entry, for speed and archive.

    Only what is gone now is passed over; what still stands is read. It is shown in 'seamline status' and with every
    answer that covers it.
    """
    gone = accept_gone(load_project(project), stream, topic, how)
    if as_json:
        show_json([_gone(stream, one) for one in gone])
        return
    for one in gone:
        say(f"{topic}/{one.partition}: offsets {one.start} to {one.end} are passed over as {one.known}")
    if not gone:
        say(f"{topic}: the topic of before is left; nothing of it was unread")
    note("start the roles again: 'seamline up', or 'seamline run speed' and 'seamline run archive'")


def _read(stream: str, read: TopicRead) -> dict[str, Any]:
    name, _, topic_id = read.source.partition("@")
    return {
        "stream": stream,
        "topic": name,
        "id": topic_id,
        "contracts": ", ".join(sorted(read.contracts)) or None,
        "state": "read" if read.end is None else "left",
        "end": None if read.end is None else str(read.end),
    }


def _gone(stream: str, gone: Gone) -> dict[str, Any]:
    return {"stream": stream, **gone.said()}
