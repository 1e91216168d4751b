#!/bin/sh
# The shop on a cluster of this machine: in containers where there is a Docker engine or root may start one for the
# time being, as plain processes otherwise. Arguments go to `offerer dev`, for example --once. Ctrl-C ends it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
PATH="$PATH:/usr/sbin:/sbin"
engine= # the directory of the engine that we started,
daemon= # its process,
bridge= # and the network interface that it made

stop_engine() {
    trap - EXIT
    if [ -n "$daemon" ]; then
        kill "$daemon" 2>/dev/null && wait "$daemon" 2>/dev/null || true
        grep -o " $engine/[^ ]*" /proc/mounts | sort -r | while read -r mount; do umount -l "$mount"; done
        rm -rf "$engine"
        [ -z "$bridge" ] || ip link delete "$bridge" 2>/dev/null || true
    fi
}

engine_answers() {
    python -c 'import os, sys; from executor.docker import engine_answers
sys.exit(not engine_answers(os.environ.get("DOCKER_HOST", "")))'
}

start_engine() {
    engine=$(mktemp -d /tmp/shop.XXXXXX)
    export DOCKER_HOST="unix://$engine/docker.sock"
    [ -e /sys/class/net/docker0 ] || bridge=docker0
    # A session of its own, so that Ctrl-C reaches `offerer dev` first, which stops its containers. Ports are published
    # by docker-proxy alone, so the machine's firewall stays as it is.
    setsid dockerd --host "$DOCKER_HOST" --data-root "$engine/data" --exec-root "$engine/exec" --pidfile "$engine/pid" \
        --iptables=false --ip6tables=false --ip-masq=false >"$engine/log" 2>&1 &
    daemon=$!
    for _ in $(seq 60); do
        engine_answers && return
        kill -0 "$daemon" 2>/dev/null || break
        sleep 0.5
    done
    echo "note: dockerd does not start: $(grep -v level=info "$engine/log" | tail -n 1)" >&2
    stop_engine
    daemon=
    unset DOCKER_HOST
    return 1
}

trap stop_engine EXIT
trap : INT # `offerer dev` takes care of it
trap 'kill "$dev" 2>/dev/null' TERM
if engine_answers; then
    runtime=docker
elif [ "$(id -u)" = 0 ] && command -v dockerd >/dev/null && start_engine; then
    echo "Started a Docker engine for the demo."
    runtime=docker
else
    echo "There is no Docker engine, and none can be started here: the shop runs as plain processes."
    runtime=process
fi
[ $runtime = process ] || python "$here/image.py" || runtime=process
echo "Once all runs, look at http://127.0.0.1:8100/"
offerer dev "$here"/data.yaml "$here"/backoffice.yaml "$here"/shop.yaml --up --runtime $runtime "$@" &
dev=$!
wait $dev && code=0 || code=$?
while kill -0 $dev 2>/dev/null; do wait $dev && code=0 || code=$?; done # a signal ends `wait` early
exit $code
