# The stand-in for a release's image with a small C compiler: unpacked from Debian's packages
# without running anything, so that the image for another architecture is made as fast.
ARG BASE_IMAGE
FROM --platform=$BUILDPLATFORM ${BASE_IMAGE} AS packages
USER root
ARG TARGETARCH
WORKDIR /debs
RUN dpkg --add-architecture $TARGETARCH && apt-get update -qq && \
    apt-get download -qq tcc:$TARGETARCH libc6-dev:$TARGETARCH && \
    for deb in *.deb; do dpkg-deb --extract $deb /compiler; done

FROM ${BASE_IMAGE} AS compilers
USER root
COPY --from=packages /compiler/usr/ /usr/

# No more than a build needs, so that all its layers can be searched.
FROM compilers AS whole
RUN mkdir /links && ln -s usr/bin usr/lib usr/lib64 /links
FROM scratch AS small
COPY --from=whole /links /
COPY --from=whole /usr/lib64 /usr/lib64
COPY --from=whole /etc /etc
COPY --from=whole /usr/bin /usr/bin
COPY --from=whole /usr/share/python-wheels /usr/share/python-wheels
COPY --from=whole /usr/lib/python3 /usr/lib/python3
COPY --from=whole /usr/lib/python3.11 /usr/lib/python3.11
COPY --from=whole /usr/lib/x86_64-linux-gnu /usr/lib/x86_64-linux-gnu
COPY --from=whole /tmp /tmp

# For builds that are to fail: without a package manager, and without a Python as well.
FROM compilers AS bare
RUN rm /usr/bin/apt-get

FROM bare AS pythonless
RUN rm -r /usr/bin/python3*
