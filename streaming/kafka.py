"""The Kafka side: topics and their ids, offsets, and whether a frontier can still be read.

Everything here is asked through kafka-python; records themselves are read by Spark. A cluster that does not answer is
tried again for a while, then BROKER_UNAVAILABLE (transient).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, OffsetSpec
from kafka.errors import KafkaConfigurationError, KafkaError, TopicAlreadyExistsError, UnknownTopicOrPartitionError
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from seamline.errors import Condition, TerminalError, TransientError, UserError
from seamline.frontier import Frontier, Partition, topic_of, topic_source
from seamline.streaming.clients import REFUSALS, python_options, refused, turned_away
from seamline.streaming.gaps import first_records

FALL_BEHIND = timedelta(days=1)
"""A compacted topic is read only if compaction leaves records alone for at least this long."""

PATIENCE = 10.0
"""Seconds that a cluster may take to answer before it counts as unavailable. A role then waits for it (pulse.py)."""

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Topic:
    """A topic as the cluster has it now."""

    name: str
    id: str

    partitions: tuple[int, ...]
    """Numbers, in order."""

    @property
    def source(self) -> str:
        """`name@id`."""
        return topic_source(self.name, self.id)


@dataclass(frozen=True)
class TopicKeeps:
    """How long a topic keeps its records."""

    seconds: float | None
    """None: for ever."""

    bytes: int | None
    """Of a partition, at most; None: without a bound."""


def topic_keeps(settings: Mapping[str, str]) -> TopicKeeps:
    """By its settings, in Kafka's names. A topic that is compacted alone removes nothing for its age. Pure."""
    deletes = "delete" in settings.get("cleanup.policy", "delete")
    times, most = (int(settings.get(name, "-1")) for name in ("retention.ms", "retention.bytes"))
    return TopicKeeps(times / 1000 if deletes and times >= 0 else None, most if deletes and most >= 0 else None)


def _retrying(
    method: Callable[Concatenate[Cluster, Arguments], Result],
) -> Callable[Concatenate[Cluster, Arguments], Result]:
    """Tries again while the cluster does not answer, then raises BROKER_UNAVAILABLE; KAFKA_AUTH at once where it turns
    this client away. A stale connection is dropped."""

    @wraps(method)
    def tried(self: Cluster, *arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        def once() -> Result:
            try:
                return method(self, *arguments, **named)
            except KafkaConfigurationError as error:
                raise UserError(Condition.CONFIG_INVALID, f"kafka.options: {error}", hint="correct them") from error
            except (KafkaError, OSError) as error:
                self.close()
                why = error if isinstance(error, REFUSALS) else turned_away(self.bootstrap, self.options)
                raise (refused(self.bootstrap, why) if why else _unavailable(self.bootstrap, error)) from error

        attempts = Retrying(
            retry=retry_if_exception_type(TransientError),
            wait=wait_exponential_jitter(multiplier=0.1, max=3),
            stop=stop_after_delay(self.patience),
            reraise=True,
        )
        return attempts(once)

    return cast("Callable[Concatenate[Cluster, Arguments], Result]", tried)


class Cluster:
    """A Kafka cluster by its address. `options` are client options in Kafka's own names."""

    def __init__(self, bootstrap: str, options: Mapping[str, str] | None = None, patience: float = PATIENCE) -> None:
        self.bootstrap = bootstrap
        self.options = dict(options or {})
        self.patience = patience
        self._client: KafkaAdminClient | None = None

    def close(self) -> None:
        """Drops the connection; the next question opens another."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def move(self, bootstrap: str) -> None:
        """It is found at another address from now on."""
        if bootstrap != self.bootstrap:
            self.close()
            self.bootstrap = bootstrap

    @_retrying
    def ping(self) -> None:
        """Returns where it answers; raises BROKER_UNAVAILABLE where it does not."""
        self._admin().describe_cluster()

    @_retrying
    def topics(self, names: Iterable[str]) -> dict[str, Topic]:
        """Topics by name. Raises TOPIC_MISSING with the names that are not there."""
        wanted = sorted(set(names))
        found = self.existing(wanted)
        missing = [name for name in wanted if name not in found]
        if missing:
            raise TerminalError(
                Condition.TOPIC_MISSING,
                f"topic {', '.join(missing)} is not in the cluster at {self.bootstrap}",
                hint="create it, or let 'seamline up' do so; a contract's seamline.topic names its topic",
            )
        return found

    @_retrying
    def existing(self, names: Iterable[str]) -> dict[str, Topic]:
        """Those topics that the cluster has, by name."""
        return {topic.name: topic for topic in self._described(sorted(set(names)))}

    @_retrying
    def create_missing(
        self, names: Iterable[str], partitions: int, settings: Mapping[str, str] | None = None
    ) -> list[str]:
        """Creates the topics that are not there, with settings in Kafka's own names; returns their names."""
        wanted = sorted(set(names))
        known = {topic.name for topic in self._described(wanted)}
        missing = [name for name in wanted if name not in known]
        if missing:
            try:
                self._admin().create_topics(
                    {
                        name: {"num_partitions": partitions, "replication_factor": -1, "configs": dict(settings or {})}
                        for name in missing
                    },
                    wait_for_metadata=True,
                )
            except TopicAlreadyExistsError:
                return []
        return missing

    @_retrying
    def earliest(self, topics: Iterable[Topic]) -> Frontier:
        """The first offset that each partition still has."""
        return self._offsets(topics, OffsetSpec.EARLIEST, committed=False)

    @_retrying
    def end(self, topics: Iterable[Topic], *, committed: bool = True) -> Frontier:
        """The next offset of each partition; `committed`: up to the first transaction that is still open."""
        return self._offsets(topics, OffsetSpec.LATEST, committed=committed)

    @_retrying
    def first_records(self, positions: Frontier, topics: Iterable[Topic], ends: Frontier) -> Frontier:
        """For each of `positions` where the first committed record at or after it lies, or how far there is none.

        `ends`: those of `end`. What was passed will never hold a record."""
        places = {TopicPartition(t.name, n): Partition(t.source, n) for t in topics for n in t.partitions}
        wanted = {there: positions[at] for there, at in places.items() if at in positions}
        found = first_records(self.bootstrap, self.options, wanted, {there: ends[places[there]] for there in wanted})
        return Frontier({places[there]: offset for there, offset in found.items()})

    def check_ids(self, sources: Iterable[str]) -> None:
        """Raises TOPIC_RECREATED where a topic is not the one it was, with both ids."""
        wanted = {topic_of(source): source for source in sources}
        for name, topic in self.topics(wanted).items():
            if topic.source != wanted[name]:
                raise recreated(name, wanted[name], topic)

    @_retrying
    def keeps(self, topics: Iterable[Topic]) -> dict[str, TopicKeeps]:
        """How long each topic keeps its records, by name."""
        found = self._settings(topics, ("cleanup.policy", "retention.ms", "retention.bytes"))
        return {name: topic_keeps(settings) for name, settings in found.items()}

    @_retrying
    def check_compaction(self, topics: Iterable[Topic]) -> None:
        """Raises TOPIC_COMPACTED where compaction may remove records before they are read."""
        for name, settings in self._settings(topics, ("cleanup.policy", "min.compaction.lag.ms")).items():
            lag = int(settings.get("min.compaction.lag.ms", "0"))
            if "compact" in settings.get("cleanup.policy", "") and lag < FALL_BEHIND / timedelta(milliseconds=1):
                raise TerminalError(
                    Condition.TOPIC_COMPACTED,
                    f"topic {name} is compacted (cleanup.policy {settings['cleanup.policy']}) after {lag} ms",
                    detail=f"cleanup.policy delete, or min.compaction.lag.ms of at least {FALL_BEHIND}",
                    hint="set min.compaction.lag.ms longer than the archive may fall behind: "
                    "compaction removes records before they are read",
                    where=name,
                )

    @_retrying
    def settings(self, topics: Iterable[Topic], names: Iterable[str]) -> dict[str, dict[str, str]]:
        """Some settings of topics as they stand, by topic."""
        return self._settings(topics, names)

    def _settings(self, topics: Iterable[Topic], names: Iterable[str]) -> dict[str, dict[str, str]]:
        asked = dict.fromkeys(names)
        resources = [ConfigResource(ConfigResourceType.TOPIC, t.name, dict(asked)) for t in topics]
        return _values(self._admin().describe_configs(resources, config_filter="all")) if resources else {}

    def _described(self, names: list[str]) -> list[Topic]:
        try:
            described = self._admin().describe_topics(names) if names else []
        except UnknownTopicOrPartitionError:
            described = [one for name in names for one in self._described_one(name)]
        return [_topic(one) for one in described if not one.get("error_code") and one["partitions"]]

    def _described_one(self, name: str) -> list[dict[str, Any]]:
        try:
            return list(self._admin().describe_topics([name]))
        except UnknownTopicOrPartitionError:
            return []

    def _offsets(self, topics: Iterable[Topic], spec: int, *, committed: bool) -> Frontier:
        sources = {topic.name: topic.source for topic in topics}
        wanted = {TopicPartition(t.name, n): spec for t in topics for n in t.partitions}
        if not wanted:
            return Frontier()
        level = "read_committed" if committed else "read_uncommitted"
        found = self._admin().list_partition_offsets(wanted, isolation_level=level)
        return Frontier({Partition(sources[at.topic], at.partition): one.offset for at, one in found.items()})

    def _admin(self) -> KafkaAdminClient:
        if self._client is None:
            timeouts = {
                "request_timeout_ms": min(10_000, int(1000 * self.patience)),
                "bootstrap_timeout_ms": min(5_000, int(1000 * self.patience)),
            }
            given = {**timeouts, **python_options(self.options)}
            self._client = KafkaAdminClient(bootstrap_servers=self.bootstrap.split(","), **given)
        return self._client


def starting_offsets(positions: Frontier) -> str:
    """Spark's `startingOffsets`: the next offset to read of every partition."""
    nested: dict[str, dict[str, int]] = {}
    for partition, at in positions.items():
        nested.setdefault(topic_of(partition.source), {})[str(partition.number)] = at
    return json.dumps(nested)


def _topic(described: Mapping[str, Any]) -> Topic:
    numbers = tuple(sorted(int(p.get("partition_index", p.get("partition", 0))) for p in described["partitions"]))
    return Topic(str(described.get("name", described.get("topic"))), str(described["topic_id"]), numbers)


def _values(described: Any) -> dict[str, dict[str, str]]:
    """Topic to its settings, out of what describe_configs returns."""
    topics = described.get("topic", described) if isinstance(described, dict) else {}
    return {
        name: {key: str(one["value"] if isinstance(one, dict) else one) for key, one in settings.items()}
        for name, settings in topics.items()
    }


def recreated(name: str, was: str, topic: Topic) -> TerminalError:
    """TOPIC_RECREATED with both ids."""
    return TerminalError(
        Condition.TOPIC_RECREATED,
        f"topic {name} was deleted and made again: its id was {was.split('@', 1)[1]} and is {topic.id}",
        detail="the topic that the ledger's frontier was read from",
        hint="give the new topic another name in its contract, or go on with it under this one by "
        f"'seamline topics accept {name} --as lost'; what was read from the old one stays",
        where=name,
    )


def expired(partition: Partition, first: int, last: int, why: str) -> TerminalError:
    """RECORDS_EXPIRED with the range that is gone."""
    topic = topic_of(partition.source)
    name = f"{topic}/{partition.number}"
    return TerminalError(
        Condition.RECORDS_EXPIRED,
        f"offsets {first} to {last} of {name} were not read and are gone: {why}",
        detail="a topic that keeps its records for longer than this process stands still",
        hint=f"import them from a copy, if there is one; then run 'seamline topics accept {topic} --as imported' (or "
        "--as lost), which lets both roles pass over what is gone, and start again",
        where=f"{name} [{first}, {last})",
    )


def _unavailable(bootstrap: str, error: Exception) -> TransientError:
    return TransientError(
        Condition.BROKER_UNAVAILABLE,
        f"the cluster at {bootstrap} does not answer: {str(error) or type(error).__name__}",
        hint="see whether it runs and can be reached from here; this process tries again",
        where=bootstrap,
    )
