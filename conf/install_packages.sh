# shellcheck shell=bash
# Installs the Debian 12 packages that quickstart.sh, test.sh and bench/run.sh need: only what is missing, so that a
# second run is instant, asks nothing and works offline. Sourced by these scripts; it knows nothing of what they do
# afterwards. Contract: `install_packages build|demo|test|bench...` returns 0 when all packages of the named groups are
# there.

packages_of_group() {
  case "$1" in
    build)
      echo g++ cmake ninja-build ccache pkg-config libuv1-dev libpq-dev libhiredis-dev libxxhash-dev \
        libtomlplusplus-dev libpg-query-dev libprotobuf-c-dev libbenchmark-dev libfmt-dev libspdlog-dev \
        libcli11-dev libssl-dev libidn-dev nlohmann-json3-dev
      ;;
    demo) echo postgresql-15 ;;
    recording) echo asciinema python3 ;;
    soak) echo python3 python3-psycopg2 python3-matplotlib ;;
    test)
      echo git python3 libgtest-dev libgmock-dev clang-14 clang lld libclang-rt-14-dev clang-format clang-tidy \
        python3-psycopg2 python3-psycopg python3-asyncpg python3-sqlalchemy python3-django
      # Debian's node-pg insists on Debian's nodejs; a nodejs from elsewhere is as good for the driver test.
      command -v node >/dev/null || echo nodejs
      command -v npm >/dev/null || echo npm
      ;;
    # Peers to compare with, what puts load on them, and what draws the figures. pgbench is in postgresql-15 (demo).
    bench) echo pgbouncer haproxy sysbench strace python3 python3-psycopg2 python3-matplotlib ;;
    *) echo "install_packages: no group '$1'" >&2; return 1 ;;
  esac
}

is_package_installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Runs a command as root: directly, or through sudo (which may ask for a password, on a first run only).
run_as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# What apt has to say is shown only when it fails.
apt_install() {
  local output
  output=$(run_as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
    -o Dpkg::Use-Pty=0 "$@" </dev/null 2>&1) && return
  echo "$output" | tail -n 30 >&2
  return 1
}

# Debian's pgbouncer and haproxy start a service when they are installed, and at each boot. invoke-rc.d asks policy-rc.d
# before it starts one: a policy that says no stands there for the time of the installation, then what was there before,
# also when this is interrupted (a subshell, so that its traps go with it).
apt_install_services_stopped() (
  policy=/usr/sbin/policy-rc.d
  mark='# Only while Mosaic installs packages whose services must not start.'
  restore_policy() {
    if run_as_root grep -qsF "$mark" "$policy"; then run_as_root rm "$policy"; fi
    if run_as_root test -e "$policy.before-mosaic"; then run_as_root mv "$policy.before-mosaic" "$policy"; fi
  }
  trap 'exit 1' INT TERM HUP
  trap restore_policy EXIT
  restore_policy # what a killed run may have left
  if run_as_root test -e "$policy"; then run_as_root mv "$policy" "$policy.before-mosaic"; fi
  printf '#!/bin/sh\n%s\nexit 101\n' "$mark" | run_as_root tee "$policy" >/dev/null
  run_as_root chmod 755 "$policy"
  apt_install "$@" || exit 1
  for package in "$@"; do run_as_root update-rc.d "$package" disable >/dev/null || exit 1; done
)

# Debian's postgresql-15 creates and starts a cluster on port 5432 when it is installed. The demo and the tests start
# their own, so that cluster is switched off for the time of the installation.
apt_install_postgresql() {
  local settings=/etc/postgresql-common/createcluster.conf status=0
  apt_install postgresql-common || return 1
  run_as_root cp -p "$settings" "$settings.before-mosaic"
  echo 'create_main_cluster = false' | run_as_root tee -a "$settings" >/dev/null
  apt_install postgresql-15 || status=$?
  run_as_root mv "$settings.before-mosaic" "$settings"
  return "$status"
}

install_packages() {
  local group package names missing=() services=() wants_postgresql=no
  if ! command -v dpkg-query >/dev/null; then
    echo "This script installs Debian 12 packages, and dpkg is not here. Install their equivalents yourself:" \
      "see packages_of_group in conf/install_packages.sh." >&2
    return 1
  fi
  for group in "$@"; do
    names=$(packages_of_group "$group") || return 1
    for package in $names; do
      is_package_installed "$package" && continue
      case "$package" in
        postgresql-15) wants_postgresql=yes ;;
        pgbouncer | haproxy) services+=("$package") ;;
        *) missing+=("$package") ;;
      esac
    done
  done
  local wanted=("${missing[@]}" "${services[@]}")
  [ "$wants_postgresql" = no ] || wanted+=(postgresql-15)
  if [ ${#wanted[@]} -eq 0 ]; then return 0; fi
  echo "Installing ${#wanted[@]} Debian packages: ${wanted[*]}"
  if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
    echo "Not root and no sudo here. Run this as root, then start again:" >&2
    echo "  apt-get update && apt-get install -y --no-install-recommends ${wanted[*]}" >&2
    return 1
  fi
  run_as_root apt-get update -qq </dev/null || echo "apt-get update failed; trying with the lists at hand" >&2
  if [ ${#missing[@]} -gt 0 ]; then apt_install "${missing[@]}" || return 1; fi
  if [ ${#services[@]} -gt 0 ]; then apt_install_services_stopped "${services[@]}" || return 1; fi
  if [ "$wants_postgresql" = yes ]; then apt_install_postgresql || return 1; fi
}
