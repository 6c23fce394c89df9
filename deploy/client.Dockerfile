# The head's image with the capabilities' code: where a RayJob's script runs, which imports them. What they need in turn goes into head.in.
#   docker build --file deploy/client.Dockerfile --tag registry.example/checkmaite-client:0.1.0 .
ARG HEAD=registry.example/checkmaite-head:0.1.0

FROM ${HEAD}
COPY deploy/capability/src /opt/capability
ENV PYTHONPATH=/opt/capability
