# The stage `compiled`: a wheel of every source archive, in /wheels.
set -eu
. /steps/network.sh
export SOURCE_DATE_EPOCH=315532800 # 1980, the first year that a wheel's entries can tell
mkdir -p /wheels
for source in /sources/*; do # a folder for each, with one archive
    /packager/bin/python /packager/tools/pip wheel --no-deps --wheel-dir /wheels "$source"/* ||
        failed compile "${source#/sources/}"
done
