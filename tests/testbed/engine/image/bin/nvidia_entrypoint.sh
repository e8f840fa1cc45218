#!/bin/sh
# The entry point of the image that SGLang's image is built on: it runs what it is given.
[ $# -gt 0 ] || set -- sh
exec "$@"
