"""Variance, standard deviation, skewness and kurtosis: sums of powers of the deviations from the mean.

Variances share one partial column, skewness and kurtosis another:

    n, base + rest = mean, m2 = sum of (x - mean)**2 [, m3, m4], least, greatest

A merge is Pébay's (Sandia report SAND2008-6212, eq. 2.1, for many sets at once), about one pivot near the mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from seamline.schemas.algebra.forms import NUMBERS, Aggregate, Call, Form, Part, numeric, problem
from seamline.schemas.algebra.pivots import cell, let, shared, struct, summed, weighted

BOUND = "relative 1e-9"
SMALL, LARGE = 18, 11
"""Significant bits of the two pivots that are tried before 0. However near to each other values are, up to 1e12 times
nearer than to 0, the mean that DuckDB's state rounds is then at most some 1e6 deviations."""

_X = "({x})::DOUBLE"
_ENDS = {"least": "g__.least", "greatest": "g__.greatest"}

_ABOUT_PIVOT = {
    "m2": "s__.m2 + s__.n * s__.d * s__.d",
    "m3": "s__.m3 + 3 * s__.d * s__.m2 + s__.n * s__.d * s__.d * s__.d",
    "m4": "s__.m4 + 4 * s__.d * s__.m3 + 6 * s__.d * s__.d * s__.m2 + s__.n * s__.d * s__.d * s__.d * s__.d",
}
"""A partial's sums of powers about the merge's pivot, which is `d` below the partial's own mean."""

_ABOUT_MEAN = {
    "m2": "greatest(t__.m2 - g__.n * t__.r * t__.r, 0)",
    "m3": "t__.m3 - 3 * t__.r * t__.m2 + 2 * g__.n * t__.r * t__.r * t__.r",
    "m4": "t__.m4 - 4 * t__.r * t__.m3 + 6 * t__.r * t__.r * t__.m2 - 3 * g__.n * t__.r * t__.r * t__.r * t__.r",
}
"""From the pivot to the mean, which is `r` above it: the rounding of the pivot, no more, so nothing cancels."""


def _over(function: str, value: str) -> str:
    return f"{function}({value}){{filter}}"


# --- partial ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _State:
    """DuckDB's state that the partial is made of."""

    function: str
    """Makes it."""

    count: str
    """Its field that counts."""

    sums: tuple[tuple[str, str], ...]
    """Its fields that are sums of powers."""

    @property
    def stored(self) -> str:
        """The type of the partial column."""
        sums = ", ".join(f"{name} DOUBLE" for name, _ in self.sums)
        return f"STRUCT(n BIGINT, base DOUBLE, rest DOUBLE, {sums}, least DOUBLE, greatest DOUBLE)"

    @property
    def partial(self) -> str:
        """NULL where no event has a value."""
        small, large = cell(_X, SMALL), cell(_X, LARGE)
        given = {
            "least": _over("min", _X),
            "greatest": _over("max", _X),
            "low1": _over("min", small),
            "high1": _over("max", small),
            "low2": _over("min", large),
            "high2": _over("max", large),
            "state0": self._exported(_X),
            "state1": self._exported(f"{_X} - {small}"),
            "state2": self._exported(f"{_X} - {large}"),
        }
        return let(
            given,
            "g__",
            f"CASE WHEN g__.least IS NULL THEN NULL "
            f"WHEN {shared('g__.low1', 'g__.high1')} THEN {self._made('g__.low1', 'g__.state1')} "
            f"WHEN {shared('g__.low2', 'g__.high2')} THEN {self._made('g__.low2', 'g__.state2')} "
            f"ELSE {self._made('0::DOUBLE', 'g__.state0')} END",
        )

    def _exported(self, value: str) -> str:
        fields = ", ".join(f"{field} DOUBLE" for _, field in self.sums)
        return f"({_over(self.function, value)} EXPORT_STATE)::STRUCT({self.count} BIGINT, mean DOUBLE, {fields})"

    def _made(self, base: str, state: str) -> str:
        sums = {name: f"{state}.{field}" for name, field in self.sums}
        mean = {"n": f"{state}.{self.count}", "base": base, "rest": f"{state}.mean"}
        return struct({**mean, **sums, **_ENDS})

    @property
    def merge(self) -> str:
        """One partial alone is kept as it is; NULLs are left out."""
        pivot, powers = weighted("base", "rest"), [name for name, _ in self.sums]
        kept = struct(
            {"n": "s__.n", "d": f"(s__.base - {pivot}) + s__.rest", **{name: f"s__.{name}" for name in powers}}
        )
        given = {
            "n": "sum({c}.n)::BIGINT",
            "base": pivot,
            "partials": f"list_transform(list_sort(list({{c}})), lambda s__: {kept})",
            "least": "min({c}.least)",
            "greatest": "max({c}.greatest)",
        }
        totals = {"r": f"{summed('s__.n * s__.d')} / g__.n"} | {name: summed(_ABOUT_PIVOT[name]) for name in powers}
        whole = struct(
            {"n": "g__.n", "base": "g__.base", "rest": "t__.r", **{name: _ABOUT_MEAN[name] for name in powers}, **_ENDS}
        )
        merged = let(given, "g__", let(totals, "t__", whole))
        return f"CASE WHEN count({{c}}) < 2 THEN any_value({{c}}) ELSE {merged} END"

    @property
    def part(self) -> Part:
        """The one partial column."""
        return Part("", self.partial, self.stored, self.merge)


_VARIANCE = _State("var_pop", "count", (("m2", "dsquared"),))
_SHAPE = _State("kurtosis", "n", (("m2", "m2"), ("m3", "m3"), ("m4", "m4")))

# --- finalise --------------------------------------------------------------------------------------------
#
# NULL and NaN are DuckDB's own: over an infinity or NaN, one value has the variance 0 and more have NaN, where
# skewness and kurtosis are out of range.

_N = "({}).n"
_M2 = "({}).m2"
_FINITE = "(isfinite(({}).least) AND isfinite(({}).greatest))"
_CONSTANT = "({}).least = ({}).greatest"
_AUDIT = f"{{'n': {_N}, 'least': ({{}}).least + 0, 'greatest': ({{}}).greatest + 0}}"
"""What no order of additions changes."""


def _entry(
    state: _State, least: int, value: str, bad: str, said: str, scale: str = ""
) -> Callable[[Call], Form | None]:
    """`value` where there are at least so many values, they are not `bad`, and the column is not NULL."""

    def form(call: Call) -> Form | None:
        if not numeric(call.type):
            return None
        enough = f"{_N} >= {least}"
        wrong = problem(said)
        answer = f"CASE WHEN NOT {enough} THEN NULL WHEN {bad} THEN ({wrong})::DOUBLE ELSE {value} END"
        check = f"CASE WHEN {enough} AND {bad} THEN {wrong} END"
        return Form((state.part,), answer, "DOUBLE", "approximate (float)", BOUND, check, audit=_AUDIT, scale=scale)

    return form


def _variance(name: str) -> Callable[[Call], Form | None]:
    sample = name.endswith("samp")
    variance = f"{_M2} / ({_N}{' - 1' if sample else ''})"
    value = f"sqrt({variance})" if name.startswith("stddev") else variance
    flat = f"{_N} = 1 OR ({_CONSTANT} AND {_FINITE})"
    answer = f"CASE WHEN {flat} THEN 0.0::DOUBLE WHEN NOT {_FINITE} THEN 'NaN'::DOUBLE ELSE {value} END"
    bad = f"(NOT ({flat}) AND {_FINITE} AND NOT isfinite({_M2}))"
    return _entry(_VARIANCE, 2 if sample else 1, answer, bad, f"{name} of values whose squares are out of range")


def _shape(name: str, least: int, power: str, limit: str, moment: str, value: str) -> Callable[[Call], Form | None]:
    """`limit`: the least m2 whose power is still a number with all its digits."""
    small = f"{_M2} < {limit}"
    bad = f"(NOT {_FINITE} OR (NOT {_CONSTANT} AND ({small} OR NOT isfinite({_M2}) OR NOT isfinite({moment}))))"
    answer = f"CASE WHEN {_CONSTANT} THEN NULL ELSE {value} END"
    said = f"{name} over infinities, NaN or values whose {power} are out of range"
    return _entry(_SHAPE, least, answer, bad, said, _CANCELS)


_CANCELS = f"3 + sqrt(({{}}).m4 * {_N}) / {_M2}"
"""What errors are relative to where third powers cancel, or 3 is taken off."""

_G1 = f"(({{}}).m3 / {_M2} / sqrt({_M2}) * sqrt({_N}))"
_SKEWNESS = f"sqrt({_N}::DOUBLE * ({_N} - 1)) / ({_N} - 2) * {_G1}"
_G2 = f"(({{}}).m4 / {_M2} / {_M2} * {_N} - 3)"
_KURTOSIS = f"({_N} - 1)::DOUBLE / (({_N} - 2)::DOUBLE * ({_N} - 3)) * (({_N} + 1) * {_G2} + 6)"

_skewness = _shape("skewness", 3, "cubes", "1e-186", "({}).m3", _SKEWNESS)
_kurtosis = _shape("kurtosis", 4, "fourth powers", "1e-140", "({}).m4", _KURTOSIS)
_kurtosis_pop = _shape("kurtosis_pop", 2, "fourth powers", "1e-140", "({}).m4", _G2)

MOMENTS = (
    Aggregate("var_pop", "state", NUMBERS, _variance("var_pop"), "variance of the population"),
    Aggregate("var_samp", "state", NUMBERS, _variance("var_samp"), "variance of the sample", also=("variance",)),
    Aggregate("stddev_pop", "state", NUMBERS, _variance("stddev_pop"), "standard deviation of the population"),
    Aggregate(
        "stddev_samp", "state", NUMBERS, _variance("stddev_samp"), "standard deviation of the sample", also=("stddev",)
    ),
    Aggregate(
        "skewness", "state", NUMBERS, _skewness, "skewness of the sample; NULL below 3 values, or where all are equal"
    ),
    Aggregate(
        "kurtosis",
        "state",
        NUMBERS,
        _kurtosis,
        "excess kurtosis of the sample; NULL below 4 values, or where all are equal",
    ),
    Aggregate(
        "kurtosis_pop",
        "state",
        NUMBERS,
        _kurtosis_pop,
        "excess kurtosis of the population; NULL below 2 values, or where all are equal",
    ),
)
