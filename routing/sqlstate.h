#pragma once
// The stable SQLSTATEs that clients may match on. Class MZ is ours; the rest are PostgreSQL's
// (PostgreSQL manual, Appendix A, Error Codes).

namespace mosaic::routing::sqlstate {

// Ours: why a statement could not be routed.
inline constexpr const char* kShardFenced = "MZ001";       // by a node: the shard is moving away from it
inline constexpr const char* kStaleMover = "MZ002";        // another mover has taken the move over
inline constexpr const char* kNoShardKey = "MZ010";        // nothing in the statement tells the shard
inline constexpr const char* kManyShards = "MZ011";        // the statement would need several shards
inline constexpr const char* kKeyConflict = "MZ012";       // a write whose keys contradict each other
inline constexpr const char* kKeyChange = "MZ013";         // an UPDATE that would move a row to another shard
inline constexpr const char* kTransactionNodes = "MZ014";  // the transaction is on another node
inline constexpr const char* kManyNodes = "MZ015";  // a statement over several nodes (reference writes, DDL)
inline constexpr const char* kUnusableKey = "MZ016";  // the key's value or expression can not be evaluated
inline constexpr const char* kDisagreeingParts = "MZ017";  // `a; b; c` whose parts go to different nodes
inline constexpr const char* kNodeDown = "MZ020";          // the shard's node can not be reached
inline constexpr const char* kLoginRefused = "MZ022";      // the shard's node does not let this user in
inline constexpr const char* kWaitTimeout = "MZ021";       // no server connection within query_wait_timeout

// PostgreSQL's.
inline constexpr const char* kSuccess = "00000";
inline constexpr const char* kProtocolViolation = "08P01";
inline constexpr const char* kConnectionFailure = "08006";
inline constexpr const char* kFeatureNotSupported = "0A000";
inline constexpr const char* kInvalidParameter = "22023";
inline constexpr const char* kUntranslatableCharacter = "22P05";
inline constexpr const char* kActiveTransaction = "25001";
inline constexpr const char* kInFailedTransaction = "25P02";
inline constexpr const char* kIdleInTransactionTimeout = "25P03";
inline constexpr const char* kInvalidStatementName = "26000";
inline constexpr const char* kInvalidAuthorization = "28000";
inline constexpr const char* kInvalidPassword = "28P01";
inline constexpr const char* kUnknownDatabase = "3D000";
inline constexpr const char* kDuplicateStatement = "42P05";
inline constexpr const char* kUniqueViolation = "23505";
inline constexpr const char* kDeadlock = "40P01";
inline constexpr const char* kLockNotAvailable = "55P03";
inline constexpr const char* kSerializationFailure = "40001";
inline constexpr const char* kSyntaxError = "42601";
inline constexpr const char* kInsufficientPrivilege = "42501";
inline constexpr const char* kUndefinedTable = "42P01";
inline constexpr const char* kUndefinedFunction = "42883";
inline constexpr const char* kUndefinedSchema = "3F000";
inline constexpr const char* kUndefinedObject = "42704";
inline constexpr const char* kTooManyConnections = "53300";
inline constexpr const char* kObjectInUse = "55006";
inline constexpr const char* kConfigurationLimit = "53400";
inline constexpr const char* kLimitExceeded = "54000";
inline constexpr const char* kQueryCanceled = "57014";
inline constexpr const char* kAdminShutdown = "57P01";
inline constexpr const char* kCannotConnectNow = "57P03";
inline constexpr const char* kConfigError = "F0000";
inline constexpr const char* kInternalError = "XX000";

}  // namespace mosaic::routing::sqlstate
