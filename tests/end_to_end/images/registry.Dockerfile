# The registry v2 of Debian, in place of the image registry:2, which the tests do not pull.
FROM debian:trixie-slim

RUN apt-get update \
 && apt-get install -y --no-install-recommends docker-registry

CMD ["docker-registry", "serve", "/etc/docker/registry/config.yml"]
