"""The function app: reads the settings, puts the worker together, registers the triggers."""

import os

import azure.functions as func

from assessor.settings import read_settings
from assessor.telemetry.setup import configure_telemetry
from assessor.worker import Worker
from handlers import events, in_progress, requests, timer

_settings = read_settings(os.environ)
_worker = Worker(_settings, configure_telemetry(os.environ))

app = func.FunctionApp()
app.register_functions(requests.blueprint(_worker, _settings))
app.register_functions(in_progress.blueprint(_worker, _settings))
app.register_functions(timer.blueprint(_worker, _settings))
app.register_functions(events.blueprint(_worker))
