"""What tools ask of the catalogue, in the shapes of their public sources: the rows are PostgreSQL 15's.

Grafana and Metabase ask for schemas, tables and columns, DBeaver for whole rows of pg_catalog, drivers for types.
"""

from __future__ import annotations

import pytest
from wire_fixtures import Both

ASKED = {
    # Grafana
    "grafana version": "SELECT current_setting('server_version_num')::int/100*100 > 0 AS version",
    "grafana timescale": "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'",
    "grafana tables": """
        select quote_ident(table_name) as "table" from information_schema.tables
        where quote_ident(table_schema) not in ('information_schema', 'pg_catalog', '_timescaledb_cache',
              '_timescaledb_catalog', '_timescaledb_internal', '_timescaledb_config', 'timescaledb_information',
              'timescaledb_experimental')
        and table_type in ('BASE TABLE', 'VIEW') and
          quote_ident(table_schema) IN (
          SELECT CASE WHEN trim(s[i]) = '"$user"' THEN user ELSE trim(s[i]) END
          FROM generate_series(array_lower(string_to_array(current_setting('search_path'),','),1),
                               array_upper(string_to_array(current_setting('search_path'),','),1)) as i,
               string_to_array(current_setting('search_path'),',') s)""",
    "grafana columns": """
        select quote_ident(column_name) as "column", data_type as "type" from information_schema.columns
        where table_schema = 'public' and quote_ident(table_name) = 'sales' order by ordinal_position""",
    "grafana time columns": """
        SELECT quote_ident(column_name) FROM information_schema.columns
        WHERE table_schema = 'public' AND table_name = 'sales' AND data_type IN
          ('timestamp without time zone','timestamp with time zone','bigint','integer','double precision','real')
        ORDER BY column_name""",
    # Metabase, and what its driver asks
    "metabase schemas": "SELECT nspname AS table_schem FROM pg_catalog.pg_namespace WHERE nspname <> 'pg_toast' AND nspname !~ '^pg_temp_' AND nspname = 'public' ORDER BY 1",
    "metabase tables": """
        SELECT n.nspname AS schema, c.relname AS name, CASE c.relkind WHEN 'r' THEN 'TABLE' WHEN 'v' THEN 'VIEW'
          WHEN 'p' THEN 'PARTITIONED TABLE' WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'm' THEN 'MATERIALIZED VIEW' END AS type,
          d.description AS description
        FROM pg_catalog.pg_class AS c INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid
          LEFT JOIN pg_catalog.pg_description AS d ON c.oid = d.objoid AND d.objsubid = 0 AND d.classoid = 'pg_class'::regclass
        WHERE c.relnamespace = n.oid AND n.nspname !~ '^information_schema|catalog_history|pg_'
          AND c.relkind IN ('r', 'p', 'v', 'f', 'm') AND n.nspname IN ('public') ORDER BY type, schema, name""",
    "metabase columns": """
        SELECT c.column_name AS name, CASE WHEN c.udt_schema IN ('public', 'pg_catalog') THEN FORMAT_TYPE(t.oid, NULL) ELSE c.udt_name END AS type,
          c.ordinal_position - 1 AS position, c.table_schema AS schema, c.table_name AS tname,
          pk.column_name IS NOT NULL AS is_pk, COL_DESCRIPTION(CAST(CAST(FORMAT_TYPE(0, NULL) IS NULL AS int) AS oid), c.ordinal_position::int) AS remarks,
          c.column_default IS NULL AND c.is_nullable = 'NO' AS required
        FROM information_schema.columns AS c
          LEFT JOIN (SELECT tc.table_schema, tc.table_name, kc.column_name FROM information_schema.table_constraints AS tc
                     INNER JOIN information_schema.key_column_usage AS kc ON tc.constraint_name = kc.constraint_name
                     WHERE tc.constraint_type = 'PRIMARY KEY') AS pk
            ON c.table_schema = pk.table_schema AND c.table_name = pk.table_name AND c.column_name = pk.column_name
          INNER JOIN pg_catalog.pg_type AS t ON c.udt_name = t.typname
        WHERE c.table_schema !~ '^information_schema|catalog_history|pg_' AND c.table_schema IN ('public') ORDER BY position""",
    "metabase privileges": """
        with table_privileges as (
          select NULL as role, t.schemaname as schema, t.objectname as table,
            pg_catalog.has_any_column_privilege(current_user, '"' || replace(t.schemaname, '"', '""') || '"' || '.' || '"' || replace(t.objectname, '"', '""') || '"', 'SELECT') as select
          from (select schemaname, tablename as objectname from pg_catalog.pg_tables
                union select schemaname, viewname as objectname from pg_catalog.pg_views
                union select schemaname, matviewname as objectname from pg_catalog.pg_matviews) t
          where t.schemaname !~ '^pg_' and t.schemaname <> 'information_schema'
            and pg_catalog.has_schema_privilege(current_user, t.schemaname, 'USAGE'))
        select t.* from table_privileges t""",
    "metabase enums": "SELECT nspname, typname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.oid IN (SELECT DISTINCT enumtypid FROM pg_enum)",
    # DBeaver
    "dbeaver schema": "SELECT current_schema(), session_user = current_user AS same",
    "dbeaver namespaces": """
        SELECT n.nspname, d.description FROM pg_catalog.pg_namespace n
        LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid=n.oid AND d.objsubid=0 AND d.classoid='pg_namespace'::regclass
        WHERE n.nspname = 'nope' ORDER BY nspname""",
    "dbeaver tables": """
        SELECT c.relname, c.relkind, c.relnatts, c.relpersistence, c.relhasindex, c.relispartition, c.reloptions, d.description,
          pg_catalog.pg_get_expr(c.relpartbound, c.oid) as partition_expr, pg_catalog.pg_get_partkeydef(c.oid) as partition_key
        FROM pg_catalog.pg_class c
        LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid=c.oid AND d.objsubid=0 AND d.classoid='pg_class'::regclass
        WHERE c.relnamespace=(SELECT oid FROM pg_namespace WHERE nspname = 'public') AND c.relkind not in ('i','I','c')""",
    "dbeaver columns": """
        SELECT c.relname, a.attname, a.attnum, a.atttypid, a.atttypmod, a.attlen, a.attnotnull, a.attndims, a.attidentity,
          pg_catalog.pg_get_expr(ad.adbin, ad.adrelid, true) as def_value, dsc.description, dep.objid
        FROM pg_catalog.pg_attribute a
        INNER JOIN pg_catalog.pg_class c ON (a.attrelid=c.oid)
        LEFT OUTER JOIN pg_catalog.pg_attrdef ad ON (a.attrelid=ad.adrelid AND a.attnum = ad.adnum)
        LEFT OUTER JOIN pg_catalog.pg_description dsc ON (c.oid=dsc.objoid AND a.attnum = dsc.objsubid)
        LEFT OUTER JOIN pg_depend dep on dep.refobjid = a.attrelid AND dep.deptype = 'i' and dep.refobjsubid = a.attnum and dep.classid = dep.refclassid
        WHERE NOT a.attisdropped AND c.relkind not in ('i','I','c') AND a.attnum > 0 AND c.oid='public.sales'::regclass ORDER BY a.attnum""",
    "dbeaver types": """
        SELECT t.oid, t.typname, t.typlen, t.typcategory, t.typelem, c.relkind,
          format_type(nullif(t.typbasetype, 0), t.typtypmod) as base_type_name, d.description
        FROM pg_catalog.pg_type t
        LEFT OUTER JOIN pg_catalog.pg_type et ON et.oid=t.typelem
        LEFT OUTER JOIN pg_catalog.pg_class c ON c.oid=t.typrelid
        LEFT OUTER JOIN pg_catalog.pg_description d ON t.oid=d.objoid AND false
        WHERE t.typname IN ('int4', 'int8', 'text', 'timestamptz', 'numeric', 'float8', '_text', 'bool', 'json', 'uuid') ORDER BY t.oid""",
    "dbeaver constraints": "SELECT c.oid, c.conname FROM pg_catalog.pg_constraint c INNER JOIN pg_catalog.pg_class t ON t.oid=c.conrelid WHERE c.conrelid='sales'::regclass ORDER BY c.oid",
    "dbeaver indexes": """
        SELECT i.*, i.indkey as keys, c.relname, c.relnamespace, c.relam, c.reltablespace, tc.relname as tabrelname, dsc.description,
          pg_catalog.pg_get_expr(i.indpred, i.indrelid) as pred_expr, pg_catalog.pg_get_expr(i.indexprs, i.indrelid, true) as expr,
          pg_catalog.pg_relation_size(i.indexrelid) as index_rel_size
        FROM pg_catalog.pg_index i INNER JOIN pg_catalog.pg_class c ON c.oid=i.indexrelid
        INNER JOIN pg_catalog.pg_class tc ON tc.oid=i.indrelid
        LEFT OUTER JOIN pg_catalog.pg_description dsc ON i.indexrelid=dsc.objoid WHERE i.indrelid='sales'::regclass ORDER BY tabrelname, c.relname""",
    "dbeaver probes": "SELECT * FROM pg_catalog.pg_enum WHERE 1<>1 LIMIT 1",
    "dbeaver reltype": "SELECT reltype FROM pg_catalog.pg_class WHERE 1<>1 LIMIT 1",
    # drivers
    "jdbc columns": """
        SELECT * FROM (SELECT n.nspname,c.relname,a.attname,a.atttypid,a.attnotnull OR (t.typtype = 'd' AND t.typnotnull) AS attnotnull,
          a.atttypmod,a.attlen,t.typtypmod,row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum) AS attnum,
          nullif(a.attidentity, '') as attidentity,nullif(a.attgenerated, '') as attgenerated,
          pg_catalog.pg_get_expr(def.adbin, def.adrelid) AS adsrc,dsc.description,t.typbasetype,t.typtype
        FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_class c ON (c.relnamespace = n.oid)
          JOIN pg_catalog.pg_attribute a ON (a.attrelid=c.oid) JOIN pg_catalog.pg_type t ON (a.atttypid = t.oid)
          LEFT JOIN pg_catalog.pg_attrdef def ON (a.attrelid=def.adrelid AND a.attnum = def.adnum)
          LEFT JOIN pg_catalog.pg_description dsc ON (c.oid=dsc.objoid AND a.attnum = dsc.objsubid)
          LEFT JOIN pg_catalog.pg_class dc ON (dc.oid=dsc.classoid AND dc.relname='pg_class')
          LEFT JOIN pg_catalog.pg_namespace dn ON (dc.relnamespace=dn.oid AND dn.nspname='pg_catalog')
        WHERE c.relkind in ('r','p','v','f','m') and a.attnum > 0 AND NOT a.attisdropped AND c.relname LIKE 'sales') c
        WHERE true ORDER BY nspname,c.relname,attnum""",
    "jdbc keys": """
        SELECT result.TABLE_NAME, result.COLUMN_NAME, result.KEY_SEQ, result.PK_NAME FROM (
          SELECT n.nspname AS TABLE_SCHEM, ct.relname AS TABLE_NAME, a.attname AS COLUMN_NAME,
            (information_schema._pg_expandarray(i.indkey)).n AS KEY_SEQ, ci.relname AS PK_NAME,
            information_schema._pg_expandarray(i.indkey) AS KEYS, a.attnum AS A_ATTNUM
          FROM pg_catalog.pg_class ct JOIN pg_catalog.pg_attribute a ON (ct.oid = a.attrelid)
            JOIN pg_catalog.pg_namespace n ON (ct.relnamespace = n.oid) JOIN pg_catalog.pg_index i ON (a.attrelid = i.indrelid)
            JOIN pg_catalog.pg_class ci ON (ci.oid = i.indexrelid) WHERE ct.relname = 'sales' AND i.indisprimary) result
        WHERE result.A_ATTNUM = (result.KEYS).x""",
    "adbc types": """
        SELECT oid, typname, typreceive, typbasetype, typrelid, typarray FROM pg_catalog.pg_type
        WHERE (typreceive != 0 OR typsend != 0) AND typtype != 'r' AND typreceive::TEXT != 'array_recv'
          AND oid IN (16, 20, 23, 25, 701, 1184, 1700)""",
    "npgsql schemas": "SELECT nspname FROM pg_namespace WHERE nspname = ANY(current_schemas(false)) ORDER BY 1",
    "superset views": "SELECT viewname FROM pg_views WHERE schemaname = 'public'",
}


@pytest.mark.parametrize("name", ASKED)
def test_the_catalogue_says_what_postgres_says(both: Both, name: str) -> None:
    with both.connected() as (theirs, ours):
        wanted, found = theirs.execute(ASKED[name]), ours.execute(ASKED[name])
        assert [one.name for one in found.description] == [one.name for one in wanted.description]
        assert found.fetchall() == wanted.fetchall()
