#!/bin/sh
# A replica in its container: formatted at its first start, with what all three agree on.
set -eu

# Whoever may look into the container's environment has it anyway; on hosts of their own it is a file from the start.
if [ ! -e /var/lib/assize/secret ]; then
    (umask 077 && echo "$ASSIZE_SECRET" > /var/lib/assize/secret)
fi
unset ASSIZE_SECRET
if [ ! -e /var/lib/assize/data/superblock.0 ]; then
    assize format --config /etc/assize/replica.toml --replicas 3 \
        --cluster "$ASSIZE_CLUSTER" --routing-seed "$ASSIZE_ROUTING_SEED" --body-seed "$ASSIZE_BODY_SEED" \
        --warden-capacity 4M --entity-capacity 1M
fi
exec assize serve --config /etc/assize/replica.toml
