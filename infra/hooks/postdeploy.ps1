# Event Grid subscribes a function only once it is there. With EVENT_GRID=true the first deployment is
# followed by a second provisioning, which subscribes it.
$ErrorActionPreference = 'Stop'
if ($env:EVENT_GRID -eq 'true' -and $env:SUBSCRIBE_EVENTS -ne 'true') {
  azd env set SUBSCRIBE_EVENTS true
  azd provision --no-prompt
}
