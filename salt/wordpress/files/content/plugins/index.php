<?php
// Managed by Saltworks: wordpress. Local changes are overwritten.
// Plugins of this site stand beside this file, one folder each.
