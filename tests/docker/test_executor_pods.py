"""Pods and init steps on a real Docker engine."""

from __future__ import annotations

import urllib.request
from dataclasses import replace
from pathlib import Path

import docker

from offerer import ContainerSpec, Mount, PortMapping, Probe, Reason, Resources, TaskState
from tests.docker.test_executor import executor, shell
from tests.engine import Engine
from tests.small_master import SmallMaster, until


def named(name: str, script: str, **changes: object) -> ContainerSpec:
    return replace(shell(script, **changes), name=name)


def states(client: docker.APIClient, task_id: str) -> dict[str, str]:
    """The state of each of the task's containers, by its name in the pod."""
    found = client.containers(all=True, filters={"label": f"offerer.task={task_id}"})
    return {each["Labels"].get("offerer.container", ""): each["State"] for each in found}


WEB = named("web", "mkdir /www; echo hello > /www/index.html; exec httpd -f -p 80 -h /www")


async def test_its_containers_share_network_ipc_and_processes(
    master: SmallMaster, engine: Engine, client: docker.APIClient, tmp_path: Path
) -> None:
    """One of them serves, another watches its process: it sees process 1, asks it over loopback, and sees it end."""
    watcher = named(
        "watcher",
        "echo watched $(cat /proc/1/comm); until wget -q -O - http://127.0.0.1/; do sleep 0.1; done;"
        "ls -l /proc/self/ns/ipc | awk '{print $NF}'; while true; do sleep 0.1; done",
    )
    shower = named("shower", "ls -l /proc/self/ns/ipc | awk '{print $NF}'; while true; do sleep 0.1; done")
    pod = ContainerSpec(
        containers=(WEB, watcher, shower),
        ports=(PortMapping(80, 31041),),
        readiness=Probe("/", 80),
        hostname="pod-1",
        stop_grace=0,
    )
    async with executor(master, engine, tmp_path):
        await master.registered()
        await master.launch("t", pod, Resources.of(cpus=1, memory="64MiB", ports="31041"))
        await master.status("t", TaskState.RUNNING)
        await until(lambda: any(each.healthy for each in master.statuses), "it is ready")
        with urllib.request.urlopen("http://127.0.0.1:31041/", timeout=5) as answer:
            assert answer.read() == b"hello\n"
        out, _, _ = await master.attach("t", container="watcher", enough=b"ipc:", follow=True)
        assert out.startswith(b"watched httpd\nhello\n")
        ipc = out.splitlines()[-1]
        assert (await master.attach("t", container="shower", enough=b"ipc:", follow=True))[0].strip() == ipc
        assert states(client, "t") == dict.fromkeys(("web", "watcher", "shower"), "running")
        assert "there are: shower, watcher, web" in (await master.attach("t", container="nix", tail=1))[2]


async def test_they_die_together(
    master: SmallMaster, engine: Engine, client: docker.APIClient, tmp_path: Path
) -> None:
    """A sidecar follows the process of the main container by its pid, and ends the pod when it is gone."""
    ends = named("ends", "until [ -e /end ]; do sleep 0.05; done; exit 4")
    pod = ContainerSpec(containers=(WEB, ends), stop_grace=0)
    async with executor(master, engine, tmp_path):
        await master.registered()
        await master.launch("t", pod)
        await master.status("t", TaskState.RUNNING)
        [sidecar] = client.containers(filters={"label": "offerer.container=ends"})
        # Detached: the engine may never end the output of a command whose container ends meanwhile.
        client.exec_start(client.exec_create(sidecar["Id"], ["touch", "/end"]), detach=True)
        status = await master.status("t", TaskState.FAILED)
        assert (status.reason, status.exit_code) == (Reason.EXITED, 4)
        assert status.message == "container ends exited with code 4"
        assert set(states(client, "t").values()) == {"exited"}


async def test_init_steps_run_one_after_the_other_and_first(
    master: SmallMaster, engine: Engine, client: docker.APIClient, tmp_path: Path
) -> None:
    shared = (Mount(str(tmp_path), "/shared"),)
    steps = tuple(named(name, f"sleep 0.2; echo {name} >> /shared/order", volumes=shared) for name in ("one", "two"))
    main = shell("cat /shared/order; sleep 600", volumes=shared, init_steps=steps, stop_grace=0)
    async with executor(master, engine, tmp_path / "state"):
        await master.registered()
        await master.launch("t", main)
        await master.attach_when_running("t", b"one\ntwo\n")
        said = [each.message for each in master.statuses if each.task_id == "t" and each.message]
        assert said[-2:] == ["init step one runs", "init step two runs"]
        assert states(client, "t") == {"one": "exited", "two": "exited", "": "running"}
        assert (await master.attach("t", container="one", tail=1))[2] == ""


async def test_a_step_that_fails_is_the_end(
    master: SmallMaster, engine: Engine, client: docker.APIClient, tmp_path: Path
) -> None:
    pod = ContainerSpec(containers=(WEB,), init_steps=(named("setup", "exit 3"),))
    async with executor(master, engine, tmp_path):
        await master.registered()
        await master.launch("t", pod)
        status = await master.status("t", TaskState.FAILED)
        assert (status.message, status.exit_code) == ("init step setup exited with code 3", 3)
        await until(lambda: states(client, "t") == {"setup": "exited"}, "what never ran is gone")


async def test_a_restarted_executor_adopts_a_pod_wherever_it_is(
    master: SmallMaster, engine: Engine, client: docker.APIClient, tmp_path: Path
) -> None:
    waits = named("waits", "until [ -e /shared/go ]; do sleep 0.05; done", volumes=(Mount(str(tmp_path), "/shared"),))
    pods = {
        "runs": ContainerSpec(containers=(WEB, named("side", "sleep 600")), stop_grace=0),
        "loses": ContainerSpec(containers=(WEB, named("side", "sleep 600")), stop_grace=0),
        "prepares": ContainerSpec(containers=(WEB, named("side", "sleep 600")), init_steps=(waits,), stop_grace=0),
    }
    async with executor(master, engine, tmp_path / "state") as process:
        await master.registered()
        for task_id, pod in pods.items():
            await master.launch(task_id, pod)
        for task_id in ("runs", "loses"):
            await master.status(task_id, TaskState.RUNNING)
        await until(lambda: states(client, "prepares").get("waits") == "running", "the init step runs")
        process.kill()
        await process.wait()
    [side] = client.containers(filters={"label": ["offerer.task=loses", "offerer.container=side"]})
    client.kill(side["Id"])
    master.statuses.clear()
    (tmp_path / "go").touch()
    async with executor(master, engine, tmp_path / "state"):
        assert {each.status.task_id for each in (await master.registered(2)).tasks} == set(pods)
        await master.status("runs", TaskState.RUNNING)
        await master.status("prepares", TaskState.RUNNING)
        assert states(client, "prepares") == {"waits": "exited", "web": "running", "side": "running"}
        assert (await master.status("loses", TaskState.FAILED)).message == "container side exited with code 137"
        await master.kill("runs")
        await master.status("runs", TaskState.KILLED)
        assert set(states(client, "runs").values()) == {"exited"}


async def test_an_image_that_one_of_them_lacks(
    master: SmallMaster, engine: Engine, client: docker.APIClient, tmp_path: Path
) -> None:
    pod = ContainerSpec(containers=(WEB, ContainerSpec(name="side", image="no-such:9", pull="never")))
    async with executor(master, engine, tmp_path):
        await master.registered()
        await master.launch("t", pod)
        status = await master.status("t", TaskState.FAILED)
        assert (status.reason, status.message) == (
            Reason.IMAGE_PULL_FAILED,
            "No such image: no-such:9 (spec.pull is never)",
        )
        assert states(client, "t") == {}
