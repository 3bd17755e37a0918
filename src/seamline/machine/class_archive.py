"""Class data sharing: what a JVM loads as it starts is read, checked and laid out once, and mapped from then on.

An archive halves what a start costs: of Spark to its first job 4.6 s of CPU instead of 8.8, of the broker 1.6 instead
of 2.9. It is a file for one Java and one classpath, beside the jars; `operate.class_training` makes it. A JVM compares
both with what it was made of, and does without where they differ: it can be late or missing, never wrong.
https://docs.oracle.com/en/java/javase/17/vm/class-data-sharing.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from seamline.machine.jars import jars_folder, kafka_classpath
from seamline.machine.java import find_java

QUIETLY = "-Xlog:cds*=off"
"""An archive that does not fit is no fault: a JVM would say so on its standard output."""


def kafka_archive() -> Path:
    """Where the broker's archive stands, once made. Raises UserError JAVA_MISSING, and as `kafka_classpath`."""
    return archive_of("kafka", kafka_classpath())


def spark_archive() -> Path:
    """Where Spark's archive stands, once made. Raises UserError JAVA_MISSING."""
    found = find_spec("pyspark")  # importing it takes half a second
    folders = found.submodule_search_locations if found is not None else None
    return archive_of("spark", (jar for folder in folders or () for jar in Path(folder).glob("jars/*.jar")))


def archive_of(kind: str, classpath: Iterable[Path]) -> Path:
    """Where the archive of this Java and these jars stands, once made. Raises UserError JAVA_MISSING."""
    java = find_java()
    told = [kind, str(java.home), *map(_stamp, (java.binary.resolve(), *sorted(classpath)))]
    key = hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]
    return jars_folder().parent.parent / "classes" / f"{kind}-{key}.jsa"


def sharing(archive: Path) -> list[str]:
    """The JVM's options that use it; none where it has not been made."""
    return [f"-XX:SharedArchiveFile={archive}", QUIETLY] if archive.exists() else []


def making(archive: Path) -> list[str]:
    """The JVM's options that make it as that JVM ends."""
    return [f"-XX:ArchiveClassesAtExit={archive}", QUIETLY]


def _stamp(file: Path) -> str:
    found = file.stat()
    return f"{file} {found.st_size} {found.st_mtime_ns}"
