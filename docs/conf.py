"""Settings of the documentation; ``nox -s docs`` builds it, without a network."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer

project = "Conveyor"
author = "The Conveyor developers"
copyright = f"2026, {author}"
version = release = importlib.metadata.version("conveyor-streaming")

# Mermaid draws in the reader's browser; without a network there is the text of the diagram.
extensions = ["sphinx.ext.autodoc", "sphinx_copybutton", "sphinxcontrib.mermaid"]
exclude_patterns = ["_build", "_generated"]
# What is not marked as code of some language is a figure or a program's output.
highlight_language = "text"
default_role = "code"

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "signature"
autodoc_type_aliases = {
    "ErrorAction": "conveyor.ErrorAction",
    "ExecutionMode": "conveyor.ExecutionMode",
    "RunOutcome": "conveyor.RunOutcome",
}
python_use_unqualified_type_names = True
maximum_signature_line_length = 88

# Every reference must lead somewhere, but for these.
nitpick_ignore_regex = [
    # Out of this documentation: looking them up (intersphinx) would need a network at every build.
    (
        "py:.*",
        r"(anyio|asyncio|collections|contextvars|logging|os|types|typing|typing_extensions)\..*",
    ),
    ("py:class", r"(rich\.console\.)?Console"),
    ("py:.*", r"(opentelemetry|prometheus_client)\..*"),
    # In annotations: type variables, and aliases that exist for type checkers only.
    (
        "py:(class|obj)",
        r"(conveyor\.[\w.]+\.)?(In|Out|Next|Self|T|Ts|Composable|Data|MaxSize|OnFailure)",
    ),
    # Sphinx before 8.2 does not find ``py:type`` from annotations.
    ("py:class", r"(conveyor\.)?(ErrorAction|ExecutionMode|KeyErrorAction|RunOutcome)"),
]

html_theme = "furo"
html_title = f"Conveyor {version}"
html_copy_source = False
html_show_sphinx = False
copybutton_prompt_text = "$ "
mermaid_height = "800px"


def setup(app: Sphinx) -> None:
    # Show the one signature that a function has, not the many that type checkers are told of.
    for module in ("conveyor.decorators", "conveyor.tasks"):
        analyzer = ModuleAnalyzer.for_module(module)
        analyzer.analyze()
        analyzer.overloads.clear()
    app.connect("autodoc-process-signature", spell_out_defaults)
    app.connect("builder-inited", draw_pictures)


def draw_pictures(app: Sphinx) -> None:
    """Let the programs draw what the pages show, in virtual time."""
    generated = Path(app.srcdir, "_generated")
    generated.mkdir(exist_ok=True)
    for program in Path(app.srcdir, "pictures").glob("*.py"):
        subprocess.run([sys.executable, program, generated], check=True)


def spell_out_defaults(
    app: Sphinx,
    what: str,
    name: str,
    obj: object,
    options: object,
    signature: str | None,
    returns: str | None,
) -> tuple[str | None, str | None]:
    """Make the signatures of dataclasses valid: "<factory>" is not Python."""
    return signature and signature.replace("<factory>", "{}"), returns
