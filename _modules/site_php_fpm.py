"""
How many workers a php-fpm pool may have.
"""

from salt.exceptions import CommandExecutionError


def sizes(memory_mb, share, worker_mb, max_children):
    """
    Size one pool so that its workers fit into memory even when all are busy.

    memory_mb
        Memory of all pools together, in MiB.

    share
        Percent of it for this pool, 1 to 100.

    worker_mb
        Memory of one worker, in MiB.

    max_children
        Never more workers than this.

    Returns ``{"max_children", "start_servers", "min_spare", "max_spare"}`` in
    the order that php-fpm demands: min_spare <= start_servers <= max_spare <=
    max_children; at least 2 workers.

    Raises CommandExecutionError when not even 2 workers fit.

    CLI Example:

    .. code-block:: bash

        salt-call site_php_fpm.sizes 4096 60 80 50
    """
    fitting = memory_mb * share // 100 // worker_mb
    if fitting < 2:
        raise CommandExecutionError(
            f"php-fpm: {share} % of {memory_mb} MiB hold {fitting} workers of {worker_mb} MiB, "
            "at least 2 needed. Remedy: more memory, or another share in php-fpm:pools"
        )
    most = min(fitting, max_children)
    spare = max(1, most // 8)
    return {
        "max_children": most,
        "start_servers": min(most, spare + 1),
        "min_spare": spare,
        "max_spare": min(most, spare * 3),
    }
