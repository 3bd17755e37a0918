"""How far a project is: its streams and views as the lake has them, Kafka's ends, the roles of this machine, and what
of all that needs attention."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from seamline.clock import system_clock
from seamline.errors import SeamlineError
from seamline.frontier import Frontier
from seamline.jobs.decide import LedgerAsRead, plan_of, read_targets
from seamline.jobs.plan import Nothing
from seamline.machine.process import born
from seamline.machine.supervisor import RoleState, State, read_state
from seamline.observe.page import addresses
from seamline.operate.backfill import UnderWay, under_way
from seamline.operate.keeping import Keeping, all_too_short
from seamline.operate.needs import Need, needs
from seamline.operate.products import kept_as_served
from seamline.operate.stack import ROLES, roles
from seamline.schemas.project import Project
from seamline.serving.serving import Serving
from seamline.serving.status import Status, ViewStatus
from seamline.streaming.kafka import Cluster, TopicKeeps

ASK_SECONDS = 3.0
"""How long Kafka may take to say where its logs end."""


@dataclass(frozen=True)
class ProjectStatus:
    """A project at one moment."""

    lake: Status

    unknown: str
    """Why it is not known where Kafka's logs end; '' where it is."""

    roles: tuple[RoleState, ...]
    backfills: tuple[UnderWay, ...]

    needs: tuple[Need, ...]
    """What needs attention, faults first."""

    keeping: Keeping
    """How long what is kept."""

    metrics: Mapping[str, str]
    """By process of this machine the page that Prometheus reads."""


def project_status(project: Project, serving: Serving | None = None) -> ProjectStatus:
    """Reads the lake, and asks Kafka where its logs end; that it does not answer is no error. `serving`: one of an
    earlier look, which only reads on."""
    said = kafka_says(project)
    if serving is None:
        serving = Serving(project.lake, project.settings)
    else:
        serving.catch_up()
    lake, states, backfills = serving.status(said.ends), tuple(role_states(project)), tuple(under_way(project))
    waiting = why_waiting(project, lake)
    promises = kept_as_served(project.contracts, lake)
    raw = {one.name: one.raw_retention for one in project.contracts.values() if one.raw_retention is not None}
    begins = {name: day for stream in lake.streams.values() for name, day in stream.raw_begins.items()}
    archives = [stream.writers["archive"] for stream in lake.streams.values() if "archive" in stream.writers]
    stays = {name: stay for lease in archives for name, stay in lease.stays.items()}
    keeping = Keeping(said.keeps, said.bootstrap, project.settings, raw, begins, stays)
    short = all_too_short(keeping, lake.streams.values(), system_clock())
    found = needs(lake, states, backfills, waiting, project.settings.archive.max_records, promises, short)
    return ProjectStatus(lake, said.unknown, states, backfills, tuple(found), keeping, addresses(project.state))


def why_waiting(project: Project, lake: Status) -> dict[str, str]:
    """By view whose newest definition is not served yet: why. Decides for these alone, as a refresh would."""
    views = [view for view in lake.views.values() if not view.pinned and {*view.live} - {view.definition}]
    if not views:
        return {}
    ledger = LedgerAsRead.of(project.lake, system_clock())
    return {view.name: why for view in views if (why := _why_waiting(view, ledger))}


def _why_waiting(view: ViewStatus, ledger: LedgerAsRead) -> str:
    """'' where what is not served is what an operator has gone back from."""
    try:
        for target in read_targets(ledger, ledger.catalogue.history(view.name)):  # what waits comes first
            new = target.definition.hash
            if new == view.definition:
                return ""
            plan = plan_of(ledger.catalogue.states[view.name], target, rebuild=False)
            why = plan.reason if isinstance(plan, Nothing) else "the next refresh makes it"
            return f"definition {new} waits for its first version: {why}"
    except SeamlineError as error:
        return error.message
    return ""


@dataclass(frozen=True)
class KafkaSaid:
    """What Kafka says of the streams' topics, by stream; nothing, and why, where it does not."""

    ends: Mapping[str, Frontier]
    """Where their logs end now."""

    keeps: Mapping[str, Mapping[str, TopicKeeps]]
    """By topic how long it keeps its records; nothing where this client may not ask."""

    unknown: str = ""
    bootstrap: str = ""
    """Where it was asked."""


def kafka_says(project: Project) -> KafkaSaid:
    """Asks Kafka: for each stream its topics, where they end, and how long they keep records."""
    try:
        cluster = Cluster(project.bootstrap, project.settings.kafka.options, patience=ASK_SECONDS)
    except SeamlineError as error:
        return KafkaSaid({}, {}, error.message)
    ends, keeps = dict[str, Frontier](), dict[str, dict[str, TopicKeeps]]()
    try:
        for stream in project.streams:
            topics = cluster.topics({c.topic for c in project.contracts_of(stream)}).values()
            ends[stream] = cluster.end(topics)
            with suppress(SeamlineError):  # a client that may read a topic need not be let see its settings
                keeps[stream] = cluster.keeps(topics)
    except SeamlineError as error:
        return KafkaSaid({}, {}, error.message)
    finally:
        cluster.close()
    return KafkaSaid(ends, keeps, bootstrap=cluster.bootstrap)


def role_states(project: Project) -> list[RoleState]:
    """The roles' states as the supervisor last wrote them; those of a supervisor that is gone count as stopped."""
    apart, shared = ([role.name for role in roles(project, {}, shared=shared)] for shared in (False, True))
    known = [*(name for name in shared if name not in apart), *apart]  # whichever way it was started
    found = (read_state(project.state / ROLES, name) for name in known)
    return [alive(state) for state in found if state is not None]


def alive(state: RoleState) -> RoleState:
    """The state, unless its process is gone and nobody has noted it: then nobody looks after it any more."""
    if state.pid is None or born(state.pid) == state.born:
        return state
    return replace(state, state=State.STOPPED, pid=None, reason="its supervisor is gone")
