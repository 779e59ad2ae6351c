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

    patch_id: Annotated[Any, Field(description="String.")]
    name: Annotated[Any, Field(description="String.")]
    version: Annotated[Any, Field(description="String.")]
    kb_id: Annotated[Any, Field(description="String; Windows only.")]
    classifications: Annotated[
        Any,
        Field(
            description="Array of strings.",
            examples=[
                ["Critical"],
                ["Security"],
                ["Update Rollups"],
                ["Definition Updates"],
                ["Other"],
            ],
        ),
    ]
    reboot_behavior: Annotated[
        Any,
        Field(
            description="String.",
            examples=["Unknown", "NeverReboots", "AlwaysRequiresReboot", "CanRequestReboot"],
        ),
    ]
    activity_id: Annotated[Any, Field(description="String.")]
    published_date: Annotated[Any, Field(description="Time.")]
    last_modified_date_time: Annotated[Any, Field(description="Time.")]
    assessment_state: Annotated[
        Any, Field(description="String.", examples=["Available", "Unknown"])
    ]


@dataclass(frozen=True)
class ApiErrorShape(_Shape):
    """ApiError of ARM's reference."""

    code: ErrorCode
    message: ErrorMessage
    target: ErrorTarget
    details: ErrorDetails
    innererror: InnerError
