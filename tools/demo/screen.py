"""What the demo shows: headings, steps, the scale's display, and a spinner while it waits.

On a terminal with colours and movement, in a file as plain lines.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

ACTS = (
    "The cloud starts: authority, broker, agent, database",
    "An account is opened",
    "A scale is enrolled and claimed",
    "Three weigh-ins",
    "Broken broker, cut power: every reading exactly once",
    "Forgeries are refused",
    "Export, erasure, proof",
)
_WIDTH = 100


class Screen:
    """The one place that prints."""

    def __init__(self) -> None:
        terminal = Console(highlight=False)
        width = min(terminal.width, _WIDTH) if terminal.is_terminal else _WIDTH
        self._console = Console(highlight=False, width=width)
        self._seen: list[str] = []

    def opening(self, text: str) -> None:
        """The first words."""
        self._console.print(Panel(escape(text), title="Tare", border_style="cyan"))

    def act(self, number: int) -> None:
        """The heading of an act, 1 .. 7."""
        self._console.print()
        self._console.rule(f"[bold cyan]{number}  {escape(ACTS[number - 1])}", align="left")

    def say(self, text: str) -> None:
        """What is about to happen, and why."""
        self._console.print(Text(text, style="dim"))

    def command(self, words: Sequence[str]) -> None:
        """A command that is run, so that a reader can run it too."""
        self._line("$ ", shlex.join(words), style="bold")

    def seen(self, text: str) -> None:
        """Something that was checked and holds."""
        self._line("  ✓ ", text, prefix_style="green")

    def note(self, text: str) -> None:
        """A line of detail, as from a program's output."""
        self._line("    ", text)

    def verbatim(self, line: str) -> None:
        """A line to copy: never wrapped, however narrow the terminal."""
        self._console.print(Text(line), soft_wrap=True)

    def display(self, lines: Sequence[str]) -> None:
        """The scale's display."""
        text = " │ ".join(line for line in lines if line)
        self._line("    display  ", f"[ {text} ]", style="bold yellow", prefix_style="dim")

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """A spinner with what we wait for; nothing where there is no terminal."""
        with self._console.status(Text(what)):
            yield

    def conclude(self, text: str) -> None:
        """The closing line of the running act; shown again at the end."""
        self._seen.append(text)

    def closing(self) -> None:
        """A line for each act, saying what was seen."""
        self._console.print()
        self._console.rule("[bold cyan]What was seen", align="left")
        for number, text in enumerate(self._seen, 1):
            self._line(f"{number} ", text, prefix_style="bold green")

    def failure(self, text: str) -> None:
        """Why the demo ends here."""
        self._console.print(Text(text, style="bold red"))

    def _line(self, prefix: str, text: str, *, style: str = "", prefix_style: str = "") -> None:
        """A line whose continuation stands under its text, not under its prefix."""
        table = Table.grid(padding=0)
        table.add_column(no_wrap=True)
        table.add_column()
        table.add_row(Text(prefix, style=prefix_style or style), Text(text, style=style))
        self._console.print(table)
