#pragma once
// Before the switch, what of a shard is read most on the source is read on the target, so that its first
// seconds there are not slow.

#include <cstdint>

#include "admin/move/move_scripts.h"
#include "admin/postgres/connection.h"

namespace mosaic::admin {

// Tables and indexes, those with the most blocks read on the source first (pg_statio_all_tables,
// pg_statio_all_indexes), up to a half of the target's shared_buffers: by pg_prewarm where that extension is
// installed (PostgreSQL manual, F.29), else by a scan. Bytes of what was read. `target`: of its own, its
// settings are changed.
routing::Result<uint64_t> warm_shard(Connection& source, Connection& target, const MoveScripts& scripts);

}  // namespace mosaic::admin
