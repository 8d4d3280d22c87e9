"""Made by `convergence plugin build`. Stands between the host and a function of the plugin: what is raised unforeseen is
told to the operator before the call fails."""

import sys
from os.path import dirname

import plugin
from componentize_py_types import Err
from wit_world.imports import log, plugin_types

# The lines of the author's modules, read while the component is built: a plugin has no files, and a look at one ends its
# call. For the same reason the module `traceback` is of no use here: it imports others when it needs them.
SOURCES = {}
for module in list(sys.modules.values()):
    path = getattr(module, "__file__", None)
    if path and path.endswith(".py") and path.startswith(dirname(plugin.__file__)):
        with open(path, encoding="utf-8") as source:
            SOURCES[path] = source.read().splitlines()

# What a function of the contract may raise, so that the caller is told.
FORESEEN = tuple(
    value for name, value in vars(plugin_types).items() if isinstance(value, type) and name.startswith("PluginError_")
)

# Whether a call is being made: what the plugin calls of itself is a part of it.
inside = False

# Frames that are told of an endless recursion: as many at its beginning and at its end.
FRAMES = 10


def traced(error):
    """The traceback of an error and of those that led to it, as Python prints it."""
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    text = f"{traced(earlier)}\nwhich led to:\n" if earlier else ""
    frames, at = [], error.__traceback__
    while at:
        code, line = at.tb_frame.f_code, at.tb_lineno
        lines = SOURCES.get(code.co_filename, [])
        source = f"\n    {lines[line - 1].strip()}" if 0 < line <= len(lines) else ""
        frames.append(f'  File "{code.co_filename}", line {line}, in {code.co_qualname}{source}')
        at = at.tb_next
    if len(frames) > 2 * FRAMES:
        frames[FRAMES:-FRAMES] = [f"  … {len(frames) - 2 * FRAMES} more …"]
    # An error of `math` says only what it is when it is shown.
    says = repr(error.value) if isinstance(error, Err) else str(error)
    return "\n".join([f"{text}Traceback (most recent call last):", *frames, f"{type(error).__name__}: {says}"])


def guarded(owner, name, fails):
    """`fails` says whether the contract lets this function answer with an error."""
    function = getattr(owner, name)

    def call(self, *arguments):
        global inside
        if inside:
            return function(self, *arguments)
        inside = True
        try:
            return function(self, *arguments)
        except BaseException as error:
            if fails and isinstance(error, Err) and isinstance(error.value, FORESEEN):
                raise
            log.write(log.Level.ERROR, traced(error))
            raise RuntimeError("told in the log") from None
        finally:
            inside = False

    return call
