#include "bench/workload/statistics.h"

namespace mosaic::workload {

std::string_view to_text(OperationKind kind) {
  switch (kind) {
    case OperationKind::kSignUp:
      return "sign_up";
    case OperationKind::kReadProfile:
      return "read_profile";
    case OperationKind::kReadHome:
      return "read_home";
    case OperationKind::kReadActivity:
      return "read_activity";
    case OperationKind::kReadFeed:
      return "read_feed";
    case OperationKind::kReadPhoto:
      return "read_photo";
    case OperationKind::kReadSetting:
      return "read_setting";
    case OperationKind::kUpload:
      return "upload";
    case OperationKind::kEditCaption:
      return "edit_caption";
    case OperationKind::kAbandonEdit:
      return "abandon_edit";
    case OperationKind::kLike:
      return "like";
    case OperationKind::kComment:
      return "comment";
    case OperationKind::kDeleteComment:
      return "delete_comment";
    case OperationKind::kFollow:
      return "follow";
    case OperationKind::kWriteSetting:
      return "write_setting";
  }
  return "";
}

void Statistics::count_operation(OperationKind kind, uint64_t latency_ns) {
  operations.fetch_add(1, std::memory_order_relaxed);
  operation_latency[static_cast<size_t>(kind)].record(latency_ns);
  recent_operations.record(latency_ns);
}

void Statistics::count_failure(const std::string& sort, const std::string& example) {
  Failure& failure = failures[sort];
  if (failure.count++ == 0) failure.example = example;
}

void Statistics::merge(const Statistics& other) {
  operations += other.operations;
  statements += other.statements;
  errors += other.errors;
  lost += other.lost;
  wrong_answers += other.wrong_answers;
  statement_latency.merge(other.statement_latency);
  for (size_t i = 0; i < kOperationCount; ++i) operation_latency[i].merge(other.operation_latency[i]);
  for (const auto& [sort, failure] : other.failures) {
    Failure& ours = failures[sort];
    if (ours.count == 0) ours.example = failure.example;
    ours.count += failure.count;
  }
}

}  // namespace mosaic::workload
