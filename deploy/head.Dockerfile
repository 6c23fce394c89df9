# The Ray node that everybody talks to: registry and controllers, ray:// for clients, Ray's dashboard and job submission.
#   docker build --file deploy/head.Dockerfile --tag registry.example/checkmaite-head:0.1.0 .
# To get the same bytes next year, give PYTHON by digest: --build-arg PYTHON=python@sha256:...
ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS build
# Where a mirror stands in for the public index: --build-arg PIP_INDEX_URL=...
ARG PIP_INDEX_URL
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PYTHONDONTWRITEBYTECODE=1
WORKDIR /build
RUN python -m pip install pip==26.3 hatchling==1.33.0
COPY deploy/wheels.py deploy/pylock.head.toml ./
RUN python wheels.py pylock.head.toml
COPY packages/checkmaite-jobs-core checkmaite-jobs-core
COPY packages/checkmaite-jobs-ray-simple checkmaite-jobs-ray-simple
COPY packages/checkmaite-jobs-ray checkmaite-jobs-ray
COPY packages/checkmaite-store-parquet checkmaite-store-parquet
RUN python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir own \
    ./checkmaite-jobs-core ./checkmaite-jobs-ray-simple ./checkmaite-jobs-ray ./checkmaite-store-parquet
RUN python -m venv --without-pip /opt/venv \
    && python -m pip --python /opt/venv/bin/python install --quiet --no-index --no-deps --no-compile --requirement pylock.head.toml \
    && python -m pip --python /opt/venv/bin/python install --quiet --no-index --no-deps --no-compile own/*.whl \
    && /opt/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/venv/lib

FROM ${PYTHON}
RUN useradd --uid 1000 --create-home ray
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH RAY_USAGE_STATS_ENABLED=0
USER 1000:1000
WORKDIR /home/ray
# KubeRay says with what arguments; by hand: docker run IMAGE ray start --head --dashboard-host=0.0.0.0 --block
CMD ["ray", "start", "--help"]
