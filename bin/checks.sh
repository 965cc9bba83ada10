# shellcheck shell=bash
# What bin/quickstart looks at before it changes anything; sourced by it. Every problem is told at once.

check_before_anything_changes() {
  local problems=()
  check_system
  check_rights
  check_disk
  check_memory
  check_port "$EDGE_PORT" "the edge (Caddy)"
  check_port "${API##*:}" "the API"
  check_port "$BROKER_PORT" "the broker"
  [ ${#problems[@]} -eq 0 ] && return
  say "This machine isn't ready; nothing was changed:"
  printf '  - %s\n' "${problems[@]}" >&2
  exit 1
}

problem() { problems+=("$*"); }

check_system() {
  local id='' version=''
  if [ -r /etc/os-release ]; then
    # shellcheck disable=SC1091
    id=$(. /etc/os-release && echo "${ID:-}")
    # shellcheck disable=SC1091
    version=$(. /etc/os-release && echo "${VERSION_ID:-0}")
  fi
  case $id in
    debian) [ "${version%%.*}" -ge 12 ] || problem "Debian $version is too old: Debian 12 or newer is needed" ;;
    ubuntu) [ "${version%%.*}" -ge 24 ] || problem "Ubuntu $version is too old: Ubuntu 24.04 or newer is needed" ;;
    *) problem "the system is '${id:-unknown}': the quickstart knows Debian 12 and Ubuntu 24.04 and newer" ;;
  esac
  case $(uname -m) in
    x86_64 | aarch64) ;;
    *) problem "the processor is $(uname -m): x86_64 and aarch64 are supported" ;;
  esac
  command -v apt-get >/dev/null || problem "apt-get is missing, so nothing can be installed"
}

# An unprivileged container lets nobody start an engine, not even root.
check_rights() {
  local rights
  rights=$((16#$(awk '/^CapEff:/ {print $2}' /proc/self/status)))
  if (((rights >> 12 & 1) == 0 || (rights >> 21 & 1) == 0)); then
    problem "root may not administer network and system here (CAP_NET_ADMIN, CAP_SYS_ADMIN): use a machine or a privileged container"
  fi
}

# The first run needs room for packages, images and a tenant; later ones only for the tenants' growth.
check_disk() {
  local need_mb=6144 folder free_mb
  [ ! -e "$DATA/admin-token" ] || need_mb=512
  for folder in /var/lib/docker "$DATA"; do
    until [ -d "$folder" ]; do folder=$(dirname "$folder"); done
    free_mb=$(df -Pm "$folder" | awk 'NR == 2 {print $4}')
    if [ "$free_mb" -lt "$need_mb" ]; then
      problem "the disk under $folder has $free_mb MB free, $need_mb MB are needed: make room, or set INNKEEPER_DATA"
      return
    fi
  done
}

check_memory() {
  local need_mb=2560 have_mb
  [ "$AGENT" = openclaw ] || need_mb=768
  have_mb=$(awk '/^(MemTotal|SwapTotal):/ {sum += $2} END {print int(sum / 1024)}' /proc/meminfo)
  [ "$have_mb" -ge "$need_mb" ] ||
    problem "memory and swap are $have_mb MB, $AGENT needs $need_mb MB: add memory or swap, or try --agent nanobot"
}

# check_port PORT WHOSE: free, or held by a process of ours.
check_port() {
  local inode
  for inode in $(listening_inodes "$1"); do
    if ! held_by_us "$inode"; then
      problem "port $1 is taken by another program, and $2 needs it: find it with \`ss -ltnp 'sport = :$1'\` and stop it"
      return
    fi
  done
}

listening_inodes() {
  local hex
  hex=$(printf '%04X' "$1")
  awk -v port=":$hex\$" '$4 == "0A" && $2 ~ port {print $10}' /proc/net/tcp /proc/net/tcp6 2>/dev/null || true
}

held_by_us() {
  local pid descriptor
  for pid in $(our_pids); do
    for descriptor in /proc/"$pid"/fd/*; do
      [ "$(readlink "$descriptor" 2>/dev/null)" != "socket:[$1]" ] || return 0
    done
  done
  return 1
}
