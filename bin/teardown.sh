# shellcheck shell=bash
# bin/quickstart --down and --purge; sourced by it. Both work with the control plane dead or broken, for they look at
# processes, the Engine's socket and the data directory themselves, and end the same when run again.

# --- down -----------------------------------------------------------------------------------------------------

down() {
  say "stopping the control plane and Caddy"
  stop_our_processes
  say "stopping the tenants"
  stop_our_containers
  stop_our_engine
  say "stopped. Data stays in $DATA; bin/quickstart brings everything back."
}

# As the program itself does it, where that works; else by force, the control plane first, for it would start Caddy again.
stop_our_processes() {
  local pid
  if [ -x "$INNKEEPER" ] && [ -e "$DATA/run" ] && "$INNKEEPER" serve --down >>"$LOG" 2>&1; then return; fi
  for pid in $(control_plane_pid); do stop_process "$pid" innkeeper; done
  for pid in $(caddy_pids); do stop_process "$pid" caddy; done
}

# --- the Engine, over its socket ------------------------------------------------------------------------------

# request METHOD PATH: the Engine's answer; fails when it refuses.
request() { curl -fsS -m 120 --unix-socket "$ENGINE_SOCKET" -X "$1" "http://engine$2"; }

# listed PATH PYTHON-EXPRESSION: the `Id` of each listed thing `it` for which the expression holds.
listed() {
  engine_answers || return 0
  request GET "$1" | "$(find_python)" -c 'import json, sys
condition, folder, namespace = sys.argv[1:]
for it in json.load(sys.stdin) or []:
    if eval(condition):
        print(it["Id"])' "$2" "$DATA/tenants/" "$NAMESPACE"
}

# Ours are those that mount a folder of this data directory: another installation's are left alone.
our_containers() {
  listed '/containers/json?all=true' \
    '"innkeeper.tenant" in it["Labels"] and any(m.get("Source", "").startswith(folder) for m in it["Mounts"])'
}

stop_our_containers() {
  local id
  for id in $(our_containers); do
    request POST "/containers/$id/stop?t=30" >/dev/null &
  done
  wait
}

# Only a dockerd that these scripts started, and only when nothing runs on it.
stop_our_engine() {
  [ -s "$DOCKERD_OURS" ] || return 0
  if [ -n "$(listed '/containers/json' True)" ]; then
    say "dockerd keeps running: it has other containers"
    return
  fi
  say "stopping dockerd, which was started for Innkeeper"
  stop_process "$(cat "$DOCKERD_OURS")" dockerd
  rm -f "$DOCKERD_OURS"
}

# --- purge ----------------------------------------------------------------------------------------------------

purge() {
  confirm_purge
  say "stopping the control plane and Caddy"
  stop_our_processes
  remove_from_engine
  stop_our_engine
  say "removing $DATA and $VENV"
  remove_data
  if [ "$(readlink "$COMMAND" 2>/dev/null)" = "$INNKEEPER" ]; then rm -f "$COMMAND"; fi
  rm -rf "$VENV" "$LOG" "$DOCKERD_LOG" "$APT_LOG"
  say "all gone. Debian packages stay, for other programs may use them by now."
}

confirm_purge() {
  local answer
  [ "$YES" = no ] || return 0
  printf 'This removes every tenant in %s with all its data, and cannot be undone. Type "purge" to go on: ' "$DATA" >&2
  read -r answer || true
  [ "$answer" = purge ] || die "nothing was changed"
}

remove_from_engine() {
  local id
  # The engine may be down, and what is left on its disk is ours to remove all the same.
  if ! engine_answers && [ -e "$DATA" ] && command -v dockerd >/dev/null; then engine; fi
  say "removing containers, networks, firewall rules and images"
  for id in $(our_containers); do
    request DELETE "/containers/$id?force=true&v=true" >/dev/null
  done
  for id in $(listed '/containers/json?all=true' '(it["Labels"] or {}).get("innkeeper.drills") == namespace'); do
    request DELETE "/containers/$id?force=true&v=true" >/dev/null
  done
  for id in $(our_networks); do
    request DELETE "/networks/$id" >/dev/null || say "a network stays, for something else is on it: $id"
  done
  remove_firewall
  remove_images
}

remove_firewall() {
  local name=innkeeper_${NAMESPACE//-/_} table
  for table in "$name" "${name}_EGRESS" "${name}_DRILLS"; do
    if nft list table inet "$table" >/dev/null 2>&1; then nft delete table inet "$table"; fi
  done
}

our_networks() {
  listed '/networks' 'namespace in [(it["Labels"] or {}).get("innkeeper." + label) for label in ("namespace", "drills")]'
}

remove_images() {
  local name
  for name in $(image_names); do
    request DELETE "/images/$name" >/dev/null 2>&1 || say "an image stays, for a container uses it: $name"
  done
}

# Whatever was built here, the newest first, for it may rest on an older one; former builds have lost their name.
image_names() {
  engine_answers || return 0
  request GET /images/json | "$(find_python)" -c 'import json, sys
built = [it for it in json.load(sys.stdin) if "innkeeper.recipe" in (it["Labels"] or {})]
for image in sorted(built, key=lambda it: -it["Created"]):
    named = [tag for tag in image["RepoTags"] or [] if tag != "<none>:<none>"]
    print(*(named or [image["Id"]]), sep="\n")'
}

# A mistyped INNKEEPER_DATA must not cost anyone a system: only what looks like a data directory is removed.
remove_data() {
  [ -d "$DATA" ] || return 0
  if [ -e "$DATA/admin-token" ] || [ -e "$DATA/keyring" ] || [ -e "$DATA/innkeeper.db" ]; then
    rm -rf --one-file-system "$DATA"
  else
    say "$DATA stays: it doesn't look like a data directory of Innkeeper's"
  fi
}
