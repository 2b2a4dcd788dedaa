#pragma once
// One thing that a user of the application does: its statements in order, and what is needed to check the
// replies and to tell the oracle. A value; OperationPicker makes them, PhotoClient runs them.

#include <cstdint>
#include <string>
#include <vector>

#include "bench/workload/operation_mix.h"
#include "bench/workload/oracle.h"
#include "bench/workload/population.h"
#include "bench/workload/statement.h"
#include "bench/workload/statistics.h"
#include "bench/workload/zipf.h"

namespace mosaic::workload {

// A photo that this client uploaded, and so alone may edit.
struct OwnPhoto {
  int64_t id = 0;
  int64_t user_id = 0;
  uint64_t sequence = 0;
  uint32_t version = 0;
};

struct Operation {
  OperationKind kind = OperationKind::kReadProfile;
  std::vector<BoundStatement> statements;
  int64_t user_id = 0;
  int64_t row_id = 0;         // photo or comment read, edited or deleted; followee
  size_t own_index = 0;       // edits: position in the client's own photos; deletes: in its own comments
  uint64_t sequence = 0;      // uploads: for the photo's later captions
  std::string expected_text;  // edits: the caption before
  uint64_t digest = 0;        // of the row as written
};

// Draws operations by a mix.
class OperationPicker {
 public:
  OperationPicker(uint32_t client, uint64_t seed, const Population& population, const OperationMix& mix)
      : client_(client), random_(seed), population_(population), mix_(mix) {}

  Operation sign_up(int64_t user_id) const;
  Operation write_setting() const;
  Operation upload(int64_t user_id);
  // `photos` and `comments`: what this client may edit and delete. Where nothing is there yet to be read,
  // liked or edited, something is uploaded instead; where there is no comment to delete, one is written.
  Operation draw(const std::vector<OwnPhoto>& photos, const std::vector<int64_t>& comments);

  static const std::string& setting_name();
  static const std::string& setting_value();

 private:
  Operation upload_of_any();
  Operation edit(OperationKind kind, const std::vector<OwnPhoto>& photos);
  Operation read_user(OperationKind kind);
  Operation read_photo();
  Operation like();
  Operation comment();
  Operation delete_comment(const std::vector<int64_t>& comments);
  Operation follow();

  uint32_t client_;
  Random random_;
  const Population& population_;
  OperationMix mix_;
  uint64_t sequence_ = 0;
};

// Digests of rows as the application writes them; the verifier computes the same from what it reads.
uint64_t user_digest(int64_t user_id);
uint64_t photo_digest(int64_t user_id, std::string_view caption, std::string_view filter, int64_t width);
uint64_t like_digest(int64_t user_id);
uint64_t comment_digest(int64_t user_id, int64_t photo_id, std::string_view body);
uint64_t follow_digest(int64_t user_id);
// Filter and width of an upload, which edits do not change.
std::string photo_filter(uint64_t sequence);
int64_t photo_width(uint64_t sequence);

}  // namespace mosaic::workload
