#include "bench/workload/photo_texts.h"

#include <fmt/format.h>

namespace mosaic::workload {

namespace {

struct Country {
  std::string_view code;
  std::string_view name;
};

// The same as in conf/photos_countries.sql.
constexpr Country kCountries[] = {
    {"AR", "Argentina"}, {"AU", "Australia"},      {"BR", "Brazil"},        {"CA", "Canada"},
    {"CN", "China"},     {"DE", "Germany"},        {"EG", "Egypt"},         {"ES", "Spain"},
    {"FR", "France"},    {"GB", "United Kingdom"}, {"IN", "India"},         {"IT", "Italy"},
    {"JP", "Japan"},     {"KE", "Kenya"},          {"MX", "Mexico"},        {"NG", "Nigeria"},
    {"NO", "Norway"},    {"PL", "Poland"},         {"US", "United States"}, {"ZA", "South Africa"},
};

constexpr std::string_view kOddities[] = {
    "it's 'quoted' and \"doubly\"",
    R"(a \backslash\ and C:\photos\)",
    "-- not a comment; DROP TABLE media",
    "/* nor * this */ $1 $2 $tag$ ?",
    "gr\xC3\xBC\xC3\x9F"
    "e, \xE6\x97\xA5\xE6\x9C\xAC, \xF0\x9F\x93\xB7",
    "/* mosaic shard=1 */ user_id = 7",
    "two\nlines\tand a tab",
    "plain words only",
};

const Country& country_of(int64_t user_id) {
  return kCountries[static_cast<uint64_t>(user_id) % std::size(kCountries)];
}
std::string_view oddity(uint64_t number) { return kOddities[number % std::size(kOddities)]; }

std::string caption_start(int64_t user_id) { return fmt::format("photo of user {}, ", user_id); }

}  // namespace

std::string user_name(int64_t user_id) { return fmt::format("user {} o'{}", user_id, user_id % 97); }
std::string user_bio(int64_t user_id) {
  return fmt::format("bio of {}: {}", user_id, oddity(static_cast<uint64_t>(user_id)));
}
std::string_view user_country(int64_t user_id) { return country_of(user_id).code; }
std::string_view user_country_name(int64_t user_id) { return country_of(user_id).name; }

std::string photo_caption(int64_t user_id, uint32_t client, uint64_t sequence, uint32_t version) {
  // Lengths vary, as people's captions do.
  return fmt::format("{}number {}-{} version {}: {}{:.>{}}", caption_start(user_id), client, sequence,
                     version, oddity(sequence + version), "", sequence * 37 % 200);
}

std::string comment_body(int64_t user_id, uint32_t client, uint64_t sequence) {
  return fmt::format("comment of user {}, number {}-{}: {}", user_id, client, sequence, oddity(sequence));
}

bool is_caption_of(std::string_view caption, int64_t user_id) {
  return caption.starts_with(caption_start(user_id));
}

}  // namespace mosaic::workload
