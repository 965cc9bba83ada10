# shellcheck shell=bash
# What bin/test, bin/quickstart and bin/bench share: packages, the virtual environment and a running engine.
# Sourced, never run. Each function checks first, so calling it again costs next to nothing, and locks, so that
# two scripts may run at once.

set -euo pipefail
shopt -s inherit_errexit

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=$ROOT/.venv
ENGINE_SOCKET=/var/run/docker.sock
APT_LOG=/var/log/innkeeper-apt.log
DOCKERD_LOG=/var/log/innkeeper-dockerd.log
# Names the dockerd that these scripts started, so that --down stops no other.
DOCKERD_OURS=/run/innkeeper-dockerd.pid

export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PIP_DISABLE_PIP_VERSION_CHECK=1
# Where Python must not keep what it has compiled, each start of the control plane costs twice its CPU, and each command
# three times.
unset PYTHONDONTWRITEBYTECODE
if [ "$(id -u)" -eq 0 ]; then LOCKS=/run; else LOCKS=${XDG_RUNTIME_DIR:-/tmp}; fi

say() { printf '%s\n' "$*" >&2; }

die() {
  say "error: $*"
  exit 1
}

need_root() {
  [ "$(id -u)" -eq 0 ] || die "$1 has to run as root: it installs packages and talks to the Docker Engine. Try: sudo $1"
}

# locked NAME COMMAND...: runs COMMAND while no other script holds NAME.
locked() {
  local name=$1 lock status
  shift
  exec {lock}>"$LOCKS/innkeeper-$name.lock"
  flock "$lock"
  # A subshell of its own keeps `set -e` at work inside COMMAND and the lock bounded.
  set +e
  (
    set -e
    "$@"
  )
  status=$?
  set -e
  exec {lock}>&-
  return "$status"
}

# without_locks COMMAND...: becomes COMMAND, holding none of the script's locks. For what outlives the script: call it
# in a subshell or with `&`.
without_locks() {
  local path fd
  for path in /proc/self/fd/*; do
    fd=${path##*/}
    [ "$fd" -le 2 ] || exec {fd}>&-
  done
  exec "$@"
}

# --- packages -------------------------------------------------------------------------------------------------

package_missing() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" != installed ]; }

# packages NAME...: installs those that are missing.
packages() {
  local name missing=()
  for name in "$@"; do
    if package_missing "$name"; then missing+=("$name"); fi
  done
  [ ${#missing[@]} -eq 0 ] || locked apt apt_install "${missing[@]}"
}

apt_install() {
  command -v apt-get >/dev/null || die "missing: $*. Install them: this system has no apt-get, so the script can't."
  [ "$(id -u)" -eq 0 ] || die "missing: $*. Install them as root: apt-get install $*"
  say "installing: $*"
  # A foreign repository that fails to refresh is no reason to stop: the install below tells what really is missing.
  apt_quietly update || say "apt-get update reported problems; trying the install all the same"
  apt_quietly install -y --no-install-recommends "$@" || {
    tail -n 15 "$APT_LOG" >&2
    die "apt-get could not install: $* (log: $APT_LOG)"
  }
}

apt_quietly() {
  DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -q -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
    "$@" >>"$APT_LOG" 2>&1 </dev/null
}

# docker-compose has another name on Ubuntu; the first that the machine's own sources offer is taken.
compose_package() {
  local name
  for name in docker-compose-v2 docker-compose; do
    if ! package_missing "$name" || [ -n "$(apt-cache show "$name" 2>/dev/null)" ]; then
      echo "$name"
      return
    fi
  done
  echo docker-compose
}

engine_packages() {
  local names=(iptables nftables debootstrap ca-certificates curl)
  # Docker's own packages serve as well, and docker.io would fight with them. A `docker` alone is no engine.
  command -v dockerd >/dev/null || names+=(docker.io)
  # With AppArmor on, the Engine refuses to start a container unless its parser is there.
  if grep -qs Y /sys/module/apparmor/parameters/enabled; then names+=(apparmor); fi
  packages "${names[@]}"
}

# What takes and restores snapshots, and the sandbox that it runs in.
backup_packages() { packages restic bubblewrap; }

# --- the virtual environment ----------------------------------------------------------------------------------

is_new_enough() { "$1" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
  local name
  for name in python3 python3.13 python3.12 python3.11 python3.14 /usr/bin/python3; do
    if command -v "$name" >/dev/null && is_new_enough "$name"; then
      command -v "$name"
      return
    fi
  done
  return 1
}

can_make_venv() { local python; python=$(find_python) && "$python" -c 'import ensurepip' 2>/dev/null; }

# virtual_environment run|dev: .venv with the locked dependencies, made anew only where something changed.
virtual_environment() {
  local kind=$1
  can_make_venv || packages python3 python3-venv
  can_make_venv || die "Python 3.11 or newer with venv was not found. On Debian 12 or Ubuntu 24.04: apt-get install python3-venv"
  locked "venv-$(printf '%s' "$ROOT" | sha256sum | cut -c1-12)" fill_venv "$kind"
}

fill_venv() {
  local kind=$1 requirements=$ROOT/requirements.txt stamp
  # What development needs includes what running needs, so an environment never shrinks.
  if [ "$kind" = dev ] || [ -e "$VENV/.stamp-dev" ]; then
    kind=dev
    requirements=$ROOT/requirements-dev.txt
  fi
  stamp=$(cat "$requirements" "$ROOT/pyproject.toml" | sha256sum)
  if venv_usable && [ "$(cat "$VENV/.stamp-$kind" 2>/dev/null)" = "$stamp" ]; then
    return
  fi
  venv_usable || "$(find_python)" -m venv --clear "$VENV"
  [ -x "$VENV/bin/uv" ] || "$VENV/bin/python" -m pip install -q 'uv>=0.9'
  uv_install --require-hashes -r "$requirements"
  uv_install --no-deps -e "$ROOT"
  printf '%s\n' "$stamp" >"$VENV/.stamp-$kind"
}

# A copied or moved checkout brings an environment whose scripts still point to the old place.
venv_usable() { is_new_enough "$VENV/bin/python" && grep -qsF "$VENV" "$VENV/bin/activate"; }

uv_install() { VIRTUAL_ENV=$VENV "$VENV/bin/uv" pip install -q --compile-bytecode "$@" >&2; }

# --- the Docker Engine ----------------------------------------------------------------------------------------

engine_answers() {
  [ "$(curl -fsS -m 5 --unix-socket "$ENGINE_SOCKET" http://engine/_ping 2>/dev/null)" = OK ]
}

# engine: an answering Docker Engine, started if need be.
engine() {
  engine_packages
  engine_answers || locked engine start_engine
}

start_engine() {
  engine_answers && return
  if [ -d /run/systemd/system ]; then
    systemctl start docker || die "the Docker Engine did not start. See: journalctl -u docker"
  else
    start_dockerd
  fi
  wait_for_engine
}

# Without a service manager: a session of its own, so that it outlives this script and its terminal.
start_dockerd() {
  say "starting dockerd (log: $DOCKERD_LOG)"
  without_locks setsid dockerd >>"$DOCKERD_LOG" 2>&1 </dev/null &
  echo $! >"$DOCKERD_OURS"
}

wait_for_engine() {
  local waited
  for ((waited = 0; waited < 300; waited++)); do
    engine_answers && return
    if [ ! -d /run/systemd/system ] && ! kill -0 "$(cat "$DOCKERD_OURS")" 2>/dev/null; then
      break
    fi
    sleep 0.2
  done
  say "$(tail -n 15 "$DOCKERD_LOG" 2>/dev/null)"
  die "the Docker Engine does not answer at $ENGINE_SOCKET"
}

# --- agent images ---------------------------------------------------------------------------------------------

# agent_images AGENT...: builds the images of these agents where they are missing; no control plane is needed.
agent_images() { "$VENV/bin/python" -m innkeeper.images "$@"; }

# --- the identity provider that tests sign in at --------------------------------------------------------------

# identity_provider: fetches npm's oidc-provider into build/ where it is missing.
identity_provider() { (cd "$ROOT" && "$VENV/bin/python" -m tests.support.oidc_provider); }

# --- what runs ------------------------------------------------------------------------------------------------

our_pids() {
  control_plane_pid
  caddy_pids
}

# The control plane keeps its process id in its lock file; an old one is another's by now.
control_plane_pid() {
  local pid
  read -r pid 2>/dev/null <"$DATA/run/serve.lock" || [ -n "${pid:-}" ] || return 0
  if runs "$pid" innkeeper; then echo "$pid"; fi
}

# Caddy is known by the configuration that it was started with.
caddy_pids() {
  grep -lsaF -f <(printf '%s' "$DATA/run/Caddyfile") /proc/[0-9]*/cmdline | cut -d/ -f3 || true
}

# runs PID WORD: whether that process is there, with the word in its command line.
runs() { tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline" | grep -q "$2"; }

# stop_process PID WORD: ends it in good order, after 30 s by force.
stop_process() {
  local waited
  runs "$1" "$2" || return 0
  kill "$1" 2>/dev/null || true
  for ((waited = 0; waited < 300; waited++)); do
    runs "$1" "$2" || return 0
    sleep 0.1
  done
  kill -KILL "$1" 2>/dev/null || true
}
