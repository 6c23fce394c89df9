# A Ray node that runs jobs: core, the Parquet store, the team's capabilities, and nothing else.
#   docker build --file deploy/worker.Dockerfile --tag registry.example/checkmaite-worker:0.1.0 .
# To get the same bytes next year, give PYTHON by digest: --build-arg PYTHON=python@sha256:...
ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS build
# Where a mirror stands in for the public index: --build-arg PIP_INDEX_URL=...
ARG PIP_INDEX_URL
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PYTHONDONTWRITEBYTECODE=1
WORKDIR /build
RUN python -m pip install pip==26.3 hatchling==1.33.0
COPY deploy/wheels.py deploy/pylock.worker.toml ./
RUN python wheels.py pylock.worker.toml
COPY packages/checkmaite-jobs-core checkmaite-jobs-core
COPY packages/checkmaite-store-parquet checkmaite-store-parquet
COPY deploy/capability capability
RUN python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir own \
    ./checkmaite-jobs-core ./checkmaite-store-parquet ./capability
RUN python -m venv --without-pip /opt/venv \
    && python -m pip --python /opt/venv/bin/python install --quiet --no-index --no-deps --no-compile --requirement pylock.worker.toml \
    && python -m pip --python /opt/venv/bin/python install --quiet --no-index --no-deps --no-compile own/*.whl \
    && /opt/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/venv/lib

FROM ${PYTHON}
RUN useradd --uid 1000 --create-home ray
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH RAY_USAGE_STATS_ENABLED=0
USER 1000:1000
WORKDIR /home/ray
# KubeRay says with what arguments; by hand: docker run IMAGE ray start --address=HEAD:6379 --block
CMD ["ray", "start", "--help"]
