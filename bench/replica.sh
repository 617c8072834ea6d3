# What the scripts share that run one replica by itself, in the directory $scratch with the programs in $release.

replica=
address=
http=
serving_ms=
# Where it is to listen for HTTP; nowhere unless a script says so.
http_listen=

# end_replica: kills it, as a crash would.
end_replica() {
    [ -z "$replica" ] || { kill -9 "$replica" 2> /dev/null || true; wait "$replica" 2> /dev/null || true; }
    replica=
}

# serve BINARY: starts the replica and waits until it serves; `address`, `http` and `serving_ms` say where and after how
# long.
serve() {
    local begun now line=
    rm -f "$scratch/out"
    mkfifo "$scratch/out"
    begun=$(date +%s%N)
    "$1" serve --config "$scratch/replica.toml" > "$scratch/out" 2> "$scratch/log" &
    replica=$!
    # Blocks: looking again and again would take one of the CPUs. It stays open for whatever else is said.
    exec 3< "$scratch/out"
    until [[ $line == "serving "* ]]; do
        [[ $line != "http "* ]] || http=${line#http }
        read -r line <&3 || { cat "$scratch/log" >&2; echo "the replica ended" >&2; exit 1; }
    done
    now=$(date +%s%N)
    address=${line#serving }
    serving_ms=$(((now - begun) / 1000000))
}

# configure SHARDS CORES CHECKPOINT_BYTES FLAGS...: a data directory anew, formatted with the flags. The shards are spread
# over the cores, the last CPU first.
configure() {
    local shards=$1 cores=$2 checkpoint_bytes=$3
    local assignments="" cpu=$(($(nproc) - 1)) owned core shard
    shift 3
    for core in $(seq 0 $((cores - 1))); do
        owned=""
        for shard in $(seq "$core" "$cores" $((shards - 1))); do owned="$owned $shard,"; done
        assignments="$assignments { cpu = $cpu, shards = [$owned ] },"
        cpu=$(((cpu + $(nproc) - 1) % $(nproc)))
    done
    cat > "$scratch/replica.toml" << END
data_directory = "$scratch/data"
failure_domain = "bench"
[cores]
assignments = [$assignments ]
control = $(($(nproc) - 1))
[listen]
client = "127.0.0.1:0"
http = "$http_listen"
[log]
bytes_max = "32GiB"
checkpoint_bytes = $checkpoint_bytes
[logging]
format = "json"
END
    rm -rf "$scratch/data"
    "$release/assize" format --config "$scratch/replica.toml" --shards "$shards" "$@" > /dev/null
}
