"""Covariance, correlation and linear regression: deviations of pairs from their means, and products of them.

All share one partial column. As in SQL, the first argument is y, the second x. Pairs with a NULL are left out.

    n, basey + resty = mean of y, basex + restx = mean of x,
    syy = sum of (y - mean)**2, sxx, sxy = sum of (y - mean) * (x - mean), leasty, greatesty, leastx, greatestx

It merges as variances do: about one pivot near each mean (Pébay, SAND2008-6212, eq. 3.9, for many sets at once).
"""

from __future__ import annotations

from collections.abc import Callable

from seamline.schemas.algebra.forms import NUMBERS, Aggregate, Call, Form, Part, numeric, problem
from seamline.schemas.algebra.moments import BOUND
from seamline.schemas.algebra.pivots import cell, let, shared, struct, summed, weighted

BITS = 12
"""Significant bits of a pivot. Each pair of choices for y and x is a state of its own, so there is only one
besides 0, and cells are so wide that few groups straddle two."""

_Y, _X = "({x})::DOUBLE", "({y})::DOUBLE"
_BOTH = f" FILTER (WHERE {{where}} AND {_Y} IS NOT NULL AND {_X} IS NOT NULL)"

_STORED = (
    "STRUCT(n BIGINT, basey DOUBLE, resty DOUBLE, basex DOUBLE, restx DOUBLE, syy DOUBLE, sxx DOUBLE, sxy DOUBLE, "
    "leasty DOUBLE, greatesty DOUBLE, leastx DOUBLE, greatestx DOUBLE)"
)

_ENDS = {f"{end}{v}": f"g__.{end}{v}" for v in "yx" for end in ("least", "greatest")}

# --- partial and merge -----------------------------------------------------------------------------------


def _partial() -> str:
    """NULL where no event has both values."""
    given, rests = {"n": f"count(*){_BOTH}"}, {}
    for v, value in (("y", _Y), ("x", _X)):
        first = cell(value, BITS)
        rests[v] = {"0": value, "1": f"{value} - {first}"}
        ends = {"least": ("min", value), "greatest": ("max", value), "low": ("min", first), "high": ("max", first)}
        given |= {f"{name}{v}": f"{function}({of}){_BOTH}" for name, (function, of) in ends.items()}
        given |= {f"{v}{choice}": _squares(rest) for choice, rest in rests[v].items()}
    given |= {f"c{a}{b}": _products(y, x) for a, y in rests["y"].items() for b, x in rests["x"].items()}
    made = {"n": "g__.n"}
    for v in "yx":
        made |= {
            f"base{v}": _chosen(v, f"g__.low{v}", "0::DOUBLE"),
            f"rest{v}": _chosen(v, f"g__.{v}1.mean", f"g__.{v}0.mean"),
        }
    made |= {f"s{v}{v}": _chosen(v, f"g__.{v}1.dsquared", f"g__.{v}0.dsquared") for v in "yx"}
    both, only_y = (_chosen("x", f"g__.c{a}1.co_moment", f"g__.c{a}0.co_moment") for a in "10")
    made["sxy"] = _chosen("y", both, only_y)
    return let(given, "g__", f"CASE WHEN g__.n > 0 THEN {struct(made | _ENDS)} END")


def _chosen(v: str, about_cell: str, about_zero: str) -> str:
    return f"CASE WHEN {shared(f'g__.low{v}', f'g__.high{v}')} THEN {about_cell} ELSE {about_zero} END"


def _squares(rest: str) -> str:
    return f"(var_pop({rest}){_BOTH} EXPORT_STATE)::STRUCT(count BIGINT, mean DOUBLE, dsquared DOUBLE)"


def _products(y: str, x: str) -> str:
    layout = "STRUCT(count BIGINT, meanx DOUBLE, meany DOUBLE, co_moment DOUBLE)"
    return f"(covar_pop({y}, {x}){_BOTH} EXPORT_STATE)::{layout}"


def _merge() -> str:
    """One partial alone is kept as it is; NULLs are left out."""
    pivot = {v: weighted(f"base{v}", f"rest{v}") for v in "yx"}
    kept = {"n": "s__.n"} | {f"d{v}": f"(s__.base{v} - {pivot[v]}) + s__.rest{v}" for v in "yx"}
    kept |= {total: f"s__.{total}" for total in ("syy", "sxx", "sxy")}
    given = {
        "n": "sum({c}.n)::BIGINT",
        **{f"base{v}": pivot[v] for v in "yx"},
        "partials": f"list_transform(list_sort(list({{c}})), lambda s__: {struct(kept)})",
        **{f"least{v}": f"min({{c}}.least{v})" for v in "yx"},
        **{f"greatest{v}": f"max({{c}}.greatest{v})" for v in "yx"},
    }
    totals = {f"r{v}": f"{summed(f's__.n * s__.d{v}')} / g__.n" for v in "yx"}
    totals |= {f"s{a}{b}": summed(f"s__.s{a}{b} + s__.n * s__.d{a} * s__.d{b}") for a, b in ("yy", "xx", "xy")}
    whole = {
        "n": "g__.n",
        **{f"{part}{v}": f"{of}{v}" for v in "yx" for part, of in (("base", "g__.base"), ("rest", "t__.r"))},
        **{f"s{v}{v}": f"greatest(t__.s{v}{v} - g__.n * t__.r{v} * t__.r{v}, 0)" for v in "yx"},
        "sxy": "t__.sxy - g__.n * t__.ry * t__.rx",
        **_ENDS,
    }
    merged = let(given, "g__", let(totals, "t__", struct(whole)))
    return f"CASE WHEN count({{c}}) < 2 THEN any_value({{c}}) ELSE {merged} END"


_PART = Part("", _partial(), _STORED, _merge())

# --- finalise --------------------------------------------------------------------------------------------
#
# NULL and NaN are DuckDB's own: without deviations of x there is no slope (NaN) and no intercept (NULL); over an
# infinity or NaN what depends on it is NaN. Products out of range are the group's error, where DuckDB has 0 or inf.

_N, _SXX, _SYY, _SXY = "({}).n", "({}).sxx", "({}).syy", "({}).sxy"
_AUDIT = struct({"n": _N} | {end: f"({{}}).{end} + 0" for end in _ENDS})
"""What no order of additions changes."""
_TINY = "1e-280"
"""Below, sums of squares have lost digits."""


def _finite(v: str) -> str:
    return f"(isfinite(({{}}).least{v}) AND isfinite(({{}}).greatest{v}))"


def _flat(v: str) -> str:
    """Whether all values are equal; one infinity or NaN alone is."""
    return f"(({{}}).least{v} = ({{}}).greatest{v} AND ({_N} = 1 OR {_finite(v)}))"


def _mean(v: str) -> str:
    """Over an infinity or NaN it is the sum of the least and the greatest."""
    ends = f"({{}}).least{v} + ({{}}).greatest{v}"
    constant = f"({{}}).least{v} = ({{}}).greatest{v}"
    whole = f"({{}}).base{v} + ({{}}).rest{v}"
    return f"CASE WHEN {constant} THEN ({{}}).least{v} WHEN {_finite(v)} THEN {whole} ELSE {ends} END"


_ALL_FINITE = f"({_finite('y')} AND {_finite('x')})"
_ANY_FLAT = f"({_flat('y')} OR {_flat('x')})"
_NAN = "'NaN'::DOUBLE"


def _squares_of(v: str, name: str) -> str:
    return f"CASE WHEN {_flat(v)} THEN 0.0::DOUBLE WHEN NOT {_finite(v)} THEN {_NAN} ELSE {name} END"


def _product(divided: str = "") -> str:
    return f"CASE WHEN NOT {_ALL_FINITE} THEN {_NAN} WHEN {_ANY_FLAT} THEN 0.0::DOUBLE ELSE {_SXY}{divided} END"


_R = f"least(greatest({_SXY} / sqrt({_SXX}) / sqrt({_SYY}), -1), 1)"
_CORR = f"CASE WHEN NOT {_ALL_FINITE} OR {_ANY_FLAT} THEN {_NAN} ELSE {_R} END"
_R2 = (
    f"CASE WHEN {_flat('x')} THEN NULL WHEN {_flat('y')} THEN 1.0::DOUBLE "
    f"WHEN NOT {_ALL_FINITE} THEN {_NAN} ELSE {_R} * {_R} END"
)
_STEEP = f"CASE WHEN {_flat('y')} THEN 0.0::DOUBLE ELSE {_SXY} / {_SXX} END"
_SLOPE = f"CASE WHEN NOT {_ALL_FINITE} OR {_flat('x')} THEN {_NAN} ELSE {_STEEP} END"
_INTERCEPT = (
    f"CASE WHEN NOT {_ALL_FINITE} OR {_flat('x')} THEN NULL ELSE ({_mean('y')}) - ({_STEEP}) * ({_mean('x')}) END"
)


def _beyond(*sums: str, tiny: bool = False) -> str:
    """Whether sums of finite values that differ are out of range."""
    small = [f"{total} < {_TINY}" for total in sums if tiny and total != _SXY]
    return f"({_ALL_FINITE} AND NOT {_ANY_FLAT} AND ({' OR '.join([*(f'NOT isfinite({t})' for t in sums), *small])}))"


def _lone(v: str, total: str) -> str:
    return f"({_finite(v)} AND NOT {_flat(v)} AND NOT isfinite({total}))"


def _entry(name: str, value: str, bad: str, about: str, least: int = 1, scale: str = "") -> Aggregate:
    said = problem(f"{name} of values whose products are out of range")
    answer = f"CASE WHEN {{}} IS NULL OR {_N} < {least} THEN NULL WHEN {bad} THEN ({said})::DOUBLE ELSE {value} END"
    check = f"CASE WHEN {_N} >= {least} AND {bad} THEN {said} END"
    form = Form((_PART,), answer, "DOUBLE", "approximate (float)", BOUND, check, audit=_AUDIT, scale=scale)
    return Aggregate(name, "state", NUMBERS, _taking(form), about, arguments=2)


def _taking(form: Form) -> Callable[[Call], Form | None]:
    return lambda call: form if all(map(numeric, call.types)) else None


_COUNT = Form((_PART,), f"coalesce({_N}, 0)", "BIGINT", native="UINTEGER")
_FIT = _beyond(_SXX, _SXY, tiny=True)
_ALL = _beyond(_SXX, _SYY, _SXY, tiny=True)

_SPREAD = f"sqrt({_SXX}) * sqrt({_SYY})"
_GREATEST = {v: f"greatest(abs(({{}}).least{v}), abs(({{}}).greatest{v}))" for v in "yx"}
_STEEPEST = f"sqrt({_SYY}) / sqrt({_SXX})"
_HEIGHT = f"{_GREATEST['y']} + {_STEEPEST} * {_GREATEST['x']}"
"""What errors are relative to where values cancel: products of deviations, slopes near 0, intercepts near 0."""

COMOMENTS = (
    _entry("covar_pop", _product(f" / {_N}"), _beyond(_SXY), "covariance of the population", scale=f"{_SPREAD} / {_N}"),
    _entry("covar_samp", _product(f" / ({_N} - 1)"), _beyond(_SXY), "covariance of the sample", 2, f"{_SPREAD} / {_N}"),
    _entry("corr", _CORR, _ALL, "Pearson's correlation; NaN where either is the same everywhere", scale="1"),
    _entry(
        "regr_slope",
        _SLOPE,
        _FIT,
        "slope of the line of least squares; NaN where x is the same everywhere",
        scale=_STEEPEST,
    ),
    _entry(
        "regr_intercept",
        _INTERCEPT,
        _FIT,
        "where that line has x = 0; NULL where x is the same everywhere",
        scale=_HEIGHT,
    ),
    _entry(
        "regr_r2",
        _R2,
        _ALL,
        "the square of the correlation; NULL where x is the same everywhere, 1 where only y is",
        scale="1",
    ),
    Aggregate("regr_count", "state", NUMBERS, _taking(_COUNT), "pairs without NULL", arguments=2),
    _entry("regr_avgx", _mean("x"), _lone("x", "({}).basex"), "mean of x over the pairs", scale=_GREATEST["x"]),
    _entry("regr_avgy", _mean("y"), _lone("y", "({}).basey"), "mean of y over the pairs", scale=_GREATEST["y"]),
    _entry("regr_sxx", _squares_of("x", _SXX), _lone("x", _SXX), "squared deviations of x, summed"),
    _entry("regr_syy", _squares_of("y", _SYY), _lone("y", _SYY), "squared deviations of y, summed"),
    _entry("regr_sxy", _product(), _beyond(_SXY), "products of the deviations of y and x, summed", scale=_SPREAD),
)
