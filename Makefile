# demo · test · bench · proto · lint · reference. Each does its own set-up on a fresh Debian or Ubuntu with Python 3.11 or later.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PROTO_VENV ?= .venv-proto
PROTOS := common executor framework operator
ARGS   ?=

.PHONY: demo test bench proto proto-check proto-stubs lint reference clean packages

# The example: a shop of a dozen services. make demo ARGS=--once brings it up, shows it, and takes it down again.
demo: $(VENV)/.ready
	@PATH="$(abspath $(BIN)):$$PATH" examples/shop/demo.sh $(ARGS)

# make test ARGS="-k store" runs a part.
test: $(VENV)/.ready
	$(BIN)/pytest $(ARGS)

bench: $(VENV)/.ready
	$(BIN)/python -m benchmarks.placement $(ARGS)

lint: $(VENV)/.ready
	@failed=; for check in flake8 mypy 'lint-imports --config setup.cfg'; do \
	    echo "$$check"; $(BIN)/$$check || failed=yes; done; [ -z "$$failed" ]

clean:
	rm -rf build dist *.egg-info $(VENV) $(PROTO_VENV) .mypy_cache .pytest_cache .hypothesis .import_linter_cache

# The reference of the service file, made from the model that checks it.
reference: $(VENV)/.ready
	$(BIN)/offerer schema > docs/service.schema.json
	$(BIN)/offerer schema --reference > docs/SERVICE_FILE.md

# -- set-up ---------------------------------------------------------------------------------------------------

packages:
	@.ci/packages

$(VENV)/.ready: setup.cfg pyproject.toml | packages
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -qq --disable-pip-version-check --editable '.[dev]'
	touch $@

# An older grpcio-tools, so that the stubs run with every protobuf since 4.25.
$(PROTO_VENV)/.ready: | packages
	$(PYTHON) -m venv $(PROTO_VENV)
	$(PROTO_VENV)/bin/pip install --quiet --disable-pip-version-check 'grpcio-tools==1.62.3' 'setuptools<80'
	touch $@

# -- stubs ----------------------------------------------------------------------------------------------------

# The .proto files say package offerer.v1; the Python stubs live in offerer/wire/v1.
proto-stubs: $(PROTO_VENV)/.ready
	rm -rf build/proto && mkdir -p build/proto
	$(PROTO_VENV)/bin/python -m grpc_tools.protoc -I proto --python_out=build/proto --pyi_out=build/proto \
	    --grpc_python_out=build/proto $(PROTOS:%=proto/offerer/v1/%.proto)
	sed -i 's/^from offerer\.v1 import/from offerer.wire.v1 import/' build/proto/offerer/v1/*
	rm -f build/proto/offerer/v1/common_pb2_grpc.py

proto: proto-stubs
	cp build/proto/offerer/v1/*_pb2*.py* offerer/wire/v1/

proto-check: proto-stubs
	@diff -r -x __init__.py -x __pycache__ build/proto/offerer/v1 offerer/wire/v1 \
	    || { echo "the stubs are stale: run make proto and commit them"; exit 1; }
