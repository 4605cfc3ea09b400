#!/bin/bash
# Trains on the hosts of ./hosts. A lost host ends a try; take it out of ./hosts and the next one goes on without it.
#   --map-by ppr:1:node: one process a host, its workers inside
#   --bind-to none: else Open MPI pins the whole process to one core
#   --mca mpi_yield_when_idle 1: 5 to 7 times faster sums where cores are contended
#   --mca odls_base_sigkill_timeout "${GRACE:-10}": seconds for a step and its checkpoint when it is stopped, after as many until the ranks hear of it
#   --mca oob_tcp_keepalive_time 10: a host that is cut off is noticed in 20 s, else never
hosts="$(cd "$(dirname "$0")" && pwd)/hosts"

launch() {
  exec mpirun --hostfile "$hosts" --map-by ppr:1:node \
    --bind-to none \
    --mca mpi_yield_when_idle 1 \
    --mca odls_base_sigkill_timeout "${GRACE:-10}" \
    --mca oob_tcp_keepalive_time 10 \
    --mca oob_tcp_keepalive_intvl 2 \
    --mca oob_tcp_keepalive_probes 5 \
    -x PATH $ZEROGATE "$@"
}

ZEROGATE=${ZEROGATE:-zerogate}    # as it is called on every host
CONFIG='/shared/run.yaml'
RUN='/shared/runs/first'                  # on a file system that all hosts share
TRIES=${TRIES:-20}
PAUSE=${PAUSE:-10}

stop=
trap 'stop=1; kill -TERM "$child"' TERM # all ranks finish their step and save
trap 'stop=1' INT                       # Ctrl-C reaches the launcher by itself
for try in $(seq "$TRIES"); do
  if [ -e "$RUN/config.json" ]; then launch resume "$RUN" & else launch train --config "$CONFIG" --out "$RUN" & fi
  child=$!
  while wait "$child"; code=$?; kill -0 "$child" 2>/dev/null; do :; done
  if [ "$stop" ]; then exit $code; fi
  case $code in 0|2|3|130|143) exit $code ;; esac
  echo "try $try of $TRIES ended with $code, going on from the last checkpoint" >&2
  sleep "$PAUSE"
done
exit $code
