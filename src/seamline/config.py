"""Configuration: `seamline.toml` in the project's folder, then `SEAMLINE_<SECTION>__<KEY>` of the environment.

Every key is documented here and in docs/configuration.md; unknown keys are refused with file and line.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from seamline.attempts import SWEPT_AFTER
from seamline.errors import Condition, UserError
from seamline.schemes import scheme

FILE = "seamline.toml"
ENVIRONMENT = "SEAMLINE_"
"""How variables of the environment begin that say a setting."""

Positive = Annotated[int, Field(gt=0)]

OFF: Literal["off"] = "off"
Port = Annotated[int, Field(ge=0, le=65535)]


class Section(BaseModel):
    """A table of seamline.toml."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)  # it may be a secret


class KafkaSection(Section):
    """The broker."""

    bootstrap_servers: str = Field("", description="host:port,… of a cluster; empty starts the embedded broker")
    partitions: Positive = Field(4, description="partitions of topics that 'up' or 'replay' creates")
    rest_seconds: float = Field(
        10, gt=0, description="seconds without a record after which a role ends its Spark query until one arrives"
    )
    retention_hours: int = Field(
        0, ge=0, description="hours that the embedded broker keeps records; 0: for ever. Topics may say otherwise"
    )
    options: dict[str, str] = Field({}, description="client options in Kafka's own names, such as security.protocol")


class LakeSection(Section):
    """Object storage."""

    uri: str = Field("lake", description="a folder beside seamline.toml, or s3://, gs://, abfss://")


class SparkSection(Section):
    """How Spark is opened, where spark-submit does not say."""

    master: str = Field("local[*]", description="Spark master")
    driver_memory: str = Field("1g", description="heap of each driver")
    cores: Positive = Field(2, description="cores that each role takes of a standalone master")
    shared: bool = Field(
        False, description="whether 'seamline up' runs archive, speed and scheduler in one process, with one Spark"
    )
    conf: dict[str, str] = Field({}, description="any further Spark settings")

    @property
    def given(self) -> dict[str, str]:
        """What a session is opened with. A standalone master gives all its cores to the first application that comes
        unless that one says how many it wants: the others would wait for ever."""
        return {"spark.driver.memory": self.driver_memory, "spark.cores.max": str(self.cores), **self.conf}


class KernelSection(Section):
    """Limits of each process's DuckDB."""

    memory: str = Field("1GB", description="memory of one kernel before it spills to disk")
    threads: Positive = Field(2, description="threads of one kernel")


class SpeedSection(Section):
    """The speed layer."""

    trigger_ms: int = Field(25, ge=0, description="milliseconds between micro-batches; 0 is as fast as it can")
    max_records: Positive = Field(100_000, description="offsets read in one micro-batch")
    compact_epochs: Positive = Field(64, description="adjacent epochs that are compacted into one segment")
    as_of_hours: float = Field(
        1, ge=0, description="hours that each epoch's end can be asked for; older ones, where segments end"
    )
    retention_hours: Positive = Field(168, description="hours that epochs stay restorable after a batch covers them")
    retire_seconds: Positive = Field(300, description="seconds between looks for epochs that nobody needs any more")


class ArchiveSection(Section):
    """The archive."""

    trigger_ms: int = Field(2_000, ge=0, description="milliseconds between appends to raw")
    max_records: Positive = Field(500_000, description="offsets read in one append")
    retention_hours: int = Field(
        24, ge=24, description="hours that raw tables can be read as they stood, longer where a batch version read them"
    )


class BatchSection(Section):
    """The batch layer."""

    refresh_minutes: float = Field(10, gt=0, description="minutes between refreshes inside 'seamline up'")
    reservation_minutes: int = Field(
        60,
        gt=0,
        le=SWEPT_AFTER // timedelta(minutes=2),  # half of it: so old, an attempt gives up
        description="minutes until a reserved cut expires, at most 720",
    )
    hold_on_drift: bool = Field(False, description="do not publish a version whose audit found drift")
    verify_sample: int = Field(
        16, ge=0, description="groups of each version that are computed another way, in plain Python; 0: none"
    )
    verify_budget: float = Field(
        0.05, ge=0, le=1, description="part of a run's CPU for groups beyond the dates it rewrites, and in Python"
    )
    keep_versions: Positive = Field(5, description="batch versions that stay restorable")


@dataclass(frozen=True)
class Pace:
    """How often a reader looks at a lake."""

    poll: timedelta
    """Between two looks at what moved."""

    sweep: timedelta
    """Between two looks at everything: how long a lost hint may go unnoticed."""


class ServingSection(Section):
    """The serving layer."""

    host: str = Field("127.0.0.1", description="address to bind")
    port: int = Field(8765, ge=0, le=65535, description="port of the HTTP API; 0 takes a free one")
    pg_port: Port | Literal["off"] = Field(
        OFF, description="port for clients of PostgreSQL, such as psql; 0 takes a free one, 'off' opens none"
    )
    hosts: list[str] = Field([], description="names beside localhost and its address that clients may ask it by")
    tokens: str = Field("", description="file of the tokens, beside seamline.toml; empty: .seamline/tokens.json")
    audit: Literal["off", "on", "masked"] = Field(
        "masked", description="the log of who asked what; 'masked': without the values in queries"
    )
    tls_cert: str = Field("", description="certificate to show, in PEM, beside seamline.toml; empty: no TLS")
    tls_key: str = Field("", description="its key, in PEM, without a password")
    query_seconds: int = Field(30, gt=0, le=3600, description="seconds until a query is ended, an hour at most")
    workers: Positive = Field(2, description="queries that run at a time, each in a process; one more stands ready")
    worker_memory_mb: int = Field(
        1024, ge=64, description="MiB of private memory that a query may take; its process takes 60 to 130 before that"
    )
    caller_queries: int = Field(0, ge=0, description="queries of one caller that run at a time; 0: as many as run")
    queue: int = Field(64, ge=0, description="queries that may wait for a worker")
    queue_seconds: Positive = Field(10, description="seconds that one waits at most")
    max_rows: Positive = Field(50_000_000, description="rows of one answer")
    max_mb: Positive = Field(512, description="MiB of one answer, as it is sent")
    connections: Positive = Field(1024, description="connections of HTTP at a time")
    live: Positive = Field(256, description="live questions that are followed at a time")
    caller_live: int = Field(0, ge=0, description="live questions of one caller; 0: as many as there may be")
    live_rows: Positive = Field(100_000, description="rows of an answer that is followed")
    ready_lag_seconds: int = Field(
        0, ge=0, description="seconds behind the newest record from which on /readyz says no; 0: whatever the lag is"
    )
    poll_ms: Positive = Field(50, description="milliseconds between looks at the ledger, of a lake in a folder")
    remote_poll_ms: Positive = Field(500, description="the same of a lake in an object store: a request each")
    sweep_seconds: Positive = Field(
        10, description="seconds after which all logs of a lake in a folder are asked, whatever the hints say"
    )
    remote_sweep_seconds: Positive = Field(
        60, description="the same of a lake in an object store: a request for each view"
    )
    held_mb: int = Field(
        256, ge=0, description="MiB of batch partials held in memory, of views of many small files; 0: none"
    )
    lookup_mb: int = Field(
        256, ge=0, description="MiB of indexes for lookups, of the views that are looked up; 0: none, SQL answers"
    )

    def pace(self, uri: str) -> Pace:
        """How often a lake is looked at there."""
        poll, sweep = (
            (self.remote_poll_ms, self.remote_sweep_seconds) if scheme(uri) else (self.poll_ms, self.sweep_seconds)
        )
        return Pace(timedelta(milliseconds=poll), timedelta(seconds=sweep))


class MetricsSection(Section):
    """The page of each process that Prometheus reads."""

    enabled: bool = Field(True, description="whether each process has one; 'seamline status' says where")
    host: str = Field("127.0.0.1", description="address to bind")
    port: int = Field(
        0, ge=0, le=65535, description="port; 'seamline up' gives each role the next one. 0: each takes a free one"
    )


class LogsSection(Section):
    """What each process logs."""

    form: Literal["auto", "json", "text"] = Field(
        "auto", description="'json', an object a line; 'text', for people; 'auto': text on a terminal, else json"
    )
    max_mb: Positive = Field(10, description="MiB of a role's log file after which a new one is begun")
    keep: int = Field(3, ge=0, description="full log files of each role that are kept")


class Settings(BaseSettings):
    """The whole configuration of one project."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        nested_model_default_partial_update=True,
    )

    kafka: KafkaSection = KafkaSection()  # type: ignore[call-arg]
    lake: LakeSection = LakeSection()  # type: ignore[call-arg]
    spark: SparkSection = SparkSection()  # type: ignore[call-arg]
    kernel: KernelSection = KernelSection()  # type: ignore[call-arg]
    speed: SpeedSection = SpeedSection()  # type: ignore[call-arg]
    archive: ArchiveSection = ArchiveSection()  # type: ignore[call-arg]
    batch: BatchSection = BatchSection()  # type: ignore[call-arg]
    serving: ServingSection = ServingSection()  # type: ignore[call-arg]
    metrics: MetricsSection = MetricsSection()  # type: ignore[call-arg]
    logs: LogsSection = LogsSection()  # type: ignore[call-arg]

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file."""
        return env_settings, init_settings


def load_settings(folder: Path) -> Settings:
    """The settings of the project in `folder`. Raises CONFIG_INVALID with file and line."""
    path = folder / FILE
    if not path.is_file():
        raise UserError(
            Condition.CONFIG_INVALID,
            f"{folder} holds no {FILE}",
            hint="run 'seamline init DIR' to make a project, or name one with --project",
            where=str(path),
        )
    text = path.read_text(encoding="utf-8")
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+), column (\d+)", str(error))
        at = f":{line[1]}:{line[2]}" if line else ""
        raise UserError(
            Condition.CONFIG_INVALID,
            f"not TOML: {error}",
            detail="TOML 1.0",
            hint="correct that line",
            where=f"{path}{at}",
        ) from error
    try:
        return Settings(**table)
    except SettingsError as error:
        raise _unreadable_variable(error) from error
    except ValidationError as error:
        raise _invalid(path, text, error) from error


def _unreadable_variable(error: SettingsError) -> UserError:
    """A variable that stands for a table and holds no JSON. The value may be a secret: it is not said."""
    return UserError(
        Condition.CONFIG_INVALID,
        re.sub(r'"(\w+)" from source "\w+"', r"\1", str(error).splitlines()[0]),
        detail='a table as JSON, such as SEAMLINE_KAFKA__OPTIONS=\'{"security.protocol": "SSL"}\'',
        hint="write JSON there, or unset it",
        where=f"environment variable {ENVIRONMENT}…",
    )


def _invalid(path: Path, text: str, error: ValidationError) -> UserError:
    """The first thing wrong, where it was said. Its value may be a secret: it is not said."""
    first = error.errors()[0]
    keys = [str(part) for part in first["loc"]]
    unknown, variable = first["type"] == "extra_forbidden", _variable_of(keys)
    line = None if variable else _line_of(text, keys)
    return UserError(
        Condition.CONFIG_INVALID,
        f"unknown key {'.'.join(keys)}" if unknown else f"{'.'.join(keys)} has a value that does not fit",
        detail=", ".join(_keys_at(keys[:-1])) if unknown else first["msg"],
        hint="docs/configuration.md lists every key",
        where=f"environment variable {variable}" if variable else f"{path}:{line}" if line else str(path),
    )


def _variable_of(keys: list[str]) -> str:
    """The variable of the environment that says a key, or a table around it; '' where none does: the file it is."""
    for length in range(len(keys), 0, -1):
        name = ENVIRONMENT + "__".join(keys[:length]).upper()
        if found := next((variable for variable in os.environ if variable.upper() == name), ""):
            return found
    return ""


def _keys_at(keys: list[str]) -> list[str]:
    model: Any = Settings
    for key in keys:
        field = model.model_fields.get(key)
        model = field.annotation if field else Section
    return list(getattr(model, "model_fields", {}))


def _line_of(text: str, keys: list[str]) -> int | None:
    """The line where a key, or failing that its table, is written."""
    section: str | None = None
    table_line = None
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[([^\]]+)\]", line)
        if header:
            section = header[1].strip()
            table_line = number if section == keys[0] else table_line
        key = re.match(r"\s*([A-Za-z0-9_\-\.\"]+)\s*=", line)
        if key and ".".join(filter(None, [section, key[1].strip('"')])) in (".".join(keys), ".".join(keys[:2])):
            return number
    return table_line
