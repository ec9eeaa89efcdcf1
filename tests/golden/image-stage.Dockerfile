ARG BASE_IMAGE
FROM ${BASE_IMAGE}
USER root
RUN if command -v dnf > /dev/null; then dnf install -y libgomp java-21-amazon-corretto && dnf clean all; \
    elif command -v microdnf > /dev/null; then \
      microdnf install -y libgomp java-21-amazon-corretto && microdnf clean all; \
    elif command -v yum > /dev/null; then \
      yum install -y --setopt=skip_missing_names_on_install=False libgomp java-21-amazon-corretto && yum clean all; \
    else apt-get update \
      && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends libgomp java-21-amazon-corretto \
      && apt-get clean && rm -rf /var/lib/apt/lists/*; fi
RUN install -d /var/opt/models
USER hadoop:hadoop
