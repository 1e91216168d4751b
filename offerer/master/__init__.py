"""The master's shell: streams in, events to the core, outputs to streams. It decides nothing itself."""
