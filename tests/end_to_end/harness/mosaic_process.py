"""The `mosaic` under test: its command line, and the running proxy with its log.

A sanitizer's report makes mosaic exit non-zero; clean_stop() checks both the exit status and the log. Knows nothing of
what the config says, except the port to wait for.
"""

import os
import re
import signal
import socket

from .processes import run, spawn, wait_until

_SANITIZER_REPORT = re.compile(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:|SUMMARY: \w+Sanitizer")


def binary():
    path = os.environ.get("MOSAIC_BINARY")
    if not path or not os.access(path, os.X_OK):
        raise RuntimeError(f"MOSAIC_BINARY must name the mosaic to test (it is {path!r})")
    return path


def environment():
    """The environment for mosaic: every sanitizer finding ends the process with status 99."""
    return dict(
        os.environ,
        # A small quarantine keeps the resident size meaningful for the tests that bound it.
        ASAN_OPTIONS="exitcode=99:detect_leaks=1:halt_on_error=1:quarantine_size_mb=8:strict_string_checks=1",
        LSAN_OPTIONS="exitcode=99:report_objects=1",
        UBSAN_OPTIONS="exitcode=99:halt_on_error=1:print_stacktrace=1",
        TSAN_OPTIONS="exitcode=99:halt_on_error=1",
    )


def run_mosaic(*arguments, deadline_s=120.0, check=True):
    """Runs a command such as `init` or `check` to its end. Fails on a sanitizer's report whatever `check` says."""
    done = run([binary(), *arguments], env=environment(), deadline_s=deadline_s, check=check)
    report = _SANITIZER_REPORT.search(done.stdout + done.stderr)
    if report or done.returncode == 99:
        raise AssertionError(f"mosaic {' '.join(arguments)}: sanitizer report\n{done.stdout}\n{done.stderr}")
    return done


class MosaicProcess:
    def __init__(self, config_path, port, log_path):
        self.config_path = config_path
        self.port = port
        self.log_path = log_path
        self.process = None

    def start(self, deadline_s=30.0):
        """Starts `mosaic run` and waits until it accepts connections."""
        self.process = spawn([binary(), "run", self.config_path], self.log_path, env=environment())
        wait_until(self._accepts, lambda: f"mosaic to listen on {self.port}\n{self.log_tail()}", deadline_s)

    def _accepts(self):
        if self.process.poll() is not None:
            raise AssertionError(f"mosaic exited {self.process.returncode} at start\n{self.log_tail()}")
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
            return True
        except OSError:
            return False

    @property
    def pid(self):
        return self.process.pid

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def send_signal(self, number):
        self.process.send_signal(number)

    def assert_alive(self):
        if not self.is_running():
            raise AssertionError(f"mosaic died with status {self.process.returncode}\n{self.log_tail()}")

    def wait(self, deadline_s=30.0):
        """Waits for the process to end by itself; returns its exit status."""
        wait_until(lambda: self.process.poll() is not None, lambda: f"mosaic to exit\n{self.log_tail()}", deadline_s)
        return self.process.returncode

    def assert_clean_exit(self, deadline_s=30.0):
        """The process ends by itself with status 0 and no sanitizer has reported anything."""
        status = self.wait(deadline_s)
        self.process = None
        report = _SANITIZER_REPORT.search(self.log_text())
        if status != 0 or report:
            found = self.log_text()[max(0, report.start() - 200):][:6000] if report else self.log_tail()
            raise AssertionError(f"mosaic exited {status}{' with a sanitizer report' if report else ''}\n{found}")

    def clean_stop(self, deadline_s=30.0):
        """SIGINT (finish transactions, then close) and a clean exit. Nothing to do when mosaic was stopped before."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.assert_clean_exit(deadline_s)
        finally:
            self.kill()

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(timeout=30)
        self.process = None

    def processor_s(self):
        """Seconds that all its threads have run: unlike the clock, the same on a busy machine."""
        with open(f"/proc/{self.pid}/stat") as stat:
            user, system = stat.read().rsplit(")", 1)[1].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self):
        return self._status_bytes("VmRSS")

    def peak_resident_bytes(self):
        return self._status_bytes("VmHWM")

    def _status_bytes(self, name):
        with open(f"/proc/{self.pid}/status") as status:
            for line in status:
                if line.startswith(name + ":"):
                    return int(line.split()[1]) * 1024
        raise AssertionError(f"no {name}")

    def log_text(self):
        if not os.path.exists(self.log_path):
            return ""
        with open(self.log_path, errors="replace") as log:
            return log.read()

    def log_tail(self, characters=4000):
        return f"--- {os.path.basename(self.log_path)} ---\n{self.log_text()[-characters:]}"
