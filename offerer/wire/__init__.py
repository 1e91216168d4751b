"""The wire: stubs generated from ``proto/`` and `offerer.wire.codec`, the only module that imports them."""
