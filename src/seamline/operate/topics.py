"""What each stream reads from where, and an operator's word about what is gone."""

from __future__ import annotations

from dataclasses import dataclass

from seamline.clock import system_clock
from seamline.entries.topics import Gone, TopicRead
from seamline.history.topics import TopicsHistory
from seamline.schemas.project import Project
from seamline.streaming.kafka import Cluster
from seamline.streaming.reading import accept
from seamline.streaming.reading_plan import Loss


@dataclass(frozen=True)
class StreamTopics:
    """The topics that one stream reads or has left, and what was accepted as gone."""

    stream: str
    read: tuple[TopicRead, ...]
    gone: tuple[Gone, ...]


def topics_of(project: Project) -> list[StreamTopics]:
    """Each stream's, as the ledger has them."""
    histories = {stream: TopicsHistory(project.lake.topics_log(stream)) for stream in project.streams}
    return [StreamTopics(name, tuple(one.read.values()), tuple(one.gone)) for name, one in histories.items()]


def accept_gone(project: Project, stream: str, topic: str, how: Loss) -> tuple[Gone, ...]:
    """Passes over what Kafka no longer has of a topic and was not read; returns it. Raises as `accept` does."""
    cluster = Cluster(project.bootstrap, project.settings.kafka.options)
    try:
        return accept(project.lake, stream, topic, cluster, how, system_clock)
    finally:
        cluster.close()
