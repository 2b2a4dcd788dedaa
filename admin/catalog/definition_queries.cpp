#include "admin/catalog/definition_queries.h"

namespace mosaic::admin {

namespace {

// Bodies longer than 64 KiB are not read, but taken for ones that may do anything.
constexpr std::string_view kDefinitions = R"sql(
WITH spaces AS MATERIALIZED (
  SELECT oid, nspname FROM pg_namespace
  WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND (nspname !~ $1 OR nspname = $2)
), relations AS MATERIALIZED (
  SELECT c.oid, c.relname, c.relkind FROM pg_class c JOIN spaces s ON s.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'f')
), functions AS MATERIALIZED (
  SELECT p.oid, p.proname, p.prokind, l.lanname IN ('sql', 'plpgsql') AS is_readable,
         p.proname = ANY ($3::text[]) OR coalesce(x.extname = ANY ($4::text[]), false) AS is_clean,
         coalesce(pg_get_function_sqlbody(p.oid), p.prosrc) || E'\n;' || coalesce(pg_get_expr(p.proargdefaults, 0), '') AS source
  FROM pg_proc p JOIN spaces s ON s.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
    LEFT JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass
    LEFT JOIN pg_extension x ON x.oid = d.refobjid
), found (kind, name, source, calls, writes, is_opaque) AS (
  SELECT 'f', proname, CASE WHEN is_readable AND NOT is_clean AND length(source) <= 65536 THEN source ELSE '' END, '{}'::name[], '{}'::name[],
         NOT is_clean AND (NOT is_readable OR length(source) > 65536)
  FROM functions WHERE prokind <> 'a'
  UNION ALL
  SELECT 'f', f.proname, '', CASE WHEN f.is_clean THEN '{}' ELSE
         ARRAY(SELECT c.proname FROM pg_proc c WHERE c.oid IN (a.aggtransfn, a.aggfinalfn, a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn)) END, '{}', false
  FROM functions f JOIN pg_aggregate a ON a.aggfnoid = f.oid
  UNION ALL
  SELECT 'f', o.oprname, '', ARRAY[f.proname], '{}', false
  FROM pg_operator o JOIN functions f ON f.oid = o.oprcode WHERE f.is_readable
  UNION ALL
  SELECT 'f', t.typname, '', ARRAY[f.proname], '{}', false
  FROM pg_cast c JOIN functions f ON f.oid = c.castfunc JOIN pg_type t ON t.oid = c.casttarget WHERE f.is_readable
  UNION ALL
  SELECT 'f', t.typname, coalesce(pg_get_expr(t.typdefaultbin, 0), '') || ';' || coalesce((SELECT string_agg(pg_get_constraintdef(k.oid), ';') FROM pg_constraint k WHERE k.contypid = t.oid), ''),
         ARRAY(SELECT b.typname FROM pg_type b WHERE b.oid = t.typbasetype AND b.typtype = 'd'), '{}', false
  FROM pg_type t JOIN spaces s ON s.oid = t.typnamespace WHERE t.typtype = 'd'
  UNION ALL
  SELECT 'w', r.relname, coalesce(substring(pg_get_triggerdef(t.oid) FROM ' WHEN (.*) EXECUTE FUNCTION '), ''), ARRAY[f.proname], '{}', false
  FROM pg_trigger t JOIN relations r ON r.oid = t.tgrelid JOIN pg_proc f ON f.oid = t.tgfoid WHERE NOT t.tgisinternal AND t.tgenabled <> 'D'
  UNION ALL
  SELECT 'w', r.relname, pg_get_expr(d.adbin, d.adrelid), '{}', '{}', false
  FROM pg_attrdef d JOIN relations r ON r.oid = d.adrelid
  UNION ALL
  SELECT 'w', r.relname, CASE WHEN a.attidentity <> '' THEN 'nextval(''identity'')' ELSE '' END, CASE WHEN t.typtype = 'd' THEN ARRAY[t.typname] ELSE '{}' END, '{}', false
  FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid JOIN pg_type t ON t.oid = a.atttypid
  WHERE a.attnum > 0 AND NOT a.attisdropped AND (a.attidentity <> '' OR t.typtype = 'd' AND t.typnamespace IN (SELECT oid FROM spaces))
  UNION ALL
  SELECT 'w', r.relname, pg_get_expr(k.conbin, k.conrelid), '{}', '{}', false
  FROM pg_constraint k JOIN relations r ON r.oid = k.conrelid WHERE k.contype = 'c'
  UNION ALL
  SELECT 'w', r.relname, coalesce(pg_get_expr(i.indexprs, i.indrelid), '') || ';' || coalesce(pg_get_expr(i.indpred, i.indrelid), ''), '{}', '{}', false
  FROM pg_index i JOIN relations r ON r.oid = i.indrelid WHERE i.indexprs IS NOT NULL OR i.indpred IS NOT NULL
  UNION ALL
  SELECT 'r', r.relname, coalesce(pg_get_expr(p.polqual, p.polrelid), '') || ';' || coalesce(pg_get_expr(p.polwithcheck, p.polrelid), ''), '{}', '{}', false
  FROM pg_policy p JOIN relations r ON r.oid = p.polrelid
  UNION ALL
  SELECT k.kind, r.relname, pg_get_viewdef(r.oid), '{}', '{}', false
  FROM relations r, (VALUES ('r'), ('w')) k (kind) WHERE r.relkind = 'v'
  UNION ALL
  SELECT 'w', r.relname, substring(pg_get_ruledef(w.oid) FROM ' TO (.*)$'), '{}', '{}', false
  FROM pg_rewrite w JOIN relations r ON r.oid = w.ev_class WHERE w.ev_type <> '1'
  UNION ALL
  SELECT 'w', p.relname, '', '{}', ARRAY[c.relname], false
  FROM pg_inherits i JOIN relations p ON p.oid = i.inhparent JOIN relations c ON c.oid = i.inhrelid
  UNION ALL
  SELECT 'w', p.relname, '', '{}', ARRAY[c.relname], false
  FROM pg_constraint k JOIN relations p ON p.oid = k.confrelid JOIN relations c ON c.oid = k.conrelid
  WHERE k.contype = 'f' AND (k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd'))
  UNION ALL
  SELECT 'b', proname, '', '{}', '{}', false FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
  GROUP BY proname HAVING bool_and(provolatile <> 'v')
)
SELECT DISTINCT kind, name::text, source, array_to_json(calls)::text, array_to_json(writes)::text, is_opaque FROM found ORDER BY 1, 2, 3
LIMIT 100001)sql";

constexpr std::string_view kNamesakes = R"sql(
SELECT c.relname, n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = ANY ($2::text[]) AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname !~ '^pg_'
  AND n.nspname NOT IN ('public', 'information_schema') AND n.nspname !~ $1
ORDER BY 1, 2)sql";

// pg_db_role_setting: the manual says that a role's setting in one database goes before its setting in all,
// and these before the database's.
constexpr std::string_view kSearchPaths = R"sql(
SELECT coalesce(r.rolname, ''), substring(setting FROM 13)
FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) setting
WHERE setting LIKE 'search_path=%' AND (s.setdatabase = 0 OR s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()))
ORDER BY 1, s.setdatabase DESC)sql";

}  // namespace

std::string_view definitions_sql() { return kDefinitions; }
std::string_view namesakes_sql() { return kNamesakes; }
std::string_view search_paths_sql() { return kSearchPaths; }

}  // namespace mosaic::admin
