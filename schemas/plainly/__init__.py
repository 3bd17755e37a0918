"""Every aggregate of the algebra once more, in plain Python: fractions, decimals, dictionaries and sorting.

Nothing is shared with what makes, merges and finishes partials, and nothing here knows the engine: it is what answers
are checked against, in tests and by batch runs. An evaluator takes all events of a group in one pass; it is meant for
samples, not for speed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from seamline.schemas.plainly import kept, moments, sketches, sums
from seamline.schemas.plainly.values import OUT_OF_RANGE, Asked, Plain

__all__ = ["OUT_OF_RANGE", "PLAINLY", "Asked", "Evaluator", "Plain"]


@dataclass(frozen=True)
class Evaluator:
    """How an aggregate is computed in plain Python."""

    evaluate: Callable[[Asked], Plain]
    """Finishes one group."""

    reads: str = "{x}"
    """The SQL of what it takes for an argument `{x}`, row by row."""

    ordered: bool = False
    """Whether it needs the events' places."""


_TEXT = "({x})::VARCHAR"

PLAINLY: dict[str, Evaluator] = {
    "count": Evaluator(sums.count),
    "count_if": Evaluator(sums.count_if),
    "sum": Evaluator(sums.total),
    "sum distinct": Evaluator(sums.total_distinct),
    "avg": Evaluator(sums.average),
    "avg distinct": Evaluator(sums.average_distinct),
    "product": Evaluator(sums.product),
    "bool_and": Evaluator(sums.truth(all)),
    "bool_or": Evaluator(sums.truth(any)),
    "bit_and": Evaluator(sums.bit_and),
    "bit_or": Evaluator(sums.bit_or),
    "bit_xor": Evaluator(sums.bit_xor),
    "min": Evaluator(kept.extreme(greatest=False)),
    "max": Evaluator(kept.extreme(greatest=True)),
    "min_by": Evaluator(kept.extreme_by(greatest=False)),
    "max_by": Evaluator(kept.extreme_by(greatest=True)),
    "first": Evaluator(kept.first, ordered=True),
    "last": Evaluator(kept.last, ordered=True),
    "any_value": Evaluator(kept.any_value, ordered=True),
    "array_agg": Evaluator(kept.array_agg, ordered=True),
    "array_agg distinct": Evaluator(kept.array_agg_distinct),
    "collect_set": Evaluator(kept.collect_set),
    "string_agg": Evaluator(kept.string_agg, _TEXT, ordered=True),
    "string_agg distinct": Evaluator(kept.string_agg_distinct, _TEXT),
    "count distinct": Evaluator(kept.count_distinct),
    "approx_count_distinct": Evaluator(sketches.approx_count_distinct),
    "theta_sketch_agg": Evaluator(sketches.theta_sketch_agg),
    "approx_quantile": Evaluator(sketches.approx_quantile),
    "median": Evaluator(sketches.median),
    "quantile_cont": Evaluator(sketches.quantile_cont),
    "quantile_disc": Evaluator(sketches.quantile_disc),
    "approx_top_k": Evaluator(sketches.approx_top_k),
    "mode": Evaluator(sketches.mode),
    "entropy": Evaluator(sketches.entropy),
    "histogram": Evaluator(sketches.histogram),
    "var_pop": Evaluator(moments.variance()),
    "var_samp": Evaluator(moments.variance(sample=True)),
    "stddev_pop": Evaluator(moments.variance(root=True)),
    "stddev_samp": Evaluator(moments.variance(sample=True, root=True)),
    "skewness": Evaluator(moments.skewness),
    "kurtosis": Evaluator(moments.kurtosis),
    "kurtosis_pop": Evaluator(moments.kurtosis_pop),
    "covar_pop": Evaluator(moments.covar_pop),
    "covar_samp": Evaluator(moments.covar_samp),
    "corr": Evaluator(moments.corr),
    "regr_slope": Evaluator(moments.regr_slope),
    "regr_intercept": Evaluator(moments.regr_intercept),
    "regr_r2": Evaluator(moments.regr_r2),
    "regr_count": Evaluator(moments.regr_count),
    "regr_avgx": Evaluator(moments.regr_avgx),
    "regr_avgy": Evaluator(moments.regr_avgy),
    "regr_sxx": Evaluator(moments.regr_sxx),
    "regr_syy": Evaluator(moments.regr_syy),
    "regr_sxy": Evaluator(moments.regr_sxy),
}
"""By the entry's name."""
