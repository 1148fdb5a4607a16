#!/usr/bin/env bash
# Runs a small sweep on a Slurm of one node, kills one of its jobs, and counts the results;
# then trains one network in two processes of srun.
#
#   tools/try_slurm.sh [PYTHON]
#
# Ends with 0 where Slurm's packages are missing, and says so.
set -euo pipefail
python=${1:-python3} here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PATH=$PATH:/usr/sbin
for command in munged slurmctld slurmd sbatch srun squeue; do
  command -v "$command" >/dev/null ||
    { echo "skipped: no $command; apt-get install --no-install-recommends slurm-wlm munge"; exit 0; }
done
"$python" -c 'import submitit' 2>/dev/null ||
  { echo "skipped: no submitit; pip install 'ddw_graph[slurm]'"; exit 0; }

folder=$(mktemp -d) sweep=
down() {
  [ -z "$sweep" ] || kill "$sweep" 2>/dev/null || true
  "$here/tools/slurm_one_node.sh" down "$folder/slurm" && rm -rf "$folder"
}
trap down EXIT
eval "$("$here/tools/slurm_one_node.sh" up "$folder/slurm")"
fail() { echo "failed: $*" >&2; cat "$folder/err" >&2; exit 1; }

cat >"$folder/sweep.toml" <<'TOML'
[fixed]
n = 3
channels = 4
epochs = 3
batch_size = 50

[axes]
wiring = ["complete", "ws:k=2,p=0.5"]
seed = [0, 1]
TOML
export PYTHONPATH=$here${PYTHONPATH:+:$PYTHONPATH}
"$python" -m ddw_graph.cli.main sweep "$folder/sweep.toml" --out "$folder/sweep" \
  --slurm time=10 --jobs 2 --device cpu >"$folder/out" 2>"$folder/err" &
sweep=$!

# The first job that has written a checkpoint loses its process, as if memory ran out.
state=
for _ in $(seq 1200); do
  kill -0 "$sweep" 2>/dev/null || fail "the sweep ended before a job could be killed"
  for checkpoint in "$folder"/sweep/runs/*/checkpoint.pt; do
    run=$(dirname "$checkpoint")
    state=$folder/sweep/jobs/$(basename "$run").state.json
    [ -e "$checkpoint" ] && [ ! -e "$run/result.json" ] && break 2
  done
  state=
  sleep 0.1
done
[ -n "$state" ] || fail "no job wrote a checkpoint"
pid=$("$python" -c 'import json, sys; print(json.load(open(sys.argv[1]))["pid"])' "$state")
kill -9 "$pid"
echo "killed process $pid of $(basename "$state" .state.json)"

wait "$sweep" || fail "the sweep ended with $?"
sweep=
"$python" - "$folder/sweep" "$state" <<'PYTHON' || fail "a result is missing, or there twice"
import csv, json, sys
with open(f"{sys.argv[1]}/runs.csv") as file:
    names = [row["run"] for row in csv.DictReader(file)]
attempts = json.load(open(sys.argv[2]))["number"]
print(f"{len(names)} results of {len(set(names))} runs, {attempts} attempts at the killed one")
sys.exit(not (len(names) == len(set(names)) == 4 and attempts == 2))
PYTHON

# Nothing else ends a step that the node has no room for.
timeout 900 srun -n 2 --overcommit "$python" -m ddw_graph.cli.main train --processes 2 --n 3 --channels 4 \
  --epochs 1 --device cpu --threads 1 --out "$folder/two" >"$folder/out" 2>"$folder/err" ||
  fail "two processes of srun ended with $?"
grep -q '"processes": 2' "$folder/two/config.json" || fail "they did not train together"
echo "trained in two processes: $(cat "$folder/out")"
