"""A whole framework: keeps copies of a command running. README.md has the three ways to run it."""

from offerer import ContainerSpec, Decline, Demand, Framework, Launch, Resources, TaskId, TaskInfo, Want


class Hello(Framework):
    name = "hello"
    needs = Resources.of(cpus=0.1, memory="16MiB")
    spec = ContainerSpec(image="offerer/shop:1", command=("sleep", "3600"), pull="never")

    def __init__(self, copies="3"):
        self.copies, self.alive = int(copies), set()

    def on_statuses(self, now, statuses):
        for status in statuses:
            (self.alive.discard if status.state.terminal else self.alive.add)(status.task_id)
        return [self.wanted()]

    def on_offers(self, now, offers):
        for offer in offers:
            tasks, free = [], offer.resources
            while len(self.alive) < self.copies and free.contains(self.needs):
                free -= self.needs
                tasks.append(TaskInfo(TaskId(f"hello-{offer.id}-{len(tasks)}"), self.needs, self.spec.to_bytes()))
                self.alive.add(tasks[-1].task_id)
            yield Launch([offer.id], tasks) if tasks else Decline([offer.id])
        yield self.wanted()

    def wanted(self):  # 0 of them: no offers, until one ends
        return Demand((Want(self.needs, self.copies - len(self.alive)),))
