"""exec, cp and top against the sleeper of a cluster: the same on every runtime that runs something."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
import tarfile
import time
from pathlib import Path

from tests.processes import ROOT, Processes, wait_for

DEADLINE = 30.0
# Not pty.fork(): gRPC's threads may hold a lock that the fork would wait for.
_ON_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
TASK = ("--framework", "sleeper", "sleeper")


def offerer(
    cluster: Processes, command: str, *arguments: str, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run ``offerer COMMAND --framework sleeper …``."""
    return subprocess.run(
        [*_offerer(cluster), command, "--framework", "sleeper", *arguments],
        input=stdin, capture_output=True, timeout=DEADLINE, check=False, cwd=ROOT,
    )  # fmt: skip


def _offerer(cluster: Processes) -> list[str]:
    return [sys.executable, "-m", "offerer.cli.main", "--master", cluster.address]


def check_exec(cluster: Processes) -> None:
    """Output on both streams, exit code, environment, working directory, input in any amount."""
    done = offerer(cluster, "exec", "sleeper", "--", "sh", "-c", "echo $WHO; cat greeting; echo oops >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"sleeper\nhello\n", b"oops\n")
    data = os.urandom(1 << 20)
    done = offerer(cluster, "exec", "-i", "sleeper", "--", "cat", stdin=data)
    assert (done.returncode, done.stdout == data, done.stderr) == (0, True, b"")
    done = offerer(cluster, "exec", "-w", "/tmp", "sleeper", "--", "sh", "-c", "echo $PWD")
    assert done.stdout == b"/tmp\n"
    done = offerer(cluster, "exec", "sleeper", "--", "no-such-program")
    assert done.returncode != 0 and b"no-such-program" in done.stdout + done.stderr
    done = offerer(cluster, "exec", "nobody", "--", "true")
    assert done.returncode == 1 and done.stderr.startswith(b"error: ") and b"nobody" in done.stderr


def check_terminal(cluster: Processes) -> None:
    """An interactive shell on a terminal: it sees its size, echoes, and ends with what it was told to."""
    command = [*_offerer(cluster), "exec", "-it", *TASK, "--", "sh"]
    terminal, inner = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", _ON_TERMINAL, *command], stdin=inner, stdout=inner, stderr=inner, cwd=ROOT,
        env={**os.environ, "COLUMNS": "97", "LINES": "31"}, start_new_session=True,
    )  # fmt: skip
    os.close(inner)
    try:
        _read_until(terminal, b"# ")
        os.write(terminal, b"stty size; echo $((40 + 2)) $WHO\n")
        said = _read_until(terminal, b"42 sleeper")
        assert b"31 97" in said
        os.write(terminal, b"sleep 600\n")
        _read_until(terminal, b"sleep 600")
        time.sleep(0.3)  # for the shell to start it; Ctrl-C before that would be for the shell
        os.write(terminal, b"\x03")
        os.write(terminal, b"exit 9\n")
        _read_until(terminal, None)
    finally:
        os.close(terminal)
        status = process.wait()
    assert status == 9


def _read_until(terminal: int, wanted: bytes | None) -> bytes:
    """What is shown up to these bytes, or to the end."""
    os.set_blocking(terminal, False)
    said = b""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        try:
            data = os.read(terminal, 4096)
        except BlockingIOError:
            time.sleep(0.01)
            continue
        except OSError:
            data = b""
        said += data
        if not data or (wanted is not None and wanted in said):
            break
    assert wanted is None or wanted in said, said
    return said


def check_cp(cluster: Processes, directory: Path, there: str) -> None:
    """A directory goes there and comes back the same; `there` is a directory in the container."""
    source = directory / "files"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "large").write_bytes(os.urandom(3 << 20))
    (source / "script").write_text("#!/bin/sh\n")
    (source / "script").chmod(0o755)
    done = offerer(cluster, "cp", str(source), f"sleeper:{there}/")
    assert (done.returncode, done.stderr) == (0, b"")
    (directory / "back").mkdir()
    done = offerer(cluster, "cp", f"sleeper:{there}/files", str(directory / "back"))
    assert (done.returncode, done.stderr) == (0, b"")
    back = directory / "back" / "files"
    assert (back / "deep" / "large").read_bytes() == (source / "deep" / "large").read_bytes()
    assert (back / "script").stat().st_mode & 0o777 == 0o755
    done = offerer(cluster, "cp", str(source / "script"), f"sleeper:{there}/renamed")
    assert (done.returncode, done.stderr) == (0, b"")
    done = offerer(cluster, "cp", f"sleeper:{there}/renamed", str(directory / "again"))
    assert (directory / "again").read_text() == "#!/bin/sh\n"
    done = offerer(cluster, "cp", f"sleeper:{there}/renamed", "-")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        assert tar.getnames() == ["renamed"]
    done = offerer(cluster, "cp", "sleeper:/no/such", str(directory / "nothing"))
    assert done.returncode == 1 and done.stderr.startswith(b"error: ") and b"/no/such" in done.stderr
    done = offerer(cluster, "cp", str(source), "sleeper:/no/such/")
    assert done.returncode == 1 and b"/no/such" in done.stderr
    done = offerer(cluster, "cp", "here", "there")
    assert done.returncode == 2 and b"one of SOURCE and DESTINATION must be TASK:PATH" in done.stderr


def check_top(cluster: Processes) -> None:
    """Memory, processes, and the share of a core that is used."""
    done = offerer(cluster, "top", "--once", "--json", "sleeper")
    assert done.returncode == 0, done.stderr
    usage = json.loads(done.stdout)
    assert usage["pids"] >= 1 and usage["memory"] > 0 and 0 <= usage["cpus"] < 2
    assert any("greeting" in each["command"] for each in usage["processes"])
    done = offerer(cluster, "top", "--once", "sleeper")
    assert done.stdout.startswith(b"cpus 0.") and b"COMMAND" in done.stdout


def wait_for_sleeper(cluster: Processes) -> None:
    """Until it runs and has written its line."""
    wait_for("the sleeper", lambda: cluster.tasks("sleeper") == {"sleeper": "RUNNING"})
    wait_for("its greeting", lambda: (False, b"up\n") in list(cluster.session.logs("sleeper", "sleeper")))
