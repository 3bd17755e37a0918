"""What a query may hold: the kinds of node of DuckDB's own syntax tree, and functions by name.

Everything that is not listed is refused, so a new engine's new functions stay outside until they are looked at.
Left out on purpose: whatever reads files, settings, the environment or the catalogue, runs text as SQL, waits,
writes logs, keeps state (sequences, variables), or gives another answer each time (random, uuid, samples; `now()` is
allowed, since dashboards ask for the last hour). A function that is told another's name is held to this list, too.
"""

from __future__ import annotations

_QUERIES = "SELECT_NODE SET_OPERATION_NODE RECURSIVE_CTE_NODE CTE_NODE"
_SOURCES = "BASE_TABLE SUBQUERY JOIN EMPTY EXPRESSION_LIST TABLE_FUNCTION"
_MODIFIERS = """
ORDER_MODIFIER LIMIT_MODIFIER LIMIT_PERCENT_MODIFIER DISTINCT_MODIFIER ORDER_DEFAULT ASCENDING DESCENDING
"""
_EXPRESSIONS = """
BETWEEN CASE CAST COLLATE COLUMN_REF COMPARISON CONJUNCTION CONSTANT FUNCTION LAMBDA OPERATOR PARAMETER
POSITIONAL_REFERENCE STAR SUBQUERY TYPE WINDOW
"""

NODES = frozenset(word for words in (_QUERIES, _SOURCES, _MODIFIERS, _EXPRESSIONS) for word in words.split())
"""A tree's nodes by `class`, or by `type` where they have no class."""

TABLE_FUNCTIONS = frozenset(["unnest", "range", "generate_series"])

_OPERATORS = """
! != !__postfix !~~ !~~* % & && * ** + - ->> -> / // < <-> << <= <> <@ = == > >= >> @ @> ^ ^@ | || ~ ~~ ~~* ~~~
!~ ~* like_escape ilike_escape not_like_escape not_ilike_escape not_similar_to similar_to add subtract multiply
divide mod xor
"""

_CONDITIONS = "coalesce if ifnull nullif greatest least constant_or_null typeof"

_NUMBERS = """
abs acos acosh asin asinh atan atan2 atanh bit_count cbrt ceil ceiling cos cosh cot degrees even exp factorial
fdiv floor fmod gamma gcd greatest_common_divisor isfinite isinf isnan lcm least_common_multiple lgamma ln log
log10 log2 nextafter pi pow power radians round round_even roundbankers sign signbit sin sinh sqrt tan tanh
trunc equi_width_bins width_bucket
"""

_TEXT = """
array_to_string ascii bar base64 bin bit_length char_length character_length chr concat concat_ws contains
damerau_levenshtein decode editdist3 encode ends_with format formatreadabledecimalsize formatreadablesize
format_bytes from_base64 from_binary from_hex hamming hash hex instr jaccard jaro_similarity
jaro_winkler_similarity lcase left left_grapheme len length length_grapheme levenshtein lower lpad ltrim md5
mismatches nfc_normalize octet_length ord overlay position prefix printf regexp_escape regexp_extract
regexp_extract_all regexp_full_match regexp_matches regexp_replace regexp_split_to_array repeat replace reverse
right right_grapheme rpad rtrim sha1 sha256 split split_part starts_with str_split str_split_regex string_split
string_split_regex string_to_array strip_accents strlen strpos substr substring substring_grapheme suffix
to_base to_base64 to_binary to_hex translate trim ucase unbin unhex unicode upper url_decode url_encode
"""

_TIME = """
age ago century current_date current_localtime current_localtimestamp date_add date_diff date_part date_sub
date_trunc datediff datepart datesub datetrunc day dayname dayofmonth dayofweek dayofyear days_in_month decade
epoch epoch_ms epoch_ns epoch_us era get_current_time get_current_timestamp hour isodow isoyear julian last_day
make_date make_time make_timestamp make_timestamp_ms make_timestamp_ns make_timestamptz microsecond millennium
millisecond minute month monthname nanosecond normalized_interval now quarter second strftime strptime
time_bucket timezone timezone_hour timezone_minute to_centuries to_days to_decades to_hours to_microseconds
to_millennia to_milliseconds to_minutes to_months to_quarters to_seconds to_timestamp to_weeks to_years today
transaction_timestamp try_strptime week weekday weekofyear year yearweek
"""

_NESTED = """
array_aggr array_aggregate array_append array_apply array_cat array_concat array_contains array_distinct
array_extract array_filter array_has array_has_all array_has_any array_indexof array_intersect array_length
array_pop_back array_pop_front array_position array_prepend array_push_back array_push_front array_reduce
array_resize array_reverse array_reverse_sort array_select array_slice array_sort array_transform array_unique
array_value array_where array_zip cardinality element_at filter flatten generate_series list_aggr list_aggregate
list_any_value list_append list_apply list_avg list_bool_and list_bool_or list_cat list_concat list_contains
list_count list_distinct list_element list_extract list_filter list_first list_has list_has_all list_has_any
list_indexof list_intersect list_last list_max list_median list_min list_mode list_pack list_position
list_prepend list_product list_reduce list_resize list_reverse list_reverse_sort list_select list_slice
list_sort list_stddev_pop list_stddev_samp list_string_agg list_sum list_transform list_unique list_value
list_var_pop list_var_samp list_where list_zip map map_concat map_contains map_entries map_extract
map_extract_value map_from_entries map_keys map_values range row struct_concat struct_contains struct_extract
struct_extract_at struct_has struct_insert struct_keys struct_pack struct_position struct_update struct_values
unnest json_array json_array_length json_contains json_exists json_extract json_extract_path
json_extract_path_text json_extract_string json_keys json_merge_patch json_object json_quote json_structure
json_type json_valid json_value row_to_json to_json array_to_json
"""

_AGGREGATES = """
any_value approx_count_distinct approx_quantile approx_top_k arbitrary arg_max arg_max_null arg_min arg_min_null
argmax argmin array_agg avg bit_and bit_or bit_xor bool_and bool_or corr count count_if count_star countif
covar_pop covar_samp entropy favg first fsum geomean geometric_mean group_concat histogram json_group_array
json_group_object kahan_sum kurtosis kurtosis_pop last list listagg mad max max_by mean median min min_by mode
percentile_cont percentile_disc product quantile quantile_cont quantile_disc regr_avgx regr_avgy regr_count
regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy sem skewness stddev stddev_pop stddev_samp
string_agg sum sumkahan var_pop var_samp variance wavg weighted_avg
"""

_WINDOWS = """
cume_dist dense_rank fill first_value lag last_value lead nth_value ntile percent_rank rank rank_dense
row_number
"""

_SKETCHES = """
theta_difference theta_intersection theta_sketch_error theta_sketch_estimate theta_union theta_union_agg
"""
"""Not DuckDB's own: seamline.serving.functions makes them."""

TIME_FUNCTIONS = frozenset(_TIME.split())

MEASURE = frozenset(["measure"])
"""Seamline's own: seamline.serving.measure writes it out."""

BY_NAME = frozenset(["list_aggregate", "list_aggr", "array_aggregate", "array_aggr"])
"""Their second argument is an aggregate's name."""

AGGREGATES = frozenset(_AGGREGATES.split())

WORDS = ("current_catalog", "current_role", "current_schema", "current_user", "session_user", "user")
"""Where no column has such a name, DuckDB takes the word for a function of the same name, which is not listed."""

FUNCTIONS = MEASURE | frozenset(
    word
    for words in (_OPERATORS, _CONDITIONS, _NUMBERS, _TEXT, _TIME, _NESTED, _AGGREGATES, _WINDOWS, _SKETCHES)
    for word in words.split()
)
"""Functions and operators by DuckDB's names, in lower case."""
