"""What is done to the containers of a task, in threads: create, start, signal, remove, and the images they need.

A task is one container or several: its init steps and the containers of a pod. Every operation may have been begun by
an earlier attempt, or an earlier executor, and goes on from what there is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

import docker.errors
import docker.types

from executor.docker.client import AWAY, Clients, away, words
from executor.docker.pulling import Progress
from executor.inspection import status_data
from executor.records import DONE, Create, Operation, Outcome, Remove, Signal, Start, Task, Verdict
from executor.secret_files import SecretFiles
from executor.spec import SPEC, Engine, Host, container_name, create_arguments, main_parts, parts, secret_files
from offerer.containers import ContainerSpec
from offerer.errors import InvalidSpec
from offerer.types import Reason

_GONE: Final = (404, 409)  # the engine's answers where something has ended, or is gone or going


def starting(task: Task) -> tuple[ContainerSpec, ...]:
    """The containers that run, or are to be started, at this point of a task's life: one init step, or the rest."""
    steps = task.spec.init_steps
    return (steps[task.position],) if task.position < len(steps) else main_parts(task.spec)


class Containers:
    """Carries out operations; `carry_out` and `pull` block and never raise."""

    def __init__(self, clients: Clients, host: Host, engine: Engine) -> None:
        self._clients = clients
        self._host = host
        self._engine = engine
        self.secrets = SecretFiles(engine.secrets)
        self._digest = lru_cache(256)(self._ask_digest)

    def carry_out(self, operation: Operation) -> Outcome:
        """Whatever is not a pull."""
        task = operation.task
        try:
            if type(operation) is Create:
                return self._create(task)
            if type(operation) is Start:
                return self._start(task)
            if type(operation) is Signal:
                for part in starting(task):
                    kill = operation.signal == "SIGKILL"
                    self._signal(self.name(task, part), operation.signal if kill else part.stop_signal)
            elif type(operation) is Remove:
                self._remove_unstarted(task)
            return DONE
        except InvalidSpec as error:
            return Outcome(Verdict.FAILED, Reason.INVALID_SPEC, str(error))
        except docker.errors.APIError as error:
            return Outcome(Verdict.FAILED, Reason.START_FAILED, words(error))
        except (docker.errors.DockerException, *AWAY) as error:
            return away(error)

    def pull(self, image: str, *, always: bool, tell: Callable[[str], None]) -> Outcome:
        """Fetch an image, with the credentials that the Docker configuration has for its registry.

        Unless `always`, one that is there is left as it is. `tell` is told now and then how far it is.
        """
        try:
            client = self._clients.get()
        except (docker.errors.DockerException, *AWAY) as error:
            return away(error)
        try:
            if not always and self._has(image):
                return DONE
            client.reload_config()  # somebody may have logged in since
            progress = Progress(image)
            for line in client.pull(image, stream=True, decode=True):
                if "error" in line:
                    return _pull_failed(image, line["error"])
                if message := progress.add(line):
                    tell(message)
            return DONE
        except docker.errors.DockerException as error:  # the registry's refusal, or a credential helper's
            return _pull_failed(image, words(error))
        except AWAY as error:
            return away(error)

    def name(self, task: Task, part: ContainerSpec) -> str:
        """The name of one of its containers."""
        return container_name(task.key, self._host, part.name)

    def data(self, inspected: Mapping[str, Any]) -> bytes:
        """What goes into the data of a status."""
        return status_data(inspected, self._digest(inspected["Image"]))

    def remove(self, container: str, *, force: bool = False) -> None:
        """Remove a container with its anonymous volumes. Raises what the SDK raises."""
        try:
            self._clients.get().remove_container(container, v=True, force=force)
        except docker.errors.APIError as error:
            if error.status_code not in _GONE:
                raise

    # -- create --------------------------------------------------------------------------------------------------

    def _create(self, task: Task) -> Outcome:
        made = ""
        for part in parts(task.spec):  # all images first, so that a pod is not left half made
            if len(parts(task.spec)) > 1 and not self._has(part.image):
                return _image_missing(part, f"No such image: {part.image}")
        for part in parts(task.spec):
            outcome = self._create_part(task, part)
            if outcome.verdict is not Verdict.DONE:
                return outcome
            if part is main_parts(task.spec)[0]:
                made = outcome.container
        return Outcome(container=made)

    def _create_part(self, task: Task, part: ContainerSpec) -> Outcome:
        client = self._clients.get()
        arguments = create_arguments(task, self._host, self._engine, part)
        try:
            self.secrets.write(secret_files(task, self._host, part, self._engine.secrets))
        except OSError as error:
            message = f"cannot write secrets in {self._engine.secrets}: {error.strerror}"
            return Outcome(Verdict.FAILED, Reason.START_FAILED, message)
        host_config = client.create_host_config(**arguments.pop("host_config"))
        try:
            made = client.create_container(**arguments, host_config=host_config, use_config_proxy=False)
            self._join_networks(made["Id"], task, part)
        except docker.errors.ImageNotFound as error:
            return _image_missing(part, words(error))
        except docker.errors.APIError as error:
            if error.status_code != 409:
                raise
            return self._already_created(task, part, arguments["labels"][SPEC], error)
        return Outcome(container=made["Id"])

    def _already_created(
        self, task: Task, part: ContainerSpec, spec: str, error: docker.errors.APIError
    ) -> Outcome:
        """The name is taken: by this very task, where the answer to an earlier attempt got lost."""
        inspected = self._clients.get().inspect_container(self.name(task, part))
        if inspected["State"]["Status"] != "created" or inspected["Config"]["Labels"].get(SPEC) != spec:
            return Outcome(Verdict.FAILED, Reason.START_FAILED, words(error))
        self._join_networks(inspected["Id"], task, part, inspected["NetworkSettings"]["Networks"] or ())
        return Outcome(container=inspected["Id"])

    def _join_networks(self, container: str, task: Task, part: ContainerSpec, joined: Iterable[str] = ()) -> None:
        """The engine's create call takes one network; the others are joined after it."""
        if part in task.spec.containers[1:]:
            return  # it is in the first one's networks
        for network in task.spec.networks[1:]:
            if network not in joined:
                self._clients.get().connect_container_to_network(container, network)

    # -- start, signal, remove -----------------------------------------------------------------------------------

    def _start(self, task: Task) -> Outcome:
        client = self._clients.get()
        started = starting(task)
        several = len(parts(task.spec)) > 1
        for part in started:
            name = self.name(task, part)
            if not several or client.inspect_container(name)["State"]["Status"] == "created":
                client.start(name)
        return Outcome(data=self.data(client.inspect_container(self.name(task, started[0]))))

    def _signal(self, container: str, name: str) -> None:
        try:
            self._clients.get().kill(container, name)
        except docker.errors.APIError as error:
            if error.status_code not in _GONE:  # otherwise events say so
                raise

    def _remove_unstarted(self, task: Task) -> None:
        """Remove what never ran; of a pod that could not be started as a whole, what runs too."""
        client = self._clients.get()
        for part in parts(task.spec):
            name = self.name(task, part)
            try:
                status = client.inspect_container(name)["State"]["Status"]
            except docker.errors.NotFound:
                continue
            if status == "created" or status == "running" and part in task.spec.containers:
                self.remove(name, force=status == "running")
            self.secrets.remove(name)

    # -- images --------------------------------------------------------------------------------------------------

    def _has(self, image: str) -> bool:
        try:
            self._clients.get().inspect_image(image)  # type: ignore[no-untyped-call]
        except docker.errors.ImageNotFound:
            return False
        return True

    def _ask_digest(self, image: str) -> str:
        try:
            digests = self._clients.get().inspect_image(image)["RepoDigests"]  # type: ignore[no-untyped-call]
        except docker.errors.APIError:
            digests = []  # the image was removed under the container
        return str(digests[0]) if digests else image


def _image_missing(part: ContainerSpec, said: str) -> Outcome:
    if part.pull == "never":
        return Outcome(Verdict.FAILED, Reason.IMAGE_PULL_FAILED, f"{said} (spec.pull is never)")
    return Outcome(Verdict.IMAGE_MISSING, Reason.IMAGE_PULL_FAILED, said)


def _pull_failed(image: str, said: str) -> Outcome:
    return Outcome(Verdict.FAILED, Reason.IMAGE_PULL_FAILED, f"cannot pull image {image}: {said}")
