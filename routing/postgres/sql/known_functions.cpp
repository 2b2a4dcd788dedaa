#include "routing/postgres/sql/known_functions.h"

#include "routing/postgres/sql/sorted_words.h"

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

// PostgreSQL 15's volatile functions, and those that look at the transaction or the server, which leave nothing behind:
// what they do is done for all, or ends with the transaction (large object descriptors, pg_advisory_xact_lock).
// Sorted.
constexpr std::string_view kEffectFunctions[] = {
    "brin_desummarize_range", "brin_summarize_new_values", "brin_summarize_range", "current_query",
    "gin_clean_pending_list", "lo_close", "lo_creat", "lo_create", "lo_export", "lo_from_bytea", "lo_get",
    "lo_import", "lo_lseek", "lo_lseek64", "lo_open", "lo_put", "lo_tell", "lo_tell64", "lo_truncate",
    "lo_truncate64", "lo_unlink", "loread", "lowrite", "pg_advisory_xact_lock",
    "pg_advisory_xact_lock_shared", "pg_cancel_backend", "pg_collation_actual_version",
    "pg_control_checkpoint", "pg_control_init", "pg_control_recovery", "pg_control_system",
    "pg_create_restore_point", "pg_current_logfile", "pg_current_wal_flush_lsn",
    "pg_current_wal_insert_lsn", "pg_current_wal_lsn", "pg_current_xact_id",
    "pg_current_xact_id_if_assigned", "pg_database_collation_actual_version", "pg_drop_replication_slot",
    "pg_export_snapshot", "pg_get_backend_memory_contexts", "pg_get_multixact_members",
    "pg_get_shmem_allocations", "pg_get_wal_replay_pause_state", "pg_get_wal_resource_managers",
    "pg_hba_file_rules", "pg_ident_file_mappings", "pg_import_system_collations", "pg_is_wal_replay_paused",
    "pg_isolation_test_session_is_blocked", "pg_last_committed_xact", "pg_last_wal_receive_lsn",
    "pg_last_wal_replay_lsn", "pg_last_xact_replay_timestamp", "pg_log_backend_memory_contexts",
    "pg_logical_emit_message", "pg_ls_archive_statusdir", "pg_ls_dir", "pg_ls_logdir",
    "pg_ls_logicalmapdir", "pg_ls_logicalsnapdir", "pg_ls_replslotdir", "pg_ls_tmpdir", "pg_ls_waldir",
    "pg_nextoid", "pg_notification_queue_usage", "pg_notify", "pg_prepared_xact", "pg_promote",
    "pg_read_binary_file", "pg_read_file", "pg_reload_conf", "pg_replication_slot_advance",
    "pg_rotate_logfile", "pg_safe_snapshot_blocking_pids", "pg_sequence_last_value",
    "pg_show_all_file_settings", "pg_show_replication_origin_status", "pg_sleep_until",
    "pg_stat_clear_snapshot", "pg_stat_file", "pg_stat_force_next_flush", "pg_stat_have_stats",
    "pg_stat_reset", "pg_stat_reset_replication_slot", "pg_stat_reset_shared",
    "pg_stat_reset_single_function_counters", "pg_stat_reset_single_table_counters", "pg_stat_reset_slru",
    "pg_stat_reset_subscription_stats", "pg_switch_wal", "pg_terminate_backend",
    "pg_try_advisory_xact_lock", "pg_try_advisory_xact_lock_shared", "pg_wal_replay_pause",
    "pg_wal_replay_resume", "pg_xact_commit_timestamp", "pg_xact_commit_timestamp_origin", "pg_xact_status",
    "suppress_redundant_updates_trigger", "tsvector_update_trigger", "tsvector_update_trigger_column",
    "txid_current", "txid_current_if_assigned", "txid_current_snapshot", "txid_status", "unique_key_recheck"};

// clang-format on

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
  if (is_one_of(kEffectFunctions, name)) return FunctionTrait::kEffect;
  if (name == "nextval" || name == "setval") return FunctionTrait::kSequence;
  if (name == "currval" || name == "lastval") return FunctionTrait::kSequenceRead;
  if (name == "set_config") return FunctionTrait::kSetting;
  if (name == "pg_advisory_lock" || name == "pg_advisory_lock_shared" || name == "pg_try_advisory_lock" ||
      name == "pg_try_advisory_lock_shared") {
    return FunctionTrait::kSessionLock;
  }
  if (name.starts_with("pg_advisory_unlock")) return FunctionTrait::kSessionUnlock;
  return FunctionTrait::kUnknown;
}

Traces traces_of(FunctionTrait trait) {
  switch (trait) {
    case FunctionTrait::kSequence:
      return {Trace::kSequences};
    case FunctionTrait::kSequenceRead:
      return {Trace::kReadsSequences};
    case FunctionTrait::kSessionLock:
    case FunctionTrait::kSetting:
      return {Trace::kUnknown};
    case FunctionTrait::kUnknown:  // the caller knows whether it is a user's
    case FunctionTrait::kPlain:
    case FunctionTrait::kCatalog:
    case FunctionTrait::kEffect:
    case FunctionTrait::kSessionUnlock:
      break;
  }
  return {};
}

Traces traces_inside_of_function(FunctionTrait trait) {
  return trait == FunctionTrait::kSessionUnlock ? Traces{Trace::kUnknown} : traces_of(trait);
}

}  // namespace mosaic::routing
