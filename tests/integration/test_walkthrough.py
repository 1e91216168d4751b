"""The walkthrough of the documentation, step by step: its files are written, its commands run."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

from click.testing import CliRunner

from offerer.cli.main import main
from tests.processes import ROOT, processes, wait_for

_BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
_EXIT = re.compile(r"\s+# exit (\d+):.*")


def test_every_step_of_it_works(tmp_path: Path) -> None:
    """On a cluster as `offerer dev` has it, but for the containers: nothing runs in them."""
    text = (ROOT / "docs" / "WALKTHROUGH.md").read_text()
    with processes(tmp_path) as cluster:
        cluster.master("--framework", "coding")
        for i in (1, 2, 3):
            resources = f"cpus=2;memory=2GiB;ports=3{i}000-3{i}099"
            cluster.executor(f"host-{i}", "--runtime", "fake", "--resources", resources)
        wait_for("coding", lambda: cluster.session.call("coding", "services", {}))
        wait_for("hosts", lambda: len(cluster.session.state("hosts").hosts) == 3)
        ran = 0
        for language, block in _BLOCK.findall(text):
            named = re.match(r"# (\S+\.\w+)\n", block)
            if named:
                rest = block if language == "yaml" else block[named.end() :]
                (tmp_path / named[1]).write_text(rest.replace("healthy_for: 2s", "healthy_for: 0.1s"))
            elif language == "sh":
                for line in block.splitlines():
                    _run(line, cluster.address, tmp_path)
                    ran += 1
        assert ran > 30


def _run(line: str, master: str, directory: Path) -> None:
    expected = _EXIT.search(line)
    words = shlex.split(_EXIT.sub("", line))
    if words[0] != "offerer":
        subprocess.run(words, cwd=directory, check=True)
        return
    words = [str(directory / word) if (directory / word).is_file() else word for word in words[1:]]
    result = CliRunner().invoke(main, ["--master", master, *words])
    assert result.exit_code == (int(expected[1]) if expected else 0), f"{line}: {result.output}{result.exception!r}"
