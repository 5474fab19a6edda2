#!/bin/sh
# Make configure from configure.ac; needed once in a checkout from git.
set -e
cd "$(dirname "$0")"
mkdir -p m4 build-aux
exec autoreconf --install --force --warnings=all,no-portability
