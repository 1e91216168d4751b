"""Plug-ins that ship with offerer. They import only what `offerer` itself exports, as anybody's plug-in does."""
