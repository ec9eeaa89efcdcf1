#!/bin/sh
# EMR's own entry point is not published. Nothing of a job depends on it here but an init for its processes.
exec /usr/bin/tini -- "$@"
