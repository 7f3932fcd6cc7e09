#!/bin/sh
# Slims an image and pushes the result, which has a name only if every check and gate has passed:
#   recipes/push.sh registry.example.com/app:1.4 --max-size 6.2GB
set -eu
result=$(slimmer run "$@" --report slimmer.html) && ${PUSH:-docker push} "${result#* }"
