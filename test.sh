#!/usr/bin/env bash
# Every gate between a change and main, from a bare Debian 12 on. Needs no input; exits non-zero when anything fails.
# The last thing printed is ctest's summary.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
exec </dev/null

kJobs=$(nproc)
readonly kJobs
readonly kLogs=build/logs

usage() {
  cat <<'TEXT'
Usage: ./test.sh [--full] [--help]

  (nothing)  install what is missing; format; build with sanitizers (clang) and for users (g++), warnings as errors; a
             short run of every fuzz target; then all tests: style, unit, simulation, fuzz corpora, end to end
  --full     also clang-tidy, every source compiled alone, benchmarks too, a thread-sanitizer build with its tests,
             minutes of fuzzing, and every fault at every point of a move (tests/end_to_end/FAULTS.md)
TEXT
}

fail() { echo "test.sh: $*" >&2; exit 1; }

# Runs one stage: its output goes to a log, which is shown when it fails. $1: the stage's name; then its command.
stage() {
  local name=$1 log begin=$SECONDS
  shift
  log="$kLogs/${name// /_}.log"
  if "$@" >"$log" 2>&1; then
    printf '%5d s  %-28s ok, %d s\n' "$SECONDS" "$name" $((SECONDS - begin))
  else
    printf '%5d s  %-28s FAILED, %d s\n' "$SECONDS" "$name" $((SECONDS - begin))
    tail -n 60 "$log"
    fail "$name failed; all of its output: $log"
  fi
}

# --- Stages ---------------------------------------------------------------------------------------------------------

# The driver tests want npm's `pg` and `pg-cursor`. They go under build/, not into the tree.
install_node_postgres() {
  [ -e build/node/node_modules/pg/package.json ] && [ -e build/node/node_modules/pg-cursor/package.json ] && return
  mkdir -p build/node
  npm install --prefix build/node --no-save --no-audit --no-fund pg@8 pg-cursor@2
}

sources() { git -c safe.directory='*' ls-files '*.h' '*.cpp'; }

check_format() { sources | xargs -r clang-format --dry-run -Werror; }

build() { # $1: preset; then targets, default all
  local preset=$1
  shift
  cmake --preset "$preset" && cmake --build --preset "$preset" -j "$kJobs" ${1:+--target "$@"}
}

# One by one a source shows what it forgot to include, which others of its batch may hide.
build_alone() {
  cmake --preset release -B build/alone -DCMAKE_UNITY_BUILD=OFF && cmake --build build/alone -j "$kJobs"
}

fuzz_targets() {
  local source
  for source in tests/fuzz/fuzz_*.cpp; do basename "$source" .cpp; done
}

# What the fuzzer finds interesting is kept under build/ and starts the next run; what breaks lands beside it.
fuzz_one() { # $1: target, $2: seconds
  local subject=${1#fuzz_} found=build/fuzz/found/$1
  mkdir -p "$found" "build/fuzz/broken/$1"
  "build/dev/tests/fuzz/$1" -max_total_time="$2" -seed="$fuzz_seed" -timeout=20 -rss_limit_mb=2048 \
    -print_final_stats=1 -artifact_prefix="build/fuzz/broken/$1/" "$found" "tests/fuzz/corpus/$subject"
}

fuzz_logged() { # $1: target, $2: seconds
  local log="$kLogs/$1.log"
  if fuzz_one "$@" >"$log" 2>&1; then return; fi
  echo "$1 failed; all of its output: $log"
  tail -n 60 "$log"
  return 1
}

# The targets run beside each other, one on each processor. $1: seconds for each; then the targets.
fuzz_all() {
  local seconds=$1
  shift
  export -f fuzz_one fuzz_logged
  export kLogs fuzz_seed seconds
  # shellcheck disable=SC2016
  printf '%s\0' "$@" | xargs -0 -n 1 -P "$kJobs" bash -c 'fuzz_logged "$0" "$seconds"'
}

# clang-tidy is told how each source is compiled alone.
check_tidy() {
  cmake --preset dev -B build/tidy -DCMAKE_UNITY_BUILD=OFF -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON || return
  sources | grep '\.cpp$' | xargs -r -P "$kJobs" -n 4 clang-tidy -p build/tidy --quiet
}

# Its table of all cases: build/faults.md.
fault_matrix() {
  MOSAIC_BINARY=$PWD/build/release/mosaic MOSAIC_FAULT_MATRIX=full MOSAIC_FAULT_TABLE=$PWD/build/faults.md \
    /usr/bin/python3 -B -u tests/end_to_end/moves_faults_test.py
}

# End to end, a third of the time is waiting: one more than there are processors.
run_tests() { ctest --preset "$1" -j $((kJobs + 1)); }

# --- The run --------------------------------------------------------------------------------------------------------

is_full=no
fuzz_seconds=5
fuzz_seed=1 # a gate must say the same twice; with --full each run looks elsewhere (0: random)
while [ $# -gt 0 ]; do
  case "$1" in
    --full) is_full=yes; fuzz_seconds=180; fuzz_seed=0; export MOSAIC_E2E_SEED=random ;;
    --help | -h) usage; exit 0 ;;
    *) usage >&2; fail "no such option: $1" ;;
  esac
  shift
done

mkdir -p "$kLogs"
# shellcheck source=conf/install_packages.sh
. conf/install_packages.sh
install_packages build demo test || fail "packages are missing"
stage "node-postgres" install_node_postgres
stage "format" check_format
stage "build dev" build dev
stage "build release" build release mosaic photo_workload  # what quickstart.sh builds

mapfile -t targets < <(fuzz_targets)
stage "fuzz ${#targets[@]} targets" fuzz_all "$fuzz_seconds" "${targets[@]}"
if [ $is_full = yes ]; then
  stage "build benchmarks" build release
  stage "clang-tidy" check_tidy
  stage "build alone" build_alone
  stage "build tsan" build tsan
  stage "tests tsan" run_tests tsan
  stage "fault matrix" fault_matrix
fi
printf '%5d s  tests\n' "$SECONDS"
run_tests dev
