"""Notices in a page whatever a hostile string would do, if any of them came to act."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from asking import ask

INIT = """
for (const name of ["alert", "confirm", "prompt"]) {
  window[name] = () => console.error(`a hostile string called ${name}`);
}
"""
"""For every frame of a page, before anything else runs: what the strings call tells of itself."""

# In a page: what no string may make: elements and attributes that act, and addresses of elsewhere.
IN_PAGE = """
(root) => {
  const found = [];
  const acting = "script, iframe, frame, object, embed, base, link[href], meta[http-equiv=refresh], form, input[onfocus], mjx-container";
  for (const place of document.querySelectorAll(root)) {
    for (const element of [place, ...place.querySelectorAll("*")]) {
      if (element.matches(acting)) found.push(element.outerHTML.slice(0, 200));
      for (const { name, value } of element.attributes) {
        const address = ["src", "href", "xlink:href", "action", "srcdoc", "srcset"].includes(name);
        if (name.startsWith("on") || (address && !value.startsWith("data:image/svg+xml;base64,"))) {
          found.push(`${element.localName} ${name}=${value.slice(0, 200)}`);
        }
      }
    }
  }
  return found;
}
"""  # noqa: E501


def made(page: Any, root: str) -> list[str]:
    """The elements and attributes in a part of a page that could act."""
    found: list[str] = ask(page, IN_PAGE, root)
    return found


@dataclass
class Sentinel:
    """What strings did in a page: what they called, asked for and made."""

    page: Any
    did: list[str] = field(default_factory=list)

    def watch(self) -> Sentinel:
        """Begin to listen; before the page is opened."""
        self.page.add_init_script(INIT)
        self.page.on("console", lambda said: self._said(said.type, said.text))
        self.page.on("pageerror", lambda error: self.did.append(f"error: {error}"))
        self.page.on("dialog", self._asked)
        self.page.on("popup", lambda page: self.did.append(f"popup: {page.url}"))
        self.page.context.set_offline(True)
        self.page.on("request", lambda request: self._requested(request.url))
        return self

    def made(self, root: str) -> list[str]:
        """The elements and attributes in a part of the page that could act."""
        return made(self.page, root)

    def _said(self, kind: str, text: str) -> None:
        if kind == "error":
            self.did.append(text)

    def _asked(self, dialog: Any) -> None:
        self.did.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _requested(self, url: str) -> None:
        if not url.startswith(("file:", "data:", "blob:")):
            self.did.append(f"request: {url}")
