#!/usr/bin/env bash
# The demo: three PostgreSQL nodes, Mosaic in front of them, a photo-sharing application's traffic through it.
# See usage() for what to type. Everything it starts listens on 127.0.0.1 only and lives in .mosaic/ beside this file.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"

readonly kCheckout=$PWD
readonly kDemo=$kCheckout/.mosaic
readonly kPostgres=/usr/lib/postgresql/15/bin
readonly kProxyPort=6432
readonly kNodes=(pg1 pg2 pg3)
readonly kNodePorts=(6441 6442 6443)
readonly kPoolSize=20 # default_pool_size in conf/photos.toml
readonly kStartSeconds=60
readonly kProgressSeconds=10 # between two lines about the build, where there is no terminal

usage() {
  cat <<'TEXT'
Usage: ./quickstart.sh [--check | --stop | --help] [--seconds N]

  (nothing)    install what is missing, build, start three PostgreSQL nodes and Mosaic, run the photo workload in all
               three query modes, print what it did, and leave everything running
  --check      the same, then compare every row with what the workload was told, stop everything, and exit non-zero
               on any difference
  --stop       stop everything and remove the demo's data
  --seconds N  run the workload N seconds per query mode (default 5)

Safe to run again at any time, also after Ctrl-C: it uses what runs already.
TEXT
}

say() { echo "==> $*"; }
fail() { echo "quickstart: $*" >&2; exit 1; }

# --- Whose processes these are --------------------------------------------------------------------------------------

# PostgreSQL refuses to run as root, so root lends the nodes to an unprivileged user.
node_user() {
  if [ "$(id -u)" -ne 0 ]; then id -un; elif id postgres >/dev/null 2>&1; then echo postgres; else echo nobody; fi
}

as_node_user() {
  if [ "$(id -u)" -ne 0 ]; then "$@"; return; fi
  setpriv --reuid="$(node_user)" --regid="$(id -g "$(node_user)")" --clear-groups \
    env -C "$(nodes_folder)" HOME="$(nodes_folder)" "$@"
}

# Where the nodes' data is: in .mosaic/, or under /var/tmp when the node user may not enter this folder (a checkout
# in /root, say).
nodes_folder() { readlink -f "$kDemo/nodes"; }

fallback_folder() { echo "/var/tmp/mosaic-$(id -u)-$(echo -n "$kCheckout" | cksum | cut -d' ' -f1)"; }

make_nodes_folder() {
  mkdir -p "$kDemo"
  [ -e "$kDemo/nodes" ] && return
  rm -f "$kDemo/nodes" # a link to data that is gone
  if [ "$(id -u)" -ne 0 ] || setpriv --reuid="$(node_user)" --clear-groups --regid="$(id -g "$(node_user)")" \
    test -x "$kDemo"; then
    mkdir "$kDemo/nodes"
  else
    local folder
    folder=$(fallback_folder)
    say "User $(node_user) may not enter $kCheckout: the nodes' data goes to $folder"
    # The name can be guessed: only a folder that is ours, and no link, will do.
    if [ ! -d "$folder" ] || [ -L "$folder" ]; then mkdir -m 755 "$folder" || fail "can not create $folder"; fi
    [ "$(stat -c %u "$folder")" = "$(id -u)" ] || [ "$(stat -c %U "$folder")" = "$(node_user)" ] ||
      fail "$folder belongs to someone else"
    ln -s "$folder" "$kDemo/nodes"
  fi
  if [ "$(id -u)" -eq 0 ]; then chown "$(node_user)" "$(nodes_folder)"; fi
}

# --- Ports ----------------------------------------------------------------------------------------------------------

is_port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

refuse_taken_port() {
  ! is_port_open "$1" || fail "port $1, which $2 needs, is taken by something else. Stop that, then start again."
}

# --- PostgreSQL nodes -----------------------------------------------------------------------------------------------

# The postmaster's pid, if it runs and is ours: its working directory is its data directory.
node_pid() {
  local data pid
  data="$(nodes_folder)/$1"
  pid=$(head -n 1 "$data/postmaster.pid" 2>/dev/null) || return 1
  [ "$(readlink "/proc/$pid/cwd" 2>/dev/null)" = "$data" ] || return 1
  echo "$pid"
}

create_node() {
  local data=$1/$2 port=$3
  as_node_user "$kPostgres/initdb" -D "$data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync >/dev/null
  as_node_user tee "$data/pg_hba.conf" >/dev/null <<'HBA'
# The demo listens on loopback only. The superuser is trusted there, the application proves its password.
host  all          postgres  127.0.0.1/32  trust
host  replication  postgres  127.0.0.1/32  trust
host  all          all       127.0.0.1/32  scram-sha-256
HBA
  as_node_user tee -a "$data/postgresql.conf" >/dev/null <<SETTINGS
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = ''
max_connections = 120
shared_buffers = 64MB
max_wal_size = 512MB
wal_level = logical            # shards can be moved while traffic runs
wal_retrieve_retry_interval = 200ms  # one soon behind the other
max_replication_slots = 20     # one for each move under way, and one for its way back
max_wal_senders = 20
max_logical_replication_workers = 12
max_worker_processes = 24
max_prepared_transactions = 120
max_locks_per_transaction = 256 # init and checks touch every shard's tables in one transaction
cluster_name = 'mosaic-demo-$2'
SETTINGS
  touch_ready "$data"
}

# Marks that initdb and the settings are complete: what a killed first run leaves behind is thrown away by the next.
touch_ready() { as_node_user touch "$1/mosaic_ready"; }

start_node() {
  local name=$1 port=$2 folder
  folder=$(nodes_folder)
  if node_pid "$name" >/dev/null; then return; fi
  refuse_taken_port "$port" "node $name"
  if [ ! -e "$folder/$name/mosaic_ready" ]; then
    rm -rf "${folder:?}/$name"
    create_node "$folder" "$name" "$port"
  fi
  as_node_user "$kPostgres/pg_ctl" -D "$folder/$name" -l "$folder/$name.log" -w -t $kStartSeconds start \
    </dev/null >/dev/null || fail "node $name did not start: see $folder/$name.log"
}

run_sql() { # $1: port, $2: database, then psql's arguments
  local port=$1 database=$2
  shift 2
  PGOPTIONS='-c client_min_messages=warning' "$kPostgres/psql" -X -q -v ON_ERROR_STOP=1 \
    "host=127.0.0.1 port=$port user=postgres dbname=$database" "$@" </dev/null
}

prepare_node() {
  local port=$1
  if [ -z "$(run_sql "$port" postgres -Atc "SELECT 1 FROM pg_database WHERE datname = 'photos'")" ]; then
    run_sql "$port" postgres -c "CREATE DATABASE photos"
  fi
  if [ -z "$(run_sql "$port" postgres -Atc "SELECT 1 FROM pg_roles WHERE rolname = 'app'")" ]; then
    run_sql "$port" postgres -c "CREATE ROLE app LOGIN PASSWORD 'app'"
  fi
}

start_nodes() {
  local i
  for i in "${!kNodes[@]}"; do
    node_pid "${kNodes[i]}" >/dev/null || say "Starting PostgreSQL node ${kNodes[i]} on 127.0.0.1:${kNodePorts[i]}"
    start_node "${kNodes[i]}" "${kNodePorts[i]}"
    prepare_node "${kNodePorts[i]}"
  done
}

stop_nodes() {
  local name
  [ -e "$kDemo/nodes" ] || return 0
  for name in "${kNodes[@]}"; do
    node_pid "$name" >/dev/null || continue
    say "Stopping PostgreSQL node $name"
    as_node_user "$kPostgres/pg_ctl" -D "$(nodes_folder)/$name" -w -t $kStartSeconds -m fast stop </dev/null >/dev/null
  done
}

# --- Mosaic ---------------------------------------------------------------------------------------------------------

readonly kMosaic=$kCheckout/build/release/mosaic
readonly kWorkload=$kCheckout/build/release/bench/photo_workload
readonly kConfig=$kCheckout/conf/photos.toml
readonly kProcessFile=$kDemo/mosaic.process # "pid start-time": a pid alone may have been given to someone else
readonly kApplication="host=127.0.0.1 port=$kProxyPort dbname=photos user=app password=app"
readonly kConsole="host=127.0.0.1 port=$kProxyPort dbname=mosaic user=app password=app"

# Field 22 of /proc/pid/stat; the name before it may hold blanks and parentheses.
start_time_of() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

mosaic_pid() {
  local pid started
  read -r pid started 2>/dev/null <"$kProcessFile" || return 1
  [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = mosaic ] && [ "$(start_time_of "$pid")" = "$started" ] || return 1
  echo "$pid"
}

is_mosaic_current() { # runs, from the program and the config that are there now
  local pid
  pid=$(mosaic_pid) || return 1
  [ "$(readlink "/proc/$pid/exe")" = "$kMosaic" ] || return 1
  [ ! "$kConfig" -nt "$kProcessFile" ] && [ ! "$kCheckout/conf/photos_users.txt" -nt "$kProcessFile" ]
}

console() { "$kPostgres/psql" -X -q "$kConsole" -c "$1" </dev/null; }

is_mosaic_gone() { ! kill -0 "$1"; }

start_mosaic() {
  local pid
  if is_mosaic_current; then return; fi
  stop_mosaic
  refuse_taken_port $kProxyPort Mosaic
  say "Starting Mosaic on 127.0.0.1:$kProxyPort"
  setsid "$kMosaic" run "$kConfig" </dev/null >>"$kDemo/mosaic.log" 2>&1 &
  pid=$!
  disown "$pid"
  # setsid forks only when it leads a process group, which a background job of a script does not.
  echo "$pid $(start_time_of "$pid")" >"$kProcessFile"
  local deadline=$((SECONDS + kStartSeconds))
  until console 'SHOW VERSION' >/dev/null 2>&1; do
    if ! kill -0 "$pid" 2>/dev/null || [ $SECONDS -ge $deadline ]; then
      tail -n 20 "$kDemo/mosaic.log" >&2
      fail "Mosaic did not start: see $kDemo/mosaic.log"
    fi
    sleep 0.1
  done
}

stop_mosaic() {
  local pid signal
  pid=$(mosaic_pid) || { rm -f "$kProcessFile"; return 0; }
  say "Stopping Mosaic"
  # Let transactions end; then let nobody wait; then there is only one way left.
  for signal in INT QUIT KILL; do
    kill "-$signal" "$pid" 2>/dev/null || break
    for _ in $(seq 50); do
      if is_mosaic_gone "$pid" 2>/dev/null; then break 2; fi
      sleep 0.1
    done
  done
  rm -f "$kProcessFile"
}

# Before anything slow is done: are the ports free, or ours?
check_ports() {
  local i
  for i in "${!kNodes[@]}"; do
    node_pid "${kNodes[i]}" >/dev/null || refuse_taken_port "${kNodePorts[i]}" "node ${kNodes[i]}"
  done
  mosaic_pid >/dev/null || refuse_taken_port $kProxyPort Mosaic
}

# --- The steps ------------------------------------------------------------------------------------------------------

# What this script waits for ends with it, also when it is killed: a compiler that goes on beside the next run's would
# ruin its log of what is built.
ends_with_me() { setpriv --pdeathsig TERM "$@"; }

# Keeps what a build says in $1 and shows the compiler's own count, [12/214]: on a terminal in place, else a line now and
# then.
show_progress() {
  local log=$1 line count shown_at=$SECONDS
  while IFS= read -r line; do
    echo "$line" >>"$log"
    [[ $line =~ ^\[([0-9]+)/([0-9]+)\] ]] || continue
    count=${BASH_REMATCH[0]}
    if [ -t 1 ]; then
      printf '\r    %s ' "$count"
    elif [ $((SECONDS - shown_at)) -ge $kProgressSeconds ]; then
      echo "    $count"
      shown_at=$SECONDS
    fi
  done
  if [ -t 1 ] && [ -n "${count:-}" ]; then printf '\r%*s\r' 20 ''; fi
}

build() {
  local log=$kDemo/build.log status=0 progress
  say "Building (release): minutes the first time, nothing when nothing has changed"
  # One build at a time: a killed run's compilers may still be on their way out. They hold the lock, too.
  exec 9>"$kDemo/build.lock"
  flock 9
  : >"$log"
  exec 8> >(show_progress "$log" 8>&- 9>&-)
  progress=$!
  { ends_with_me cmake --preset release && ends_with_me ninja -C build/release mosaic photo_workload; } \
    </dev/null >&8 2>&1 8>&- || status=$?
  exec 8>&- 9>&-
  wait "$progress" || true
  if [ $status -ne 0 ]; then
    tail -n 40 "$log" >&2
    fail "the build failed: see $log"
  fi
}

provision() {
  say "Provisioning the shards: mosaic init conf/photos.toml --schema conf/photos.sql"
  ends_with_me "$kMosaic" init "$kConfig" --schema "$kCheckout/conf/photos.sql" </dev/null
  local port
  for port in "${kNodePorts[@]}"; do run_sql "$port" photos -f "$kCheckout/conf/photos_countries.sql"; done
}

# What the console says to a command, without psql's own words.
console_says() { console "$1" 2>&1 | sed -n 's/^NOTICE:  /    /p'; }

moves_under_way() { "$kPostgres/psql" -X -q -A -t "$kConsole" -c 'SHOW MOVES' </dev/null | awk -F'|' '$15 == ""' | grep -c . || true; }

# Beside the workload: one shard to another node, then a whole node's; a second run of the demo brings those back.
move_shards() {
  local from to=pg1
  sleep 1 # the application has begun
  from=$("$kPostgres/psql" -X -q -A -t "$kConsole" -c 'SHOW SHARDS WHERE shard = 42' </dev/null | cut -d'|' -f3)
  [ "$from" != pg1 ] || to=pg2
  echo "  MOVE SHARD 42 TO $to"
  console_says "MOVE SHARD 42 TO $to WITH (soak = 0)"
  while [ "$(moves_under_way)" -gt 0 ]; do sleep 0.2; done
  if [ "$("$kPostgres/psql" -X -q -A -t "$kConsole" -c 'SHOW SHARDS WHERE node = pg3' </dev/null | grep -c .)" -gt 0 ]; then
    echo "  DRAIN NODE pg3"
    console_says "DRAIN NODE pg3 WITH (soak = 0, verify = sample)" | head -n 3
  else
    echo "  MOVE SHARDS 43-63 TO pg3"
    console_says "MOVE SHARDS 43-63 TO pg3 WITH (soak = 0, verify = sample)" | head -n 3
  fi
  while [ "$(moves_under_way)" -gt 0 ]; do sleep 0.2; done
}

# Of the moves of this run: how many, and how long writes to each shard were paused. $1: moves before it.
print_pauses() {
  "$kPostgres/psql" -X -q -A -t "$kConsole" -c 'SHOW MOVES' </dev/null | awk -F'|' -v before="$1" '
    NR > before { states[$5]++; if ($10 != "") pauses[++n] = $10 + 0 }
    END {
      for (i = 2; i <= n; i++) { v = pauses[i]; for (j = i - 1; j > 0 && pauses[j] > v; j--) pauses[j + 1] = pauses[j]; pauses[j + 1] = v }
      if (n == 0) exit
      line = ""; for (state in states) line = line (line == "" ? "" : ", ") states[state] " " state
      printf "%d moves of shards while the application ran (%s)\n", NR - before, line
      printf "writes to the shard that moved paused for %.1f ms (median), %.1f ms (longest)\n", pauses[int((n + 1) / 2)], pauses[n]
    }'
}

run_workload() { # then more of the workload's own options
  local i nodes=()
  for i in "${!kNodes[@]}"; do
    nodes+=(--node "${kNodes[i]}=host=127.0.0.1 port=${kNodePorts[i]} dbname=photos user=postgres")
  done
  say "A photo-sharing application, 64 clients, ${seconds} s in each query mode; meanwhile shards move"
  local before mover status=0
  before=$("$kPostgres/psql" -X -q -A -t "$kConsole" -c 'SHOW MOVES' </dev/null | grep -c . || true)
  touch "$kDemo/moving"
  { move_shards >"$kDemo/moves.log" 2>&1; rm -f "$kDemo/moving"; } &
  mover=$!
  ends_with_me "$kWorkload" --conninfo "$kApplication" --console "$kConsole" "${nodes[@]}" --servers-max $kPoolSize \
    --connections 64 --duration "$seconds" --json "$kDemo/workload.json" --check-once-gone "$kDemo/moving" "$@" \
    </dev/null || status=$?
  wait "$mover" || true
  rm -f "$kDemo/moving"
  cat "$kDemo/moves.log"
  print_pauses "$before"
  return $status
}

stop_all() {
  stop_mosaic
  stop_nodes
}

remove_data() {
  local folder
  if [ -L "$kDemo/nodes" ]; then
    folder=$(fallback_folder)
    [ "$(readlink "$kDemo/nodes")" != "$folder" ] || rm -rf "$folder"
  fi
  rm -rf "$kDemo"
}

# What an interrupted run leaves: it can be used as it is, taken up again, or stopped.
tell_what_runs() {
  local i name running=()
  if [ -e "$kDemo/nodes" ]; then
    for i in "${!kNodes[@]}"; do
      name=${kNodes[i]}
      if node_pid "$name" >/dev/null; then running+=("PostgreSQL node $name on 127.0.0.1:${kNodePorts[i]}"); fi
    done
  fi
  if mosaic_pid >/dev/null; then running+=("Mosaic on 127.0.0.1:$kProxyPort"); fi
  if [ ${#running[@]} -eq 0 ]; then
    echo "Nothing was left running; ./quickstart.sh takes it up again."
    return
  fi
  echo "Still running in the background:"
  printf '  %s\n' "${running[@]}"
  echo "./quickstart.sh goes on from here, ./quickstart.sh --stop stops them and removes the demo's data."
}

on_interrupt() { # $1: the signal's number
  trap '' INT TERM HUP
  rm -f "$kDemo/moving"
  echo
  echo "quickstart: interrupted." >&2
  tell_what_runs >&2
  exit $((128 + $1))
}

print_invitation() {
  cat <<TEXT

Running in the background. Try:
  psql "$kApplication"
     \\d media
     INSERT INTO media (user_id, caption) VALUES (42, 'hello') RETURNING id;
     SELECT * FROM media WHERE user_id = 42;
     SELECT * FROM media WHERE caption = 'hello';   -- refused, with a hint
  psql "$kConsole" -c 'SHOW POOLS'   -- and SHOW NODES, SHOW SHARDS, SHOW SHAPES
  ./quickstart.sh --stop             -- stops everything and removes the demo's data
Logs: $kDemo/mosaic.log, $(nodes_folder)/pg1.log ...
TEXT
}

main() {
  local action=run
  seconds=5
  while [ $# -gt 0 ]; do
    case "$1" in
      --check) action=check ;;
      --stop) action=stop ;;
      --help | -h) usage; exit 0 ;;
      --seconds)
        [[ "${2:-}" =~ ^[1-9][0-9]*$ ]] || fail "--seconds needs a number"
        seconds=$2
        shift
        ;;
      *) usage >&2; fail "no such option: $1" ;;
    esac
    shift
  done

  if [ "$action" = stop ]; then
    stop_all
    remove_data
    say "Stopped; the demo's data is removed"
    return
  fi

  trap 'on_interrupt 2' INT
  trap 'on_interrupt 15' TERM
  trap 'on_interrupt 1' HUP
  check_ports
  # shellcheck source=conf/install_packages.sh
  . conf/install_packages.sh
  install_packages build demo || fail "packages are missing"
  make_nodes_folder
  build
  start_nodes
  provision
  start_mosaic
  if [ "$action" = run ]; then
    run_workload || fail "the workload met failures; everything is left running"
    print_invitation
    return
  fi
  local status=0
  run_workload --check || status=$?
  stop_all
  if [ $status -ne 0 ]; then fail "CHECK FAILED; data and logs are left in $kDemo"; fi
  remove_data
  say "Check passed: every row is where it belongs"
}

main "$@"
