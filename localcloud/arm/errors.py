"""ARM's refusals: status, code and message as the real service words them.

Sources: ARM's and Compute's error texts as they stand in public issue reports (among them
Azure/ARO-RP#66 for AuthorizationFailed, Azure/aks-engine#2295 and
hashicorp/terraform-provider-azurerm#19146 for throttling, hashicorp/terraform#24626 for a VM
without agent, the run-command error of a VM that is off, velero-io/velero#9171 for ARM's own
throttling, and MicrosoftDocs/azure-docs#119301 for an operation that somebody else began). No
public report shows a second assessPatches while one runs: :func:`assessment_in_progress` assumes
409 ``Conflict`` in the words that Compute uses for a second run command.
:func:`operation_not_found` is Compute's text for an operation it no longer knows, from memory.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from localcloud.arm.model import Json

CHALLENGE: Final = (
    'Bearer authorization_uri="https://login.windows.net/{tenant}", '
    'error="invalid_token", error_description="{description}"'
)


@dataclass
class ArmError(Exception):
    """An error answer. ``headers`` are added to those that every answer has."""

    status: int
    code: str
    message: str
    target: str | None = None
    details: Sequence[Json] = ()
    inner: Json | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Returns status, code and message in one line."""
        return f"{self.status} {self.code}: {self.message}"

    def body(self) -> Json:
        """Returns the answer's JSON, in ARM's ``error`` envelope."""
        error: Json = {"code": self.code, "message": self.message}
        if self.target is not None:
            error["target"] = self.target
        if self.details:
            error["details"] = list(self.details)
        if self.inner is not None:
            error["innererror"] = self.inner
        return {"error": error}


def unauthenticated(code: str, message: str, description: str) -> ArmError:
    """Returns a 401 with the challenge header."""
    challenge = CHALLENGE.format(tenant="common", description=description)
    return ArmError(401, code, message, headers={"WWW-Authenticate": challenge})


def authorization_failed(principal_id: str, action: str, scope: str) -> ArmError:
    """Returns the 403 of an identity without the right."""
    return ArmError(
        403,
        "AuthorizationFailed",
        f"The client '{principal_id}' with object id '{principal_id}' does not have authorization "
        f"to perform action '{action}' over scope '{scope}' or the scope is invalid. If access was "
        "recently granted, please refresh your credentials.",
    )


def subscription_not_found(subscription_id: str) -> ArmError:
    """Returns the 404 of an unknown subscription."""
    return ArmError(
        404,
        "SubscriptionNotFound",
        f"The subscription '{subscription_id}' could not be found.",
    )


def group_not_found(group: str) -> ArmError:
    """Returns the 404 of an unknown resource group."""
    return ArmError(404, "ResourceGroupNotFound", f"Resource group '{group}' could not be found.")


def vm_not_found(group: str, name: str) -> ArmError:
    """Returns the 404 of an unknown VM in a known group."""
    return ArmError(
        404,
        "ResourceNotFound",
        f"The Resource 'Microsoft.Compute/virtualMachines/{name}' under resource group '{group}' "
        "was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix",
    )


def operation_not_found() -> ArmError:
    """Returns the 404 of an operation that never was or has expired."""
    return ArmError(404, "NotFound", "The entity was not found in this Azure location.")


def not_the_original_caller() -> ArmError:
    """Returns the 403 of an operation's URL that was not given to this caller (code assumed)."""
    return ArmError(
        403,
        "AuthorizationFailed",
        "Only the original caller of an asynchronous operation is allowed to retrieve the results. "
        "The content hash provided in the query params of the request uri does not match the "
        "expected hash",
    )


def unknown_namespace(namespace: str) -> ArmError:
    """Returns the 404 of another resource provider."""
    return ArmError(
        404, "InvalidResourceNamespace", f"The resource namespace '{namespace}' is invalid."
    )


def unknown_type(resource_type: str, api_version: str) -> ArmError:
    """Returns the 404 of a resource type that is not served here."""
    return ArmError(
        404,
        "InvalidResourceType",
        f"The resource type '{resource_type}' could not be found in the namespace "
        f"'Microsoft.Compute' for api version '{api_version}'.",
    )


def missing_api_version() -> ArmError:
    """Returns the 400 of a request without api-version."""
    return ArmError(
        400,
        "MissingApiVersionParameter",
        "The api-version query parameter (?api-version=) is required for all requests.",
    )


def invalid_api_version(api_version: str) -> ArmError:
    """Returns the 400 of an api-version that no provider can have."""
    return ArmError(
        400,
        "InvalidApiVersionParameter",
        f"The api-version '{api_version}' is invalid.",
    )


def method_not_allowed(method: str) -> ArmError:
    """Returns the 405 of a method that the resource does not serve."""
    return ArmError(
        405,
        "HttpMethodNotSupported",
        f"The HTTP method '{method}' is not supported at scope provided.",
    )


def vm_not_running() -> ArmError:
    """Returns the 409 of a VM that is off, going off or coming up."""
    return ArmError(
        409, "OperationNotAllowed", "The operation requires the VM to be running (or set to run)."
    )


def vm_without_agent() -> ArmError:
    """Returns the 409 of a VM that takes no extensions."""
    return ArmError(
        409,
        "OperationNotAllowed",
        "This operation cannot be performed when extension operations are disallowed. To allow, "
        "please ensure VM Agent is installed on the VM and the osProfile.allowExtensionOperations "
        "property is true.",
    )


def vm_being_deleted(name: str) -> ArmError:
    """Returns the 409 of a VM that is marked for deletion."""
    return ArmError(
        409,
        "OperationNotAllowed",
        f"Operation 'assessPatches' is not allowed on VM '{name}' since the VM is marked for "
        "deletion. You can only retry the Delete operation (or wait for an ongoing one to "
        "complete).",
    )


def assessment_in_progress(name: str) -> ArmError:
    """Returns the 409 of a second assessment while one runs (assumed, see the module)."""
    return ArmError(
        409,
        "Conflict",
        f"A patch operation is in progress on VM '{name}'. Please wait for completion before "
        "invoking another patch operation.",
    )


@dataclass(frozen=True)
class Throttle:
    """What a 429 says of the policy that ran out, and of its window's times."""

    policy: str
    start_time: str
    end_time: str
    allowed: int
    measured: int


def too_many_requests(throttle: Throttle, retry_after: int | str | None) -> ArmError:
    """Returns Compute's 429.

    The detail's message is JSON in a string, as Compute sends it.

    Args:
        throttle: the policy that ran out.
        retry_after: seconds for the ``Retry-After`` header, None for an answer without.
    """
    message = json.dumps(
        {
            "operationGroup": throttle.policy,
            "startTime": throttle.start_time,
            "endTime": throttle.end_time,
            "allowedRequestCount": throttle.allowed,
            "measuredRequestCount": throttle.measured,
        },
        separators=(",", ":"),
    )
    return ArmError(
        429,
        "OperationNotAllowed",
        "The server rejected the request because too many requests have been received for this "
        "subscription.",
        details=({"code": "TooManyRequests", "target": throttle.policy, "message": message},),
        inner={"internalErrorCode": "TooManyRequestsReceived"},
        headers={} if retry_after is None else {"Retry-After": str(retry_after)},
    )


def subscription_throttled(
    action: str, subscription_id: str, principal_id: str, retry_after: int
) -> ArmError:
    """Returns ARM's own 429, of its front door, whatever the resource provider would say.

    Args:
        action: `read` or `write`.
        subscription_id: whose bucket is empty.
        principal_id: whose bucket is empty.
        retry_after: seconds until there are tokens again.
    """
    return ArmError(
        429,
        "SubscriptionRequestsThrottled",
        f"Number of '{action}' requests for subscription '{subscription_id}' actor "
        f"'{principal_id}' exceeded. Please try again after '{retry_after}' seconds after "
        "additional tokens are available. Refer to https://aka.ms/arm-throttling for additional "
        "information.",
        headers={"Retry-After": str(retry_after)},
    )


_USUAL: Final = {
    500: ("InternalServerError", "An internal execution error occurred. Please retry later."),
    502: ("BadGateway", "The gateway did not receive a response in time."),
    503: ("ServiceUnavailable", "The service is unavailable. Please retry later."),
    504: ("GatewayTimeout", "The gateway did not receive a response from 'Microsoft.Compute'."),
}


def usual(status: int) -> ArmError:
    """Returns an error with the code and message that usually come with a status."""
    code, message = _USUAL.get(status, ("UnexpectedError", "An unexpected error occurred."))
    return ArmError(status, code, message)
