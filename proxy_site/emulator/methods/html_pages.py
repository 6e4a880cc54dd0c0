"""The layout of the pages that Google shows to people."""

from __future__ import annotations

from aiohttp import web

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; background: #f4f5f7; color: #1f2328 }
main { max-width: 26rem; margin: 10vh auto; padding: 2rem; background: #fff; border-radius: 12px;
       box-shadow: 0 1px 3px #0002 }
h1 { font-size: 1.3rem; margin: 0 0 .5rem } p { margin: .5rem 0 } .quiet { color: #59636e }
label { display: block; padding: .6rem .8rem; margin: .4rem 0; border: 1px solid #d1d9e0;
        border-radius: 8px; cursor: pointer }
button { font: inherit; padding: .5rem 1.4rem; border-radius: 8px; border: 1px solid #d1d9e0;
         background: #fff; cursor: pointer }
button.main { background: #0b57d0; border-color: #0b57d0; color: #fff }
@media (prefers-color-scheme: dark) {
  body { background: #16181d; color: #e6e8eb } main { background: #22252b } .quiet { color: #a0a7b0 }
  label, button { border-color: #444b55; background: #22252b; color: inherit } }
"""


def page(title: str, content: str, status: int = 200) -> web.Response:
    text = (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>'
        f"<body><main>{content}</main></body></html>"
    )
    return web.Response(status=status, text=text, content_type="text/html")
