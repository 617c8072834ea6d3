# What the scripts of this folder share: the commands they need, and what a record says of the machine, as
# bench/src/host.rs says it.

# need_commands COMMAND...: ends the script if one is missing.
need_commands() {
    local command
    for command in "$@"; do
        command -v "$command" > /dev/null \
            || { echo "missing: $command; install it with apt-get install $command" >&2; exit 1; }
    done
}

# commit: what is measured. Records that are being written do not make it another.
commit() {
    local dirty=
    git diff --quiet HEAD -- ':(top)' ':(top,exclude)bench/results' || dirty=-dirty
    echo "$(git rev-parse --short=12 HEAD)$dirty"
}

# describe_host DIRECTORY: one JSON object. The disk is the one below the directory.
describe_host() {
    local device
    device=$(stat -c '%Hd:%Ld' "$1")
    jq -n \
        --arg commit "$(commit)" \
        --arg cpu "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" \
        --argjson cpus "$(nproc)" \
        --arg kernel "$(uname -r)" \
        --arg filesystem "$(stat -f -c %T "$1")" \
        --arg write_cache "$(cat "/sys/dev/block/$device/queue/write_cache" 2> /dev/null || echo unknown)" \
        --arg profile "lto=${CARGO_PROFILE_RELEASE_LTO:-default}" \
        '{commit: $commit, cpu: $cpu, cpus: $cpus, kernel: $kernel, filesystem: $filesystem, write_cache: $write_cache,
          profile: $profile}'
}

# load_average: of the last minute, how much else ran.
load_average() { cut -d ' ' -f 1 /proc/loadavg; }
