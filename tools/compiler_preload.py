"""
What the fork server of the compiler imports once, so that no host has to.

Nothing here may build a loader or read a file: every host starts from it.
"""

import salt.config
import salt.fileclient
import salt.loader
import salt.modules.cp
import salt.modules.file
import salt.pillar
import salt.renderers.jinja
import salt.renderers.yaml
import salt.state
import salt.states.file
import salt.utils.templates  # noqa: F401 - imported to be there
