#!/bin/sh
# Event Grid subscribes a function only once it is there. With EVENT_GRID=true the first deployment is
# followed by a second provisioning, which subscribes it.
set -eu
if [ "${EVENT_GRID:-false}" = true ] && [ "${SUBSCRIBE_EVENTS:-false}" != true ]; then
  azd env set SUBSCRIBE_EVENTS true
  azd provision --no-prompt
fi
