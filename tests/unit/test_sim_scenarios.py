"""Scenarios: what the command says of a run, and of every mistake in a scenario, a trace or a plug-in."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from offerer import SECOND, FrameworkId, InvalidInput, Resources, TaskId, TaskState
from offerer.cli.main import main
from offerer.core import tasks as core_tasks
from offerer.sim import SimulationFailed
from offerer.sim.run import Run
from offerer.sim.scenario import Scenario, load
from offerer.sim.trace import read_trace
from offerer.sim.units import duration, format_duration
from offerer.sim.workload import Arrival
from offerer.sim.world import START

ROOT = Path(__file__).parents[2]
HEADER = "submit_time,duration,cpu,memory,instances_num"
SMALL = {
    "lasts": "10s",
    "calm": "5s",
    "sample_every": "1s",
    "hosts": [{"name": "a", "count": 2, "cpus": 4, "memory": "8GiB"}],
    "frameworks": [{"name": "t", "tasks": [{"count": 2, "cpus": 1, "memory": "1GiB", "run_for": "3s"}]}],
}


def ran(file: Path, text: str, *options: str) -> int:
    """The exit code of ``offerer sim run`` on a scenario of this text."""
    file.write_text(text)
    with pytest.raises(SystemExit) as ended:
        main(["sim", "run", str(file), *options])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def tasks(fields: str) -> str:
    return f"frameworks: [{{name: t, tasks: [{{{fields}}}]}}]"


def faults(fields: str) -> str:
    return f"faults: [{{{fields}}}]"


def test_the_example_survives_its_outages() -> None:
    file = ROOT / "examples" / "outages.yaml"
    report = Run(load(file), file).run()
    by_name = {each["name"]: each for each in report["frameworks"]}
    assert by_name["hourly"]["finished"] == 14 * 60 + 4
    assert by_name["nightly"]["finished"] == 200
    assert by_name["copies"]["alive"] == 30
    assert report["messages_lost"] > 0


def test_the_example_runs_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [each for each in __import__("sys").path if Path(each).resolve() != ROOT])
    file = ROOT / "examples" / "outages.yaml"
    assert {plugin.role for plugin in Run(load(file), file).plugins} == {"batch", "services"}


def test_the_command_prints_one_json_object_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (
        "lasts: 30s\ncalm: 30s\nhosts: [{count: 2, cpus: 2, memory: 4GiB}]\n"
        "frameworks: [{name: a, tasks: [{count: 6, cpus: 1, memory: 1GiB, run_for: 4s}]}]\n"
    )
    assert ran(tmp_path / "small.yaml", text, "--json", "--seed", "5") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["seed"], report["tasks_launched"], report["frameworks"][0]["finished"]) == (5, 6, 6)
    pytest.importorskip("matplotlib")
    assert ran(tmp_path / "small.yaml", text, "--plot", str(tmp_path / "out.svg")) == 0
    assert "<svg" in (tmp_path / "out.svg").read_text()


def test_where_a_plot_cannot_be_drawn_is_said_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    assert ran(tmp_path / "small.yaml", yaml.dump(SMALL), "--plot", str(tmp_path / "no" / "x.svg")) == 1
    told = capsys.readouterr()
    assert told.err == f"error: --plot: {tmp_path}/no/x.svg: there is no such directory\n" and not told.out


def test_a_failure_prints_the_command_that_replays_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "small.yaml"
    monkeypatch.setattr(core_tasks, "release", lambda state, task: None)
    text = "hosts: [{cpus: 2}]\nframeworks: [{name: a, tasks: [{cpus: 1, run_for: 4s}]}]\n"
    assert ran(file, text, "--seed", "6") == 1
    assert f"replay it with: offerer sim run {file} --seed 6" in capsys.readouterr().err


# -- plug-ins ----------------------------------------------------------------------------------------------------------

PLUGIN = """
from offerer import Framework, Resources

class Ill(Framework):
    name = "ill"
    def __init__(self, how="raise", copies="1"):
        self.how, self.copies = how, int(copies)
        if how == "absent":
            open("/nonexistent")
    def on_offers(self, now, offers):
        if self.how == "input":
            Resources.of(cpus=-1)
        if self.how == "raise":
            raise KeyError("zone")
        if self.how == "nonsense":
            return 5
"""


@pytest.fixture
def plugin_scenario(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Path, dict[str, object]]:
    """A scenario with a plug-in beside it, whose name no other test has: modules stay imported."""
    module = "ill_" + re.sub(r"\W", "_", request.node.name)
    (tmp_path / f"{module}.py").write_text(PLUGIN)
    return tmp_path / "s.yaml", {**SMALL, "frameworks": [{"name": "t", "plugin": f"{module}:Ill"}]}


@pytest.mark.parametrize(
    ("how", "says"), [("raise", "KeyError: 'zone'"), ("input", "InvalidInput: cpus: -1 must be 0 or more")]
)
def test_what_a_plugin_raises_is_shown_where_it_did_and_how_to_see_it_again(
    plugin_scenario: tuple[Path, dict[str, object]], capsys: pytest.CaptureFixture[str], how: str, says: str
) -> None:
    file, scenario = plugin_scenario
    scenario["frameworks"][0]["options"] = {"how": how}  # type: ignore[index]
    assert ran(file, yaml.dump(scenario), "--seed", "7") == 1
    told = capsys.readouterr().err
    first, where, *_ = told.splitlines()
    assert first.startswith("Traceback") and re.search(r'ill_.*\.py", line 1\d, in on_offers', where)
    assert "simulation.py" not in told
    last = told.splitlines()[-1]
    assert last.startswith(f"error: {says}") and "(after 0.0" in last
    assert last.endswith(f"steps, seed 7; replay it with: offerer sim run {file} --seed 7)")


def test_what_a_plugin_returns_that_is_no_decision_is_one_line(
    plugin_scenario: tuple[Path, dict[str, object]], capsys: pytest.CaptureFixture[str]
) -> None:
    file, scenario = plugin_scenario
    scenario["frameworks"][0]["options"] = {"how": "nonsense"}  # type: ignore[index]
    assert ran(file, yaml.dump(scenario)) == 1
    told = capsys.readouterr().err
    assert re.fullmatch(r"error: on_offers returned 5; return a list .*seed 1; replay it with: .*\n", told)


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ("{copies: three}", r"cannot be made with these options: ValueError: invalid literal.*'three' \(.*, line 7\)"),
        ("{copy: 3}", "unexpected keyword argument 'copy'; its options are how, copies"),
        ("{how: absent}", "cannot be made: FileNotFoundError"),
        ("{copies: }", "frameworks.0.options.copies: nothing is not text"),
        ("{copies: [3]}", "frameworks.0.options.copies: a list is not text"),
    ],
)
def test_a_plugin_that_cannot_be_made_is_one_line(
    plugin_scenario: tuple[Path, dict[str, object]], capsys: pytest.CaptureFixture[str], options: str, wrong: str
) -> None:
    file, scenario = plugin_scenario
    text = yaml.dump(scenario, default_flow_style=True, width=999).replace("plugin:", f"options: {options}, plugin:")
    assert ran(file, text) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"error: {file}: frameworks.0") and len(told.splitlines()) == 1
    assert re.search(wrong, told)


def test_a_plugin_module_that_cannot_be_imported_says_why(tmp_path: Path) -> None:
    def wrong(module: str, text: str) -> str:
        (tmp_path / f"{module}.py").write_text(text)
        file = tmp_path / "s.yaml"
        file.write_text(yaml.dump({**SMALL, "frameworks": [{"name": "t", "plugin": f"{module}:A"}]}))
        with pytest.raises(InvalidInput) as raised:
            Run(load(file), file)
        return str(raised.value)

    missing = wrong("imp_a", "\nimport nosuch_x")
    assert re.search("cannot be imported: ModuleNotFoundError: .*'nosuch_x'.*py, line 2", missing)
    assert "module imp_b has no 'A'" in wrong("imp_b", "")
    assert "cannot be imported: AttributeError" in wrong("imp_c", "import os; os.nosuch")
    assert "No module named 'imp_d'; is its package installed" in wrong("imp_d.sub", "")


def test_options_are_what_is_written(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(
        "hosts: [{cpus: 1, attributes: {rack: 07, ssd: yes}}]\n"
        "frameworks: [{name: t, plugin: a:B, options: {every: 30, ratio: 1.10, on: true}}]"
    )
    scenario = load(file)
    assert scenario.frameworks[0].options == {"every": "30", "ratio": "1.10", "on": "true"}
    assert scenario.hosts[0].attributes == {"rack": "07", "ssd": "yes"}


# -- mistakes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("[]", "it must be a mapping with at least hosts and frameworks"),
        ("hosts: [", "line 1, column 9: not YAML: expected the node content"),
        ("? [a]\n: b", "line 1, column 3: not YAML: found unhashable key"),
        (f"hosts: {9999 * '['}", "not YAML: maximum recursion depth"),
        ("1: 2\nhosts: [{cpus: 1}]\nframeworks: [{name: a, plugin: a}]", "1: unknown field; known here: seed, lasts"),
        ("at: 2026-13-45", "not YAML: month must be"),
        ("seed: 1\nlasts: 2s\nseed: 3", "line 3: 'seed' is given twice, first in line 1; keep one"),
        ("frameworks: [{name: a}]", "hosts: it is missing"),
        ("hosts: []\nframeworks: [{name: a}]", "hosts: there is nothing in it; give at least one"),
        ("hosts: [{cpu: 2}]\nframeworks: [{name: a}]", r"hosts.0.cpu: unknown field; did you mean 'cpus'\?"),
        ("hosts: [{zzz: 2}]\nframeworks: [{name: a}]", "hosts.0.zzz: unknown field; known here: cpus, memory, disk"),
        ("hosts: [{cpus: 2}]\nframeworks: [{name: a, tasks: [{hosts: 1}]}]", "frameworks.0.tasks.0.hosts: unknown"),
    ],
)
def test_a_wrong_scenario_is_explained(tmp_path: Path, text: str, wrong: str) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(text)
    with pytest.raises(InvalidInput, match=f"^{re.escape(str(file))}: {wrong}"):
        Run(load(file), file)


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ("lasts: soon", "lasts: 'soon' is not a time"),
        (f"lasts: {'9' * 400}h", "lasts: '9+h' is not a time"),
        ("seed: [1]", "seed: a list is not a whole number"),
        ("seed: x", "seed: 'x' is not a whole number"),
        ("sample_every: 0", "sample_every: it must be more than 0"),
        ("sample_every: 1us", "sample_every: that would be 10000000 points; write 100us or more"),
        ("network: {loss: 1}", "network.loss: 1 must be less than 1"),
        ("network: {loss: much}", "network.loss: 'much' is not a number"),
        ("network: 5", "network: 5 is not a mapping of the fields latency, jitter"),
        ("hosts: {cpus: 4}", "hosts: a mapping is not a list"),
        ("hosts: [{name: '', cpus: 4}]", "hosts.0.name: '' must be 1 to 253"),
        ("hosts: [{name: x y, cpus: 4}]", "hosts.0.name: 'x y' must be 1 to 253 printable characters"),
        ("hosts: [{name: 5, cpus: 4}]", "hosts.0.name: 5 is not text; write it in quotes"),
        ("hosts: [{cpus: 4, count: 0}]", "hosts.0.count: 0 must be 1 or more"),
        ("hosts: [{cpus: four}]", "hosts.0.cpus: 'four' is not a number, for example"),
        ("hosts: [{cpus: 4, memory: 8GiB}, {cpus: 4}]", "hosts.1.name: 'host' is taken"),
        ("hosts: [{cpus: 4, ports: 5-1}]", "hosts.0.ports: 5-1 is not a port or a range within"),
        ("hosts: [{cpus: 4, ports: [80]}]", "hosts.0.ports: a list is not a port or a range"),
        ("hosts: [{cpus: 4, attributes: [a]}]", "hosts.0.attributes: a list is not a mapping, for example"),
        ("hosts: [{count: 3}, {name: b, cpus: 4, memory: 8GiB}]", "hosts.0: they have nothing"),
        ("frameworks: [{name: a}]", "frameworks.0: it has no tasks; give tasks, trace or plugin"),
        ("frameworks: [{name: a, trace: x, plugin: y}]", "frameworks.0: trace and plugin do not go together"),
        ("frameworks: [{name: a, trace: no.csv}]", "frameworks.0: .*no.csv: No such file"),
        ("frameworks: [{name: a-1, trace: no.csv}]", "frameworks.0.name: 'a-1' is taken"),
        ("frameworks: [{name: a, trace: x}, {name: a, trace: x}]", "frameworks.1.name: 'a' is taken"),
        ("frameworks: [{name: a, role: '', trace: no.csv}]", "frameworks.0.role: '' must be 1 to 253"),
        ("frameworks: [{name: a, machine: 0, trace: x}]", "frameworks.0.machine: it must be more than 0"),
        ("frameworks: [{name: a, machine: 1GiB, plugin: x}]", "frameworks.0.machine: it says nothing without trace"),
        ("frameworks: [{name: a, options: {a: 1}, trace: x}]", "frameworks.0.options: it says nothing without plugin"),
        ("frameworks: [{name: a, plugin: coding}]", "frameworks: framework a: it has a coroutine of its own"),
        (tasks("count: 2"), "frameworks.0.tasks.0: they need nothing; give cpus or memory"),
        (tasks("cpus: 5"), "frameworks.0.tasks.0: cpus=5 is more than any host has"),
        (tasks("cpus: 1, at: 99h"), "frameworks.0.tasks.0.at: 4d3h is never, all is over at 15s"),
        (tasks("cpus: 1, times: 3"), "frameworks.0.tasks.0.times: every is missing"),
        (tasks("cpus: 1, every: 0"), "frameworks.0.tasks.0.every: it must be more than 0"),
        (tasks("cpus: 1, every: 1us"), "frameworks.0.tasks.0.every: that would be 10000000 times"),
        (tasks("cpus: 1, every: 4s, times: 9"), "frameworks.0.tasks.0.times: 9 times end at 32s, .*; write 4, or"),
        (faults("at: 2s"), "faults.0: nothing would happen; give one of crash, partition, drain, cordon, restart_m"),
        (faults("at: 2s, restart_master: false"), "faults.0: nothing would happen"),
        (faults("at: 2s, crash: any, drain: any"), "faults.0: crash and drain would happen; give one of"),
        (faults("at: 2s, crash: b-1"), "faults.0.crash: there is no 'b-1'; write any, or one of a-1 to a-2$"),
        (faults("at: 2s, crash: a-3"), "faults.0.crash: there is no 'a-3'"),
        (faults("at: 2s, crash: t"), "faults.0.crash: there is no 't'"),
        (faults("at: 2s, partition: u"), "faults.0.partition: there is no 'u'; write any, or one of a-1 to a-2, t$"),
        (faults("at: 2s, restart_master: true, lasts: 1s"), "faults.0.lasts: the master restarts at once"),
        (faults("at: 10s, crash: any"), "faults.0.at: 10s is never, all is over at 10s"),
        (faults("at: 2s, crash: any, times: 2"), "faults.0.times: every is missing"),
        (faults("at: 2s, crash: any, every: 4s, times: 3"), "faults.0.times: 3 times end at 10s, .*; write 2"),
        ("roles: [{role: x}]", r"roles.0: no framework has the role 'x'; they have \*"),
        ("roles: [{role: '*'}, {role: '*'}]", r"roles.1.role: '\*' is set twice"),
        ("roles: [{role: '*', weight: 0}]", "roles.0.weight: 0 must be 0.001 or more"),
        ("roles: [{role: '*', weight: .inf}]", "roles.0.weight: inf is not a number"),
        (
            "roles: [{role: '*', guarantee: {cpus: 3, memory: 1GiB}, limit: {cpus: 1.5}}]",
            r"roles.0: guarantee of role \*: cpus=3 is above the limit cpus=1.5; raise the limit first",
        ),
    ],
)
def test_a_mistake_is_one_line_with_file_field_and_fix(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: str, wrong: str
) -> None:
    field = changed.partition(":")[0]
    text = yaml.dump({name: value for name, value in SMALL.items() if name != field}) + changed
    file = tmp_path / "wrong.yaml"
    assert ran(file, text) == 1
    told = capsys.readouterr()
    assert re.match(f"error: {re.escape(str(file))}: {wrong}", told.err), told.err
    assert len(told.err.splitlines()) == 1 and not told.out


@pytest.mark.parametrize(
    ("row", "wrong"),
    [
        ("0,1,1,0.1,0", "line 2, column instances_num: '0' must be a whole number, 1 or more"),
        ("0,1,1,0.1,-2", "line 2, column instances_num: '-2' must be a number from 0 to"),
        ("0,1,1,0.1,1.5", "line 2, column instances_num: '1.5' must be a whole number"),
        ("0,1,1,0.1", "line 2, column instances_num: '' must be a number"),
        ("0,1,-1,0.1,1", "line 2, column cpu: '-1' must be a number from 0 to 1000000000"),
        ("0,1,x,0.1,1", "line 2, column cpu: 'x' must be a number"),
        ("0,1,inf,0.1,1", "line 2, column cpu: 'inf' must be"),
        ("0,1,nan,0.1,1", "line 2, column cpu: 'nan' must be"),
        ("0,1,1,1.5,1", "line 2, column memory: '1.5' must be a number from 0 to 1$"),
        ("0,1,1,0,1\n0,-1,1,0,1", "line 3, column duration: '-1' must be"),
        ("-1,1,1,0.1,1", "line 2, column submit_time: '-1' must be"),
        ("0,1,0,0,1", "line 2, columns cpu and memory: both are 0"),
    ],
)
def test_a_wrong_line_of_a_trace_is_named(tmp_path: Path, row: str, wrong: str) -> None:
    file = tmp_path / "trace.csv"
    file.write_text(f"{HEADER}\n{row}\n")
    with pytest.raises(InvalidInput, match=f"^{re.escape(str(file))}, {wrong}"):
        list(read_trace(file, 1 << 30))


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b"", "line 1: there is no column submit_time; name submit_time, duration, cpu, "),
        (HEADER.replace(",cpu", "").encode(), "line 1: there is no column cpu"),
        (HEADER.encode(), "there is no task in it; write a line for each"),
        (HEADER.encode() + b"\n99,1,1,0,1", "all its tasks come when all is over"),
        (b"\xff\xff", "not CSV in UTF-8"),
    ],
)
def test_a_trace_without_tasks_is_refused(tmp_path: Path, content: bytes, wrong: str) -> None:
    (tmp_path / "trace.csv").write_bytes(content)
    file = tmp_path / "s.yaml"
    file.write_text(yaml.dump({**SMALL, "frameworks": [{"name": "t", "trace": "trace.csv"}]}))
    with pytest.raises(InvalidInput, match=f"{re.escape(str(file))}: frameworks.0: .*trace.csv.*{wrong}"):
        Run(load(file), file)


def test_a_trace_gives_arrivals_also_with_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "trace.csv"
    file.write_text(f"{HEADER},job\n7,2.5,0.5,0.01,3,x\n", encoding="utf-8-sig")
    assert list(read_trace(file, 10 << 30)) == [
        Arrival(START + 7 * SECOND, 3, Resources.of(cpus=0.5, memory="128MiB"), 2_500_000)
    ]


# -- what fields mean --------------------------------------------------------------------------------------------------


def test_every_without_times_goes_on_as_long_as_the_scenario_lasts(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    each = [{"cpus": 1, "run_for": "1s", "at": "1s", "every": "3s"}]
    fault = [{"at": "1s", "every": "4s", "restart_master": True}]
    file.write_text(yaml.dump({**SMALL, "frameworks": [{"name": "t", "tasks": each}], "faults": fault}))
    run = Run(load(file), file)
    report = run.run()
    assert report["frameworks"][0]["finished"] == 3
    assert [at // SECOND for at in load(file).faults[0].moments(10 * SECOND)] == [1, 5, 9]


def test_a_limit_of_nothing_is_a_limit(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(yaml.dump({**SMALL, "roles": [{"role": "*", "limit": {"cpus": 0}}]}))
    assert Run(load(file), file).run()["frameworks"][0]["waiting"] == 2


def test_scenarios_have_every_field_described() -> None:
    text = (ROOT / "docs" / "SIMULATOR.md").read_text()
    for name in Scenario.model_fields:
        assert f"`{name}`" in text, f"docs/SIMULATOR.md does not describe {name}"
    assert yaml.safe_load((ROOT / "examples" / "outages.yaml").read_text())


@pytest.mark.parametrize(
    ("text", "time"), [("30s", 30_000_000), ("1h30m", 5_400_000_000), ("250ms", 250_000), (2, 2_000_000)]
)
def test_times(text: str | int, time: int) -> None:
    assert duration(text) == time
    assert duration(format_duration(time)) == time


@pytest.mark.parametrize("text", ["", "30", "s", "3 weeks", "-1s", True])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not a time"):
        duration(text)


def test_a_cluster_where_tasks_come_and_go_all_the_time_is_settled_even_if_news_takes_a_second(tmp_path: Path) -> None:
    file = tmp_path / "busy.yaml"
    file.write_text(
        "hosts: [{count: 4, cpus: 16, memory: 64GiB}]\n"
        "frameworks: [{name: f, tasks: [{cpus: 1, run_for: 2s, every: 100ms, times: 1195}]}]\n"
        "network: {latency: 300ms, jitter: 1s}\n"
        "lasts: 60s\n"
        "calm: 60s\n"
    )
    run = Run(load(file), file)
    run.run()
    framework = run.simulation.frameworks[FrameworkId("f")]
    framework.states[TaskId("ghost")] = TaskState.RUNNING
    with pytest.raises(SimulationFailed, match="f takes ghost to be RUNNING, the master has no such task"):
        run.simulation.check_settled(10)
