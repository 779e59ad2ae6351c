"""The kinds of values that settings have, each with its check and its words for a mistake.

A check raises PydanticCustomError, whose message is what stands after "must be".
"""

import re
from collections.abc import Callable
from typing import Annotated, Final
from urllib.parse import SplitResult, urlsplit

from azure.data.tables import TableServiceClient
from azure.servicebus import parse_connection_string
from pydantic import AfterValidator, StringConstraints
from pydantic_core import PydanticCustomError

from assessor.resource_id import ResourceIdError, Scope
from assessor.tag_names import property_name
from dotnet_text import ignoring_case
from ncrontab import Ncrontab, NcrontabError

_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_IP_V6: Final = re.compile(r"[0-9A-Fa-f:.]+")
_GUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_COMPONENT: Final = re.compile(
    r"/subscriptions/[0-9a-f-]{36}/resourceGroups/[^/]{1,90}/providers/"
    r"Microsoft\.Insights/components/[^/]{1,260}",
    re.IGNORECASE,
)
_ACCOUNT: Final = re.compile(r"[a-z0-9]{3,24}")
_BASE64: Final = re.compile(
    r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", re.ASCII
)
_TABLE: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{2,62}")
_ENTITY: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._/-]{0,258}[A-Za-z0-9_])?")


def _matching(pattern: re.Pattern[str], expected: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if pattern.fullmatch(text) is None:
            raise PydanticCustomError("pattern", "{expected}", {"expected": expected})
        return text

    return check


def _parts(text: str) -> SplitResult | None:
    """Returns the parts of a URL whose host and port can be used; None where they can't."""
    try:
        parts = urlsplit(text)
        has_port = parts.port != 0  # reading it raises ValueError for what is no port
    except ValueError:
        return None
    host = parts.hostname or ""
    is_host = _HOST.fullmatch(host) or (":" in host and _IP_V6.fullmatch(host))
    usable = is_host and has_port and parts.username is None and not parts.fragment
    return parts if usable and text.isascii() and not re.search(r"[\s\\]", text) else None


def origin(text: str) -> str:
    """Returns an https origin without a slash at its end."""
    parts = _parts(text)
    if parts is None or parts.scheme != "https" or parts.path.strip("/") or parts.query:
        raise PydanticCustomError("origin", "an https URL with a host, and without a path")
    return text.rstrip("/")


def _table_endpoint(text: str) -> str:
    parts = _parts(text)
    if parts is None or parts.scheme != "https" or parts.query:
        raise PydanticCustomError(
            "endpoint", "the https URL of a storage account's tables, as a token goes there"
        )
    return text


def _service_bus_connection(text: str) -> str:
    try:
        found = parse_connection_string(text)
    except ValueError as error:
        raise PydanticCustomError(
            "connection", "a connection string of Service Bus ({problem})", {"problem": str(error)}
        ) from None  # the cause may quote the secret
    if not _HOST.fullmatch(found.fully_qualified_namespace.partition(":")[0]):
        raise PydanticCustomError("connection", "a connection string with the namespace's host")
    return text


def _storage_connection(text: str) -> str:
    try:
        url = TableServiceClient.from_connection_string(text).url
    except ValueError as error:
        raise PydanticCustomError(
            "connection",
            "a connection string of a storage account that has tables ({problem})",
            {"problem": str(error).rstrip(".")},
        ) from None  # the cause may quote the secret
    parts = _parts(url)
    if parts is None or parts.scheme not in {"http", "https"}:
        raise PydanticCustomError("connection", "a connection string whose table endpoint is a URL")
    if not _is_base64(_account_key(text)):  # else each call would fail at its signature
        raise PydanticCustomError("connection", "a connection string whose AccountKey is base64")
    return text


def _account_key(connection: str) -> str:
    """Returns the AccountKey of a connection string; empty if it has none."""
    pairs = (part.partition("=") for part in connection.split(";"))
    return next((value for key, _, value in pairs if key.strip().lower() == "accountkey"), "")


def _is_base64(text: str) -> bool:
    """Whether that is base64, padding and all, which the decoder takes otherwise in each Python."""
    return _BASE64.fullmatch(text) is not None


def read_scopes(text: object) -> object:
    """Returns the ARM scopes that stand between commas."""
    if not isinstance(text, str):
        return text
    parts = [each.strip() for each in text.split(",") if each.strip()]
    if not parts:
        raise PydanticCustomError("scopes", "ARM scopes with commas between them, or empty")
    try:
        return tuple(Scope.parse(each) for each in parts)
    except ResourceIdError as error:
        raise PydanticCustomError(
            "scopes",
            "ARM scopes with commas between them, each {expected}",
            {"expected": error.expected},
        ) from error


def read_scan_scopes(text: object) -> object:
    """Returns subscriptions and resource groups that stand between commas."""
    found = read_scopes(text)
    if isinstance(found, tuple) and any(scope.vm_name is not None for scope in found):
        raise PydanticCustomError(
            "scopes", "subscriptions and resource groups with commas between them"
        )
    return found


def read_tags(text: object) -> object:
    """Returns the tags that stand between commas; None for one that may have any value."""
    if not isinstance(text, str):
        return text
    pairs = [each.partition("=") for each in text.split(",") if each.strip()]
    found = {name.strip(): value.strip() if equals else None for name, equals, value in pairs}
    # ARM's names of tags differ by more than case, so no VM has one name twice.
    different = {ignoring_case(name) for name in found}
    if not pairs or not all(found) or len(different) != len(pairs):
        raise PydanticCustomError(
            "tags", "key=value pairs, or keys, with commas between them, each key once"
        )
    return found


_MAX_TAGS: Final = 5
_MAX_TAG_NAME: Final = 128


def read_tag_names(text: object) -> object:
    """Returns the names of tags that stand between commas."""
    if not isinstance(text, str):
        return text
    names = tuple(each.strip() for each in text.split(","))
    properties = {property_name(each).lower() for each in names}
    if not all(names) or len(names) > _MAX_TAGS or max(map(len, names)) > _MAX_TAG_NAME:
        raise PydanticCustomError(
            "tag_names",
            "up to five names of tags with commas between them, each of 1 to 128 characters",
        )
    if len(properties) != len(names):
        raise PydanticCustomError(
            "tag_names", "names of tags that differ by more than case and punctuation"
        )
    return names


def read_schedule(text: object) -> object:
    """Returns the schedule."""
    try:
        return Ncrontab(text) if isinstance(text, str) else text
    except NcrontabError as error:
        raise PydanticCustomError(
            "ncrontab", "an NCRONTAB expression ({problem})", {"problem": error.problem}
        ) from error


Origin = Annotated[str, AfterValidator(origin)]
EntityName = Annotated[
    str,
    StringConstraints(strip_whitespace=True),
    AfterValidator(
        _matching(
            _ENTITY,
            "the name of a queue or a topic: 1 to 260 letters, digits, '.', '-', '_' or '/', with "
            "none of '.', '-' and '/' at its ends",
        )
    ),
]
Namespace = Annotated[
    str,
    StringConstraints(strip_whitespace=True),
    AfterValidator(
        _matching(_HOST, "the namespace's host name, like example.servicebus.windows.net")
    ),
]
InsightsComponent = Annotated[
    str,
    StringConstraints(strip_whitespace=True),
    AfterValidator(
        _matching(
            _COMPONENT,
            "the resource ID of an Application Insights component: /subscriptions/…/resourceGroups/"
            "…/providers/Microsoft.Insights/components/…",
        )
    ),
]
ClientId = Annotated[
    str,
    StringConstraints(strip_whitespace=True),
    AfterValidator(_matching(_GUID, "the client ID of an identity, a GUID")),
]
TableName = Annotated[
    str, AfterValidator(_matching(_TABLE, "3 to 63 letters and digits, a letter first"))
]
AccountName = Annotated[
    str,
    StringConstraints(strip_whitespace=True),
    AfterValidator(_matching(_ACCOUNT, "a storage account's name: 3 to 24 small letters, digits")),
]
TableEndpoint = Annotated[
    str, StringConstraints(strip_whitespace=True), AfterValidator(_table_endpoint)
]
ServiceBusConnection = Annotated[str, AfterValidator(_service_bus_connection)]
StorageConnection = Annotated[str, AfterValidator(_storage_connection)]
