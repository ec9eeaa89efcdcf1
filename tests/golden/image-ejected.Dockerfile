# Build it with: packager image build --file Dockerfile
# The context `environment` has the project's files, at their places in the image.
ARG BASE_IMAGE=base.example/spark:1
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
COPY --from=environment ["/etc/spark/conf/a file", "/etc/spark/conf/a file"]
COPY --from=environment /usr/lib/spark/jars/y-1-all.jar /usr/lib/spark/jars/y-1-all.jar
COPY --from=environment /opt/packager/environment /opt/packager/environment
COPY --from=environment /opt/packager/app /opt/packager/app
ENV MODE="a \$b \"c\" \\d"
ENV PYSPARK_PYTHON="/opt/packager/environment/bin/python"
ENV PYSPARK_DRIVER_PYTHON="/opt/packager/environment/bin/python"
LABEL "team"="data"
USER hadoop:hadoop
