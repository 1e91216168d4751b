"""Options of the suite."""

import signal

from hypothesis import HealthCheck, settings

# Without an option: quick, and the same examples every time. `pytest --hypothesis-profile thorough` looks further.
_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
_ALWAYS = settings(deadline=None, suppress_health_check=_SLOW)
settings.register_profile("quick", _ALWAYS, derandomize=True, max_examples=300, stateful_step_count=60)
settings.register_profile("thorough", _ALWAYS, max_examples=5000, stateful_step_count=120)
settings.load_profile("quick")


def pytest_configure():
    # A shell has what it starts in the background ignore Ctrl-C, and so would every command that the tests interrupt.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_sessionstart(session):
    def end(*_):
        session.shouldstop = "SIGTERM"  # for a command run within a test, an interrupt is its own affair
        raise KeyboardInterrupt

    # Whoever ends the suite wants what it started ended as well: engines and servers would hold their ports for ever.
    signal.signal(signal.SIGTERM, end)


def pytest_addoption(parser):
    parser.addoption("--bless", action="store_true", help="rewrite the output in the scenario scripts; read the diff")
