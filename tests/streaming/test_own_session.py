"""The session that a stream's queries run in: their settings are theirs alone, and their checkpoints plain files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seamline.streaming.runner import own_session


def file_system(session: Any) -> str:
    """The class that this session writes local files with."""
    configuration = session._jsparkSession.sessionState().newHadoopConf()
    path = session.sparkContext._jvm.org.apache.hadoop.fs.Path("file:///")
    return str(path.getFileSystem(configuration).getClass().getSimpleName())


@pytest.mark.spark
def test_a_streams_files_have_no_sums_and_those_of_others_keep_theirs(spark: Any, tmp_path: Path) -> None:
    session = own_session(spark)
    assert file_system(session) == "RawLocalFileSystem" != file_system(spark)
    assert spark.conf.get("spark.sql.codegen.wholeStage") == "true"
    rate = session.readStream.format("rate-micro-batch").option("rowsPerBatch", 1).load()
    query = (
        rate.writeStream.foreachBatch(lambda frame, _: frame.count())
        .option("checkpointLocation", str(tmp_path))
        .trigger(once=True)
        .start()
    )
    assert query.awaitTermination(60)
    written = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert "0" in written
    assert not [name for name in written if name.endswith(".crc")]
