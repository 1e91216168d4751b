"""What a service file comes to: for every task of every job, one plan ready to be placed and launched."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from frameworks.coding.containers import (
    NOWHERE,
    PartPlan,
    SecretPlan,
    SecretValue,
    Surroundings,
    fill_in,
    no_secrets,
    plan_container,
    resources_of,
)
from frameworks.coding.names import JobName, TaskName, environment_in, in_environment
from frameworks.coding.rules import Rule, parse_condition
from frameworks.coding.settings import PortSpec, ResourceSpec
from frameworks.coding.spec import JobSpec, ServiceFile, Settings, TaskSpec
from frameworks.coding.strategy import DEFAULT, Restart, Strategy
from frameworks.coding.values import parse_duration
from offerer import SECOND, Constraint, ContainerSpec, Mount, PortMapping, Resources, TaskId, TaskInfo, Time

MOVE_AFTER: Final = 60 * SECOND
"""How long a task stays on a host that is lost, where its job says nothing and nothing holds it there."""
_NAMES: Final = ("==", "in")


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """One task: what it takes, where it may run, and its container but for the host ports."""

    resources: Resources
    """What every host must have for it: amounts, and the fixed host ports."""
    ports: tuple[PortSpec, ...]
    constraints: tuple[Constraint, ...]
    container: ContainerSpec
    parts: Mapping[str, PartPlan]
    """What is left for its launch, by the container's name; "" is the whole."""
    rules: tuple[Rule, ...] = ()
    """Where it may run beside other tasks."""
    prefer: tuple[Constraint | Rule, ...] = field(default=(), compare=False)
    """What hosts are chosen by, the most important first. It makes no difference to what runs already."""
    pack: bool = field(default=False, compare=False)
    """Whether the fullest host that has room is best, not the emptiest."""

    on_host_lost: Time | None = field(default=None, compare=False)
    """How long after its host was lost the task is moved to another; None: it waits for the host."""

    def allows(self, host: str, attributes: Mapping[str, str]) -> bool:
        """Whether its conditions allow a host, whatever else is there."""
        return all(each.matches(host, attributes) for each in self.constraints)

    def once(self, command: Sequence[str]) -> TaskPlan:
        """The same for a one-off task: nothing that others reach it by or count on; its own command if it has one."""
        return replace(
            self,
            resources=self.resources - Resources(ports=self.resources.ports),
            ports=(),
            container=replace(self.container, command=tuple(command)) if command else self.container,
            parts={name: replace(part, readiness=None, liveness=None) for name, part in self.parts.items()},
            rules=(),
            on_host_lost=None,
        )

    def taken(self, ports: Iterable[PortMapping]) -> Resources:
        """What a task takes of its host that was given these host ports."""
        return self.resources + host_ports(ports)

    @property
    def volumes(self) -> Iterator[Mount]:
        """Those of all its containers."""
        containers = (self.container, *self.container.containers, *self.container.init_steps)
        return (volume for each in containers for volume in each.volumes)

    @property
    def probed(self) -> bool:
        """Whether a probe tells when it can be used."""
        return any(part.readiness or part.liveness for part in self.parts.values())

    @property
    def secrets(self) -> Iterator[SecretPlan]:
        """Those that its containers are given."""
        return (secret for part in self.parts.values() for secret in part.secrets)

    @property
    def free_ports(self) -> int:
        """How many host ports it takes of those the offer has, whichever they are."""
        return sum(1 for port in self.ports if port.host is None)

    def only_on(self, hosts: Collection[str]) -> bool:
        """Whether what it says of the host's name leaves none but these."""
        named = [set(each.values) for each in self.constraints if each.attribute == "host" and each.operator in _NAMES]
        return bool(named) and set.intersection(*named) <= set(hosts)

    @property
    def tied_to(self) -> str | None:
        """The only host it may run on, if there is only one."""
        for constraint in self.constraints:
            if constraint.attribute == "host" and constraint.operator in _NAMES and len(constraint.values) == 1:
                return constraint.values[0]
        return None


@dataclass(frozen=True, slots=True)
class JobPlan:
    """One job: what must be before it is brought up, its tasks by name, in order, and how they are replaced."""

    name: JobName
    conditions: Mapping[JobName, str]
    """What each job that it depends on must be: ``started``, ``healthy`` or ``finished``."""
    tasks: Mapping[str, TaskPlan]
    strategy: Strategy
    restart: Restart
    replica: TaskPlan | None = None
    """The plan of each of any number of like tasks; None where the tasks have names of their own."""
    everywhere: TaskPlan | None = None
    """Of a job with one task on each host that fits: what they have in common. It has no `tasks`."""
    _of_hosts: dict[str, TaskPlan] = field(default_factory=dict, compare=False, repr=False)

    def scaled(self, replicas: int) -> JobPlan:
        """The same with so many like tasks."""
        assert self.replica is not None
        return replace(self, tasks=dict.fromkeys(map(str, range(1, replicas + 1)), self.replica))

    @property
    def like_tasks(self) -> int | None:
        """How many like tasks the file says; None where the tasks have names of their own."""
        return len(self.tasks) if self.replica is not None else None

    @property
    def plans(self) -> Collection[TaskPlan]:
        """Those of all its tasks."""
        return self.tasks.values() if self.everywhere is None else [self.everywhere]

    def of_host(self, host: str) -> TaskPlan | None:
        """The task for this host, where there is one for each."""
        plan = self._of_hosts.get(host)
        if plan is None and self.everywhere is not None:
            only_there = (Constraint("host", "==", (host,)), *self.everywhere.constraints)
            plan = self._of_hosts[host] = replace(self.everywhere, constraints=only_there, on_host_lost=None)
        return plan

    @property
    def depends_on(self) -> tuple[JobName, ...]:
        """The jobs that it depends on, in order."""
        return tuple(self.conditions)


def plan_service(
    service: ServiceFile, environment: str = "", versions: Mapping[str, int] | None = None
) -> dict[str, JobPlan]:
    """The jobs of a service by name, with these versions of secrets."""
    around = Surroundings(in_environment(service.service, environment), versions)
    return {name: _plan_job(around, name, job) for name, job in service.jobs.items()}


def _plan_job(around: Surroundings, name: str, job: JobSpec) -> JobPlan:
    own: Mapping[str, Settings]
    if job.tasks is not None:
        own = job.tasks
    else:
        own = dict.fromkeys([str(number) for number in range(1, (job.replicas or 1) + 1)], TaskSpec())
    depends_on = job.depends_on if isinstance(job.depends_on, dict) else dict.fromkeys(job.depends_on, "healthy")
    conditions = {
        _neighbour(around.service, each): str(condition) for each, condition in depends_on.items()
    }
    shared: dict[int, TaskPlan] = {}  # replicas have one plan between them
    pack = job.place == "pack"
    for settings in own.values():
        if id(settings) not in shared:
            shared[id(settings)] = _in_service(around.service, replace(plan_task(job, settings, around), pack=pack))
    tasks = {task: shared[id(settings)] for task, settings in own.items()}
    strategy = job.update.strategy if job.update else DEFAULT
    restart = job.restart.policy if job.restart else Restart()
    full = JobName(around.service, name)
    if job.one_per_host:
        return JobPlan(full, conditions, {}, strategy, restart, everywhere=tasks["1"])
    replica = tasks["1"] if job.tasks is None else None
    return JobPlan(full, conditions, tasks, strategy, restart, replica)


def _in_service(service: str, plan: TaskPlan) -> TaskPlan:
    """The same, with jobs named in full that the file names without its own service or its environment."""

    def full(rule: Rule) -> Rule:
        return rule._replace(job=_neighbour(service, "/".join(filter(None, rule.job)))) if rule.job else rule

    prefer = tuple(full(each) if isinstance(each, Rule) else each for each in plan.prefer)
    return replace(plan, rules=tuple(map(full, plan.rules)), prefer=prefer)


def _neighbour(service: str, written: str) -> JobName:
    """The job that a file of this service means: of its own, or of another service in the same environment."""
    if "/" not in written:
        return JobName(service, written)
    other, job = written.split("/")
    return JobName(in_environment(other, environment_in(service)), job)


def plan_task(job: Settings, own: Settings, around: Surroundings = NOWHERE) -> TaskPlan:
    """One task, from the settings of its job and what it has of its own."""
    given = job.settings_of(own)
    ports = tuple(given.get("ports", ()))
    container, parts = plan_container(given, around)
    conditions = [parse_condition(each) for each in given.get("constraints", ())]
    constraints = (*_hosts(given), *(each for each in conditions if isinstance(each, Constraint)))
    rules = tuple(each for each in conditions if isinstance(each, Rule))
    prefer = tuple(parse_condition(each) for each in given.get("prefer", ()))
    plan = TaskPlan(_resources(resources_of(given), ports), ports, constraints, container, parts, rules, prefer)
    return replace(plan, on_host_lost=_on_host_lost(given.get("on_host_lost"), plan))


def _on_host_lost(wanted: object, plan: TaskPlan) -> Time | None:
    """What is written, or what is safe: a task waits where it may run nowhere else, or has written to its host."""
    if isinstance(wanted, dict):
        return parse_duration(wanted["move_after"])
    if wanted == "move":
        return 0
    writes = any(not volume.read_only for volume in plan.volumes)
    return None if writes or plan.tied_to is not None or wanted == "wait" else MOVE_AFTER


def _resources(spec: ResourceSpec, ports: Sequence[PortSpec]) -> Resources:
    fixed = {port.host for port in ports if port.host}
    return Resources.of(
        cpus=spec.cpus, memory=spec.memory, disk=spec.disk, gpus=spec.gpus, ports=[(port, port) for port in fixed]
    )


def _hosts(given: Mapping[str, object]) -> list[Constraint]:
    host, hosts = given.get("host"), given.get("hosts")
    if isinstance(host, str):
        return [Constraint("host", "==", (host,))]
    return [Constraint("host", "in", tuple(hosts))] if isinstance(hosts, list) else []


def host_ports(ports: Iterable[PortMapping]) -> Resources:
    """The host ports of these, each once."""
    return Resources(ports=tuple(sorted({(port.host, port.host) for port in ports})))


def task_to_launch(
    name: TaskName, task_id: TaskId, plan: TaskPlan, ports: Sequence[PortMapping], value: SecretValue
) -> TaskInfo:
    """The launch of this task with these host ports.

    The label ``offerer.group`` has executors count the ended containers of a job together.
    """
    labels = {"offerer.service": name.service, "offerer.group": str(name.of_job)}
    env = {"OFFERER_TASK": str(name)}
    if environment := environment_in(name.service):
        env["OFFERER_ENVIRONMENT"] = environment
    container = container_to_launch(plan, ports, env, labels, value)
    return TaskInfo(task_id, plan.taken(ports), container.to_bytes())


def container_to_launch(
    plan: TaskPlan,
    ports: Sequence[PortMapping],
    env: Mapping[str, str],
    labels: Mapping[str, str],
    value: SecretValue = no_secrets,
) -> ContainerSpec:
    """The container of a plan with these host ports, and what it is told and marked with beside its own."""
    container = fill_in(plan.container, plan.parts, ports, env, value)
    return replace(container, labels={**container.labels, **labels})
