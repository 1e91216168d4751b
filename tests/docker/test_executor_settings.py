"""What a container spec can say, on a real Docker engine: what came of it is asked of the container and the engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from offerer import ContainerSpec, Device, Mount, Reason, Resources, Secret, TaskState, Tmpfs, Ulimit
from tests.docker.test_executor import IMAGE, container_of, executor, shell
from tests.engine import Engine
from tests.small_master import SmallMaster, until

SHOW = """
echo "$0 $1 in $PWD as $(id -u):$(id -g), $(hostname)"
echo "nofile $(ulimit -n), shm $(df -k /dev/shm | awk 'END {print $2}'), somaxconn $(cat /proc/sys/net/core/somaxconn)"
echo "scratch $(df -k /scratch | awk 'END {print $2}'), root $(touch /x 2>/dev/null && echo writable || echo read-only)"
grep -c db.internal /etc/hosts; cat /etc/resolv.conf
"""


@pytest.fixture
def client(engine: Engine) -> Iterator[docker.APIClient]:
    """The engine's API; the containers, volumes and networks of the test are removed after it."""
    with engine.client() as api:
        yield api
        for each in api.containers(all=True):
            api.remove_container(each["Id"], force=True, v=True)
        for network in api.networks(names=["offerer-front", "offerer-back"]):
            api.remove_network(network["Id"])
        for volume in api.volumes(filters={"name": "offerer-cache"})["Volumes"] or ():
            api.remove_volume(volume["Name"])


async def output_of(master: SmallMaster, spec: ContainerSpec, resources: Resources | None = None) -> str:
    """What it writes on standard output; it must end well."""
    await master.launch("t", spec, resources)
    await master.status("t", TaskState.FINISHED)
    return (await master.attach("t", follow=True))[0].decode()


async def test_a_container_has_everything_that_was_asked_for(
    master: SmallMaster, engine: Engine, client: docker.APIClient, tmp_path: Path
) -> None:
    spec = ContainerSpec(
        image=IMAGE,
        entrypoint=("sh", "-c", SHOW),
        command=("one", "two"),
        working_dir="/tmp",
        user="1000:1001",
        hostname="web-7",
        tmpfs=(Tmpfs("/scratch", 1 << 20),),
        extra_hosts={"db.internal": "10.9.8.7"},
        dns=("10.9.9.9",),
        dns_search=("shop.internal",),
        cap_add=("NET_ADMIN",),
        cap_drop=("CHOWN",),
        devices=(Device("/dev/null", "/dev/nothing", "r"),),
        ulimits=(Ulimit("nofile", 512, 1024),),
        sysctls={"net.core.somaxconn": "333"},
        shm_size=2 << 20,
        pids_limit=50,
        read_only=True,
        init=True,
        log_size=5 << 20,
        labels={"team": "core"},
    )
    async with executor(master, engine, tmp_path):
        await master.registered()
        lines = (await output_of(master, spec)).splitlines()
        assert lines[0] == "one two in /tmp as 1000:1001, web-7"
        assert lines[1] == "nofile 512, shm 2048, somaxconn 333"
        assert lines[2] == "scratch 1024, root read-only"
        assert lines[3] == "1"
        assert "nameserver 10.9.9.9" in lines and "search shop.internal" in lines
        limits = container_of(client, "t")["HostConfig"]
        assert limits["PidsLimit"] == 50 and limits["Init"] is True
        assert [each.removeprefix("CAP_") for each in limits["CapAdd"]] == ["NET_ADMIN"]
        assert [each.removeprefix("CAP_") for each in limits["CapDrop"]] == ["CHOWN"]
        assert limits["Devices"][0]["PathInContainer"] == "/dev/nothing"
        assert limits["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "1048576", "max-file": "5"}}


async def test_output_is_capped_unless_told_otherwise(
    master: SmallMaster, engine: Engine, client: docker.APIClient, tmp_path: Path
) -> None:
    async with executor(master, engine, tmp_path):
        await master.registered()
        given = {"capped": {}, "uncapped": {"log_size": 0}, "none": {"log_driver": "none"}}
        for name, changes in given.items():
            await master.launch(name, shell("true", **changes))
            await master.status(name, TaskState.FINISHED)
        found = {name: container_of(client, name)["HostConfig"]["LogConfig"] for name in given}
        assert found["capped"]["Config"] == {"max-size": "10485760", "max-file": "5"}
        assert (found["uncapped"]["Type"], found["uncapped"]["Config"]) == ("json-file", {})
        assert found["none"]["Type"] == "none"


async def test_a_named_volume_outlives_its_tasks(
    master: SmallMaster, engine: Engine, client: docker.APIClient, tmp_path: Path
) -> None:
    volumes = (Mount("offerer-cache", "/cache"),)
    async with executor(master, engine, tmp_path):
        await master.registered()
        await master.launch("first", shell("echo kept > /cache/it", volumes=volumes))
        await master.status("first", TaskState.FINISHED)
        client.remove_container(container_of(client, "first")["Id"], v=True)
        assert await output_of(master, shell("cat /cache/it", volumes=volumes)) == "kept\n"


async def test_networks_of_the_engine_are_joined(
    master: SmallMaster, engine: Engine, client: docker.APIClient, tmp_path: Path
) -> None:
    for name in ("offerer-front", "offerer-back"):
        client.create_network(name)
    async with executor(master, engine, tmp_path):
        await master.registered()
        await master.launch("t", shell("sleep 600", networks=("offerer-front", "offerer-back"), stop_grace=0))
        await master.status("t", TaskState.RUNNING)
        assert set(container_of(client, "t")["NetworkSettings"]["Networks"]) == {"offerer-front", "offerer-back"}
        await master.launch("lost", shell("true", networks=("offerer-nowhere",)))
        status = await master.status("lost", TaskState.FAILED)
        assert status.reason is Reason.START_FAILED and "offerer-nowhere" in status.message


async def test_the_network_of_the_host(
    master: SmallMaster, engine: Engine, client: docker.APIClient, tmp_path: Path
) -> None:
    async with executor(master, engine, tmp_path):
        await master.registered()
        assert await output_of(master, shell("ls /sys/class/net", host_network=True)) == "\n".join(
            [*sorted(path.name for path in Path("/sys/class/net").iterdir()), ""]
        )


async def test_secrets_reach_the_container_and_nobody_else(
    master: SmallMaster, engine: Engine, client: docker.APIClient, tmp_path: Path
) -> None:
    secrets = (
        Secret("db", "hush-1"),
        Secret("key", "hush-2\nhush-2", "/etc/app/key.pem"),
        Secret("token", "hush-3", env="TOKEN"),
    )
    script = "cat /run/secrets/db; echo; cat /etc/app/key.pem; echo; echo $TOKEN; sleep 600"
    spec = shell(script, secrets=secrets, user="1000", read_only=True)
    async with executor(master, engine, tmp_path):
        await master.registered()
        await master.launch("t", spec)
        await master.attach_when_running("t", b"hush-3\n")
        output = (await master.attach("t", tail=10))[0].decode()
        assert output.startswith("hush-1\nhush-2\nhush-2\nhush-3\n")
        inspected = (await master.attach("t"))[0].decode()
        assert "hush" not in inspected and "TOKEN=***" in json.loads(inspected)["Config"]["Env"]
        found = container_of(client, "t")
        assert "hush" not in json.dumps(found["Config"]["Labels"])
        directory = Path(found["HostConfig"]["Binds"][0].partition(":")[0]).parent
        assert directory.is_dir() and oct(directory.parent.stat().st_mode)[-3:] == "700"
        await master.kill("t", grace=0)
        await master.status("t", TaskState.KILLED)
        await until(lambda: not directory.exists(), "the files of the secrets are gone")
    assert all("hush" not in status.message and b"hush" not in status.data for status in master.statuses)
    directory.parent.rmdir()  # the executor's own, with nothing left in it


async def test_what_the_host_does_not_allow_is_refused_before_anything_is_made(
    master: SmallMaster, engine: Engine, client: docker.APIClient, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    allowed = shell("ls /data", volumes=(Mount(str(tmp_path / "data"), "/data"),))
    async with executor(master, engine, tmp_path / "state", "--allow", f"mounts={tmp_path}/data"):
        await master.registered()
        assert await output_of(master, allowed) == ""
        await master.launch("etc", shell("true", volumes=(Mount("/etc", "/host"),)))
        status = await master.status("etc", TaskState.ERROR)
        assert (status.reason, status.message) == (
            Reason.INVALID_SPEC,
            "spec.volumes.source: /etc is not allowed on this host; "
            "choose another host, or start its executor with --allow mounts=/etc",
        )
        await master.launch("root", shell("true", privileged=True))
        assert "--allow privileged" in (await master.status("root", TaskState.ERROR)).message
        assert len(client.containers(all=True)) == 1


async def test_a_privileged_container_where_it_is_allowed(
    master: SmallMaster, engine: Engine, client: docker.APIClient, tmp_path: Path
) -> None:
    async with executor(master, engine, tmp_path, "--allow", "privileged"):
        await master.registered()
        await master.launch("t", shell("true", privileged=True))
        ended = await until(lambda: [each for each in master.statuses if each.state.terminal], "its end")
        if ended[0].state is not TaskState.FINISHED:  # an engine that is confined itself cannot
            assert "unable to apply caps: operation not permitted" in ended[0].message
        else:
            assert container_of(client, "t")["HostConfig"]["Privileged"] is True
