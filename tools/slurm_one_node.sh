#!/usr/bin/env bash
# A Slurm of one node on this machine, to try sweeps on: loopback, no systemd, any user.
#
#   tools/slurm_one_node.sh up FOLDER      start it; prints what to eval
#   tools/slurm_one_node.sh down FOLDER    cancel its jobs and stop its daemons
#
# Debian's packages: apt-get install --no-install-recommends slurm-wlm munge
# Everything lives in FOLDER, daemons are known by their own pids, and nothing else on the
# machine is touched. There is no accounting daemon: FOLDER/bin/sacct asks the controller.
set -euo pipefail
act=${1:?up or down} folder=$(realpath -m "${2:?folder}")
export SLURM_CONF=$folder/slurm.conf PATH=$PATH:/usr/sbin

fail() { echo "slurm_one_node: $*" >&2; tail -n 15 "$folder"/*.out >&2 || true; exit 1; }

# A pid may be another process's by now: ours was started with this folder's SLURM_CONF.
ours() {
  local pid
  pid=$(cat "$folder/$1.pid" 2>/dev/null) || return 1
  tr '\0' '\n' 2>/dev/null <"/proc/$pid/environ" | grep -qxF "SLURM_CONF=$SLURM_CONF"
} 2>/dev/null

start() { # name, then a command that stays in the foreground
  local name=$1
  shift
  ours "$name" && return
  setsid "$@" </dev/null >"$folder/$name.out" 2>&1 &
  echo $! >"$folder/$name.pid"
}

stop() {
  ours "$1" && kill "$(cat "$folder/$1.pid")"
  for _ in $(seq 100); do ours "$1" || break; sleep 0.1; done
  ours "$1" && kill -9 "$(cat "$folder/$1.pid")"
  rm -f "$folder/$1.pid"
}

soon() { for _ in $(seq 100); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done; return 1; }
port() { python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
idle() { timeout 2 sinfo --noheader --format=%T | grep -qE '^(idle|mixed|allocated)$'; }

configuration() {
  local host loopback=
  host=$(hostname -s)
  # Without a name of its own on loopback the daemons could not find each other there.
  [[ $(getent hosts "$host") == 127.* ]] &&
    loopback=CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
  cat <<CONF
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
AuthInfo=socket=$folder/munge.sock
CredType=cred/munge
$loopback
SlurmctldPort=$(port)
SlurmdPort=$(port)
SlurmctldPidFile=$folder/slurmctld.own.pid
SlurmdPidFile=$folder/slurmd.own.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
MailProg=/bin/true
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=2
MinJobAge=86400
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc --all) RealMemory=$(awk '/^MemTotal/{print int($2 / 1138)}' /proc/meminfo) State=UNKNOWN
PartitionName=one Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
}

# What submitit asks of accounting, sacct -o JobID,State,NodeList --parsable2 -j A -j B.
sacct_of_the_queue() {
  cat <<'SACCT'
#!/usr/bin/env bash
while (($#)); do [ "$1" = -j ] && { ids+=${ids:+,}$2; shift; }; shift; done
[ -n "${ids:-}" ] || exit 0
echo 'JobID|State|NodeList'
exec squeue --states=all --noheader --array --format='%i|%T|%N' --jobs="$ids"
SACCT
}

case $act in
up)
  mkdir -p "$folder"/{state,spool,bin}
  chmod 755 "$folder"
  [ -s "$folder/munge.key" ] || (umask 077 && head -c 1024 /dev/urandom >"$folder/munge.key")
  [ -s "$SLURM_CONF" ] || configuration >"$SLURM_CONF"
  sacct_of_the_queue >"$folder/bin/sacct"
  chmod +x "$folder/bin/sacct"
  start munged munged -F --force --key-file="$folder/munge.key" --socket="$folder/munge.sock" \
    --pid-file="$folder/munged.own.pid" --log-file="$folder/munged.log" --seed-file="$folder/munge.seed"
  soon munge -n -S "$folder/munge.sock" || fail "munged does not answer"
  start slurmctld slurmctld -D -f "$SLURM_CONF"
  start slurmd slurmd -D -f "$SLURM_CONF"
  soon idle || fail "the node does not become idle"
  echo "export SLURM_CONF='$SLURM_CONF' PATH='$folder/bin':\"\$PATH\""
  ;;
down)
  # slurmd leaves running jobs alone when it goes.
  if ours slurmctld; then
    scancel --quiet --user="$(id -un)" || true
    for _ in $(seq 50); do [ -z "$(squeue --noheader 2>/dev/null)" ] && break; sleep 0.2; done
  fi
  for name in slurmd slurmctld munged; do stop "$name" || true; done
  ;;
*) fail "up or down, got $act" ;;
esac
