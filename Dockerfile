# What runs in a cluster: the operator (`kvsync run`) and the relay in a model's pod (`kvsync relay`).
# docs/image.md tells how it is built; tests/image carries out these very steps.

# `make image` asks for a digest: a tag is another image tomorrow.
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY requirements/ requirements/
# The base's pip fills an environment that has none of its own.
# hadolint ignore=DL3042
RUN python -m venv --without-pip /opt/kvsync \
 && python -m pip --python /opt/kvsync/bin/python install --quiet --no-compile --require-hashes \
      --only-binary :all: --report installed.json -r requirements/runtime.txt
# hadolint ignore=DL3042
RUN python -m pip install --quiet --require-hashes --only-binary :all: -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY crds/ crds/
COPY templates/ templates/
COPY operator/ operator/
# Bytecode is not compared with its source when it is read: nothing can write there, and layers change times.
# The Kubernetes client's thousands of models and calls go without: none of them is used, and they are 45 MB.
# hadolint ignore=DL3042
RUN python -m pip wheel --quiet --no-deps --no-index --no-build-isolation --wheel-dir dist . \
 && python -m pip --python /opt/kvsync/bin/python install --quiet --no-compile --no-deps --no-index dist/*.whl \
 && python -m compileall -q --invalidation-mode unchecked-hash \
      -x '/kubernetes/(aio/)?client/(api|models)/(?!__init__)' /opt/kvsync/lib

# What was installed, for `docker build --target installed --output .`: the file and sha256 of each package.
FROM scratch AS installed
COPY --from=build /build/installed.json /

FROM ${BASE}
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="kvsync-operator" \
      org.opencontainers.image.description="Turns on, verifies and undoes KV event synchronization for models behind the AIBrix gateway" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# Nothing is installed any more.
RUN python -m pip uninstall --quiet --yes --root-user-action ignore pip
COPY --from=build /opt/kvsync /opt/kvsync
# The user has no entry in /etc/passwd, and libraries ask for a home.
ENV PATH=/opt/kvsync/bin:$PATH \
    HOME=/ \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 65532:65532
ENTRYPOINT ["kvsync"]
