#!/usr/bin/env bash
# Mosaic under load for a while, with reloads, client churn and cancelled statements: does it keep its memory, its file
# descriptors and its promises? Ends in a verdict; exits non-zero when it is not good. bench/LOAD.md is the manual.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
for argument in "$@"; do
  case "$argument" in --help | -h) exec /usr/bin/python3 -B bench/soak/soak.py --help ;; esac
done
# shellcheck source=conf/install_packages.sh
. conf/install_packages.sh
install_packages build demo soak
cmake --preset release >/dev/null
cmake --build --preset release --target mosaic photo_load
exec /usr/bin/python3 -B bench/soak/soak.py --binaries build/release "$@"
