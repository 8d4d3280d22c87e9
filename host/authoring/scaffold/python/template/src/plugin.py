"""The language template `{{name}}`: how an application becomes an image and a service.

As it was made it runs a `main.py` with Python and nothing else. Change `IMAGE`, `plan` and `starter/` into what your
language needs; `wit/template/template.wit` says what a plan may hold.
"""

import json
from pathlib import Path

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import template_types as t
from wit_world.imports.plugin_types import Description, Example, FieldError, PluginError_InvalidInput

# What applications run on, unless the caller names another image.
IMAGE = "python:3.12-slim-bookworm"

# Where they listen inside the container.
PORT = 8080

# What an application must have.
MAIN = "main.py"

FRAMEWORKS = ["plain"]

# Read when the component is built: at run time there are no files.
STARTER = (Path(__file__).parent / "starter" / MAIN).read_bytes()

# A case that the server holds against the plugin at install.
EXAMPLE = Example(
    name="the starter runs its own main.py",
    config="{}",
    input=json.dumps({"tenantName": "demo", "architecture": "amd64", "memoryMb": 256}),
    expect=json.dumps({"service": {"command": ["python3", MAIN], "port": PORT}}),
)


def invalid_input(path: str, message: str) -> Err:
    """A failure that the plugin foresees: raised, it becomes an answer for the caller."""
    return Err(PluginError_InvalidInput([FieldError(path, message)]))


class Metadata(exports.Metadata):
    def describe(self) -> Description:
        return Description(
            id="{{name}}",
            kind="template",
            name="{{name}}",
            version="0.1.0",
            summary="Runs main.py with Python.",
            homepage=None,
            config_schema=json.dumps({"type": "object", "additionalProperties": False}),
            examples=[EXAMPLE],
            extra=[],
        )


class Generator(exports.Generator):
    def languages(self) -> list[t.Language]:
        return [t.Language(name="{{name}}", frameworks=FRAMEWORKS, versions=["3.12"], images=[IMAGE])]

    def wants(self) -> list[str]:
        """The files whose contents `detect` and `plan` read: it is enough that main.py is there."""
        return []

    def detect(self, request: t.Request) -> t.Detection | None:
        if request.source is None or MAIN not in request.source.paths:
            return None
        # Others may know more about such an application; they shall win.
        return t.Detection(
            confidence=40, language="{{name}}", framework=None, version=None, reason=f"it has a {MAIN}"
        )

    def plan(self, request: t.Request) -> t.BuildPlan:
        if request.framework is not None and request.framework not in FRAMEWORKS:
            raise invalid_input("framework", f"`{request.framework}` is not a framework of this template; leave it out")
        image = request.base_image or IMAGE
        probe: t.Probe
        if request.source is None:
            files = [t.File(path=MAIN, contents=STARTER, executable=False)]
            copy = t.CopyFiles(t.Origin_Plan(), [MAIN], "/app/")
            probe = t.Probe_Http("/health")
        elif MAIN in request.source.paths:
            files = []
            copy = t.CopyFiles(t.Origin_Source(), ["."], "/app/")
            # An application of one's own need not have a path for this.
            probe = t.Probe_Tcp()
        else:
            raise invalid_input(MAIN, "there is no main.py; add one that listens on $PORT")
        stage = t.Stage("run", t.Base_Image(image), [t.Step_Workdir("/app"), t.Step_Copy(copy)])
        health = t.Health(
            probe=probe,
            in_container=None,
            interval_seconds=30,
            timeout_seconds=5,
            retries=3,
            start_period_seconds=30,
        )
        service = t.Service(
            command=["python3", MAIN],
            release_command=None,
            port=PORT,
            health=health,
            env=[],
            writable=[],
            volumes=[],
            stop_signal="SIGTERM",
            stop_grace_seconds=10,
            min_memory_mb=64,
            extra=[],
        )
        return t.BuildPlan(files=files, stages=[stage], service=service, notes=[f"{MAIN} on `{image}`."], extra=[])
