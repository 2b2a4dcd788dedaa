#!/usr/bin/env bash
# The benchmark command, from a bare Debian 12 on: installs what is missing, builds, and hands over to bench/compare,
# which measures and reports. Everything runs on loopback in a temporary folder and is gone afterwards.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

usage() {
  cat <<'TEXT'
Usage: ./bench/run.sh [micro|pg|scale|moves|all] [--quick] [--compare OLD.JSON] [--out DIR] [--publish]

  micro      every program of bench/micro
  pg         statements through Mosaic, PgBouncer, HAProxy, a bare forwarder and none; shards; large values; sysbench
  scale      idle clients, connect storms, a pool that is too small, workers
  all        the three (nothing said: this)
  moves      shards move between nodes under load: pauses, what others notice, the copy beside pg_dump

  --quick    short rounds: `pg` in about 5 minutes, `moves` in about 3
  --compare  report.json of an earlier run: also tells the ratio to it, point by point
  --out      folder for report.md, report.json and the figures (default: build/bench/<date>)
  --publish  also keeps the report in bench/results/ and its verdicts in bench/README.md
TEXT
}

fail() { echo "run.sh: $*" >&2; exit 1; }

for argument in "$@"; do
  case "$argument" in --help | -h) usage; exit 0 ;; esac
done

# shellcheck source=conf/install_packages.sh
. conf/install_packages.sh
install_packages build demo bench || fail "packages are missing"

log=$(mktemp)
if ! { cmake --preset release -DMOSAIC_BENCH=ON && cmake --build --preset release --target mosaic forwarder turns photo_load \
  bench/micro/all; } </dev/null >"$log" 2>&1; then
  tail -n 40 "$log" >&2
  rm -f "$log"
  fail "the build failed"
fi
rm -f "$log"

export MOSAIC_BINARY=$PWD/build/release/mosaic
export MOSAIC_FORWARDER=$PWD/build/release/bench/forwarder/forwarder
export MOSAIC_TURNS=$PWD/build/release/bench/turns
export MOSAIC_PHOTO_LOAD=$PWD/build/release/bench/photo_load
export PYTHONPATH=$PWD/bench:$PWD/tests/end_to_end
# Debian's Python, which has Debian's psycopg2 and matplotlib. Ctrl-C and a signal reach it, not this shell.
exec /usr/bin/python3 -B -m compare "$@"
