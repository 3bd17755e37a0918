"""Every way in which a contract's text may change, and what each view over it needs: the table of ADR 0027."""

from __future__ import annotations

from dataclasses import dataclass

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: orders
version: 1.0.0
status: active
schema:
  - name: orders
    properties:
      - {name: id, logicalType: string}
      - {name: placed, logicalType: timestamp}
      - {name: sent, logicalType: timestamp}
      - {name: shop, logicalType: string}
      - {name: amount, logicalType: integer, logicalTypeOptions: {minimum: 0}}
      - {name: note, logicalType: string}
      - {name: kind, logicalType: string, enum: [{value: a}, {value: b}]}
      - {name: weight, logicalType: number, physicalType: "decimal(6,2)"}
      - {name: box, logicalType: object, properties: [{name: w, logicalType: integer}, {name: h, logicalType: integer}]}
customProperties:
  - {property: seamline.eventTime, value: placed}
  - {property: seamline.eventId, value: id}
  - {property: seamline.topic, value: orders}
"""

VIEWS = """\
CREATE MATERIALIZED VIEW shops AS
SELECT time_bucket(INTERVAL '1 hour', placed) AS hour, shop, count(*) AS orders FROM orders GROUP BY ALL;
CREATE MATERIALIZED VIEW amounts AS
SELECT time_bucket(INTERVAL '1 day', placed) AS day, sum(amount) AS amount FROM orders GROUP BY ALL;
CREATE MATERIALIZED VIEW monthly AS
SELECT date_trunc('month', hour) AS month, MEASURE(orders) AS orders FROM shops GROUP BY ALL
"""
"""One that reads the shop, one that reads the amount, one that is derived from the first."""

RECORD = {
    "placed": "2024-05-01T12:00:00Z", "sent": "2024-05-02T12:00:00Z", "shop": "a", "amount": 2, "note": "n",
    "kind": "a", "weight": 1.5, "box": {"w": 1, "h": 2},
}  # fmt: skip
"""What an order says, but for its id."""


@dataclass(frozen=True)
class Case:
    """A change of the contract's text."""

    what: str
    old: str
    new: str

    needs: str
    """What `shops` and `monthly` need, which read neither amount nor note."""

    amounts: str = ""
    """What `amounts` needs, where that is something else."""

    handed: bool = False
    """Whether it needs nothing after all where there are but records like RECORD, which are judged as before."""

    @property
    def text(self) -> str:
        """The contract after it."""
        assert CONTRACT.count(self.old) == 1, self.old
        return CONTRACT.replace(self.old, self.new)

    def of(self, view: str) -> str:
        """What a view needs."""
        return self.amounts if view == "amounts" and self.amounts else self.needs


_NOTE = "      - {name: note, logicalType: string}\n"
_AMOUNT = "{name: amount, logicalType: integer, logicalTypeOptions: {minimum: 0}}"
_KIND = "[{value: a}, {value: b}]"
_W, _H = "{name: w, logicalType: integer}", "{name: h, logicalType: integer}"
_TIME, _ID = "{property: seamline.eventTime, value: placed}", "{property: seamline.eventId, value: id}"


def _note(more: str) -> str:
    return f"      - {{name: note, logicalType: string, {more}}}\n"


CASES = (
    Case("a description", _NOTE, _note("description: what the buyer says"), "nothing"),
    Case("an owner and a version", "version: 1.0.0\n", "version: 2.0.0\nteam: {name: shop}\n", "nothing"),
    Case("a dedup horizon", _ID, f"{_ID}\n  - {{property: seamline.dedupHorizon, value: 2 hours}}", "nothing"),
    Case("another topic", "value: orders}", "value: orders.v2}", "nothing"),
    Case("the order of fields", f"      - {_AMOUNT}\n{_NOTE}", f"{_NOTE}      - {_AMOUNT}\n", "nothing"),
    Case("the order of an enum's values", _KIND, "[{value: b}, {value: a}, {value: b}]", "nothing"),
    Case("the order within an object that is not read", f"{_W}, {_H}", f"{_H}, {_W}", "nothing"),
    Case("another name for the same key", _NOTE, "      - {name: remark, physicalName: note, logicalType: string}\n",
         "nothing"),
    Case("another name for a key that is read", "{name: amount,", "{name: total, physicalName: amount,", "nothing",
         "another text"),
    Case("another key under the same name", _NOTE, _note("physicalName: remark"), "rebuild", handed=True),
    Case("a field added", _NOTE, f"{_NOTE}      - {{name: coupon, logicalType: string}}\n", "rebuild", handed=True),
    Case("a required field added", _NOTE, f"{_NOTE}      - {{name: c, logicalType: string, required: true}}\n",
         "rebuild"),
    Case("a field removed", _NOTE, "", "rebuild", handed=True),
    Case("a field removed that is read", f"      - {_AMOUNT}\n", "", "rebuild", "another text", handed=True),
    Case("required", _NOTE, _note("required: true"), "rebuild", handed=True),
    Case("a field widened", "{name: note, logicalType: string}", "{name: note, logicalType: integer}", "rebuild"),
    Case("a decimal widened", "decimal(6,2)", "decimal(8,2)", "rebuild", handed=True),
    Case("a rule added", _NOTE, _note("logicalTypeOptions: {maxLength: 9}"), "rebuild", handed=True),
    Case("a rule loosened", "{minimum: 0}", "{minimum: -5}", "rebuild", handed=True),
    Case("a rule tightened", "{minimum: 0}", "{minimum: 1}", "rebuild", handed=True),
    Case("a rule removed", ", logicalTypeOptions: {minimum: 0}", "", "rebuild", handed=True),
    Case("an enum value added", _KIND, "[{value: a}, {value: b}, {value: c}]", "rebuild", handed=True),
    Case("an enum value removed", _KIND, "[{value: a}]", "rebuild", handed=True),
    Case("another event time", _TIME, _TIME.replace("placed", "sent"), "rebuild"),
    Case("another event id", _ID, _ID.replace("value: id", "value: note"), "rebuild"),
    Case("no event id", f"  - {_ID}\n", "", "rebuild"),
    Case("a discriminator", _ID, f"{_ID}\n  - {{property: seamline.discriminator, value: {{path: kind, value: a}}}}",
         "rebuild"),
    Case("another format of times", "{name: sent, logicalType: timestamp}",
         "{name: sent, logicalType: timestamp, physicalType: epoch_millis}", "rebuild"),
    Case("the earliest event time", _ID, f"{_ID}\n  - {{property: seamline.earliest, value: 2020-01-01}}",
         "rebuild", handed=True),
    Case("how far ahead an event time may be", _ID, f"{_ID}\n  - {{property: seamline.ahead, value: 2 days}}",
         "rebuild", handed=True),
)  # fmt: skip
