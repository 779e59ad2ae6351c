"""Makes infra/main.parameters.json from main.bicep: each parameter and the variable that fills it.

`make schemas` runs it. azd's variable has the parameter's name in capitals, but for some whose
variable is azd's own or shared.
"""

import json
import re
from typing import Final

_PARAMETER: Final = re.compile(r"^param (\w+)", re.MULTILINE)
_WORD: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
_OTHERWISE: Final = {
    "environmentName": "AZURE_ENV_NAME",
    "location": "AZURE_LOCATION",
    "principalId": "AZURE_PRINCIPAL_ID",
    "principalType": "AZURE_PRINCIPAL_TYPE",
    "existingZones": "PRIVATE_DNS_ZONES",
}


def parameters(bicep: str) -> str:
    """Returns the text of the parameters file of a template, in the order of its parameters."""
    document = {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentParameters.json#",
        "contentVersion": "1.0.0.0",
        "parameters": {name: {"value": _variable(name)} for name in _PARAMETER.findall(bicep)},
    }
    return f"{json.dumps(document, indent=2)}\n"


def _variable(name: str) -> str:
    return f"${{{_OTHERWISE.get(name) or _WORD.sub('_', name).upper()}}}"
