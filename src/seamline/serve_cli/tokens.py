"""`seamline tokens`: who may ask the serving role."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from seamline.config import load_settings
from seamline.console import note, say, show_json, show_table
from seamline.errors import Condition, UserError
from seamline.kernel import fold
from seamline.schemas.contracts.types import parse_duration
from seamline.schemas.views.text import load_views
from seamline.serve_cli.options import HERE, JsonOption, ProjectOption, examples, group
from seamline.serving.access.grants import Grant
from seamline.serving.access.policies import load_policies
from seamline.serving.access.store import TokenStore, tokens_of
from seamline.serving.callers import CallerLimits
from seamline.serving.saved import load_queries

SPAN = re.compile(r"(\d+)\s*([smhdw])")
WORDS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

TokenArgument = Annotated[str, typer.Argument(help="The token's name: who or what asks with it.")]


def add(app: typer.Typer, program: str = "seamline") -> None:
    """Adds the commands to those of a program."""
    tokens = group(
        "tokens",
        "Tokens: who may ask the serving role, over HTTP and as a Postgres client, and which views.",
        f"{program} tokens create grafana --views repo_activity --expires 90d",
    )
    tokens.command(
        epilog=examples(
            f"{program} tokens create grafana --views orders_by_hour,visits --expires 90d",
            f"{program} tokens create notebook --all",
            f"{program} tokens create kiosk --queries busy_countries --max-queries 1 --max-seconds 5",
        )
    )(create)
    tokens.command(name="list", epilog=examples(f"{program} tokens list", f"{program} tokens list --json"))(list_)
    tokens.command(epilog=examples(f"{program} tokens revoke grafana"))(revoke)
    tokens.command(epilog=examples(f"{program} tokens rotate grafana --grace 1d"))(rotate)
    app.add_typer(tokens)


def create(
    name: TokenArgument,
    views: Annotated[
        str | None,
        typer.Option("--views", metavar="VIEW,...", help="The views it may ask; there are no others for it."),
    ] = None,
    queries: Annotated[
        str | None,
        typer.Option("--queries", metavar="NAME,...", help="Saved queries it may ask, whatever views these read."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="It may ask every view, those too that come later.")] = False,
    operate: Annotated[
        bool, typer.Option("--operate", help="It may change things too. Nothing over HTTP does so yet.")
    ] = False,
    attributes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="What row policies know it by: country=DE. Again for others."),
    ] = None,
    queries_at_a_time: Annotated[
        int | None, typer.Option("--max-queries", min=1, metavar="N", help="Queries at a time.")
    ] = None,
    queue: Annotated[int | None, typer.Option("--max-queue", min=0, metavar="N", help="Queries that may wait.")] = None,
    seconds: Annotated[
        int | None, typer.Option("--max-seconds", min=1, metavar="N", help="Seconds of a query.")
    ] = None,
    memory: Annotated[
        int | None, typer.Option("--max-memory", min=64, metavar="N", help="MiB of memory of a query.")
    ] = None,
    rows: Annotated[int | None, typer.Option("--max-rows", min=1, metavar="N", help="Rows of an answer.")] = None,
    megabytes: Annotated[int | None, typer.Option("--max-mb", min=1, metavar="N", help="MiB of an answer.")] = None,
    live: Annotated[
        int | None, typer.Option("--max-live", min=0, metavar="N", help="Live questions at a time.")
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option("--expires", metavar="SPAN", help="For how long it holds: 12h, 30d, 8w.", show_default="for ever"),
    ] = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Make a token, and print it: it is shown this once, only hashes of it are kept."""
    store = _store(project)
    saved = _names("--queries", queries)
    named = _views(views, every, saved)
    lasts = None if expires is None else _span("--expires", expires)
    said = _attributes(attributes or [])
    limits = CallerLimits(
        queries=queries_at_a_time, queue=queue, seconds=seconds, memory_mb=memory, rows=rows, mb=megabytes, live=live
    )
    token, text = store.create(
        name, views=named, queries=saved, limits=limits, operate=operate, lasts=lasts, attributes=said
    )
    for one in _unheard_of(project, named or ()):
        note(f"warning: no file of this project makes a view {one}")
    for one in _unsaved(project, saved):
        note(f"warning: no file of this project is a saved query {one}")
    for view, lacking in _lacking(project, token):
        note(f"warning: the policy of {view} asks for token.{lacking}, which this token lacks: it is NULL there")
    _show_new(store, token, text, as_json)


def list_(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """List the tokens: what each may see, and whether it holds."""
    store = _store(project)
    found = [one.to_json(store.clock()) for one in store.read().tokens]
    if as_json:
        show_json(found)
    elif not found:
        say("no token was made: serving answers this machine alone, and asks nobody who they are")
    else:
        columns = ("token", "state", "views", "queries", "operate", "made", "expires", "former secret until")
        show_table(
            columns,
            [
                (one["name"], one["state"], _words(one["views"]), _words(one["queries"]),
                 "yes" if one["operate"] else "", *(_minute(one[key]) for key in ("made", "expires", "former_until")))
                for one in found
            ],
        )  # fmt: skip


def revoke(name: TokenArgument, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Revoke a token: it is refused from the next request on. Its name stays taken."""
    store = _store(project)
    said = store.revoke(name).to_json(store.clock())
    show_json(said) if as_json else say(f"token {name} is revoked, since {_minute(said['revoked'])} UTC")


def rotate(
    name: TokenArgument,
    grace: Annotated[
        str, typer.Option("--grace", metavar="SPAN", help="For how long the former one still holds: 0s, 12h, 7d.")
    ] = "1d",
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Give a token a new secret, and print it. The former one holds for a while, so that clients can change over."""
    store = _store(project)
    token, text = store.rotate(name, _span("--grace", grace))
    _show_new(store, token, text, as_json)


def _store(folder: Path) -> TokenStore:
    return tokens_of(folder.absolute(), load_settings(folder.absolute()))


def _show_new(store: TokenStore, token: Grant, text: str, as_json: bool) -> None:
    if as_json:
        show_json({**token.to_json(store.clock()), "token": text})
        return
    say(text)
    may = ["every view"] if token.views is None else [*token.views, *(f"query {one}" for one in token.queries)]
    until = "" if token.expires is None else f", until {token.expires:%Y-%m-%d %H:%M} UTC"
    kept = f"this is shown once, and only hashes are kept in {store.path}"
    note(f"token {token.name} may ask {', '.join(may)}{until}; {kept}")


def _attributes(said: Sequence[str]) -> dict[str, str]:
    pairs = [one.partition("=") for one in said]
    for name, found, _ in pairs:
        if not found or sum(fold(other) == fold(name) for other, *_ in pairs) > 1:
            raise UserError(
                Condition.INPUT_INVALID, f"--set {name}", detail="NAME=VALUE, each name once", hint="--set country=DE"
            )
    return {name: value for name, _, value in pairs}


def _lacking(folder: Path, token: Grant) -> list[tuple[str, str]]:
    """By view that it may ask, the attributes that its policy asks for and the token lacks."""
    return [
        (view, name)
        for view, policy in load_policies(folder).items()
        if token.views is None or view in token.views or token.queries
        for name in sorted({name for *_, name in policy.attributes} - token.attributes.keys())
    ]


def _views(views: str | None, every: bool, queries: Sequence[str]) -> list[str] | None:
    """None for all. A token of saved queries alone has none."""
    named = _names("--views", views)
    if (every and (named or queries)) or not (every or named or queries):
        also = "--views" if named else "--queries"
        raise UserError(
            Condition.INPUT_INVALID,
            f"{also} and --all" if every else "a token for no view",
            detail="--views VIEW,... or --all, or --queries NAME,... of saved queries",
            hint="say which views it may ask",
        )
    return None if every else named


def _names(option: str, said: str | None) -> list[str]:
    named = [one.strip() for one in (said or "").split(",") if one.strip()]
    for one in named:
        if not one.isprintable() or len(one) > 200:
            raise UserError(Condition.INPUT_INVALID, f"{option} {one[:60]!r}", hint="separate names by commas")
    return named


def _unsaved(folder: Path, named: Sequence[str]) -> list[str]:
    known = load_queries(folder) if named else {}
    return [one for one in named if one not in known]


def _unheard_of(folder: Path, named: Sequence[str]) -> list[str]:
    """Names of no view of the project's files; none where these cannot be read, or are not here, as where it is only
    served."""
    try:
        known = {fold(one) for one in load_views(folder / "views")}
    except UserError:
        return []
    return [one for one in named if known and fold(one) not in known]


def _span(option: str, text: str) -> timedelta:
    short = SPAN.fullmatch(text.strip())
    found = parse_duration(f"{short[1]} {WORDS[short[2]]}" if short else text)
    if found is None:
        raise UserError(
            Condition.INPUT_INVALID,
            f"{option} {text!r}",
            detail="a number of s, m, h, d or w, up to a century: 12h, 30d",
            hint=f"write it as {option} 30d",
        )
    return found


def _words(views: Sequence[str] | None) -> str:
    return "(all)" if views is None else ", ".join(views)


def _minute(at: str | None) -> str:
    return "" if at is None else at[:16].replace("T", " ")
