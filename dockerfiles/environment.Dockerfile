# What `packager pack` builds in Docker: wheels of sources that have none for the target, and, with
# `--builder docker`, the whole environment. Runs in the operating system that the result is for.
#
# To make it your own: copy it, set `dockerfile = "path"` in [tool.packager], and change what you
# like as long as the stages `wheels` and `environment` leave the same files. Most changes belong at
# the end of `base`. The build's context is made by packager: `steps/` is the folder beside this
# file, `sources/` the archives to compile, `pins/` wheels with a requirements file that has their
# hashes, `tools/` venv-pack. It holds none of the project's files and no secret.

ARG BASE_IMAGE
FROM ${BASE_IMAGE} AS base
USER root
ARG TARGETARCH
ARG PYTHON
ARG INTERPRETER
ARG BUILD_PACKAGES
# Installs what `build-packages` names, and the target's Python where the image lacks it.
RUN --mount=type=bind,source=steps,target=/steps \
    --mount=type=secret,id=proxy --mount=type=secret,id=ca \
    --mount=type=secret,id=netrc --mount=type=secret,id=pip \
    --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    --mount=type=cache,target=/var/cache/dnf,sharing=locked \
    --mount=type=cache,target=/var/cache/yum,sharing=locked \
    sh /steps/prepare.sh

FROM base AS compiled
RUN --mount=type=bind,source=steps,target=/steps \
    --mount=type=bind,source=sources,target=/sources \
    --mount=type=secret,id=proxy --mount=type=secret,id=ca \
    --mount=type=secret,id=netrc --mount=type=secret,id=pip \
    --mount=type=cache,target=/root/.cache/pip \
    sh /steps/compile.sh

# The wheels that were compiled, and nothing else.
FROM scratch AS wheels
COPY --from=compiled /wheels/ /

FROM base AS installed
# No network: every pin is in the context, with its hash.
RUN --network=none \
    --mount=type=bind,source=steps,target=/steps \
    --mount=type=bind,source=pins,target=/pins \
    --mount=type=bind,source=tools,target=/tools \
    sh /steps/install.sh

# The virtual environment as venv-pack relocated it, and nothing else.
FROM scratch AS environment
COPY --from=installed /packed/ /

FROM base AS bundled
RUN --mount=type=bind,source=steps,target=/steps \
    --mount=type=secret,id=proxy --mount=type=secret,id=ca \
    --mount=type=secret,id=netrc --mount=type=secret,id=pip \
    --mount=type=cache,target=/root/.cache/pip \
    sh /steps/interpreter.sh

# The target's Python as a standalone build, for a release that lacks it, and nothing else.
FROM scratch AS interpreter
COPY --from=bundled /bundled/ /
