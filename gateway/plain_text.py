"""The same as accounts/plain_text.py, for those who know it by this name."""

from accounts.plain_text import UNSAFE, fitting, neutralised

__all__ = ["UNSAFE", "fitting", "neutralised"]
