"""What ARM's reference promises of the objects that pass on as ARM sent them.

They describe, and bind nobody: an object of another shape passes on all the same.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from assessor.messages.model import Model

ErrorCode = Annotated[
    Any,
    Field(
        description="String: ARM's code, or one of the app's own, which docs/integrate.md lists."
    ),
]
ErrorMessage = Annotated[Any, Field(description="String.")]
ErrorTarget = Annotated[Any, Field(description="String or null.")]
ErrorDetails = Annotated[Any, Field(description="Array of {code, message, target}.")]
InnerError = Annotated[Any, Field(description="{exceptiontype, errordetail} or null.")]


class _Shape(Model):
    """Describes fields, whatever the value is."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Leaves out what would bind: the type, and which fields have to be there."""
        reference = handler(core_schema)
        described = handler.resolve_ref_schema(reference)
        described.pop("type", None)
        described.pop("required", None)
        return reference


@dataclass(frozen=True)
class PatchShape(_Shape):
    """VirtualMachineSoftwarePatchProperties, as ARM sent it."""

    patch_id: Any
    """String."""
    name: Any
    """String."""
    version: Any
    """String."""
    kb_id: Any
    """String; Windows only."""
    classifications: Annotated[
        Any,
        Field(
            examples=[
                ["Critical"],
                ["Security"],
                ["Update Rollups"],
                ["Definition Updates"],
                ["Other"],
            ]
        ),
    ]
    """Array of strings."""
    reboot_behavior: Annotated[
        Any, Field(examples=["Unknown", "NeverReboots", "AlwaysRequiresReboot", "CanRequestReboot"])
    ]
    """String."""
    activity_id: Any
    """String."""
    published_date: Any
    """Time."""
    last_modified_date_time: Any
    """Time."""
    assessment_state: Annotated[Any, Field(examples=["Available", "Unknown"])]
    """String."""


@dataclass(frozen=True)
class ApiErrorShape(_Shape):
    """ApiError of ARM's reference."""

    code: ErrorCode
    message: ErrorMessage
    target: ErrorTarget
    details: ErrorDetails
    innererror: InnerError
