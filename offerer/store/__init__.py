"""Where desired state, hosts, frameworks, roles and the term are kept. See `offerer.store.protocol`."""
