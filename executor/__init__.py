"""The executor: advertises a host's resources to the master and runs tasks on it.

`lifecycle`, `statuses`, `records` and `spec` are pure; `runtime` is the protocol that `docker`, `process` and `fake`
implement; `daemon` puts them together.
"""
