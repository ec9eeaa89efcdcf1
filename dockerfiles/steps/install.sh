# The stage `installed`: the pins in a virtual environment, relocated by venv-pack, in /packed.
set -eu
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
/packager/python -m venv --without-pip /environment
# pip runs in the environment but stays out of it; `--ignore-installed` makes it forget its own place.
/environment/bin/python /packager/tools/pip install --quiet --no-index --no-deps --no-compile \
    --no-cache-dir --no-warn-script-location --ignore-installed \
    --require-hashes --find-links /pins --requirement /pins/requirements.txt
PYTHONPATH=/tools /environment/bin/python -m venv_pack --quiet --prefix /environment \
    --format tar --output /environment.tar
mkdir -p /packed/environment
/environment/bin/python -m tarfile --extract /environment.tar /packed/environment
