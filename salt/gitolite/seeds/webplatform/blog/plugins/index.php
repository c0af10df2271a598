<?php
// Plugins of this site stand beside this file, one folder each.
