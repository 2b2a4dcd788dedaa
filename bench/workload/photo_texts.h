#pragma once
// What users and photos of the workload contain, as functions of who they are: so that any client can tell
// whether a row that it read is the one it asked for. The texts are full of what breaks careless quoting and
// lexing.

#include <cstdint>
#include <string>
#include <string_view>

namespace mosaic::workload {

std::string user_name(int64_t user_id);
std::string user_bio(int64_t user_id);
std::string_view user_country(int64_t user_id);
// The name of that country in the reference table (conf/photos_countries.sql).
std::string_view user_country_name(int64_t user_id);

// Unique over the run: no two (client, sequence) pairs are alike. `version` counts the edits.
std::string photo_caption(int64_t user_id, uint32_t client, uint64_t sequence, uint32_t version);
std::string comment_body(int64_t user_id, uint32_t client, uint64_t sequence);
// Whether `caption` was written for a photo of `user_id`.
bool is_caption_of(std::string_view caption, int64_t user_id);

}  // namespace mosaic::workload
