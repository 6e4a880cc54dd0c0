"""For pages that say how something is done from a terminal."""

from __future__ import annotations

from django import template

from accounts import command_line

register = template.Library()


@register.simple_tag
def manage(arguments: str) -> str:
    """A whole command line, as the server was started."""
    return command_line.manage(arguments)
