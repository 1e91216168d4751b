"""Options of the suite."""

from hypothesis import HealthCheck, settings

# Without an option: quick, and the same examples every time. `pytest --hypothesis-profile thorough` looks further.
_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("quick", derandomize=True, deadline=None, max_examples=60, suppress_health_check=_SLOW)
settings.register_profile("thorough", deadline=None, max_examples=3000, suppress_health_check=_SLOW)
settings.load_profile("quick")


def pytest_addoption(parser):
    parser.addoption("--bless", action="store_true", help="rewrite the output in the scenario scripts; read the diff")
