"""Runs one command for the process runtime and writes down how it ended, whatever becomes of the executor.

A script, not a module to import: ``python -I -S supervise.py DIRECTORY WORKING_DIR COMMAND…``. File descriptor 3 is
the write end of a FIFO: as long as it is open, this process lives, and whoever reads it knows. On file descriptor 4
it says once how starting went: nothing, or what is wrong. It imports as little as it can: there is one of it per task.

In DIRECTORY it leaves ``stdout`` and ``stderr``, ``pid`` (process id, its start time in clock ticks since boot, and
the time in microseconds) and, in the end, ``exit`` (exit code, time in microseconds).
"""

import os
import signal
import sys
import time

ALIVE = 3
READY = 4
# Python ignores these itself, and a command would inherit that.
_RESET = (signal.SIGPIPE, signal.SIGXFSZ)


def start_time(pid: int) -> str:
    """When the process started, in clock ticks since boot; with the pid it names one process for sure. May raise."""
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[19]


def _write(directory: str, name: str, *fields: object) -> None:
    new = f"{directory}/{name}.new"
    with open(new, "w") as file:
        file.write(" ".join(map(str, fields)))
    os.replace(new, f"{directory}/{name}")


def _spawn(directory: str, command: list[str]) -> int:
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawnp(
        command[0],
        command,
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, f"{directory}/stdout", append, 0o644),
            (os.POSIX_SPAWN_OPEN, 2, f"{directory}/stderr", append, 0o644),
        ],
        setpgroup=0,
        setsigdef=_RESET,
    )


def _wait(pid: int) -> int:
    """Wait for the command, end what is left of its process group, and return its exit code."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # not reaped yet: the group's id cannot be another's
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code if code >= 0 else 128 - code


def main() -> None:
    """Supervise one command to its end."""
    directory, working_dir, *command = sys.argv[1:]
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # a handler: unlike "ignore", it is not inherited by the command
    os.set_inheritable(ALIVE, False)
    os.set_inheritable(READY, False)
    problem = ""
    pid = 0
    try:
        os.chdir(working_dir)
        pid = _spawn(directory, command)
        _write(directory, "pid", pid, start_time(pid), time.time_ns() // 1000)
    except OSError as error:
        problem = f"{error.filename or command[0]}: {error.strerror}"
    try:
        os.write(READY, problem.encode())
    except BrokenPipeError:
        pass  # the executor is gone; the next one finds the files
    os.close(READY)
    if pid:
        code = _wait(pid)
        _write(directory, "exit", code, time.time_ns() // 1000)


if __name__ == "__main__":
    main()
