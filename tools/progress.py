"""What a person sees while hosts are being worked on."""

import sys
import threading
import time

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

QUIET_AFTER = 15  # seconds without news of a host, after which a log says it again


class Progress:
    """
    Host, step and seconds, one line each: redrawn on a terminal, appended in a log.

    Use as a context manager; threads may call it.
    """

    def __init__(self, title, console=None):
        self.title = title
        self.console = console or Console(file=sys.stderr, highlight=False)
        self.started = time.monotonic()
        self._rows = {}
        self._said = {}
        self._lock = threading.Lock()
        self._live = None

    def __enter__(self):
        if self.console.is_terminal:
            self._live = Live(
                get_renderable=self._table,
                console=self.console,
                refresh_per_second=4,
                transient=True,
            )
            self._live.__enter__()
        return self

    def __exit__(self, *error):
        if self._live:
            self._live.__exit__(*error)

    def say(self, sentence):
        """Print a sentence that stays."""
        self.console.print(f"[dim]{self._clock()}[/dim] {sentence}")

    def step(self, host, step, *, fresh=True):
        """
        A host is at this step now.

        fresh
            A new piece of work, of which a log gets a line; else a detail.
        """
        with self._lock:
            now = time.monotonic()
            since = now if fresh or host not in self._rows else self._rows[host][1]
            self._rows[host] = (step, since)
            if self._live is None and (fresh or now - self._said.get(host, 0) > QUIET_AFTER):
                self._said[host] = now
                print(
                    f"{self._clock()} {host:<22} {step} ({now - since:.0f} s)"
                    if not fresh
                    else f"{self._clock()} {host:<22} {step}",
                    file=sys.stderr,
                    flush=True,
                )

    def forget(self, host):
        """A row that has no outcome of its own goes."""
        with self._lock:
            self._rows.pop(host, None)

    def done(self, host, outcome):
        """A host has ended its work."""
        with self._lock:
            now = time.monotonic()
            _, since = self._rows.pop(host, ("", now))
            self._said.pop(host, None)
        line = f"{host:<22} {outcome} ({now - since:.0f} s)"
        if self._live is None:
            print(f"{self._clock()} {Text.from_markup(line)}", file=sys.stderr, flush=True)
        else:
            self.console.print(f"[dim]{self._clock()}[/dim] {line}", markup=True)

    def _clock(self):
        return f"{time.monotonic() - self.started:5.0f} s"

    def _table(self):
        table = Table(
            title=f"{self.title}, {time.monotonic() - self.started:.0f} s",
            title_justify="left",
            box=None,
            pad_edge=False,
        )
        table.add_column("host", style="bold", no_wrap=True)
        table.add_column("step", no_wrap=True, overflow="ellipsis")
        table.add_column("s", justify="right")
        with self._lock:
            now = time.monotonic()
            for host, (step, since) in sorted(self._rows.items()):
                table.add_row(host, step, f"{now - since:.0f}")
        return table
