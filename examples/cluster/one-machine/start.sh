#!/usr/bin/env bash
# A dask scheduler and its workers, for this machine alone, until Ctrl-C: start.sh WORKERS|gpus [CERTIFICATES]
#
# `gpus` is a worker for every GPU, by dask-cuda. The scheduler's address is written to scheduler.json in the current
# folder. With a folder of certificates, see ../certificates.sh, all of them speak TLS; without, every user who is
# logged in here can run code as you.
set -euo pipefail
workers=${1:?usage: start.sh WORKERS|gpus [CERTIFICATES]}
certificates=${2:-}
file=scheduler.json
source "$(dirname "$0")/../environment.sh"

if [ "$workers" = gpus ]; then
    worker=(dask cuda worker --resources GPU=1 --device-memory-limit 0)
else
    worker=(dask worker --nworkers "$workers")
fi
both=(--host 127.0.0.1 --dashboard-address 127.0.0.1:0 --no-dashboard --scheduler-file "$file")
if [ -n "$certificates" ]; then
    both+=(--protocol tls --tls-ca-file "$certificates/ca.pem")
    both+=(--tls-cert "$certificates/cert.pem" --tls-key "$certificates/key.pem")
    export DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION=True
fi

set -m # Ctrl-C comes to this script alone, which then ends the workers before their scheduler
rm -f "$file" # that of a scheduler which is gone
dask scheduler "${both[@]}" --port 0 &
scheduler=$!
"${worker[@]}" "${both[@]}" --nthreads 1 --memory-limit 0 &
pool=$!

stop() {
    for one in "$pool" "$scheduler"; do
        kill "$one" 2> /dev/null || true
        wait "$one" || true
    done
}
trap stop EXIT
trap exit INT TERM HUP
wait "$pool"
