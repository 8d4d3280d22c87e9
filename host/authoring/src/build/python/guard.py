"""Made by `convergence plugin build`. Stands between the host and a function of the plugin: what is raised unforeseen is
told to the operator before the call fails."""

import traceback

from componentize_py_types import Err
from wit_world.imports import log


def guarded(owner, name):
    function = getattr(owner, name)

    def call(self, *arguments):
        try:
            return function(self, *arguments)
        except Err:
            # A failure that the plugin foresaw.
            raise
        except BaseException:
            log.write(log.Level.ERROR, traceback.format_exc())
            raise

    return call
