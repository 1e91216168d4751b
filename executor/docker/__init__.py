"""The Docker runtime. Only the modules of this package import the Docker SDK.

`runtime` is the event loop's side, `containers` what threads do to containers, `client` the way to the engine.
"""

from executor.docker.client import engine_answers
from executor.docker.runtime import DockerRuntime

__all__ = ["DockerRuntime", "engine_answers"]
