"""A whole cluster in virtual time: the production core, executor lifecycle and plug-ins on a network made of one seed.

`Simulation` (in `simulation.py`) is the cluster; `scenario.py` reads one from YAML and `run.py` runs it;
`offerer.testing` puts one into a pytest fixture. Nothing here decides anything that is decided in production: it only
carries messages, lets time pass and breaks things.
"""

from offerer.sim.checks import SimulationFailed
from offerer.sim.network import Weather
from offerer.sim.simulation import Simulation

__all__ = ["Simulation", "SimulationFailed", "Weather"]
