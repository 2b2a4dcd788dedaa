#include "bench/workload/operation.h"

#include "bench/workload/photo_texts.h"

namespace mosaic::workload {

uint64_t user_digest(int64_t user_id) {
  return digest_of(user_id, {user_name(user_id), user_bio(user_id), user_country(user_id)});
}
uint64_t photo_digest(int64_t user_id, std::string_view caption, std::string_view filter, int64_t width) {
  return digest_of(user_id, {caption, filter, std::to_string(width)});
}
uint64_t like_digest(int64_t user_id) { return digest_of(user_id, {}); }
uint64_t comment_digest(int64_t user_id, int64_t photo_id, std::string_view body) {
  return digest_of(user_id, {std::to_string(photo_id), body});
}
uint64_t follow_digest(int64_t user_id) { return digest_of(user_id, {}); }

std::string photo_filter(uint64_t sequence) { return sequence % 3 == 0 ? "sepia" : "normal"; }
int64_t photo_width(uint64_t sequence) { return 320 + static_cast<int64_t>(sequence % 1000); }

const std::string& OperationPicker::setting_name() {
  static const std::string name = "max_caption_length";
  return name;
}
const std::string& OperationPicker::setting_value() {
  static const std::string value = "2200";
  return value;
}

Operation OperationPicker::sign_up(int64_t user_id) const {
  Operation operation;
  operation.kind = OperationKind::kSignUp;
  operation.user_id = user_id;
  operation.digest = user_digest(user_id);
  operation.statements = {
      {StatementId::kSignUp,
       {user_id, user_name(user_id), user_bio(user_id), std::string(user_country(user_id))}}};
  return operation;
}

Operation OperationPicker::write_setting() const {
  Operation operation;
  operation.kind = OperationKind::kWriteSetting;
  operation.statements = {{StatementId::kWriteSetting, {setting_name(), setting_value()}}};
  return operation;
}

Operation OperationPicker::draw(const std::vector<OwnPhoto>& photos, const std::vector<int64_t>& comments) {
  const OperationKind kind = mix_.draw(random_);
  switch (kind) {
    case OperationKind::kReadPhoto:
      return read_photo();
    case OperationKind::kEditCaption:
    case OperationKind::kAbandonEdit:
      return edit(kind, photos);
    case OperationKind::kLike:
      return like();
    case OperationKind::kComment:
      return comment();
    case OperationKind::kDeleteComment:
      return delete_comment(comments);
    case OperationKind::kFollow:
      return follow();
    case OperationKind::kUpload:
      return upload_of_any();
    default:
      return read_user(kind);
  }
}

Operation OperationPicker::upload_of_any() { return upload(population_.draw_user(random_)); }

Operation OperationPicker::upload(int64_t user_id) {
  Operation operation;
  operation.kind = OperationKind::kUpload;
  operation.user_id = user_id;
  operation.sequence = ++sequence_;
  const std::string caption = photo_caption(operation.user_id, client_, operation.sequence, 0);
  const std::string filter = photo_filter(operation.sequence);
  const int64_t width = photo_width(operation.sequence);
  operation.digest = photo_digest(operation.user_id, caption, filter, width);
  operation.statements = {{StatementId::kUpload, {operation.user_id, caption, filter, width}}};
  return operation;
}

Operation OperationPicker::edit(OperationKind kind, const std::vector<OwnPhoto>& photos) {
  if (photos.empty()) return upload_of_any();
  Operation operation;
  operation.kind = kind;
  operation.own_index = random_() % photos.size();
  const OwnPhoto& photo = photos[operation.own_index];
  operation.user_id = photo.user_id;
  operation.row_id = photo.id;
  operation.expected_text = photo_caption(photo.user_id, client_, photo.sequence, photo.version);
  const std::string caption = photo_caption(photo.user_id, client_, photo.sequence, photo.version + 1);
  operation.digest =
      photo_digest(photo.user_id, caption, photo_filter(photo.sequence), photo_width(photo.sequence));
  operation.statements = {
      {StatementId::kBegin, {}},
      {StatementId::kLockPhoto, {photo.id}},
      {StatementId::kEditCaption, {photo.id, caption}},
      {StatementId::kCountEdit, {photo.user_id}},
      {kind == OperationKind::kEditCaption ? StatementId::kCommit : StatementId::kRollback, {}}};
  return operation;
}

Operation OperationPicker::read_user(OperationKind kind) {
  Operation operation;
  operation.kind = kind;
  operation.user_id = population_.draw_user(random_);
  switch (kind) {
    case OperationKind::kReadHome:
      operation.statements = {{StatementId::kReadHome, {operation.user_id}}};
      break;
    case OperationKind::kReadActivity:
      operation.statements = {{StatementId::kReadActivity, {operation.user_id}}};
      break;
    case OperationKind::kReadFeed:
      operation.statements = {{StatementId::kReadFeed, {operation.user_id}}};
      break;
    case OperationKind::kReadSetting:
      operation.statements = {{StatementId::kReadSetting, {setting_name()}}};
      break;
    default:
      operation.kind = OperationKind::kReadProfile;
      operation.statements = {{StatementId::kReadProfile, {operation.user_id}}};
  }
  return operation;
}

Operation OperationPicker::read_photo() {
  const auto photo = population_.draw_photo(random_);
  if (!photo) return upload_of_any();
  Operation operation;
  operation.kind = OperationKind::kReadPhoto;
  operation.user_id = photo->user_id;
  operation.row_id = photo->id;
  operation.statements = {{StatementId::kReadPhoto, {photo->id}}};
  return operation;
}

Operation OperationPicker::like() {
  const auto photo = population_.draw_photo(random_);
  if (!photo) return upload_of_any();
  Operation operation;
  operation.kind = OperationKind::kLike;
  operation.user_id = population_.draw_user(random_);
  operation.row_id = photo->id;
  operation.digest = like_digest(operation.user_id);
  operation.statements = {{StatementId::kLike, {operation.user_id, photo->id}}};
  return operation;
}

Operation OperationPicker::comment() {
  const auto photo = population_.draw_photo(random_);
  if (!photo) return upload_of_any();
  Operation operation;
  operation.kind = OperationKind::kComment;
  operation.user_id = population_.draw_user(random_);
  const std::string body = comment_body(operation.user_id, client_, ++sequence_);
  operation.digest = comment_digest(operation.user_id, photo->id, body);
  operation.statements = {{StatementId::kComment, {operation.user_id, photo->id, body}}};
  return operation;
}

Operation OperationPicker::delete_comment(const std::vector<int64_t>& comments) {
  if (comments.empty()) return comment();
  Operation operation;
  operation.kind = OperationKind::kDeleteComment;
  operation.own_index = random_() % comments.size();
  operation.row_id = comments[operation.own_index];
  operation.statements = {{StatementId::kDeleteComment, {operation.row_id}}};
  return operation;
}

Operation OperationPicker::follow() {
  Operation operation;
  operation.kind = OperationKind::kFollow;
  operation.user_id = population_.draw_user(random_);
  operation.row_id = population_.draw_user(random_);
  if (operation.user_id == operation.row_id) return read_user(OperationKind::kReadProfile);
  operation.digest = follow_digest(operation.user_id);
  operation.statements = {{StatementId::kFollow, {operation.user_id, operation.row_id}}};
  return operation;
}

}  // namespace mosaic::workload
