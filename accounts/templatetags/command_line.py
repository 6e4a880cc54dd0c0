"""Template tag for command lines shown on pages."""

from __future__ import annotations

from django import template

from accounts import command_line

register = template.Library()


@register.simple_tag
def manage(arguments: str) -> str:
    """Return the whole command line for `arguments`, in the form in which the server was started."""
    return command_line.manage(arguments)
