"""The names that telemetry uses: OpenTelemetry's semantic conventions, and this app's own.

The conventions are pinned: every tracer and meter names SCHEMA_URL, so that a backend can tell
which version the names are from. Those for messaging and Azure are not stable yet and come from a
private module of the conventions' package, so they are written out here.
"""

from typing import Final

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"
SCOPE: Final = "patch-assessor"

ACTIVITY_ID: Final = "azure.vm.assessment_activity_id"
"""On every span and log record of an assessment."""
REPORTED_ACTIVITY_ID: Final = "azure.vm.assessment_activity_id.reported"
"""What the result calls itself, where that is not what the begin's answer said."""
VM_ID: Final = "azure.vm.id"
REQUEST_ID: Final = "assessment.request_id"
OUTCOME: Final = "assessment.outcome"
STATUS: Final = "assessment.status"
ERROR_CODE: Final = "assessment.error_code"
CRITICAL_COUNT: Final = "assessment.critical_and_security_patch_count"
OTHER_COUNT: Final = "assessment.other_patch_count"
REBOOT_PENDING: Final = "assessment.reboot_pending"
HOP: Final = "assessment.hop"
"""How many times the assessment was handed over before this invocation."""
ADOPTED: Final = "assessment.adopted"
WAIT_PLACE: Final = "assessment.wait.place"
"""`queue`: between two invocations; `worker`: within one."""
ALERT_RULE: Final = "alert.rule"
ALERT_CONDITION: Final = "alert.condition"
ALERT_CHANGE: Final = "alert.change"
EVENT_NAME: Final = "event.grid.name"
"""An event's type, and the operation or type of resource that it is about."""
EVENT_RESULT: Final = "event.grid.result"
"""What became of it: `assess`, `retire`, `request`, `ignore` or `malformed`."""
ARM_POLICY: Final = "azure.arm.policy"
"""One of ARM's throttling policies, like `Microsoft.Compute/UpdateVM3Min`."""

ERROR_TYPE: Final = "error.type"
HTTP_METHOD: Final = "http.request.method"
HTTP_STATUS: Final = "http.response.status_code"
HTTP_RETRY_AFTER: Final = "http.response.header.retry-after"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
URL_TEMPLATE: Final = "url.template"
AZURE_PROVIDER: Final = "azure.resource_provider.namespace"
AZURE_REQUEST_ID: Final = "azure.service.request.id"
CLOUD_ACCOUNT: Final = "cloud.account.id"

MESSAGING_SYSTEM: Final = "messaging.system"
MESSAGING_DESTINATION: Final = "messaging.destination.name"
MESSAGING_OPERATION: Final = "messaging.operation.name"
MESSAGING_OPERATION_TYPE: Final = "messaging.operation.type"
MESSAGING_MESSAGE_ID: Final = "messaging.message.id"
MESSAGING_CONVERSATION_ID: Final = "messaging.message.conversation_id"
MESSAGING_BATCH_COUNT: Final = "messaging.batch.message_count"
SERVICE_BUS: Final = "servicebus"
