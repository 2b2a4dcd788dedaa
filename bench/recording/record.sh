#!/usr/bin/env bash
# Records what the console says at 3 a.m.: a terminal session on the demo that quickstart.sh left running. Makes
# console.cast (asciicast, for `asciinema play`) and console.svg (the same as a picture that plays) beside this file.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."

readonly kCast=bench/recording/console.cast

usage() {
  cat <<'TEXT'
Usage: ./bench/recording/record.sh [--svg | --help]

  (nothing)  record a session on the running demo (./quickstart.sh first), about 90 seconds, and draw it
  --svg      only draw bench/recording/console.svg again from bench/recording/console.cast

While it records it puts the photo workload on the demo, holds a row lock, and freezes node pg2 for some seconds.
TEXT
}

case "${1:-}" in
  "") ;;
  --svg) exec /usr/bin/python3 -B bench/recording/draw.py "$kCast" bench/recording/console.svg ;;
  --help | -h) usage; exit 0 ;;
  *) usage >&2; exit 1 ;;
esac

# shellcheck source=conf/install_packages.sh
. conf/install_packages.sh
install_packages demo recording
/usr/bin/python3 -B bench/recording/session.py "$kCast"
exec /usr/bin/python3 -B bench/recording/draw.py "$kCast" bench/recording/console.svg
