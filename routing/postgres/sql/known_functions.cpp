#include "routing/postgres/sql/known_functions.h"

#include <algorithm>
#include <iterator>

namespace mosaic::routing {

namespace {

// One name per line would be 500 lines.
// clang-format off
// PostgreSQL 15's pg_proc: names whose every overload is immutable or stable, without those behind operators,
// types and aggregates; and a few volatile ones that change nothing (random, clock_timestamp, pg_sleep ...).
// Sorted.
constexpr std::string_view kPlainFunctions[] = {
    "abbrev", "abs", "acos", "acosd", "acosh", "age", "area", "array_agg", "array_dims", "array_fill",
    "array_length", "array_lower", "array_ndims", "array_position", "array_positions", "array_remove",
    "array_replace", "array_to_json", "array_to_string", "array_to_tsvector", "array_upper", "ascii",
    "asin", "asind", "asinh", "atan", "atan2", "atan2d", "atand", "atanh", "avg", "bit", "bit_and",
    "bit_count", "bit_length", "bit_or", "bit_xor", "bool", "bool_and", "bool_or", "box", "bpchar",
    "broadcast", "btrim", "cardinality", "cbrt", "ceil", "ceiling", "center", "char", "char_length",
    "character_length", "chr", "cidr", "circle", "clock_timestamp", "concat", "concat_ws", "convert",
    "convert_from", "convert_to", "corr", "cos", "cosd", "cosh", "cot", "cotd", "count", "covar_pop",
    "covar_samp", "cume_dist", "current_database", "current_schema", "current_schemas", "current_setting",
    "current_user", "date", "date_bin", "date_part", "date_trunc", "datemultirange", "daterange", "decode",
    "degrees", "dense_rank", "diagonal", "diameter", "div", "encode", "enum_first", "enum_last",
    "enum_range", "every", "exp", "extract", "factorial", "family", "first_value", "float4", "float8",
    "floor", "format", "gcd", "gen_random_uuid", "generate_series", "generate_subscripts", "get_bit",
    "get_byte", "get_current_ts_config", "getdatabaseencoding", "height", "host", "hostmask",
    "inet_client_addr", "inet_client_port", "inet_server_addr", "inet_server_port", "initcap", "int2",
    "int4", "int4multirange", "int4range", "int8", "int8multirange", "int8range", "interval",
    "is_normalized", "isclosed", "isempty", "isfinite", "ishorizontal", "isopen", "isparallel", "isperp",
    "isvertical", "json_agg", "json_array_elements", "json_array_elements_text", "json_array_length",
    "json_build_array", "json_build_object", "json_each", "json_each_text", "json_object",
    "json_object_agg", "json_object_keys", "json_populate_record", "json_populate_recordset",
    "json_strip_nulls", "json_to_record", "json_to_recordset", "json_to_tsvector", "json_typeof",
    "jsonb_agg", "jsonb_array_elements", "jsonb_array_elements_text", "jsonb_array_length",
    "jsonb_build_array", "jsonb_build_object", "jsonb_each", "jsonb_each_text", "jsonb_insert",
    "jsonb_object", "jsonb_object_agg", "jsonb_object_keys", "jsonb_path_exists", "jsonb_path_exists_tz",
    "jsonb_path_match", "jsonb_path_match_tz", "jsonb_path_query", "jsonb_path_query_array",
    "jsonb_path_query_array_tz", "jsonb_path_query_first", "jsonb_path_query_first_tz",
    "jsonb_path_query_tz", "jsonb_populate_record", "jsonb_populate_recordset", "jsonb_pretty", "jsonb_set",
    "jsonb_set_lax", "jsonb_strip_nulls", "jsonb_to_record", "jsonb_to_recordset", "jsonb_to_tsvector",
    "jsonb_typeof", "justify_days", "justify_hours", "justify_interval", "lag", "last_value", "lcm", "lead",
    "left", "length", "like", "line", "ln", "log", "log10", "lower", "lower_inc", "lower_inf", "lpad",
    "lseg", "ltrim", "macaddr", "macaddr8", "macaddr8_set7bit", "make_date", "make_interval", "make_time",
    "make_timestamp", "make_timestamptz", "masklen", "max", "md5", "min", "min_scale", "mod", "mode",
    "money", "multirange", "mxid_age", "name", "netmask", "network", "normalize", "now", "npoints",
    "nth_value", "ntile", "num_nonnulls", "num_nulls", "numeric", "nummultirange", "numnode", "numrange",
    "octet_length", "oid", "overlaps", "overlay", "parse_ident", "path", "pclose", "percent_rank",
    "percentile_cont", "percentile_disc", "pg_backend_pid", "pg_blocking_pids", "pg_char_to_encoding",
    "pg_client_encoding", "pg_collation_for", "pg_column_compression", "pg_column_size",
    "pg_current_snapshot", "pg_encoding_max_length", "pg_encoding_to_char", "pg_get_keywords",
    "pg_is_in_recovery", "pg_jit_available", "pg_lsn", "pg_my_temp_schema", "pg_postmaster_start_time",
    "pg_settings_get_flags", "pg_size_bytes", "pg_size_pretty", "pg_sleep", "pg_sleep_for",
    "pg_snapshot_xip", "pg_snapshot_xmax", "pg_snapshot_xmin", "pg_trigger_depth", "pg_typeof",
    "pg_visible_in_snapshot", "pg_wal_lsn_diff", "phraseto_tsquery", "pi", "plainto_tsquery", "point",
    "polygon", "popen", "position", "pow", "power", "quote_ident", "quote_literal", "quote_nullable",
    "radians", "radius", "random", "range_agg", "range_intersect_agg", "range_merge", "rank",
    "regexp_count", "regexp_instr", "regexp_like", "regexp_match", "regexp_matches", "regexp_replace",
    "regexp_split_to_array", "regexp_split_to_table", "regexp_substr", "regr_avgx", "regr_avgy",
    "regr_count", "regr_intercept", "regr_r2", "regr_slope", "regr_sxx", "regr_sxy", "regr_syy", "repeat",
    "replace", "reverse", "right", "round", "row_number", "row_to_json", "rpad", "rtrim", "scale",
    "session_user", "set_bit", "set_byte", "set_masklen", "setweight", "sha224", "sha256", "sha384",
    "sha512", "sign", "sin", "sind", "sinh", "slope", "split_part", "sqrt", "statement_timestamp", "stddev",
    "stddev_pop", "stddev_samp", "string_agg", "string_to_array", "string_to_table", "strip", "strpos",
    "substr", "substring", "sum", "tan", "tand", "tanh", "text", "time", "timeofday", "timestamp",
    "timestamptz", "timetz", "timezone", "to_ascii", "to_char", "to_date", "to_hex", "to_json", "to_jsonb",
    "to_number", "to_timestamp", "to_tsquery", "to_tsvector", "transaction_timestamp", "translate",
    "trim_array", "trim_scale", "trunc", "ts_delete", "ts_filter", "ts_headline", "ts_lexize", "ts_parse",
    "ts_rank", "ts_rank_cd", "ts_token_type", "tsmultirange", "tsquery_phrase", "tsrange", "tstzmultirange",
    "tstzrange", "tsvector_to_array", "txid_snapshot_xip", "txid_snapshot_xmax", "txid_snapshot_xmin",
    "txid_visible_in_snapshot", "unistr", "unnest", "upper", "upper_inc", "upper_inf", "var_pop",
    "var_samp", "varbit", "varchar", "variance", "version", "websearch_to_tsquery", "width", "width_bucket",
    "xid", "xml", "xml_is_well_formed", "xml_is_well_formed_content", "xml_is_well_formed_document",
    "xmlagg", "xmlcomment", "xmlexists", "xpath", "xpath_exists"};

// The same, for those that read the system catalogs: their OIDs mean something on one node only. Sorted.
constexpr std::string_view kCatalogFunctions[] = {
    "acldefault", "aclexplode", "col_description", "format_type", "makeaclitem", "obj_description",
    "oidvectortypes", "pg_available_extension_versions", "pg_available_extensions",
    "pg_column_is_updatable", "pg_database_size", "pg_describe_object", "pg_extension_update_paths",
    "pg_filenode_relation", "pg_get_catalog_foreign_keys", "pg_get_constraintdef", "pg_get_expr",
    "pg_get_function_arg_default", "pg_get_function_arguments", "pg_get_function_identity_arguments",
    "pg_get_function_result", "pg_get_function_sqlbody", "pg_get_functiondef", "pg_get_indexdef",
    "pg_get_object_address", "pg_get_partition_constraintdef", "pg_get_partkeydef",
    "pg_get_publication_tables", "pg_get_replica_identity_index", "pg_get_replication_slots",
    "pg_get_ruledef", "pg_get_serial_sequence", "pg_get_statisticsobjdef",
    "pg_get_statisticsobjdef_columns", "pg_get_statisticsobjdef_expressions", "pg_get_triggerdef",
    "pg_get_userbyid", "pg_get_viewdef", "pg_has_role", "pg_identify_object",
    "pg_identify_object_as_address", "pg_index_column_has_property", "pg_index_has_property",
    "pg_indexam_has_property", "pg_indexam_progress_phasename", "pg_indexes_size",
    "pg_is_other_temp_schema", "pg_lock_status", "pg_mcv_list_items", "pg_options_to_table",
    "pg_partition_ancestors", "pg_partition_root", "pg_partition_tree", "pg_relation_filenode",
    "pg_relation_filepath", "pg_relation_is_publishable", "pg_relation_is_updatable", "pg_relation_size",
    "pg_sequence_parameters", "pg_show_all_settings", "pg_table_size", "pg_tablespace_databases",
    "pg_tablespace_location", "pg_tablespace_size", "pg_timezone_abbrevs", "pg_timezone_names",
    "pg_total_relation_size", "regclass", "row_security_active", "shobj_description"};

// clang-format on

bool is_one_of(const auto& sorted, std::string_view name) {
  return std::binary_search(std::begin(sorted), std::end(sorted), name);
}

// Families that would double the lists.
bool is_catalog_family(std::string_view name) {
  return name.starts_with("pg_stat_get_") || name.starts_with("to_reg") ||
         (name.starts_with("pg_") && name.ends_with("_is_visible")) ||
         (name.starts_with("has_") && name.ends_with("_privilege"));
}

}  // namespace

FunctionTrait find_function_trait(std::string_view name) {
  if (is_one_of(kPlainFunctions, name)) return FunctionTrait::kPlain;
  if (is_one_of(kCatalogFunctions, name) || is_catalog_family(name)) return FunctionTrait::kCatalog;
  if (name == "pg_advisory_lock" || name == "pg_advisory_lock_shared" || name == "pg_try_advisory_lock" ||
      name == "pg_try_advisory_lock_shared") {
    return FunctionTrait::kSessionLock;
  }
  if (name.starts_with("pg_advisory_unlock")) return FunctionTrait::kSessionUnlock;
  return FunctionTrait::kUnknown;
}

}  // namespace mosaic::routing
