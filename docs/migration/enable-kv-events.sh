#!/usr/bin/env bash
# The form that the AIBrix text documents: ./migration/enable-kv-events.sh NAMESPACE DEPLOYMENT
# It is `kvsync enable` with the same words; further options are handed on (--dry-run, say).
set -euo pipefail

if [ "$#" -lt 2 ]; then
    echo "Usage: $0 NAMESPACE DEPLOYMENT [OPTIONS of kvsync enable]" >&2
    exit 2
fi
if ! command -v kvsync > /dev/null; then
    echo "$0: kvsync is not on PATH; install it from a checkout: pip install ." >&2
    exit 127
fi
exec kvsync enable "$@"
