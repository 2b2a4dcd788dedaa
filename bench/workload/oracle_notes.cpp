#include "bench/workload/oracle_notes.h"

namespace mosaic::workload {

void note_success(Oracle& oracle, const Operation& done, int64_t id) {
  switch (done.kind) {
    case OperationKind::kSignUp:
      return oracle.insert(Table::kUsers, {done.user_id, 0}, done.digest);
    case OperationKind::kUpload:
      return oracle.insert(Table::kMedia, {id, 0}, done.digest);
    case OperationKind::kEditCaption:
      oracle.update(Table::kMedia, {done.row_id, 0}, done.digest);
      return oracle.increase(done.user_id);
    case OperationKind::kLike:
      return oracle.insert(Table::kLikes, {done.user_id, done.row_id}, done.digest);
    case OperationKind::kComment:
      return oracle.insert(Table::kComments, {id, 0}, done.digest);
    case OperationKind::kDeleteComment:
      return oracle.remove(Table::kComments, {done.row_id, 0});
    case OperationKind::kFollow:
      return oracle.insert(Table::kFollows, {done.user_id, done.row_id}, done.digest);
    default:
      return;
  }
}

void note_unknown(Oracle& oracle, const Operation& lost) {
  switch (lost.kind) {
    case OperationKind::kSignUp:
      return oracle.maybe_insert(Table::kUsers, {lost.user_id, 0}, lost.digest);
    case OperationKind::kUpload:
      return oracle.maybe_insert_unidentified(Table::kMedia, lost.digest);
    case OperationKind::kEditCaption:
      oracle.maybe_update(Table::kMedia, {lost.row_id, 0}, lost.digest);
      return oracle.maybe_increase(lost.user_id);
    case OperationKind::kLike:
      return oracle.maybe_insert(Table::kLikes, {lost.user_id, lost.row_id}, lost.digest);
    case OperationKind::kComment:
      return oracle.maybe_insert_unidentified(Table::kComments, lost.digest);
    case OperationKind::kDeleteComment:
      return oracle.maybe_remove(Table::kComments, {lost.row_id, 0});
    case OperationKind::kFollow:
      return oracle.maybe_insert(Table::kFollows, {lost.user_id, lost.row_id}, lost.digest);
    default:
      return;
  }
}

}  // namespace mosaic::workload
