"""How far a project is: its streams and views as the lake has them, Kafka's ends, and the roles of this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from seamline.errors import SeamlineError
from seamline.frontier import Frontier
from seamline.machine.process import born
from seamline.machine.supervisor import RoleState, State, read_state
from seamline.observe.page import addresses
from seamline.operate.stack import ROLES, roles
from seamline.schemas.project import Project
from seamline.serving.serving import Serving
from seamline.serving.status import Status
from seamline.streaming.kafka import Cluster

ASK_SECONDS = 3.0
"""How long Kafka may take to say where its logs end."""


@dataclass(frozen=True)
class ProjectStatus:
    """A project at one moment."""

    lake: Status

    unknown: str
    """Why it is not known where Kafka's logs end; '' where it is."""

    roles: tuple[RoleState, ...]

    metrics: Mapping[str, str]
    """By process of this machine the page that Prometheus reads."""


def project_status(project: Project) -> ProjectStatus:
    """Reads the lake, and asks Kafka where its logs end; that it does not answer is no error."""
    ends, unknown = log_ends(project)
    lake = Serving(project.lake, project.settings).status(ends)
    return ProjectStatus(lake, unknown, tuple(role_states(project)), addresses(project.state))


def log_ends(project: Project) -> tuple[dict[str, Frontier], str]:
    """Where Kafka's logs of each stream end now; or nothing, and why that is not known."""
    try:
        cluster = Cluster(project.bootstrap, project.settings.kafka.options, patience=ASK_SECONDS)
    except SeamlineError as error:
        return {}, error.message
    try:
        return {
            stream: cluster.end(cluster.topics({c.topic for c in project.contracts_of(stream)}).values())
            for stream in project.streams
        }, ""
    except SeamlineError as error:
        return {}, error.message
    finally:
        cluster.close()


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
