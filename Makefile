# demo · test · bench · proto · lint. Each does its own set-up on a fresh Debian or Ubuntu with Python 3.11 or later.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PROTO_VENV ?= .venv-proto
PROTOS := common executor framework operator

.PHONY: demo test bench proto proto-check lint clean

$(VENV)/.ready: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

# An older grpcio-tools, so that the stubs run with every protobuf since 4.25.
$(PROTO_VENV)/.ready:
	$(PYTHON) -m venv $(PROTO_VENV)
	$(PROTO_VENV)/bin/pip install --quiet --disable-pip-version-check 'grpcio-tools==1.62.3' 'setuptools<80'
	touch $@

# The .proto files say package offerer.v1; the Python stubs live in offerer/wire/v1.
proto: $(PROTO_VENV)/.ready
	rm -rf build/proto && mkdir -p build/proto
	$(PROTO_VENV)/bin/python -m grpc_tools.protoc -I proto --python_out=build/proto --pyi_out=build/proto \
	    --grpc_python_out=build/proto $(PROTOS:%=proto/offerer/v1/%.proto)
	sed -i 's/^from offerer\.v1 import/from offerer.wire.v1 import/' build/proto/offerer/v1/*
	cp build/proto/offerer/v1/*_pb2*.py* offerer/wire/v1/
	rm -f offerer/wire/v1/common_pb2_grpc.py

proto-check: proto
	git diff --exit-code --stat -- offerer/wire/v1 || { echo "the stubs are stale: run make proto and commit"; exit 1; }
