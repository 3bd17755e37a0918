"""Run by Seamline's own Python: `small_lake.py FOLDER made` makes a project of a view and one derived from it, with a
small lake; `small_lake.py FOLDER answer` prints what is answered, what plain SQL gives, and the versions.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path

from lakes import VIEW, Bench, orders, project
from obstore.store import LocalStore

SENT = orders(6, step=timedelta(days=1))
SHOPS = """\
CREATE MATERIALIZED VIEW shops AS
SELECT time_bucket(INTERVAL '1 day', hour) AS day, MEASURE(amount) AS amount FROM sales GROUP BY 1;
"""
VIEWS = VIEW.rstrip().rstrip(";") + ";\n" + SHOPS


def made(folder: Path) -> None:
    """The project, and all that was sent in both layers."""
    bench = project(folder)
    (folder / "views" / "shops.sql").write_text(SHOPS)
    bench.apply(VIEWS)
    bench.send(*SENT)
    bench.both()


def answer(folder: Path) -> None:
    """As JSON."""
    bench = Bench(folder / "lake", store=LocalStore(str(folder / "lake")), view=VIEWS)
    said = {
        "answer": bench.answer(),
        "expected": bench.expected(*SENT),
        "served": bench.served[1],
        "versions": {n: [one.asked, [*one.units]] for n, one in bench.versions().versions.items()},
        "runs": len({one.run for one in bench.versions().reserved.values()}),
    }
    print(json.dumps(said, default=str))


{"made": made, "answer": answer}[sys.argv[2]](Path(sys.argv[1]))
