"""AssessmentResult: what ARM answers at the end of assessPatches, parsed once.

The reference's VirtualMachineAssessPatchesResult with its patches and its ApiError. A value of
another type than the reference's counts as not told, and is never an error: the result's `raw`
document keeps it, with every field that nobody knows yet, exactly as ARM sent it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from assessor.arm.reading import objects_of, text_of
from assessor.clock import from_text

Json = Mapping[str, Any]
"""A JSON object, by its REST names."""

_MAX_COUNT: Final = 2**31 - 1
"""The reference's integers are of 32 bits."""
_FIRST_YEAR: Final = 2000
"""A time in the first year of all is how .NET writes none."""
_TRUNCATED: Final = "truncated_patch_list_id"
_ADDITIONAL: Final = re.compile(r"\s*([0-9]{1,6}) additional", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ApiError:
    """Why an assessment failed, in the shape of the REST reference's ApiError.

    Attributes:
        code: ARM's code, or one of this app's own (docs/integrate.md lists them).
        message: one sentence for people.
        target: what the error is about.
        details: the errors beneath, each `{code, message, target}`.
        innererror: `{exceptiontype, errordetail}`.
    """

    code: str
    message: str
    target: str | None = None
    details: tuple[Json, ...] = ()
    innererror: Json | None = None

    @property
    def said(self) -> list[tuple[str, str]]:
        """Codes and messages: the error's own, then those beneath it; empty where there is none."""
        beneath = [(each.get("code"), each.get("message")) for each in self.details]
        return [(self.code, self.message), *((str(c or ""), str(m or "")) for c, m in beneath)]

    def to_json(self) -> dict[str, Any]:
        """Returns the error as the outcome carries it."""
        return {
            "code": self.code,
            "message": self.message,
            "target": self.target,
            "details": [dict(detail) for detail in self.details],
            "innererror": dict(self.innererror) if self.innererror is not None else None,
        }


@dataclass(frozen=True, slots=True)
class Patch:
    """A patch that the VM lacks: VirtualMachineSoftwarePatchProperties; `raw` as ARM sent it."""

    patch_id: str | None
    name: str | None
    version: str | None
    kb_id: str | None
    classifications: tuple[str, ...]
    reboot_behavior: str | None
    activity_id: str | None
    published_date: str | None
    last_modified_date_time: str | None
    assessment_state: str | None
    raw: Json

    @property
    def hidden(self) -> int:
        """How many patches the record stands for that is in their place; 0 for a patch.

        The Linux extension cuts its list at 126 KB and puts a record for each classification in
        place of the rest (Azure/LinuxPatchExtension, StatusHandler). One whose number can't be read
        stands for one patch at the least.
        """
        if (self.patch_id or "").lower() != _TRUNCATED:
            return 0
        match = _ADDITIONAL.match(self.name or "")
        return max(1, int(match[1])) if match else 1

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401 - pydantic's own hook
        """Lets models that hold patches be stored as ARM's JSON, and read from it."""
        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, cls) else _patch_from_stored(value),
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda patch: dict(patch.raw)
            ),
        )


@dataclass(frozen=True, slots=True)
class AssessmentResult:
    """What an assessment found: VirtualMachineAssessPatchesResult. What ARM did not tell is None.

    `start_text` is startDateTime as ARM wrote it, and `started_at` the same as a moment in UTC;
    `patches` are availablePatches, None where there is no list; `raw` is the whole document as ARM
    sent it.
    """

    status: str | None
    activity_id: str | None
    reboot_pending: bool | None
    critical_and_security_count: int | None
    other_count: int | None
    start_text: str | None
    started_at: datetime | None
    patches: tuple[Patch, ...] | None
    error: ApiError | None
    raw: Json

    @property
    def is_failed(self) -> bool:
        """Whether the assessment failed, although its operation ended well."""
        return self.status is not None and self.status.lower() == "failed"

    @property
    def hidden(self) -> int:
        """How many patches are not in the list because the extension in the VM cut it."""
        return sum(each.hidden for each in self.patches or ())


def parse_result(document: Json) -> AssessmentResult:
    """Returns the AssessmentResult that `document`, ARM's JSON, holds; whatever it holds."""
    patches = document.get("availablePatches")
    error = document.get("error")
    start_text = text_of(document.get("startDateTime"))
    return AssessmentResult(
        status=text_of(document.get("status")),
        activity_id=text_of(document.get("assessmentActivityId")),
        reboot_pending=_flag(document.get("rebootPending")),
        critical_and_security_count=_count(document.get("criticalAndSecurityPatchCount")),
        other_count=_count(document.get("otherPatchCount")),
        start_text=start_text,
        started_at=_moment(start_text),
        patches=tuple(map(parse_patch, objects_of(patches)))
        if isinstance(patches, list | tuple)
        else None,
        error=parse_error(error) if isinstance(error, Mapping) else None,
        raw=document,
    )


def parse_patch(fields: Json) -> Patch:
    """Returns the Patch that `fields`, ARM's JSON, holds; whatever it holds."""
    classifications = fields.get("classifications")
    return Patch(
        patch_id=text_of(fields.get("patchId")),
        name=text_of(fields.get("name")),
        version=text_of(fields.get("version")),
        kb_id=text_of(fields.get("kbId")),
        classifications=tuple(
            each
            for each in (classifications if isinstance(classifications, list | tuple) else ())
            if isinstance(each, str)
        ),
        reboot_behavior=text_of(fields.get("rebootBehavior")),
        activity_id=text_of(fields.get("activityId")),
        published_date=text_of(fields.get("publishedDate")),
        last_modified_date_time=text_of(fields.get("lastModifiedDateTime")),
        assessment_state=text_of(fields.get("assessmentState")),
        raw=fields,
    )


def parse_error(fields: Json, fallback_code: str = "", fallback_message: str = "") -> ApiError:
    """Returns the ApiError in an `error` object of ARM's, whatever is missing from it."""
    inner = fields.get("innererror")
    return ApiError(
        code=text_of(fields.get("code")) or fallback_code,
        message=text_of(fields.get("message")) or fallback_message,
        target=text_of(fields.get("target")) or None,
        details=tuple(objects_of(fields.get("details"))),
        innererror=inner if isinstance(inner, Mapping) else None,
    )


def _patch_from_stored(value: object) -> Patch:
    if not isinstance(value, Mapping):
        raise ValueError("a patch is a JSON object")  # noqa: TRY004 - pydantic reads ValueError
    return parse_patch(value)


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _count(value: object) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= _MAX_COUNT else None


def _moment(text: str | None) -> datetime | None:
    moment = from_text(text)
    return moment if moment is not None and moment.year >= _FIRST_YEAR else None
