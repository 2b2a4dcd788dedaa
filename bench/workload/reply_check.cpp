#include "bench/workload/reply_check.h"

#include <fmt/format.h>

#include "bench/workload/photo_texts.h"

namespace mosaic::workload {

namespace {

std::string expect_rows(const PGresult* result, int count) {
  if (PQntuples(result) == count) return "";
  return fmt::format("expected {} rows, got {}", count, PQntuples(result));
}

std::string expect_field(const PGresult* result, int row, int column, std::string_view expected) {
  const std::string_view found = field(result, row, column);
  if (found == expected) return "";
  return fmt::format("column {}: expected '{}', got '{}'", PQfname(result, column), expected, found);
}

std::string expect_tag(const PGresult* result, std::string_view expected) {
  const std::string_view tag = PQcmdStatus(const_cast<PGresult*>(result));
  return tag == expected ? "" : fmt::format("expected the tag '{}', got '{}'", expected, tag);
}

// The first complaint that is one.
template <typename... Complaints>
std::string first_of(Complaints... complaints) {
  for (std::string* complaint : {&complaints...}) {
    if (!complaint->empty()) return std::move(*complaint);
  }
  return "";
}

std::string check_user(const Operation& operation, const PGresult* result) {
  const std::string user = std::to_string(operation.user_id);
  if (std::string fault = expect_rows(result, 1); !fault.empty()) return fault;
  return first_of(expect_field(result, 0, 0, user), expect_field(result, 0, 1, user_name(operation.user_id)));
}

// Rows of (id, user_id, caption): all of this user, each with a caption written for this user.
std::string check_photos(const Operation& operation, const PGresult* result) {
  for (int row = 0; row < PQntuples(result); ++row) {
    if (std::string fault = expect_field(result, row, 1, std::to_string(operation.user_id)); !fault.empty())
      return fault;
    if (!is_caption_of(field(result, row, 2), operation.user_id)) {
      return fmt::format("expected a caption of user {}, got '{}'", operation.user_id, field(result, row, 2));
    }
  }
  return "";
}

std::string check_photo(const Operation& operation, const PGresult* result) {
  if (std::string fault = expect_rows(result, 1); !fault.empty()) return fault;
  return first_of(expect_field(result, 0, 0, std::to_string(operation.row_id)),
                  check_photos(operation, result),
                  operation.expected_text.empty() ? "" : expect_field(result, 0, 2, operation.expected_text));
}

std::string check_activity(const Operation& operation, const PGresult* result) {
  for (int row = 0; row < PQntuples(result); ++row) {
    std::string fault = first_of(expect_field(result, row, 0, std::to_string(operation.user_id)),
                                 expect_field(result, row, 1, user_name(operation.user_id)));
    if (!fault.empty()) return fault;
  }
  return PQntuples(result) <= 5 ? "" : "more rows than LIMIT 5";
}

// ON CONFLICT DO NOTHING: both are right.
std::string expect_insert(const PGresult* result) {
  const std::string fault = expect_tag(result, "INSERT 0 1");
  return fault.empty() ? "" : expect_tag(result, "INSERT 0 0");
}

}  // namespace

std::string find_fault(const Operation& operation, size_t index, const PGresult* result) {
  switch (operation.statements[index].id) {
    case StatementId::kBegin:
      return expect_tag(result, "BEGIN");
    case StatementId::kCommit:
      return expect_tag(result, "COMMIT");
    case StatementId::kRollback:
      return expect_tag(result, "ROLLBACK");
    case StatementId::kReadProfile: {
      std::string fault = check_user(operation, result);
      if (!fault.empty()) return fault;
      return first_of(expect_field(result, 0, 2, user_bio(operation.user_id)),
                      expect_field(result, 0, 3, user_country(operation.user_id)));
    }
    case StatementId::kReadHome: {
      std::string fault = check_user(operation, result);
      return !fault.empty() ? fault : expect_field(result, 0, 2, user_country_name(operation.user_id));
    }
    case StatementId::kReadActivity:
      return check_activity(operation, result);
    case StatementId::kReadFeed:
      return check_photos(operation, result);
    case StatementId::kReadPhoto:
    case StatementId::kLockPhoto:
      return check_photo(operation, result);
    case StatementId::kUpload:
    case StatementId::kComment:
      return first_of(expect_tag(result, "INSERT 0 1"), expect_rows(result, 1));
    case StatementId::kEditCaption:
    case StatementId::kCountEdit:
      return expect_tag(result, "UPDATE 1");
    case StatementId::kDeleteComment:
      return expect_tag(result, "DELETE 1");
    case StatementId::kSignUp:
    case StatementId::kLike:
    case StatementId::kFollow:
      return expect_insert(result);
    case StatementId::kWriteSetting:
      return expect_tag(result, "INSERT 0 1");
    case StatementId::kReadSetting: {
      std::string fault = expect_rows(result, 1);
      return !fault.empty() ? fault : expect_field(result, 0, 0, OperationPicker::setting_value());
    }
  }
  return "";
}

}  // namespace mosaic::workload
