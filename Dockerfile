# docker-registry 0.9.1 on Python 2.7, with the search index in DynamoDB.
#
#     docker build -t docker-registry-dynamodb .
#     docker run -p 5000:5000 -e SETTINGS_FLAVOR=prod -e AWS_REGION=us-east-1 \
#         -e AWS_BUCKET=mybucket -e STORAGE_PATH=/registry \
#         -e AWS_KEY=myawskey -e AWS_SECRET=myawssecret docker-registry-dynamodb
#
# config/config_dynamo.yml lists all variables.

# bullseye is the last Debian with Python 2.7.
FROM debian:bullseye-slim AS build

RUN apt-get update \
 && apt-get install -y --no-install-recommends \
    python2.7-dev virtualenv gcc g++ libc6-dev make swig libssl-dev liblzma-dev \
 && rm -rf /var/lib/apt/lists/*

# This layer comes first, so that a change of the plugin does not build the registry again.
COPY requirements/registry-py27.txt /build/requirements/
RUN virtualenv --python=python2.7 /opt/registry \
 && /opt/registry/bin/pip install --no-cache-dir --no-deps --no-build-isolation --require-hashes \
    -r /build/requirements/registry-py27.txt

# setuptools stays: gunicorn and gevent need it while they run. The tests of gevent contain private
# keys, so they are removed.
COPY . /build
RUN /opt/registry/bin/pip install --no-cache-dir --no-deps /build \
 && /opt/registry/bin/pip uninstall --yes wheel pip \
 && rm -r /opt/registry/bin/easy_install* \
    /opt/registry/lib/python2.7/site-packages/gevent/tests


FROM debian:bullseye-slim

# M2Crypto needs libssl1.1.
RUN apt-get update \
 && apt-get install -y --no-install-recommends python2.7 libssl1.1 ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --create-home --home-dir /home/registry --shell /usr/sbin/nologin registry

COPY --from=build /opt/registry /opt/registry
COPY config /etc/docker-registry

ENV PATH=/opt/registry/bin:$PATH \
    DOCKER_REGISTRY_CONFIG=/etc/docker-registry/config_dynamo.yml \
    SEARCH_BACKEND=docker_registry_index.dynamodb \
    SETTINGS_FLAVOR=dev \
    REGISTRY_HOST=0.0.0.0 \
    REGISTRY_PORT=5000

# A number, because Kubernetes cannot verify that a name is not root.
USER 10001
EXPOSE 5000

# A long first load does not make the container unhealthy: the start period allows for it.
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s \
    CMD ["python", "-c", "import httplib, os, sys; \
         c = httplib.HTTPConnection('127.0.0.1', os.environ['REGISTRY_PORT'], timeout=5); \
         c.request('GET', '/v1/_ping'); sys.exit(c.getresponse().status != 200)"]

CMD ["docker-registry"]
