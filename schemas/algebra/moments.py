"""Variances: moments about the mean, merged stably."""

from __future__ import annotations

from collections.abc import Callable

from seamline.schemas.algebra.forms import FLOAT_BOUND, NUMBERS, Aggregate, Call, Form, Part, numeric, problem

# --- states ----------------------------------------------------------------------------------------------
#
# DuckDB keeps count, mean and squared deviations (Welford) and combines them by Chan et al. 1979, which stays right
# where a sum of squares does not. Spark has no unsigned types, so the count is stored signed.


def _moments(function: str) -> Callable[[Call], Form | None]:
    stored = "STRUCT(count BIGINT, mean DOUBLE, dsquared DOUBLE)"

    def state(column: str) -> str:
        layout = "STRUCT(count UBIGINT, mean DOUBLE, dsquared DOUBLE)"
        return f"to_aggregate_state({column}::{layout}, '{function}', ['DOUBLE'])"

    def form(call: Call) -> Form | None:
        if not numeric(call.type):
            return None
        partial = f"({function}(({{x}})::DOUBLE){{filter}} EXPORT_STATE)::{stored}"
        part = Part("", partial, stored, f"(combine_aggr({state('{c}')}))::{stored}")
        said = problem(f"{function} over infinities, NaN or values whose squares are out of range")
        done = f"TRY(finalize({state('{}')}))"
        bad = f"{done} IS NULL AND struct_extract({{}}, 'count') > 1"
        value = f"CASE WHEN {bad} THEN ({said})::DOUBLE ELSE {done} END"
        check = f"CASE WHEN {bad} THEN {said} END"
        return Form((part,), value, "DOUBLE", "approximate (float)", FLOAT_BOUND, check)

    return form


MOMENTS = (
    Aggregate("var_pop", "state", NUMBERS, _moments("var_pop"), "variance of the population"),
    Aggregate("var_samp", "state", NUMBERS, _moments("var_samp"), "variance of the sample", also=("variance",)),
    Aggregate("stddev_pop", "state", NUMBERS, _moments("stddev_pop"), "standard deviation of the population"),
    Aggregate(
        "stddev_samp", "state", NUMBERS, _moments("stddev_samp"), "standard deviation of the sample", also=("stddev",)
    ),
)
