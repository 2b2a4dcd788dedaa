"""Child processes, ports and deadlines.

Every process started here dies with the test, whatever happens to the test: the kernel delivers `death_signal` when
the parent goes (prctl PR_SET_PDEATHSIG). Ports are reserved by a file lock, so that tests running side by side never
pick the same one. Knows nothing of PostgreSQL or Mosaic.
"""

import atexit
import contextlib
import ctypes
import fcntl
import glob
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL("libc.so.6", use_errno=True)
_locks = []  # kept open: the locks last as long as this process
_PREFIX = "mosaic-e2e-"
_MEMORY = "/dev/shm"
_MEMORY_FREE_BYTES_MIN = 4 << 30


class DeadlineExceeded(AssertionError):
    """A condition did not come true in time."""


def wait_until(condition, what, deadline_s=30.0, interval_s=0.02):
    """Returns the first true value of condition(); fails with `what` (text or callable) after deadline_s."""
    deadline = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise DeadlineExceeded(f"after {deadline_s:g} s still waiting for: {what() if callable(what) else what}")
        time.sleep(interval_s)


def seed():
    """A test's seed: the same in each run, so that a gate says the same twice, unless MOSAIC_E2E_SEED asks for another:
    a number, or `random`. Shows it."""
    wanted = os.environ.get("MOSAIC_E2E_SEED", "1")
    value = random.SystemRandom().randrange(10 ** 6) if wanted == "random" else int(wanted)
    print(f"MOSAIC_E2E_SEED={value}", flush=True)
    return value


def reserve_port():
    """A TCP port on 127.0.0.1 that nothing else uses: below the ephemeral range, locked for this process's life."""
    folder = os.path.join(tempfile.gettempdir(), f"mosaic-e2e-ports-{os.getuid()}")
    os.makedirs(folder, exist_ok=True)
    for _ in range(2000):
        port = random.SystemRandom().randrange(12000, 32000)
        lock = os.open(os.path.join(folder, str(port)), os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            os.close(lock)
            continue
        _locks.append(lock)
        return port
    raise RuntimeError("no free port between 12000 and 32000")


def unprivileged_user():
    """The account to run PostgreSQL as (it refuses to run as root); None when we are not root."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
            return name
        except KeyError:
            continue
    raise RuntimeError("running as root, and neither user postgres nor nobody exists to run PostgreSQL as")


def _folder_in_memory():
    """A file system in memory with room to spare, or None. A node is made of a thousand small files, and the tests make
    many nodes: on a disk that takes longer than what is tested."""
    try:
        free = os.statvfs(_MEMORY)
    except OSError:
        return None
    has_room = free.f_bavail * free.f_frsize >= _MEMORY_FREE_BYTES_MIN and os.access(_MEMORY, os.W_OK)
    return _MEMORY if has_room and not {"TMPDIR", "MOSAIC_E2E_KEEP"} & set(os.environ) else None


def _remove_abandoned(parent):
    """What tests left behind that were killed; the folder of a running one is locked."""
    for folder in glob.glob(os.path.join(parent, _PREFIX + "*")):
        with contextlib.suppress(OSError):
            if time.time() - os.stat(folder).st_mtime < 60:
                continue  # may be about to be locked
            lock = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def make_folder(owner=None, in_memory=False, below=None):
    """A temporary folder, removed at exit; set MOSAIC_E2E_KEEP=1 to keep it. `in_memory`: where there is room for it, and
    TMPDIR does not say where to go; `below`: there and nowhere else."""
    parent = below or (_folder_in_memory() if in_memory else None)
    if parent:
        _remove_abandoned(parent)
    folder = tempfile.mkdtemp(prefix=_PREFIX, dir=parent)
    if parent:
        lock = os.open(folder, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        _locks.append(lock)
    os.chmod(folder, 0o755)
    if owner:
        shutil.chown(folder, owner)
    if not os.environ.get("MOSAIC_E2E_KEEP"):
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def spawn(command, log_path, user=None, death_signal=signal.SIGKILL, env=None):
    """Starts `command` with its output appended to log_path. Call from a thread that outlives the child."""
    parent = os.getpid()

    def tie_to_parent():
        # Runs after the change of user, which would clear the setting.
        if _LIBC.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) != 0 or os.getppid() != parent:
            os._exit(127)

    identity = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user else {}
    with open(log_path, "ab") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=env,
                                cwd="/", preexec_fn=tie_to_parent, **identity)


def run(command, user=None, input_text=None, deadline_s=60.0, env=None, check=True):
    """Runs `command` to its end; returns CompletedProcess with text output (stdout and stderr apart)."""
    identity = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user else {}
    done = subprocess.run(command, input=input_text, capture_output=True, text=True, timeout=deadline_s, env=env,
                          cwd="/", **identity)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(command)} exited {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def children_of(pid):
    """The direct children of a process, by the kernel's list."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as listing:
            return [int(child) for child in listing.read().split()]
    except FileNotFoundError:
        return []


def send_signal(pid, number):
    """Signals a process that may be gone already."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def free_descriptors(count):
    """Raises the soft limit of open files to `count` or fails saying what is needed."""
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        if hard < count:
            raise RuntimeError(f"this test needs {count} open files; the hard limit is {hard}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def start_relay(target_port, log_path):
    """(process, port): a TCP relay to 127.0.0.1 that listens already (relay.py). The caller kills it."""
    port = reserve_port()
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "relay.py")
    relay = spawn([sys.executable, "-B", script, str(port), str(target_port)], log_path)

    def listens():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False
    wait_until(listens, "the relay to listen")
    return relay, port
